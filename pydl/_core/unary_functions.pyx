# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise functions of one tensor as users call them, with their documentation, and the gradients that follow from a result."""

cimport pydl._core.arithmetic as arithmetic
cimport pydl._core.eltwise as eltwise
cimport pydl._core.inplace as in_place
from pydl._core.arguments cimport tensor_arg
from pydl._core.kernels cimport *
from pydl._core.tape cimport TensorBase


cdef TensorBase unary_in_place(int code, TensorBase x):
    """in_place.unary_, for functions with an argument of that name."""
    return in_place.unary_(code, x)


cdef object from_result(int code, str op, object grad_output, object output):
    return arithmetic.binary(code, tensor_arg(grad_output, op, "grad_output"), tensor_arg(output, op, "output"))


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


def tanh_backward(grad_output, output):
    """dx = (1 − y²) dy, the backward of tanh from its output.

    Shapes: broadcast. Differentiable in both. Errors: TypeError unless both are Tensors; ShapeError if the
    shapes do not broadcast. Source: aten::tanh_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.tanh_backward(pydl.tensor([2.]), pydl.tensor([0.5]))
        tensor([1.5000])
    """
    return from_result(PYDL_B_tanh_bwd, "tanh_backward", grad_output, output)


def sigmoid_backward(grad_output, output):
    """dx = y (1 − y) dy, the backward of sigmoid from its output.

    Shapes: broadcast. Differentiable in both. Errors: TypeError unless both are Tensors; ShapeError if the
    shapes do not broadcast. Source: aten::sigmoid_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.sigmoid_backward(pydl.tensor([2.]), pydl.tensor([0.5]))
        tensor([0.5000])
    """
    return from_result(PYDL_B_sigmoid_bwd, "sigmoid_backward", grad_output, output)


def threshold_backward(grad_output, output):
    """dx = dy where y > 0, else 0: the backward of relu.

    Shapes: broadcast. Differentiable in grad_output. Errors: TypeError unless both are Tensors; ShapeError if
    the shapes do not broadcast. Source: aten::threshold_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.threshold_backward(pydl.tensor([2., 2.]), pydl.tensor([1., 0.]))
        tensor([2., 0.])
    """
    return from_result(PYDL_B_relu_bwd, "threshold_backward", grad_output, output)
