# SPDX-License-Identifier: BSD-3-Clause
"""Brings the operands of an operation to one element type, by PyTorch's categories."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport Node, TensorBase, adopt, attach, edge_of, grad_enabled, is_float, new, requires_grad, slots

from pydl._core import dtypes

cnp.import_array()


cdef TensorBase number(double value, int typenum):
    cdef TensorBase t = new(0, NULL, typenum)
    if typenum == cnp.NPY_DOUBLE:
        (<double*>cnp.PyArray_DATA(t.a))[0] = value
    else:
        (<float*>cnp.PyArray_DATA(t.a))[0] = <float>value
    return t


cdef inline bint is_operand(object v):
    return isinstance(v, (float, int, np.generic, np.ndarray))


cdef tuple describe(object v):
    """(NumPy type, number of dimensions, whether it is a number) for the promotion rules."""
    if isinstance(v, TensorBase):
        return (<object>(<TensorBase>v).a).dtype, cnp.PyArray_NDIM((<TensorBase>v).a), False
    if isinstance(v, np.ndarray):
        return v.dtype, v.ndim, False
    return type(v), 0, True


cdef object promoted(object a, object b, bint to_float):
    """The NumPy type that an operation on a and b is done in; None if one is neither a tensor nor an array nor a number."""
    if not (isinstance(a, TensorBase) or is_operand(a)) or not (isinstance(b, TensorBase) or is_operand(b)):
        return None
    return dtypes.promote_binary(*describe(a), *describe(b), to_float)


cdef TensorBase as_tensor(object v, object np_dtype):
    if isinstance(v, TensorBase):
        return cast(<TensorBase>v, np_dtype.num)
    return adopt(np.require(v, np_dtype, "A"))    # NumPy's arrays may lie at odd addresses


cdef TensorBase cast(TensorBase x, int typenum):
    """x in another element type; x itself if it has that one."""
    cdef CastNode node
    cdef TensorBase out
    if cnp.PyArray_TYPE(x.a) == typenum:
        return x
    if slots.recording and begins():
        out = cast(x, typenum)
        ends("cast", (x, out.dtype), out)
        return out
    out = new(cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), typenum)
    with np.errstate(invalid="ignore"):
        np.copyto(out.a, x.a, casting="unsafe")
    if grad_enabled() and requires_grad(x) and is_float(out):
        node = CastNode.__new__(CastNode)
        node.typenum = cnp.PyArray_TYPE(x.a)
        node.e0 = edge_of(x)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class CastNode(Node):
    cdef int typenum

    cdef object call(self, TensorBase dy):
        return cast(dy, self.typenum)

    def name(self) -> str:
        return "ToCopyBackward0"
