# SPDX-License-Identifier: BSD-3-Clause
"""The squared error of two tensors of one type and shape: check, forward and backward side by side. All else is composed in Python."""

cimport cython

cimport numpy as cnp

from pydl._core.arithmetic cimport with_number
from pydl._core.eltwise cimport binary_float, unary
from pydl._core.kernels cimport PYDL_B_div, PYDL_B_mul, PYDL_B_sub, PYDL_U_neg
from pydl._core.loops cimport same_shape
from pydl._core.sums cimport all_dims, sum_dims
from pydl._core.tape cimport (
    Node, TensorBase, attach, edge_of, grad_enabled, is_f64, is_float, requires_grad, swap_grad_enabled, unpack,
)

from pydl._core.errors import ShapeError

cnp.import_array()

cdef tuple REDUCTIONS = ("mean", "sum", "none")


cdef inline bint is_pair(TensorBase x, TensorBase t) noexcept:
    return is_float(x) and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(t.a) and same_shape(x, t)


cdef TensorBase times(TensorBase x, TensorBase factor):
    """x · factor, a tensor of x's shape or a single number; a number is not broadcast unless that is recorded."""
    cdef void* value = cnp.PyArray_DATA(factor.a)
    if grad_enabled() or cnp.PyArray_NDIM(factor.a):
        return binary_float(PYDL_B_mul, x, factor)
    return with_number(PYDL_B_mul, x, (<double*>value)[0] if is_f64(factor) else (<float*>value)[0], False)


@cython.final
@cython.no_gc
cdef class SquaredErrorNode(Node):
    """dx = 2 (x - t) dy [/ n], dt = -dx."""
    cdef TensorBase x, t
    cdef unsigned int version_x, version_t
    cdef bint mean

    cdef object call(self, TensorBase dy):
        cdef TensorBase x = unpack(self.x, self.version_x, None), t = unpack(self.t, self.version_t, None), dx
        if not is_pair(x, t) or cnp.PyArray_TYPE(dy.a) != cnp.PyArray_TYPE(x.a):
            raise ShapeError(f"mse_loss: {(<object>x.a).shape} {x.dtype} and {(<object>t.a).shape} {t.dtype} do not fit each other or the "
                             "gradient any more; was a tensor given other data after it was used?")
        if self.mean:
            dy = with_number(PYDL_B_div, dy, max(cnp.PyArray_SIZE(x.a), 1), False)
        dx = times(binary_float(PYDL_B_sub, x, t), with_number(PYDL_B_mul, dy, 2, False))
        return dx if self.e0 is not None else None, unary(PYDL_U_neg, dx) if self.e1 is not None else None

    cdef int release(self) except -1:
        self.x = self.t = None
        self.released = True
        return 0

    def name(self) -> str:
        return "MseLossBackward0"


cdef TensorBase squared_error(TensorBase x, TensorBase t, str reduction):
    cdef SquaredErrorNode node
    cdef TensorBase loss
    cdef bint recorded = grad_enabled() and (requires_grad(x) or requires_grad(t)), old = swap_grad_enabled(False)
    try:
        loss = binary_float(PYDL_B_sub, x, t)
        loss = binary_float(PYDL_B_mul, loss, loss)
        if reduction != "none":
            loss = sum_dims(loss, all_dims(cnp.PyArray_NDIM(x.a)), False, reduction == "mean")
    finally:
        swap_grad_enabled(old)
    if recorded:
        node = SquaredErrorNode.__new__(SquaredErrorNode)
        node.x, node.t = x, t
        node.version_x, node.version_t = x.s.version, t.s.version
        node.mean = reduction == "mean"
        node.e0, node.e1 = edge_of(x), edge_of(t)
        attach(loss, node)
    return loss


def usual_case(x, t, reduction) -> TensorBase | None:
    """mse_loss of two tensors of one floating-point type and shape; None for all else, valid or not."""
    if (not isinstance(x, TensorBase) or not isinstance(t, TensorBase) or not is_pair(<TensorBase>x, <TensorBase>t)
            or reduction not in REDUCTIONS):
        return None
    return squared_error(<TensorBase>x, <TensorBase>t, reduction)
