# SPDX-License-Identifier: BSD-3-Clause
"""Losses over classes: cross-entropy and negative log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core import cross_entropy as core
from pydl._core import dtypes
from pydl._core.errors import IndexRangeError, ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled, wrap
from pydl.ops._arrays import Array
from pydl.ops._checks import float_arg, reduction_arg, tensor_arg
from pydl.ops._declare import composite, native
from pydl.ops.gathering import gather
from pydl.ops.losses_regression import reduced
from pydl.ops.softmaxes import log_softmax, softmax

__all__ = ["cross_entropy", "cross_entropy_rows", "nll_loss"]

_REDUCTIONS = ("mean", "sum", "none")


def _class_dim(input: Tensor) -> int:
    return 0 if input.array.ndim == 1 else 1


def _check_classes(input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, op_name: str) -> None:
    """Shapes (C) and (), or (N, C, d1, …) and (N, d1, …); every class in [0, C) or ignore_index."""
    float_arg(input, op_name, "input")
    tensor_arg(target, op_name, "target")
    x, t = input.array, target.array
    if x.ndim == 0:
        raise ShapeError(f"{op_name}: input must have one dimension or more")
    if t.dtype not in (np.int64, np.uint8):
        raise RuntimeError(f"{op_name}: expected scalar type Long but found {target.dtype} (the target's classes)")
    d = _class_dim(input)
    if t.shape != x.shape[:d] + x.shape[d + 1 :]:
        raise ShapeError(
            f"{op_name}: input {x.shape} and target {t.shape} do not fit: (N, C, ...) with (N, ...), or (C) with ()"
        )
    n_classes = x.shape[d]
    bad = t[((t < 0) | (t >= n_classes)) & (t != ignore_index)]
    if bad.size:
        raise IndexRangeError(f"{op_name}: Target {bad.flat[0]} is out of bounds.")
    _check_class_weight(weight, input, n_classes, op_name)


def _check_class_weight(weight: Tensor | None, input: Tensor, n_classes: int, op_name: str) -> None:
    if weight is None:
        return
    tensor_arg(weight, op_name, "weight")
    if weight.array.shape != (n_classes,):
        raise ShapeError(
            f"{op_name}: weight tensor should be defined either for all {n_classes} classes or no classes but got "
            f"weight tensor of shape: {list(weight.array.shape)}"
        )
    if weight.requires_grad and is_grad_enabled():
        raise RuntimeError(f"{op_name}: the derivative for 'weight' is not implemented")
    if weight.array.dtype != input.array.dtype:
        raise RuntimeError(f"{op_name}: expected weight of type {input.dtype} but found {weight.dtype}")


def _spread_weight(weight: Tensor, input: Tensor) -> Tensor:
    """The weights (C) so that they broadcast along the class dimension."""
    return weight.reshape([-1 if d == _class_dim(input) else 1 for d in range(input.array.ndim)])


def _row_weights(target: Array, weight: Tensor | None, ignore_index: int, np_dtype: Any) -> Array:
    """w of each target's class, 0 where it is ignored."""
    kept = target != ignore_index
    if weight is None:
        return kept.astype(np_dtype)
    row: Array = np.where(kept, weight.array[np.where(kept, target, 0)], 0).astype(np_dtype, copy=False)
    return row


def _picked(values: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """values[n, target[n], …]; of class 0 where the target is ignored."""
    d = _class_dim(values)
    classes = np.where(target.array == ignore_index, 0, target.array).astype(np.int64)
    return gather(values, d, wrap(classes).unsqueeze(d)).squeeze(d)


@composite
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """−w_t x_t: of log-probabilities x, the one of the target's class t. The mean is divided by Σ w_t.

    Shapes: x (N, C, d1, …), t (N, d1, …) int64; or x (C), t (); a scalar, or t's shape for "none".
    Gradient: dx = −w_t dy [/ Σ w_t] at the target's class, else 0; 0 for ignored targets.
    Errors: IndexError naming a class outside of [0, C); ShapeError. Source: F.nll_loss.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.nll_loss(pydl.tensor([[-0.5, -1.0]]), pydl.tensor([1]))
        tensor(1.)
    """
    reduction = reduction_arg(size_average, reduce, reduction, "nll_loss")
    _check_classes(input, target, weight, ignore_index, "nll_loss")
    row = _row_weights(target.array, weight, ignore_index, input.array.dtype)
    # where, not a product: an ignored target's loss is 0 even if its log-probability is infinite.
    losses = (-_picked(input, target, ignore_index) * wrap(row)).masked_fill(wrap(target.array == ignore_index), 0.0)
    if reduction != "mean":
        return reduced(losses, reduction)
    return losses.sum() / float(row.sum())


cross_entropy_rows = native(core.cross_entropy_rows)


def _rows_gradient(
    dy: Tensor, x: Tensor, t: Tensor, weight: Tensor | None, ignore_index: int, a: float, reduction: str, total: float
) -> Tensor:
    """The gradient of cross_entropy_rows made of operations, for gradients of gradients: g (k p − c)."""
    n_classes = x.array.shape[1]
    kept = t.array != ignore_index
    w = np.ones(n_classes, x.array.dtype) if weight is None else weight.array
    hard = np.where(kept, (1 - a) * w[np.where(kept, t.array, 0)], 0)
    constant = np.where(kept[:, None], a / n_classes * w, 0)
    constant[np.flatnonzero(kept), t.array[kept]] += hard[kept]
    factor = hard + np.where(kept, a / n_classes * w.sum(), 0)
    g = dy / total if reduction == "mean" else dy
    rows = g.unsqueeze(1) if reduction == "none" else g
    np_dtype = x.array.dtype
    return rows * (softmax(x, 1) * wrap(factor[:, None].astype(np_dtype)) - wrap(constant.astype(np_dtype)))


core.set_composed_gradient(_rows_gradient)


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float, reduction: str
) -> Tensor:
    """Cross-entropy with a probability for each class; the mean is over the samples."""
    if input.array.shape != target.array.shape:
        raise ShapeError(
            f"cross_entropy: Expected floating point type for target with class probabilities of the input's shape "
            f"{input.array.shape}, not {target.array.shape}"
        )
    d = _class_dim(input)
    n_classes = input.array.shape[d]
    _check_class_weight(weight, input, n_classes, "cross_entropy")
    q = target if label_smoothing == 0 else target * (1 - label_smoothing) + label_smoothing / n_classes
    terms = log_softmax(input, d) * q
    losses = -(terms if weight is None else terms * _spread_weight(weight, input)).sum(d)
    if reduction == "mean":
        return losses.sum() / (input.array.size / max(n_classes, 1) if n_classes else 0.0)
    return reduced(losses, reduction)


@composite
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ_c q_c w_c log softmax(x)_c, averaged ("mean", divided by Σ w_t), added ("sum") or per sample ("none").

    q is 1 at the target's class, or with label smoothing a: (1 − a) there plus a / C everywhere; or the target itself,
    if it holds probabilities (then the mean is over the samples).
    Shapes: x (N, C, d1, …) with t (N, d1, …) int64, or t as x; x (C) with t (); weight (C).
    Gradient: dx = (softmax(x) − q) dy [/ N]; 0 for ignored targets. Stable for logits of ±1e4.
    Errors: IndexError naming a class outside of [0, C); ShapeError; RuntimeError for smoothing outside of [0, 1].
    Source: F.cross_entropy.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.cross_entropy(pydl.tensor([[0., 0.]]), pydl.tensor([1]))
        tensor(0.6931)
    """
    if weight is None and size_average is None and reduce is None:
        loss = core.usual_case(input, target, ignore_index, label_smoothing, reduction)
        if loss is not None:
            return loss
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = reduction_arg(size_average, reduce, reduction, "cross_entropy")
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    float_arg(input, "cross_entropy", "input")
    tensor_arg(target, "cross_entropy", "target")
    if target.array.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, label_smoothing, reduction)
    _check_classes(input, target, weight, ignore_index, "cross_entropy")
    n_classes = input.array.shape[_class_dim(input)]
    logits = input.movedim(_class_dim(input), -1).reshape(target.array.size, n_classes)
    classes = target.reshape(-1).to(dtypes.int64)
    weight = None if weight is None else weight.contiguous()
    losses = cross_entropy_rows(logits, classes, weight, ignore_index, label_smoothing, reduction)
    return losses.reshape(target.shape) if reduction == "none" else losses
