# SPDX-License-Identifier: BSD-3-Clause
"""Changes in place: when they are allowed, what becomes of the history, and the operations x = f(x), x = f(x, other) and copies into x."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport (
    BINARY_NAMES, UNARY_NAMES, clone, fit, record_binary, record_unary, shape_if_other, unary_other,
)
from pydl._core.arithmetic cimport binary
from pydl._core.formats cimport channels_last, new_like, zeros_laid_out_like
from pydl._core.kernels cimport *
from pydl._core.loops cimport MAX_DIMS, PICOSECONDS_MATH, PICOSECONDS_PLAIN, apply1, apply2, broadcast_shape, same_shape
from pydl._core.promote cimport as_tensor, cast, promoted
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, adopt, alias, edge_of, follow, grad_enabled, is_contiguous, is_f64, is_float, move_retained, node_of,
    requires_grad, slots, twin,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()


# --- the rules ----------------------------------------------------------------------------------------------------

cdef int check_inplace(TensorBase x, str name) except -1:
    """Raises if x may not be changed in place: read-only or expanded memory, or a leaf that requires grad."""
    cdef int i
    if not cnp.PyArray_ISWRITEABLE(x.a):
        raise RuntimeError(f"{name}: the tensor {tuple(x.shape)} is read-only (it shares memory with a read-only array)")
    for i in range(cnp.PyArray_NDIM(x.a)):
        if cnp.PyArray_STRIDES(x.a)[i] == 0 and cnp.PyArray_DIMS(x.a)[i] > 1 and cnp.PyArray_SIZE(x.a):
            raise RuntimeError(
                f"{name}: more than one element of the tensor {tuple(x.shape)} refers to the same memory (expand); clone() it first"
            )
    if grad_enabled():
        node_of(x)
        if x.requires_grad_ and x.node is None:
            raise RuntimeError(f"{name}: a leaf Variable that requires grad is being used in an in-place operation.")
        if x.base is not None and x.base.requires_grad_ and x.base.node is None:
            raise RuntimeError(f"{name}: a view of a leaf Variable that requires grad is being used in an in-place operation.")
    return 0


cdef int finish_inplace(TensorBase x, Node node) except -1:
    """Makes `node` the history of x; if x is a view, the history of its base changes with it."""
    cdef SliceNode slices
    cdef TensorBase base = x.base
    if base is None or base.s is not x.s:
        move_retained(x, node)
        follow(x, node)
        x.epoch += 1
        return 0
    slices = SliceNode.__new__(SliceNode)
    slices.inner = node
    slices.base_like = twin(base)
    slices.view_like = twin(x)
    slices.offset = cnp.PyArray_BYTES(x.a) - cnp.PyArray_BYTES(base.a)
    slices.e0 = edge_of(base)
    slices.e1 = node.e1
    slices.more = node.more
    move_retained(base, slices)
    follow(base, slices)
    base.epoch += 1
    node_of(x)
    return 0


@cython.no_gc
cdef class SliceNode(Node):
    """A change of a view, seen from its base: the part of the gradient under the view goes through the change, the rest passes."""
    cdef Node inner
    cdef TensorBase base_like, view_like    # shapes and strides
    cdef ptrdiff_t offset                   # of the view in the base, in bytes

    cdef object call(self, TensorBase dy):
        cdef TensorBase rest = zeros_laid_out_like(self.base_like)
        cdef TensorBase part
        cdef tuple grads
        copy_(rest, dy)
        part = slots.strided_view(rest, self.view_like, self.offset)
        result = self.inner.call(copy_(new_like(part), part))
        grads = result if isinstance(result, tuple) else (result,)
        if grads[0] is None:
            fill_(part, 0)
        else:
            copy_(part, <TensorBase>grads[0])
        return (rest,) + grads[1:]

    cdef int release(self) except -1:
        self.inner.release()
        self.released = self.inner.released
        return 0

    def name(self) -> str:
        return "CopySlices"


# --- the operations -----------------------------------------------------------------------------------------------

cdef TensorBase operand_for(TensorBase x, object other, str name, bint to_float):
    """`other` as a tensor of x's type, with shapes and types checked, on memory that the change of x does not reach."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef TensorBase y
    cdef int ndim
    dtype = promoted(x, other, to_float)
    if dtype is None:
        raise TypeError(f"{name}: takes a Tensor or a number, not {type(other).__name__}")
    if not dtypes.can_cast(dtypes.from_np(dtype), x.dtype):
        raise RuntimeError(f"{name}: result type {dtypes.from_np(dtype)} can't be cast to the desired output type {x.dtype}")
    y = as_tensor(other, (<object>x.a).dtype)
    ndim = broadcast_shape(name, (x.a, y.a), shape)
    if tuple([shape[i] for i in range(ndim)]) != (<object>x.a).shape:
        raise_broadcast(name, x, y)
    if y.s is x.s and not ((<object>y.a).strides == (<object>x.a).strides and cnp.PyArray_DATA(y.a) == cnp.PyArray_DATA(x.a)):
        y = clone(y)
    return y


cdef int raise_broadcast(str name, TensorBase x, TensorBase y) except -1:
    raise ShapeError(f"{name}: the result would not have the shape of the tensor that is changed: {tuple(x.shape)}, other {tuple(y.shape)}")


cdef object binary_(int code, TensorBase x, object other):
    """x = f(x, other), in x's memory."""
    cdef TensorBase y, old
    cdef bint recorded
    cdef str name
    if slots.recording and begins():
        binary_(code, x, other)
        ends("binary_", (x, other, code), x)
        return x
    # The way of sums of gradients and optimizer steps: same type and shape, nothing recorded.
    if isinstance(other, TensorBase) and not grad_enabled() or not requires_grad(x):
        y = <TensorBase>other if isinstance(other, TensorBase) else None
        if (y is not None and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(y.a) and is_float(x) and same_shape(x, y) and y.s is not x.s
                and (is_contiguous(x) or x.own_format) and not (grad_enabled() and requires_grad(y)) and cnp.PyArray_ISWRITEABLE(x.a)):
            if x.own_format:
                y = channels_last(y)
            apply2(<void*>table(is_f64(x)).eltwise.binary[code], x, x, y, PICOSECONDS_PLAIN)
            x.s.version += 1
            return x
    name = BINARY_NAMES[code] + "_"
    check_inplace(x, name)
    y = operand_for(x, other, name, code == PYDL_B_div)
    if not is_float(x):
        np.copyto(x.a, (<TensorBase>binary(code, x, y)).a, casting="unsafe")
        x.s.version += 1
        return x
    recorded = grad_enabled() and (requires_grad(x) or requires_grad(y))
    old = x
    if recorded:
        # The derivative by the other operand, and that of pow, max and min, needs the values of x from before.
        old = alias(x)
        if code > PYDL_B_div or ((code == PYDL_B_mul or code == PYDL_B_div) and requires_grad(y)):
            old = clone(x)
        if y is x or y.s is x.s:
            y = clone(y)
    apply2(<void*>table(is_f64(x)).eltwise.binary[code], x, old, y, PICOSECONDS_MATH if code == PYDL_B_pow else PICOSECONDS_PLAIN)
    x.s.version += 1
    if recorded:
        rerecord_binary(code, x, old, y)
    return x


cdef int rerecord_binary(int code, TensorBase x, TensorBase old, TensorBase y) except -1:
    cdef TensorBase out = twin(x)
    record_binary(code, out, old, y)
    return finish_inplace(x, out.node)


cdef TensorBase unary_(int code, TensorBase x):
    """x = f(x), in x's memory."""
    cdef TensorBase old, out
    cdef bint recorded
    if slots.recording and begins():
        unary_(code, x)
        ends("unary_", (x, code), x)
        return x
    check_inplace(x, UNARY_NAMES[code] + "_")
    if not is_float(x):
        if code > PYDL_U_square and code != PYDL_U_relu:
            raise RuntimeError(
                f"{UNARY_NAMES[code]}_: result type {dtypes.get_default_dtype()} can't be cast to the desired output type {x.dtype}"
            )
        np.copyto(x.a, unary_other(code, x).a)
        x.s.version += 1
        return x
    recorded = grad_enabled() and requires_grad(x)
    old = x
    if recorded and (code == PYDL_U_abs or code == PYDL_U_square or code == PYDL_U_log):
        old = clone(x)
    elif recorded:
        old = alias(x)
    apply1(<void*>table(is_f64(x)).eltwise.unary[code], x, old,
           PICOSECONDS_MATH if PYDL_U_exp <= code <= PYDL_U_sigmoid else PICOSECONDS_PLAIN)
    x.s.version += 1
    if recorded:
        out = twin(x)
        record_unary(code, out, old)
        finish_inplace(x, out.node)
    return x


cdef TensorBase copy_(TensorBase x, TensorBase source):
    """Writes source, cast and broadcast, into x."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef CopyNode node
    cdef bint recorded
    cdef int ndim
    if slots.recording and begins():
        copy_(x, source)
        ends("copy_", (x, source), x)
        return x
    check_inplace(x, "copy_")
    ndim = broadcast_shape("copy_", (x.a, source.a), shape)
    if ndim != cnp.PyArray_NDIM(x.a) or not all([shape[i] == cnp.PyArray_DIMS(x.a)[i] for i in range(ndim)]):
        raise_broadcast("copy_", x, source)
    recorded = grad_enabled() and is_float(x) and (requires_grad(x) or requires_grad(source))
    if is_float(x) and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(source.a) and same_shape(x, source) and x.s is not source.s:
        apply1(<void*>table(is_f64(x)).eltwise.unary[PYDL_U_copy], x, source, PICOSECONDS_PLAIN)
    else:
        with np.errstate(invalid="ignore"):
            np.copyto(x.a, source.a, casting="unsafe")
    x.s.version += 1
    if recorded:
        node = CopyNode.__new__(CopyNode)
        node.typenum = cnp.PyArray_TYPE(source.a)
        node.shape = shape_if_other(source, x)
        node.e0 = edge_of(x)
        node.e1 = edge_of(source)
        finish_inplace(x, node)
    return x


@cython.final
@cython.no_gc
cdef class CopyNode(Node):
    """Edge 0 is what x was before: it gets zeros."""
    cdef int typenum
    cdef object shape

    cdef object call(self, TensorBase dy):
        return (adopt(np.zeros_like(dy.a)) if self.e0 is not None else None,
                cast(fit(dy, self.shape), self.typenum) if self.e1 is not None else None)

    def name(self) -> str:
        return "CopyBackwards"


cdef TensorBase fill_(TensorBase x, object value):
    """Writes one value to every element of x."""
    cdef Node node
    if slots.recording and begins():
        fill_(x, value)
        ends("fill_", (x, value), x)
        return x
    check_inplace(x, "fill_")
    x.a.fill(value)
    if grad_enabled() and x.requires_grad_:
        node = FillNode.__new__(FillNode)
        node.e0 = edge_of(x)
        finish_inplace(x, node)
    x.s.version += 1
    return x


@cython.no_gc
cdef class FillNode(Node):
    """What was there before gets a gradient of zeros."""

    cdef object call(self, TensorBase dy):
        return adopt(np.zeros_like(dy.a))

    def name(self) -> str:
        return "FillBackward0"


slots.binary_ = binary_
slots.copy_ = copy_
slots.fill_ = fill_
slots.check_inplace = check_inplace
slots.finish_inplace = finish_inplace
