# SPDX-License-Identifier: BSD-3-Clause
"""Cases of padding, resampling, shuffles, unfold and fold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pydl.ops._tables import Axis
from tests import reference_images as reference
from tests.harness import Case, Draw, Error, S, Sample


def _registered(name: str) -> Callable[..., Any]:
    from pydl._core.dispatch import registry

    return registry[name]


# --- padding ----------------------------------------------------------------------------------------------------------


def _constant(g: Draw) -> Iterator[Sample]:
    for shape, sizes in (
        ((2, 3, 4), (1, 2)),
        ((2, 3, 4), (1, 0, 0, 2, 3, 1)),
        ((2, 3, 5, 7), (1, 1, 2, 2)),
        ((1, 5, 33, 2), (3, 0, 0, 1)),
        ((2, 2, 2, 3, 3), (1, 2, 0, 1, 1, 0)),
        ((4, 6), (-1, -2, 1, -1)),
        ((5,), (-5, 0)),
        ((3, 4), (0, 0)),
        ((), ()),
        ((1,), (2, 2)),
        ((0,), (2, 1)),
        ((2, 0, 3), (1, 1, 1, 1)),
    ):
        yield S(g.normal(*shape), sizes)
        yield S(g.normal(*shape), sizes, value=0.625)
    yield S(g.integers(-9, 9, 3, 4), (1, 1))
    yield S(g.integers(-9, 9, 3, 4), (1, 1), value=-2.75)
    yield S(g.integers(-9, 9, 3, 4).astype(np.int8), (0, 3), value=-128)
    yield S(g.flags(3, 4), (1, 1), value=0.5)


def _pad(g: Draw) -> Iterator[Sample]:
    yield S(g.normal(1), (1, 1))
    yield S(g.normal(0, 4), (1, 1))
    yield S(g.normal(2, 3), (1, 2), "constant", -1.5)
    for mode in ("reflect", "replicate", "circular"):
        for shape, sizes in (
            ((2, 3, 4), (1, 2)),
            ((3, 5), (0, 3)),
            ((2, 3, 4, 5), (2, 1, 0, 3)),
            ((3, 4, 5), (1, 1, 1, 1)),
            ((1, 17, 3, 34), (2, 2, 2, 2)),
            ((1, 2, 3, 4, 3), (1, 2, 0, 1, 2, 0)),
            ((2, 3, 4), (-1, 2)),
            ((2, 3, 4), (2, -1)),
            ((0, 3, 4), (1, 2)),
            ((1, 1, 2), (1, 1)),
        ):
            yield S(g.normal(*shape), sizes, mode)
    yield S(g.integers(-9, 9, 3, 4), (1, 1), "reflect")


def _bad_pads(g: Draw) -> Iterator[Error]:
    x = g.normal(1, 3, 4)
    yield Error(S(x, (1,)), RuntimeError, "divisible by 2")
    yield Error(S(x, (1,) * 8), RuntimeError, "two times the input dimension")
    yield Error(S(x, (-3, -2)), RuntimeError, r"too small.*\(-3, -2\)")
    yield Error(S(x, (-5, 3)), RuntimeError, r"too small.*\(-5, 3\)")
    for value in (float("nan"), float("inf"), 1e30):
        yield Error(S(g.integers(0, 9, 3), (1, 1), value=value), RuntimeError, "overflow")
    yield Error(S(g.integers(0, 9, 3).astype(np.uint8), (1, 1), value=300), RuntimeError, "300.*uint8.*overflow")


def _bad_borders(g: Draw) -> Iterator[Error]:
    x = g.normal(1, 3, 4)
    yield from _bad_pads(g)
    yield Error(S(x, (1.5, 1)), TypeError, "ints")
    yield Error(S(x, (4, 0), "reflect"), RuntimeError, r"less than.*\(4, 0\).*\(1, 3, 4\)")
    yield Error(S(x, (5, 0), "circular"), RuntimeError, "wrapping around more than once")
    yield Error(S(x, (1, 1), "reflect", 1.0), RuntimeError, "value")
    yield Error(S(x, (1, 1), "mirror"), NotImplementedError, "mirror")
    yield Error(S(x[0, 0], (1, 1), "reflect"), NotImplementedError, "1 of 2 or 3 dimensions")
    yield Error(S(x[:, :, :0], (1, 1), "replicate"), RuntimeError, "empty")
    yield Error(S(x[:, :0], (1, 1), "reflect"), RuntimeError, "empty")
    yield Error(S(x, (-3, -2), "replicate"), RuntimeError, "too small")


# --- resampling -------------------------------------------------------------------------------------------------------


def _maps(g: Draw) -> Iterator[Sample]:
    for axis in (
        Axis("reflect", 4, 8, 2, 2),
        Axis("circular", 4, 7, 1, 2),
        Axis("shuffle", 6, 6, 3),
        Axis("nearest", 3, 7),
        Axis("linear", 5, 9, align_corners=True),
        Axis("cubic", 5, 3),
        Axis("area", 7, 3),
        Axis("linear-antialias", 9, 4),
        Axis("linear", 1, 1),
    ):
        for adjoint in (False, True):
            n = axis.n_out if adjoint else axis.n_in
            yield S(g.normal(2, n, 3), ((1, axis),), adjoint)
            yield S(g.normal(n), ((0, axis),), adjoint)
            yield S(g.normal(0, n), ((1, axis),), adjoint)
    both = ((1, Axis("linear", 4, 6)), (2, Axis("reflect", 3, 5, 1, 1)))
    yield S(g.normal(2, 4, 3), both)
    yield S(g.normal(2, 6, 5), both, True)


def _map_call(T: Any, x: Any, axes: Any, adjoint: bool = False) -> Any:
    """torch has no such operation: its matrix products with the dense maps."""
    if T.__name__ == "pydl":
        return _registered("resample")(x, axes, adjoint)
    for d, axis in axes:
        a = T.from_numpy(reference.axis_matrix(axis).astype(np.float64)).to(x.dtype)
        x = T.movedim(T.tensordot(a.T if adjoint else a, x, ((1,), (d,))), 0, d)
    return x


SCALED_MODES = (
    ("nearest", 1), ("nearest-exact", 2), ("area", 2), ("linear", 1), ("bilinear", 2), ("bicubic", 2), ("nearest", 3),
    ("area", 3), ("trilinear", 3),
)  # fmt: skip


def _scaled(g: Draw) -> Iterator[Sample]:
    for mode, ndim in SCALED_MODES:
        aligned = (None, False, True) if mode[-6:] in ("linear", "icubic") else (None,)
        for align in aligned:
            settings = {"mode": mode, "align_corners": align}
            for shape in ((2, 3, 5, 7, 4), (1, 1, 2, 1, 3), (0, 3, 2, 2, 2)):
                x = g.normal(*shape[: 2 + ndim])
                yield S(x, (4, 9, 1)[:ndim], **settings)
                yield S(x, None, 1.75, **settings)
                yield S(x, None, (2.5, 1.25, 0.75)[:ndim], recompute_scale_factor=True, **settings)
    yield S(g.normal(1, 1, 1), 1, mode="linear")
    yield S(g.integers(0, 255, 1, 2, 3, 3).astype(np.uint8), 5)
    for mode in ("bilinear", "bicubic"):
        for align in (None, True):
            for size in ((4, 3), (16, 5)):
                yield S(g.normal(1, 2, 9, 11), size, mode=mode, align_corners=align, antialias=True)


def _terms(x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", **settings: Any) -> int:
    """Products an element of the result is the sum of."""
    if mode.startswith("nearest"):
        return 1
    return max(16, math.prod(x.shape[2:])) if mode == "area" or settings.get("antialias") else 4 ** (x.ndim - 2)


def _bad_sizes(g: Draw) -> Iterator[Error]:
    x = g.normal(1, 2, 4, 4)
    yield Error(S(x), ValueError, "either size or scale_factor")
    yield Error(S(x, 2, 2.0), ValueError, "only one of size or scale_factor")
    yield Error(S(x, (2,)), ValueError, r"\(4, 4\).*\(2,\)")
    yield Error(S(x, None, (2.0,)), ValueError, "number of spatial dimensions")
    yield Error(S(x, 2, recompute_scale_factor=True), ValueError, "recompute_scale_factor")
    yield Error(S(x, 2, align_corners=True), ValueError, "align_corners")
    yield Error(S(x, 2, mode="area", antialias=True), ValueError, "antialias")
    for mode in ("linear", "trilinear", "bad"):
        yield Error(S(x, 2, mode=mode), NotImplementedError, mode)
    yield Error(S(x[0], 2, mode="bicubic"), NotImplementedError, "bicubic")
    yield Error(S(x[0, 0], 2), NotImplementedError, r"\(4, 4\)")
    for size in (0, -1):
        yield Error(S(x, size, mode="bilinear"), RuntimeError, f"greater than 0.*{size}")
    yield Error(S(x, None, 0.1), RuntimeError, "greater than 0")
    yield Error(S(x[:, :, :0], 2, mode="bilinear"), RuntimeError, r"greater than 0.*\(1, 2, 0, 4\)")
    yield Error(S(x[:, :0], 2), RuntimeError, "channels")
    yield Error(S(g.integers(0, 9, 1, 2, 4, 4), 2), NotImplementedError, "int64")


# --- shuffles ---------------------------------------------------------------------------------------------------------


def _up(g: Draw) -> Iterator[Sample]:
    for shape, r in (((2, 8, 3, 5), 2), ((9, 2, 4), 3), ((2, 3, 4, 1, 2), 2), ((1, 1, 1), 1)):
        yield S(g.normal(*shape), r)
    yield S(g.integers(-9, 9, 1, 4, 2, 3), 2)
    yield S(g.integers(0, 1, 0, 4, 2, 2), 2)  # torch has no gradient of an empty one


def _down(g: Draw) -> Iterator[Sample]:
    for shape, r in (((2, 3, 6, 4), 2), ((2, 3, 9), 3), ((2, 3, 1, 2, 4), 2), ((1, 1, 1), 1)):
        yield S(g.normal(*shape), r)
    yield S(g.integers(-9, 9, 1, 2, 4, 2), 2)
    yield S(g.normal(0, 4, 2, 2), 1)  # with r > 1 torch gives an empty tensor back as it is


def _groups(g: Draw) -> Iterator[Sample]:
    for shape, groups in (((2, 6, 3, 4), 2), ((2, 6, 5), 3), ((1, 4, 2, 2, 2), 4), ((1, 1, 1), 1), ((0, 4, 2, 2), 2)):
        yield S(g.normal(*shape), groups)
    yield S(g.integers(-9, 9, 1, 4, 2, 3), 2)


def _bad_factor(name: str) -> Callable[[Draw], Iterator[Error]]:
    def errors(g: Draw) -> Iterator[Error]:
        yield Error(S(g.normal(1, 3, 3, 3), 2), RuntimeError, "3.*divisible.*2")
        yield Error(S(g.normal(1, 4, 4, 4), 0), RuntimeError, f"positive {name}.*0")
        yield Error(S(g.normal(4, 4), 2), RuntimeError, r"3 dimensions.*\(4, 4\)")

    return errors


# --- unfold and fold --------------------------------------------------------------------------------------------------

WINDOWS: tuple[tuple[tuple[int, ...], tuple[Any, ...]], ...] = (
    ((2, 3, 5, 6), (2,)),
    ((2, 3, 5, 6), ((3, 2), 1, 1, 1)),
    ((1, 2, 7, 8), ((2, 3), (2, 1), (0, 2), (3, 2))),
    ((1, 1, 4, 35), (3, 1, 1, 2)),
    ((1, 1, 1, 1), (1,)),
    ((0, 2, 3, 3), (2,)),
)


def _windows(batched: bool) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for shape, window in WINDOWS:
            yield S(g.normal(*shape), *window)
        if not batched:
            yield S(g.normal(3, 5, 6), 2)

    return samples


def _columns(batched: bool) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for shape, window in WINDOWS:
            yield S(g.normal(*reference.unfold(np.zeros(shape), *window).shape), shape[2:], *window)
        if not batched:
            yield S(g.normal(12, 20), (5, 6), 2)

    return samples


def _bad_windows(g: Draw) -> Iterator[Error]:
    x = g.normal(1, 2, 4, 4)
    yield Error(S(x, 5), RuntimeError, r"sliding blocks.*\(0, 0\).*\(5, 5\)")
    yield Error(S(x, 0), RuntimeError, "kernel_size.*greater than zero")
    yield Error(S(x, 2, 0), RuntimeError, "dilation.*greater than zero")
    yield Error(S(x, 2, 1, -1), RuntimeError, "padding.*non-negative")
    yield Error(S(x, 2, 1, 0, 0), RuntimeError, "stride.*greater than zero")
    yield Error(S(x, (2, 2, 2)), RuntimeError, "kernel_size.*3")
    yield Error(S(x[:, :, :0], 2), RuntimeError, "only N may be 0")
    yield Error(S(g.integers(0, 9, 1, 2, 4, 4), 2), NotImplementedError, "floating")


def _bad_columns(g: Draw) -> Iterator[Error]:
    x = g.normal(1, 8, 9)
    yield Error(S(g.normal(1, 7, 9), (4, 4), 2), RuntimeError, "7 rows.*divisible")
    yield Error(S(g.normal(1, 8, 8), (4, 4), 2), RuntimeError, r"\(3, 3\) blocks.*\(1, 8, 8\)")
    yield Error(S(x, (0, 4), 2), RuntimeError, "blocks")
    yield Error(S(x, (4, 4), 2, 1, 0, 0), RuntimeError, "stride.*greater than zero")
    yield Error(S(g.normal(1, 2, 8, 9), (4, 4), 2), RuntimeError, r"\(1, 2, 8, 9\)")
    yield Error(S(g.integers(0, 9, 1, 8, 9), (4, 4), 2), NotImplementedError, "floating")


def _two_args(T: Any, name: str, *args: Any) -> Any:
    if T.__name__ == "pydl":
        return _registered(name)(*args)
    pair = [reference.two(a) for a in args[1:]]
    defaults = {"im2col": [None, (1, 1), (0, 0), (1, 1)], "col2im": [None, None, (1, 1), (0, 0), (1, 1)]}[name]
    return getattr(T.ops.aten, name)(args[0], *pair, *defaults[len(pair) :])


CASES = {
    "constant_pad_nd": Case(
        lambda x, sizes, value=0: reference.pad(x, sizes, "constant", value),
        _constant,
        _bad_pads,
        lambda g: S(g.normal(4, 64, 57, 61), (2, 1, 1, 1)),
        factor=0,
    ),
    "pad": Case(
        reference.pad, _pad, _bad_borders, lambda g: S(g.normal(4, 32, 57, 61), (2, 1, 1, 1), "reflect"), factor=0
    ),
    "resample": Case(
        reference.resample,
        _maps,
        bench=lambda g: S(g.normal(4, 32, 57, 61), ((2, Axis("cubic", 57, 80)), (3, Axis("linear", 61, 40)))),
        call=_map_call,
        length=lambda *args: 16,
        factor=8,
    ),
    "interpolate": Case(
        reference.interpolate,
        _scaled,
        _bad_sizes,
        lambda g: S(g.normal(4, 16, 57, 61), (90, 70), mode="bilinear"),
        length=_terms,
        factor=4,
    ),
    "pixel_shuffle": Case(
        reference.pixel_shuffle, _up, _bad_factor("upscale_factor"), lambda g: S(g.normal(4, 36, 40, 41), 3), factor=0
    ),
    "pixel_unshuffle": Case(
        reference.pixel_unshuffle,
        _down,
        _bad_factor("downscale_factor"),
        lambda g: S(g.normal(4, 3, 120, 123), 3),
        factor=0,
    ),
    "channel_shuffle": Case(
        reference.channel_shuffle,
        _groups,
        _bad_factor("number of groups"),
        lambda g: S(g.normal(4, 64, 33, 35), 4),
        factor=0,
    ),
    "im2col": Case(
        reference.unfold,
        _windows(True),
        bench=lambda g: S(g.normal(4, 16, 40, 41), 3, 1, 1),
        call=lambda T, *args: _two_args(T, "im2col", *args),
        factor=0,
    ),
    "col2im": Case(
        reference.fold,
        _columns(True),
        bench=lambda g: S(g.normal(4, 144, 1640), (40, 41), 3, 1, 1),
        call=lambda T, *args: _two_args(T, "col2im", *args),
        length=lambda *args: 9,
    ),
    "unfold": Case(
        reference.unfold, _windows(False), _bad_windows, factor=0, call=lambda T, *a: T.nn.functional.unfold(*a)
    ),
    "fold": Case(
        reference.fold, _columns(False), _bad_columns, length=lambda *a: 9, call=lambda T, *a: T.nn.functional.fold(*a)
    ),
}
