# SPDX-License-Identifier: BSD-3-Clause
"""SGD against its formula and against PyTorch."""

import itertools

import numpy as np
import pytest

import pydl
from pydl import nn, optim

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


def test_running_out_of_memory_changes_nothing():
    """Each allocation of a first step with momentum fails once; then the step is repeated and succeeds."""
    from pydl._core import storage

    start = numbers([(5,), (7, 3), (300,)], 0, "float32")

    def make():
        params = [nn.Parameter(pydl.tensor(x)) for x in start]
        for param in params:
            param.grad = pydl.ones(param.shape)
        return params, optim.SGD(params, 0.1, momentum=0.9)

    want, plain = make()
    plain.step()
    n_failures = 0
    for n in range(1, 100):
        params, opt = make()
        storage.fail_allocation_at(n)
        try:
            opt.step()
        except MemoryError:
            n_failures += 1
            assert not opt.state
            assert all(np.array_equal(p.detach().numpy(), x) for p, x in zip(params, start, strict=True))
            opt.step()
        finally:
            storage.fail_allocation_at(0)
        assert all(np.array_equal(p.detach().numpy(), q.detach().numpy()) for p, q in zip(params, want, strict=True))
        if n > n_failures:
            break
    assert n_failures >= 3  # three buffers


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
