# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers against PyTorch's: ten steps, state, exchange of states, signatures, errors."""

import inspect
import re

import numpy as np
import pytest

import pydl
from pydl import nn, optim
from tests.optim_cases import CASES, IDS, OPTIONS, each_optimizer, give_gradients, make, numbers


def to_torch(torch, tree):
    """A state_dict with PyTorch's tensors in the place of ours."""
    if isinstance(tree, pydl.Tensor):
        return torch.from_numpy(tree.detach().numpy().copy())
    if isinstance(tree, dict):
        return {key: to_torch(torch, value) for key, value in tree.items()}
    return [to_torch(torch, value) for value in tree] if isinstance(tree, list) else tree


def assert_near(a, b, scale=1.0):
    """Ten steps: some roundings of a parameter's size, whose quotients lose a digit where a root is small."""
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.dtype == b.dtype and a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=scale * 32 * np.finfo(b.dtype).eps * max(1, abs(b).max(initial=0)))


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_ten_steps_are_pytorchs(name, options, dtype):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    params, opt = make(name, options, dtype)
    theirs = [torch.nn.Parameter(torch.tensor(x)) for x in numbers(0, dtype)]
    peer = getattr(torch.optim, name)(theirs, lr=0.1, **options)
    for step in range(10):
        for a, b, grad in zip(params, theirs, numbers(step + 1, dtype), strict=True):
            a.grad, b.grad = pydl.tensor(grad), torch.tensor(grad)
        opt.step()
        peer.step()
    for a, b in zip(params, theirs, strict=True):
        assert_near(a, b)
    got, want = opt.state_dict(), peer.state_dict()
    assert got["param_groups"] == want["param_groups"] and repr(opt) == repr(peer)
    assert list(got["state"]) == list(want["state"])
    for number, values in want["state"].items():
        assert list(got["state"][number]) == list(values)
        for key, value in values.items():
            assert_near(got["state"][number][key], value)


@pytest.mark.parity
@each_optimizer
def test_states_are_exchanged_with_pytorch(name, options):
    """Five steps here and five there are ten steps, in both directions."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    whole, opt = make(name, options)
    for step in range(5):
        give_gradients(whole, step)
        opt.step()
    theirs = [torch.nn.Parameter(torch.tensor(p.detach().numpy())) for p in whole]
    peer = getattr(torch.optim, name)(theirs, lr=0.1, **options)
    peer.load_state_dict(to_torch(torch, opt.state_dict()))
    back = [nn.Parameter(pydl.tensor(p.detach().numpy())) for p in whole]
    opt2 = getattr(optim, name)(back, lr=0.5, **options)
    opt2.load_state_dict(peer.state_dict())
    for step in range(5, 10):
        for group in (whole, back):
            give_gradients(group, step)
        for b, a in zip(theirs, whole, strict=True):
            b.grad = torch.tensor(a.grad.numpy())
        opt.step()
        opt2.step()
        peer.step()
    for a, b, c in zip(whole, theirs, back, strict=True):
        assert_near(a, b)
        assert np.array_equal(a.detach().numpy(), c.detach().numpy())


@pytest.mark.parity
@pytest.mark.parametrize("name", OPTIONS)
def test_signatures_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = (inspect.signature(getattr(where, name)).parameters for where in (optim, torch.optim))
    assert list(ours) == list(theirs)
    for key in theirs:
        assert (ours[key].default, ours[key].kind) == (theirs[key].default, theirs[key].kind), key


BAD = [
    ("Adam", {"lr": -1}), ("Adam", {"eps": -1}), ("Adam", {"betas": (1.0, 0.9)}), ("Adam", {"betas": (0.9, -1.0)}),
    ("Adam", {"weight_decay": -1}), ("Adam", {"fused": True, "foreach": True}), ("AdamW", {"lr": float("nan")}),
    ("NAdam", {"momentum_decay": -1}), ("NAdam", {"eps": -1}), ("RAdam", {"betas": (0.9, 1.0)}),
    ("Adamax", {"weight_decay": -1}), ("Adadelta", {"rho": 1.5}), ("Adadelta", {"eps": -1}),
    ("Adagrad", {"lr_decay": -1}), ("Adagrad", {"initial_accumulator_value": -1}), ("Adagrad", {"eps": -1}),
    ("Adagrad", {"fused": True, "foreach": True}), ("RMSprop", {"alpha": -1}), ("RMSprop", {"momentum": -1}),
    ("RMSprop", {"weight_decay": -1}), ("Rprop", {"etas": (1.0, 1.2)}), ("ASGD", {"weight_decay": -1}),
    ("ASGD", {"lr": -1}),
]  # fmt: skip


@pytest.mark.parity
@pytest.mark.parametrize(("name", "options"), BAD, ids=str)
def test_errors_have_pytorchs_sentence_after_the_name_of_the_class(name, options):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(1))], **options)
    with pytest.raises(theirs.type, match=rf"^(\w+: .*)?{re.escape(str(theirs.value))}"):
        getattr(optim, name)([nn.Parameter(pydl.ones(1))], **options)
