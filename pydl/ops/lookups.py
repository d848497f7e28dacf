# SPDX-License-Identifier: BSD-3-Clause
"""Rows of a table by number: embedding, sums of such rows in bags, and the backward that adds rows up."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core import embedding as core
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array
from pydl.ops._checks import check_range, index_values, tensor_arg
from pydl.ops._declare import op

__all__ = ["embedding", "embedding_backward"]


def check_table(weight: Tensor, op_name: str) -> int:
    """The number of rows; raises unless the weight is a matrix."""
    tensor_arg(weight, op_name, "weight")
    if weight.ndim != 2:
        raise ShapeError(f"{op_name}: 'weight' must be 2-D (rows, features), not {tuple(weight.shape)}")
    return int(weight.shape[0])


def padding_row(padding_idx: int | None, rows: int, op_name: str) -> int:
    """The row as a non-negative number, -1 without one."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise AssertionError(f"{op_name}: Padding_idx must be within num_embeddings: {padding_idx} of {rows} rows")
    return padding_idx % rows


def renorm_rows(weight: Tensor, ids: Array, max_norm: float, norm_type: float) -> None:
    """Shrinks, in place and unrecorded, the named rows whose norm is above max_norm to that norm."""
    table: Any = weight
    rows: Array = np.unique(ids)
    values = table.array[rows]
    if values.dtype.kind != "f":
        raise RuntimeError(f"embedding: max_norm needs a table of a floating-point type, not {weight.dtype}")
    if norm_type == np.inf:
        norms = np.abs(values).max(axis=1, initial=0)
    elif norm_type == 0:
        norms = np.count_nonzero(values, axis=1).astype(values.dtype)
    else:
        norms = (np.abs(values) ** norm_type).sum(axis=1) ** (1 / norm_type)
    large = norms > max_norm
    if large.any():
        scale = (max_norm / (norms[large] + 1e-7)).astype(values.dtype)
        table.array[rows[large]] = values[large] * scale[:, None]
        table._bump_version()


@op
class embedding:
    """y[…] = weight[input[…]]: the rows of a table that the numbers name.

    max_norm: rows named here whose norm_type-norm is larger are first shrunk to it, in place and unrecorded.
    Shapes: input (…) int64 or int32, weight (V, E) of any type, y (…, E).
    Gradient: dweight[v] = Σ dy over the places with number v, added in their order; divided by how many there are with
    scale_grad_by_freq; exactly 0 in row padding_idx.
    Errors: IndexError naming the number and its place, before anything is written; sparse=True raises
    NotImplementedError: gradients are dense. Source: F.embedding.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.embedding(pydl.tensor([1, 0]), pydl.tensor([[1., 2.], [3., 4.]]))
        tensor([[3., 4.],
                [1., 2.]])
    """

    def check(
        input: Tensor,
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> tuple[Any, ...]:
        rows = check_table(weight, "embedding")
        values = index_values(input, "embedding", "indices")
        padding = padding_row(padding_idx, rows, "embedding")
        if sparse:
            raise NotImplementedError("embedding: sparse=True is not supported: gradients of a table are dense")
        if max_norm is not None:
            check_range(values, rows, 0, "embedding")
            renorm_rows(weight, values, float(max_norm), float(norm_type))
        return weight, input, padding, bool(scale_grad_by_freq)

    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int, by_frequency: bool) -> Tensor:
        ctx.save(ids)
        ctx.settings = weight.shape[0], padding, by_frequency
        return core.lookup(weight, ids)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (ids,) = ctx.saved
        return embedding_backward.unchecked(dy, ids, *ctx.settings)


@op
class embedding_backward:
    """dweight[v] = Σ dy over the places of `indices` with number v: the backward of embedding.

    Shapes: dy (…, E), indices (…) → (num_weights, E). Gradient: d(dy) = the gradient's rows by number, scaled alike.
    Errors: IndexError naming a number outside of [0, num_weights). Source: aten::embedding_dense_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.embedding_backward(pydl.ones(3, 1), pydl.tensor([0, 2, 2]), 3)
        tensor([[1.],
                [0.],
                [2.]])
    """

    def check(
        grad_output: Tensor,
        indices: Tensor,
        num_weights: int,
        padding_idx: int = -1,
        scale_grad_by_freq: bool = False,
    ) -> tuple[Any, ...]:
        tensor_arg(grad_output, "embedding_backward", "grad_output")
        index_values(indices, "embedding_backward", "indices")
        return grad_output, indices, int(num_weights), padding_idx, scale_grad_by_freq

    def forward(ctx: Any, dy: Tensor, ids: Tensor, rows: int, padding: int, by_frequency: bool) -> Tensor:
        ctx.save(ids)
        ctx.settings = rows, padding, by_frequency
        return core.add_rows(dy, ids, rows, padding, by_frequency)

    def backward(ctx: Any, g: Tensor) -> Tensor:
        (ids,) = ctx.saved
        rows, padding, by_frequency = ctx.settings
        y = embedding(ids, g)
        if padding < 0 and not by_frequency:
            return y
        values: Array = ids.array
        counts = np.bincount(values.reshape(-1), minlength=rows)[values] if by_frequency else 1
        scale = np.where(values == padding, 0.0, 1.0 / counts).astype(g.dtype.np)
        return y * wrap(scale[..., None])
