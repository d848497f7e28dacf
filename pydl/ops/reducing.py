# SPDX-License-Identifier: BSD-3-Clause
"""Reductions that are not kernels of their own: prod, any, all, cumsum, logsumexp, sum_to_size."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

import numpy as np

from pydl._core import dtypes
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, along, dense
from pydl.ops._checks import dim_arg, dims_arg, sizes_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.joining import cat

__all__ = ["all", "any", "cumprod", "cumsum", "logsumexp", "prod", "sum_to_size"]

Dims = int | Iterable[int]


def _accumulated(input: Tensor, dtype: Any, op_name: str) -> Tensor:
    """x in the type in which it is added up: the given one, or int64 for integers and bools."""
    tensor_arg(input, op_name, "input")
    np_dtype = input.array.dtype
    wanted = dtypes.as_np(dtype) if dtype is not None else np_dtype if np_dtype.kind == "f" else np.dtype(np.int64)
    return input if wanted == np_dtype else input.to(dtypes.from_np(wanted))


@composite
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = Π x_i along `dim`, or of all elements; 1 for none. Integers and bools give int64.

    It is a tree of products, halving the length each time, so that the gradient is exact at zeros too.
    Shapes: x without the dim, or with size 1 there (`keepdim`). Gradient: dx_i = dy · Π_{j≠i} x_j. Errors: IndexError.
    Source: torch.prod.

    Example:
        >>> import pydl
        >>> pydl.prod(pydl.tensor([[1., 2.], [3., 4.]]), dim=1)
        tensor([ 2., 12.])
    """
    x = _accumulated(input, dtype, "prod")
    shape = x.array.shape
    if dim is None:
        x, d = x.reshape(-1), 0
        kept: tuple[int, ...] = (1,) * len(shape) if keepdim else ()
    else:
        d = dim_arg(dim, len(shape), "prod")
        x = x if shape else x.reshape(1)
        kept = (*shape[:d], *((1,) if keepdim and shape else ()), *shape[d + 1 :])
    if x.array.shape[d] == 0:
        return (x.sum(d) + 1).reshape(kept)
    while (n := x.array.shape[d]) > 1:
        half = n // 2
        pairs = x[along(x.array.ndim, d, slice(0, half))] * x[along(x.array.ndim, d, slice(half, 2 * half))]
        x = cat((pairs, x[along(x.array.ndim, d, slice(n - 1, n))]), d) if n % 2 else pairs
    return x.reshape(kept)


def _truth(input: Tensor, dim: Dims | None, keepdim: bool, op_name: str, find: Any) -> Tensor:
    tensor_arg(input, op_name, "input")
    a: Array = input.array
    dims = dims_arg(dim, a.ndim, op_name)
    found = np.asarray(find(a, axis=dims, keepdims=keepdim))
    return wrap(found.astype(np.uint8) if a.dtype == np.uint8 else found)


@composite(differentiable=False)
def any(input: Tensor, dim: Dims | None = None, keepdim: bool = False) -> Tensor:
    """Whether an element is not zero, of all or along the dims; False for none. uint8 stays uint8.

    Shapes: x without the dims, or with size 1 there (`keepdim`); bool, or uint8. Gradient: none. Errors: IndexError.
    Source: torch.any.

    Example:
        >>> import pydl
        >>> pydl.any(pydl.tensor([[True, False], [False, False]]), dim=1)
        tensor([ True, False])
    """
    return _truth(input, dim, keepdim, "any", np.any)


@composite(differentiable=False)
def all(input: Tensor, dim: Dims | None = None, keepdim: bool = False) -> Tensor:
    """Whether every element is not zero, of all or along the dims; True for none. uint8 stays uint8.

    Shapes: x without the dims, or with size 1 there (`keepdim`); bool, or uint8. Gradient: none. Errors: IndexError.
    Source: torch.all.

    Example:
        >>> import pydl
        >>> pydl.all(pydl.tensor([[True, False], [True, True]]), dim=1)
        tensor([False,  True])
    """
    return _truth(input, dim, keepdim, "all", np.all)


@op(numpy_backed=True)
class cumsum:
    """y_i = x_0 + … + x_i along `dim`. Integers and bools give int64.

    Shapes: those of x. Gradient: dx_i = dy_i + … + dy_{n−1}. Errors: IndexError. Source: torch.cumsum.

    Example:
        >>> import pydl
        >>> pydl.cumsum(pydl.tensor([1., 2., 3.]), dim=0)
        tensor([1., 3., 6.])
    """

    def check(input: Tensor, dim: int, *, dtype: Any = None) -> tuple[Any, ...]:
        x = _accumulated(input, dtype, "cumsum")
        return x, dim_arg(dim, x.array.ndim, "cumsum")

    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        a: Array = x.array
        return dense(np.cumsum(a, axis=dim, dtype=a.dtype) if a.ndim else a.copy())

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy.flip(ctx.dim).cumsum(ctx.dim).flip(ctx.dim) if dy.array.ndim else dy


@composite
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """y_i = x_0 · … · x_i along `dim`, by doubling: log₂ n products of whole tensors.

    Shapes: those of x. Integers and bools give int64. Gradient: dx_i = Σ_{j≥i} dy_j · Π_{k≤j, k≠i} x_k, exact at zeros
    too. Errors: IndexError. Source: torch.cumprod.

    Example:
        >>> import pydl
        >>> pydl.cumprod(pydl.tensor([1., 2., 3.]), dim=0)
        tensor([1., 2., 6.])
    """
    x = _accumulated(input, dtype, "cumprod")
    d = dim_arg(dim, x.array.ndim, "cumprod")
    ndim = x.array.ndim
    n, step = (x.array.shape[d] if ndim else 1), 1
    while step < n:
        grown = x[along(ndim, d, slice(step, n))] * x[along(ndim, d, slice(0, n - step))]
        x = cat((x[along(ndim, d, slice(0, step))], grown), d)
        step *= 2
    return x if step > 1 else x.clone()


@op
class logsumexp:
    """y = log Σ exp(x) over the dims, with the largest element taken out so that nothing overflows.

    Shapes: x without the dims, or with size 1 there (`keepdim`). Gradient: dx = dy · exp(x − y).
    Errors: IndexError; RuntimeError for a type that is not floating-point. Source: torch.logsumexp.

    Example:
        >>> import pydl
        >>> pydl.logsumexp(pydl.tensor([1000., 1000.], dtype=pydl.float64), dim=0)
        tensor(1000.6931, dtype=pydl.float64)
    """

    def check(input: Tensor, dim: Dims, keepdim: bool = False) -> tuple[Any, ...]:
        tensor_arg(input, "logsumexp", "input")
        x = input if input.array.dtype.kind == "f" else input.to(dtypes.get_default_dtype())
        return x, dims_arg(dim, x.array.ndim, "logsumexp"), keepdim

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
        if x.array.size == 0:
            largest = x.sum(dims, keepdim=True) if dims else x
        else:
            largest = x.amax(dims, keepdim=True)
            largest = largest.masked_fill(largest.isinf(), 0.0)
        y = (x - largest).exp().sum(dims, keepdim=True).log() + largest
        y = y if keepdim else _without(y, dims)
        ctx.save(x, y)
        ctx.dims, ctx.keepdim = dims, keepdim
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, y = ctx.saved
        if not ctx.keepdim:
            for d in ctx.dims:
                dy, y = dy.unsqueeze(d), y.unsqueeze(d)
        return dy * (x - y.masked_fill(y == -np.inf, 0.0)).exp()


def _without(y: Tensor, dims: tuple[int, ...]) -> Tensor:
    return y.reshape([n for d, n in enumerate(y.array.shape) if d not in dims])


@composite
def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """x summed so that it has the given size, which broadcasts to that of x: the adjoint of expand.

    Shapes: `size`. Gradient: dy expanded to the shape of x. Errors: ShapeError if it does not broadcast.
    Source: torch.Tensor.sum_to_size.

    Example:
        >>> import pydl
        >>> pydl.ones(3, 2).sum_to_size(1, 2)
        tensor([[3., 3.]])
    """
    tensor_arg(input, "sum_to_size", "input")
    want, have = sizes_arg(size), tuple(input.array.shape)
    if want == have:
        return input
    extra = len(have) - len(want)
    if extra < 0 or builtins.any(m not in (1, n) for n, m in zip(have[extra:], want, strict=True)):
        raise ShapeError(f"sum_to_size: size {want} does not broadcast to the tensor's {have}")
    dims = [d for d, n in enumerate(have) if d < extra or (want[d - extra] == 1 and n != 1)]
    y = input.sum(dims, keepdim=True) if dims else input
    return y.reshape(want)
