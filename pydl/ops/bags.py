# SPDX-License-Identifier: BSD-3-Clause
"""Bags: several rows of a table made one, by sum, mean or maximum."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core import resample as core
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array
from pydl.ops._checks import check_range, float_arg, index_values, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.gathering import gather, index_select
from pydl.ops.lookups import check_table, embedding, embedding_backward, padding_row, renorm_rows

__all__ = ["bag_sum", "embedding_bag"]


@op
class bag_sum:
    """y[b] = Σ_t weights[t] · weight[indices[t]] over starts[b] ≤ t < starts[b + 1]; weights absent: ones.

    Shapes: weight (V, E), indices (n) and starts (B + 1) int64, weights (n) or None, y (B, E).
    Gradient: dweight as in embedding (settings: padding row or -1, whether divided by the frequency), dweights[t] =
    weight[indices[t]] · dy[b]. Errors: IndexError for a number outside of the table.

    Example:
        >>> import pydl
        >>> pydl.ops.bag_sum(pydl.tensor([[1.], [2.], [4.]]), pydl.tensor([0, 1, 2]), pydl.tensor([0, 2, 3]))
        tensor([[3.],
                [4.]])
    """

    def check(
        weight: Tensor,
        indices: Tensor,
        starts: Tensor,
        weights: Tensor | None = None,
        padding: int = -1,
        by_frequency: bool = False,
    ) -> tuple[Any, ...]:
        rows = check_table(weight, "bag_sum")
        check_range(index_values(indices, "bag_sum", "indices"), rows, 0, "bag_sum")
        return weight, indices, starts, weights, padding, by_frequency

    def forward(
        ctx: Any, weight: Tensor, ids: Tensor, starts: Tensor, weights: Tensor | None, padding: int, by_frequency: bool
    ) -> Tensor:
        ctx.save(weight, ids, starts, weights)
        ctx.settings = weight.shape[0], padding, by_frequency
        scale = None if weights is None else np.ascontiguousarray(weights.array)
        at, index = (np.ascontiguousarray(t.array, np.int64) for t in (starts, ids))
        return core.combine_axis(weight, 0, (at, index, scale))

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        weight, ids, starts, weights = ctx.saved
        rows, padding, by_frequency = ctx.settings
        counts = np.diff(starts.array)
        d_terms = embedding(wrap(np.repeat(np.arange(counts.size), counts)), dy)
        d_weights = (embedding(ids, weight) * d_terms).sum(1) if ctx.needs[3] else None
        d_weight = None
        if ctx.needs[0]:
            scaled = d_terms if weights is None else d_terms * weights.unsqueeze(1)
            d_weight = embedding_backward(scaled, ids, rows, padding, by_frequency)
        return d_weight, None, None, d_weights


def _starts(ids: Array, offsets: Tensor | None, include_last_offset: bool) -> Array:
    """(B + 1): where each bag begins, and where the last one ends."""
    if ids.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: if input is 2D, then offsets has to be None: its rows are the bags")
        return np.arange(ids.shape[0] + 1) * ids.shape[1]
    if ids.ndim != 1:
        raise ValueError(f"embedding_bag: input has to be 1D or 2D Tensor, but got Tensor of dimension {ids.ndim}")
    if offsets is None:
        raise ValueError("embedding_bag: offsets has to be a 1D Tensor but got None")
    at = index_values(offsets, "embedding_bag", "offsets").astype(np.int64)
    if at.ndim != 1:
        raise ValueError(f"embedding_bag: offsets has to be a 1D Tensor, not {at.shape}")
    if include_last_offset and at.size == 0:
        raise RuntimeError("embedding_bag: with include_last_offset there must be at least one offset")
    if at.size and at[0] != 0:
        raise RuntimeError(f"embedding_bag: offsets[0] has to be 0: the first bag starts at 0. However, got {at[0]}")
    if at.size and (at.max() > ids.size or (np.diff(at) < 0).any()):
        raise RuntimeError(
            f"embedding_bag: offsets must rise and can not be greater than input's length {ids.size}, not {at.tolist()}"
        )
    return at if include_last_offset else np.append(at, ids.size)


def _without(padding: int, ids: Array, starts: Array) -> tuple[Array, Array, Array]:
    """The numbers but the padding, where their bags start now, and which of the old ones they are."""
    kept = np.flatnonzero(ids != padding)
    return ids[kept], np.searchsorted(kept, starts).astype(np.int64), kept


def _maximum(weight: Tensor, ids: Array, starts: Array, padding: int) -> Tensor:
    """The largest element of every column of a bag, the first one where several are equal; zeros for an empty bag."""
    terms = embedding(wrap(ids), weight, padding_idx=None if padding < 0 else padding)
    values: Array = terms.detach().array
    counts = np.diff(starts)
    full = np.flatnonzero(counts)
    zeros = weight.new_zeros((counts.size, weight.shape[1]))
    if full.size == 0:
        return zeros.index_add(0, wrap(full), terms)
    bag = np.repeat(np.arange(full.size), counts[full])
    largest = np.maximum.reduceat(values, starts[full], axis=0)
    there = (values == largest[bag]) | np.isnan(values)
    places = np.where(there, np.arange(ids.size)[:, None], ids.size)
    rows = gather(terms, 0, wrap(np.minimum.reduceat(places, starts[full], axis=0)))
    if full.size == counts.size:
        return rows
    return zeros.index_add(0, wrap(full), rows)


def _check_bag(input: Tensor, mode: str, weights: Tensor | None, by_frequency: bool, sparse: bool) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode has to be one of sum, mean or max, not {mode}")
    if sparse:
        raise NotImplementedError("embedding_bag: sparse=True is not supported: gradients of a table are dense")
    if mode == "max" and by_frequency:
        raise ValueError("embedding_bag: max mode does not support scaling the gradient by the frequency")
    if weights is None:
        return
    tensor_arg(weights, "embedding_bag", "per_sample_weights")
    if mode != "sum":
        raise NotImplementedError(f"embedding_bag: per_sample_weights is only supported for mode='sum' (got {mode!r})")
    if tuple(weights.shape) != tuple(input.shape):
        raise ValueError(
            f"embedding_bag: per_sample_weights {tuple(weights.shape)} must have the shape of the input "
            f"{tuple(input.shape)}"
        )


@composite
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """y[b] = Σ, mean or maximum of weight[input[t]] over the t of bag b, without an intermediate for sum and mean.

    Bags are the rows of a 2-d input, or of a 1-d one what lies between `offsets` (the last of which is an end with
    include_last_offset). per_sample_weights scale the terms of a sum. padding_idx is left out, of counts too.
    Shapes: input (B, n) or (n), offsets (B), weight (V, E), y (B, E); an empty bag gives zeros.
    Gradient: as embedding. Errors: IndexError for a number outside of the table; ValueError, RuntimeError for
    offsets that do not fit. Source: F.embedding_bag.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.embedding_bag(pydl.tensor([[0, 1]]), pydl.tensor([[1.], [3.]]))
        tensor([[2.]])
    """
    rows = check_table(weight, "embedding_bag")
    float_arg(weight, "embedding_bag", "weight")
    values = index_values(input, "embedding_bag", "input")
    _check_bag(input, mode, per_sample_weights, scale_grad_by_freq, sparse)
    starts = _starts(values, offsets, include_last_offset)
    padding = padding_row(padding_idx, rows, "embedding_bag")
    check_range(values, rows, 0, "embedding_bag")
    ids, weights = values.reshape(-1).astype(np.int64), per_sample_weights
    if max_norm is not None:
        renorm_rows(weight, ids, float(max_norm), float(norm_type))
    if weights is not None:
        weights = weights.reshape(-1)
        if weights.dtype != weight.dtype:
            raise RuntimeError(
                f"embedding_bag: per_sample_weights must be {weight.dtype} as weight, not {weights.dtype}"
            )
    if padding >= 0:
        ids, starts, kept = _without(padding, ids, starts)
        weights = None if weights is None else index_select(weights, 0, wrap(kept))
    ids = ids[: starts[-1]]
    weights = None if weights is None else weights[: int(starts[-1])]
    if mode == "max":
        return _maximum(weight, ids, starts, padding)
    if mode == "mean":
        counts = np.diff(starts)
        weights = wrap((1.0 / np.repeat(counts, counts)).astype(weight.dtype.np))
    return bag_sum(weight, wrap(ids), wrap(starts), weights, padding, scale_grad_by_freq)
