# SPDX-License-Identifier: BSD-3-Clause
"""Tables of linear maps along one axis: which elements an output element reads, and with which weights.

Padding, resampling and channel shuffles are such maps, one per axis. An `Axis` describes one; its tables are small
vectors, made once and kept. The adjoint of a map has the same entries, sorted by the element that was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["Axis", "copies", "is_copy", "sums"]

Array = np.ndarray[Any, np.dtype[Any]]
Sums = tuple[Array, Array, Array | None]


@dataclass(frozen=True)
class Axis:
    """n_in elements become n_out.

    kind: reflect, replicate, circular (first: padding in front, last: behind), shuffle (first: groups),
    nearest, nearest-exact, linear, cubic, area, and linear-antialias, cubic-antialias.
    scale: source elements per output element, where it is not n_in / n_out.
    """

    kind: str
    n_in: int
    n_out: int
    first: int = 0
    last: int = 0
    scale: float | None = None
    align_corners: bool = False


COPIES = ("reflect", "replicate", "circular", "shuffle", "nearest", "nearest-exact")


def is_copy(axis: Axis) -> bool:
    """Whether every output element is one input element."""
    return axis.kind in COPIES


def _kept(*arrays: Array | None) -> tuple[Array | None, ...]:
    for a in arrays:
        if a is not None:
            a.setflags(write=False)
    return arrays


@lru_cache(maxsize=512)
def copies(axis: Axis, single: bool = False) -> Array:
    """index[o] = the element that output o is.

    single: nearest computes o · scale in float32, as PyTorch does for float32 tensors.
    """
    kind, n, m = axis.kind, axis.n_in, axis.n_out
    o = np.arange(m)
    if kind.startswith("nearest"):
        real = np.float32 if single else np.float64
        scale = real(n) / real(m) if axis.scale is None else real(axis.scale)
        at = o.astype(real) if kind == "nearest" else o.astype(real) + real(0.5)
        position = at * scale
        if n < 1 << 24:  # as PyTorch, which takes the floor in float32 for every type
            position = position.astype(np.float32)
        index = np.minimum(np.floor(position).astype(np.int64), n - 1)
    elif kind == "shuffle":
        index = o.reshape(axis.first, -1).T.reshape(-1)
    else:
        index = _padded(kind, o, n, axis.first, axis.last)
    index = np.ascontiguousarray(index, np.int64)
    _kept(index)
    return index


def _padded(kind: str, o: Array, n: int, first: int, last: int) -> Array:
    at = o - first
    if kind == "replicate":
        return np.clip(at, 0, n - 1)
    if kind == "reflect":
        at = np.abs(at) if first > 0 else at
        return np.where(at >= n, 2 * (n - 1) - at, at)
    crop = max(-first, 0)  # circular: what a negative padding cuts off is not wrapped
    kept = n - crop - max(-last, 0)
    return crop + (o - max(first, 0)) % max(kept, 1)


def _positions(axis: Axis) -> Array:
    """Where the centers of the output elements lie in the input."""
    scale = _scale(axis)
    o = np.arange(axis.n_out, dtype=np.float64)
    if axis.align_corners:
        return o * scale
    at: Array = (o + 0.5) * scale - 0.5
    return at if axis.kind == "cubic" else np.maximum(at, 0.0)


def _scale(axis: Axis) -> float:
    if axis.align_corners:
        return (axis.n_in - 1) / (axis.n_out - 1) if axis.n_out > 1 else 0.0
    return axis.n_in / axis.n_out if axis.scale is None else axis.scale


def _near(d: Array, a: float) -> Array:
    return ((a + 2) * d - (a + 3)) * d * d + 1


def _far(d: Array, a: float) -> Array:
    return ((d - 5) * d + 8) * d * a - 4 * a


def _linear(axis: Axis) -> tuple[Array, Array]:
    if axis.n_in == axis.n_out:
        o = np.arange(axis.n_out)
        return np.stack((o, o), 1), np.tile((1.0, 0.0), (axis.n_out, 1))
    at = _positions(axis)
    low = np.minimum(at.astype(np.int64), axis.n_in - 1)
    part = np.clip(at - low, 0.0, 1.0)
    return np.stack((low, np.minimum(low + 1, axis.n_in - 1)), 1), np.stack((1 - part, part), 1)


def _cubic(axis: Axis) -> tuple[Array, Array]:
    """Keys' kernel with a = −0.75, edges repeated."""
    a, at = -0.75, _positions(axis)
    low = np.minimum(np.floor(at).astype(np.int64), axis.n_in - 1)
    t = np.clip(at - low, 0.0, 1.0)
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, axis.n_in - 1)
    return index, np.stack((_far(t + 1, a), _near(t, a), _near(1 - t, a), _far(2 - t, a)), 1)


def _triangle(d: Array) -> Array:
    return np.maximum(1 - np.abs(d), 0.0)


def _keys(d: Array) -> Array:
    d = np.abs(d)
    return np.where(d < 1, _near(d, -0.5), np.where(d < 2, _far(d, -0.5), 0.0))


def _antialiased(axis: Axis) -> tuple[Array, Array, Array]:
    """The kernel stretched over the elements that an output element covers; its weights sum to 1."""
    scale = _scale(axis)
    wide = max(scale, 1.0)
    support = (1.0 if axis.kind.startswith("linear") else 2.0) * wide
    center = (np.arange(axis.n_out) + 0.5) * scale
    low = np.maximum((center - support + 0.5).astype(np.int64), 0)
    high = np.minimum((center + support + 0.5).astype(np.int64), axis.n_in)
    index = low[:, None] + np.arange(int((high - low).max(initial=1)))
    kernel = _triangle if axis.kind.startswith("linear") else _keys
    weight = kernel((index - center[:, None] + 0.5) / wide)
    inside = index < high[:, None]
    weight = np.where(inside, weight, 0.0)
    return index, weight / weight.sum(1, keepdims=True), inside


def _area(axis: Axis) -> tuple[Array, Array, Array]:
    o = np.arange(axis.n_out)
    low = o * axis.n_in // axis.n_out
    high = -(-(o + 1) * axis.n_in // axis.n_out)
    index = low[:, None] + np.arange(int((high - low).max(initial=1)))
    inside = index < high[:, None]
    return index, np.broadcast_to(1.0 / (high - low)[:, None], index.shape), inside


def _entries(axis: Axis, single: bool) -> tuple[Array, Array, Array | None]:
    """(output, input, weight) of every term, in the order of the outputs."""
    if is_copy(axis):
        return np.arange(axis.n_out), copies(axis, single), None
    if axis.kind in ("linear", "cubic"):
        index, weight = (_linear if axis.kind == "linear" else _cubic)(axis)
        inside = np.ones(index.shape, bool)
    else:
        index, weight, inside = (_area if axis.kind == "area" else _antialiased)(axis)
    return np.nonzero(inside)[0], index[inside], weight[inside]


@lru_cache(maxsize=512)
def sums(axis: Axis, dtype: Any, adjoint: bool) -> Sums:
    """(start, index, weight): output o is Σ_t weight[t] · x[index[t]] over start[o] ≤ t < start[o + 1].

    adjoint: of the transposed map, n_out elements to n_in, terms in the order of the outputs. weight None: ones.
    """
    out, index, weight = _entries(axis, dtype == np.float32)
    n = axis.n_out
    if adjoint:
        order = np.argsort(index, kind="stable")
        out, index, n = index[order], out[order], axis.n_in
        weight = None if weight is None else weight[order]
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(out, minlength=n), out=start[1:])
    index = np.ascontiguousarray(index, np.int64)
    weight = None if weight is None else np.ascontiguousarray(weight, dtype)
    _kept(start, index, weight)
    return start, index, weight
