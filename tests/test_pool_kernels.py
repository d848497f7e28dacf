# SPDX-License-Identifier: BSD-3-Clause
"""The pooling kernels of every instruction set against the plain reference."""
# ruff: noqa: B023  (the functions made in loops are called in the same turn)

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import reference_pooling as reference
from tests.kernel_calls import EACH, EACH_IDS, Array, Call, Out
from tests.kernel_calls_pool import INDEX_TYPES, Geometry, How, geometry

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
GEOMETRIES = {
    "2x2": (How(1), How(6, 2, 2), How(39, 2, 2)),
    "3x3 stride 2": (How(1), How(7, 3, 2, 1), How(38, 3, 2, 1)),
    "3x3": (How(1), How(5, 3, 1, 1), How(37, 3, 1, 1)),
    "dilated": (How(1), How(6, 2, 1, 1, 3), How(21, 3, 1, 1, 2)),
    "over the input": (How(1), How(2, 2, 1, 1, 3), How(2, 2, 1, 1, 3)),
    "gaps": (How(1), How(8, 2, 3), How(29, 3, 4)),
    "volume": (How(4, 2, 2), How(5, 3, 1, 1), How(6, 2, 1)),
    "whole": (How(3, 3), How(5, 5), How(7, 7)),
}
CHANNELS = (1, 5, 67)
named = pytest.mark.parametrize("name", GEOMETRIES)


def planes(image: Array) -> Array:
    """(D, H, W, C) as (1, C, D, H, W)."""
    return np.moveaxis(image, -1, 0)[None]


def images(result: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(result[0], 0, -1))


def chosen(name: str, channels: int) -> tuple[How, How, How]:
    """The geometry; images of several channels, whose width does not matter to the vectors, are narrow."""
    d, h, w = GEOMETRIES[name]
    return (d, h, w) if channels == 1 else (d, h, replace(w, size=min(w.size, 8)))


def windows(hows: tuple[How, How, How]) -> list[list[reference.Window]]:
    return [how.windows() for how in hows]


def run_rows(isa: str, dtype: Any, name: str, n_rows: int, args: Any, start: list[Array]) -> list[Array]:
    """The kernel on every row; `args(row, outs)` makes the arguments, `start` the arrays that are written."""
    for row in range(n_rows):
        start = Call(name, args(row, [Out(a) for a in start])).run(isa, dtype)
    return start


def forward(isa: str, dtype: Any, g: Geometry, hows: tuple[How, How, How], x: Array) -> tuple[Array, Array]:
    outs = tuple(len(h.windows()) for h in hows)
    start = [np.full((*outs, g.channels), 7, dtype), np.zeros((*outs, g.channels), INDEX_TYPES[g.index_bytes])]
    y, index = run_rows(isa, dtype, "pool.max_fwd", outs[0] * outs[1], lambda row, o: (g, x, row, *o), start)
    (alone,) = run_rows(isa, dtype, "pool.max_fwd", outs[0] * outs[1], lambda row, o: (g, x, row, *o, None), start[:1])
    assert alone.tobytes() == y.tobytes()
    return y, index


@each
@named
@pytest.mark.parametrize("channels", CHANNELS)
def test_max(isa: str, dtype: Any, name: str, channels: int) -> None:
    hows, rng = chosen(name, channels), np.random.default_rng(channels)
    x = rng.integers(-4, 5, (*(h.size for h in hows), channels)).astype(dtype)  # ties
    outs = tuple(len(h.windows()) for h in hows)
    if name == "over the input":  # the windows step over everything
        y, index = forward(isa, dtype, geometry(hows, channels), hows, x)
        assert np.isneginf(y).sum() == channels
        return
    want, places = reference.maxima(planes(x), windows(hows), True)
    dy = rng.standard_normal(images(want).shape).astype(dtype)
    back = images(reference.put(planes(dy), places, x.shape[:3], True))
    for n_bytes in INDEX_TYPES:
        g = geometry(hows, channels, n_bytes)
        y, index = forward(isa, dtype, g, hows, x)
        assert y.tobytes() == images(want).tobytes()
        (at,) = run_rows(
            isa,
            dtype,
            "pool.max_places",
            outs[0] * outs[1],
            lambda row, o: (g, index, row, *o),
            [np.zeros(y.shape, np.int64)],
        )
        np.testing.assert_array_equal(at, images(places))
        (taken,) = run_rows(
            isa, dtype, "pool.max_take", outs[0] * outs[1], lambda row, o: (g, x, index, row, *o), [np.zeros_like(y)]
        )
        assert taken.tobytes() == y.tobytes()
        (dx,) = run_rows(
            isa,
            dtype,
            "pool.max_bwd",
            x.shape[0] * x.shape[1],
            lambda row, o: (g, dy, index, row, *o),
            [np.full_like(x, 7)],
        )
        assert dx.tobytes() == back.tobytes()
        if channels == 1:
            (dx,) = Call("pool.max_scatter", (g, dy, index, Out(np.full_like(x, 7)))).run(isa, dtype)
            assert dx.tobytes() == back.tobytes()


@each
@named
@pytest.mark.parametrize("channels", CHANNELS)
def test_average(isa: str, dtype: Any, name: str, channels: int) -> None:
    hows, rng = chosen(name, channels), np.random.default_rng(channels)
    x = rng.standard_normal((*(h.size for h in hows), channels)).astype(dtype)
    outs = tuple(len(h.windows()) for h in hows)
    bound = 8 * np.finfo(dtype).eps
    for divisor in (0, -3) if name != "over the input" else (4,):
        g = geometry(hows, channels, divisor=divisor)
        start = [np.full((*outs, channels), 7, dtype)]
        (y,) = run_rows(isa, dtype, "pool.avg_fwd", outs[0] * outs[1], lambda row, o: (g, x, row, *o), start)
        want = images(reference.means(planes(x.astype(np.longdouble)), windows(hows), divisor))
        assert np.abs(y - want).max() <= bound * np.abs(x).max() * 8
        dy = rng.standard_normal(y.shape).astype(dtype)
        back = images(reference.average_back(planes(x), planes(dy), windows(hows), divisor))
        (dx,) = run_rows(
            isa, dtype, "pool.avg_bwd", x.shape[0] * x.shape[1], lambda row, o: (g, dy, row, *o), [np.full_like(x, 7)]
        )
        assert dx.tobytes() == back.tobytes()
        if channels == 1:
            (dx,) = Call("pool.avg_scatter", (g, dy, Out(np.full_like(x, 7)))).run(isa, dtype)
            assert dx.tobytes() == back.tobytes()


@each
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", ["2x2", "3x3 stride 2", "3x3"])
def test_one_image_in_both_orders_gives_the_same_bits(isa: str, dtype: Any, name: str, channels: int) -> None:
    """Channels of a pixel in a vector, or neighboring pixels of a plane; NaN and infinities at every distance."""
    hows, rng = chosen(name, channels), np.random.default_rng(channels)
    x = rng.standard_normal((*(h.size for h in hows), channels)).astype(dtype)
    special = rng.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], dtype), x.shape)
    x = np.where(rng.random(x.shape) < 0.2, special, x)
    x[:, 0] = np.nan
    x[:, -1] = -np.inf
    g, plane = geometry(hows, channels), geometry(hows, 1)
    y, index = forward(isa, dtype, g, hows, x)
    want, places = reference.maxima(planes(x), windows(hows), True)
    np.testing.assert_array_equal(y, images(want))
    rows = y.shape[0] * y.shape[1]
    (at,) = run_rows(
        isa, dtype, "pool.max_places", rows, lambda row, o: (g, index, row, *o), [np.zeros(y.shape, np.int64)]
    )
    np.testing.assert_array_equal(at, images(places))
    (mean,) = run_rows(isa, dtype, "pool.avg_fwd", rows, lambda row, o: (g, x, row, *o), [np.zeros_like(y)])
    for c in range(channels):
        one = np.ascontiguousarray(x[..., c : c + 1])
        y1, index1 = forward(isa, dtype, plane, hows, one)
        assert y1.tobytes() == y[..., c : c + 1].tobytes() and np.array_equal(index1, index[..., c : c + 1])
        (mean1,) = run_rows(isa, dtype, "pool.avg_fwd", rows, lambda row, o: (plane, one, row, *o), [np.zeros_like(y1)])
        np.testing.assert_array_equal(mean1, mean[..., c : c + 1])


@each
@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 7, 7), (2, 3, 5), (1, 2, 67), (1, 1, 300)])
def test_whole_planes(isa: str, dtype: Any, sizes: tuple[int, int, int]) -> None:
    """As the window of channels-last images, bit for bit, for any number of planes; NaN and infinities anywhere."""
    rng = np.random.default_rng(sum(sizes))
    d, h, w = (How(size, size) for size in sizes)
    for n in (1, 3, 16, 33):
        x = rng.standard_normal((n, *sizes)).astype(dtype)
        special = rng.choice(np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], dtype), x.shape)
        x = np.where(rng.random(x.shape) < rng.choice([0, 0.03, 0.3], (n, 1, 1, 1)), special, x)
        image = np.ascontiguousarray(np.moveaxis(x, 0, -1))
        for n_bytes in INDEX_TYPES if math.prod(sizes) <= 256 else (2, 4):
            many, one = geometry((d, h, w), n, n_bytes), geometry((d, h, w), 1, n_bytes)
            y, index = forward(isa, dtype, many, (d, h, w), image)
            start = Out(np.zeros(n, dtype)), Out(np.zeros(n, INDEX_TYPES[n_bytes]))
            best, which = Call("pool.max_whole", (one, x, n, *start)).run(isa, dtype)
            np.testing.assert_array_equal(best, y.ravel())
            np.testing.assert_array_equal(which, index.ravel())
            (alone,) = Call("pool.max_whole", (one, x, n, start[0], None)).run(isa, dtype)
            assert alone.tobytes() == best.tobytes()
            (mean,) = run_rows(isa, dtype, "pool.avg_fwd", 1, lambda row, o: (many, image, row, *o), [np.zeros_like(y)])
            (got,) = Call("pool.avg_whole", (one, x, n, start[0])).run(isa, dtype)
            np.testing.assert_array_equal(got, mean.ravel())


@each
def test_places(isa: str, dtype: Any) -> None:
    x, at = np.arange(1, 6, dtype=dtype), np.array([3, 0, 3, 2, 0])
    plane = np.full(5, 10, dtype)
    assert Call("pool.place_store", (x, at, 5, Out(plane))).run(isa, dtype)[0].tolist() == [5, 10, 4, 3, 10]
    assert Call("pool.place_add", (x, at, 5, Out(plane))).run(isa, dtype)[0].tolist() == [17, 10, 14, 14, 10]
    assert Call("pool.place_take", (x, at, 5, Out(plane))).run(isa, dtype)[0].tolist() == [4, 1, 4, 3, 1]
    for size, first in ((4, -1), (3, 0), (0, 0)):
        assert Call("pool.place_check", (at, 5, size)).run(isa, dtype)[0] == first
    assert Call("pool.place_check", (np.array([1, -1, np.iinfo(np.int64).min]), 3, 9)).run(isa, dtype)[0] == 1
    assert Call("pool.place_check", (at, 0, 0)).run(isa, dtype)[0] == -1
