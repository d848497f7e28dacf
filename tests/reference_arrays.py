# SPDX-License-Identifier: BSD-3-Clause
"""What the operations compute that move, sort, select and scatter elements: plain NumPy."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def roll(input: Array, shifts: Any, dims: Any = None) -> Array:
    return np.roll(input, shifts, axis=dims)


def tile(input: Array, *dims: Any) -> Array:
    return np.tile(input, dims[0] if isinstance(dims[0], tuple) else dims)


def repeat_interleave(input: Array, repeats: Any, dim: int | None = None) -> Array:
    return np.repeat(input, repeats, axis=dim)


def diag_embed(input: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    n = input.shape[-1] + abs(offset)
    result = np.zeros((*input.shape[:-1], n, n), input.dtype)
    for k in range(input.shape[-1]):
        result[..., k + builtins.max(-offset, 0), k + builtins.max(offset, 0)] = input[..., k]
    return np.moveaxis(result, (-2, -1), (dim1, dim2))


def diagonals(keep: Any, row: int, col: int, offset: int = 0) -> Array:
    places = [(i, j) for i in range(row) for j in range(col) if keep(j - i, offset)]
    return np.array(places, np.int64).reshape(-1, 2).T


def isclose(input: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    return np.isclose(input, other, rtol, atol, equal_nan)


def one_hot(tensor: Array, num_classes: int = -1) -> Array:
    n = int(tensor.max()) + 1 if num_classes < 0 else num_classes
    return (tensor[..., np.newaxis] == np.arange(n)).astype(np.int64)


def bincount(input: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    result = np.zeros(builtins.max(int(input.max(initial=-1)) + 1, minlength), np.int64 if weights is None else float)
    for k, value in enumerate(input):
        result[value] += 1 if weights is None else weights[k]
    return result


def masked_select(input: Array, mask: Array) -> Array:
    both = np.broadcast_arrays(input, mask)
    return np.array([v for v, m in zip(both[0].ravel(), both[1].ravel(), strict=True) if m], input.dtype)


def nonzero(input: Array, as_tuple: bool = False) -> Any:
    places = [place for place in np.ndindex(input.shape) if input[place] != 0]
    table = np.array(places, np.int64).reshape(len(places), input.ndim)
    return tuple(table.T) if as_tuple else table


def count_nonzero(input: Array, dim: Any = None) -> Any:
    return np.sum(input != 0, axis=dim, dtype=np.int64)


def order(input: Array, dim: int, descending: bool) -> Array:
    """Stable: equal values stay in their order."""
    if input.ndim == 0:
        return np.zeros((), np.int64)
    return np.argsort(-input if descending else input, axis=dim, kind="stable")


def sort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> tuple[Array, Array]:
    places = order(input, dim, descending)
    return (np.take_along_axis(input, places, dim) if input.ndim else input), places


def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    return order(input, dim, descending)


def msort(input: Array) -> Array:
    return sort(input, 0)[0]


def topk(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    values, places = sort(input, dim, largest)
    if input.ndim == 0:
        return values, places
    return np.take(values, range(k), dim), np.take(places, range(k), dim)


def kthvalue(input: Array, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    values, places = sort(input, dim)
    if input.ndim == 0:
        return values, places
    at = [k - 1] if keepdim else k - 1
    return np.take(values, at, dim), np.take(places, at, dim)


def median(input: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two in the middle."""
    if dim is None:
        return np.sort(input, axis=None)[(input.size - 1) // 2]
    return kthvalue(input, (input.shape[dim] + 1) // 2 if input.ndim else 1, dim, keepdim)


def _different(input: Array, dim: int | None, return_inverse: bool, return_counts: bool, order: Any) -> Any:
    """The different slices of `dim` as a list is made of them, one by one; `order` puts their numbers in order."""
    slices = list(np.moveaxis(input, dim or 0, 0)) if dim is not None else [np.asarray(v) for v in input.ravel()]
    groups = order([tuple(s.ravel()) for s in slices])
    inverse = np.zeros(len(slices), np.int64)
    for k, group in enumerate(groups):
        inverse[group] = k
    kept = [slices[group[0]] for group in groups]
    if dim is not None:
        values = np.stack(kept, dim)
    else:
        values = np.array(kept, input.dtype)
        inverse = inverse.reshape(input.shape)
    counts = np.array([len(group) for group in groups], np.int64)
    rest = [inverse] * return_inverse + [counts] * return_counts
    return (values, *rest) if rest else values


def unique(input: Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    def order(keys: list[Any]) -> list[list[int]]:
        return [[i for i, k in enumerate(keys) if k == key] for key in sorted(set(keys))]

    return _different(input, dim, return_inverse, return_counts, order)


def unique_consecutive(
    input: Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    def order(keys: list[Any]) -> list[list[int]]:
        starts = [i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1]]
        return [list(range(a, b)) for a, b in pairwise([*starts, len(keys)])]

    return _different(input, dim, return_inverse, return_counts, order)


def tensor_split(input: Array, indices_or_sections: Any, dim: int = 0) -> tuple[Array, ...]:
    return tuple(np.array_split(input, indices_or_sections, axis=dim))


def split_with_sizes(input: Array, split_sizes: Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    return tuple(np.split(input, np.cumsum(split_sizes)[:-1], axis=dim))


def narrow(input: Array, dim: int, start: int, length: int) -> Array:
    return np.take(input, range(start, start + length), dim)


def scatter(
    input: Array, dim: int, index: Array, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Array:
    result = np.array(input)
    src = value if src is None else src
    for place in np.ndindex(index.shape):
        target: Any = list(place)
        if target:
            target[dim] = int(index[place])
        value = src[place] if isinstance(src, np.ndarray) and src.ndim else src
        result[tuple(target)] = result[tuple(target)] + value if reduce == "add" else value
    return result


def scatter_add(input: Array, dim: int, index: Array, src: Array) -> Array:
    return scatter(input, dim, index, src, reduce="add")


def index_add(input: Array, dim: int, index: Array, source: Array, alpha: float = 1) -> Array:
    result = np.moveaxis(np.array(input), dim, 0)
    for k, row in enumerate(index):
        result[row] += alpha * np.moveaxis(source, dim, 0)[k]
    return np.moveaxis(result, 0, dim)


def index_put(input: Array, indices: tuple[Any, ...], values: Array, accumulate: bool = False) -> Array:
    result = np.array(input)
    key = tuple(slice(None) if i is None else i for i in indices)
    if accumulate:
        np.add.at(result, key, values)
    else:
        result[key] = values
    return result


def index_adjoint(dy: Array, where: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    return index_put(np.zeros(shape, dy.dtype), where, dy, True)


def norm(input: Array, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Any:
    axis = tuple(range(input.ndim)) if dim is None or dim == () else dim
    size = np.abs(input)
    if p in (np.inf, -np.inf):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdim)
    if p == 0:
        return np.sum(input != 0, axis=axis, keepdims=keepdim).astype(input.dtype)
    p = np.longdouble(2 if p in ("fro", None) else p)
    return np.sum(size**p, axis=axis, keepdims=keepdim) ** (1 / p)


def smooth_l1_loss(input: Array, target: Array, beta: float = 1.0) -> Array:
    d = np.abs(input - target)
    return np.where(d < beta, d * d / (2 * beta), d - beta / 2) if beta else d


def huber_loss(input: Array, target: Array, delta: float = 1.0) -> Array:
    d = np.abs(input - target)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


def sum_to_size(input: Array, *size: int) -> Array:
    lead = input.ndim - len(size)
    result = np.sum(input, axis=tuple(range(lead)))
    return np.sum(result, axis=tuple(d for d, n in enumerate(size) if n == 1), keepdims=True).reshape(size)
