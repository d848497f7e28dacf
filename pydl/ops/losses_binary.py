# SPDX-License-Identifier: BSD-3-Clause
"""Binary cross-entropy, from probabilities and from logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl.ops._checks import broadcast_shape, reduction_arg, tensor_arg
from pydl.ops._declare import op
from pydl.ops.losses_regression import reduced

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits"]

_EPSILON = float(np.float32(1e-12))  # keeps the gradient finite at probabilities 0 and 1: PyTorch's constant
_LOWEST_LOG = -100.0


def _check_all(input: Tensor, target: Tensor, op_name: str, **constants: Tensor | None) -> None:
    """Equal shapes; the constants (weights) broadcast to them and have no gradient, as in PyTorch."""
    tensor_arg(input, op_name, "input")
    tensor_arg(target, op_name, "target")
    shape = input.array.shape
    if input.array.dtype.kind != "f":
        raise NotImplementedError(f"{op_name}: not implemented for {input.dtype}")
    if target.array.dtype.kind != "f":
        raise RuntimeError(f"{op_name}: Found dtype {target.dtype} but expected {input.dtype} (target)")
    if shape != target.array.shape:
        raise ShapeError(f"{op_name}: Target size {target.array.shape} must be the same as input size {shape}")
    for name, constant in constants.items():
        if constant is None:
            continue
        tensor_arg(constant, op_name, name)
        if constant.requires_grad and is_grad_enabled():
            raise RuntimeError(f"{op_name}: is not differentiable with respect to {name}")
        if broadcast_shape(op_name, input=input, **{name: constant}) != shape:
            raise ShapeError(f"{op_name}: {name} {constant.array.shape} does not broadcast to the input's {shape}")


def _scaled(ctx: Any, dy: Tensor, weight: Tensor | None, n: int) -> Tensor:
    """dy per element, before the weight and the average."""
    if ctx.reduction == "mean":
        dy = dy / max(n, 1)
    return dy if weight is None else dy * weight


def _log(x: Tensor) -> Tensor:
    return x.log().clamp(min=_LOWEST_LOG)


@op
class binary_cross_entropy:
    """−w (t log x + (1 − t) log(1 − x)) for probabilities x, each logarithm at least −100.

    Shapes: input and target (…), equal; weight broadcasts to them; a scalar, or (…) for "none".
    Gradient: dx = w (x − t)/(x (1 − x)) dy [/ n]; dt = w (log(1 − x) − log x) dy [/ n].
    Errors: ValueError for other shapes; RuntimeError for an x or t outside of [0, 1]. Source: F.binary_cross_entropy.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.binary_cross_entropy(pydl.tensor([0.5, 0.5]), pydl.tensor([0., 1.]))
        tensor(0.6931)
    """

    def check(
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> tuple[Any, ...]:
        reduction = reduction_arg(size_average, reduce, reduction, "binary_cross_entropy")
        _check_all(input, target, "binary_cross_entropy", weight=weight)
        if input.array.dtype != target.array.dtype:
            raise RuntimeError(f"binary_cross_entropy: Found dtype {target.dtype} but expected {input.dtype} (target)")
        for name, tensor in (("input", input), ("target", target)):
            values = tensor.array
            if values.size and not (values.min() >= 0 and values.max() <= 1):
                raise RuntimeError(f"binary_cross_entropy: all elements of {name} should be between 0 and 1")
        return input, target, weight, reduction

    def forward(ctx: Any, x: Tensor, t: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
        ctx.save(x, t, weight)
        ctx.reduction = reduction
        losses = (t - 1) * _log(1 - x) - t * _log(x)
        return reduced(losses if weight is None else losses * weight, reduction)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, t, weight = ctx.saved
        dy = _scaled(ctx, dy, weight, x.array.size)
        dx = dt = None
        if ctx.needs[0]:
            dx = dy * (x - t) / (x * (1 - x)).clamp(min=_EPSILON)
        if ctx.needs[1]:
            dt = dy * ((1 - x).log() - x.log())  # as PyTorch: without the bound of −100
        return dx, dt


def _softplus_of_minus(x: Tensor) -> Tensor:
    """log(1 + e⁻ˣ) = max(−x, 0) + log(1 + e^−|x|)."""
    return (-x.abs()).exp().log1p() - x.clamp(max=0)


@op
class binary_cross_entropy_with_logits:
    """−w (p t log σ(x) + (1 − t) log(1 − σ(x))) for logits x; exact for large |x|.

    Shapes: input and target (…), equal; weight and pos_weight p broadcast to them; a scalar, or (…) for "none".
    Gradient: dx = w (σ(x) − t) dy [/ n] for p = 1, in general w ((1 − t) − (1 + (p − 1) t) σ(−x)) dy [/ n].
    Errors: ValueError for other shapes. Source: F.binary_cross_entropy_with_logits.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.binary_cross_entropy_with_logits(pydl.tensor([0., 100.]), pydl.tensor([1., 1.]))
        tensor(0.3466)
    """

    def check(
        input: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> tuple[Any, ...]:
        name = "binary_cross_entropy_with_logits"
        reduction = reduction_arg(size_average, reduce, reduction, name)
        _check_all(input, target, name, weight=weight, pos_weight=pos_weight)
        return input, target, weight, pos_weight, reduction

    def forward(ctx: Any, x: Tensor, t: Tensor, weight: Tensor | None, p: Tensor | None, reduction: str) -> Tensor:
        ctx.save(x, t, weight, p)
        ctx.reduction = reduction
        tail = _softplus_of_minus(x)
        losses = (1 - t) * x + (tail if p is None else (1 + (p - 1) * t) * tail)
        return reduced(losses if weight is None else losses * weight, reduction)

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, t, weight, p = ctx.saved
        dy = _scaled(ctx, dy, weight, x.array.size)
        dx = dt = None
        if ctx.needs[0]:
            dx = dy * (x.sigmoid() - t if p is None else 1 - t - (1 + (p - 1) * t) * (-x).sigmoid())
        if ctx.needs[1]:
            dt = dy * (-x if p is None else (p - 1) * _softplus_of_minus(x) - x)
        return dx, dt
