# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the convolution kernels: small correlations whose arrays are exactly as large as they need to be."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import Call, Out

Sizes = tuple[int, int, int]
MOST_LANES, MOST_COLUMNS = 16, 32  # of any instruction set: lanes of a vector, columns of a panel


class Correlation(ctypes.Structure):
    """pydl_correlation of conv_kernels.h."""

    _fields_ = [
        *(
            (name, ctypes.c_ssize_t * 3)
            for name in ("in_", "out", "taps", "step", "first", "apart", "full", "at", "every")
        ),
        *((name, ctypes.c_ssize_t) for name in ("channels", "pixel")),
    ]


class Weight(ctypes.Structure):
    """pydl_conv_weight of conv_kernels.h."""

    _fields_ = [
        *((name, ctypes.c_ssize_t * 3) for name in ("taps", "tap")),
        *((name, ctypes.c_ssize_t) for name in ("channels", "channel", "n", "column")),
    ]


def correlation(
    sizes: Sizes, taps: Sizes, step: Sizes, padding: Sizes, apart: Sizes, channels: int, pixel: int, every: int = 1
) -> Correlation:
    """The forward pass's correlation, or (every > 1) one whose outputs are a part of a larger tensor."""
    g = Correlation(channels=channels, pixel=pixel)
    for d in range(3):
        g.in_[d], g.taps[d], g.step[d], g.first[d], g.apart[d] = sizes[d], taps[d], step[d], -padding[d], apart[d]
        g.out[d] = (sizes[d] + 2 * padding[d] - apart[d] * (taps[d] - 1) - 1) // step[d] + 1
        g.every[d] = every if d == 2 else 1
        g.at[d] = g.every[d] - 1
        g.full[d] = g.out[d] * g.every[d]
    return g


def weight(taps: Sizes, channels: int, n: int) -> Weight:
    """A contiguous (n, channels, *taps) tensor."""
    per_channel = math.prod(taps)
    g = Weight(channels=channels, channel=per_channel, n=n, column=per_channel * channels)
    for d in range(3):
        g.taps[d], g.tap[d] = taps[d], math.prod(taps[d + 1 :])
    return g


GEOMETRIES: list[tuple[Sizes, Sizes, Sizes, Sizes, Sizes]] = [  # sizes, taps, step, padding, apart
    ((1, 2, 2), (1, 2, 2), (1, 1, 1), (0, 1, 1), (1, 1, 1)),
    ((1, 1, 5), (1, 1, 3), (1, 1, 2), (0, 0, 0), (1, 1, 1)),
    ((2, 1, 3), (2, 1, 2), (1, 1, 1), (0, 0, 2), (1, 1, 2)),
]
DEPTHWISE = [  # size, taps, step, padding: runs of 4 and of 8 outputs
    (5, (1, 3), 1, 1), (11, (3, 3), 1, 1), (18, (1, 3), 2, 1), (8, (1, 3), 2, 1), (13, (1, 5), 1, 1), (7, (3, 5), 1, 1),
]  # fmt: skip


def conv_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every convolution kernel with n channels, n columns or rows of n elements."""

    def values(size: int) -> np.ndarray[Any, np.dtype[Any]]:
        return rng.standard_normal(size).astype(dtype)

    def zeros(size: int) -> Out:
        return Out(np.zeros(size, dtype))

    for channels, columns in ((n % 5, n), (2, 5)):
        g, k = weight((1, 1, 2), channels, columns), 2 * channels
        padded = columns + MOST_COLUMNS
        yield Call("conv.pack", (g, values(k * columns), zeros(k * padded)))
        yield Call("conv.pack_taps", (g, values(k * columns), zeros((2 * columns + MOST_COLUMNS) * channels)))
        rows = values((columns - 1) * (k + 1) + k if k and columns else 0)
        yield Call("conv.unpack", (g, rows, k + 1, zeros(k * columns)))
    yield Call("conv.unpack", (weight((1, 1, 3), n, 2), values(6 * n), 3 * n, zeros(6 * n)))
    if n:  # three pixels in tiles of 3 to 14 rows
        dy, tile = values(2 * (n + 1) + n), 3 * 14 + MOST_LANES
        yield Call("conv.pack_pixels", (3, n, dy, n + 1, dy.size, zeros((n // 3 + 1) * tile), tile))
    yield Call("conv.repeat", (2, n, 3, values(2 * n), zeros(6 * n)))
    yield Call("conv.fold", (2, n, 3, values(6 * n), zeros(2 * n)))
    for size, taps, step, padding in DEPTHWISE:
        g = correlation((1, 1, size), (1, *taps), (1, 1, step), (0, taps[0] // 2, padding), (1, 1, 1), n, n)
        x, w, outputs = values(size * n), values(math.prod(taps) * n), math.prod(g.out)
        for bias in (None, values(n)):
            yield Call("conv.depthwise", (g, x, w, bias, 0, g.out[1], zeros(outputs * n)))
    for geometry in GEOMETRIES:
        yield from correlation_calls(geometry, n, values, zeros)


def correlation_calls(geometry: Any, n: int, values: Any, zeros: Any) -> Iterator[Call]:
    """gather of whole rows and of a part, lines, scatter, and both passes of depthwise, n channels a pixel."""
    g = correlation(*geometry, n, n)
    pixels, outputs, taps = math.prod(g.in_), math.prod(g.out), math.prod(g.taps)
    lines = g.out[0] * g.out[1]
    for extra in (0, 1):  # the group's channels are all of a pixel's, or not
        part, x = correlation(*geometry, n, n + extra), values(max(pixels * (n + extra) - extra, 0))
        for k0, kc in ((0, taps * n), (n // 2, max(taps * n - n, 0))):
            count, ld = min(outputs - 1, 3), kc + MOST_LANES - 1
            yield Call("conv.gather", (part, x, x.size, 1, count, k0, kc, zeros(count * ld), ld))
        ld, width = n + 64 // x.itemsize - 1, (g.out[2] - 1) * g.step[2] + (g.taps[2] - 1) * g.apart[2] + 1
        yield Call("conv.lines", (part, x, x.size, lines - 1, 1, n, zeros(g.taps[0] * g.taps[1] * width * ld), ld))
    if g.taps[0] == g.apart[2] == 1:
        k, lda = taps * n, ((g.out[2] - 1) * g.step[2] + g.taps[2]) * n + 64 // x.itemsize - 1
        for h in range(g.out[1]):
            yield Call("conv.add_taps", (g, values(g.out[2] * k), k, h, 0, g.in_[1], Out(values(g.in_[1] * lda)), lda))
    spread = correlation(*geometry, n, n, every=2)
    y = zeros(math.prod(spread.full) * n)
    yield Call("conv.scatter", (spread, 1, outputs - 1, n, values((outputs - 1) * n), y, n))
    x, w, dy = values(pixels * n), values(taps * n), values(outputs * n)
    for bias in (None, values(n)):
        yield Call("conv.depthwise", (g, x, w, bias, 0, lines, zeros(outputs * n)))
    yield Call("conv.depthwise", (spread, x, w, None, 0, lines, y))
    yield Call("conv.depthwise_weight", (g, x, dy, 0, lines, zeros(taps * n)))
