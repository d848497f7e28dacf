# SPDX-License-Identifier: BSD-3-Clause
"""The same elements in another place: flip, roll, repeat, triangles and diagonals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.strided import strided_view
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import dim_arg, dims_arg, ints_arg, sizes_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.gathering import index_select

__all__ = [
    "diag", "diag_embed", "diagonal", "fliplr", "flipud", "flip", "repeat", "repeat_interleave", "roll", "tile", "tril",
    "tril_indices", "triu", "triu_indices",
]  # fmt: skip


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


def _check_matrix(input: Tensor, op_name: str) -> None:
    tensor_arg(input, op_name, "input")
    if input.array.ndim < 2:
        raise RuntimeError(f"{op_name}: input tensor must have at least 2 dimensions, not {input.array.ndim}")


@op(numpy_backed=True, inplace=True)
class tril:
    """y_ij = x_ij where j − i ≤ diagonal, else 0: the lower triangle of each matrix.

    Shapes: (…, n, m). Gradient: dx = tril(dy). Errors: RuntimeError below 2 dimensions. Source: torch.tril.

    Example:
        >>> import pydl
        >>> pydl.tril(pydl.ones(2, 2))
        tensor([[1., 0.],
                [1., 1.]])
    """

    def check(input: Tensor, diagonal: int = 0) -> tuple[Any, ...]:
        _check_matrix(input, "tril")
        return input, diagonal

    def forward(ctx: Any, x: Tensor, diagonal: int) -> Tensor:
        ctx.diagonal = diagonal
        return dense(np.tril(x.array, diagonal))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return tril(dy, ctx.diagonal)


@op(numpy_backed=True, inplace=True)
class triu:
    """y_ij = x_ij where j − i ≥ diagonal, else 0: the upper triangle of each matrix.

    Shapes: (…, n, m). Gradient: dx = triu(dy). Errors: RuntimeError below 2 dimensions. Source: torch.triu.

    Example:
        >>> import pydl
        >>> pydl.triu(pydl.ones(2, 2), diagonal=1)
        tensor([[0., 1.],
                [0., 0.]])
    """

    def check(input: Tensor, diagonal: int = 0) -> tuple[Any, ...]:
        _check_matrix(input, "triu")
        return input, diagonal

    def forward(ctx: Any, x: Tensor, diagonal: int) -> Tensor:
        ctx.diagonal = diagonal
        return dense(np.triu(x.array, diagonal))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return triu(dy, ctx.diagonal)


def _triangle(row: int, col: int, offset: int, op_name: str) -> tuple[int, int, int]:
    """The arguments as NumPy takes them."""
    row, col, offset = ints_arg((row, col, offset), op_name, "(row, col, offset)")
    if row < 0 or col < 0:
        raise RuntimeError(f"{op_name}: row and col must not be negative, but they are {row} and {col}")
    return row, offset, col


@composite(differentiable=False)
def tril_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The (2, n) indices of the lower triangle of a row × col matrix, row by row.

    Shapes: int64. Gradient: none. Errors: TypeError for what is no integer, RuntimeError for negative sizes.
    Source: torch.tril_indices.

    Example:
        >>> import pydl
        >>> pydl.tril_indices(2, 2)
        tensor([[0, 1, 1],
                [0, 0, 1]])
    """
    return dense(np.stack(np.tril_indices(*_triangle(row, col, offset, "tril_indices"))))


@composite(differentiable=False)
def triu_indices(row: int, col: int, offset: int = 0) -> Tensor:
    """The (2, n) indices of the upper triangle of a row × col matrix, row by row.

    Shapes: int64. Gradient: none. Errors: TypeError for what is no integer, RuntimeError for negative sizes.
    Source: torch.triu_indices.

    Example:
        >>> import pydl
        >>> pydl.triu_indices(2, 2)
        tensor([[0, 0, 1],
                [0, 1, 1]])
    """
    return dense(np.stack(np.triu_indices(*_triangle(row, col, offset, "triu_indices"))))


def _diagonal_places(n: int, offset: int) -> tuple[Array, Array]:
    i = np.arange(n)
    return i + max(-offset, 0), i + max(offset, 0)


@op(numpy_backed=True)
class diag_embed:
    """y_{i, i + offset} = x_i along the last dimension, else 0: matrices with x on a diagonal.

    Shapes: (…, n) → (…, m, m) with m = n + |offset|; the matrix takes the dims dim1 and dim2.
    Gradient: dx = diagonal(dy). Errors: IndexError; RuntimeError if dim1 = dim2. Source: torch.diag_embed.

    Example:
        >>> import pydl
        >>> pydl.diag_embed(pydl.tensor([1., 2.]))
        tensor([[1., 0.],
                [0., 2.]])
    """

    def check(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> tuple[Any, ...]:
        tensor_arg(input, "diag_embed", "input")
        if input.array.ndim == 0:
            raise ShapeError("diag_embed: input must have at least one dimension")
        ndim = input.array.ndim + 1
        dims = dim_arg(dim1, ndim, "diag_embed"), dim_arg(dim2, ndim, "diag_embed")
        if dims[0] == dims[1]:
            raise RuntimeError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
        return input, offset, *dims

    def forward(ctx: Any, x: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
        ctx.where = offset, dim1, dim2
        a: Array = x.array
        m = a.shape[-1] + abs(offset)
        y = np.zeros((*a.shape[:-1], m, m), a.dtype)
        y[(..., *_diagonal_places(a.shape[-1], offset))] = a
        return dense(np.moveaxis(y, (-2, -1), (dim1, dim2)))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy.diagonal(*ctx.where)


@op
class diagonal:
    """y_i = x_{i, i + offset} of the dims dim1 and dim2, as the last dimension; a view.

    Shapes: (…, n, m) → (…, k). Gradient: dx = dy on the diagonal, else 0.
    Errors: IndexError; RuntimeError if dim1 = dim2. Source: torch.diagonal.

    Example:
        >>> import pydl
        >>> pydl.diagonal(pydl.tensor([[1, 2], [3, 4]]))
        tensor([1, 4])
    """

    def check(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> tuple[Any, ...]:
        tensor_arg(input, "diagonal", "input")
        ndim = input.array.ndim
        first, second = dim_arg(dim1, ndim, "diagonal"), dim_arg(dim2, ndim, "diagonal")
        if first == second:
            raise RuntimeError(f"diagonal: diagonal dimensions cannot be identical {dim1}, {dim2}")
        return input, offset, first, second

    def forward(ctx: Any, x: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
        a: Array = x.array
        ctx.shape, ctx.where = a.shape, (offset, dim1, dim2)
        down, right = max(-offset, 0), max(offset, 0)
        length = max(0, min(a.shape[dim1] - down, a.shape[dim2] - right))
        others = [d for d in range(a.ndim) if d not in (dim1, dim2)]
        return strided_view(
            x,
            (*(a.shape[d] for d in others), length),
            (*(a.strides[d] for d in others), a.strides[dim1] + a.strides[dim2]),
            down * a.strides[dim1] + right * a.strides[dim2] if length else 0,
        )

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _diagonal_adjoint(dy, ctx.shape, *ctx.where)


@op(numpy_backed=True, name="diagonal_adjoint")
class _diagonal_adjoint:
    """dx = zeros with dy on a diagonal. Gradient: of dy, the diagonal of the given one."""

    def check(dy: Tensor, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> tuple[Any, ...]:
        return dy, shape, offset, dim1, dim2

    def forward(ctx: Any, dy: Tensor, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Tensor:
        ctx.where = offset, dim1, dim2
        dx = np.zeros(shape, dy.array.dtype)
        np.moveaxis(dx, (dim1, dim2), (-2, -1))[(..., *_diagonal_places(dy.array.shape[-1], offset))] = dy.array
        return wrap(dx)

    def backward(ctx: Any, dx: Tensor) -> Tensor:
        return diagonal(dx, *ctx.where)


@composite
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or a matrix with the given vector on its diagonal.

    Shapes: (n, m) → (k,); (n,) → (n + |diagonal|, n + |diagonal|). Gradient: dx = diag(dy).
    Errors: RuntimeError for other than 1 or 2 dimensions. Source: torch.diag.

    Example:
        >>> import pydl
        >>> pydl.diag(pydl.tensor([[1, 2], [3, 4]])), pydl.diag(pydl.tensor([1, 2]))
        (tensor([1, 4]), tensor([[1, 0],
                [0, 2]]))
    """
    tensor_arg(input, "diag", "input")
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise RuntimeError(f"diag: Supports 1D or 2D tensors. Got {input.array.ndim}D")
    return input.diagonal(diagonal).clone()
