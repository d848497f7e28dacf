# SPDX-License-Identifier: BSD-3-Clause
"""What attention computes, written plainly with NumPy. Rules as in reference.py."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def softmax_where(scores: Array, allowed: Array) -> Array:
    """Over the allowed positions of the last dimension; 0 elsewhere, and everywhere in a row without any."""
    allowed = np.broadcast_to(allowed, scores.shape)
    if scores.shape[-1] == 0:
        return scores
    top = np.where(allowed, scores, -np.inf).max(-1, keepdims=True)
    e = np.where(allowed, np.exp(np.where(allowed, scores, 0) - np.where(np.isfinite(top), top, 0)), 0)
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def scaled_dot_product_attention(
    q: Array,
    k: Array,
    v: Array,
    attn_mask: Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Array:
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], -3) for x in (k, v))
    scale = 1 / np.sqrt(q.dtype.type(max(q.shape[-1], 1))) if scale is None else scale
    scores = scale * np.einsum("...le,...se->...ls", q, k)
    allowed = np.ones(scores.shape, bool)
    if is_causal:
        allowed = np.tri(*scores.shape[-2:], dtype=bool)
    elif attn_mask is not None and attn_mask.dtype == bool:
        allowed = attn_mask
    elif attn_mask is not None:
        allowed = ~np.isneginf(attn_mask)
        scores = scores + np.where(allowed, attn_mask, 0)
    return np.einsum("...ls,...sf->...lf", softmax_where(scores, allowed), v)
