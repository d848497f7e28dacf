# SPDX-License-Identifier: BSD-3-Clause
"""The same elements in another place: flip, roll, repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import dense
from pydl.ops._checks import dim_arg, dims_arg, ints_arg, sizes_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.gathering import index_select

__all__ = ["flip", "fliplr", "flipud", "repeat", "repeat_interleave", "roll", "tile"]


@op(numpy_backed=True)
class flip:
    """y[i] = x[n − 1 − i] in each of the dims; a copy.

    Shapes: those of x. Gradient: dx = flip(dy). Errors: IndexError for a dim that x has not. Source: torch.flip.

    Example:
        >>> import pydl
        >>> pydl.flip(pydl.tensor([[1, 2], [3, 4]]), (0, 1))
        tensor([[4, 3],
                [2, 1]])
    """

    def check(input: Tensor, *dims: Any) -> tuple[Any, ...]:
        tensor_arg(input, "flip", "input")
        flat = sizes_arg(dims)
        return input, dims_arg(flat, input.array.ndim, "flip") if flat else ()

    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        ctx.dims = dims
        return wrap(np.flip(x.array, dims).copy())

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return flip(dy, *ctx.dims)


@composite
def fliplr(input: Tensor) -> Tensor:
    """`flip` of dim 1.

    Shapes: those of x. Gradient: dy flipped back. Errors: RuntimeError below 2 dimensions. Source: torch.fliplr.

    Example:
        >>> import pydl
        >>> pydl.fliplr(pydl.tensor([[1, 2], [3, 4]]))
        tensor([[2, 1],
                [4, 3]])
    """
    tensor_arg(input, "fliplr", "input")
    if input.array.ndim < 2:
        raise RuntimeError(f"fliplr: input must have 2 dimensions or more, not {input.array.ndim}")
    return flip(input, 1)


@composite
def flipud(input: Tensor) -> Tensor:
    """`flip` of dim 0.

    Shapes: those of x. Gradient: dy flipped back. Errors: RuntimeError for a 0-d tensor. Source: torch.flipud.

    Example:
        >>> import pydl
        >>> pydl.flipud(pydl.tensor([[1, 2], [3, 4]]))
        tensor([[3, 4],
                [1, 2]])
    """
    tensor_arg(input, "flipud", "input")
    if input.array.ndim < 1:
        raise RuntimeError("flipud: input must have 1 dimension or more, not 0")
    return flip(input, 0)


@op(numpy_backed=True)
class roll:
    """y[(i + shift) mod n] = x[i] in each of the dims; without dims, of the flattened tensor.

    Shapes: those of x. Gradient: dx = dy rolled back. Errors: RuntimeError if shifts and dims differ in number.
    Source: torch.roll.

    Example:
        >>> import pydl
        >>> pydl.roll(pydl.tensor([1, 2, 3]), 1)
        tensor([3, 1, 2])
    """

    def check(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> tuple[Any, ...]:
        tensor_arg(input, "roll", "input")
        by, axes = ints_arg(shifts, "roll", "shifts"), () if dims is None else ints_arg(dims, "roll", "dims")
        if not axes:
            if len(by) != 1:
                raise RuntimeError(f"roll: without dims there must be one shift, not {len(by)}")
            return input, by[0], None
        if len(by) != len(axes):
            raise RuntimeError(f"roll: shifts and dimensions must align; shifts: {len(by)}, dims: {len(axes)}")
        return input, by, tuple(dim_arg(d, input.array.ndim, "roll") for d in axes)

    def forward(ctx: Any, x: Tensor, shifts: Any, dims: tuple[int, ...] | None) -> Tensor:
        ctx.shifts, ctx.dims = shifts, dims
        return dense(np.roll(x.array, shifts, dims))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        back = -ctx.shifts if ctx.dims is None else tuple(-s for s in ctx.shifts)
        return roll(dy, back, ctx.dims)


@composite
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """y = x repeated r_d times along each dimension d; dimensions in front of x's are added.

    Shapes: (n₀, n₁) with repeats (r₀, r₁) → (r₀·n₀, r₁·n₁). Gradient: dx = the sum of dy over the repetitions.
    Errors: RuntimeError for fewer repeats than dimensions, or negative ones. Source: torch.Tensor.repeat.

    Example:
        >>> import pydl
        >>> pydl.tensor([1, 2]).repeat(2, 2)
        tensor([[1, 2, 1, 2],
                [1, 2, 1, 2]])
    """
    tensor_arg(input, "repeat", "input")
    times = sizes_arg(repeats)
    shape = tuple(input.array.shape)
    if len(times) < len(shape):
        raise RuntimeError(
            "repeat: Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor "
            f"(repeats {times}, input {shape})"
        )
    if min(times, default=0) < 0:
        raise RuntimeError(f"repeat: repeats must not be negative: {times}")
    shape = (1,) * (len(times) - len(shape)) + shape
    pairs = [n for r, size in zip(times, shape, strict=True) for n in (r, size)]
    apart = input.reshape([n for size in shape for n in (1, size)]).expand(pairs)
    return apart.reshape([r * size for r, size in zip(times, shape, strict=True)]) if pairs else input.clone()


@composite
def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, but fewer repeats than dimensions count from the last dimension.

    Shapes, gradient, errors: as `repeat`. Source: torch.tile.

    Example:
        >>> import pydl
        >>> pydl.tile(pydl.tensor([[1], [2]]), (2,))
        tensor([[1, 1],
                [2, 2]])
    """
    tensor_arg(input, "tile", "input")
    times = sizes_arg(dims)
    return repeat(input, (1,) * (input.array.ndim - len(times)) + times)


@composite
def repeat_interleave(input: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """y = x with each slice of `dim` repeated: 1, 1, 2, 2, …; without `dim`, of the flattened tensor.

    `repeats`: one number, or one per slice. Shapes: those of x with Σ repeats slices in `dim`. Gradient: dx = the sum
    of dy over the repetitions. Errors: RuntimeError for negative repeats or another number of them.
    Source: torch.repeat_interleave.

    Example:
        >>> import pydl
        >>> pydl.repeat_interleave(pydl.tensor([1, 2]), 2)
        tensor([1, 1, 2, 2])
    """
    tensor_arg(input, "repeat_interleave", "input")
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = dim_arg(dim, input.array.ndim, "repeat_interleave")
    n = input.array.shape[dim]
    if not isinstance(repeats, int):
        tensor_arg(repeats, "repeat_interleave", "repeats, if not an int,")
    times = np.asarray(repeats if isinstance(repeats, int) else repeats.array)
    if times.size not in (1, n) or times.ndim > 1:
        raise RuntimeError(f"repeat_interleave: repeats {times.shape} must have the size of dimension {dim}, {n}")
    if times.size and times.min() < 0:
        raise RuntimeError(f"repeat_interleave: repeats can not be negative, but one is {times.min()}")
    return index_select(input, dim, wrap(np.repeat(np.arange(n), times)))
