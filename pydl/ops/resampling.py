# SPDX-License-Identifier: BSD-3-Clause
"""Images of another size: interpolation, and shuffles between channels and pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index as as_int
from typing import Any

from pydl._core import windows
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops._tables import Axis, is_copy
from pydl.ops.padding import moved, resample

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle"]

KINDS = {
    "nearest": "nearest", "nearest-exact": "nearest-exact", "area": "area", "linear": "linear", "bilinear": "linear",
    "trilinear": "linear", "bicubic": "cubic",
}  # fmt: skip
NDIM = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}


def _factor(value: Any, name: str, op_name: str) -> int:
    factor = as_int(value)
    if factor <= 0:
        raise RuntimeError(f"{op_name}: expects a positive {name}, but got {factor}")
    return factor


def _check_image(input: Tensor, op_name: str) -> tuple[int, ...]:
    tensor_arg(input, op_name, "input")
    if input.ndim < 3:
        raise RuntimeError(f"{op_name}: expects input to have at least 3 dimensions, but got {tuple(input.shape)}")
    return tuple(input.shape)


@op
class pixel_shuffle:
    """y[…, c, h·r + i, w·r + j] = x[…, (c·r + i)·r + j, h, w]: channels become pixels, r = upscale_factor.

    Shapes: (…, C·r², H, W) → (…, C, H·r, W·r). Gradient: pixel_unshuffle of dy.
    Errors: RuntimeError unless r² divides the channels. Source: F.pixel_shuffle; Shi et al. 2016.

    Example:
        >>> import pydl
        >>> pydl.pixel_shuffle(pydl.arange(4.).reshape(4, 1, 1), 2)
        tensor([[[0., 1.],
                 [2., 3.]]])
    """

    def check(input: Tensor, upscale_factor: int) -> tuple[Any, ...]:
        shape = _check_image(input, "pixel_shuffle")
        r = _factor(upscale_factor, "upscale_factor", "pixel_shuffle")
        if shape[-3] % (r * r):
            raise ShapeError(
                f"pixel_shuffle: {shape[-3]} channels of {shape} are not divisible by the square of upscale_factor {r}"
            )
        return input, r

    def forward(ctx: Any, x: Tensor, r: int) -> Tensor:
        ctx.r = r
        return moved(lambda t: windows.pixel_shuffle(t, r), x)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return pixel_unshuffle(dy, ctx.r)


@op
class pixel_unshuffle:
    """y[…, (c·r + i)·r + j, h, w] = x[…, c, h·r + i, w·r + j]: pixels become channels, r = downscale_factor.

    Shapes: (…, C, H·r, W·r) → (…, C·r², H, W). Gradient: pixel_shuffle of dy.
    Errors: RuntimeError unless r divides height and width. Source: F.pixel_unshuffle.

    Example:
        >>> import pydl
        >>> pydl.pixel_unshuffle(pydl.arange(4.).reshape(1, 2, 2), 2).flatten()
        tensor([0., 1., 2., 3.])
    """

    def check(input: Tensor, downscale_factor: int) -> tuple[Any, ...]:
        shape = _check_image(input, "pixel_unshuffle")
        r = _factor(downscale_factor, "downscale_factor", "pixel_unshuffle")
        for name, size in (("height", shape[-2]), ("width", shape[-1])):
            if size % r:
                raise ShapeError(f"pixel_unshuffle: {name} {size} of {shape} is not divisible by downscale_factor {r}")
        return input, r

    def forward(ctx: Any, x: Tensor, r: int) -> Tensor:
        ctx.r = r
        return moved(lambda t: windows.pixel_unshuffle(t, r), x)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return pixel_shuffle(dy, ctx.r)


@composite
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """y[:, k·g + i] = x[:, i·(C/g) + k], g = groups: channel k of every group in turn.

    Shapes: (N, C, …) → the same. Gradient: the shuffle back. Errors: RuntimeError unless g divides C.
    Source: torch.channel_shuffle.

    Example:
        >>> import pydl
        >>> pydl.channel_shuffle(pydl.arange(4.).reshape(1, 4, 1), 2).flatten()
        tensor([0., 2., 1., 3.])
    """
    shape = _check_image(input, "channel_shuffle")
    g = _factor(groups, "number of groups", "channel_shuffle")
    if shape[1] % g:
        raise ShapeError(f"channel_shuffle: {shape[1]} channels of {shape} are not divisible by {g} groups")
    return resample(input, ((1, Axis("shuffle", shape[1], shape[1], g)),))


def _per_dim(value: Any, spatial: tuple[int, ...], name: str) -> list[Any]:
    """One entry per spatial dimension; a single number serves all."""
    if not isinstance(value, Sequence):
        return [value] * len(spatial)
    if len(value) != len(spatial):
        raise ShapeError(
            f"interpolate: input and {name} must have the same number of spatial dimensions, but got input {spatial} "
            f"and {name} {tuple(value)}"
        )
    return list(value)


def _check_mode(input: Tensor, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in NDIM and align_corners is not None:
        raise ValueError(
            "interpolate: align_corners option can only be set with the interpolating modes: linear | bilinear | "
            f"bicubic | trilinear, not {mode}"
        )
    if antialias and not (mode in ("bilinear", "bicubic") and input.ndim == 4):
        raise ValueError(
            f"interpolate: antialias is for bilinear and bicubic of a 4-d input, not for {mode} of {tuple(input.shape)}"
        )
    if mode not in KINDS or input.ndim not in (3, 4, 5):
        raise NotImplementedError(
            f"interpolate: 3-d, 4-d and 5-d inputs and the modes {', '.join(KINDS)} are supported, not {mode} of "
            f"{tuple(input.shape)}"
        )
    if mode in NDIM and input.ndim != NDIM[mode]:
        raise NotImplementedError(f"interpolate: Got {input.ndim}D input, but {mode} mode needs {NDIM[mode]}D input")


def _sizes(
    spatial: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """The output size, and the source elements per output element where a factor was given and is to be kept."""
    if size is not None and scale_factor is not None:
        raise ValueError("interpolate: only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size.")
        return [as_int(s) for s in _per_dim(size, spatial, "size")], [None] * len(spatial)
    if scale_factor is None:
        raise ValueError("interpolate: either size or scale_factor should be defined")
    factors = [float(f) for f in _per_dim(scale_factor, spatial, "scale_factor")]
    scales = [None if recompute or f <= 0 else 1.0 / f for f in factors]
    return [math.floor(float(n) * f) for n, f in zip(spatial, factors, strict=True)], scales


def _check_sizes(input: Tensor, mode: str, out: list[int]) -> None:
    shape = tuple(input.shape)
    if min(out) < (0 if mode == "area" else 1) or 0 in shape[2:]:
        raise ShapeError(
            f"interpolate: Input and output sizes should be greater than 0, but got input {shape}, output {tuple(out)}"
        )
    if shape[1] == 0 and mode != "area":
        raise ShapeError(f"interpolate: the input must have channels, but it is {shape}")
    if not input.dtype.is_floating_point and not (mode.startswith("nearest") and input.dtype.itemsize == 1):
        raise NotImplementedError(f"interpolate: mode {mode} is not implemented for {input.dtype}")


@composite
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """y = x resampled to `size`, or to ⌊n · scale_factor⌋ elements, along each spatial dimension.

    mode: nearest, nearest-exact, area (means of equal parts), linear (N, C, L), bilinear and bicubic (N, C, H, W),
    trilinear (N, C, D, H, W). Output o has its center at (o + ½) · n_in / n_out − ½, or with `align_corners` at
    o (n_in − 1)/(n_out − 1); a scale_factor is taken as it is unless `recompute_scale_factor`. antialias widens the
    kernel when the image shrinks. The dimensions are resampled one after the other, those that shrink first.

    Shapes: (N, C, spatial…) → (N, C, size…); channels-last stays so. Gradient: the transposed map of dy.
    Errors: ValueError, ShapeError; NotImplementedError for a mode that does not fit. Source: F.interpolate.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.interpolate(pydl.tensor([[[0., 4.]]]), size=4, mode="linear")
        tensor([[[0., 1., 3., 4.]]])
    """
    tensor_arg(input, "interpolate", "input")
    spatial = tuple(input.shape)[2:]
    _check_mode(input, mode, align_corners, antialias)
    if mode == "area" and size is None:
        recompute_scale_factor = True
    out, scales = _sizes(spatial, size, scale_factor, recompute_scale_factor)
    _check_sizes(input, mode, out)
    kind = KINDS[mode] + "-antialias" * antialias
    axes = [
        (d + 2, Axis(kind, n, m, scale=scale, align_corners=bool(align_corners)))
        for d, (n, m, scale) in enumerate(zip(spatial, out, scales, strict=True))
    ]
    if not is_copy(axes[0][1]):
        # What shrinks most comes first, so that the rest has less to do; the last dimension, whose elements are single
        # ones in C order, before others that grow as much.
        axes.sort(key=lambda a: (a[1].n_out / a[1].n_in, -a[0]))
    return resample(input, tuple(axes))
