# SPDX-License-Identifier: BSD-3-Clause
"""Losses between numbers: squared, absolute, Huber's."""

from __future__ import annotations

import warnings

from pydl._core.errors import ShapeError
from pydl._core.squared_error import usual_case as usual_squared_error
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import broadcast_shape, reduction_arg, tensor_arg
from pydl.ops._declare import composite

__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss"]


def _check_pair(input: Tensor, target: Tensor, op_name: str) -> tuple[int, ...]:
    """The common shape of both; different shapes are a warning."""
    tensor_arg(input, op_name, "input")
    tensor_arg(target, op_name, "target")
    shape: tuple[int, ...] = input.array.shape
    if shape == target.array.shape:
        return shape
    shape = broadcast_shape(op_name, input=input, target=target)
    warnings.warn(
        f"Using a target size ({tuple(target.array.shape)}) that is different to the input size "
        f"({tuple(input.array.shape)}). This will likely lead to incorrect results due to broadcasting. "
        "Please ensure they have the same size.",
        UserWarning,
        stacklevel=4,
    )
    return shape


def _check_weight(weight: Tensor | None, shape: tuple[int, ...], op_name: str) -> None:
    if weight is None:
        return
    tensor_arg(weight, op_name, "weight")
    if weight.array.shape != shape:
        raise ShapeError(f"{op_name}: Inputs {shape} and weight {weight.array.shape} must have the same size")


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses as they are (none), their mean or their sum."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(losses, reduction)
    weighted = losses * weight
    return weighted.sum() / weight.sum() if reduction == "mean" else reduced(weighted, reduction)


@composite
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x − t)²: the squared error, averaged ("mean"), added ("sum") or per element ("none").

    Shapes: input and target (…), which should agree; a scalar, or (…). With `weight` the mean is a weighted one.
    Gradient: dx = 2 (x − t) dy [/ n], dt = −dx. Errors: ShapeError, ValueError. Source: F.mse_loss.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.mse_loss(pydl.tensor([1., 2.]), pydl.tensor([1., 4.]))
        tensor(2.)
    """
    if weight is None and size_average is None and reduce is None:
        loss = usual_squared_error(input, target, reduction)
        if loss is not None:
            return loss
    reduction = reduction_arg(size_average, reduce, reduction, "mse_loss")
    _check_weight(weight, _check_pair(input, target, "mse_loss"), "mse_loss")
    difference = input - target
    return _weighted(difference * difference, weight, reduction)


@composite
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x − t|: the absolute error, averaged ("mean"), added ("sum") or per element ("none").

    Shapes: as `mse_loss`. Gradient: dx = sign(x − t) dy [/ n], 0 at x = t. Errors: as `mse_loss`. Source: F.l1_loss.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.l1_loss(pydl.tensor([1., 2.]), pydl.tensor([1., 4.]))
        tensor(1.)
    """
    reduction = reduction_arg(size_average, reduce, reduction, "l1_loss")
    _check_weight(weight, _check_pair(input, target, "l1_loss"), "l1_loss")
    return _weighted((input - target).abs(), weight, reduction)


def _quadratic_below(difference: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """(the part of |d| up to the bound, the part above it): Huber's loss is a²/2 + bound · b."""
    size = difference.abs()
    near = size.clamp(max=bound)
    return near, size - near


@composite
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d²/(2β) for |d| < β, else |d| − β/2, of d = x − t.

    Shapes: as `mse_loss`. Gradient: dx = dy · d/β, or dy · sign d. Errors: RuntimeError for β < 0.
    Source: F.smooth_l1_loss.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.smooth_l1_loss(pydl.tensor([1., 2.]), pydl.tensor([1.5, 4.]), reduction="none")
        tensor([0.1250, 1.5000])
    """
    reduction = reduction_arg(size_average, reduce, reduction, "smooth_l1_loss")
    _check_pair(input, target, "smooth_l1_loss")
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss: beta must not be negative, not {beta}")
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    near, far = _quadratic_below(input - target, beta)
    return reduced(near * near * (0.5 / beta) + far, reduction)


@composite
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d²/2 for |d| ≤ δ, else δ (|d| − δ/2), of d = x − t.

    Shapes: as `mse_loss`; with `weight` the mean is that of the weighted losses.
    Gradient: dx = dy · d, or dy · δ sign d. Errors: RuntimeError for δ ≤ 0.
    Source: F.huber_loss.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.huber_loss(pydl.tensor([1., 2.]), pydl.tensor([1.5, 5.]), reduction="none")
        tensor([0.1250, 2.5000])
    """
    reduction = reduction_arg(None, None, reduction, "huber_loss")
    _check_weight(weight, _check_pair(input, target, "huber_loss"), "huber_loss")
    if delta <= 0:
        raise RuntimeError(f"huber_loss: delta must be positive, not {delta}")
    near, far = _quadratic_below(input - target, delta)
    losses = near * near * 0.5 + far * delta
    return reduced(losses if weight is None else losses * weight, reduction)
