# SPDX-License-Identifier: BSD-3-Clause
"""`gradcheck` and `gradgradcheck`: gradients against central differences, by elements or along directions.

J[i][o] is the derivative of output o with respect to input i, shaped (elements of x_i, elements of y_o).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from pydl._core import engine, tape
from pydl.autograd.grad_mode import enable_grad, no_grad
from pydl.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


Array = np.ndarray[Any, np.dtype[Any]]


class GradcheckError(RuntimeError):
    """A gradient differs from its central difference, or is not repeatable."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compares ∂y/∂x of `func` with (f(x + eps) − f(x − eps)) / (2 eps): |a − n| ≤ atol + rtol |n| for each element.

    `fast_mode` compares vᵀJu for one fixed positive direction u per input and v per output, not each element of J.
    Every output is differentiated by itself, so other outputs' gradients are undefined in that pass: this is what
    `check_undefined_grad` asks for. `masked` has no meaning without sparse tensors.

    Shapes: `inputs` are Tensors or other values; those that require a gradient are checked and should be float64.

    Errors: GradcheckError (or False with `raise_exception=False`); ValueError if no input requires a gradient;
    NotImplementedError for batched and forward-mode checks.

    Source: torch.autograd.gradcheck.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([0.5, 2.0], dtype=pydl.float64, requires_grad=True)
        >>> pydl.autograd.gradcheck(pydl.tanh, (x,))
        True
    """
    _refuse(
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
    )
    if not check_backward_ad:
        raise ValueError("gradcheck: nothing to check with check_backward_ad=False")
    tupled = _as_tuple(inputs)
    checker = _Checker(func, tupled, eps, atol, rtol, nondet_tol, check_grad_dtypes)
    try:
        checker.run(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of (x, g) ↦ ∂⟨g, f(x)⟩/∂x: the second derivatives, those with respect to g included.

    Without `grad_outputs` the g are drawn from a normal distribution with a fixed seed;
    `gen_non_contig_grad_outputs` lays them out with gaps.

    Errors, Shapes: as `gradcheck`.

    Source: torch.autograd.gradgradcheck.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([0.5, 2.0], dtype=pydl.float64, requires_grad=True)
        >>> pydl.autograd.gradgradcheck(pydl.tanh, (x,))
        True
    """
    _refuse(check_fwd_over_rev=check_fwd_over_rev)
    if not check_rev_over_rev:
        raise ValueError("gradgradcheck: nothing to check with check_rev_over_rev=False")
    tupled = _as_tuple(inputs)
    if grad_outputs is None:
        cotangents = _random_cotangents(_outputs(func, tupled), gen_non_contig_grad_outputs)
    else:
        cotangents = _as_tuple(grad_outputs)

    return gradcheck(
        _first_derivatives(func, len(cotangents)),
        tupled + cotangents,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        masked=masked,
    )


def _first_derivatives(func: Callable[..., Any], n_outputs: int) -> Callable[..., tuple[Tensor, ...]]:
    """(x, g) ↦ ∂⟨g, f(x)⟩/∂x for the x that require a gradient, recorded."""

    def derivatives(*args: Any) -> tuple[Tensor, ...]:
        x, g = args[: len(args) - n_outputs], args[len(args) - n_outputs :]
        wanted = tuple(t for t in x if isinstance(t, Tensor) and t.requires_grad)
        outputs = _outputs(func, x)
        if not outputs or not wanted:
            return ()
        given = engine.backward(outputs, g, True, True, wanted, True, False)
        return tuple(d for d in given if d is not None)

    return derivatives


class _Checker:
    """One call of `gradcheck`: the function, the inputs under test, and the tolerances."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        grad_dtypes: bool,
    ) -> None:
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.grad_dtypes = grad_dtypes
        self.checked = _checked_inputs(inputs)

    def run(self, fast: bool) -> None:
        with enable_grad():
            outputs = _outputs(self.func, self.inputs)
        if not outputs:
            self._must_be_constant()
            return
        for i, out in enumerate(outputs):
            if fast and self._directions_agree(i, out):
                continue
            self._check_output(i, out, fast)

    def _check_output(self, i: int, out: Tensor, fast: bool) -> None:
        analytical = self._analytical(out)
        again = self._analytical(out)
        numerical = self._numerical(i)
        for j, (a, b, n) in enumerate(zip(analytical, again, numerical, strict=True)):
            if np.abs(a - b).max(initial=0.0) > self.nondet_tol:
                raise GradcheckError(
                    f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    f"gives different values, although analytical gradient matches numerical gradient.The tolerance "
                    f"for nondeterminism was {self.nondet_tol}.\n{_pair(b, a)}"
                )
            if not _close(a, n, self.atol, self.rtol):
                raise GradcheckError(f"Jacobian mismatch for output {i} with respect to input {j},\n{_pair(n, a)}")
        self._must_be_linear(i, out, analytical)
        if fast:
            raise GradcheckError(
                f"Fast gradcheck failed but element-wise differences are small for output {i}; the "
                f"tolerances are too tight for one direction, use fast_mode=False"
            )

    def _must_be_linear(self, i: int, out: Tensor, analytical: tuple[Array, ...]) -> None:
        """Unit cotangents cannot tell g from g²: one other cotangent must give the same combination of columns."""
        v = 2 * _direction(np.random.default_rng(42), out.numel())
        for j, (jacobian, row) in enumerate(zip(analytical, self._vjp(out, v), strict=True)):
            if not _close(row, jacobian @ v, self.atol, self.rtol):
                raise GradcheckError(
                    f"Backward is not linear in the gradient of output {i} for input {j}\n{_pair(jacobian @ v, row)}"
                )

    def _vjp(self, out: Tensor, cotangent: Array) -> tuple[Array, ...]:
        """One flat gradient per checked input; zeros where there is none."""
        v = tape.wrap(cotangent.reshape(out.shape).astype(out.array.dtype, copy=False))
        grads = engine.backward((out,), (v,), True, False, self.checked, True, False)
        rows = []
        for j, (x, g) in enumerate(zip(self.checked, grads, strict=True)):
            if g is not None and g.shape != x.shape:
                raise GradcheckError(
                    f"Analytical gradient has incorrect size: {tuple(g.shape)} for input {j} of shape {tuple(x.shape)}"
                )
            if g is not None and self.grad_dtypes and g.dtype != x.dtype:
                raise GradcheckError(f"Analytical gradient has incorrect dtype: {g.dtype} for input {j} of {x.dtype}")
            rows.append(np.zeros(x.numel()) if g is None else np.array(g.array, np.float64).reshape(-1))
        return tuple(rows)

    def _analytical(self, out: Tensor) -> tuple[Array, ...]:
        jacobians = tuple(np.empty((x.numel(), out.numel())) for x in self.checked)
        for column in range(out.numel()):
            unit = np.zeros(out.numel())
            unit[column] = 1.0
            for jacobian, row in zip(jacobians, self._vjp(out, unit), strict=True):
                jacobian[:, column] = row
        return jacobians

    def _numerical(self, i: int) -> tuple[Array, ...]:
        """Central differences of output i, one element of one input at a time, written into the input itself."""
        jacobians = []
        for x in self.checked:
            data = _writable(x)
            rows = []
            for index in np.ndindex(data.shape):
                keep = data[index]
                data[index] = keep + self.eps
                plus = self._value(i)
                data[index] = keep - self.eps
                minus = self._value(i)
                data[index] = keep
                rows.append((plus - minus) / (2 * self.eps))
            jacobians.append(np.array(rows).reshape(data.size, rows[0].size if rows else self._value(i).size))
        return tuple(jacobians)

    def _value(self, i: int) -> Array:
        with enable_grad():  # what is differentiable may depend on it
            out = _outputs(self.func, self.inputs)[i]
        return np.array(out.array, np.float64).reshape(-1)

    def _directions_agree(self, i: int, out: Tensor) -> bool:
        """vᵀJu by both ways for every input, with positive unit vectors u and v."""
        rng = np.random.default_rng(42)
        v = _direction(rng, out.numel())
        analytical, again = self._vjp(out, v), self._vjp(out, v)
        for x, a, b in zip(self.checked, analytical, again, strict=True):
            if np.abs(a - b).max(initial=0.0) > self.nondet_tol:
                return False
            u = _direction(rng, x.numel())
            data = _writable(x)
            keep, step = data.copy(), self.eps * u.reshape(data.shape)
            data[...] = keep + step
            plus = self._value(i)
            data[...] = keep - step
            minus = self._value(i)
            data[...] = keep
            numerical = float(v @ (plus - minus)) / (2 * self.eps)
            if not _close(np.array(a @ u), np.array(numerical), self.atol * float(u.sum() * v.sum()), self.rtol):
                return False
        return True

    def _must_be_constant(self) -> None:
        """No output can be differentiated: then none may depend on a checked input."""
        with no_grad():
            results = [o for o in _as_tuple(self.func(*self.inputs)) if isinstance(o, Tensor)]
        for x in self.checked:
            data = _writable(x)
            for index in np.ndindex(data.shape):
                keep = data[index]
                data[index] = keep + self.eps
                with no_grad():
                    moved = [o for o in _as_tuple(self.func(*self.inputs)) if isinstance(o, Tensor)]
                data[index] = keep
                if any(
                    o.dtype.is_floating_point and not np.array_equal(o.array, m.array)
                    for o, m in zip(results, moved, strict=True)
                ):
                    raise GradcheckError("Numerical gradient for function expected to be zero")


def _checked_inputs(inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    checked = []
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        if x.array.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                f"check will likely fail if all the inputs are not of double precision floating point or "
                f"complex. ",
                stacklevel=4,
            )
        if x.numel() and any(step == 0 and n > 1 for step, n in zip(x.array.strides, x.shape, strict=True)):
            raise RuntimeError(
                f"gradcheck: The {i}th input has a dimension with stride 0. gradcheck only supports inputs that "
                f"are non-overlapping to be able to compute the numerical gradients correctly. You should "
                f"call .contiguous on the input before passing it to gradcheck."
            )
        checked.append(x)
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    return tuple(checked)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """The outputs that can be differentiated."""
    return tuple(o for o in _as_tuple(func(*inputs)) if isinstance(o, Tensor) and o.requires_grad)


def _writable(x: Tensor) -> Array:
    data: Array = x.array
    if not data.flags.writeable:
        raise RuntimeError("gradcheck: an input is read-only memory and cannot be moved by eps; pass x.clone()")
    return data


def _direction(rng: np.random.Generator, n: int) -> Array:
    """A unit vector with positive entries, so that no error cancels by sign."""
    u = rng.random(n) + 1e-3
    return u / max(float(np.linalg.norm(u)), 1e-300)


def _close(a: Array, n: Array, atol: float, rtol: float) -> bool:
    return a.shape == n.shape and bool(np.allclose(a, n, rtol=rtol, atol=atol))


def _pair(numerical: Array, analytical: Array) -> str:
    return f"numerical:{numerical}\nanalytical:{analytical}\n"


def _random_cotangents(outputs: tuple[Tensor, ...], gaps: bool) -> tuple[Tensor, ...]:
    rng = np.random.default_rng(7)
    cotangents = []
    for out in outputs:
        values = rng.standard_normal(tuple(out.shape)).astype(out.array.dtype)
        if gaps and values.ndim:
            values = np.repeat(values, 2, axis=-1)[..., ::2]
        cotangents.append(tape.wrap(np.asarray(values)).requires_grad_())
    return tuple(cotangents)


def _refuse(**flags: bool) -> None:
    for name, value in flags.items():
        if value:
            raise NotImplementedError(f"gradcheck: {name} needs forward mode or vmap, which pydl does not cover")


class _CallableModule(ModuleType):
    """Once imported by its path, the module stands where the function of its name would be: it can be called too."""

    __call__ = staticmethod(gradcheck)


sys.modules[__name__].__class__ = _CallableModule
