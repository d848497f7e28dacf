# SPDX-License-Identifier: BSD-3-Clause
"""Interpolation and shuffles: layers against PyTorch, constants kept, adjoints, formats, threads, special values."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from tests.image_parity import check_same

MODES = [("nearest", n) for n in (1, 2, 3)] + [
    ("nearest-exact", 2), ("area", 2), ("linear", 1), ("bilinear", 2), ("bicubic", 2), ("trilinear", 3),
]  # fmt: skip
SCALES: tuple[dict[str, Any], ...] = (
    {"size": 7}, {"size": 3}, {"scale_factor": 2}, {"scale_factor": 0.6}, {"scale_factor": 1.7},
    {"scale_factor": 1.3, "recompute_scale_factor": True},
)  # fmt: skip


def _layer(name: str, *args: Any, **settings: Any) -> Any:
    *args, T = args
    return getattr(T.nn, name)(*args, **settings)


def _interpolation(T: Any, **settings: Any) -> Any:
    return partial(T.nn.functional.interpolate, **settings)


@pytest.mark.parity
@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("mode, n", MODES)
def test_upsample_follows_pytorch(mode: str, n: int, scale: dict[str, Any]) -> None:
    rng = np.random.default_rng(n)
    for align in (None, False, True) if mode[-6:] in ("linear", "icubic") else (None,):
        for shape in ((2, 3, 5, 7, 4)[: n + 2], (1, 1, 8, 3, 2)[: n + 2], (0, 3, 4, 4, 4)[: n + 2]):
            settings = {**scale, "mode": mode, "align_corners": align}
            check_same(partial(_layer, "Upsample", **settings), rng.standard_normal(shape), 64)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias_follows_pytorch(mode: str) -> None:
    x = np.random.default_rng(4).standard_normal((2, 3, 19, 23))
    for align in (None, True):
        for size in ((4, 5), (19, 7), (40, 11)):
            settings = {"size": size, "mode": mode, "align_corners": align, "antialias": True}
            check_same(partial(_interpolation, **settings), x, 64)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["UpsamplingNearest2d", "UpsamplingBilinear2d"])
def test_layers_of_images_follow_pytorch(name: str) -> None:
    x = np.random.default_rng(5).standard_normal((2, 3, 4, 5))
    for scale in ({"size": 7}, {"size": (3, 8)}, {"scale_factor": 2}, {"scale_factor": (1.5, 2.0)}):
        check_same(partial(_layer, name, **scale), x, 64)


@pytest.mark.parity
def test_texts_are_pytorchs() -> None:
    import torch

    def texts(T: Any) -> list[str]:
        nn = T.nn
        return [
            repr(m)
            for m in (
                nn.Upsample(scale_factor=2), nn.Upsample(size=(2, 3), mode="bilinear"), nn.UpsamplingNearest2d(size=3),
                nn.UpsamplingBilinear2d(scale_factor=(2, 3)), nn.PixelShuffle(3), nn.PixelUnshuffle(3),
                nn.ChannelShuffle(2), nn.Unfold(3, padding=1), nn.Fold((4, 5), (2, 2)),
            )
        ]  # fmt: skip

    assert texts(pydl) == texts(torch)


@pytest.mark.parity
@pytest.mark.parametrize("layer", ["PixelShuffle", "PixelUnshuffle", "ChannelShuffle"])
def test_shuffles_follow_pytorch(layer: str) -> None:
    rng = np.random.default_rng(6)
    for factor in (1, 2, 3):
        shapes = [(2, 4 * factor**2, 2, 5), (1, factor**2, 1, 3), (2, 2, 17 * factor**2, 3, 4)]
        if layer == "PixelUnshuffle":
            shapes = [(2, 3, 2 * factor, 5 * factor), (17, factor, factor), (2, 2, 3, factor, 2 * factor)]
        if layer == "ChannelShuffle":
            shapes = [(2, 4 * factor, 3, 5), (2, 17 * factor, 3), (1, factor, 2, 2, 2)]
        for shape in shapes:
            check_same(partial(_layer, layer, factor), rng.standard_normal(shape))


def test_shuffles_undo_each_other() -> None:
    for dtype in ("float32", "int64", "int16", "bool"):
        x = np.random.default_rng(7).integers(0, 2, (2, 18, 4, 5)).astype(dtype)
        y = F.pixel_unshuffle(F.pixel_shuffle(pydl.from_numpy(x), 3), 3)
        np.testing.assert_array_equal(y.numpy(), x)
        z = F.channel_shuffle(F.channel_shuffle(pydl.from_numpy(x), 3), 6)
        np.testing.assert_array_equal(z.numpy(), x)


def test_the_librarys_own_format_is_kept_and_never_seen() -> None:
    from pydl._core.formats import has_own_format, in_own_format

    x = pydl.from_numpy(np.random.default_rng(9).standard_normal((2, 8, 5, 6)))
    for call in (
        lambda t: F.interpolate(t, 7), lambda t: F.interpolate(t, (3, 9), mode="bicubic"),
        lambda t: F.pixel_shuffle(t, 2), lambda t: F.pixel_unshuffle(t[:, :, :4], 2),
        lambda t: F.channel_shuffle(t, 4),
    ):  # fmt: skip
        own = in_own_format(x)
        y, wanted = call(own), call(x)
        assert has_own_format(y) or not has_own_format(own)  # indexing is an observation
        assert y.is_contiguous() and y.stride() == wanted.stride()
        assert y.numpy().tobytes() == wanted.numpy().tobytes()


@pytest.mark.parametrize("mode, n", MODES)
def test_constants_stay_and_gradients_add_up(mode: str, n: int) -> None:
    """Weights of an output sum to 1, so gradients of ones sum to the number of outputs."""
    x = pydl.full((1, 2, 5, 6, 7)[: n + 2], 0.75, dtype=pydl.float64).requires_grad_()
    for size in (1, 3, 8, 40):
        y = F.interpolate(x, size, mode=mode)
        np.testing.assert_allclose(y.detach().numpy(), 0.75, rtol=1e-14)
        (dx,) = pydl.autograd.grad([y], [x], [pydl.ones_like(y)])
        np.testing.assert_allclose(dx.sum().item(), y.numel(), rtol=1e-13)


@pytest.mark.parity
def test_large_sizes_pick_pytorchs_nearest_element() -> None:
    """Also where float32 rounds o · n/m to the other side of a whole number."""
    import torch

    for dtype in (np.float32, np.float64):
        for n in (3, 48, 49, 113, 1000, 4095):
            x = np.arange(n, dtype=dtype)[None, None]
            for m in (1, 7, 47, 50, 111, 999, 3001):
                for mode in ("nearest", "nearest-exact"):
                    ours, theirs = (T.nn.functional.interpolate(T.from_numpy(x), m, mode=mode) for T in (pydl, torch))
                    np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=f"{n} to {m}, {mode}, {dtype}")


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_threads_give_the_same_bits(mode: str, last: bool, threads: None) -> None:
    x = np.random.default_rng(8).standard_normal((3, 24, 31, 37)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        pydl.set_num_threads(n)
        t = pydl.from_numpy(x)
        t = (t.to(memory_format=pydl.channels_last) if last else t).requires_grad_()
        y = F.interpolate(t, (50, 23), mode=mode)
        (dx,) = pydl.autograd.grad([y], [t], [y.detach() * 0.5])
        results.append(y.detach().numpy().tobytes() + dx.numpy().tobytes())
    assert results[0] == results[1] == results[2]


def test_nan_reaches_the_elements_that_read_it() -> None:
    for last in (False, True):
        x = np.zeros((1, 3, 6, 6), np.float32)
        x[0, 1, 2, 3] = np.nan
        t = pydl.from_numpy(x)
        t = t.to(memory_format=pydl.channels_last) if last else t
        y = F.interpolate(t, scale_factor=2, mode="bilinear").numpy()
        where = np.isnan(y)
        assert where[0, 1, 3:7, 5:9].all() and where.sum() == 16


def test_tables_do_not_grow_without_end() -> None:
    from pydl.ops import _tables

    for n in range(1, 700):
        F.interpolate(pydl.ones(1, 1, n), 2, mode="linear")
    assert _tables.sums.cache_info().currsize <= 512
