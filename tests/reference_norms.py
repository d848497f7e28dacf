# SPDX-License-Identifier: BSD-3-Clause
"""What the normalisations compute, written plainly with NumPy. Rules as in reference.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def _lead(x: Array, vector: Array | None, default: float) -> Any:
    """A vector with one element a channel, shaped to meet x."""
    return default if vector is None else vector.reshape(1, -1, *(1,) * (x.ndim - 2))


def _normalized(x: Array, dims: tuple[int, ...], eps: float) -> Array:
    if x.size == 0:
        return x
    d = x - x.mean(dims, keepdims=True)
    return d / np.sqrt((d * d).mean(dims, keepdims=True) + eps)


def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    if training:
        h = _normalized(x, (0, *range(2, x.ndim)), eps)
    else:
        h = (x - _lead(x, running_mean, 0)) / np.sqrt(_lead(x, running_var, 1) + eps)
    return h * _lead(x, weight, 1) + _lead(x, bias, 0)


def instance_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Array:
    if not use_input_stats:
        return batch_norm(x, weight, bias, running_mean=running_mean, running_var=running_var, eps=eps)
    return _normalized(x, tuple(range(2, x.ndim)), eps) * _lead(x, weight, 1) + _lead(x, bias, 0)


def group_norm(
    x: Array, num_groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    if x.size == 0:
        return x
    h = _normalized(x.reshape(x.shape[0], num_groups, -1), (2,), eps).reshape(x.shape)
    return h * _lead(x, weight, 1) + _lead(x, bias, 0)


def layer_norm(
    x: Array,
    normalized_shape: Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    h = _normalized(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)), eps)
    return h * (1 if weight is None else weight) + (0 if bias is None else bias)


def rms_norm(x: Array, normalized_shape: Sequence[int], weight: Array | None = None, eps: float | None = None) -> Array:
    assert eps is not None, "the default depends on the type, which the reference does not see"
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    h = x / np.sqrt((x * x).mean(dims, keepdims=True) + eps) if x.size else x
    return h * (1 if weight is None else weight)


def window_sum(x: Array, below: int, above: int) -> Array:
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        y[:, c] = x[:, max(0, c - below) : c + above + 1].sum(1)
    return y


def local_response_norm(x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    return x / (k + alpha / size * window_sum(x * x, size // 2, (size - 1) // 2)) ** beta


def normalize(x: Array, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Array:
    if np.isinf(p):
        length = np.abs(x).max(dim, keepdims=True, initial=0)
    else:
        length = (np.abs(x) ** p).sum(dim, keepdims=True) ** (1 / np.longdouble(p))
    return x / np.maximum(length, eps)
