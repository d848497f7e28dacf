# SPDX-License-Identifier: BSD-3-Clause
"""The compiled convolution against plain NumPy: every pass, geometry, type, layout, instruction set, thread count."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pydl._core import kernels, storage
from pydl._core.conv import conv_bwd_bias, conv_bwd_data, conv_bwd_weight, conv_fwd
from pydl._core.errors import ShapeError
from pydl._core.formats import has_own_format, in_own_format
from pydl._core.tape import wrap
from tests.kernel_calls import DTYPES

Array = np.ndarray[Any, np.dtype[Any]]
Geometry = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]  # stride, padding, dilation, groups
ROOT = Path(__file__).resolve().parent.parent


def output_sizes(x_shape: tuple[int, ...], w_shape: tuple[int, ...], geometry: Geometry) -> tuple[int, ...]:
    sizes = zip(x_shape[2:], w_shape[2:], *geometry[:3], strict=True)
    return tuple((n + 2 * p - d * (r - 1) - 1) // s + 1 for n, r, s, p, d in sizes)


def reference(x: Array, w: Array, b: Array, dy: Array, geometry: Geometry) -> tuple[Array, ...]:
    """y, dx, dw and db: tap by tap, on a padded copy."""
    stride, padding, dilation, groups = geometry
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    n, out = x.shape[0], dy.shape[2:]
    y, d_padded, dw = np.zeros((n, groups, w.shape[0] // groups, *out)), np.zeros(padded.shape), np.zeros(w.shape)
    per_group = w.shape[0] // groups
    wg, dyg = w.reshape(groups, per_group, *w.shape[1:]), dy.reshape(n, groups, per_group, *out)
    rows = dyg.reshape(n, groups, per_group, math.prod(out))
    for tap in itertools.product(*map(range, w.shape[2:])):
        at = tuple(
            slice(r * d, r * d + (m - 1) * s + 1, s) for r, d, m, s in zip(tap, dilation, out, stride, strict=True)
        )
        part = padded[(..., *at)].reshape(n, groups, w.shape[1], math.prod(out))
        y += np.einsum("ngcl,gkc->ngkl", part, wg[(..., *tap)]).reshape(y.shape)
        d_padded[(..., *at)] += np.einsum("ngkl,gkc->ngcl", rows, wg[(..., *tap)]).reshape(n, x.shape[1], *out)
        dw[(..., *tap)] = np.einsum("ngkl,ngcl->gkc", rows, part).reshape(w.shape[:2])
    y = y.reshape(n, w.shape[0], *out) + b.reshape(-1, *[1] * len(out))
    inside = tuple(slice(p, p + m) for p, m in zip(padding, x.shape[2:], strict=True))
    return y, d_padded[(..., *inside)], dw, dy.sum(axis=(0, *range(2, dy.ndim)))


def compiled(x: Array, w: Array, b: Array | None, dy: Array, geometry: Geometry, place: Any = wrap) -> list[Array]:
    """The four passes of the core."""
    tx, tw, tdy, tb = place(x), wrap(w), place(dy), None if b is None else wrap(b)
    results = [
        conv_fwd(tx, tw, tb, *geometry),
        conv_bwd_data(tdy, tw, x.shape, *geometry),
        conv_bwd_weight(tdy, tx, w.shape, *geometry),
        conv_bwd_bias(tdy),
    ]
    return [np.array(t.array) for t in results]


def operands(x_shape: tuple[int, ...], w_shape: tuple[int, ...], geometry: Geometry, dtype: Any) -> list[Array]:
    rng = np.random.default_rng(sum(x_shape) + 7 * sum(w_shape))
    dy_shape = (x_shape[0], w_shape[0], *output_sizes(x_shape, w_shape, geometry))
    return [rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, (w_shape[0],), dy_shape)]


def check(x_shape: tuple[int, ...], w_shape: tuple[int, ...], geometry: Geometry, dtype: Any) -> None:
    """Every element within eps·√terms·4 of the sum of the terms' sizes."""
    arrays = operands(x_shape, w_shape, geometry, dtype)
    got = compiled(*arrays, geometry)
    exact = [a.astype(np.float64) for a in arrays]
    want, scale = reference(*exact, geometry), reference(*(np.abs(a) for a in exact), geometry)
    pixels = arrays[3].size // max(w_shape[0], 1)
    lengths = np.prod(w_shape[1:]), np.prod(w_shape) / max(w_shape[1], 1), pixels, pixels
    for name, a, b, size, length in zip(("y", "dx", "dw", "db"), got, want, scale, lengths, strict=True):
        where = f"{name} of x {x_shape}, w {w_shape}, {geometry}, {np.dtype(dtype)}"
        assert a.shape == b.shape and a.dtype == dtype, where
        bound = np.finfo(dtype).eps * np.sqrt(length + 2) * 4 * size
        assert np.all(np.abs(a - b) <= bound), (
            f"{where}: {np.max(np.abs(a - b) / np.maximum(bound, 1e-300))} of the bound"
        )


# C, K and groups: few and odd channels, groups, depthwise with one output a channel and with several.
CHANNELS = [(1, 1, 1), (1, 6, 1), (3, 8, 1), (5, 17, 1), (17, 5, 1), (33, 33, 1), (4, 8, 2), (6, 9, 3), (34, 34, 2)]
CHANNELS += [(5, 5, 5), (17, 17, 17), (33, 33, 33), (3, 9, 3), (17, 34, 17)]


def planar_geometries(groups: int) -> list[tuple[tuple[int, ...], tuple[int, ...], Geometry]]:
    """(spatial sizes, kernel, geometry): all that fit."""
    found = []
    for size, kernel in itertools.product([(1, 1), (7, 13), (13, 7)], [(1, 1), (3, 3), (5, 5), (1, 5), (3, 2)]):
        for stride, padding, dilation in itertools.product(
            [(1, 1), (2, 2), (3, 1)], [(0, 0), (1, 1), (2, 5)], [(1, 1), (2, 1), (2, 2)]
        ):
            geometry = stride, padding, dilation, groups
            if min(output_sizes((1, 1, *size), (1, 1, *kernel), geometry)) > 0:
                found.append((size, kernel, geometry))
    return found


def check_grid(channels: tuple[int, int, int], dtype: Any, every: int) -> int:
    """The planar grid with every so-manieth of its geometries, and some in one and three dimensions."""
    c, k, groups = channels
    grid = planar_geometries(groups)
    for i, (size, kernel, geometry) in enumerate(grid[sum(channels) % every :: every]):
        check((1 if i % 2 else 3, c, *size), (k, c // groups, *kernel), geometry, dtype)
    check((3, c, 13), (k, c // groups, 3), ((2,), (1,), (2,), groups), dtype)
    check((1, c, 1), (k, c // groups, 3), ((1,), (1,), (1,), groups), dtype)
    check((1, c, 3, 4, 5), (k, c // groups, 3, 2, 3), ((1, 2, 1), (1, 0, 1), (1, 1, 2), groups), dtype)
    check((2, c, 5, 3, 4), (k, c // groups, 2, 3, 1), ((2, 1, 3), (0, 2, 0), (2, 1, 1), groups), dtype)
    return len(grid)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS, ids=str)
def test_grid(channels: tuple[int, int, int], dtype: Any) -> None:
    assert check_grid(channels, dtype, 9) > 200


# Several blocks of outputs, chunks of k, panels of columns and spans of pixels.
LARGE: list[tuple[tuple[int, ...], tuple[int, ...], Geometry]] = [
    ((2, 64, 29, 31), (70, 64, 3, 3), ((1, 1), (1, 1), (1, 1), 1)),
    ((3, 96, 14, 14), (40, 96, 3, 3), ((2, 2), (1, 1), (1, 1), 1)),
    ((2, 200, 13, 9), (48, 200, 1, 1), ((1, 1), (0, 0), (1, 1), 1)),
    ((1, 3, 61, 60), (32, 3, 7, 7), ((2, 2), (3, 3), (1, 1), 1)),
    ((8, 6, 28, 28), (16, 6, 5, 5), ((1, 1), (2, 2), (1, 1), 1)),
    ((4, 40, 28, 28), (80, 1, 3, 3), ((1, 1), (1, 1), (1, 1), 40)),
    ((2, 48, 30, 30), (48, 1, 5, 5), ((2, 2), (2, 2), (1, 1), 48)),
    ((2, 48, 20, 20), (72, 12, 3, 3), ((1, 1), (2, 2), (2, 2), 4)),
    ((1, 24, 3000), (24, 24, 9), ((1,), (4,), (1,), 1)),
    ((1, 16, 9, 20, 20), (16, 16, 3, 3, 3), ((1, 1, 1), (1, 1, 1), (1, 1, 1), 1)),
]
LARGE_IDS = [f"{x}-{w}" for x, w, _ in LARGE]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("x_shape", "w_shape", "geometry"), LARGE, ids=LARGE_IDS)
def test_large(x_shape: tuple[int, ...], w_shape: tuple[int, ...], geometry: Geometry, dtype: Any) -> None:
    check(x_shape, w_shape, geometry, dtype)


@pytest.mark.long
@pytest.mark.parametrize("isa", [isa for isa in kernels.isas() if isa != kernels.isa()])
def test_other_instruction_sets(isa: str) -> None:
    script = (
        "from tests.test_conv_kernels import *\n"
        f"assert kernels.isa() == {isa!r}\n"
        "for dtype in DTYPES:\n"
        "    for channels in CHANNELS:\n"
        "        check_grid(channels, dtype, 29)\n"
        "    for case in LARGE[:8]:\n"
        "        check(*case, dtype)\n"
    )
    env = {**os.environ, "PYDL_ISA": isa, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=env, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("x_shape", "w_shape", "geometry"), LARGE, ids=LARGE_IDS)
def test_threads_keep_the_bits(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], geometry: Geometry, dtype: Any
) -> None:
    arrays = operands(x_shape, w_shape, geometry, dtype)
    before = kernels.get_num_threads()
    results = set()
    try:
        for threads in (1, 2, 3, 5):
            kernels.set_num_threads(threads)
            results.add(b"".join(a.tobytes() for a in compiled(*arrays, geometry)))
    finally:
        kernels.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_layouts_keep_the_bits(groups: int, dtype: Any) -> None:
    """Transposed, stepped, reversed and stretched operands, and channels-last ones of either kind."""
    geometry: Geometry = ((2, 1), (1, 2), (1, 1), groups)
    arrays = operands((2, 6, 9, 8), (12, 6 // groups, 3, 3), geometry, dtype)
    want = [a.tobytes() for a in compiled(*arrays, geometry)]

    def channels_last(a: Array) -> Array:
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)

    def stepped(a: Array) -> Array:
        wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), dtype)
        wide[..., ::2] = a
        return wide[..., ::2]

    def reversed_(a: Array) -> Array:
        return np.ascontiguousarray(a[:, ::-1, ..., ::-1])[:, ::-1, ..., ::-1]

    for change in (channels_last, stepped, reversed_, lambda a: np.ascontiguousarray(a.T).T):
        changed = [change(a) if a.ndim > 1 else a for a in arrays]
        assert [np.ascontiguousarray(a).tobytes() for a in compiled(*changed, geometry)] == want
    own = compiled(*arrays, geometry, place=lambda a: in_own_format(wrap(a)))
    assert [np.ascontiguousarray(a).tobytes() for a in own] == want
    bias = np.zeros(24, dtype)
    bias[::2] = arrays[2]
    x, w = wrap(arrays[0]), wrap(arrays[1])
    assert np.array_equal(
        conv_fwd(x, w, wrap(bias[::2]), *geometry).array, conv_fwd(x, w, wrap(arrays[2]), *geometry).array
    )


def test_memory_format_of_results() -> None:
    """Own channels-last memory, unless the user's input or weight is channels-last."""
    geometry: Geometry = ((1, 1), (1, 1), (1, 1), 1)
    x, w, _, dy = operands((2, 6, 5, 4), (8, 6, 3, 3), geometry, np.float32)
    asked = wrap(np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1))
    assert has_own_format(conv_fwd(wrap(x), wrap(w), None, *geometry))
    assert has_own_format(conv_bwd_data(wrap(dy), wrap(w), x.shape, *geometry))
    y = conv_fwd(asked, wrap(w), None, *geometry)
    assert not has_own_format(y) and y.array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
def test_error_stays_small(dtype: Any) -> None:
    """6e-7 of the largest value in float32 (the same number of eps in float64), with terms of one sign."""
    for x_shape, w_shape, padding in [
        ((4, 64, 28, 28), (64, 64, 3, 3), 1),
        ((2, 512, 7, 7), (64, 512, 3, 3), 1),
        ((8, 1, 64, 64), (6, 1, 5, 5), 2),
    ]:
        geometry: Geometry = ((1, 1), (padding, padding), (1, 1), 1)
        arrays = [np.abs(a) for a in operands(x_shape, w_shape, geometry, dtype)]
        want = reference(*(a.astype(np.float64) for a in arrays), geometry)
        for a, b in zip(compiled(*arrays, geometry), want, strict=True):
            assert np.max(np.abs(a - b)) <= 5.03 * np.finfo(dtype).eps * np.max(b), (x_shape, a.shape)


@pytest.mark.parametrize("groups", [1, 2, 8])
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_stay_where_they_belong(special: float, groups: int) -> None:
    geometry: Geometry = ((1, 1), (1, 1), (1, 1), groups)
    arrays = [np.abs(a) + 1 for a in operands((2, 8, 7, 6), (8, 8 // groups, 3, 3), geometry, np.float32)]
    for i in (0, 1, 3):
        changed = [a.copy() for a in arrays]
        changed[i][(0, 0, 2, 1) if i == 1 else (1, 3, 4, 5)] = special
        with np.errstate(invalid="ignore"):
            want = reference(*changed, geometry)
        got = compiled(*changed, geometry)
        if i == 1:  # the gradient of the data pads dy with zeros, and 0·Inf is NaN
            assert np.isnan(got[1][:, 0, 0]).all()
            got[1][:, 0, 0] = want[1][:, 0, 0]
        for a, b in zip(got, want, strict=True):
            assert np.array_equal(np.isnan(a), np.isnan(b)) and np.array_equal(np.isinf(a), np.isinf(b))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [
    ((0, 3, 5, 5), (4, 3, 3, 3), 1), ((2, 0, 5, 5), (4, 0, 3, 3), 1), ((2, 3, 5, 5), (0, 3, 3, 3), 1),
    ((0, 4, 5, 5), (8, 1, 3, 3), 4), ((2, 2, 5, 5), (0, 1, 3, 3), 2),
], ids=str)  # fmt: skip
def test_size_zero(shapes: Any, dtype: Any) -> None:
    x_shape, w_shape, groups = shapes
    check(x_shape, w_shape, ((2, 1), (1, 1), (1, 1), groups), dtype)


def test_wide_steps_and_reaches() -> None:
    """Strides beyond the input, and padding around an input of size zero."""
    check((1, 2, 4, 5), (3, 2, 2, 2), ((1 << 30, 7), (1, 0), (3, 4), 1), np.float32)
    check((1, 2, 4, 5), (2, 1, 2, 2), ((1 << 30, 7), (1, 0), (3, 4), 2), np.float32)
    check((1, 2, 0, 5), (3, 2, 1, 2), ((1, 1), (1, 0), (1, 1), 1), np.float32)


@pytest.mark.parametrize("groups", [1, 8])
def test_out_of_memory_leaves_nothing(groups: int) -> None:
    """Whichever allocation fails: MemoryError, and no block stays in use."""
    geometry: Geometry = ((2, 2), (1, 1), (1, 1), groups)
    x, w, _, dy = (wrap(a) for a in operands((2, 8, 9, 9), (16, 8 // groups, 3, 3), geometry, np.float32))
    passes: list[Any] = [
        lambda: conv_fwd(x, w, None, *geometry),
        lambda: conv_bwd_data(dy, w, x.shape, *geometry),
        lambda: conv_bwd_weight(dy, x, w.shape, *geometry),
        lambda: conv_bwd_bias(dy),
    ]
    for run in passes:
        live, at = storage.stats()["blocks_live"], 0
        while True:
            at += 1
            storage.fail_allocation_at(at)
            try:
                run()
                break
            except MemoryError:
                assert storage.stats()["blocks_live"] == live
            finally:
                storage.fail_allocation_at(0)
        assert at > 2 and storage.stats()["blocks_live"] == live


def test_errors() -> None:
    x, w = wrap(np.zeros((2, 4, 5, 6), np.float32)), wrap(np.zeros((8, 4, 3, 3), np.float32))
    dy = wrap(np.zeros((2, 8, 3, 4), np.float32))
    one, none = (1, 1), (0, 0)
    bad: list[tuple[str, Any]] = [
        ("groups", (one, none, one, 3)),
        ("groups", (one, none, one, 0)),
        ("groups", (one, none, one, 2)),
        ("an element for each", ((1,), none, one, 1)),
        ("positive", ((0, 1), none, one, 1)),
        ("positive", (one, (-1, 0), one, 1)),
        ("positive", (one, none, (1, 1 << 40), 1)),
        ("larger than the input", (one, none, (3, 1), 1)),
    ]
    for text, geometry in bad:
        with pytest.raises(ShapeError, match=text):
            conv_fwd(x, w, None, *geometry)
        with pytest.raises(ShapeError, match=text):
            conv_bwd_data(dy, w, (2, 4, 5, 6), *geometry)
        with pytest.raises(ShapeError, match=text):
            conv_bwd_weight(dy, x, (8, 4, 3, 3), *geometry)
    good = (one, none, one, 1)
    with pytest.raises(ShapeError, match=r"bias \(7,\)"):
        conv_fwd(x, w, wrap(np.zeros(7, np.float32)), *good)
    with pytest.raises(ShapeError, match="dy"):
        conv_bwd_data(x, w, (2, 4, 5, 6), *good)
    with pytest.raises(ShapeError, match="dy"):
        conv_bwd_weight(x, x, (8, 4, 3, 3), *good)
    for shape in ((4, 5), (1, 4, 2, 3, 4, 5)):
        with pytest.raises(ShapeError, match="3 to 5 dimensions"):
            conv_fwd(wrap(np.zeros(shape, np.float32)), w, None, *good)
        with pytest.raises(ShapeError, match="3 to 5 dimensions"):
            conv_bwd_bias(wrap(np.zeros(shape, np.float32)))
    with pytest.raises(TypeError, match="float64"):
        conv_fwd(x, wrap(np.zeros((8, 4, 3, 3))), None, *good)
    with pytest.raises(TypeError, match="int64"):
        conv_bwd_bias(wrap(np.zeros((2, 8, 3, 4), np.int64)))
    with pytest.raises(MemoryError):
        conv_fwd(
            wrap(np.zeros((2, 1, 1, 1), np.float32)),
            wrap(np.zeros((1, 1, 1, 1), np.float32)),
            None,
            one,
            (1 << 30, 1 << 30),
            one,
            1,
        )
    with pytest.raises(ShapeError, match="larger than the input"):
        conv_bwd_data(dy, w, (2, 4, -5, 6), *good)
