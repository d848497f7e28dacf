# SPDX-License-Identifier: BSD-3-Clause
"""What every operation computes, written plainly with NumPy: the specification that the tests compare pydl with.

Floating-point arrays come in as `np.longdouble`, so that the reference is more exact than float64 where the platform
has such a type; nothing here calls BLAS. Names and arguments are those of the operations.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Dims = int | Sequence[int] | None


def add(input: Any, other: Any, alpha: float = 1) -> Any:
    return input + alpha * other


def sub(input: Any, other: Any, alpha: float = 1) -> Any:
    return input - alpha * other


def mul(input: Any, other: Any) -> Any:
    return input * other


def div(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return np.floor_divide(input, other)
    if rounding_mode == "trunc":
        return np.trunc(np.true_divide(input, other)).astype(np.result_type(input, other))
    return np.true_divide(input, other)


def pow(input: Any, exponent: Any) -> Any:
    return np.power(input, exponent)


def square(input: Array) -> Array:
    return input * input


def rsqrt(input: Array) -> Array:
    return 1 / np.sqrt(input)


def reciprocal(input: Array) -> Array:
    return 1 / input


def relu(input: Array) -> Array:
    """0 below 0; NaN and -0 pass."""
    return np.where(input < 0, input.dtype.type(0), input)


def sigmoid(input: Array) -> Array:
    e = np.exp(-np.abs(input))
    return np.where(input >= 0, 1 / (1 + e), e / (1 + e))


def where(condition: Array, input: Any, other: Any) -> Array:
    return np.where(condition, input, other)


def clamp(input: Array, min: Any = None, max: Any = None) -> Array:
    result = input if min is None else np.maximum(input, min)
    return result if max is None else np.minimum(result, max)


def matmul(input: Array, other: Array) -> Array:
    """Σ_k x[..., i, k] y[..., k, j], leading dimensions broadcast, a missing row or column dimension left out again."""
    x = input[np.newaxis] if input.ndim == 1 else input
    y = other[:, np.newaxis] if other.ndim == 1 else other
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = np.broadcast_to(x, batch + x.shape[-2:])
    y = np.broadcast_to(y, batch + y.shape[-2:])
    result = np.zeros((*batch, x.shape[-2], y.shape[-1]), np.result_type(x, y))
    for k in range(x.shape[-1]):
        result += x[..., :, k, np.newaxis] * y[..., np.newaxis, k, :]
    if input.ndim == 1:
        result = result[..., 0, :]
    return result[..., 0] if other.ndim == 1 else result


def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    result = matmul(input, weight.T)
    return result if bias is None else result + bias


def axes(dim: Dims, ndim: int) -> tuple[int, ...]:
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    return tuple(d % builtins.max(ndim, 1) for d in ([dim] if isinstance(dim, int) else dim)) if ndim else ()


def sum(input: Array, dim: Dims = None, keepdim: bool = False) -> Any:
    result = np.sum(input, axis=axes(dim, input.ndim), keepdims=keepdim)
    return result if input.dtype.kind == "f" else np.asarray(result).astype(np.int64)


def mean(input: Array, dim: Dims = None, keepdim: bool = False) -> Any:
    n = math.prod(input.shape[a] for a in axes(dim, input.ndim))
    with np.errstate(invalid="ignore", divide="ignore"):
        return sum(input, dim, keepdim) / np.longdouble(n)


def prod(input: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    return np.prod(input, axis=axes(dim, input.ndim), keepdims=keepdim)


def var(
    input: Array, dim: Dims = None, unbiased: bool = True, *, correction: int | None = None, keepdim: bool = False
) -> Any:
    less = (1 if unbiased else 0) if correction is None else correction
    n = math.prod(input.shape[a] for a in axes(dim, input.ndim))
    spread = input - mean(input, dim, True)
    return sum(spread * spread, dim, keepdim) / np.longdouble(builtins.max(n - less, 0))


def std(
    input: Array, dim: Dims = None, unbiased: bool = True, *, correction: int | None = None, keepdim: bool = False
) -> Any:
    return np.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim))


def amax(input: Array, dim: Dims = (), keepdim: bool = False) -> Any:
    return np.max(input, axis=axes(dim, input.ndim), keepdims=keepdim)


def amin(input: Array, dim: Dims = (), keepdim: bool = False) -> Any:
    return np.min(input, axis=axes(dim, input.ndim), keepdims=keepdim)


def argmax(input: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    if input.ndim == 0:
        return np.int64(0)
    return np.argmax(input, axis=dim, keepdims=keepdim)


def argmin(input: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    if input.ndim == 0:
        return np.int64(0)
    return np.argmin(input, axis=dim, keepdims=keepdim)


def max(input: Array, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return np.max(input)
    if not isinstance(dim, int):
        return np.maximum(input, dim)
    return amax(input, dim, keepdim), argmax(input, dim, keepdim)


def min(input: Array, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return np.min(input)
    if not isinstance(dim, int):
        return np.minimum(input, dim)
    return amin(input, dim, keepdim), argmin(input, dim, keepdim)


def logsumexp(input: Array, dim: Dims, keepdim: bool = False) -> Any:
    if input.size == 0:
        with np.errstate(divide="ignore"):
            return np.log(sum(np.exp(input), dim, keepdim))
    top = amax(input, dim, True)
    result = np.log(sum(np.exp(input - top), dim, True)) + top
    return result if keepdim else np.squeeze(result, axis=axes(dim, input.ndim))


def log_softmax(input: Array, dim: int) -> Array:
    return input - logsumexp(input, dim, True) if input.size else input


def softmax(input: Array, dim: int) -> Array:
    return np.exp(log_softmax(input, dim))


def reduced(loss: Array, reduction: str, total: Any = None) -> Any:
    """The losses as they are, their sum, or their sum divided by `total` (default: their number)."""
    if reduction == "none":
        return loss
    if reduction == "sum":
        return np.sum(loss)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(loss) / np.longdouble(loss.size if total is None else total)


def weighted(loss: Array, weight: Array | None, reduction: str) -> Any:
    return reduced(loss, reduction) if weight is None else reduced(loss * weight, reduction, np.sum(weight))


def mse_loss(
    input: Array, target: Array, _: Any = None, __: Any = None, reduction: str = "mean", weight: Array | None = None
) -> Any:
    return weighted((input - target) ** 2, weight, reduction)


def l1_loss(
    input: Array, target: Array, _: Any = None, __: Any = None, reduction: str = "mean", weight: Array | None = None
) -> Any:
    return weighted(np.abs(input - target), weight, reduction)


def binary_cross_entropy(input: Array, target: Array, weight: Array | None = None, reduction: str = "mean") -> Any:
    with np.errstate(divide="ignore"):
        loss = -(target * np.maximum(np.log(input), -100) + (1 - target) * np.maximum(np.log1p(-input), -100))
    return reduced(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None
) -> Any:
    def softplus(z: Array) -> Array:
        return np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)

    factor = 1 if pos_weight is None else pos_weight
    loss = target * factor * softplus(-input) + (1 - target) * softplus(input)
    return reduced(loss if weight is None else loss * weight, reduction)


def nll_loss(
    input: Array, target: Array, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """−w[t] x[n, t, ...]; the mean is divided by Σ w[t]; ignored targets count nothing."""
    return _nll(input, target, weight, ignore_index, reduction)


def _nll(
    input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str, smoothing: float = 0.0
) -> Any:
    x = input[np.newaxis] if input.ndim == 1 else input
    t = np.reshape(target, (1,)) if input.ndim == 1 else target
    classes = x.shape[1]
    w = np.ones(classes, x.dtype) if weight is None else weight
    loss, total = np.zeros(t.shape, x.dtype), x.dtype.type(0)
    for place in np.ndindex(t.shape):
        c = int(t[place])
        if c == ignore_index:
            continue
        row = x[(place[0], slice(None), *place[1:])]
        loss[place] = -(1 - smoothing) * w[c] * row[c] - smoothing / classes * np.sum(w * row)
        total += w[c]
    return reduced(loss[0] if input.ndim == 1 else loss, reduction, total)


def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """−Σ_c w_c p_c log softmax(x)_c with p the target's distribution, smoothed; classes in dimension 1 (0 if 1-d)."""
    dim = 0 if input.ndim == 1 else 1
    logp = log_softmax(input, dim)
    if target.dtype.kind != "f":
        return _nll(logp, target, weight, ignore_index, reduction, label_smoothing)
    classes = input.shape[dim]
    p = target * (1 - label_smoothing) + label_smoothing / np.longdouble(classes)
    w = np.ones(classes, input.dtype) if weight is None else weight
    loss = -np.sum(p * logp * w.reshape((classes,) + (1,) * (input.ndim - 1 - dim)), axis=dim)
    return reduced(np.asarray(loss), reduction)


def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    return np.concatenate(tensors, axis=dim)


def stack(tensors: Sequence[Array], dim: int = 0) -> Array:
    return np.stack(tensors, axis=dim)


def split(tensor: Array, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    n = tensor.shape[dim]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        sizes = [size] * (n // size) + ([n % size] if n % size or not n else [])
    else:
        sizes = list(split_size_or_sections)
    ends = np.cumsum(sizes)
    return tuple(np.take(tensor, np.arange(e - s, e), axis=dim) for s, e in zip(sizes, ends, strict=True))


def chunk(input: Array, chunks: int, dim: int = 0) -> tuple[Array, ...]:
    return split(input, -(-input.shape[dim] // chunks), dim)


def squeeze(input: Array, dim: Dims = None) -> Array:
    wanted = axes(dim, input.ndim)
    return input.reshape([n for d, n in enumerate(input.shape) if not (n == 1 and d in wanted)])


def flatten(input: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    if input.ndim == 0:
        return input.reshape(1)
    a, b = start_dim % input.ndim, end_dim % input.ndim
    return input.reshape(*input.shape[:a], math.prod(input.shape[a : b + 1]), *input.shape[b + 1 :])


def expand(input: Array, *sizes: int) -> Array:
    lead = len(sizes) - input.ndim
    return np.broadcast_to(input, [n if s == -1 else s for s, n in zip(sizes, (1,) * lead + input.shape, strict=True)])


def getitem(input: Array, index: Any) -> Array:
    """NumPy's rules, but an integer selects before arrays do, so it never moves their dimensions to the front."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, np.ndarray) and p.ndim for p in parts) and any(isinstance(p, int) for p in parts):
        selected = np.asarray(input[tuple(p if isinstance(p, int) else slice(None) for p in parts)])
        return np.asarray(selected[tuple(p for p in parts if not isinstance(p, int))])
    return np.asarray(input[index])


def index_select(input: Array, dim: int, index: Array) -> Array:
    return np.take(input, index, axis=dim)


def gather(input: Array, dim: int, index: Array) -> Array:
    result = np.empty(index.shape, input.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        if source:
            source[dim] = int(index[place])
        result[place] = input[tuple(source)]
    return result
