# SPDX-License-Identifier: BSD-3-Clause
"""Tests of numbers (NaN, infinity, closeness) and of whole tensors, logic and bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.tape import TensorBase as Tensor
from pydl.ops._arrays import dense
from pydl.ops._checks import broadcast_shape, pair_args, tensor_arg
from pydl.ops._declare import composite

__all__ = [
    "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "equal", "isclose", "isfinite", "isin",
    "isinf", "isnan", "logical_and", "logical_not", "logical_or", "logical_xor",
]  # fmt: skip


@composite(differentiable=False)
def isnan(input: Tensor) -> Tensor:
    """Where x is NaN.

    Shapes: those of x, bool. Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.isnan.

    Example:
        >>> import pydl
        >>> pydl.isnan(pydl.tensor([1.0, float("nan")]))
        tensor([False,  True])
    """
    tensor_arg(input, "isnan", "input")
    return dense(np.isnan(input.array))


@composite(differentiable=False)
def isinf(input: Tensor) -> Tensor:
    """Where x is infinite, of either sign.

    Shapes: those of x, bool. Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.isinf.

    Example:
        >>> import pydl
        >>> pydl.isinf(pydl.tensor([1.0, float("-inf")]))
        tensor([False,  True])
    """
    tensor_arg(input, "isinf", "input")
    return dense(np.isinf(input.array))


@composite(differentiable=False)
def isfinite(input: Tensor) -> Tensor:
    """Where x is neither NaN nor infinite.

    Shapes: those of x, bool. Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.isfinite.

    Example:
        >>> import pydl
        >>> pydl.isfinite(pydl.tensor([1.0, float("nan"), float("inf")]))
        tensor([ True, False, False])
    """
    tensor_arg(input, "isfinite", "input")
    return dense(np.isfinite(input.array))


@composite(differentiable=False)
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where |x − other| ≤ atol + rtol · |other|. Shapes: broadcast, bool.

    Infinities are close to themselves only, NaN to NaN only with `equal_nan`. Gradient: none. Errors: RuntimeError if
    the types differ or a tolerance is negative. Source: torch.isclose.

    Example:
        >>> import pydl
        >>> pydl.isclose(pydl.tensor([1.0, 2.0]), pydl.tensor([1.0, 2.1]))
        tensor([ True, False])
    """
    tensor_arg(input, "isclose", "input")
    tensor_arg(other, "isclose", "other")
    if input.array.dtype != other.array.dtype:
        raise RuntimeError(f"isclose: input and other must have one type, not {input.dtype} and {other.dtype}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"isclose: rtol and atol must not be negative: {rtol}, {atol}")
    broadcast_shape("isclose", input=input, other=other)
    a, b = input.array, other.array
    close = a == b
    if a.dtype.kind == "f" or rtol or atol:
        kind = a.dtype if a.dtype.kind == "f" else np.dtype(np.float64)
        wide, reference = a.astype(kind, copy=False), b.astype(kind, copy=False)
        with np.errstate(all="ignore"):
            near = np.abs(wide - reference) <= kind.type(atol) + np.abs(kind.type(rtol) * reference)
        close = close | (near & np.isfinite(wide) & np.isfinite(reference))
        if equal_nan:
            close = close | (np.isnan(wide) & np.isnan(reference))
    return dense(close)


@composite(differentiable=False)
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds for all elements.

    Shapes: both broadcast; a Python bool. Gradient: none. Errors: as `isclose`. Source: torch.allclose.

    Example:
        >>> import pydl
        >>> pydl.allclose(pydl.tensor([1.0]), pydl.tensor([1.0 + 1e-7]))
        True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


@composite(differentiable=False)
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and the same elements; NaN equals nothing.

    Shapes: any; a Python bool. Gradient: none. Errors: TypeError unless both are tensors. Source: torch.equal.

    Example:
        >>> import pydl
        >>> pydl.equal(pydl.tensor([1, 2]), pydl.tensor([1, 2]))
        True
    """
    tensor_arg(input, "equal", "input")
    tensor_arg(other, "equal", "other")
    return bool(np.array_equal(input.array, other.array))


@composite(differentiable=False)
def isin(elements: Tensor, test_elements: Tensor, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Where an element occurs among the test elements.

    Shapes: those of elements, bool. Gradient: none. Errors: TypeError for what is no tensor or number.
    Source: torch.isin.

    Example:
        >>> import pydl
        >>> pydl.isin(pydl.tensor([1, 2, 3]), pydl.tensor([2, 5]))
        tensor([False,  True, False])
    """
    for name, value in (("elements", elements), ("test_elements", test_elements)):
        if not isinstance(value, (bool, int, float)):
            tensor_arg(value, "isin", name)
    a, b = (t.array if isinstance(t, Tensor) else np.asarray(t) for t in (elements, test_elements))
    return dense(np.isin(a, b, invert=invert))


def _bits(a: Any, b: Any, op_name: str, function: Any) -> Tensor:
    left, right = pair_args(a, b, op_name)
    if left.array.dtype.kind == "f":
        raise NotImplementedError(f"{op_name}: takes integers and bools, not {left.dtype}")
    return dense(function(left.array, right.array))


@composite(differentiable=False, inplace=True)
def bitwise_and(input: Tensor, other: Any) -> Tensor:
    """The bits set in both; for bools `and`.

    Shapes: broadcast. Gradient: none. Errors: NotImplementedError for floats. Source: torch.bitwise_and.

    Example:
        >>> import pydl
        >>> pydl.bitwise_and(pydl.tensor([6, 5]), 4)
        tensor([4, 4])
    """
    return _bits(input, other, "bitwise_and", np.bitwise_and)


@composite(differentiable=False, inplace=True)
def bitwise_or(input: Tensor, other: Any) -> Tensor:
    """The bits set in one or both; for bools `or`.

    Shapes: broadcast. Gradient: none. Errors: NotImplementedError for floats. Source: torch.bitwise_or.

    Example:
        >>> import pydl
        >>> pydl.tensor([True, False]) | pydl.tensor([False, False])
        tensor([ True, False])
    """
    return _bits(input, other, "bitwise_or", np.bitwise_or)


@composite(differentiable=False, inplace=True)
def bitwise_xor(input: Tensor, other: Any) -> Tensor:
    """The bits that differ; for bools `!=`.

    Shapes: broadcast. Gradient: none. Errors: NotImplementedError for floats. Source: torch.bitwise_xor.

    Example:
        >>> import pydl
        >>> pydl.bitwise_xor(pydl.tensor([6]), pydl.tensor([3]))
        tensor([5])
    """
    return _bits(input, other, "bitwise_xor", np.bitwise_xor)


@composite(differentiable=False, inplace=True)
def bitwise_not(input: Tensor) -> Tensor:
    """All bits turned; for bools `not`.

    Shapes: those of x. Gradient: none. Errors: NotImplementedError for floats. Source: torch.bitwise_not.

    Example:
        >>> import pydl
        >>> ~pydl.tensor([True, False]), ~pydl.tensor([0, 5])
        (tensor([False,  True]), tensor([-1, -6]))
    """
    tensor_arg(input, "bitwise_not", "input")
    if input.array.dtype.kind == "f":
        raise NotImplementedError(f"bitwise_not: takes integers and bools, not {input.dtype}")
    return dense(np.invert(input.array))


def _logic(a: Any, b: Any, op_name: str, function: Any) -> Tensor:
    tensor_arg(a, op_name, "input")
    tensor_arg(b, op_name, "other")
    broadcast_shape(op_name, input=a, other=b)
    return dense(function(a.array, b.array))


@composite(differentiable=False, inplace=True)
def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """Where both are not zero.

    Shapes: broadcast, bool. Gradient: none. Errors: ShapeError if they do not broadcast. Source: torch.logical_and.

    Example:
        >>> import pydl
        >>> pydl.logical_and(pydl.tensor([True, True]), pydl.tensor([True, False]))
        tensor([ True, False])
    """
    return _logic(input, other, "logical_and", np.logical_and)


@composite(differentiable=False, inplace=True)
def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """Where one is not zero.

    Shapes: broadcast, bool. Gradient: none. Errors: ShapeError if they do not broadcast. Source: torch.logical_or.

    Example:
        >>> import pydl
        >>> pydl.logical_or(pydl.tensor([0, 2]), pydl.tensor([0, 0]))
        tensor([False,  True])
    """
    return _logic(input, other, "logical_or", np.logical_or)


@composite(differentiable=False, inplace=True)
def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """Where exactly one is not zero.

    Shapes: broadcast, bool. Gradient: none. Errors: ShapeError if they do not broadcast. Source: torch.logical_xor.

    Example:
        >>> import pydl
        >>> pydl.logical_xor(pydl.tensor([True, True]), pydl.tensor([True, False]))
        tensor([False,  True])
    """
    return _logic(input, other, "logical_xor", np.logical_xor)


@composite(differentiable=False, inplace=True)
def logical_not(input: Tensor) -> Tensor:
    """Where x is zero.

    Shapes: those of x, bool. Gradient: none. Errors: TypeError unless x is a Tensor. Source: torch.logical_not.

    Example:
        >>> import pydl
        >>> pydl.logical_not(pydl.tensor([0, 2]))
        tensor([ True, False])
    """
    tensor_arg(input, "logical_not", "input")
    return dense(np.logical_not(input.array))
