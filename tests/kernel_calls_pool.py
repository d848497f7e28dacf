# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the pooling kernels through their addresses, with geometries made of the reference's windows."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests import reference_pooling as reference
from tests.kernel_calls import Array, Call, Out

INDEX_TYPES = {1: np.uint8, 2: np.int16, 4: np.int32}
NAMES = ("n_in", "n_out", "kernel", "dilation", "stride", "full_lo", "full_hi", "even_lo", "even_hi")
TABLES = ("first", "lo", "hi", "count", "out_lo", "out_hi")


class Windows(ctypes.Structure):
    """pydl_windows of pool_kernels.h."""

    _fields_ = [*((name, ctypes.c_ssize_t) for name in NAMES), *((name, ctypes.c_void_p) for name in TABLES)]


class Geometry(ctypes.Structure):
    """pydl_pool_geometry of pool_kernels.h."""

    _fields_ = [
        *((name, Windows) for name in "dhw"),
        *((name, ctypes.c_ssize_t) for name in ("channels", "index_bytes")),
        ("offset", ctypes.c_void_p),
        ("divisor", ctypes.c_double),
    ]


@dataclass(frozen=True)
class How:
    """One dimension: input size and (kernel, stride, padding, dilation)."""

    size: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def windows(self) -> list[reference.Window]:
        return reference.regular(self.size, self.kernel, self.stride, self.padding, self.dilation, False, True)


def fill(w: Windows, how: How, keep: list[Array]) -> None:
    """The tables of one dimension, from their definition in pool_kernels.h."""
    outs = how.windows()
    first = np.array([o * how.stride - how.padding for o in range(len(outs))], np.int64)
    exists = [[k for k in range(how.kernel) if 0 <= f + k * how.dilation < how.size] for f in first]
    span = (how.kernel - 1) * how.dilation
    holds = [[o for o, f in enumerate(first) if f <= i <= f + span] for i in range(how.size)]
    full = [o for o, ks in enumerate(exists) if len(ks) == how.kernel]
    w.n_in, w.n_out, w.kernel, w.dilation, w.stride = how.size, len(outs), how.kernel, how.dilation, how.stride
    w.full_lo, w.full_hi = (full[0], full[-1] + 1) if full else (0, 0)
    even = [o for o, (_, count) in enumerate(outs) if count == how.kernel]
    w.even_lo, w.even_hi = (even[0], even[-1] + 1) if even else (0, 0)
    lo = [min(ks, default=0) for ks in exists]
    hi = [max(ks, default=-1) + 1 for ks in exists]
    tables = (
        first,
        lo,
        hi,
        [c for _, c in outs],
        [min(o, default=0) for o in holds],
        [max(o, default=-1) + 1 for o in holds],
    )
    for name, table in zip(TABLES, tables, strict=True):
        keep.append(np.array(table, np.int64))
        setattr(w, name, keep[-1].ctypes.data)


def geometry(hows: tuple[How, How, How], channels: int, index_bytes: int = 1, divisor: float = 0) -> Geometry:
    g, keep = Geometry(), []
    for w, how in zip((g.d, g.h, g.w), hows, strict=True):
        fill(w, how, keep)
    d, h, w = hows
    offsets = [
        (kd * d.dilation * h.size + kh * h.dilation) * w.size + kw * w.dilation
        for kd, kh, kw in itertools.product(range(d.kernel), range(h.kernel), range(w.kernel))
    ]
    keep.append(np.array(offsets, np.int64))
    g.offset, g.channels, g.index_bytes, g.divisor = keep[-1].ctypes.data, channels, index_bytes, divisor
    g.keep = keep
    return g


def winners(g: Geometry, hows: tuple[How, How, How], rng: np.random.Generator) -> Array:
    """Any element of each window that exists."""
    sizes = tuple(len(how.windows()) for how in hows)
    index = np.zeros((*sizes, g.channels), INDEX_TYPES[g.index_bytes])
    for o in np.ndindex(sizes):
        ks = []
        for at, how in zip(o, hows, strict=True):
            first = at * how.stride - how.padding
            ks.append([k for k in range(how.kernel) if 0 <= first + k * how.dilation < how.size])
        choices = [(a * hows[1].kernel + b) * hows[2].kernel + c for a, b, c in itertools.product(*ks)]
        index[o] = rng.choice(choices, g.channels) if choices else 0
    return index


def image_calls(
    hows: tuple[How, How, How], channels: int, index_bytes: int, dtype: Any, rng: np.random.Generator
) -> Iterator[Call]:
    """Every kernel on the last row of an image, and on the first."""
    g = geometry(hows, channels, index_bytes)
    ins, outs = tuple(h.size for h in hows), tuple(len(h.windows()) for h in hows)
    if 0 in outs:
        return
    x, dy = rng.standard_normal((*ins, channels)).astype(dtype), rng.standard_normal((*outs, channels)).astype(dtype)
    index = winners(g, hows, rng)
    y, dx = Out(np.zeros_like(dy)), Out(np.zeros_like(x))
    for row in {0, outs[0] * outs[1] - 1}:
        yield Call("pool.max_fwd", (g, x, row, y, Out(np.zeros_like(index))))
        yield Call("pool.max_fwd", (g, x, row, y, None))
        yield Call("pool.max_take", (g, x, index, row, y))
        yield Call("pool.max_places", (g, index, row, Out(np.zeros(index.shape, np.int64))))
        yield Call("pool.avg_fwd", (g, x, row, y))
    for row in {0, ins[0] * ins[1] - 1}:
        yield Call("pool.max_bwd", (g, dy, index, row, dx))
        yield Call("pool.avg_bwd", (g, dy, row, dx))
    if channels == 1:
        yield Call("pool.max_scatter", (g, dy, index, dx))
        yield Call("pool.avg_scatter", (g, dy, dx))


def whole_calls(
    n_planes: int, sizes: tuple[int, int, int], index_bytes: int, dtype: Any, rng: np.random.Generator
) -> Iterator[Call]:
    """Planes whose only window is the whole plane."""
    d, h, w = (How(size, size) for size in sizes)
    g = geometry((d, h, w), 1, index_bytes)
    x, y = rng.standard_normal((n_planes, *sizes)).astype(dtype), Out(np.zeros(n_planes, dtype))
    yield Call("pool.max_whole", (g, x, n_planes, y, Out(np.zeros(n_planes, INDEX_TYPES[index_bytes]))))
    yield Call("pool.max_whole", (g, x, n_planes, y, None))
    yield Call("pool.avg_whole", (g, x, n_planes, y))


def pool_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Images of n channels, rows of n pixels, n places."""
    at = rng.integers(0, 7, n)
    yield Call("pool.place_check", (at, n, 7))
    x, plane = rng.standard_normal(n).astype(dtype), rng.standard_normal(7).astype(dtype)
    for name in ("store", "add"):
        yield Call(f"pool.place_{name}", (x, at, n, Out(plane)))
    yield Call("pool.place_take", (plane, at, n, Out(x)))
    if n == 0:
        return
    flat, rows = How(1), How(3, 2, 1)
    for i, how in enumerate(((2, 1, 0), (3, 2, 1), (2, 2, 0, 2))):
        yield from image_calls((flat, rows, How(4, *how)), n, (1, 2, 4)[i], dtype, rng)
    for how in ((2, 2), (3, 2, 1), (3, 1, 1), (2, 1, 1, 3), (1, 1), (3, 3, 1), (2, 2, 1, 2)):
        if n + 2 * (how[2] if len(how) > 2 else 0) > (how[0] - 1) * (how[3] if len(how) > 3 else 1):
            yield from image_calls((flat, rows, How(n, *how)), 1, 1, dtype, rng)
    yield from image_calls((How(2, 2, 1, 1), How(2, 2), How(2, 2, 1)), n, 1, dtype, rng)
    yield from whole_calls(n, (1, 2, 3), 1, dtype, rng)
    for index_bytes in INDEX_TYPES:
        yield from whole_calls(2, (2, 2, n), index_bytes, dtype, rng)
