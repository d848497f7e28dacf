# SPDX-License-Identifier: BSD-3-Clause
"""Largest and smallest elements: max, min, amax, amin, argmax, argmin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pydl._core import reduce as core
from pydl._core.errors import IndexRangeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops import _results
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import dim_arg, dims_arg, tensor_arg
from pydl.ops._declare import composite, op

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]

Dims = int | Iterable[int]


def _check_reduce(input: Tensor, dim: Any, op_name: str) -> tuple[int, ...]:
    """The dims, none of which may be empty unless the result is too."""
    tensor_arg(input, op_name, "input")
    shape = input.array.shape
    dims = dims_arg(dim, len(shape), op_name)
    if input.array.size == 0:
        for d in dims:
            if shape[d] == 0:
                raise IndexRangeError(f"{op_name}: Expected reduction dim {d} to have non-zero size.")
    return dims


def _reduced(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool, kernel: Any, fallback: Any) -> Tensor:
    """The kernel for floats, NumPy for integers and bools; keeps what the gradient needs."""
    is_float = x.array.dtype.kind == "f"
    y: Tensor = kernel(x, dims, keepdim) if is_float else dense(fallback(x.array, axis=dims, keepdims=keepdim))
    ctx.save(x, y)
    ctx.dims, ctx.keepdim = dims, keepdim
    return y


def _shared_among_ties(ctx: Any, dy: Tensor) -> Tensor:
    """dx = dy at the elements that equal the extreme one, divided by their number."""
    x, y = ctx.saved
    if not ctx.keepdim:
        for d in ctx.dims:
            dy, y = dy.unsqueeze(d), y.unsqueeze(d)
    ties = (x == y).to(dy.dtype)
    return ties * (dy / ties.sum(ctx.dims, keepdim=True))


@op
class amax:
    """y = the largest elements along the dims (all of them by default); NaN if there is one.

    Shapes: x without the dims, or with size 1 there (`keepdim`).
    Gradient: dy shared evenly among equal largest elements.
    Errors: IndexError for an empty dim. Source: torch.amax.

    Example:
        >>> import pydl
        >>> pydl.amax(pydl.tensor([[1., 5.], [7., 2.]]), dim=1)
        tensor([5., 7.])
    """

    def check(input: Tensor, dim: Dims = (), keepdim: bool = False) -> tuple[Any, ...]:
        return input, _check_reduce(input, dim, "amax"), keepdim

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
        return _reduced(ctx, x, dims, keepdim, core.amax, np.max)

    backward = _shared_among_ties


@op
class amin:
    """y = the smallest elements along the dims (all of them by default); NaN if there is one.

    Shapes: x without the dims, or with size 1 there (`keepdim`).
    Gradient: dy shared evenly among equal smallest elements.
    Errors: IndexError for an empty dim. Source: torch.amin.

    Example:
        >>> import pydl
        >>> pydl.amin(pydl.tensor([[1., 5.], [7., 2.]]), dim=1)
        tensor([1., 2.])
    """

    def check(input: Tensor, dim: Dims = (), keepdim: bool = False) -> tuple[Any, ...]:
        return input, _check_reduce(input, dim, "amin"), keepdim

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], keepdim: bool) -> Tensor:
        return _reduced(ctx, x, dims, keepdim, core.amin, np.min)

    backward = _shared_among_ties


def _found(x: Tensor, dim: int, keepdim: bool, kernel: Any, fallback: Any) -> tuple[Tensor, Tensor]:
    """(values, indices) along a dimension, not recorded."""
    if x.array.dtype.kind == "f":
        found: tuple[Tensor, Tensor] = kernel(x, dim, keepdim)
        return found
    places = np.expand_dims(fallback(x.array, axis=dim), dim)
    values = np.take_along_axis(x.array, places, dim)
    if not keepdim:
        places, values = places.squeeze(dim), values.squeeze(dim)
    return dense(values), dense(places.astype(np.int64, copy=False))


def _arg(input: Tensor, dim: int | None, keepdim: bool, op_name: str, kernel: Any, fallback: Any) -> Tensor:
    tensor_arg(input, op_name, "input")
    a: Array = input.array
    if a.dtype == np.bool_:
        raise NotImplementedError(f"{op_name}: not implemented for bool")
    if dim is None:
        if a.size == 0:
            raise IndexError(f"{op_name}: Expected reduction dim to be specified for input.numel() == 0.")
        found = _found(input.detach().reshape(-1), 0, False, kernel, fallback)[1]
        return found.reshape((1,) * a.ndim) if keepdim else found
    d = dim_arg(dim, a.ndim, op_name)
    if a.ndim == 0:
        return wrap(np.zeros((), np.int64))
    _check_reduce(input, d, op_name)
    return _found(input, d, keepdim, kernel, fallback)[1]


@composite(differentiable=False)
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element along `dim`, or of the flattened tensor; of equal ones the first.

    A NaN counts as the largest. Shapes: x without the dim, or with size 1 there (`keepdim`); int64.
    Gradient: none. Errors: IndexError for an empty dim. Source: torch.argmax.

    Example:
        >>> import pydl
        >>> pydl.argmax(pydl.tensor([[1., 5.], [7., 2.]]), dim=1)
        tensor([1, 0])
    """
    return _arg(input, dim, keepdim, "argmax", core.max_along, np.argmax)


@composite(differentiable=False)
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element along `dim`, or of the flattened tensor; of equal ones the first.

    A NaN counts as the smallest. Shapes: x without the dim, or with size 1 there (`keepdim`); int64.
    Gradient: none. Errors: IndexError for an empty dim. Source: torch.argmin.

    Example:
        >>> import pydl
        >>> pydl.argmin(pydl.tensor([[1., 5.], [7., 2.]]), dim=1)
        tensor([0, 1])
    """
    return _arg(input, dim, keepdim, "argmin", core.min_along, np.argmin)


def _chosen(ctx: Any, x: Tensor, dim: int, keepdim: bool, kernel: Any, fallback: Any) -> tuple[Tensor, Tensor]:
    """(values, indices) along a dimension; keeps where they were."""
    values, places = _found(x, dim, keepdim, kernel, fallback)
    ctx.save(places)
    ctx.dim, ctx.keepdim, ctx.shape = dim, keepdim, x.array.shape
    return values, places


def _at_places(ctx: Any, dvalues: Tensor, _: None) -> Tensor:
    """dx = dvalues where they were taken from, else 0."""
    (places,) = ctx.saved
    if not ctx.keepdim:
        dvalues, places = dvalues.unsqueeze(ctx.dim), places.unsqueeze(ctx.dim)
    return dvalues.new_zeros(ctx.shape).scatter(ctx.dim, places, dvalues)


@op(name="max_along")
class _max_along:
    """(values, indices) of the largest elements along a dim. Gradient: dx = dvalues at the indices, else 0."""

    def check(input: Tensor, dim: int, keepdim: bool) -> tuple[Any, ...]:
        return input, dim, keepdim

    def forward(ctx: Any, x: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
        return _chosen(ctx, x, dim, keepdim, core.max_along, np.argmax)

    backward = _at_places


@op(name="min_along")
class _min_along:
    """(values, indices) of the smallest elements along a dim. Gradient: dx = dvalues at the indices, else 0."""

    def check(input: Tensor, dim: int, keepdim: bool) -> tuple[Any, ...]:
        return input, dim, keepdim

    def forward(ctx: Any, x: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
        return _chosen(ctx, x, dim, keepdim, core.min_along, np.argmin)

    backward = _at_places


def _with_places(input: Tensor, dim: int, keepdim: bool, op_name: str, along: Any) -> tuple[Tensor, Tensor]:
    d = dim_arg(dim, input.array.ndim, op_name)
    if input.array.ndim == 0:
        return input.clone(), wrap(np.zeros((), np.int64))
    _check_reduce(input, d, op_name)
    found: tuple[Tensor, Tensor] = along(input, d, keepdim)
    return found


@composite
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The largest element; with `dim` (values, indices) along it; with another tensor `maximum` of the two.

    Shapes: 0-d; or x without the dim, with size 1 there (`keepdim`); indices int64. Gradient: without `dim` dy shared
    evenly among equal largest elements; with `dim` dy at the chosen ones. Errors: RuntimeError for an empty tensor,
    IndexError for an empty or wrong dim. Source: torch.max.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[1., 5.], [7., 2.]])
        >>> pydl.max(x), pydl.max(x, 1).indices
        (tensor(7.), tensor([1, 0]))
    """
    tensor_arg(input, "max", "input")
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return input.maximum(other)
    if dim is None:
        _check_not_empty(input, "max")
        return amax(input, ())
    return _results.max(*_with_places(input, dim, keepdim, "max", _max_along))


@composite
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The smallest element; with `dim` (values, indices) along it; with another tensor `minimum` of the two.

    Shapes: 0-d; or x without the dim, with size 1 there (`keepdim`); indices int64. Gradient: without `dim` dy shared
    evenly among equal smallest elements; with `dim` dy at the chosen ones. Errors: RuntimeError for an empty tensor,
    IndexError for an empty or wrong dim. Source: torch.min.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[1., 5.], [7., 2.]])
        >>> pydl.min(x), pydl.min(x, 1).indices
        (tensor(1.), tensor([0, 1]))
    """
    tensor_arg(input, "min", "input")
    other = dim if isinstance(dim, Tensor) else other
    if other is not None:
        return input.minimum(other)
    if dim is None:
        _check_not_empty(input, "min")
        return amin(input, ())
    return _results.min(*_with_places(input, dim, keepdim, "min", _min_along))


def _check_not_empty(input: Tensor, op_name: str) -> None:
    if input.array.size == 0:
        raise RuntimeError(
            f"{op_name}: Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )


@composite
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(amin, amax) along `dim`, or of all elements.

    Shapes, gradient, errors: as `amin`. Source: torch.aminmax.

    Example:
        >>> import pydl
        >>> pydl.aminmax(pydl.tensor([3., 1., 2.]))
        (tensor(1.), tensor(3.))
    """
    dims: Dims = () if dim is None else dim
    return amin(input, dims, keepdim), amax(input, dims, keepdim)
