# SPDX-License-Identifier: BSD-3-Clause
"""The public face of the operations written in Cython: one function each, with PyTorch's arguments and the documentation.

Where an operand is broadcast, its gradient is summed over the broadcast dimensions. Integers follow PyTorch's promotion.
Most of it is documentation: more than 400 lines.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from operator import index as as_int

from pydl._core cimport arithmetic, eltwise, inplace as in_place, linalg, promote, shape, sums
from pydl._core.kernels cimport *
from pydl._core.tape cimport Node, TensorBase, attach, edge_of, grad_enabled, is_float, requires_grad

from pydl._core import dtypes
from pydl._core.errors import IntegerDivisionError, ShapeError
from pydl._core.tape import wrap

cnp.import_array()


cdef TensorBase tensor_arg(object v, str op, str name):
    if not isinstance(v, TensorBase):
        raise TypeError(f"{op}: {name} must be a Tensor, not {type(v).__name__}")
    return <TensorBase>v


cdef object result(object out, str op, object a, object b):
    if out is NotImplemented:
        raise TypeError(f"{op}: takes Tensors and numbers, not {type(a).__name__} and {type(b).__name__}")
    return out


cdef object two_tensors(int code, str op, object a, str name_a, object b, str name_b):
    return result(arithmetic.binary(code, tensor_arg(a, op, name_a), tensor_arg(b, op, name_b)), op, a, b)


cdef object scaled(object other, object alpha, str op):
    """alpha * other, the second operand of add and sub."""
    return other if alpha == 1 else result(arithmetic.binary(PYDL_B_mul, other, alpha), op, other, alpha)


cdef TensorBase unary_in_place(int code, TensorBase x):
    """in_place.unary_, for functions with an argument of that name."""
    return in_place.unary_(code, x)


cdef tuple ints_arg(tuple sizes, str op):
    """Sizes given one by one, or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple([int(as_int(s)) for s in sizes])
    except TypeError:
        raise TypeError(f"{op}: sizes and dims must be ints, not {sizes!r}") from None


def neg(input):
    """y = −x. Shapes: any; integers are computed in their own type. Gradient: dx = −dy.
    Errors: RuntimeError for bool tensors. Source: torch.neg.

    Example:
        >>> import pydl
        >>> pydl.neg(pydl.tensor([1., -2.]))
        tensor([-1.,  2.])
    """
    return eltwise.unary(PYDL_U_neg, tensor_arg(input, "neg", "input"))


def neg_(input):
    """neg in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.neg_."""
    return in_place.unary_(PYDL_U_neg, tensor_arg(input, "neg_", "input"))


def abs(input):
    """y = |x|.

    Shapes: any; integers are computed in their own type. Gradient: dx = dy · sign x (0 at 0). Errors: TypeError unless
    input is a Tensor. Source: torch.abs.

    Example:
        >>> import pydl
        >>> pydl.abs(pydl.tensor([1., -2.]))
        tensor([1., 2.])
    """
    return eltwise.unary(PYDL_U_abs, tensor_arg(input, "abs", "input"))


def abs_(input):
    """abs in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.abs_."""
    return in_place.unary_(PYDL_U_abs, tensor_arg(input, "abs_", "input"))


def square(input):
    """y = x².

    Shapes: any; integers are computed in their own type. Gradient: dx = 2 x dy. Errors: TypeError unless input is a
    Tensor. Source: torch.square.

    Example:
        >>> import pydl
        >>> pydl.square(pydl.tensor([1., -2.]))
        tensor([1., 4.])
    """
    return eltwise.unary(PYDL_U_square, tensor_arg(input, "square", "input"))


def square_(input):
    """square in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.square_."""
    return in_place.unary_(PYDL_U_square, tensor_arg(input, "square_", "input"))


def reciprocal(input):
    """y = 1 / x.

    Shapes: any; integers are computed in the default type. Gradient: dx = −y² dy. Errors: TypeError unless input is a
    Tensor. Source: torch.reciprocal.

    Example:
        >>> import pydl
        >>> pydl.reciprocal(pydl.tensor([1., -2.]))
        tensor([ 1.0000, -0.5000])
    """
    return eltwise.unary(PYDL_U_reciprocal, tensor_arg(input, "reciprocal", "input"))


def reciprocal_(input):
    """reciprocal in place: x is overwritten with the result.
    Errors: RuntimeError for a leaf that requires grad. Source: torch.Tensor.reciprocal_."""
    return in_place.unary_(PYDL_U_reciprocal, tensor_arg(input, "reciprocal_", "input"))


def sqrt(input):
    """y = √x, NaN below 0.

    Shapes: any; integers are computed in the default type. Gradient: dx = dy / (2 y). Errors: TypeError unless input is
    a Tensor. Source: torch.sqrt.

    Example:
        >>> import pydl
        >>> pydl.sqrt(pydl.tensor([1., 4.]))
        tensor([1., 2.])
    """
    return eltwise.unary(PYDL_U_sqrt, tensor_arg(input, "sqrt", "input"))


def sqrt_(input):
    """sqrt in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.sqrt_."""
    return in_place.unary_(PYDL_U_sqrt, tensor_arg(input, "sqrt_", "input"))


def exp(input):
    """y = eˣ.

    Shapes: any; integers are computed in the default type. Gradient: dx = y dy. Errors: TypeError unless input is a
    Tensor. Source: torch.exp.

    Example:
        >>> import pydl
        >>> pydl.exp(pydl.tensor([0., 1.]))
        tensor([1.0000, 2.7183])
    """
    return eltwise.unary(PYDL_U_exp, tensor_arg(input, "exp", "input"))


def exp_(input):
    """exp in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.exp_."""
    return in_place.unary_(PYDL_U_exp, tensor_arg(input, "exp_", "input"))


def log(input):
    """y = ln x, −∞ at 0, NaN below.

    Shapes: any; integers are computed in the default type. Gradient: dx = dy / x. Errors: TypeError unless input is a
    Tensor. Source: torch.log.

    Example:
        >>> import pydl
        >>> pydl.log(pydl.tensor([1., 10.]))
        tensor([0.0000, 2.3026])
    """
    return eltwise.unary(PYDL_U_log, tensor_arg(input, "log", "input"))


def log_(input):
    """log in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.log_."""
    return in_place.unary_(PYDL_U_log, tensor_arg(input, "log_", "input"))


def tanh(input):
    """y = tanh x.

    Shapes: any; integers are computed in the default type. Gradient: dx = (1 − y²) dy. Errors: TypeError unless input
    is a Tensor. Source: torch.tanh.

    Example:
        >>> import pydl
        >>> pydl.tanh(pydl.tensor([0., 1.]))
        tensor([0.0000, 0.7616])
    """
    return eltwise.unary(PYDL_U_tanh, tensor_arg(input, "tanh", "input"))


def tanh_(input):
    """tanh in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.tanh_."""
    return in_place.unary_(PYDL_U_tanh, tensor_arg(input, "tanh_", "input"))


def sigmoid(input):
    """y = 1 / (1 + e⁻ˣ).

    Shapes: any; integers are computed in the default type. Gradient: dx = y (1 − y) dy. Errors: TypeError unless input
    is a Tensor. Source: torch.sigmoid.

    Example:
        >>> import pydl
        >>> pydl.sigmoid(pydl.tensor([0., 1.]))
        tensor([0.5000, 0.7311])
    """
    return eltwise.unary(PYDL_U_sigmoid, tensor_arg(input, "sigmoid", "input"))


def sigmoid_(input):
    """sigmoid in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.sigmoid_."""
    return in_place.unary_(PYDL_U_sigmoid, tensor_arg(input, "sigmoid_", "input"))


def relu(input, bint inplace=False):
    """y = max(x, 0), in place if asked.

    Shapes: any; integers are computed in their own type. Gradient: dx = dy where y > 0, else 0. Errors: TypeError
    unless input is a Tensor. Source: torch.relu, torch.nn.functional.relu.

    Example:
        >>> import pydl
        >>> pydl.relu(pydl.tensor([1., -2.]))
        tensor([1., 0.])
    """
    if inplace:
        return unary_in_place(PYDL_U_relu, tensor_arg(input, "relu", "input"))
    return eltwise.unary(PYDL_U_relu, tensor_arg(input, "relu", "input"))


def relu_(input):
    """relu in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.relu_."""
    return in_place.unary_(PYDL_U_relu, tensor_arg(input, "relu_", "input"))


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
    return two_tensors(PYDL_B_maximum, "maximum", input, "input", other, "other")


def minimum(input, other):
    """y = min(input, other), NaN if one is NaN.

    Shapes: broadcast. Gradient: dy to the smaller one, half to each if equal. Errors: TypeError unless both are
    Tensors; ShapeError if the shapes do not broadcast. Source: torch.minimum.

    Example:
        >>> import pydl
        >>> pydl.minimum(pydl.tensor([3., 1.]), pydl.tensor([2., 2.]))
        tensor([2., 1.])
    """
    return two_tensors(PYDL_B_minimum, "minimum", input, "input", other, "other")


def tanh_backward(grad_output, output):
    """dx = (1 − y²) dy, the backward of tanh from its output.

    Shapes: broadcast. Differentiable in both. Errors: TypeError unless both are Tensors; ShapeError if the
    shapes do not broadcast. Source: aten::tanh_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.tanh_backward(pydl.tensor([2.]), pydl.tensor([0.5]))
        tensor([1.5000])
    """
    return two_tensors(PYDL_B_tanh_bwd, "tanh_backward", grad_output, "grad_output", output, "output")


def sigmoid_backward(grad_output, output):
    """dx = y (1 − y) dy, the backward of sigmoid from its output.

    Shapes: broadcast. Differentiable in both. Errors: TypeError unless both are Tensors; ShapeError if the
    shapes do not broadcast. Source: aten::sigmoid_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.sigmoid_backward(pydl.tensor([2.]), pydl.tensor([0.5]))
        tensor([0.5000])
    """
    return two_tensors(PYDL_B_sigmoid_bwd, "sigmoid_backward", grad_output, "grad_output", output, "output")


def threshold_backward(grad_output, output):
    """dx = dy where y > 0, else 0: the backward of relu.

    Shapes: broadcast. Differentiable in grad_output. Errors: TypeError unless both are Tensors; ShapeError if
    the shapes do not broadcast. Source: aten::threshold_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.threshold_backward(pydl.tensor([2., 2.]), pydl.tensor([1., 0.]))
        tensor([2., 0.])
    """
    return two_tensors(PYDL_B_relu_bwd, "threshold_backward", grad_output, "grad_output", output, "output")


cdef object divide_rounded(object a, object b, str mode):
    """Rounded quotients of tensors and numbers."""
    cdef TensorBase x, y, out
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
    if is_float(x):
        return eltwise.clamp_numbers(x, -np.inf if min is None else min, np.inf if max is None else max)
    dtype = (<object>x.a).dtype
    for bound in (min, max):
        if bound is not None:
            dtype = dtypes.promote_binary(dtype, cnp.PyArray_NDIM(x.a), False, type(bound), 0, True, False)
    if dtype.kind == "f":
        return clamp(promote.cast(x, dtype.num), min, max)
    return wrap(np.clip(x.a, min, max).astype(dtype))


def matmul(input, other):
    """y = input @ other. Shapes: (n)·(n) → (); (m, n)·(n, p) → (m, p);
    leading dimensions are batches and broadcast; a vector counts as a row on the left and a column on the right.

    Gradient: dinput = dy otherᵀ, dother = inputᵀ dy. Errors: ShapeError, RuntimeError for different types.
    Source: torch.matmul.

    Example:
        >>> import pydl
        >>> pydl.matmul(pydl.tensor([[1., 2.]]), pydl.tensor([[3.], [4.]]))
        tensor([[11.]])
    """
    return linalg.matmul(tensor_arg(input, "matmul", "input"), tensor_arg(other, "matmul", "other"))


def linear(input, weight, bias=None):
    """y = x Wᵀ + b. Shapes: x (..., I), W (K, I), b (K) → y (..., K).

    Gradient: dx = dy W, dW = dyᵀ x, db = Σ dy over the rows.
    Errors: ShapeError; RuntimeError for different types. Source: torch.nn.functional.linear.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.linear(pydl.tensor([[1., 2.]]), pydl.tensor([[3., 4.]]), pydl.tensor([0.5]))
        tensor([[11.5000]])
    """
    return linalg.linear(tensor_arg(input, "linear", "input"), tensor_arg(weight, "linear", "weight"),
                         None if bias is None else tensor_arg(bias, "linear", "bias"))


cdef object reduce_sum(object input, object dim, bint keepdim, object dtype, bint mean, str op):
    cdef TensorBase x = tensor_arg(input, op, "input")
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    if dtype is not None:
        x = promote.cast(x, dtypes.as_np(dtype).num)
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        dims = tuple(range(ndim))
    elif isinstance(dim, (tuple, list)):
        dims = tuple([shape.wrap_dim(d, ndim, op) for d in dim])
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"{op}: a dim appears multiple times in the list of dims {tuple(dim)}")
    else:
        dims = (shape.wrap_dim(dim, ndim, op),)
    if ndim == 0:
        dims = ()
    if not is_float(x):
        if mean:
            raise RuntimeError(f"mean: could not infer output dtype. Input dtype must be a floating point dtype. Got: {x.dtype}")
        kind = np.int64 if dtype is None else (<object>x.a).dtype
        return wrap(np.asarray(np.sum(x.a, axis=dims, keepdims=keepdim, dtype=kind)))
    return sums.sum_dims(x, dims, keepdim, mean)


def sum(input, dim=None, keepdim=False, *, dtype=None):
    """y = Σ x over dim (an int, several, or None: all); integers and bools are summed in int64.

    Shapes: x without dim, or with size 1 there if keepdim. Gradient: dx = dy, expanded.
    Errors: IndexError for a bad dim. Source: torch.sum.

    Example:
        >>> import pydl
        >>> pydl.sum(pydl.tensor([[1., 2.], [3., 4.]]), 0)
        tensor([4., 6.])
    """
    return reduce_sum(input, dim, keepdim, dtype, False, "sum")


def mean(input, dim=None, keepdim=False, *, dtype=None):
    """y = Σ x / n over dim (an int, several, or None: all).

    Shapes: x without dim, or with size 1 there if keepdim. Gradient: dx = dy / n, expanded.
    Errors: RuntimeError for integers; IndexError for a bad dim. Source: torch.mean.

    Example:
        >>> import pydl
        >>> pydl.mean(pydl.tensor([[1., 2.], [3., 4.]]), 0)
        tensor([2., 3.])
    """
    return reduce_sum(input, dim, keepdim, dtype, True, "mean")


def view(input, *size):
    """x with another shape, on the same memory. One size may be −1. size may also be a dtype of the same itemsize.

    Gradient: dx = dy in x's shape. Errors: RuntimeError if that needs a copy. Source: torch.Tensor.view.

    Example:
        >>> import pydl
        >>> pydl.arange(6).view(2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    return shape.view(tensor_arg(input, "view", "input"), ints_arg(size, "view"))


def reshape(input, *shape_):
    """x with another shape, on the same memory if that is possible, else a copy. One size may be −1.

    Gradient: dx = dy in x's shape. Errors: ShapeError for another number of elements. Source: torch.reshape.

    Example:
        >>> import pydl
        >>> pydl.reshape(pydl.arange(6), (3, 2))
        tensor([[0, 1],
                [2, 3],
                [4, 5]])
    """
    return shape.reshape(tensor_arg(input, "reshape", "input"), ints_arg(shape_, "reshape"))


def flatten(input, start_dim=0, end_dim=-1):
    """x with the dimensions start_dim … end_dim made one; a 0-d tensor gets one dimension.

    Gradient: dx = dy in x's shape.
    Errors: IndexError for a bad dim; RuntimeError if start_dim comes after end_dim. Source: torch.flatten.

    Example:
        >>> import pydl
        >>> pydl.flatten(pydl.ones(2, 3, 4), 1).shape
        pydl.Size([2, 12])
    """
    cdef TensorBase x = tensor_arg(input, "flatten", "input")
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    cdef Py_ssize_t first = shape.wrap_dim(start_dim, ndim, "flatten"), last = shape.wrap_dim(end_dim, ndim, "flatten"), n = 1, d
    if first > last:
        raise RuntimeError("flatten: start_dim cannot come after end_dim")
    sizes = shape.shape_of(x)
    if ndim == 0:
        return shape.reshape(x, (1,))
    if first == last:
        return x
    for d in range(first, last + 1):
        n *= sizes[d]
    return shape.reshape(x, sizes[:first] + (n,) + sizes[last + 1:])


def transpose(input, dim0, dim1):
    """x with two dimensions swapped, on the same memory. Gradient: swapped back.
    Errors: IndexError for a bad dim. Source: torch.transpose.

    Example:
        >>> import pydl
        >>> pydl.transpose(pydl.ones(2, 3), 0, 1).shape
        pydl.Size([3, 2])
    """
    return shape.swap(tensor_arg(input, "transpose", "input"), dim0, dim1, "transpose")


def t(input):
    """xᵀ of a matrix; vectors and numbers stay as they are.

    Shapes: (N, M) of (M, N). Gradient: dx = dyᵀ. Errors: RuntimeError above 2 dimensions. Source: torch.t.

    Example:
        >>> import pydl
        >>> pydl.t(pydl.ones(2, 3)).shape
        pydl.Size([3, 2])
    """
    cdef TensorBase x = tensor_arg(input, "t", "input")
    if cnp.PyArray_NDIM(x.a) > 2:
        raise RuntimeError(f"t: expects a tensor with at most 2 dimensions, but it is {cnp.PyArray_NDIM(x.a)}-d")
    return shape.permute(x, tuple(range(cnp.PyArray_NDIM(x.a) - 1, -1, -1)))


def permute(input, *dims):
    """x with its dimensions in the order dims, on the same memory. Gradient: in the inverse order.

    Errors: IndexError for a bad dim; RuntimeError unless each stands there once. Source: torch.permute.

    Example:
        >>> import pydl
        >>> pydl.permute(pydl.ones(2, 3, 4), (2, 0, 1)).shape
        pydl.Size([4, 2, 3])
    """
    return shape.permute(tensor_arg(input, "permute", "input"), ints_arg(dims, "permute"))


def expand(input, *size):
    """x repeated along dimensions of size 1 and new leading ones, without a copy (stride 0); −1 keeps a size.

    Gradient: dx = Σ dy over what was repeated. Shapes: `size`. Errors: ShapeError. Source: torch.Tensor.expand.

    Example:
        >>> import pydl
        >>> pydl.tensor([[1], [2]]).expand(2, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return shape.expand(tensor_arg(input, "expand", "input"), ints_arg(size, "expand"))


def squeeze(input, dim=None):
    """x without dimensions of size 1: all of them, or those among dim (an int or several). The same memory.

    Gradient: dx = dy in x's shape. Errors: IndexError for a bad dim. Source: torch.squeeze.

    Example:
        >>> import pydl
        >>> pydl.squeeze(pydl.ones(2, 1, 3, 1)).shape
        pydl.Size([2, 3])
    """
    if dim is not None:
        dim = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    return shape.squeeze(tensor_arg(input, "squeeze", "input"), dim)


def unsqueeze(input, dim):
    """x with a dimension of size 1 inserted at dim. The same memory. Gradient: dx = dy in x's shape.
    Errors: IndexError. Source: torch.unsqueeze.

    Example:
        >>> import pydl
        >>> pydl.unsqueeze(pydl.ones(2, 3), 1).shape
        pydl.Size([2, 1, 3])
    """
    return shape.unsqueeze(tensor_arg(input, "unsqueeze", "input"), dim)


def clone(input, *, memory_format=None):
    """A copy of x, contiguous, with x's history.

    Shapes: those of x. Gradient: dx = dy. Errors: TypeError unless input is a Tensor. Source: torch.clone.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2); y = pydl.clone(x); y[0] = 5; x
        tensor([1., 1.])
    """
    return eltwise.clone(tensor_arg(input, "clone", "input"))


def contiguous(input, memory_format=None):
    """x itself if it is C-contiguous, else a copy that is.

    Shapes: those of x. Gradient: dx = dy. Errors: TypeError unless input is a Tensor. Source: torch.Tensor.contiguous.

    Example:
        >>> import pydl
        >>> pydl.ones(2, 3).t().contiguous().stride()
        (2, 1)
    """
    return eltwise.contiguous(tensor_arg(input, "contiguous", "input"))


def cast(input, dtype):
    """x in another element type; x itself if it has that one.

    Shapes: those of x. Gradient: dx = dy in x's type. Errors: TypeError unless input is a Tensor.
    Source: torch.Tensor.to.

    Example:
        >>> import pydl
        >>> pydl.ops.cast(pydl.tensor([1.5, -1.5]), pydl.int64)
        tensor([ 1, -1])
    """
    return promote.cast(tensor_arg(input, "cast", "input"), dtypes.as_np(dtype).num)


def copy_(input, src, non_blocking=False):
    """Writes src, cast and broadcast, into input. Gradient: dsrc = dy, summed to its shape. Source: torch.Tensor.copy_.

    Example:
        >>> import pydl
        >>> pydl.zeros(2).copy_(pydl.tensor(3))
        tensor([3., 3.])
    """
    return in_place.copy_(tensor_arg(input, "copy_", "input"), tensor_arg(src, "copy_", "src"))
