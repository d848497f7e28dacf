# SPDX-License-Identifier: BSD-3-Clause
"""What the normalisations have in common: checks of their arguments, and the gradient written with operations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import index as as_int
from typing import Any

from pydl._core.errors import ShapeError
from pydl.ops._checks import tensor_arg

Triple = tuple[Any, Any, Any]


def input_arg(x: Any, op: str, least_dims: int = 0) -> None:
    """Raises unless x is a floating-point tensor of that many dimensions."""
    tensor_arg(x, op, "input")
    if not x.dtype.is_floating_point:
        raise NotImplementedError(f"{op}: not implemented for {x.dtype}")
    if x.ndim < least_dims:
        raise ShapeError(f"{op}: input must have at least {least_dims} dimensions, not shape {tuple(x.shape)}")


def parameter_arg(value: Any, x: Any, shape: tuple[int, ...], op: str, name: str) -> None:
    """Raises unless value is None or a tensor of that shape and of x's type."""
    if value is None:
        return
    tensor_arg(value, op, name)
    if tuple(value.shape) != shape:
        raise ShapeError(
            f"{op}: {name} has shape {tuple(value.shape)} but input {tuple(x.shape)} needs {name} of shape {shape}"
        )
    if value.dtype != x.dtype:
        raise RuntimeError(f"{op}: {name} is {value.dtype} but input is {x.dtype}; both must have one type")


def eps_arg(eps: float, op: str, *, positive: bool = False) -> float:
    """eps as a number, not negative; in training a channel without spread would give 0/0 for 0."""
    if positive and not eps > 0:
        raise ValueError(f"{op}: eps must be positive during training, but got {eps}")
    if not eps >= 0:
        raise ValueError(f"{op}: eps must be non-negative, but got {eps}")
    return float(eps)


def channel_args(x: Any, mean: Any, var: Any, weight: Any, bias: Any, writes: bool, op: str) -> None:
    """One element a channel in each of the four; `writes` if the running statistics will be changed."""
    channels = (x.shape[1],)
    for name, value in (("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias)):
        parameter_arg(value, x, channels, op, name)
    if writes:
        for value in (mean, var):
            if value is not None:
                value._check_inplace(op)


def both_or_neither(mean: Any, var: Any, op: str) -> None:
    if (mean is None) != (var is None):
        given = "running_mean" if var is None else "running_var"
        raise ValueError(
            f"{op}: running_mean and running_var must either both be None or neither be None, not {given} alone"
        )


def several_values(size: Iterable[int], shape: Any, op: str) -> None:
    """Raises if there is one value per channel, whose normalised form is 0 whatever it is."""
    if math.prod(size) == 1:
        raise ValueError(f"{op}: Expected more than 1 value per channel when training, got input size {shape}")


def normalized_shape_arg(x: Any, normalized_shape: Any, op: str) -> tuple[int, ...]:
    """The last dimensions of x, which are normalised together, as a tuple."""
    if not isinstance(normalized_shape, Iterable):
        raise TypeError(f"{op}: normalized_shape must be a sequence of ints, not {type(normalized_shape).__name__}")
    shape = tuple(as_int(n) for n in normalized_shape)
    if not shape:
        raise ShapeError(f"{op}: normalized_shape must have at least one dimension, got []")
    if tuple(x.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"{op}: Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size {list(x.shape)}"
        )
    return shape


def lead_shape(x: Any, vector: Any) -> Any:
    """A vector with one element a channel, shaped to be multiplied with x; None stays None."""
    return None if vector is None else vector.reshape(1, -1, *(1,) * (x.ndim - 2))


def differentiable_gradients(
    dy: Any, x: Any, weight: Any, blocks: tuple[int, ...], dims: tuple[int, ...], eps: float, needs: tuple[bool, ...],
    *, centered: bool = True,
) -> Triple:  # fmt: skip
    """(dx, dw, db) with operations, so that they can be differentiated; dw and db as large as x, still to be summed.

    Seen in the shape `blocks`, x has statistics over `dims`; `weight` broadcasts to x.
    """
    seen, shape = x.reshape(blocks), tuple(x.shape)
    d = seen - seen.mean(dims, keepdim=True) if centered else seen
    rstd = ((d * d).mean(dims, keepdim=True) + eps) ** -0.5
    h = d * rstd
    dx = None
    if needs[0]:
        g = (dy if weight is None else dy * weight).reshape(blocks)
        rest = g - h * (g * h).mean(dims, keepdim=True)
        if centered:
            rest = rest - g.mean(dims, keepdim=True)
        dx = (rstd * rest).reshape(shape)
    return dx, dy * h.reshape(shape) if needs[1] else None, dy if needs[2] else None


def summed(gradient: Any, dims: tuple[int, ...]) -> Any:
    """The sum over the dims (none of them: the gradient itself); None stays None."""
    return gradient.sum(dims) if gradient is not None and dims else gradient
