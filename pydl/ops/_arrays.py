# SPDX-License-Identifier: BSD-3-Clause
"""What the NumPy-backed operations have in common."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from pydl._core import dtypes
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap

Array = np.ndarray[Any, Any]
# One entry per dimension: an array of non-negative indices, or None for the whole dimension.
Index = tuple[Array | None, ...]


def dense(a: Any) -> Tensor:
    """A tensor around a NumPy result, which is copied only if it is not C-contiguous."""
    return wrap(np.asarray(a, order="C"))


def as_float(x: Tensor) -> Array:
    """The array of `x`, integers and bools converted to the default type."""
    a: Array = x.array
    return a if a.dtype.kind == "f" else a.astype(dtypes.default_np())


def along(ndim: int, dim: int, part: Any) -> tuple[Any, ...]:
    """The key that takes `part` (a slice, an array …) of dimension `dim`."""
    return (slice(None),) * dim + (part,)


def numpy_key(index: Index) -> tuple[Any, ...]:
    """The key that NumPy takes for an index with one entry per dimension."""
    return tuple(slice(None) if i is None else i for i in index)


def add_rows(out: Array, rows: Array, values: Array) -> None:
    """out[rows[i]] += values[i] for (R, D) and (N, D) arrays, in the order of i; rows may repeat."""
    if rows.size == 0 or values.size == 0:
        return
    if out.shape[1] == 1:
        np.add.at(out[:, 0], rows, values[:, 0])
        return
    order = np.argsort(rows, kind="stable")
    in_order = rows[order]
    first = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]])
    if first.size == rows.size:
        out[rows] += values
    else:
        out[in_order[first]] += np.add.reduceat(values[order], first, axis=0)


def scatter_index(dy: Array, index: Index, shape: tuple[int, ...]) -> Array:
    """The adjoint of x[index]: zeros of `shape`, to which every element of dy is added where it was read."""
    dims = [d for d, i in enumerate(index) if i is not None]
    arrays = np.broadcast_arrays(*(i for i in index if i is not None))
    count = arrays[0].ndim
    adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
    start = dims[0] if adjacent else 0
    rest = [d for d in range(len(shape)) if d not in dims]
    sizes, rest_sizes = [shape[d] for d in dims], [shape[d] for d in rest]
    out = np.zeros((prod(sizes), prod(rest_sizes)), dy.dtype)
    if out.size and dy.size:
        rows = np.ravel_multi_index(tuple(arrays), tuple(sizes)).ravel()
        values = np.moveaxis(dy, range(start, start + count), range(count)).reshape(rows.size, -1)
        add_rows(out, rows, values)
    unmoved = out.reshape(*sizes, *rest_sizes)
    return np.moveaxis(unmoved, range(len(shape)), dims + rest)
