# SPDX-License-Identifier: BSD-3-Clause
"""L-BFGS: minima found, PyTorch's path, saving, limits."""

import copy
import inspect

import numpy as np
import pytest

import pydl
from pydl import nn, optim


def problem(t, start, **options):
    """Rosenbrock's function in four dimensions, in float64, with either library."""
    p = t.nn.Parameter(t.tensor(np.array(start[:1])))
    q = t.nn.Parameter(t.tensor(np.array(start[1:]).reshape(3, 1)))
    opt = t.optim.LBFGS([p, q], **options)
    calls = []

    def closure():
        opt.zero_grad()
        x = t.cat([p, q.reshape(-1)])
        loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        loss.backward()
        calls.append(loss.item())
        return loss

    return (p, q), opt, closure, calls


START = [-1.2, 1.0, 0.7, -0.4]
OPTIONS = [
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 6},
    {"line_search_fn": "strong_wolfe", "lr": 0.3, "max_eval": 7},
    {"lr": 1e-3},
    {"lr": 1e-2, "max_iter": 3, "history_size": 1},
]


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_path_is_pytorchs(options):
    """Every value that the closure sees; rounding differs, and a minimum is steep, so the first 40 are compared."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = problem(pydl, START, **options), problem(torch, START, **options)
    for _ in range(6):
        ours[1].step(ours[2])
        theirs[1].step(theirs[2])
    n = min(40, len(theirs[3]))
    np.testing.assert_allclose(ours[3][:n], theirs[3][:n], rtol=1e-6)
    got, want = ours[1].state_dict()["state"][0], theirs[1].state_dict()["state"][0]
    assert set(want) - {"al"} == set(got)
    assert got["func_evals"] == len(ours[3]) and got["n_iter"] > 0


@pytest.mark.parity
def test_the_signature_is_pytorchs():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = (inspect.signature(where.LBFGS).parameters for where in (optim, torch.optim))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


def test_the_minimum_is_found():
    options = {"line_search_fn": "strong_wolfe", "max_iter": 100, "tolerance_change": 1e-16}
    params, opt, closure, calls = problem(pydl, [1.3, 0.7, 0.8, 1.9], **options)
    first = opt.step(closure)
    assert first.item() == calls[0] > 100
    for p in params:
        np.testing.assert_allclose(p.detach().numpy(), 1.0, atol=1e-6)


def test_a_quadratic_needs_as_many_iterations_as_dimensions():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 6))
    matrix = pydl.tensor(a @ a.T + np.eye(6))
    p = nn.Parameter(pydl.tensor(rng.standard_normal(6)))
    opt = optim.LBFGS([p], line_search_fn="strong_wolfe", max_iter=40, tolerance_grad=1e-9)

    def closure():
        opt.zero_grad()
        loss = p @ matrix @ p / 2
        loss.backward()
        return loss

    opt.step(closure)
    assert abs(p.detach().numpy()).max() < 1e-6 and opt.state[p]["n_iter"] <= 25


def test_resuming_continues_bitwise(tmp_path):
    params, opt, closure, calls = problem(pydl, START, line_search_fn="strong_wolfe", max_iter=4)
    opt.step(closure)
    pydl.save({"params": [p.detach() for p in params], "opt": opt.state_dict()}, tmp_path / "x")
    saved = pydl.load(tmp_path / "x")
    again, opt2, closure2, calls2 = problem(pydl, START, line_search_fn="strong_wolfe", max_iter=4)
    with pydl.no_grad():
        for p, value in zip(again, saved["params"], strict=True):
            p.copy_(value)
    opt2.load_state_dict(copy.deepcopy(saved["opt"]))
    n = len(calls)
    opt.step(closure)
    opt2.step(closure2)
    assert calls[n:] == calls2


def test_limits_and_errors():
    params, opt, closure, calls = problem(pydl, START, max_iter=50, max_eval=5, lr=1e-3)
    opt.step(closure)
    assert len(calls) == 5
    params[0].grad = None
    p, q = nn.Parameter(pydl.ones(2)), nn.Parameter(pydl.ones(1))
    opt = optim.LBFGS([p, q], lr=0.5, max_iter=1)

    def of_p_alone():
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with pydl.no_grad():
        opt.step(of_p_alone)
    assert q.tolist() == [1.0] and p.tolist() == [0.75, 0.75]
    at_minimum = optim.LBFGS([nn.Parameter(pydl.zeros(2))])
    minimum = at_minimum.param_groups[0]["params"][0]

    def flat():
        at_minimum.zero_grad()
        loss = (minimum**2).sum()
        loss.backward()
        return loss

    assert at_minimum.step(flat).item() == 0 and at_minimum.state[minimum] == {"func_evals": 1, "n_iter": 0}
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="Invalid learning rate"):
        optim.LBFGS([p], lr=-1)
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optim.LBFGS([p], line_search_fn="armijo").step(flat)
