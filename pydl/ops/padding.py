# SPDX-License-Identifier: BSD-3-Clause
"""Padding: elements around a tensor, constant or taken from it; and the maps along axes that do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from pydl._core import resample as core
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops import _tables
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops._tables import Axis

__all__ = ["constant_pad_nd", "pad", "resample"]

Axes = tuple[tuple[int, Axis], ...]


def moved(move: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """move(x) for a move of elements, which is compiled for those of 4 and 8 bytes: shorter ones travel in int32."""
    if x.dtype.itemsize >= 4:
        return move(x)
    values: Any = x
    wide = move(wrap(values.array.astype(np.int32)))
    return wrap(wide.array.astype(values.array.dtype))


def pad_arg(pad: Any, ndim: int) -> list[int]:
    """The padding as ints: pairs (in front, behind), those of the last dimension first."""
    if not isinstance(pad, Sequence) or isinstance(pad, str):
        raise TypeError(f"pad: pad must be a tuple of ints, not {type(pad).__name__}")
    try:
        sizes = [as_int(p) for p in pad]
    except TypeError:
        raise TypeError(f"pad: pad must be a tuple of ints, not {tuple(pad)!r}") from None
    if len(sizes) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2; it is {len(sizes)}: {tuple(sizes)}")
    if len(sizes) > 2 * ndim:
        raise RuntimeError(
            f"pad: Padding length should be less than or equal to two times the input dimension; it is {len(sizes)}, "
            f"the input has {ndim} dimensions"
        )
    return sizes


def pairs(sizes: list[int], ndim: int) -> list[tuple[int, int, int]]:
    """(dim, in front, behind) of each padded dimension."""
    return [(ndim - 1 - i, sizes[2 * i], sizes[2 * i + 1]) for i in range(len(sizes) // 2)]


@op
class constant_pad_nd:
    """y = x with `value` around it: pad = (in front, behind) of the last dimension, then of the one before it, ….

    Negative paddings cut off. Shapes: any; each padded size grows by the sum of its pair. All dtypes.
    Gradient: dx = dy without the padding. Errors: RuntimeError for a negative size. Source: torch.constant_pad_nd.

    Example:
        >>> import pydl
        >>> pydl.constant_pad_nd(pydl.tensor([1., 2.]), (1, 2), 7.)
        tensor([7., 1., 2., 7., 7.])
    """

    def check(input: Tensor, pad: Sequence[int], value: float = 0) -> tuple[Any, ...]:
        tensor_arg(input, "pad", "input")
        shape = tuple(input.shape)
        sizes = pad_arg(pad, len(shape))
        for d, a, b in pairs(sizes, len(shape)):
            if shape[d] + a + b < 0 or shape[d] + min(a, 0) < 0 or shape[d] + min(b, 0) < 0:
                raise ShapeError(f"pad: dimension {d} of {shape} is too small for the negative padding ({a}, {b})")
        return input, tuple(sizes), _fill_value(value, input)

    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...], value: float) -> Tensor:
        ctx.sizes = sizes
        shape = tuple(x.shape)
        tables = {d: _constant(shape[d], a, b) for d, a, b in pairs(list(sizes), len(shape)) if a or b}
        if not shape:
            return x.clone()
        return moved(lambda t: core.gather_axes(t, tables, value), x)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return constant_pad_nd(dy, tuple(-s for s in ctx.sizes))


def _fill_value(value: Any, input: Tensor) -> Any:
    """The value as the input's type holds it; RuntimeError where it cannot."""
    if input.dtype.is_floating_point:
        return value
    if input.dtype.np == np.bool_:
        return bool(value)
    limits = np.iinfo(input.dtype.np)
    if not limits.min <= value <= limits.max:  # NaN is not either
        raise RuntimeError(f"pad: value {value} cannot be converted to {input.dtype} without overflow")
    return int(value)


def _constant(n: int, first: int, last: int) -> Any:
    at = np.arange(n + first + last) - first
    return np.where((at >= 0) & (at < n), at, -1)


@op
class resample:
    """y = A x, a linear map along each of the named axes; with `adjoint` y = Aᵀ x.

    Shapes: dim d of x, n_in elements (n_out for the adjoint), becomes n_out (n_in); axes: (d, Axis) pairs.
    Gradient: dx = Aᵀ dy, or A dy. Errors: ShapeError.

    Example:
        >>> import pydl
        >>> from pydl.ops._tables import Axis
        >>> pydl.ops.resample(pydl.tensor([1., 2., 3.]), ((0, Axis("reflect", 3, 5, 1, 1)),))
        tensor([2., 1., 2., 3., 2.])
    """

    def check(input: Tensor, axes: Axes, adjoint: bool = False) -> tuple[Any, ...]:
        tensor_arg(input, "resample", "input")
        for d, axis in axes:
            if input.shape[d] != (axis.n_out if adjoint else axis.n_in):
                raise ShapeError(f"resample: dimension {d} of {tuple(input.shape)} does not fit {axis}")
        return input, axes, adjoint

    def forward(ctx: Any, x: Tensor, axes: Axes, adjoint: bool) -> Tensor:
        ctx.axes, ctx.adjoint = axes, adjoint
        single = x.dtype.np == np.float32
        if not adjoint and all(_tables.is_copy(axis) for _, axis in axes):
            tables = {d: _tables.copies(axis, single) for d, axis in axes}
            return moved(lambda t: core.gather_axes(t, tables, 0), x)
        for d, axis in reversed(axes) if adjoint else axes:
            x = core.combine_axis(x, d, _tables.sums(axis, x.dtype.np, adjoint))
        return x

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return resample(dy, ctx.axes, not ctx.adjoint)


def _check_borders(shape: tuple[int, ...], sizes: list[int], mode: str) -> None:
    """The shape fits the number of padded dimensions, and their sizes the paddings."""
    n, ndim = len(sizes) // 2, len(shape)
    if not 1 <= n <= 3 or ndim not in (n + 1, n + 2):
        raise NotImplementedError(
            f"pad: with mode {mode!r}, {len(sizes)} paddings are not supported for {ndim} dimensions: it pads the last "
            "1 of 2 or 3 dimensions, 2 of 3 or 4, 3 of 4 or 5"
        )
    if mode != "circular" and 0 in shape[1 if ndim == n + 2 else 0 :]:
        raise ShapeError(f"pad: with mode {mode!r} only the batch may be empty, not another dimension of {shape}")
    for d, a, b in pairs(sizes, ndim):
        size, where = shape[d], f"padding ({a}, {b}) at dimension {d} of input {shape}"
        if mode == "reflect" and max(a, b) >= size:
            raise ShapeError(
                f"pad: Padding size should be less than the corresponding input dimension, but got: {where}"
            )
        if mode == "circular" and max(a, b) > size:
            raise ShapeError(f"pad: Padding value causes wrapping around more than once: {where}")
        smallest = 0 if mode == "circular" else 1
        cut_off = mode == "circular" and size + min(a, 0) + min(b, 0) < min(1, max(a, b, 0))
        if size + a + b < smallest or cut_off:
            raise ShapeError(f"pad: the input is too small; calculated output size: {size + a + b}, with {where}")


@composite
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """y = x with a border, pad = (in front, behind) of the last dimension, then of the one before it, ….

    mode: constant (`value`, 0 if absent; any number of dimensions), reflect (the edge not repeated), replicate (the
    edge), circular (from the other end); these three pad the last 1, 2 or 3 dimensions of an image with or without a
    batch. Negative paddings cut off. Channels-last stays channels-last.

    Shapes: each padded size grows by the sum of its pair. Gradient: dx = the sum of dy over the places that show x.
    Errors: ShapeError where the input is too small; NotImplementedError for an unknown mode. Source: F.pad.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.pad(pydl.tensor([[1., 2., 3.]]), (2, 1), mode="reflect")
        tensor([[3., 2., 1., 2., 3., 2.]])
    """
    tensor_arg(input, "pad", "input")
    if mode == "constant":
        return constant_pad_nd(input, pad, 0 if value is None else value)
    if value:
        raise RuntimeError(f'pad: Padding mode "{mode}" doesn\'t take in value argument')
    shape = tuple(input.shape)
    sizes = pad_arg(pad, len(shape))
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"pad: Unrecognised padding mode {mode}; there are constant, reflect, replicate, circular"
        )
    _check_borders(shape, sizes, mode)
    return resample(
        input, tuple((d, Axis(mode, shape[d], shape[d] + a + b, a, b)) for d, a, b in pairs(sizes, len(shape)))
    )
