# SPDX-License-Identifier: BSD-3-Clause
"""Views by shape, strides and an offset, recorded like every view: the operation, and what a view is read as after its base changed."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport extent, zeros_laid_out_like
from pydl._core.inplace cimport copy_
from pydl._core.loops cimport MAX_DIMS
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, array_on, attach, edge_of, grad_enabled, requires_grad, settle, slots, view_on,
)

cnp.import_array()


@cython.final
cdef class Geometry:
    """A view as shape and strides on memory laid out like `base`."""
    cdef TensorBase base, view
    cdef ptrdiff_t offset


@cython.final
@cython.no_gc
cdef class StridedNode(Node):
    """The history of a strided view, or of the zeros around one that are its gradient."""
    cdef Geometry geometry
    cdef bint of_backward

    cdef object call(self, TensorBase dy):
        cdef Geometry g = self.geometry
        if self.of_backward:
            return view_like(copy_(zeros_laid_out_like(g.base), dy), g.view, g.offset)
        return strided_backward(dy, g)

    def name(self) -> str:
        return "AsStridedBackwardBackward0" if self.of_backward else "AsStridedBackward0"


cdef StridedNode strided_node(TensorBase input, Geometry geometry, bint of_backward):
    cdef StridedNode node = StridedNode.__new__(StridedNode)
    node.geometry = geometry
    node.of_backward = of_backward
    node.e0 = edge_of(input)
    return node


cdef int check_inside(TensorBase base, TensorBase view, ptrdiff_t offset) except -1:
    """Raises unless the elements of `view`, put `offset` bytes after the first one of base, lie between those of base."""
    cdef ptrdiff_t low, high, view_low, view_high
    if cnp.PyArray_SIZE(view.a) == 0:
        return 0
    extent(base, &low, &high)
    extent(view, &view_low, &view_high)
    if cnp.PyArray_SIZE(base.a) == 0 or offset < low - view_low or offset > high - view_high:
        raise RuntimeError(f"a view {(<object>view.a).shape} leaves the memory of its base {(<object>base.a).shape} "
                           "(was the base given other memory?)")
    return 0


cdef TensorBase view_like(TensorBase base, TensorBase like, ptrdiff_t offset):
    """The shape and strides of `like` on the memory of base, offset bytes from its start."""
    cdef TensorBase out
    cdef Geometry geometry
    settle(base)
    check_inside(base, like, offset)
    out = view_on(base, array_on(base, cnp.PyArray_NDIM(like.a), cnp.PyArray_DIMS(like.a), cnp.PyArray_STRIDES(like.a),
                                 cnp.PyArray_BYTES(base.a) + offset))
    if grad_enabled() and requires_grad(base):
        geometry = Geometry.__new__(Geometry)
        geometry.base = base.detach()
        geometry.view = like.detach()
        geometry.offset = offset
        attach(out, strided_node(base, geometry, False))
    if slots.recording and begins():
        ends("view", (base,), out)
    return out


cdef TensorBase strided_backward(TensorBase dy, Geometry geometry):
    """Zeros like the base with dy where the view lies; what an expanded view shows several times is added."""
    cdef TensorBase out = zeros_laid_out_like(geometry.base)
    cdef cnp.ndarray view = geometry.view.a, source = dy.a
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, ndim = cnp.PyArray_NDIM(view)
    cdef list repeated = []
    for d in range(ndim):
        shape[d] = cnp.PyArray_DIMS(view)[d]
        if cnp.PyArray_STRIDES(view)[d] == 0 and shape[d] > 1:
            repeated.append(d)
            shape[d] = 1
    if repeated:
        source = np.sum(source, axis=tuple(repeated), keepdims=True)
    np.copyto(array_on(out, ndim, shape, cnp.PyArray_STRIDES(view), cnp.PyArray_BYTES(out.a) + geometry.offset), source)
    if grad_enabled() and requires_grad(dy):
        attach(out, strided_node(dy, geometry, True))
    return out


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
    return view_like(x, like, offset)


slots.strided_view = view_like
