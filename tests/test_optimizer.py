# SPDX-License-Identifier: BSD-3-Clause
"""What all optimizers share, tried with SGD: errors, state, hooks, text."""

import copy
import pickle

import numpy as np
import pytest

import pydl
from pydl import nn, optim
from pydl._core import optimizers
from pydl.optim import optimizer as optimizer_module


def make_error_cases():
    p = nn.Parameter(pydl.ones(1))
    q = nn.Parameter(pydl.ones(1), requires_grad=True)
    return [
        (lambda: optim.SGD([p], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda: optim.SGD([p], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda: optim.SGD([p], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda: optim.SGD([p], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda: optim.SGD([p], momentum=0.9, dampening=0.1, nesterov=True), ValueError, "zero dampening"),
        (lambda: optim.SGD([p], differentiable=True), NotImplementedError, "differentiable"),
        (lambda: optim.SGD([], lr=1), ValueError, "empty parameter list"),
        (lambda: optim.SGD(p, lr=1), TypeError, "should be an iterable"),
        (lambda: optim.SGD([3], lr=1), TypeError, "can only optimize Tensors"),
        (lambda: optim.SGD([p, p], lr=1), ValueError, "duplicate parameters"),
        (lambda: optim.SGD([{"params": {p}}], lr=1), TypeError, "ordered collections"),
        (lambda: optim.SGD([{"params": [p]}, {"params": [p]}], lr=1), ValueError, "more than one parameter group"),
        (lambda: optim.SGD([q * 2], lr=1), ValueError, "non-leaf"),
        (lambda: optim.SGD([p], lr=1).add_param_group([q]), TypeError, "must be a dict"),
        (lambda: optim.SGD([("p", p), q], lr=1), ValueError, "names are missing"),
        (lambda: optim.Optimizer([p], {"x": optim.required}), ValueError, "required optimization parameter x"),
        (lambda: optim.Optimizer([p], {}).step(), NotImplementedError, "does not define step"),
    ]


@pytest.mark.parametrize("case", range(17))
def test_errors(case):
    act, error, text = make_error_cases()[case]
    with pytest.raises(error, match=text):
        act()


def trained(steps, momentum=0.9):
    pydl.manual_seed(0)
    model = nn.Linear(3, 2)
    opt = optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.1, momentum=momentum)
    train(model, opt, steps)
    return model, opt


def train(model, opt, steps):
    for _ in range(steps):
        opt.zero_grad()
        (model(pydl.ones(4, 3)) ** 2).mean().backward()
        opt.step()


def test_state_dict_structure():
    model, opt = trained(1)
    state = opt.state_dict()
    assert list(state) == ["state", "param_groups"] and list(state["state"]) == [0, 1]
    assert state["state"][0]["momentum_buffer"] is opt.state[model.weight]["momentum_buffer"]
    options = {"momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": False, "maximize": False,
               "foreach": None, "differentiable": False, "fused": None}  # fmt: skip
    assert state["param_groups"] == [{"lr": 0.1, **options, "params": [0]}, {"lr": 0.5, **options, "params": [1]}]
    assert trained(1, momentum=0)[1].state_dict()["state"] == {}


@pytest.mark.parametrize("way", ["state_dict", "pickle", "deepcopy"])
def test_resuming_continues_bitwise(way):
    model, opt = trained(5)
    if way == "state_dict":
        other, opt2 = trained(0)
        other.load_state_dict(model.state_dict())
        opt2.load_state_dict(copy.deepcopy(opt.state_dict()))
    elif way == "pickle":
        other, opt2 = pickle.loads(pickle.dumps((model, opt)))
    else:
        other, opt2 = copy.deepcopy((model, opt))
    train(model, opt, 3)
    train(other, opt2, 3)
    assert np.array_equal(model.weight.detach().numpy(), other.weight.detach().numpy())
    assert np.array_equal(model.bias.detach().numpy(), other.bias.detach().numpy())


def test_loading_state():
    model, opt = trained(2)
    saved = copy.deepcopy(opt.state_dict())
    other, opt2 = trained(0)
    opt2.load_state_dict(saved)
    assert opt2.param_groups[0]["params"][0] is other.weight and opt2.param_groups[1]["lr"] == 0.5
    saved["param_groups"][0]["lr"] = 9.0
    assert opt2.param_groups[0]["lr"] == 0.1
    other.double()
    opt2.load_state_dict(saved)
    assert opt2.state[other.weight]["momentum_buffer"].dtype == pydl.float64
    with pytest.raises(ValueError, match="different number of parameter groups"):
        optim.SGD(model.parameters(), lr=1).load_state_dict(saved)
    saved["param_groups"][0]["params"] = [0, 7]
    with pytest.raises(ValueError, match="doesn't match the size"):
        opt2.load_state_dict(saved)


def test_loading_a_state_without_buffers():
    """PyTorch saves a buffer that does not exist yet as None; options that an old file lacks get their defaults."""
    model, opt = trained(0)
    state = opt.state_dict()
    state["state"] = {0: {"momentum_buffer": None}, 1: {"momentum_buffer": None}}
    for group in state["param_groups"]:
        del group["maximize"], group["foreach"], group["fused"], group["differentiable"]
    opt.load_state_dict(state)
    train(model, opt, 3)
    other, _ = trained(3)
    assert np.array_equal(model.weight.detach().numpy(), other.weight.detach().numpy())


def test_a_replaced_buffer_is_used():
    param = nn.Parameter(pydl.zeros(1))
    opt = optim.SGD([param], lr=1.0, momentum=0.5)
    param.grad = pydl.ones(1)
    opt.step()
    opt.state[param]["momentum_buffer"] = pydl.tensor([10.0])
    opt.step()
    assert param.item() == -1 - 6
    opt.state.clear()
    opt.step()
    assert param.item() == -8


def test_zero_grad():
    model, opt = trained(1)
    grad, pointer, version = model.weight.grad, model.weight.grad.data_ptr(), model.weight.grad._version
    opt.zero_grad(set_to_none=False)
    assert model.weight.grad is grad and grad.data_ptr() == pointer and grad._version > version
    assert not grad.numpy().any()
    opt.zero_grad()
    assert model.weight.grad is None and model.bias.grad is None
    model.weight.grad = (model.weight * 2).clone()  # with a history: it is forgotten
    opt.zero_grad(set_to_none=False)
    assert not model.weight.grad.requires_grad and not model.weight.grad.numpy().any()
    with pytest.raises(TypeError, match="zero_grad: takes Tensors, not int"):
        optimizers.clear_gradients([3], True)


def test_step_hooks():
    _, opt = trained(1)
    log = []
    handles = [
        opt.register_step_pre_hook(lambda o, args, kwargs: log.append(("pre", o is opt))),
        opt.register_step_post_hook(lambda o, args, kwargs: log.append("post")),
        optimizer_module.register_optimizer_step_pre_hook(lambda o, args, kwargs: log.append("every pre")),
        optimizer_module.register_optimizer_step_post_hook(lambda o, args, kwargs: log.append("every post")),
    ]
    try:
        opt.step()
        assert log == ["every pre", ("pre", True), "post", "every post"]
    finally:
        for handle in handles:
            handle.remove()
    opt.step()
    assert len(log) == 4
    opt.register_step_pre_hook(lambda o, args, kwargs: ((lambda: 7.0,), kwargs))
    assert opt.step() == 7.0
    opt.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        opt.step()


def test_state_hooks():
    _, opt = trained(1)
    log = []
    opt.register_state_dict_pre_hook(lambda o: log.append("pre"))
    opt.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
    opt.register_load_state_dict_pre_hook(lambda o, state: {k: v for k, v in state.items() if k != "more"})
    opt.register_load_state_dict_post_hook(lambda o: log.append("post"), prepend=True)
    state = opt.state_dict()
    assert state["more"] == 1
    opt.load_state_dict(state)
    assert log == ["pre", "post"]


def test_a_users_optimizer():
    class SignDescent(optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        with pydl.no_grad():
                            param -= group["lr"] * param.grad / param.grad.abs()
                            self.state[param]["n"] = self.state[param].get("n", 0) + 1

    param = nn.Parameter(pydl.tensor([3.0, -3.0]))
    opt = SignDescent([param], lr=1.0)
    log = []
    opt.register_step_post_hook(lambda o, args, kwargs: log.append(1))
    (param**2).sum().backward()
    opt.step()
    assert param.tolist() == [2.0, -2.0] and log == [1] and opt.state_dict()["state"] == {0: {"n": 1}}


def test_text():
    lines = repr(optim.SGD([nn.Parameter(pydl.ones(1))], lr=0.1)).split("\n")
    assert lines[:3] == ["SGD (", "Parameter Group 0", "    dampening: 0"]
    assert lines[-2:] == ["    weight_decay: 0", ")"]
