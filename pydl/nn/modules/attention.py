# SPDX-License-Identifier: BSD-3-Clause
"""Attention of a decoder over an encoder's positions: additive (Bahdanau 2015) and dot product (Luong 2015)."""

from __future__ import annotations

import math
from typing import Any

from pydl._core.errors import ShapeError
from pydl.nn.modules.linear import Linear
from pydl.nn.modules.module import Module
from pydl.ops.attention import masked_softmax
from pydl.tensor import Tensor

__all__ = ["AdditiveAttention", "DotProductAttention"]

SCORES = ("dot", "scaled", "general")


class _Attention(Module):
    """What both have in common: arguments, weights from scores, the weighted sum."""

    query_size: int
    key_size: int

    def project_keys(self, keys: Tensor) -> Tensor:
        """What the scores need of the keys, the same for all queries: a decoder that goes step by step asks once."""
        raise NotImplementedError

    def _scores(self, query: Tensor, projected: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        projected_keys: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        values = keys if values is None else values
        self._check(query, keys, values)
        one = query.ndim == 2
        if mask is not None and mask.ndim == 2:
            mask = mask.unsqueeze(1)
        projected = self.project_keys(keys) if projected_keys is None else projected_keys
        weights: Any = masked_softmax(self._scores(query.unsqueeze(1) if one else query, projected), mask)
        context: Any = weights @ values
        return (context.squeeze(1), weights.squeeze(1)) if one else (context, weights)

    def _check(self, query: Tensor, keys: Tensor, values: Tensor) -> None:
        name = type(self).__name__
        shapes = f"query {tuple(query.shape)}, keys {tuple(keys.shape)}, values {tuple(values.shape)}"
        if query.ndim not in (2, 3) or keys.ndim != 3 or values.ndim != 3:
            raise ShapeError(f"{name}: takes query (N, Q) or (N, L, Q), keys (N, S, K), values (N, S, V), not {shapes}")
        for what, x, size in (("query", query, self.query_size), ("keys", keys, self.key_size)):
            if x.shape[-1] != size:
                raise ShapeError(f"{name}: {what} has {x.shape[-1]} features instead of {size} ({shapes})")
        if not query.shape[0] == keys.shape[0] == values.shape[0]:
            raise ShapeError(f"{name}: the batches of {shapes} differ")
        if keys.shape[1] != values.shape[1]:
            raise ShapeError(f"{name}: keys and values have different positions ({shapes})")


class AdditiveAttention(_Attention):
    """c = Σ_j p_j v_j with p = softmax over j of e_j = wᵀ tanh(W_q q + W_k k_j).

    values are the keys unless given. mask is True at the positions to look at; the weight of the others is exactly 0,
    and so is their gradient; a query that may look nowhere gets c = 0. Returns the weights too: they make the picture
    of what was looked at. `projected_keys` (from `project_keys`) spares W_k k where the queries come one by one.
    Shapes: q (N, Q) or (N, L, Q); k (N, S, K); v (N, S, V); mask bool (N, S) or (N, L, S);
    c (N, V) or (N, L, V); p (N, S) or (N, L, S). Gradient: to all but the mask. Errors: ShapeError; RuntimeError for a
    mask that is not bool. Source: Bahdanau, Cho, Bengio 2015, equations 5 and 6 (its a without biases).

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> lengths = pydl.tensor([2, 3])
        >>> mask = pydl.arange(3) < lengths.unsqueeze(1)
        >>> context, weights = nn.AdditiveAttention(4, 5, 8)(pydl.randn(2, 4), pydl.randn(2, 3, 5), mask=mask)
        >>> context.shape, weights.shape, weights[0, 2].item()
        (pydl.Size([2, 5]), pydl.Size([2, 3]), 0.0)
    """

    def __init__(self, query_size: int, key_size: int, hidden_size: int) -> None:
        super().__init__()
        self.query_size, self.key_size, self.hidden_size = query_size, key_size, hidden_size
        self.query_layer = Linear(query_size, hidden_size, bias=False)
        self.key_layer = Linear(key_size, hidden_size, bias=False)
        self.score_layer = Linear(hidden_size, 1, bias=False)

    def project_keys(self, keys: Tensor) -> Tensor:
        """W_k k, (N, S, hidden_size)."""
        return self.key_layer(keys)

    def _scores(self, query: Tensor, projected: Tensor) -> Tensor:
        hidden = (self.query_layer(query).unsqueeze(2) + projected.unsqueeze(1)).tanh()
        return self.score_layer(hidden).squeeze(3)

    def extra_repr(self) -> str:
        return f"query_size={self.query_size}, key_size={self.key_size}, hidden_size={self.hidden_size}"


class DotProductAttention(_Attention):
    """c = Σ_j p_j v_j with p = softmax over j of e_j = qᵀ k_j ("dot"), qᵀ k_j / √Q ("scaled") or qᵀ W k_j ("general").

    values are the keys unless given. mask is True at the positions to look at; the weight of the others is exactly 0,
    and so is their gradient; a query that may look nowhere gets c = 0. Returns the weights too. `projected_keys` (from
    `project_keys`) spares W k where the queries come one by one. Dropout, several heads or no weights returned:
    `nn.functional.scaled_dot_product_attention`.
    Shapes: q (N, Q) or (N, L, Q); k (N, S, K), K = Q unless "general"; v (N, S, V); mask bool (N, S) or (N, L, S);
    c (N, V) or (N, L, V); p (N, S) or (N, L, S). Gradient: to all but the mask. Errors: ShapeError; RuntimeError for a
    mask that is not bool; ValueError for another score. Source: Luong, Pham, Manning 2015, section 3.1.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> attention = nn.DotProductAttention(2, score="dot")
        >>> keys = pydl.tensor([[[30., 0.], [0., 30.]]])
        >>> context, weights = attention(pydl.tensor([[30., 0.]]), keys)
        >>> context
        tensor([[30., 0.]])
    """

    def __init__(self, query_size: int, key_size: int | None = None, score: str = "general") -> None:
        super().__init__()
        self.query_size, self.key_size, self.score = query_size, query_size if key_size is None else key_size, score
        if score not in SCORES:
            raise ValueError(f"DotProductAttention: score must be one of {', '.join(SCORES)}, not {score!r}")
        if score != "general" and self.key_size != query_size:
            raise ValueError(
                f"DotProductAttention: score {score!r} needs equal sizes, not query_size {query_size} and key_size "
                f"{self.key_size}"
            )
        self.key_layer = Linear(self.key_size, query_size, bias=False) if score == "general" else None

    def project_keys(self, keys: Tensor) -> Tensor:
        """W k, (N, S, Q), for "general"; else the keys themselves."""
        return keys if self.key_layer is None else self.key_layer(keys)

    def _scores(self, query: Tensor, projected: Tensor) -> Tensor:
        if self.score == "scaled":
            query = query * (1 / math.sqrt(self.query_size))
        return query @ projected.transpose(1, 2)

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.key_size}, score={self.score!r}"
