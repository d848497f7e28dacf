# SPDX-License-Identifier: BSD-3-Clause
"""SGD against its formula and PyTorch, and what all optimizers share: groups, state, hooks, errors."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import pydl
from pydl import nn, optim
from pydl.optim import optimizer as optimizer_module

OPTIONS = [
    dict(zip(("momentum", "dampening", "weight_decay", "nesterov", "maximize"), values, strict=True))
    for values in itertools.product((0, 0.9), (0, 0.3), (0, 0.1), (False, True), (False, True))
    if not (values[3] and (values[0] == 0 or values[1] != 0))
]


def label(options):
    return ",".join(f"{name}={value}" for name, value in options.items() if value) or "plain"


def numbers(shapes, seed, dtype):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype=dtype) for shape in shapes]


class Reference:
    """SGD as its formula says, with NumPy arrays of float64."""

    def __init__(self, params, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
        self.params = [param.astype(np.float64) for param in params]
        self.options = lr, momentum, dampening, weight_decay, nesterov, maximize
        self.v = [None] * len(params)

    def step(self, grads):
        lr, momentum, dampening, weight_decay, nesterov, maximize = self.options
        for i, g in enumerate(grads):
            if g is None:
                continue
            g = (-g if maximize else g) + weight_decay * self.params[i]
            if momentum:
                self.v[i] = g if self.v[i] is None else momentum * self.v[i] + (1 - dampening) * g
                g = g + momentum * self.v[i] if nesterov else self.v[i]
            self.params[i] = self.params[i] - lr * g


SIZES = [(), (1,), (3,), (17,), (4, 5), (0,), (33, 7), (2, 3, 4), (1001,)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", OPTIONS, ids=label)
def test_sgd_follows_its_formula(options, dtype):
    start = numbers(SIZES, 0, dtype)
    reference = Reference(start, 0.1, **options)
    params = [nn.Parameter(pydl.tensor(x)) for x in start]
    opt = optim.SGD(params, 0.1, **options)
    for step in range(4):
        grads = numbers(SIZES, step + 1, dtype)
        for param, grad in zip(params, grads, strict=True):
            param.grad = pydl.tensor(grad)
        assert opt.step() is None
        reference.step(grads)
    # Four steps of at most six roundings each, on values of size about 3.
    tolerance = 24 * np.finfo(dtype).eps * 3
    for param, want in zip(params, reference.params, strict=True):
        np.testing.assert_allclose(param.detach().numpy(), want, rtol=0, atol=tolerance)


def test_gradients_keep_their_values():
    param = nn.Parameter(pydl.ones(5))
    grad = pydl.ones(5)
    param.grad = grad
    optim.SGD([param], 0.1, momentum=0.9, weight_decay=0.1, nesterov=True, maximize=False).step()
    assert grad.tolist() == [1.0] * 5 and param.grad.data_ptr() == grad.data_ptr()


def test_parameters_without_gradient_are_left_alone():
    a, b = (nn.Parameter(pydl.ones(2)) for _ in range(2))
    opt = optim.SGD([a, b], 0.5, momentum=0.9, weight_decay=0.1)
    b.grad = pydl.ones(2)
    opt.step()
    assert a.tolist() == [1, 1] and a not in opt.state and list(opt.state) == [b]
    a.grad = pydl.ones(2)
    opt.step()
    assert list(opt.state) == [b, a]
    np.testing.assert_allclose(a.detach().numpy(), 1 - 0.5 * 1.1, rtol=1e-6)


def test_views_of_other_memory():
    """Parameters and gradients that are not contiguous."""
    whole = pydl.zeros(4, 6)
    param = nn.Parameter(whole[:, ::2])
    param.grad = pydl.tensor(np.arange(12.0, dtype=np.float32)).reshape(3, 4).t()
    optim.SGD([param], 1.0, momentum=0.5).step()
    want = -np.arange(12.0).reshape(3, 4).T
    assert np.array_equal(whole.numpy()[:, ::2], want) and not whole.numpy()[:, 1::2].any()


def test_step_is_an_in_place_change():
    param = nn.Parameter(pydl.ones(2))
    opt = optim.SGD([param], 0.1)
    y = (param * param).sum()
    param.grad = pydl.ones(2)
    before = param._version
    opt.step()
    assert param._version > before
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_closure():
    param = nn.Parameter(pydl.tensor([3.0]))
    opt = optim.SGD([param], lr=0.25)

    def closure():
        opt.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    with pydl.no_grad():
        assert opt.step(closure).item() == 9.0
    assert param.item() == 1.5


def test_learning_rate_as_tensor_and_changed():
    param = nn.Parameter(pydl.tensor([1.0]))
    opt = optim.SGD([param], lr=pydl.tensor(0.5))
    param.grad = pydl.ones(1)
    opt.step()
    assert param.item() == 0.5
    opt.param_groups[0]["lr"] = 0.25
    opt.step()
    assert param.item() == 0.25


def test_groups():
    a, b, c = (nn.Parameter(pydl.ones(1)) for _ in range(3))
    opt = optim.SGD([{"params": a}, {"params": [b], "lr": 1.0, "momentum": 0.5}], lr=0.1)
    opt.add_param_group({"params": [c], "weight_decay": 2.0})
    for param in (a, b, c):
        param.grad = pydl.ones(1)
    opt.step()
    opt.step()
    got = [param.item() for param in (a, b, c)]
    np.testing.assert_allclose(got, [0.8, 1 - 1 - 1.5, 0.7 - 0.1 * (1 + 1.4)], rtol=1e-6, atol=1e-7)
    assert [group["lr"] for group in opt.param_groups] == [0.1, 1.0, 0.1] and opt.defaults["lr"] == 0.1


def test_named_parameters():
    model = nn.Linear(2, 2)
    opt = optim.SGD(model.named_parameters(), lr=0.1)
    assert opt.param_groups[0]["param_names"] == ["weight", "bias"]
    assert opt.param_groups[0]["params"][0] is model.weight
    assert opt.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        opt.add_param_group({"params": [nn.Parameter(pydl.ones(1))]})


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
    pointer = model.weight.grad.data_ptr()
    opt.zero_grad(set_to_none=False)
    assert model.weight.grad.data_ptr() == pointer and not model.weight.grad.numpy().any()
    opt.zero_grad()
    assert model.weight.grad is None and model.bias.grad is None


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


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS, ids=label)
def test_sgd_is_pytorchs(options):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    start = numbers(SIZES, 0, "float32")
    ours = [nn.Parameter(pydl.tensor(x)) for x in start]
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    opt, peer = optim.SGD(ours, 0.1, **options), torch.optim.SGD(theirs, 0.1, **options)
    for step in range(5):
        for a, b, grad in zip(ours, theirs, numbers(SIZES, step + 1, "float32"), strict=True):
            a.grad, b.grad = pydl.tensor(grad), torch.tensor(grad)
        opt.step()
        peer.step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=30 * 1.2e-7 * 3)
    assert repr(opt) == repr(peer)
    got, want = opt.state_dict(), peer.state_dict()
    assert got["param_groups"] == want["param_groups"] and list(got["state"]) == list(want["state"])
    assert all(list(got["state"][k]) == list(want["state"][k]) for k in want["state"])
