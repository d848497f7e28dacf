# SPDX-License-Identifier: BSD-3-Clause
"""Sorting and what follows from it. NaN counts as larger than any number; equal elements stay in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops import _results
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import dim_arg, tensor_arg
from pydl.ops._declare import composite
from pydl.ops.gathering import gather

__all__ = ["argsort", "kthvalue", "median", "msort", "sort", "topk", "unique", "unique_consecutive"]


def _order(a: Array, dim: int, descending: bool) -> Array:
    """The indices that sort along `dim`; ties stay in their order in both directions."""
    if a.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(a, axis=dim, kind="stable")
    backwards = np.argsort(np.flip(a, dim), axis=dim, kind="stable")
    return np.ascontiguousarray(a.shape[dim] - 1 - np.flip(backwards, dim))


def _take(input: Tensor, dim: int, indices: Array) -> tuple[Tensor, Tensor]:
    """The values at the indices, recorded, and the indices."""
    places = dense(indices)
    return gather(input, dim, places), places


@composite
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """(values, indices): x in rising (or falling) order along `dim`, and where each element was.

    Shapes: those of x; indices int64. Gradient: dx = zeros.scatter(dim, indices, dvalues).
    Always stable; NaN comes last, or first when descending. Errors: IndexError. Source: torch.sort.

    Example:
        >>> import pydl
        >>> values, indices = pydl.sort(pydl.tensor([3., 1., 2.]))
        >>> values, indices
        (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    tensor_arg(input, "sort", "input")
    dim = dim_arg(dim, input.array.ndim, "sort")
    return _results.sort(*_take(input, dim, _order(input.array, dim, descending)))


@composite
def msort(input: Tensor) -> Tensor:
    """`sort` along dim 0, values only. Shapes, gradient, errors: as `sort`. Source: torch.msort.

    Example:
        >>> import pydl
        >>> pydl.msort(pydl.tensor([3., 1., 2.]))
        tensor([1., 2., 3.])
    """
    values: Tensor = sort(input, 0).values
    return values


@composite(differentiable=False)
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort x along `dim`; always stable.

    Shapes: those of x, int64. Gradient: none. Errors: IndexError for a dim out of range. Source: torch.argsort.

    Example:
        >>> import pydl
        >>> pydl.argsort(pydl.tensor([3., 1., 2.]), descending=True)
        tensor([0, 2, 1])
    """
    tensor_arg(input, "argsort", "input")
    return dense(_order(input.array, dim_arg(dim, input.array.ndim, "argsort"), descending))


@composite
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along `dim`, in order; of equal ones the first.

    Shapes: those of x with size k in `dim`. Gradient: as `sort`. Cost: a full sort, so that ties are always the same.
    Errors: RuntimeError if k is negative or larger than the dimension; IndexError. Source: torch.topk.

    Example:
        >>> import pydl
        >>> pydl.topk(pydl.tensor([3., 1., 2.]), 2)
        pydl.return_types.topk(
        values=tensor([3., 2.]),
        indices=tensor([0, 2]))
    """
    tensor_arg(input, "topk", "input")
    dim = dim_arg(dim, input.array.ndim, "topk")
    size = input.array.shape[dim] if input.array.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"topk: selected index k = {k} out of range for dimension {dim} with size {size}")
    order = _order(input.array, dim, largest)
    if order.ndim:
        order = np.take(order, np.arange(k), axis=dim)
    return _results.topk(*_take(input, dim, order))


def _kth(input: Tensor, k: int, dim: int, keepdim: bool, pick_nan: bool) -> tuple[Tensor, Tensor]:
    a: Array = input.array
    if a.ndim == 0:
        return input.clone(), dense(np.zeros((), np.int64))
    indices = np.take(_order(a, dim, False), [k], axis=dim)
    if pick_nan and a.dtype.kind == "f":
        nan = np.isnan(a)
        first = np.argmax(nan, axis=dim, keepdims=True)
        indices = np.where(nan.any(axis=dim, keepdims=True), first, indices)
    values, places = _take(input, dim, indices)
    return (values, places) if keepdim else (values.squeeze(dim), places.squeeze(dim))


@composite
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest element along `dim`, counted from 1.

    Shapes: x without the dim, or with size 1 there (`keepdim`); indices int64. Gradient: dy at that element.
    Errors: RuntimeError for k outside of 1 … size; IndexError. Source: torch.kthvalue.

    Example:
        >>> import pydl
        >>> pydl.kthvalue(pydl.tensor([3., 1., 2.]), 2).values
        tensor(2.)
    """
    tensor_arg(input, "kthvalue", "input")
    dim = dim_arg(dim, input.array.ndim, "kthvalue")
    size = input.array.shape[dim] if input.array.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue: selected number k = {k} out of range for dimension {dim} with size {size}")
    return _results.kthvalue(*_kth(input, k - 1, dim, keepdim, False))


@composite
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element; of an even number the lower of the two. With `dim`: (values, indices) along it.

    NaN if there is a NaN. Shapes: 0-d; or x without the dim, with size 1 there (`keepdim`); indices int64. Gradient: dy
    at that element. Errors: IndexError. Source: torch.median.

    Example:
        >>> import pydl
        >>> pydl.median(pydl.tensor([4., 1., 3., 2.]))
        tensor(2.)
    """
    tensor_arg(input, "median", "input")
    if dim is None:
        if input.array.size == 0:
            if input.array.dtype.kind == "f":
                return wrap(np.array(np.nan, input.array.dtype))
            raise RuntimeError("median: an empty integer tensor has no median")
        flat = input.reshape(-1)
        return _kth(flat, (input.array.size - 1) // 2, 0, False, True)[0]
    dim = dim_arg(dim, input.array.ndim, "median")
    size = input.array.shape[dim] if input.array.ndim else 1
    if size == 0:
        raise IndexError(f"median: Expected reduction dim {dim} to have non-zero size.")
    return _results.median(*_kth(input, (size - 1) // 2, dim, keepdim, True))


@composite(differentiable=False)
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values in rising order, or the different slices of `dim`.

    With `return_inverse` also the index of each element's value; with `return_counts` also how often each occurs. Each
    NaN is different from all others. Shapes: (number of values), or x with the number of slices in `dim`; inverse and
    counts int64. Gradient: none. Errors: IndexError. Source: torch.unique.

    Example:
        >>> import pydl
        >>> pydl.unique(pydl.tensor([3, 1, 3]), return_counts=True)
        (tensor([1, 3]), tensor([1, 2]))
    """
    tensor_arg(input, "unique", "input")
    a: Array = input.array
    axis = None if dim is None else dim_arg(dim, a.ndim, "unique")
    values, inverse, counts = np.unique(a, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    out = [dense(values)]
    if return_inverse:
        out.append(dense(inverse.reshape(a.shape if axis is None else -1)))
    if return_counts:
        out.append(dense(counts))
    return out[0] if len(out) == 1 else tuple(out)


@composite(differentiable=False)
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """x without the elements (or slices of `dim`) that equal the one before them.

    Shapes: as `unique`. Gradient: none. Errors: IndexError. Source: torch.unique_consecutive.

    Example:
        >>> import pydl
        >>> pydl.unique_consecutive(pydl.tensor([1, 1, 2, 1]))
        tensor([1, 2, 1])
    """
    tensor_arg(input, "unique_consecutive", "input")
    a: Array = input.array
    rows = a.reshape(-1) if dim is None else np.moveaxis(a, dim_arg(dim, a.ndim, "unique_consecutive"), 0)
    changed = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    starts = np.flatnonzero(np.r_[True, changed]) if len(rows) else np.zeros(0, np.int64)
    kept = rows[starts]
    out = [dense(kept if dim is None else np.moveaxis(kept, 0, dim))]
    if return_inverse:
        group = np.cumsum(np.r_[True, changed]) - 1 if len(rows) else starts
        out.append(dense(group.reshape(a.shape) if dim is None else group))
    if return_counts:
        out.append(dense(np.diff(np.append(starts, len(rows)))))
    return out[0] if len(out) == 1 else tuple(out)
