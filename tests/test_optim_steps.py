# SPDX-License-Identifier: BSD-3-Clause
"""Steps of every optimizer: by hand, memory layouts, threads, checks before anything is written, saving."""

import inspect

import numpy as np
import pytest

import pydl
from pydl import nn, optim
from pydl._core import storage
from tests.optim_cases import CASES, IDS, bits, each_optimizer, give_gradients, make, numbers
from tests.reference_optim import OPTIMIZERS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_ten_steps_follow_the_formula(name, options, dtype, request):
    request.addfinalizer(lambda: pydl.set_default_dtype(pydl.float32))
    pydl.set_default_dtype(getattr(pydl, dtype))  # what a step keeps beside the averages has this type
    params, opt = make(name, options, dtype)
    group, states = opt.param_groups[0], [{} for _ in params]
    want = [x.astype(np.longdouble) for x in numbers(0, dtype)]
    sign = -1 if group["maximize"] else 1
    for t in range(1, 11):
        grads = numbers(t, dtype)
        for i, grad in enumerate(grads):
            params[i].grad = pydl.tensor(grad)
            want[i] = OPTIMIZERS[name](states[i], want[i], sign * grad.astype(np.longdouble), t, group)
        opt.step()
    for param, exact in zip(params, want, strict=True):
        bound = 32 * np.finfo(dtype).eps * max(1, float(abs(exact).max(initial=0)))  # as in tests/test_optim_torch.py
        np.testing.assert_allclose(param.detach().numpy(), exact.astype(dtype), rtol=0, atol=bound)


def test_adam_by_hand():
    """The first step is lr · sign(g) but for ε, the second as the paper says."""
    p = nn.Parameter(pydl.tensor([1.0, 2.0], dtype=pydl.float64))
    opt = optim.Adam([p], lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    p.grad = pydl.tensor([0.5, -4.0], dtype=pydl.float64)
    opt.step()
    np.testing.assert_allclose(p.detach().numpy(), [0.9, 2.1], rtol=1e-7)
    p.grad = pydl.tensor([1.0, 0.0], dtype=pydl.float64)
    before = p.detach().numpy().copy()
    opt.step()
    m = 0.9 * (0.1 * np.array([0.5, -4.0])) + 0.1 * np.array([1.0, 0.0])
    v = 0.99 * (0.01 * np.array([0.25, 16.0])) + 0.01 * np.array([1.0, 0.0])
    want = before - 0.1 * (m / (1 - 0.9**2)) / (np.sqrt(v / (1 - 0.99**2)) + 1e-8)
    np.testing.assert_allclose(p.detach().numpy(), want, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decoupled_decay_is_exact(dtype):
    """Without a gradient AdamW multiplies by 1 - lr · weight_decay, rounded once."""
    (x,) = numbers(0, dtype, [(101,)])
    p = nn.Parameter(pydl.tensor(x))
    opt = optim.AdamW([p], lr=0.3, weight_decay=0.07)
    p.grad = pydl.zeros(101, dtype=p.dtype)
    opt.step()
    assert np.array_equal(p.detach().numpy(), x * x.dtype.type(1 - 0.3 * 0.07))


@each_optimizer
def test_every_optimizer_goes_down(name, options):
    p = nn.Parameter(pydl.tensor([1.0, -2.0]))
    opt = getattr(optim, name)([p], lr=0.05, **options)
    losses = []
    for _ in range(60):
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * (0.99 if name == "Adadelta" else 0.5)


@each_optimizer
def test_same_bits_for_any_number_of_threads(name, options):
    """Also for one call for all parameters and one call each."""
    shapes = [(3, 4), (50_000,), (0,), (), (40_000,)]
    results, before = [], pydl.get_num_threads()
    try:
        for n_threads in (1, 2, 3, 7):
            pydl.set_num_threads(n_threads)
            params, opt = make(name, options, shapes=shapes)
            for step in range(3):
                give_gradients(params, step)
                opt.step()
            results.append(bits(params, opt))
    finally:
        pydl.set_num_threads(before)
    assert len(set(results)) == 1
    params, _ = make(name, options, shapes=shapes)
    opts = [getattr(optim, name)([p], lr=0.1, **options) for p in params]
    for step in range(3):
        give_gradients(params, step)
        for opt in opts:
            opt.step()
    assert b"".join(p.detach().numpy().tobytes() for p in params) == results[0][: sum(4 * p.numel() for p in params)]


@each_optimizer
def test_layouts_of_memory(name, options):
    """Strided, transposed and channels-last parameters, gradients in another order than their parameter."""
    x, g = numbers(3, shapes=[(2, 3, 4, 5)])[0], numbers(4, shapes=[(2, 3, 4, 5)])[0]
    results = []
    for layout in ("plain", "transposed", "strided", "channels_last", "mixed"):
        data = pydl.tensor(x)
        if layout == "transposed":
            data = pydl.tensor(np.ascontiguousarray(x.transpose(3, 2, 1, 0))).permute(3, 2, 1, 0)
        elif layout == "strided":
            data = pydl.tensor(np.repeat(x, 2, axis=3))[..., ::2]
        elif layout in ("channels_last", "mixed"):
            data = data.contiguous(memory_format=pydl.channels_last)
        p = nn.Parameter(data)
        opt = getattr(optim, name)([p], lr=0.1, **options)
        for _ in range(3):
            p.grad = pydl.tensor(g) if layout != "channels_last" else pydl.tensor(g).contiguous(
                memory_format=pydl.channels_last
            )  # fmt: skip
            opt.step()
        state = [np.ascontiguousarray(t.numpy()) for t in opt.state[p].values()]
        results.append(b"".join(a.tobytes() for a in (np.ascontiguousarray(p.detach().numpy()), *state)))
    assert len(set(results)) == 1


@each_optimizer
def test_nothing_is_written_unless_all_can_be(name, options):
    """A bad parameter in the last group leaves those of the first as they were, and no state."""
    read_only = np.ones(3, np.float32)
    read_only.flags.writeable = False
    for bad, error in (
        (nn.Parameter(pydl.tensor([1, 2, 3]).to(pydl.int64), requires_grad=False), TypeError),
        (nn.Parameter(pydl.from_numpy(read_only)), RuntimeError),
        (nn.Parameter(pydl.ones(1).expand(3)), RuntimeError),
    ):
        good = nn.Parameter(pydl.ones(3))
        opt = getattr(optim, name)([{"params": [good]}, {"params": [bad]}], lr=0.1, **options)
        good.grad = pydl.ones(3)
        bad.grad = pydl.ones(3, dtype=bad.dtype)
        state, before = opt.state_dict()["state"].copy(), good._version
        with pytest.raises(error):
            opt.step()
        assert good.tolist() == [1, 1, 1] and good._version == before and opt.state_dict()["state"] == state


def test_state_that_does_not_fit():
    good, p = nn.Parameter(pydl.ones(3)), nn.Parameter(pydl.ones(3))
    opt = optim.Adam([{"params": [good]}, {"params": [p]}], lr=0.1)
    good.grad = p.grad = pydl.ones(3)
    opt.step()
    want = good.tolist()
    for key, value, error in (
        ("exp_avg", pydl.ones(4), ValueError),
        ("exp_avg_sq", pydl.ones(3, dtype=pydl.float64), ValueError),
        ("exp_avg", 3.0, TypeError),
        ("step", pydl.ones(2), ValueError),
        ("step", None, TypeError),
        ("exp_avg", None, TypeError),
    ):
        kept = opt.state[p][key]
        opt.state[p][key] = value
        with pytest.raises(error, match="Adam"):
            opt.step()
        opt.state[p][key] = kept
    del opt.state[p]["exp_avg"]
    with pytest.raises(KeyError, match="exp_avg"):
        opt.step()
    opt.param_groups[1]["amsgrad"] = True
    assert good.tolist() == want and opt.state[good]["step"].item() == 1


@each_optimizer
def test_running_out_of_memory_changes_nothing(name, options):
    shapes = [(5,), (7, 3), (300,)]
    want, plain = make(name, options, shapes=shapes)
    give_gradients(want, 1)
    plain.step()
    n_failures = 0
    for n in range(1, 100):
        params, opt = make(name, options, shapes=shapes)
        give_gradients(params, 1)
        before = bits(params, opt)
        storage.fail_allocation_at(n)
        try:
            opt.step()
        except MemoryError:
            n_failures += 1
            assert bits(params, opt) == before
            opt.step()
        finally:
            storage.fail_allocation_at(0)
        assert bits(params, opt) == bits(want, plain)
        if n > n_failures:
            break
    assert n_failures >= (1 if name == "Adagrad" else 4)


@each_optimizer
def test_resuming_continues_bitwise(name, options, tmp_path):
    params, opt = make(name, options)
    for step in range(3):
        give_gradients(params, step)
        opt.step()
    pydl.save({"params": [p.detach() for p in params], "opt": opt.state_dict()}, tmp_path / "x.safetensors")
    saved = pydl.load(tmp_path / "x.safetensors")
    others = [nn.Parameter(t) for t in saved["params"]]
    opt2 = getattr(optim, name)(others, lr=1.0, **options)
    opt2.load_state_dict(saved["opt"])
    for step in range(3, 6):
        for group in (params, others):
            give_gradients(group, step)
        opt.step()
        opt2.step()
    assert bits(params, opt) == bits(others, opt2)


def test_steps_saved_as_numbers():
    """Old versions of PyTorch saved "step" as a number, and fewer options."""
    p = nn.Parameter(pydl.ones(2))
    opt = optim.Adam([p], lr=0.1)
    p.grad = pydl.ones(2)
    opt.step()
    state = opt.state_dict()
    state["state"][0]["step"] = 1
    for name in ("amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        del state["param_groups"][0][name]
    opt.load_state_dict(state)
    opt.step()
    assert opt.state[p]["step"].item() == 2 and opt.state[p]["step"].shape == ()


def test_adamw_stays_adamw():
    p, q = nn.Parameter(pydl.ones(2)), nn.Parameter(pydl.ones(2))
    adam, adamw = optim.Adam([p]), optim.AdamW([q])
    adamw.load_state_dict(adam.state_dict())
    assert adamw.param_groups[0]["decoupled_weight_decay"] is True and isinstance(adamw, optim.Adam)


def test_options_as_tensors():
    p = nn.Parameter(pydl.ones(2))
    opt = optim.Adam([p], lr=pydl.tensor(0.5), betas=(pydl.tensor(0.5), pydl.tensor(0.75)))
    assert opt.param_groups[0]["betas"] == (0.5, 0.75)
    p.grad = pydl.ones(2)
    opt.step()
    np.testing.assert_allclose(p.detach().numpy(), 0.5, rtol=1e-6)
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        optim.Adam([p], lr=pydl.ones(2))


@each_optimizer
def test_what_is_not_covered_says_so(name, options):
    p = nn.Parameter(pydl.ones(1))
    for switch in ("differentiable", "capturable"):
        if switch in inspect.signature(getattr(optim, name)).parameters:
            with pytest.raises(NotImplementedError, match=switch):
                getattr(optim, name)([p], **{switch: True}, **options)
    for switch in ("foreach", "fused"):
        if switch in inspect.signature(getattr(optim, name)).parameters:
            getattr(optim, name)([p], **{switch: True}, **options)


@each_optimizer
def test_closures_and_parameters_without_gradient(name, options):
    a, b = (nn.Parameter(pydl.ones(2)) for _ in range(2))
    opt = getattr(optim, name)([a, b], lr=0.1, **options)

    def closure():
        opt.zero_grad()
        loss = (a * a).sum()
        loss.backward()
        return loss

    with pydl.no_grad():
        assert opt.step(closure).item() == 2.0
    assert b.tolist() == [1, 1] and a.tolist() != [1, 1]
    assert name == "Adagrad" or b not in opt.state


def test_a_step_counts_as_a_change_in_place():
    p = nn.Parameter(pydl.ones(2))
    opt = optim.Adam([p], lr=0.1)
    y = (p * p).sum()
    p.grad = pydl.ones(2)
    opt.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
