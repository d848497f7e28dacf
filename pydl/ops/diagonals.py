# SPDX-License-Identifier: BSD-3-Clause
"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.strided import strided_view
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import dim_arg, ints_arg, tensor_arg
from pydl.ops._declare import composite, op

__all__ = ["diag", "diag_embed", "diagonal", "tril", "tril_indices", "triu", "triu_indices"]


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
