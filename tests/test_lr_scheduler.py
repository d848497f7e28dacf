# SPDX-License-Identifier: BSD-3-Clause
"""Schedules: PyTorch's sequences of learning rates and momenta, states, warnings, errors."""

import inspect
import math
import re
import warnings

import pytest

import pydl
from pydl import nn, optim
from pydl.optim import lr_scheduler

LOSSES = [3, 2, 2, 2, 1.99, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


class Halving:
    """A callable object: its attributes are saved."""

    def __init__(self):
        self.base = 0.5

    def __call__(self, epoch):
        return self.base**epoch


# name of a case -> what makes the scheduler from the module and the optimizer
SCHEDULES = {
    "step": lambda m, o: m.StepLR(o, 4, 0.5),
    "multistep": lambda m, o: m.MultiStepLR(o, [2, 2, 5, 11], 0.3),
    "constant": lambda m, o: m.ConstantLR(o, 0.25, 6),
    "linear": lambda m, o: m.LinearLR(o, 0.1, 0.9, 7),
    "linear default": lambda m, o: m.LinearLR(o),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.9),
    "polynomial": lambda m, o: m.PolynomialLR(o, 9, 2.0),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 7, 0.01),
    "cosine one": lambda m, o: m.CosineAnnealingLR(o, 1),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 2, 0.02),
    "restarts even": lambda m, o: m.CosineAnnealingWarmRestarts(o, 5),
    "onecycle": lambda m, o: m.OneCycleLR(o, [1.0, 2.0], total_steps=30),
    "onecycle three": lambda m, o: m.OneCycleLR(o, 0.7, epochs=3, steps_per_epoch=9, pct_start=0.25, three_phase=True),
    "onecycle linear": lambda m, o: m.OneCycleLR(o, 0.7, 40, anneal_strategy="linear", cycle_momentum=False),
    "cyclic": lambda m, o: m.CyclicLR(o, 0.01, [0.1, 0.2], 4, 3),
    "cyclic 2": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 3, mode="triangular2"),
    "cyclic exp": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9, cycle_momentum=False),
    "cyclic own": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 3, scale_fn=lambda x: 1 / x, cycle_momentum=False),
    "lambda": lambda m, o: m.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "lambda object": lambda m, o: m.LambdaLR(o, Halving()),
    "multiplicative": lambda m, o: m.MultiplicativeLR(o, lambda e: 1 - 1 / (e + 2)),
    "chained": lambda m, o: m.ChainedScheduler([m.ExponentialLR(o, 0.9), m.ConstantLR(o, 0.1, 3), m.StepLR(o, 4)]),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=4), m.CosineAnnealingLR(o, 9), m.ConstantLR(o, 0.5, 2)], [4, 15]
    ),
    "sequential nested": lambda m, o: m.SequentialLR(
        o, [m.ChainedScheduler([m.LinearLR(o, 0.1), m.StepLR(o, 2)]), m.ExponentialLR(o, 0.8)], [6]
    ),
    "plateau": lambda m, o: m.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=[0.01, 0.2]),
    "plateau max": lambda m, o: m.ReduceLROnPlateau(o, "max", 0.3, 2, 0.1, "abs"),
}
each = pytest.mark.parametrize("name", SCHEDULES)


def make(module, scheduler_module, name, optimizer="SGD"):
    t = pydl if module is optim else pytest.importorskip("torch", reason="compares with PyTorch")
    params = [t.nn.Parameter(t.ones(1)) for _ in range(2)]
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.4}]
    opt = getattr(module, optimizer)(groups, lr=0.1, **({"momentum": 0.9} if optimizer == "SGD" else {}))
    with warnings.catch_warnings():
        if name == "sequential nested":  # PyTorch's parts warn there too, when they are started a second time
            warnings.simplefilter("ignore")
        return opt, SCHEDULES[name](scheduler_module, opt)


def steps(opt, scheduler, n, start=0):
    """What the groups are given in n steps: learning rate and momentum."""
    seen = []
    for i in range(start, start + n):
        seen.append([(float(g["lr"]), g.get("momentum", g.get("betas"))) for g in opt.param_groups])
        opt.step()
        scheduler.step(*([LOSSES[i]] if type(scheduler).__name__ == "ReduceLROnPlateau" else []))
    return seen


def cosine(high, low, share):
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


def restarts(base, t, period, times, low):
    while t >= period:
        t, period = t - period, period * times
    return cosine(base, low, t / period)


def one_cycle(peak, t, n):
    top = 0.3 * n - 1
    if t <= top:
        return cosine(peak / 25, peak, t / top)
    return cosine(peak, peak / 25 / 1e4, (t - top) / (n - 1 - top))


def falls(t):
    """How often the plateau of LOSSES has made the rate fall before epoch t: worked out by hand."""
    return sum(t > epoch for epoch in (3, 7, 12, 16, 20))


# name of a case -> the rate in epoch t of a group that has the rate `base` without a schedule (0.1 and 0.4)
RATES = {
    "step": lambda t, base: base * 0.5 ** (t // 4),
    "multistep": lambda t, base: base * 0.3 ** sum(t >= m for m in (2, 2, 5, 11)),
    "constant": lambda t, base: base * (0.25 if t < 6 else 1),
    "linear": lambda t, base: base * (0.1 + 0.8 * min(t / 7, 1)),
    "linear default": lambda t, base: base * (1 + 2 * min(t / 5, 1)) / 3,
    "exponential": lambda t, base: base * 0.9**t,
    "polynomial": lambda t, base: base * (1 - min(t / 9, 1)) ** 2,
    "cosine": lambda t, base: cosine(base, 0.01, t / 7),
    "cosine one": lambda t, base: cosine(base, 0, t),
    "restarts": lambda t, base: restarts(base, t, 3, 2, 0.02),
    "restarts even": lambda t, base: restarts(base, t, 5, 1, 0),
    "onecycle": lambda t, base: one_cycle(1.0 if base == 0.1 else 2.0, t, 30),
    "cyclic": lambda t, base: 0.01 + (0.09 if base == 0.1 else 0.19) * min(t % 7 / 4, (7 - t % 7) / 3),
    "cyclic 2": lambda t, base: 0.01 + 0.09 * min(t % 6, 6 - t % 6) / 3 / 2 ** (t // 6),
    "lambda object": lambda t, base: base * 0.5**t,
    "multiplicative": lambda t, base: base * 2 / (t + 2),
    "plateau": lambda t, base: max(base * 0.5 ** falls(t), 0.01 if base == 0.1 else 0.2),
}


@pytest.mark.parametrize("name", RATES)
def test_sequences_follow_their_formulas(name):
    for t, rates in enumerate(steps(*make(optim, lr_scheduler, name), 24)):
        for (rate, _), base in zip(rates, (0.1, 0.4), strict=True):
            assert rate == pytest.approx(RATES[name](t, base), rel=1e-9, abs=1e-15), t


@pytest.mark.parity
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@each
def test_sequences_are_pytorchs(name, optimizer):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours = make(optim, lr_scheduler, name, optimizer)
    theirs = make(torch.optim, torch.optim.lr_scheduler, name, optimizer)
    assert steps(*ours, 24) == steps(*theirs, 24)
    assert ours[1].get_last_lr() == theirs[1].get_last_lr()


@pytest.mark.parity
@each
def test_states_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = make(optim, lr_scheduler, name), make(torch.optim, torch.optim.lr_scheduler, name)
    steps(*ours, 5)
    steps(*theirs, 5)
    assert ours[1].state_dict() == theirs[1].state_dict()
    ours[1].load_state_dict(theirs[1].state_dict())
    assert steps(*ours, 7, 5) == steps(*theirs, 7, 5)


@pytest.mark.parity
def test_epochs_out_of_order_are_pytorchs():
    """`step(epoch)`, out of use but for fractions of CosineAnnealingWarmRestarts."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    for name in ("step", "multistep", "constant", "linear", "exponential", "polynomial", "cosine", "lambda"):
        ours, theirs = make(optim, lr_scheduler, name), make(torch.optim, torch.optim.lr_scheduler, name)
        for epoch in (3, 7, 0, 12):
            for opt, scheduler in (ours, theirs):
                opt.step()
                with pytest.warns(UserWarning, match="epoch parameter"):
                    scheduler.step(epoch)
            assert ours[1].get_last_lr() == theirs[1].get_last_lr()
    for name in ("restarts", "restarts even"):
        ours, theirs = make(optim, lr_scheduler, name), make(torch.optim, torch.optim.lr_scheduler, name)
        for epoch in (0.5, 2.75, 3, 8.9, 9, 22.5, 1):
            ours[1].step(epoch)
            theirs[1].step(epoch)
            assert ours[1].state_dict() == theirs[1].state_dict()


@pytest.mark.parity
@pytest.mark.parametrize("name", lr_scheduler.__all__)
def test_signatures_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = (
        inspect.signature(getattr(where, name)).parameters for where in (lr_scheduler, torch.optim.lr_scheduler)
    )
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


@each
def test_a_saved_schedule_continues(name, tmp_path):
    opt, scheduler = make(optim, lr_scheduler, name)
    steps(opt, scheduler, 6)
    pydl.save({"opt": opt.state_dict(), "scheduler": scheduler.state_dict()}, tmp_path / "x")
    saved = pydl.load(tmp_path / "x")
    opt2, scheduler2 = make(optim, lr_scheduler, name)
    opt2.load_state_dict(saved["opt"])
    scheduler2.load_state_dict(saved["scheduler"])
    assert steps(opt, scheduler, 10, 6) == steps(opt2, scheduler2, 10, 6)


def test_last_epoch_continues_a_schedule():
    opt, scheduler = make(optim, lr_scheduler, "exponential")
    steps(opt, scheduler, 3)
    again = lr_scheduler.ExponentialLR(opt, 0.9, last_epoch=2)
    assert again.last_epoch == 3 and again.get_last_lr() == scheduler.get_last_lr()
    fresh = optim.SGD([nn.Parameter(pydl.ones(1))], lr=0.1)
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.ExponentialLR(fresh, 0.9, last_epoch=2)


def test_learning_rates_that_are_tensors_stay_these_tensors():
    lr = pydl.tensor(1.0)
    opt = optim.SGD([nn.Parameter(pydl.ones(1))], lr=lr)
    scheduler = lr_scheduler.StepLR(opt, 1, 0.5)
    opt.step()
    scheduler.step()
    assert opt.param_groups[0]["lr"] is lr and lr.item() == 0.5
    scheduler.get_last_lr()[0].fill_(9.0)
    assert lr.item() == 0.5 and scheduler.base_lrs[0].item() == 1.0


# ---- warnings and errors -----------------------------------------------------------------------------------------


def test_a_scheduler_that_steps_first_warns():
    opt, scheduler = make(optim, lr_scheduler, "step")
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()  # once is enough
        opt, scheduler = make(optim, lr_scheduler, "step")
        opt.step()
        scheduler.step()


def test_a_replaced_step_warns():
    opt, scheduler = make(optim, lr_scheduler, "step")
    old = opt.step
    opt.step = lambda *args: old(*args)
    opt.step()
    with pytest.warns(UserWarning, match="has been overridden"):
        scheduler.step()


def test_asking_for_rates_outside_of_a_step_warns():
    _, scheduler = make(optim, lr_scheduler, "cosine")
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


WRONG = [
    lambda m, o: m.StepLR(3, 1),
    lambda m, o: m.ConstantLR(o, 1.5),
    lambda m, o: m.LinearLR(o, 0.0),
    lambda m, o: m.LinearLR(o, 0.5, 1.5),
    lambda m, o: m.LambdaLR(o, [len]),
    lambda m, o: m.MultiplicativeLR(o, [3, 4]),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 0),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 0),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 1, "x"),
    lambda m, o: m.CosineAnnealingWarmRestarts(o, 3).step(-1),
    lambda m, o: m.OneCycleLR(o, 1.0),
    lambda m, o: m.OneCycleLR(o, 1.0, 0),
    lambda m, o: m.OneCycleLR(o, 1.0, epochs=-1, steps_per_epoch=1),
    lambda m, o: m.OneCycleLR(o, 1.0, epochs=1, steps_per_epoch=0),
    lambda m, o: m.OneCycleLR(o, 1.0, 10, pct_start=2.0),
    lambda m, o: m.OneCycleLR(o, 1.0, 10, anneal_strategy="x"),
    lambda m, o: m.OneCycleLR(o, [1.0], 10),
    lambda m, o: m.CyclicLR(o, 0.1, 1.0, mode="x"),
    lambda m, o: m.CyclicLR(o, [0.1], 1.0),
    lambda m, o: m.ReduceLROnPlateau(o, factor=1.0),
    lambda m, o: m.ReduceLROnPlateau(o, "x"),
    lambda m, o: m.ReduceLROnPlateau(o, threshold_mode="x"),
    lambda m, o: m.ReduceLROnPlateau(o, min_lr=[0]),
    lambda m, o: m.ReduceLROnPlateau(3),
    lambda m, o: m.ChainedScheduler([]),
    lambda m, o: m.ChainedScheduler([m.StepLR(o, 1), m.ReduceLROnPlateau(o)]),
    lambda m, o: m.SequentialLR(o, [], []),
    lambda m, o: m.SequentialLR(o, [m.StepLR(o, 1)], [1]),
    lambda m, o: m.SequentialLR(o, [3], []),
    lambda m, o: m.SequentialLR(o, [m.ReduceLROnPlateau(o)], []),
]


@pytest.mark.parity
@pytest.mark.parametrize("case", range(len(WRONG)))
def test_errors_have_pytorchs_sentence_after_the_name_of_the_class(case):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    opt, _ = make(torch.optim, torch.optim.lr_scheduler, "step")
    with pytest.raises((TypeError, ValueError)) as theirs:
        WRONG[case](torch.optim.lr_scheduler, opt)
    opt, _ = make(optim, lr_scheduler, "step")
    with pytest.raises(theirs.type, match=rf"^(\w+: .*)?{re.escape(str(theirs.value))}"):
        WRONG[case](lr_scheduler, opt)


def test_errors_of_use():
    opt, scheduler = make(optim, lr_scheduler, "onecycle")
    with pytest.raises(ValueError, match="Tried to step 31 times"):
        steps(opt, scheduler, 40)
    other, _ = make(optim, lr_scheduler, "step")
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(opt, 1), lr_scheduler.StepLR(other, 1)])
    plain = optim.Adagrad([nn.Parameter(pydl.ones(1))])
    for act in (lambda: lr_scheduler.OneCycleLR(plain, 1.0, 5), lambda: lr_scheduler.CyclicLR(plain, 0.1, 1.0)):
        with pytest.raises(ValueError, match="momentum or beta1"):
            act()
    _, plateau = make(optim, lr_scheduler, "plateau")
    plateau.optimizer.add_param_group({"params": [nn.Parameter(pydl.ones(1))]})
    with pytest.raises(RuntimeError, match="number of param groups"):
        for loss in LOSSES:
            plateau.step(loss)
    with pytest.raises(NotImplementedError, match="get_lr"):
        lr_scheduler.LRScheduler(other)
