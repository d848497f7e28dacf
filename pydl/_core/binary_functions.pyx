# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise functions of several operands as users call them, with their documentation: arithmetic, comparisons, where, clamp.

Where an operand is broadcast, its gradient is summed over the broadcast dimensions. Integers follow PyTorch's promotion.
"""

cimport cython

import numpy as np
cimport numpy as cnp

cimport pydl._core.arithmetic as arithmetic
cimport pydl._core.eltwise as eltwise
cimport pydl._core.inplace as in_place
cimport pydl._core.promote as promote
cimport pydl._core.shape as shape
from pydl._core.arguments cimport tensor_arg
from pydl._core.kernels cimport *
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport Node, TensorBase, attach, edge_of, grad_enabled, is_float, requires_grad, slots

from pydl._core import dtypes
from pydl._core.errors import IntegerDivisionError, ShapeError
from pydl._core.tape import wrap

cnp.import_array()


cdef object result(object out, str op, object a, object b):
    if out is NotImplemented:
        raise TypeError(f"{op}: takes Tensors and numbers, not {type(a).__name__} and {type(b).__name__}")
    return out


cdef object scaled(object other, object alpha, str op):
    """alpha * other, the second operand of add and sub."""
    return other if alpha == 1 else result(arithmetic.binary(PYDL_B_mul, other, alpha), op, other, alpha)


def add(input, other, *, alpha=1):
    """y = input + alpha · other.

    Shapes: broadcast. Gradient: dinput = dy, dother = alpha · dy. Errors: TypeError for what is no Tensor or number;
    ShapeError if the shapes do not broadcast. Source: torch.add.

    Example:
        >>> import pydl
        >>> pydl.add(pydl.tensor([3., 2.]), 1)
        tensor([4., 3.])
    """
    other = scaled(other, alpha, "add")
    return result(arithmetic.binary(PYDL_B_add, input, other), "add", input, other)


def add_(input, other, *, alpha=1):
    """add in place: input is overwritten with the result. Source: torch.Tensor.add_."""
    other = scaled(other, alpha, "add_")
    return in_place.binary_(PYDL_B_add, tensor_arg(input, "add_", "input"), other)


def sub(input, other, *, alpha=1):
    """y = input − alpha · other.

    Shapes: broadcast. Gradient: dinput = dy, dother = −alpha · dy. Errors: TypeError for what is no Tensor or number;
    ShapeError if the shapes do not broadcast. Source: torch.sub.

    Example:
        >>> import pydl
        >>> pydl.sub(pydl.tensor([3., 2.]), 1)
        tensor([2., 1.])
    """
    other = scaled(other, alpha, "sub")
    return result(arithmetic.binary(PYDL_B_sub, input, other), "sub", input, other)


def sub_(input, other, *, alpha=1):
    """sub in place: input is overwritten with the result. Source: torch.Tensor.sub_."""
    other = scaled(other, alpha, "sub_")
    return in_place.binary_(PYDL_B_sub, tensor_arg(input, "sub_", "input"), other)


def mul(input, other):
    """y = input · other.

    Shapes: broadcast. Gradient: dinput = other · dy, dother = input · dy. Errors: TypeError for what is no Tensor or
    number; ShapeError if the shapes do not broadcast. Source: torch.mul.

    Example:
        >>> import pydl
        >>> pydl.mul(pydl.tensor([3., 2.]), 2)
        tensor([6., 4.])
    """
    return result(arithmetic.binary(PYDL_B_mul, input, other), "mul", input, other)


def mul_(input, other):
    """mul in place: input is overwritten with the result. Source: torch.Tensor.mul_."""
    return in_place.binary_(PYDL_B_mul, tensor_arg(input, "mul_", "input"), other)


def div(input, other, *, rounding_mode=None):
    """y = input / other; integers are divided in the default type.

    rounding_mode: None, 'floor' (towards −∞) or 'trunc' (towards 0); both keep integer types.
    Shapes: broadcast. Gradient: dinput = dy / other, dother = −dy · y / other; 0 if rounded.
    Errors: RuntimeError for another rounding_mode and for integers rounded after a division by 0. Source: torch.div.

    Example:
        >>> import pydl
        >>> pydl.div(pydl.tensor([3., 2.]), 2), pydl.div(pydl.tensor([3, -3]), 2, rounding_mode="floor")
        (tensor([1.5000, 1.0000]), tensor([ 1, -2]))
    """
    if rounding_mode is not None:
        return divide_rounded(input, other, rounding_mode)
    return result(arithmetic.binary(PYDL_B_div, input, other), "div", input, other)


def div_(input, other, *, rounding_mode=None):
    """div in place: input is overwritten with the result. Errors: RuntimeError for integers.
    Source: torch.Tensor.div_."""
    if rounding_mode is not None:
        return in_place.copy_(tensor_arg(input, "div_", "input"), divide_rounded(input, other, rounding_mode))
    return in_place.binary_(PYDL_B_div, tensor_arg(input, "div_", "input"), other)


def pow(input, exponent):
    """y = input ^ exponent. Shapes: broadcast.
    Gradient: dinput = exponent · input^(exponent − 1) · dy, dexponent = y · ln(input) · dy.

    Errors: RuntimeError for integers to negative integer numbers. Source: torch.pow.

    Example:
        >>> import pydl
        >>> pydl.pow(pydl.tensor([3., 2.]), 2)
        tensor([9., 4.])
    """
    return result(arithmetic.binary(PYDL_B_pow, input, exponent), "pow", input, exponent)


def pow_(input, exponent):
    """pow in place: input is overwritten with the result. Source: torch.Tensor.pow_."""
    return in_place.binary_(PYDL_B_pow, tensor_arg(input, "pow_", "input"), exponent)


def maximum(input, other):
    """y = max(input, other), NaN if one is NaN.

    Shapes: broadcast. Gradient: dy to the larger one, half to each if equal. Errors: TypeError unless both are
    Tensors; ShapeError if the shapes do not broadcast. Source: torch.maximum.

    Example:
        >>> import pydl
        >>> pydl.maximum(pydl.tensor([3., 1.]), pydl.tensor([2., 2.]))
        tensor([3., 2.])
    """
    return arithmetic.binary(PYDL_B_maximum, tensor_arg(input, "maximum", "input"), tensor_arg(other, "maximum", "other"))


def minimum(input, other):
    """y = min(input, other), NaN if one is NaN.

    Shapes: broadcast. Gradient: dy to the smaller one, half to each if equal. Errors: TypeError unless both are
    Tensors; ShapeError if the shapes do not broadcast. Source: torch.minimum.

    Example:
        >>> import pydl
        >>> pydl.minimum(pydl.tensor([3., 1.]), pydl.tensor([2., 2.]))
        tensor([2., 1.])
    """
    return arithmetic.binary(PYDL_B_minimum, tensor_arg(input, "minimum", "input"), tensor_arg(other, "minimum", "other"))


cdef object divide_rounded(object a, object b, str mode):
    """Rounded quotients of tensors and numbers."""
    cdef TensorBase x, y, out
    if slots.recording and begins():
        out = divide_rounded(a, b, mode)
        ends("divide_rounded", (a, b, mode), out)
        return out
    dtype = promote.promoted(a, b, False)
    if dtype is None:
        raise TypeError(f"div: takes Tensors and numbers, not {type(a).__name__} and {type(b).__name__}")
    if mode != "floor" and mode != "trunc":
        raise RuntimeError(f"div: rounding_mode must be None, 'trunc' or 'floor', not {mode!r}")
    x = promote.as_tensor(a, dtype)
    y = promote.as_tensor(b, dtype)
    if dtype.kind == "b":
        raise NotImplementedError("div: rounded division is not defined for bool tensors")
    if dtype.kind != "f" and not np.all(y.a):
        raise IntegerDivisionError(f"div: integer division of {shape.shape_of(x)} by a tensor {shape.shape_of(y)} that contains 0")
    try:
        out = wrap(np.asarray(rounded_quotient(x.a, y.a, mode), dtype))
    except ValueError:
        raise ShapeError(f"div: shapes {shape.shape_of(x)} and {shape.shape_of(y)} do not broadcast") from None
    if grad_enabled() and is_float(out) and (requires_grad(x) or requires_grad(y)):
        attach(out, zero_node(x, y))
    return out


cdef object rounded_quotient(object x, object y, str mode):
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if mode == "floor":
            return np.floor_divide(x, y)
        if x.dtype.kind == "f":
            return np.trunc(np.true_divide(x, y))
        out = np.floor_divide(x, y)
        return out + ((out < 0) & (out * y != x)).astype(out.dtype)


cdef Node zero_node(TensorBase x, TensorBase y):
    cdef ZeroNode node = ZeroNode.__new__(ZeroNode)
    node.e0 = edge_of(x)
    node.e1 = edge_of(y)
    node.shapes = (shape.shape_of(x), shape.shape_of(y))
    return node


@cython.final
@cython.no_gc
cdef class ZeroNode(Node):
    """A result that is constant between its steps: both gradients are zeros."""
    cdef tuple shapes

    cdef object call(self, TensorBase dy):
        return (wrap(np.zeros(self.shapes[0], (<object>dy.a).dtype)) if self.e0 is not None else None,
                wrap(np.zeros(self.shapes[1], (<object>dy.a).dtype)) if self.e1 is not None else None)

    def name(self) -> str:
        return "DivBackward1"


def eq(input, other):
    """y = (input = other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.eq.

    Example:
        >>> import pydl
        >>> pydl.eq(pydl.tensor([1, 2, 3]), 2)
        tensor([False,  True, False])
    """
    return result(eltwise.compare(PYDL_C_eq, tensor_arg(input, "eq", "input"), other), "eq", input, other)


def ne(input, other):
    """y = (input ≠ other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.ne.

    Example:
        >>> import pydl
        >>> pydl.ne(pydl.tensor([1, 2, 3]), 2)
        tensor([ True, False,  True])
    """
    return result(eltwise.compare(PYDL_C_ne, tensor_arg(input, "ne", "input"), other), "ne", input, other)


def lt(input, other):
    """y = (input < other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.lt.

    Example:
        >>> import pydl
        >>> pydl.lt(pydl.tensor([1, 2, 3]), 2)
        tensor([ True, False, False])
    """
    return result(eltwise.compare(PYDL_C_lt, tensor_arg(input, "lt", "input"), other), "lt", input, other)


def le(input, other):
    """y = (input ≤ other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.le.

    Example:
        >>> import pydl
        >>> pydl.le(pydl.tensor([1, 2, 3]), 2)
        tensor([ True,  True, False])
    """
    return result(eltwise.compare(PYDL_C_le, tensor_arg(input, "le", "input"), other), "le", input, other)


def gt(input, other):
    """y = (input > other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.gt.

    Example:
        >>> import pydl
        >>> pydl.gt(pydl.tensor([1, 2, 3]), 2)
        tensor([False, False,  True])
    """
    return result(eltwise.compare(PYDL_C_gt, tensor_arg(input, "gt", "input"), other), "gt", input, other)


def ge(input, other):
    """y = (input ≥ other) as bool.

    Shapes: broadcast. Gradient: none. Errors: TypeError for what is no Tensor or number; ShapeError if the shapes do
    not broadcast. Source: torch.ge.

    Example:
        >>> import pydl
        >>> pydl.ge(pydl.tensor([1, 2, 3]), 2)
        tensor([False,  True,  True])
    """
    return result(eltwise.compare(PYDL_C_ge, tensor_arg(input, "ge", "input"), other), "ge", input, other)


def where(condition, input=None, other=None):
    """y = input where condition, else other; with the condition alone, the indices of its nonzero elements.

    Shapes: broadcast. Gradient: dy to the one that was taken. Errors: RuntimeError unless condition is bool. Source: torch.where.

    Example:
        >>> import pydl
        >>> pydl.where(pydl.tensor([True, False]), pydl.tensor([1., 2.]), 0.)
        tensor([1., 0.])
    """
    cdef TensorBase mask = tensor_arg(condition, "where", "condition")
    if slots.recording and begins():
        out = where(mask, input, other)
        ends("where", (mask, input, other), out)
        return out
    if input is None and other is None:
        return tuple([wrap(i) for i in np.nonzero(mask.a)])
    if cnp.PyArray_TYPE(mask.a) != cnp.NPY_BOOL:
        raise RuntimeError(f"where: expected condition to be a boolean tensor, but got a tensor with dtype {mask.dtype}")
    dtype = promote.promoted(input, other, False)
    if dtype is None:
        raise TypeError(f"where: takes Tensors and numbers, not {type(input).__name__} and {type(other).__name__}")
    if dtype.kind == "f":
        return eltwise.select(mask, promote.as_tensor(input, dtype), promote.as_tensor(other, dtype))
    try:
        return wrap(np.where(mask.a, promote.as_tensor(input, dtype).a, promote.as_tensor(other, dtype).a))
    except ValueError:
        raise ShapeError(f"where: condition {shape.shape_of(mask)}, input and other do not broadcast") from None


def clamp(input, min=None, max=None):
    """y = min(max(input, min), max); NaN stays NaN. min and max: numbers or tensors, at least one.

    Shapes: broadcast. Gradient: dy where min ≤ input ≤ max, else 0. Errors: RuntimeError without bounds. Source: torch.clamp.

    Example:
        >>> import pydl
        >>> pydl.clamp(pydl.tensor([-2., 0.5, 2.]), -1, 1)
        tensor([-1.0000,  0.5000,  1.0000])
    """
    cdef TensorBase x = tensor_arg(input, "clamp", "input")
    if min is None and max is None:
        raise RuntimeError("clamp: at least one of min or max must not be None")
    if isinstance(min, TensorBase) or isinstance(max, TensorBase):
        out = x
        for bound, code in ((min, PYDL_B_maximum), (max, PYDL_B_minimum)):
            if bound is not None:
                out = result(arithmetic.binary(code, out, bound), "clamp", out, bound)
        return out
    if slots.recording and not is_float(x) and begins():
        out = clamp(x, min, max)
        ends("clamp", (x, min, max), out)
        return out
    if is_float(x):
        return arithmetic.clamp_numbers(x, -np.inf if min is None else min, np.inf if max is None else max)
    dtype = (<object>x.a).dtype
    for bound in (min, max):
        if bound is not None:
            dtype = dtypes.promote_binary(dtype, cnp.PyArray_NDIM(x.a), False, type(bound), 0, True, False)
    if dtype.kind == "f":
        return clamp(promote.cast(x, dtype.num), min, max)
    return wrap(np.clip(x.a, min, max).astype(dtype))
