# SPDX-License-Identifier: BSD-3-Clause
"""Poolings written plainly, window by window: the specification that the tests compare pydl with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Window = tuple[list[int], int]  # the elements of a window that exist, and what an average divides by


def each(value: Any, n: int) -> list[Any]:
    return list(value) * (n // len(value)) if isinstance(value, Sequence) else [value] * n


def regular(
    n_in: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool, pad_counts: bool
) -> list[Window]:
    span = dilation * (kernel - 1) + 1
    steps = (n_in + 2 * padding - span) / stride
    n_out = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    if ceil_mode and (n_out - 1) * stride >= n_in + padding:
        n_out -= 1
    windows = []
    for o in range(n_out):
        elements = [o * stride - padding + k * dilation for k in range(kernel)]
        inside = [i for i in elements if 0 <= i < n_in]
        windows.append((inside, sum(i < n_in + padding for i in elements) if pad_counts else len(inside)))
    return windows


def adaptive(n_in: int, n_out: int) -> list[Window]:
    windows = []
    for o in range(n_out):
        inside = list(range(o * n_in // n_out, -(-(o + 1) * n_in // n_out)))
        windows.append((inside, len(inside)))
    return windows


def over(x: Array, windows: list[list[Window]], f: Callable[[Array, list[int], int], Any]) -> Array:
    """f(elements of the window, their places in the plane, divisor) for every window of every plane."""
    n = len(windows)
    planes = x.reshape(-1, *x.shape[-n:])
    out = [
        f(plane[np.ix_(*(w[0] for w in ws))].ravel(), places(ws, plane.shape), math.prod(w[1] for w in ws))
        for plane in planes
        for ws in itertools.product(*windows)
    ]
    return np.array(out).reshape(*x.shape[:-n], *(len(w) for w in windows))


def places(ws: Sequence[Window], sizes: Sequence[int]) -> list[int]:
    return [int(np.ravel_multi_index(p, tuple(sizes))) for p in itertools.product(*(w[0] for w in ws))]


def largest(elements: Array, at: list[int], divisor: int) -> tuple[Any, int]:
    best, where = elements[0], at[0]
    for value, place in zip(elements, at, strict=True):
        if value > best or value != value:
            best, where = value, place
    return best, where


def maxima(x: Array, windows: list[list[Window]], want: bool) -> Any:
    y = over(x, windows, lambda e, at, d: largest(e, at, d)[0]).astype(x.dtype)
    return (y, over(x, windows, lambda e, at, d: largest(e, at, d)[1]).astype(np.int64)) if want else y


def max_pool(
    n: int,
    x: Array,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    stride = kernel_size if stride is None or stride == () else stride
    sizes = zip(x.shape[-n:], *(each(v, n) for v in (kernel_size, stride, padding, dilation)), strict=True)
    return maxima(x, [regular(*s, ceil_mode, True) for s in sizes], return_indices)


def adaptive_max_pool(n: int, x: Array, output_size: Any, return_indices: bool = False) -> Any:
    return maxima(x, adaptive_windows(n, x, output_size), return_indices)


def adaptive_windows(n: int, x: Array, output_size: Any) -> list[list[Window]]:
    return [adaptive(i, i if o is None else o) for i, o in zip(x.shape[-n:], each(output_size, n), strict=True)]


def means(x: Array, windows: list[list[Window]], divisor: int | None) -> Array:
    return over(x, windows, lambda e, at, d: np.sum(e) / x.dtype.type(divisor or d)).astype(x.dtype)


def avg_pool(
    n: int, x: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Array:  # fmt: skip
    stride = kernel_size if stride is None or stride == () else stride
    sizes = zip(x.shape[-n:], *(each(v, n) for v in (kernel_size, stride, padding, 1)), strict=True)
    return means(x, [regular(*s, ceil_mode, count_include_pad) for s in sizes], divisor_override)


def adaptive_avg_pool(n: int, x: Array, output_size: Any) -> Array:
    return means(x, adaptive_windows(n, x, output_size), None)


def lp_pool(n: int, x: Array, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Array:
    """(Σ x^p)^(1/p) of the window; one cut off by ceil_mode counts for a whole one, as in PyTorch."""
    if norm_type in (math.inf, -math.inf):
        sign = 1 if norm_type > 0 else -1
        y: Array = sign * max_pool(n, sign * np.abs(x), kernel_size, stride, ceil_mode=ceil_mode)
        return y
    return (avg_pool(n, x**norm_type, kernel_size, stride, 0, ceil_mode) * math.prod(each(kernel_size, n))) ** (
        1 / norm_type
    )


def max_unpool(
    n: int, x: Array, indices: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Array:
    kernel, pads = each(kernel_size, n), each(padding, n)
    strides = each(kernel_size if stride is None else stride, n)
    sizes = [(i - 1) * s + k - 2 * p for i, s, k, p in zip(x.shape[-n:], strides, kernel, pads, strict=True)]
    return put(x, indices, sizes if output_size is None else list(output_size)[-n:], False)


def put(x: Array, indices: Array, sizes: Sequence[int], add: bool) -> Array:
    n = len(sizes)
    lead = x.shape[: x.ndim - n]
    y = np.zeros((math.prod(lead), math.prod(sizes)), x.dtype)
    m = math.prod(x.shape[x.ndim - n :])
    for plane in range(math.prod(lead)):
        for value, at in zip(
            x.reshape(-1, m)[plane] if m else (), indices.reshape(-1, m)[plane] if m else (), strict=True
        ):
            y[plane, at] = y[plane, at] + value if add else value
    return y.reshape(*lead, *sizes)


def take(x: Array, indices: Array) -> Array:
    """x (N, C, sizes...) at the places of indices (N, C, ...)."""
    flat, at = (a.reshape(*a.shape[:2], math.prod(a.shape[2:])) for a in (x, indices))
    return np.take_along_axis(flat, at, 2).reshape(indices.shape)


def average_back(x: Array, dy: Array, windows: list[list[Window]], divisor: int | None = None) -> Array:
    """The gradient of x in means(x) for dy."""
    n = len(windows)
    dx = np.zeros((math.prod(x.shape[:-n]), math.prod(x.shape[-n:])), dy.dtype)
    for plane, dyp in zip(dx, dy.reshape(len(dx), math.prod(dy.shape[-n:])), strict=True):
        for ws, g in zip(itertools.product(*windows), dyp, strict=True):
            plane[places(ws, x.shape[-n:])] += g / dy.dtype.type(divisor or math.prod(w[1] for w in ws))
    return dx.reshape(x.shape)
