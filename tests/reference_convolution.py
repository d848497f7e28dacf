# SPDX-License-Identifier: BSD-3-Clause
"""What the convolutions compute, plainly: sums over windows one way, additions of scaled kernels the other way."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = tuple[int, ...]


def _tuple(value: Any, n: int) -> Sizes:
    sizes = tuple(value) if isinstance(value, tuple | list) else (value,)
    return sizes * n if len(sizes) == 1 else sizes


def _windows(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> tuple[Array, Sizes]:
    """(N, groups, C/groups, outputs, taps) and the spatial sizes of the outputs."""
    n = len(kernel)
    padded = np.pad(x, [(0, 0), (0, 0)] + [(p, p) for p in padding])
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    every = sliding_window_view(padded, spans, axis=tuple(range(2, 2 + n)))
    steps = (slice(None),) * 2 + tuple(slice(None, None, s) for s in (*stride, *dilation))
    taken = every[steps]
    out = taken.shape[2 : 2 + n]
    return taken.reshape(x.shape[0], groups, x.shape[1] // groups, math.prod(out), math.prod(kernel)), out


def _gather(x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    windows, out = _windows(x, w.shape[2:], stride, padding, dilation, groups)
    grouped = w.reshape(groups, w.shape[0] // groups, w.shape[1], -1)
    return np.einsum("ngcpr,gkcr->ngkp", windows, grouped).reshape(x.shape[0], w.shape[0], *out)


def _scatter(x: Array, w: Array, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Array:
    """Every element of x adds its multiple of the kernel; w (C, K/groups, …), result (N, K, *out)."""
    batch, channels, *sizes = x.shape
    reach = [
        max((s - 1) * st + d * (k - 1) + 1, o + 2 * p)
        for s, st, d, k, o, p in zip(sizes, stride, dilation, w.shape[2:], out, padding, strict=True)
    ]
    y = np.zeros((batch, groups, w.shape[1], *reach), x.dtype)
    xs = x.reshape(batch, groups, channels // groups, *sizes)
    ws = w.reshape(groups, channels // groups, *w.shape[1:])
    for tap in itertools.product(*map(range, w.shape[2:])):
        at = tuple(
            slice(r * d, r * d + (s - 1) * st + 1, st) for r, d, s, st in zip(tap, dilation, sizes, stride, strict=True)
        )
        y[(..., *at)] += np.einsum("ngc...,gck->ngk...", xs, ws[(..., *tap)])
    cut = tuple(slice(p, p + o) for p, o in zip(padding, out, strict=True))
    return np.ascontiguousarray(y.reshape(batch, groups * w.shape[1], *reach)[(..., *cut)])


def convolution(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Array:
    n = input.ndim - 2
    stride, padding, dilation = (_tuple(v, n) for v in (stride, padding, dilation))
    if transposed:
        out = tuple(
            (s - 1) * st - 2 * p + d * (k - 1) + o + 1
            for s, st, p, d, k, o in zip(
                input.shape[2:], stride, padding, dilation, weight.shape[2:], _tuple(output_padding, n), strict=True
            )
        )
        y = _scatter(input, weight, out, stride, padding, dilation, groups)
    else:
        y = _gather(input, weight, stride, padding, dilation, groups)
    return y if bias is None else y + bias.reshape((-1,) + (1,) * n)


def conv(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    n = weight.ndim - 2
    x = input if input.ndim == n + 2 else input[None]
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(_tuple(dilation, n), weight.shape[2:], strict=True)]
        x = np.pad(x, [(0, 0), (0, 0)] + [(t // 2, t - t // 2) for t in total])
    y = convolution(x, weight, bias, stride, 0 if isinstance(padding, str) else padding, dilation, False, 0, groups)
    return y if input.ndim == n + 2 else y[0]


def conv_transpose(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    batched = input.ndim == weight.ndim
    x = input if batched else input[None]
    y = convolution(x, weight, bias, stride, padding, dilation, True, output_padding, groups)
    return y if batched else y[0]


def conv_bwd_data(
    grad_output: Array, weight: Array, input_shape: Sizes, stride: Any, padding: Any, dilation: Any, groups: int
) -> Array:
    return _scatter(grad_output, weight, input_shape[2:], stride, padding, dilation, groups)


def conv_bwd_weight(
    grad_output: Array, input: Array, weight_shape: Sizes, stride: Any, padding: Any, dilation: Any, groups: int
) -> Array:
    windows, out = _windows(input, weight_shape[2:], stride, padding, dilation, groups)
    dy = grad_output.reshape(input.shape[0], groups, weight_shape[0] // groups, math.prod(out))
    return np.einsum("ngkp,ngcpr->gkcr", dy, windows).reshape(weight_shape)


def conv_bwd_bias(grad_output: Array) -> Array:
    return np.asarray(grad_output.sum(axis=(0, *range(2, grad_output.ndim))))
