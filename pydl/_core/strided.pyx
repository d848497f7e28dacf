# SPDX-License-Identifier: BSD-3-Clause
"""Views with strides of their own, for operations declared in Python; recorded like every view."""

cimport numpy as cnp

from pydl._core.loops cimport MAX_DIMS
from pydl._core.tape cimport TensorBase, array_on, settle, slots, view_on

cnp.import_array()


def strided_view(TensorBase x not None, tuple shape not None, tuple strides not None, ptrdiff_t offset):
    """The elements of x that start `offset` bytes after its first one, `strides` bytes apart; RuntimeError if one lies outside of x."""
    cdef cnp.npy_intp dims[MAX_DIMS]
    cdef cnp.npy_intp steps[MAX_DIMS]
    cdef int d, ndim = len(shape)
    if ndim > MAX_DIMS or len(strides) != ndim:
        raise ValueError(f"strided_view: shape {shape} and strides {strides} do not fit together")
    settle(x)
    for d in range(ndim):
        dims[d] = shape[d]
        steps[d] = strides[d]
    like = view_on(x, array_on(x, ndim, dims, steps, cnp.PyArray_BYTES(x.a) + offset))
    return slots.strided_view(x, like, offset)
