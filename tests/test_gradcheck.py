# SPDX-License-Identifier: BSD-3-Clause
"""`gradcheck`, `gradgradcheck` and `gradcheck_module`: they pass what is right and find every planted error."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.autograd import Function, GradcheckError, gradcheck, gradcheck_module, gradgradcheck

f64 = pydl.float64
Forward = Callable[..., Any]


def planted(forward: Forward, backward: Forward) -> type[Function]:
    """A Function with any forward and any backward of its saved inputs."""

    class Planted(Function):
        @staticmethod
        def forward(ctx: Any, *xs: Any) -> Any:
            ctx.save_for_backward(*xs)
            return forward(*xs)

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return backward(dy, *ctx.saved_tensors)

    return Planted


def one_wrong(g: Any, k: int = 0) -> Any:
    """The gradient with one element off by half the length of the whole."""
    g = g.clone()
    g.view(-1)[k] += (g * g).sum().sqrt() * 0.5
    return g


# name: forward, wrong backward, number of inputs
WRONG: dict[str, tuple[Forward, Forward, int]] = {
    "factor 2 missing": (lambda x: x * x, lambda d, x: d * x, 1),
    "sign": (lambda x: x.cos() if hasattr(x, "cos") else -x, lambda d, x: d * 1.0, 1),
    "gradient of another function": (lambda x: x.tanh(), lambda d, x: d * (1 - x * x), 1),
    "incoming gradient ignored": (lambda x: x * 3, lambda d, x: d * 0 + 3, 1),
    "incoming gradient squared": (lambda x: x * 3, lambda d, x: d * d * 3, 1),
    "one percent off": (lambda x: x.exp(), lambda d, x: d * x.exp() * 1.01, 1),
    "a constant added": (lambda x: x.exp(), lambda d, x: d * x.exp() + 0.01, 1),
    "zero": (lambda x: x.exp(), lambda d, x: d * 0, 1),
    "one element of many": (lambda x: x.exp(), lambda d, x: one_wrong(d * x.exp(), 3), 1),
    "last element": (lambda x: x * x, lambda d, x: one_wrong(2 * d * x, -1), 1),
    "mean for sum": (lambda x: x.sum(0, keepdim=True), lambda d, x: (d / x.shape[0]).expand(x.shape), 1),
    "sum for mean": (lambda x: x.mean(0, keepdim=True), lambda d, x: d.expand(x.shape), 1),
    "operands swapped": (lambda x, y: x * y, lambda d, x, y: (d * x, d * y), 2),
    "second operand forgotten": (lambda x, y: x * y, lambda d, x, y: (d * y, None), 2),
    "quotient without square": (lambda x, y: x / y, lambda d, x, y: (d / y, -d * x / y), 2),
    "quotient sign": (lambda x, y: x / y, lambda d, x, y: (d / y, d * x / (y * y)), 2),
    "product transposed": (lambda x, y: x @ y, lambda d, x, y: (d @ y, x.t() @ d), 2),
    "product of the wrong side": (lambda x, y: x @ y, lambda d, x, y: (d @ y.t(), (d.t() @ x)), 2),
    "relu everywhere": (lambda x: x.relu(), lambda d, x: d * 1.0, 1),
    "relu at one half": (lambda x: x.relu(), lambda d, x: d * (x > 0.5).to(f64), 1),
    "sigmoid without (1 - s)": (lambda x: x.sigmoid(), lambda d, x: d * x.sigmoid(), 1),
    "softmax diagonal only": (lambda x: x.softmax(1), lambda d, x: d * x.softmax(1) * (1 - x.softmax(1)), 1),
    "log_softmax without the sum": (lambda x: x.log_softmax(1), lambda d, x: d - x.softmax(1), 1),
    "max to every element": (lambda x: x.amax(1, keepdim=True), lambda d, x: d.expand(x.shape), 1),
}


def inputs(n: int) -> list[Any]:
    rng = np.random.default_rng(3)
    return [pydl.from_numpy(rng.uniform(0.6, 2.0, (4, 4))).requires_grad_() for _ in range(n)]


@pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("name", WRONG)
def test_gradcheck_finds(name: str, fast: bool) -> None:
    forward, backward, n = WRONG[name]
    wrong = planted(forward, backward)
    xs = inputs(n)
    if name.startswith("relu"):
        xs = [(x.detach() - 1.03).requires_grad_() for x in xs]
    with pytest.raises(GradcheckError, match=r"Jacobian mismatch|not reentrant|not linear"):
        gradcheck(wrong.apply, xs, fast_mode=fast)
    assert gradcheck(wrong.apply, xs, raise_exception=False, fast_mode=fast) is False


class Wrong(nn.Module):
    """A layer around a planted error, with parameters of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        forward, backward, self.n = WRONG[name]
        self.apply_wrong = planted(forward, backward).apply
        values = [x.detach() - (1.03 if name.startswith("relu") else 0) for x in inputs(self.n)]
        self.weights = nn.ParameterList([nn.Parameter(v) for v in values]) if hasattr(nn, "ParameterList") else None
        if self.weights is None:
            for i, v in enumerate(values):
                setattr(self, f"w{i}", nn.Parameter(v))

    def forward(self, x: Any) -> Any:
        return (self.apply_wrong(*self.parameters()) * x).sum(1)


@pytest.mark.parametrize("name", WRONG)
def test_gradcheck_module_finds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = gradcheck_module(Wrong(name), pydl.ones(4, 4) * 1.5)
    assert not result.ok
    assert any(row.verdict == "BUG" for row in result.rows)
    assert "BUG" in capsys.readouterr().out


# --- gradcheck ------------------------------------------------------------------------------------------------------


def test_signatures_are_torchs() -> None:
    defaults = {n: p.default for n, p in inspect.signature(gradcheck).parameters.items()}
    assert (defaults["eps"], defaults["atol"], defaults["rtol"], defaults["nondet_tol"]) == (1e-6, 1e-5, 1e-3, 0.0)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["gradcheck", "gradgradcheck"])
def test_parameters_are_torchs(name: str) -> None:
    import torch

    ours, theirs = (inspect.signature(getattr(T.autograd, name)).parameters for T in (pydl, torch))
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


def test_a_right_gradient_passes_whatever_the_layout() -> None:
    x = pydl.from_numpy(np.random.default_rng(0).normal(size=(3, 4)).T).requires_grad_()
    assert gradcheck(lambda t: (t.t() @ t).tanh(), x)
    assert gradcheck(lambda t: (t.t() @ t).tanh(), x, fast_mode=True)
    assert gradgradcheck(lambda t: (t.t() @ t).tanh(), x, gen_non_contig_grad_outputs=True)


def test_inputs_are_put_back() -> None:
    x = inputs(1)[0]
    before = x.detach().numpy().copy()
    gradcheck(lambda t: t.exp(), x)
    gradcheck(lambda t: t.exp(), x, fast_mode=True)
    assert np.array_equal(x.detach().numpy(), before) and x.grad is None


def test_closures_are_seen() -> None:
    """The inputs are moved in place, so a function that only closes over them is checked too."""
    w = inputs(1)[0]
    assert gradcheck(lambda _: w * w, (w,))


def test_other_arguments_and_several_outputs() -> None:
    x, y = inputs(2)
    assert gradcheck(lambda a, k, b: (a * k, (a * b).sum(), b.detach()), (x, 3, y))


def test_an_output_that_needs_no_gradient_must_not_depend_on_the_input() -> None:
    x = inputs(1)[0]
    assert gradcheck(lambda t: t.detach() * 0, x)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda t: t.detach() * 2, x)


def test_a_gradient_that_changes_is_not_repeatable() -> None:
    calls = iter(range(10**6))
    wobbly = planted(lambda x: x * 2, lambda d, x: d * (2 + 1e-9 * next(calls)))
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(wobbly.apply, inputs(1))
    assert gradcheck(wobbly.apply, inputs(1), nondet_tol=1e-2)


def test_bad_inputs_are_named() -> None:
    x = inputs(1)[0]
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda t: t * 2, x.detach())
    with pytest.warns(UserWarning, match="double precision"):
        gradcheck(lambda t: t * 2, pydl.ones(2, requires_grad=True), eps=1e-2, atol=1e-2)
    with pytest.raises(RuntimeError, match="stride 0"):
        gradcheck(lambda t: t * 2, x.detach()[:1].expand(4, 4).requires_grad_())
    for flag in ("check_forward_ad", "check_batched_grad", "check_batched_forward_grad"):
        with pytest.raises(NotImplementedError, match=flag):
            gradcheck(lambda t: t * 2, x, **{flag: True})


def test_gradgradcheck_finds_a_wrong_second_derivative() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x.detach()

    assert gradcheck(Cube.apply, inputs(1))
    with pytest.raises(GradcheckError):
        gradgradcheck(Cube.apply, inputs(1))
    with pytest.raises(GradcheckError):
        gradgradcheck(Cube.apply, inputs(1), fast_mode=True)


# --- gradcheck_module -----------------------------------------------------------------------------------------------


def network() -> nn.Module:
    pydl.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Softmax(1))


def test_a_right_module_passes_and_prints_a_line_a_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    result = gradcheck_module(network(), pydl.ones(4, 5) * 0.3)
    assert result.ok and bool(result)
    assert [row.name for row in result.rows] == ["0.weight", "0.bias", "2.weight", "2.bias", "input 0"]
    assert all(row.error < 1e-7 for row in result.rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and all("ok" in line for line in lines)


def test_the_module_and_its_inputs_do_not_change() -> None:
    module, x = network(), pydl.ones(4, 5) * 0.3
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = pydl.get_rng_state()
    gradcheck_module(module, x, verbose=False)
    assert all(v.dtype is pydl.float32 and bool((v == before[k]).all()) for k, v in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert not x.requires_grad and x.dtype is pydl.float32
    assert bool((pydl.get_rng_state() == state).all())


class Noise(nn.Module):
    """Dropout and a running mean, by hand: random numbers and a buffer that each forward changes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.register_buffer("mean", pydl.zeros(6))

    def forward(self, x: Any) -> Any:
        y = self.linear(x)
        keep = (pydl.rand(y.shape, dtype=y.dtype) > 0.5).to(y.dtype)
        out = y * keep + self.mean
        with pydl.no_grad():
            self.mean += y.detach().mean(0)
        return out


def test_dropout_is_frozen_and_buffers_are_protected() -> None:
    module = Noise()
    assert gradcheck_module(module, pydl.ones(3, 6), verbose=False).ok
    assert not module.mean.numpy().any()


class CenteredBias(nn.Module):
    """A bias before a normalization: its true gradient is 0, what is computed is rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        y = self.linear(x)
        y = y - y.mean(0, keepdim=True)
        return y / (y * y).mean(0, keepdim=True).sqrt()


def test_a_gradient_that_is_zero_is_no_bug() -> None:
    x = pydl.from_numpy(np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32))
    result = gradcheck_module(CenteredBias(), x, verbose=False)
    assert result.ok, str(result)


class Kink(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(pydl.tensor([0.0, 1.0, 2.0, 3000.0]))

    def forward(self, x: Any) -> Any:
        return (self.w * 1e-4).relu() + self.w * x


def test_a_kink_is_inconclusive_not_a_bug() -> None:
    result = gradcheck_module(Kink(), pydl.ones(4), verbose=False)
    row = result.rows[0]
    assert row.verdict == "inconclusive" and not result.ok
    assert "kink" in str(row)


def test_large_parameters_are_sampled() -> None:
    result = gradcheck_module(nn.Linear(80, 40), pydl.ones(2, 80), verbose=False, max_elements=20)
    assert result.ok


def test_nothing_to_check_is_said() -> None:
    with pytest.raises(ValueError, match="no parameter"):
        gradcheck_module(nn.Identity())


# --- functional -----------------------------------------------------------------------------------------------------


def field(x: Any) -> Any:
    return (x * x).tanh() * x.sum()


A = np.random.default_rng(4).normal(size=5)


def difference(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, v: np.ndarray) -> np.ndarray:
    h = 1e-4
    return (8 * (f(x + h * v) - f(x - h * v)) - (f(x + 2 * h * v) - f(x - 2 * h * v))) / (12 * h)


def values(x: np.ndarray) -> np.ndarray:
    return field(pydl.from_numpy(x)).numpy()


def test_jacobian_vjp_and_jvp_agree_with_differences() -> None:
    F = pydl.autograd.functional
    x, u, v = pydl.from_numpy(A.copy()), pydl.from_numpy(A[::-1].copy()), pydl.from_numpy(A**2)
    J = F.jacobian(field, x).numpy()
    numerical = np.stack([difference(values, A, e) for e in np.eye(5)], axis=1)
    np.testing.assert_allclose(J, numerical, rtol=1e-9, atol=1e-11)
    y, row = F.vjp(field, x, u)
    np.testing.assert_allclose(row.numpy(), u.numpy() @ J, rtol=1e-13)
    np.testing.assert_allclose(y.numpy(), values(A), rtol=1e-15)
    y, column = F.jvp(field, x, v)
    np.testing.assert_allclose(column.numpy(), difference(values, A, A**2), rtol=1e-9)
    assert not y.requires_grad and not column.requires_grad


def test_hessian_vhp_and_hvp() -> None:
    F = pydl.autograd.functional
    x, v = pydl.from_numpy(A.copy()), pydl.from_numpy(A**2)
    H = F.hessian(lambda t: field(t).sum(), x).numpy()
    np.testing.assert_allclose(H, H.T, rtol=1e-12, atol=1e-13)
    slope = lambda a: F.vjp(lambda t: field(t).sum(), pydl.from_numpy(a))[1].numpy()  # noqa: E731
    np.testing.assert_allclose(H @ A**2, difference(slope, A, A**2), rtol=1e-9)
    np.testing.assert_allclose(F.hvp(lambda t: field(t).sum(), x, v)[1].numpy(), H @ A**2, rtol=1e-12)
    np.testing.assert_allclose(F.vhp(lambda t: field(t).sum(), x, v)[1].numpy(), H @ A**2, rtol=1e-12)


def test_several_inputs_and_outputs_give_tuples() -> None:
    F = pydl.autograd.functional
    x, y = pydl.ones(2, dtype=f64), pydl.ones(3, dtype=f64)
    J = F.jacobian(lambda a, b: (a * b.sum(), b * 2), (x, y))
    assert [[tuple(block.shape) for block in row] for row in J] == [[(2, 2), (2, 3)], [(3, 2), (3, 3)]]
    assert not J[1][0].numpy().any()
    H = F.hessian(lambda a, b: (a.sum() * b).sum() ** 2, (x, y))
    assert [[tuple(block.shape) for block in row] for row in H] == [[(2, 2), (2, 3)], [(3, 2), (3, 3)]]


def test_create_graph_lets_a_jacobian_be_differentiated() -> None:
    x = pydl.tensor([1.0, 2.0], dtype=f64, requires_grad=True)
    pydl.autograd.functional.jacobian(lambda t: t**3, x, create_graph=True).sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_functional_errors() -> None:
    F = pydl.autograd.functional
    x = pydl.ones(2, dtype=f64)
    with pytest.raises(RuntimeError, match="can only be None"):
        F.vjp(field, x)
    with pytest.raises(RuntimeError, match="shape"):
        F.jvp(field, x, pydl.ones(3, dtype=f64))
    with pytest.raises(RuntimeError, match="single element"):
        F.hessian(field, x)
    with pytest.raises(TypeError, match="float"):
        F.jacobian(lambda t: 3.0, x)
    with pytest.raises(RuntimeError, match="strict mode"):
        F.jacobian(lambda t: t.detach() * 2, x, strict=True)


@pytest.mark.parametrize("name", ["gradcheck", "gradcheck_module"])
def test_modules_imported_by_their_path_can_be_called(name):
    code = (
        f"import pydl, pydl.autograd.{name}\n"
        f"from pydl.autograd.{name} import {name}\n"
        "x = pydl.ones(2, dtype=pydl.float64, requires_grad=True)\n"
        f"given = (pydl.tanh, (x,)) if {name!r} == 'gradcheck' else (pydl.nn.Linear(2, 2), x)\n"
        f"pydl.autograd.{name}(*given)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
