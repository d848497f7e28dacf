# SPDX-License-Identifier: BSD-3-Clause
"""What padding, resampling, shuffles, unfolding and tables of vectors compute: plain NumPy, a dense matrix an axis."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NUMPY_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Array, pad: Any, mode: str = "constant", value: float | None = None) -> Array:
    ndim = input.ndim
    if ndim == 0:
        return input.copy()
    sides = [(0, 0)] * (ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    grow = [(max(a, 0), max(b, 0)) for a, b in sides]

    def cropped(x: Array) -> Array:
        return x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, sides, strict=True))]

    if mode == "constant":
        return np.pad(cropped(input), grow, constant_values=0 if value is None else value)
    if mode == "circular":  # what is cut off does not come back at the other end
        return np.pad(cropped(input), grow, mode="wrap")
    return cropped(np.pad(input, grow, mode=NUMPY_MODES[mode]))  # type: ignore[call-overload,no-any-return]


def keys(d: float, a: float) -> float:
    """Keys' cubic kernel."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def matrix(kind: str, n: int, m: int, scale: float | None = None, align: bool = False) -> Array:
    """The (m, n) matrix that resamples n elements to m."""
    result = np.zeros((m, n), np.longdouble)
    step = n / m if scale is None else scale
    if align:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    for o in range(m):
        if kind.startswith("nearest"):
            at = (o + 0.5) * step if kind.endswith("exact") else o * step
            result[o, min(math.floor(at), n - 1)] = 1
        elif kind == "area":
            low, high = o * n // m, -(-(o + 1) * n // m)
            result[o, low:high] = np.longdouble(1) / (high - low)
        elif kind.endswith("antialias"):
            result[o] = _wide(kind, n, o, step)
        elif kind == "linear" and n == m:
            result[o, o] = 1
        else:
            at = o * step if align else (o + 0.5) * step - 0.5
            _narrow(result[o], kind, n, at)
    return result


def _narrow(row: Array, kind: str, n: int, at: float) -> None:
    if kind == "linear":
        at = max(at, 0.0)
    low = min(math.floor(at), n - 1)
    part = min(max(at - low, 0.0), 1.0)
    taps = ((0, 1 - part), (1, part)) if kind == "linear" else [(i, keys(part - i, -0.75)) for i in range(-1, 3)]
    for i, weight in taps:
        row[min(max(low + i, 0), n - 1)] += weight


def _wide(kind: str, n: int, o: int, step: float) -> Array:
    wide, linear = max(step, 1.0), kind.startswith("linear")
    center, support = (o + 0.5) * step, (1.0 if linear else 2.0) * wide
    low, high = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), n)
    row = np.zeros(n, np.longdouble)
    for i in range(low, high):
        d = (i - center + 0.5) / wide
        row[i] = max(1 - abs(d), 0.0) if linear else keys(d, -0.5)
    return np.asarray(row / row.sum())


def along(x: Array, map_: Array, dim: int) -> Array:
    return np.moveaxis(np.tensordot(map_, x, (1, dim)), 0, dim)


def axis_matrix(axis: Any) -> Array:
    """The dense matrix of a `pydl.ops._tables.Axis`."""
    n, m = axis.n_in, axis.n_out
    eye = np.eye(n, dtype=np.longdouble)
    if axis.kind in NUMPY_MODES:
        return pad(eye.T, (axis.first, axis.last), axis.kind).T
    if axis.kind == "shuffle":
        return eye.reshape(axis.first, n // axis.first, n).transpose(1, 0, 2).reshape(n, n)
    return matrix(axis.kind, n, m, axis.scale, axis.align_corners)


def resample(input: Array, axes: Any, adjoint: bool = False) -> Array:
    for d, axis in axes:
        a = axis_matrix(axis).astype(input.dtype)
        input = along(input, a.T if adjoint else a, d)
    return input


def interpolate(
    input: Array,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    spatial = input.shape[2:]
    kind = {"bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}.get(mode, mode) + "-antialias" * antialias
    given = scale_factor if size is None else size
    each = list(given) if isinstance(given, tuple) else [given] * len(spatial)
    for d, (n, g) in enumerate(zip(spatial, each, strict=True)):
        m = math.floor(n * g) if size is None else g
        keep = size is None and not recompute_scale_factor and mode != "area"
        a = matrix(kind, n, m, 1 / g if keep else None, bool(align_corners))
        input = along(input, a.astype(input.dtype), d + 2)
    return input


def pixel_shuffle(input: Array, upscale_factor: int) -> Array:
    *lead, c, h, w = input.shape
    r, k = upscale_factor, len(input.shape) - 3
    parts = input.reshape(*lead, c // (r * r), r, r, h, w)
    order = (*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return parts.transpose(order).reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Array, downscale_factor: int) -> Array:
    *lead, c, h, w = input.shape
    r, k = downscale_factor, len(input.shape) - 3
    parts = input.reshape(*lead, c, h // r, r, w // r, r)
    order = (*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return parts.transpose(order).reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Array, groups: int) -> Array:
    n, c, *rest = input.shape
    return input.reshape(n, groups, c // groups, *rest).swapaxes(1, 2).reshape(input.shape)


def two(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, tuple) else (value, value)  # type: ignore[return-value]


def unfold(input: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    if input.ndim == 3:
        return unfold(input[None], kernel_size, dilation, padding, stride)[0]
    (r, s), (d0, d1), (p0, p1), (s0, s1) = map(two, (kernel_size, dilation, padding, stride))
    x = np.pad(input, ((0, 0), (0, 0), (p0, p0), (p1, p1)))
    p = (x.shape[2] - d0 * (r - 1) - 1) // s0 + 1
    q = (x.shape[3] - d1 * (s - 1) - 1) // s1 + 1
    y = np.zeros((*x.shape[:2], r, s, p, q), x.dtype)
    for i, j, u, v in itertools.product(range(r), range(s), range(p), range(q)):
        y[:, :, i, j, u, v] = x[:, :, u * s0 + i * d0, v * s1 + j * d1]
    return y.reshape(x.shape[0], x.shape[1] * r * s, p * q)


def fold(
    input: Array, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:
    if input.ndim == 2:
        return fold(input[None], output_size, kernel_size, dilation, padding, stride)[0]
    (h, w), (r, s), (d0, d1), (p0, p1), (s0, s1) = map(two, (output_size, kernel_size, dilation, padding, stride))
    n, c = input.shape[0], input.shape[1] // (r * s)
    p = (h + 2 * p0 - d0 * (r - 1) - 1) // s0 + 1
    q = (w + 2 * p1 - d1 * (s - 1) - 1) // s1 + 1
    x = np.zeros((n, c, h + 2 * p0, w + 2 * p1), input.dtype)
    y = input.reshape(n, c, r, s, p, q)
    for i, j, u, v in itertools.product(range(r), range(s), range(p), range(q)):
        x[:, :, u * s0 + i * d0, v * s1 + j * d1] += y[:, :, i, j, u, v]
    return x[:, :, p0 : p0 + h, p1 : p1 + w]


def embedding(input: Array, weight: Array, padding_idx: int | None = None, **settings: Any) -> Array:
    return weight[input]


def embedding_backward(dy: Array, indices: Array, rows: int, padding: int = -1, by_frequency: bool = False) -> Array:
    dw = np.zeros((rows, dy.shape[-1]), dy.dtype)
    for place in np.ndindex(*indices.shape):
        v = indices[place]
        if v != padding:
            dw[v] += dy[place] / ((indices == v).sum() if by_frequency else 1)
    return dw


def bag_sum(weight: Array, indices: Array, starts: Array, weights: Array | None = None, *_: Any) -> Array:
    y = np.zeros((len(starts) - 1, weight.shape[1]), weight.dtype)
    for b in range(len(starts) - 1):
        for t in range(starts[b], starts[b + 1]):
            y[b] += weight[indices[t]] * (1 if weights is None else weights[t])
    return y


def embedding_bag(
    input: Array,
    weight: Array,
    offsets: Array | None = None,
    max_norm: None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Array | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Array:
    ids = input.reshape(-1)
    ends = np.arange(input.shape[0] + 1) * input.shape[1] if offsets is None else offsets
    if offsets is not None and not include_last_offset:
        ends = np.append(ends, ids.size)
    factors = np.ones(ids.size, weight.dtype) if per_sample_weights is None else per_sample_weights.reshape(-1)
    y = np.zeros((len(ends) - 1, weight.shape[1]), weight.dtype)
    skip = None if padding_idx is None else padding_idx % weight.shape[0]
    for b in range(len(ends) - 1):
        chosen = [t for t in range(ends[b], ends[b + 1]) if ids[t] != skip]
        if chosen:
            rows = weight[ids[chosen]] * factors[chosen, None]
            y[b] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)
    return y
