# SPDX-License-Identifier: BSD-3-Clause
"""Division with a remainder: //, % and their relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import IntegerDivisionError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import pair_args
from pydl.ops._declare import composite, op
from pydl.ops.native import div

__all__ = ["floor_divide", "fmod", "remainder"]


def _divided(a: Array, b: Array, op_name: str, function: Any) -> Array:
    if b.dtype.kind == "b":
        raise NotImplementedError(f"{op_name}: not implemented for bool")
    if b.dtype.kind != "f" and not b.all():
        raise IntegerDivisionError(f"{op_name}: integer division of {a.shape} by a tensor {b.shape} that contains 0")
    with np.errstate(all="ignore"):
        quotient: Array = function(a, b)
    return quotient


def _to_shape(gradient: Tensor, like: Any) -> Tensor:
    return gradient.sum_to_size(like)


@composite
def floor_divide(input: Any, other: Any) -> Tensor:
    """y = ⌊x / other⌋; integers stay integers.

    Shapes: broadcast; one operand may be a number. Gradient: 0. Errors: ZeroDivisionError. Source: torch.floor_divide.

    Example:
        >>> import pydl
        >>> pydl.floor_divide(pydl.tensor([7, -7]), 2)
        tensor([ 3, -4])
    """
    y: Tensor = div(input, other, rounding_mode="floor")
    return y


@op(numpy_backed=True)
class remainder:
    """y = x − other · ⌊x / other⌋: the remainder with the sign of the divisor, Python's %.

    Shapes: broadcast; one operand may be a number. Gradient: dx = dy, dother = −⌊x / other⌋ dy.
    Errors: ZeroDivisionError for integers divided by 0 (floats give NaN). Source: torch.remainder.

    Example:
        >>> import pydl
        >>> pydl.remainder(pydl.tensor([7, -7]), 3)
        tensor([1, 2])
    """

    def check(input: Any, other: Any) -> tuple[Any, ...]:
        return pair_args(input, other, "remainder")

    def forward(ctx: Any, x: Tensor, other: Tensor) -> Tensor:
        ctx.save(x, other)
        return dense(_divided(x.array, other.array, "remainder", np.remainder))

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, other = ctx.saved
        dother = -dy * floor_divide(x.detach(), other.detach()) if ctx.needs[1] else None
        return (
            _to_shape(dy, x.array.shape) if ctx.needs[0] else None,
            None if dother is None else _to_shape(dother, other.array.shape),
        )


@op(numpy_backed=True)
class fmod:
    """y = x − other · trunc(x / other): the remainder with the sign of the dividend, C's fmod.

    Shapes: broadcast; one operand may be a number. Gradient: dx = dy, dother = −trunc(x / other) dy.
    Errors: ZeroDivisionError for integers divided by 0 (floats give NaN). Source: torch.fmod.

    Example:
        >>> import pydl
        >>> pydl.fmod(pydl.tensor([7, -7]), 3)
        tensor([ 1, -1])
    """

    def check(input: Any, other: Any) -> tuple[Any, ...]:
        return pair_args(input, other, "fmod")

    def forward(ctx: Any, x: Tensor, other: Tensor) -> Tensor:
        ctx.save(x, other)
        return dense(_divided(x.array, other.array, "fmod", np.fmod))

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, other = ctx.saved
        dother = None
        if ctx.needs[1]:
            dother = _to_shape(-dy * div(x.detach(), other.detach(), rounding_mode="trunc"), other.array.shape)
        return _to_shape(dy, x.array.shape) if ctx.needs[0] else None, dother
