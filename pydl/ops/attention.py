# SPDX-License-Identifier: BSD-3-Clause
"""Attention: weights over positions from scores, and the scaled dot product."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite
from pydl.ops.dropping import dropout
from pydl.ops.native import where
from pydl.ops.softmaxes import softmax

__all__ = ["masked_softmax", "scaled_dot_product_attention"]

NAME = "scaled_dot_product_attention"


def _over_the_living(scores: Tensor, alive: np.ndarray[Any, Any]) -> Tensor:
    """softmax along the last dimension; rows that are not alive get zero weights, and no gradient passes there."""
    if alive.all():
        return softmax(scores, -1)
    lives = wrap(alive)
    # Not softmax of −∞ alone: its NaN would reach the gradients, which a later masking does not undo.
    return where(lives, softmax(where(lives, scores, 0.0), -1), 0.0)


def masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    """p_i = exp s_i / Σ exp s_j over the positions of the last dimension where the mask is True; exactly 0 elsewhere.

    Where no position is left, all weights are 0.
    Shapes: s (…, S), mask bool broadcasting to it, p (…, S). Gradient: ds = p (dy − Σ p_j dy_j), exactly 0 where the
    mask is False. Errors: RuntimeError for a mask that is not bool; ShapeError where it does not broadcast.

    Example:
        >>> import pydl
        >>> from pydl.ops.attention import masked_softmax
        >>> masked_softmax(pydl.zeros(2, 3), pydl.tensor([[True, True, False], [False, False, False]]))
        tensor([[0.5000, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000]])
    """
    if mask is None:
        return softmax(scores, -1)
    tensor_arg(mask, "masked_softmax", "mask")
    if mask.array.dtype != np.bool_:
        raise RuntimeError(f"masked_softmax: expected a bool mask, but got {mask.dtype}")
    _check_fits(mask, tuple(scores.shape), "masked_softmax")
    alive = mask.array.any(-1, keepdims=True) if mask.ndim else mask.array
    return _over_the_living(where(mask, scores, -math.inf), alive)


def _check_fits(mask: Tensor, shape: tuple[int, ...], op_name: str) -> None:
    try:
        fits = np.broadcast_shapes(mask.array.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{op_name}: the mask {mask.array.shape} does not broadcast to the scores {shape}")


def _check_tensors(query: Any, key: Any, value: Any) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        tensor_arg(x, NAME, name)
    q, k, v = query.shape, key.shape, value.shape
    shapes = f"query {tuple(q)}, key {tuple(k)}, value {tuple(v)}"
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            f"{NAME}: Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype} "
            f"key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    if not query.dtype.is_floating_point:
        raise RuntimeError(f"{NAME}: expected scalar type Float but found {query.dtype}")
    if min(len(q), len(k), len(v)) < 2:
        raise ShapeError(f"{NAME}: Expected query, key, and value to all be at least 2 dimensional, but got {shapes}")
    if q[-1] != k[-1]:
        raise ShapeError(f"{NAME}: query has {q[-1]} features but key has {k[-1]} ({shapes})")
    if k[-2] != v[-2]:
        raise ShapeError(f"{NAME}: key has {k[-2]} positions but value has {v[-2]} ({shapes})")


def _shared_heads(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Key and value, each of their heads repeated for its group of query heads."""
    if min(query.ndim, key.ndim, value.ndim) < 3:
        raise IndexError(f"{NAME}: enable_gqa takes the heads from dimension -3, which a 2-D tensor does not have")
    n_heads = query.shape[-3]
    for name, x in (("key", key), ("value", value)):
        n_given = x.shape[-3]
        if n_given == 0 or n_heads % n_given:
            raise ShapeError(
                f"{NAME}: Number of heads in key and value must divide the number of heads in query: "
                f"{name} has {n_given}, query {n_heads}"
            )
    repeated = [x if x.shape[-3] == n_heads else x.repeat_interleave(n_heads // x.shape[-3], -3) for x in (key, value)]
    return repeated[0], repeated[1]


def _scores_shape(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, ...]:
    """(…, L, S) with the leading dimensions of query and key broadcast together."""
    shapes = [tuple(x.shape) for x in (query, key, value)]
    try:
        lead = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
        np.broadcast_shapes(lead, shapes[2][:-2])
    except ValueError:
        raise ShapeError(
            f"{NAME}: the leading dimensions of query {shapes[0]}, key {shapes[1]} and value {shapes[2]} "
            "do not broadcast together"
        ) from None
    return (*lead, shapes[0][-2], shapes[1][-2])


def _weights(scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    if is_causal:
        n_rows, n_columns = scores.shape[-2:]
        return masked_softmax(scores, wrap(np.tri(n_rows, n_columns, dtype=np.bool_)))
    if attn_mask is None or attn_mask.array.dtype == np.bool_:
        return masked_softmax(scores, attn_mask)
    scores = scores + attn_mask
    # Only a mask can leave a row nothing but −∞.
    return _over_the_living(scores, (scores.array != -math.inf).any(-1, keepdims=True))


def _check_mask(attn_mask: Any, query: Tensor, shape: tuple[int, ...]) -> None:
    tensor_arg(attn_mask, NAME, "attn_mask")
    if attn_mask.array.dtype not in (np.bool_, np.float32, query.array.dtype):
        raise RuntimeError(
            f"{NAME}: Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{attn_mask.dtype} and query.dtype: {query.dtype} instead."
        )
    if attn_mask.ndim < 2:
        raise IndexError(f"{NAME}: attn_mask (…, L, S) has only the dimensions {tuple(attn_mask.shape)}")
    _check_fits(attn_mask, shape, NAME)


@composite
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """y = softmax(scale · q kᵀ + mask) v, with scale 1/√E unless given.

    attn_mask: bool, True where a query may look at a position; or numbers to be added to the scores. is_causal: query l
    looks at the positions 0 … l. A query that may look nowhere gets y = 0. dropout_p drops weights, always: pass 0 in
    evaluation. enable_gqa: several heads of the query (dimension −3) share one of key and value.
    Shapes: q (…, L, E), k (…, S, E), v (…, S, F), y (…, L, F); attn_mask broadcasts to (…, L, S).
    Gradient: to q, k, v and a mask of numbers; exactly 0 to q and k where the mask is False.
    Errors: ShapeError; RuntimeError for other element types, a mask beside is_causal, dropout_p outside of [0, 1];
    IndexError for a mask of fewer than 2 dimensions. Source: torch.nn.functional.scaled_dot_product_attention.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> x = pydl.tensor([[0., 1.], [1., 0.]])
        >>> F.scaled_dot_product_attention(x, x, pydl.tensor([[1.], [3.]]), is_causal=True, scale=1000.0)
        tensor([[1.],
                [3.]])
    """
    _check_tensors(query, key, value)
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"{NAME}: dropout probability has to be between 0 and 1, but got {dropout_p}")
    if enable_gqa:
        key, value = _shared_heads(query, key, value)
    shape = _scores_shape(query, key, value)
    if attn_mask is not None:
        if is_causal:
            raise RuntimeError(f"{NAME}: Explicit attn_mask should not be set when is_causal=True")
        _check_mask(attn_mask, query, shape)
    if scale is None:
        scale = 1 / math.sqrt(max(query.shape[-1], 1))
    weights = _weights((query * scale) @ key.transpose(-2, -1), attn_mask, is_causal)
    return (dropout(weights, dropout_p) if dropout_p else weights) @ value
