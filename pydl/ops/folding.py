# SPDX-License-Identifier: BSD-3-Clause
"""Windows of an image as columns, and the sum that is the adjoint: unfold (im2col) and fold (col2im)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from operator import index as as_int
from typing import Any

import numpy as np

from pydl._core import resample, windows
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import float_arg
from pydl.ops._declare import composite, op

__all__ = ["col2im", "fold", "im2col", "unfold"]

Pair = tuple[int, int]


def _pair(value: Any, name: str, op_name: str, smallest: int) -> Pair:
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(values) != 2:
        raise RuntimeError(f"{op_name}: {name} must be one number or two, not {len(values)}: {values}")
    pair = as_int(values[0]), as_int(values[1])
    if min(pair) < smallest:
        bound = "greater than zero" if smallest else "non-negative"
        raise RuntimeError(f"{op_name}: {name} should be {bound}, but got {pair}")
    return pair


def _window(kernel_size: Any, dilation: Any, padding: Any, stride: Any, op_name: str) -> tuple[Pair, ...]:
    return (
        _pair(kernel_size, "kernel_size", op_name, 1),
        _pair(dilation, "dilation", op_name, 1),
        _pair(padding, "padding", op_name, 0),
        _pair(stride, "stride", op_name, 1),
    )


def _blocks(size: Pair, window: tuple[Pair, ...]) -> Pair:
    """How many windows there are in each dimension."""
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, *window, strict=True)]
    return counts[0], counts[1]


def _positions(n: int, count: int, k: int, d: int, p: int, s: int) -> Any:
    """(k, count): where element i of window o lies in the image, which may be outside."""
    return np.arange(k)[:, None] * d + np.arange(count) * s - p


@lru_cache(maxsize=128)
def _scatter(n: int, pitch: int, count: int, k: int, d: int, p: int, s: int) -> tuple[Any, Any, None]:
    """For every element of the image the elements (i, o) of the windows that lie there, rising, as i · pitch + o."""
    at = _positions(n, count, k, d, p, s).reshape(-1)
    inside = np.flatnonzero((at >= 0) & (at < n))
    at_element = inside[np.argsort(at[inside], kind="stable")].astype(np.int64)
    index = at_element // count * pitch + at_element % count
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(at[inside], minlength=n), out=start[1:])
    return start, index, None


@op
class im2col:
    """y[n, (c·R + i)·S + j, p·Q + q] = x[n, c, p·s₀ + i·d₀ − p₀, q·s₁ + j·d₁ − p₁], 0 outside of the image.

    Shapes: (N, C, H, W) → (N, C·R·S, P·Q). Gradient: col2im of dy. Errors: ShapeError where no window fits.
    Source: aten::im2col; `unfold` is the name for users.

    Example:
        >>> import pydl
        >>> pydl.ops.im2col(pydl.ones(1, 1, 3, 3), 2).shape == (1, 4, 4)
        True
    """

    def check(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> tuple[Any, ...]:
        float_arg(input, "unfold", "input")
        window = _window(kernel_size, dilation, padding, stride, "unfold")
        shape = tuple(input.shape)
        if len(shape) != 4 or 0 in shape[1:]:
            raise ShapeError(f"unfold: a (N, C, H, W) input is needed, of which only N may be 0, not {shape}")
        if min(_blocks(shape[2:], window)) <= 0:
            raise ShapeError(
                "unfold: the sliding blocks' array would be {} for input {} with kernel_size {}, dilation {}, "
                "padding {}, stride {}, but it must have at least one in each dimension".format(
                    _blocks(shape[2:], window), shape, *window
                )
            )
        return input, window

    def forward(ctx: Any, x: Tensor, window: tuple[Pair, ...]) -> Tensor:
        kernel, dilation, padding, stride = window
        ctx.window, ctx.size = window, tuple(x.shape)[2:]
        tables = {d + 2: _border(x.shape[d + 2], p) for d, p in enumerate(padding) if p}
        inner = resample.gather_axes(x, tables, 0) if tables else x
        return windows.unfold_windows(inner, kernel, dilation, stride)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        kernel, dilation, padding, stride = ctx.window
        return col2im(dy, ctx.size, kernel, dilation, padding, stride)


def _border(n: int, p: int) -> Any:
    at = np.arange(n + 2 * p) - p
    return np.where((at >= 0) & (at < n), at, -1)


@op
class col2im:
    """The adjoint of im2col: x[n, c, h, w] = the sum of all elements of the windows that show that place.

    Shapes: (N, C·R·S, P·Q) → (N, C, H, W). Gradient: im2col of dx. Errors: ShapeError where the sizes do not fit.
    Every place adds its terms in the order of the windows. Source: aten::col2im; `fold` is the name for users.

    Example:
        >>> import pydl
        >>> pydl.ops.col2im(pydl.ones(1, 4, 4), (3, 3), 2)
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """

    def check(
        input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> tuple[Any, ...]:
        float_arg(input, "fold", "input")
        window = _window(kernel_size, dilation, padding, stride, "fold")
        size = _pair(output_size, "output_size", "fold", 0)
        shape, blocks = tuple(input.shape), _blocks(size, window)
        if len(shape) != 3 or 0 in shape[1:]:
            raise ShapeError(f"fold: a (N, C·R·S, L) input is needed, of which only N may be 0, not {shape}")
        if shape[1] % prod(window[0]):
            raise ShapeError(
                f"fold: {shape[1]} rows of {shape} are not divisible by the product of kernel_size {window[0]}"
            )
        if min(blocks) <= 0 or shape[2] != prod(blocks):
            raise ShapeError(
                "fold: output_size {} with kernel_size {}, dilation {}, padding {}, stride {} has {} blocks, but input "
                "has {}".format(size, *window, blocks, shape)
            )
        return input, size, window

    def forward(ctx: Any, x: Tensor, size: Pair, window: tuple[Pair, ...]) -> Tensor:
        ctx.window, blocks = window, _blocks(size, window)
        rows, columns = (
            _scatter(n, pitch, count, k, d, p, s)
            for n, pitch, count, k, d, p, s in zip(size, (blocks[0], prod(blocks)), blocks, *window, strict=True)
        )
        return windows.fold_windows(x, window[0], blocks, size, rows, columns)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return im2col(dy, *ctx.window)


@composite
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of an image as columns: y[n, (c·R + i)·S + j, l] = element (i, j) of window l in channel c.

    Shapes: (N, C, H, W) or (C, H, W) → (N, C·R·S, L) or (C·R·S, L),
    L = Π ⌊(size + 2·padding − dilation·(k − 1) − 1)/stride⌋ + 1.
    Gradient: fold of dy. Errors: ShapeError where no window fits. Source: F.unfold.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.unfold(pydl.arange(4.).reshape(1, 2, 2), (1, 2))
        tensor([[0., 2.],
                [1., 3.]])
    """
    float_arg(input, "unfold", "input")
    if input.ndim == 3:
        return im2col(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim < 3:
        raise IndexError(f"unfold: a (N, C, H, W) or (C, H, W) input is needed, not {tuple(input.shape)}")
    return im2col(input, kernel_size, dilation, padding, stride)


@composite
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Adds columns that are windows (see unfold) into an image of `output_size`; windows may overlap.

    Shapes: (N, C·R·S, L) or (C·R·S, L) → (N, C, H, W) or (C, H, W). Gradient: unfold of dy.
    Errors: ShapeError where the sizes do not fit. Source: F.fold.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.fold(pydl.ones(2, 2), (1, 3), (1, 2))
        tensor([[[1., 2., 1.]]])
    """
    float_arg(input, "fold", "input")
    if input.ndim == 2:
        return col2im(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    return col2im(input, output_size, kernel_size, dilation, padding, stride)
