# SPDX-License-Identifier: BSD-3-Clause
"""Variance, standard deviation and norms."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import dims_arg, float_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.extrema import amax, amin

__all__ = ["norm", "std", "std_mean", "var", "var_mean"]

Dims = int | Iterable[int]


def _var_args(
    input: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any, op_name: str
) -> tuple[Tensor, tuple[int, ...], float, bool]:
    """The two ways of PyTorch: var(x, dim, unbiased, keepdim), also var(x, unbiased), and var(x, dim, correction=c)."""
    float_arg(input, op_name, "input")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        if correction is not None:
            raise TypeError(f"{op_name}: give unbiased or correction, not both")
        correction = 1 if unbiased else 0
    dims = dims_arg(dim, input.array.ndim, op_name)
    return input, dims, 1 if correction is None else correction, keepdim


def _degrees(x: Tensor, dims: tuple[int, ...], correction: float, op_name: str) -> float:
    n = math.prod(x.array.shape[d] for d in dims)
    if n - correction <= 0:
        warnings.warn(
            f"{op_name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
            "(input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )
    return max(n - correction, 0.0)


def _raw_var(x: Tensor, dims: tuple[int, ...], degrees: float, keepdim: bool) -> Tensor:
    centered = x - x.mean(dims, keepdim=True) if dims else x - x
    squares = centered * centered
    total = squares.sum(dims, keepdim=keepdim) if dims else squares
    return total / degrees


def _spread(t: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """A reduced tensor with its reduced dimensions back, of size 1."""
    if not keepdim:
        for d in dims:
            t = t.unsqueeze(d)
    return t


def _divided(dy: Tensor, y: Tensor, divisor: Tensor) -> Tensor:
    """dy / divisor, and 0 where y is 0, with derivatives that are 0 there too."""
    zero = y == 0
    return (dy / divisor.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


@op
class var:
    """y = Σ (x − mean)² / (n − correction) over the dims (all of them by default).

    Shapes: x without the dims, or with size 1 there (`keepdim`); `unbiased=False` means correction 0.
    Gradient: dx = dy · 2 (x − mean) / (n − correction).
    Errors: IndexError; RuntimeError for a type that is not floating-point; warns if n ≤ correction.
    Source: torch.var.

    Example:
        >>> import pydl
        >>> pydl.var(pydl.tensor([1., 2., 3.]))
        tensor(1.)
    """

    def check(
        input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
    ) -> tuple[Any, ...]:
        x, dims, correction, keepdim = _var_args(input, dim, unbiased, keepdim, correction, "var")
        return x, dims, _degrees(x, dims, correction, "var"), keepdim

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], degrees: float, keepdim: bool) -> Tensor:
        ctx.save(x)
        ctx.dims, ctx.degrees, ctx.keepdim = dims, degrees, keepdim
        return _raw_var(x, dims, degrees, keepdim)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved
        centered = x - x.mean(ctx.dims, keepdim=True) if ctx.dims else x - x
        return centered * (_spread(dy, ctx.dims, ctx.keepdim) * (2 / ctx.degrees if ctx.degrees else math.inf))


@op
class std:
    """y = √(Σ (x − mean)² / (n − correction)) over the dims (all of them by default).

    Shapes and errors: as `var`. Gradient: dx = dy · (x − mean) / ((n − correction) y), and 0 where y is 0.
    Source: torch.std.

    Example:
        >>> import pydl
        >>> pydl.std(pydl.tensor([1., 3.]), unbiased=False)
        tensor(1.)
    """

    def check(
        input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
    ) -> tuple[Any, ...]:
        x, dims, correction, keepdim = _var_args(input, dim, unbiased, keepdim, correction, "std")
        return x, dims, _degrees(x, dims, correction, "std"), keepdim

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], degrees: float, keepdim: bool) -> Tensor:
        y = _raw_var(x, dims, degrees, keepdim).sqrt()
        ctx.save(x, y)
        ctx.dims, ctx.degrees, ctx.keepdim = dims, degrees, keepdim
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, y = ctx.saved
        scale = _divided(dy, y, y * ctx.degrees)
        centered = x - x.mean(ctx.dims, keepdim=True) if ctx.dims else x - x
        return centered * _spread(scale, ctx.dims, ctx.keepdim)


@composite
def var_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """(var, mean) of the same dims. Shapes, gradient, errors: as `var` and `mean`. Source: torch.var_mean.

    Example:
        >>> import pydl
        >>> pydl.var_mean(pydl.tensor([1., 2., 3.]))
        (tensor(1.), tensor(2.))
    """
    where = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), input.mean(where, keepdim=keepdim)


@composite
def std_mean(
    input: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """(std, mean) of the same dims. Shapes, gradient, errors: as `std` and `mean`. Source: torch.std_mean.

    Example:
        >>> import pydl
        >>> pydl.std_mean(pydl.tensor([1., 2., 3.]))
        (tensor(1.), tensor(2.))
    """
    where = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), input.mean(where, keepdim=keepdim)


@op(name="vector_norm")
class _power_norm:
    """y = (Σ |x|^p)^(1/p) over the dims, for finite p; how many are not 0 for p = 0.

    Gradient: dx = dy · sign(x) |x|^(p−1) / y^(p−1), and 0 where y is 0 or for p = 0.
    """

    def check(input: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> tuple[Any, ...]:
        return input, p, dims, keepdim

    def forward(ctx: Any, x: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
        powers = x * x if p == 2 else (x != 0).to(x.dtype) if p == 0 else x.abs() ** p
        total = powers.sum(dims, keepdim=keepdim) if dims else powers
        y = total.sqrt() if p == 2 else total if p == 0 else total ** (1 / p)
        ctx.save(x, y)
        ctx.p, ctx.dims, ctx.keepdim = p, dims, keepdim
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, y = ctx.saved
        p = ctx.p
        if p == 0:
            return x.new_zeros(x.shape)
        scale = _divided(dy, y, y if p == 2 else y ** (p - 1))
        scale = _spread(scale, ctx.dims, ctx.keepdim)
        if p == 2:
            return x * scale
        slope = x.sign() * x.abs() ** (p - 1)
        return (slope if p >= 1 else slope.masked_fill(x == 0, 0.0)) * scale


@composite
def norm(input: Tensor, p: Any = "fro", dim: Dims | None = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """y = (Σ |x|^p)^(1/p) over the dims (all by default); p = ∞: max |x|, −∞: min |x|, 0: how many are not 0.

    "fro" is p = 2. Shapes: x without the dims, or with size 1 there (`keepdim`). Gradient: dx = dy · sign(x) |x|^(p−1)
    / y^(p−1), and 0 where y is 0. Errors: RuntimeError for a type that is not floating-point or an unknown p;
    IndexError. Source: torch.norm.

    Example:
        >>> import pydl
        >>> pydl.norm(pydl.tensor([3., 4.]))
        tensor(5.)
    """
    tensor_arg(input, "norm", "input")
    x = input if dtype is None else input.to(dtype)
    float_arg(x, "norm", "input")
    dims = dims_arg(dim, x.array.ndim, "norm")
    if p is None or p == "fro":
        p = 2.0
    if isinstance(p, str):
        raise RuntimeError(f"norm: p={p!r} is not covered; p is a number or 'fro'")
    p = float(p)
    if math.isinf(p):
        extreme = amax if p > 0 else amin
        return extreme(x.abs(), dims, keepdim) if dims else x.abs()
    return _power_norm(x, p, dims, keepdim)
