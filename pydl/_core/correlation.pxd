# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of a convolution and the correlations that its passes are, for conv and depthwise."""

from pydl._core.tape cimport TensorBase

cdef extern from "conv_kernels.h" nogil:
    ctypedef struct pydl_correlation:
        ptrdiff_t* inp "in"
        ptrdiff_t* out
        ptrdiff_t* taps
        ptrdiff_t* step
        ptrdiff_t* first
        ptrdiff_t* apart
        ptrdiff_t* full
        ptrdiff_t* at
        ptrdiff_t* every
        ptrdiff_t channels, pixel
    ctypedef struct pydl_conv_weight:
        ptrdiff_t* taps
        ptrdiff_t* tap
        ptrdiff_t channels, channel, n, column
    ctypedef struct pydl_conv:
        void (*pack)(const pydl_conv_weight*, const void*, void*) noexcept nogil
        void (*unpack)(const pydl_conv_weight*, const void*, ptrdiff_t, void*) noexcept nogil
        void (*pack_taps)(const pydl_conv_weight*, const void*, void*) noexcept nogil
        void (*add_taps)(const pydl_correlation*, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*,
                         ptrdiff_t) noexcept nogil
        void (*gather)(const pydl_correlation*, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*,
                       ptrdiff_t) noexcept nogil
        void (*lines)(const pydl_correlation*, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*pack_pixels)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*scatter)(const pydl_correlation*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, void*, ptrdiff_t) noexcept nogil
        void (*repeat)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, void*) noexcept nogil
        void (*fold)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, void*) noexcept nogil
        void (*depthwise)(const pydl_correlation*, const void*, const void*, const void*, ptrdiff_t, ptrdiff_t, void*) noexcept nogil
        void (*depthwise_weight)(const pydl_correlation*, const void*, const void*, ptrdiff_t, ptrdiff_t, void*) noexcept nogil

cdef struct Sizes:
    ptrdiff_t n, c, k, groups
    ptrdiff_t inp[3]
    ptrdiff_t out[3]
    ptrdiff_t taps[3]
    ptrdiff_t stride[3]
    ptrdiff_t pad[3]
    ptrdiff_t dilation[3]
    ptrdiff_t in_pixels, out_pixels, n_taps     # all pixels of the batch

# Fills s; ShapeError where the sizes do not fit. Missing spatial dimensions are leading ones of size 1.
cdef int read_sizes(str name, tuple x_shape, tuple w_shape, tuple stride, tuple padding, tuple dilation, ptrdiff_t groups,
                    Sizes* s) except -1
cdef tuple output_shape(const Sizes* s, int ndim)
cdef int check_types(str name, TensorBase a, TensorBase b) except -1
cdef TensorBase result(tuple shape, TensorBase like, bint own)     # an image tensor in channels-last memory, uninitialised

# Outputs are the forward pass's, inputs are x.
cdef void forward_geometry(const Sizes* s, pydl_correlation* g) noexcept nogil
# Axis d of the data's gradient at the inputs that are `a` modulo stride; its taps are last, last - hop, ... False: there are none.
cdef bint residue(const Sizes* s, int d, ptrdiff_t a, pydl_correlation* g, ptrdiff_t* last, ptrdiff_t* hop) noexcept nogil

cdef TensorBase whole_strides(TensorBase w)     # w, or a copy where its strides are no multiples of its elements
cdef void weight_strides(TensorBase w, ptrdiff_t* k, ptrdiff_t* c, ptrdiff_t* tap) noexcept

cdef inline ptrdiff_t up(ptrdiff_t x, ptrdiff_t unit) noexcept nogil:
    return (x + unit - 1) // unit * unit
