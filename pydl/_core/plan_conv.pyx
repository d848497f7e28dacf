# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions with weights that are packed once, as steps of inference plans."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.conv_blocks cimport Job, correlate, pack_panels, panel_bytes
from pydl._core.correlation cimport Sizes, forward_geometry, pydl_conv, read_sizes, weight_strides
from pydl._core.depthwise cimport depthwise_fwd, is_depthwise
from pydl._core.epilogue cimport LIMITS, PARAMETERS, Epilogue
from pydl._core.kernels cimport table
from pydl._core.loops cimport PICOSECONDS_MATH, apply1, apply_clamp, apply_parameters
from pydl._core.plan cimport Step
from pydl._core.plan_steps cimport read_epilogue
from pydl._core.tape cimport TensorBase, adopt, new

cnp.import_array()


@cython.final
cdef class ConvStep(Step):
    """y = f(x * w + b + y), all channels-last; y is added where `adds`. x has the shape x_shape; w and bias are copied."""
    cdef Py_ssize_t x, y
    cdef TensorBase w, bias
    cdef Sizes s
    cdef Job p
    cdef Epilogue e
    cdef bint has_e, depthwise

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, tuple x_shape, w, bias, tuple stride, tuple padding, tuple dilation,
                 Py_ssize_t groups, then, bint adds):
        cdef cnp.ndarray weight = np.array(w, order="C")
        cdef cnp.npy_intp n_bytes
        cdef TensorBase packed
        cdef Job* p = &self.p
        self.text, self.x, self.y = text, x, y
        read_sizes("freeze", x_shape, w.shape, stride, padding, dilation, groups, &self.s)
        self.bias = None if bias is None else adopt(np.array(bias, weight.dtype))
        self.has_e = read_epilogue(&self.e, then, weight.dtype.itemsize == 8)
        self.depthwise = is_depthwise(&self.s)
        self.w = adopt(weight)
        if self.depthwise:
            if adds:
                raise ValueError("a depthwise convolution adds to nothing")
            return
        p.t = table(weight.dtype.itemsize == 8)
        p.v = <const pydl_conv*>p.t.conv
        p.size, p.groups = weight.dtype.itemsize, groups
        forward_geometry(&self.s, &p.g)
        weight_strides(self.w, &p.weight.column, &p.weight.channel, &p.weight.tap[0])
        p.n, p.n_pixels = self.s.k // groups, self.s.out_pixels
        p.w, p.w_group = cnp.PyArray_BYTES(weight), p.n * p.weight.column
        n_bytes = panel_bytes(p)
        packed = new(1, &n_bytes, cnp.NPY_UINT8)
        pack_panels(p, cnp.PyArray_BYTES(packed.a))
        self.w, p.w = packed, NULL
        p.bias = NULL if bias is None else cnp.PyArray_BYTES(self.bias.a)
        p.packed, p.adds = True, adds

    cdef int run(self, list tensors) except -1:
        cdef Job p
        cdef TensorBase x = <TensorBase>tensors[self.x], y = <TensorBase>tensors[self.y]
        if self.depthwise:
            depthwise_fwd(&self.s, x, self.w, self.bias, y)
            if self.has_e:
                self.finish(y)
        else:
            p = self.p
            p.then = &self.e if self.has_e else NULL
            p.x, p.n_x, p.y = cnp.PyArray_BYTES(x.a), cnp.PyArray_SIZE(x.a), cnp.PyArray_BYTES(y.a)
            correlate(&p)
        return 0

    cdef int finish(self, TensorBase y) except -1:
        if self.e.kind == PARAMETERS:
            return apply_parameters(self.e.fn, y, y, None, self.e.p, PICOSECONDS_MATH)
        if self.e.kind == LIMITS:
            return apply_clamp(self.e.fn, y, y, self.e.p[0], self.e.p[1])
        return apply1(self.e.fn, y, y, PICOSECONDS_MATH)
