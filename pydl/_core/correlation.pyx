# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of a convolution, their checks, and the correlations that its passes are."""

cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, new_channels_last
from pydl._core.tape cimport TensorBase, is_float

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    LIMIT = 1 << 30              # of strides, paddings and dilations: no product of them overflows


# --- sizes --------------------------------------------------------------------------------------------------------

cdef int read_sizes(str name, tuple x_shape, tuple w_shape, tuple stride, tuple padding, tuple dilation, ptrdiff_t groups,
                    Sizes* s) except -1:
    """Fills s; ShapeError where the sizes do not fit. Missing spatial dimensions are leading ones of size 1."""
    cdef int dims = len(x_shape) - 2, d, i
    cdef ptrdiff_t reach
    if dims < 1 or dims > 3 or len(w_shape) != dims + 2 or not len(stride) == len(padding) == len(dilation) == dims:
        raise ShapeError(f"{name}: input {x_shape} and weight {w_shape} need 3 to 5 dimensions and stride {stride}, padding {padding} "
                         f"and dilation {dilation} an element for each spatial one")
    s.n, s.c, s.k, s.groups = x_shape[0], x_shape[1], w_shape[0], groups
    if groups < 1 or s.k % groups or s.c % groups or s.c // groups != w_shape[1]:
        raise ShapeError(f"{name}: weight {w_shape} with {groups} groups does not fit the channels of the input {x_shape}")
    s.in_pixels = s.out_pixels = s.n
    s.n_taps = 1
    for d in range(3):
        i = d - (3 - dims)
        s.inp[d] = s.taps[d] = s.stride[d] = s.dilation[d] = 1
        s.pad[d] = 0
        if i >= 0:
            s.inp[d], s.taps[d] = x_shape[i + 2], w_shape[i + 2]
            s.stride[d], s.pad[d], s.dilation[d] = stride[i], padding[i], dilation[i]
        if not (0 < s.stride[d] <= LIMIT and 0 <= s.pad[d] <= LIMIT and 0 < s.dilation[d] <= LIMIT and s.taps[d] <= LIMIT):
            raise ShapeError(f"{name}: stride {stride} and dilation {dilation} must be positive, padding {padding} not negative, "
                             f"all at most {LIMIT}")
        reach = s.inp[d] + 2 * s.pad[d] - s.dilation[d] * (s.taps[d] - 1) - 1
        if reach < 0 or s.taps[d] < 1:
            raise ShapeError(f"{name}: the kernel {w_shape[2:]} with dilation {dilation} is larger than the input {x_shape} with "
                             f"padding {padding}")
        s.out[d] = reach // s.stride[d] + 1
        s.n_taps *= s.taps[d]
        s.in_pixels *= s.inp[d]
        if s.out_pixels and s.out[d] > (<ptrdiff_t>1 << 60) // s.out_pixels:
            raise MemoryError(f"{name}: the output does not fit the address space")
        s.out_pixels *= s.out[d]
    return 0


cdef tuple output_shape(const Sizes* s, int ndim):
    return (s.n, s.k, *[s.out[d] for d in range(5 - ndim, 3)])


cdef int check_types(str name, TensorBase a, TensorBase b) except -1:
    if not is_float(a) or cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise TypeError(f"{name}: compiled for float32 and float64, the same for all operands, not {a.a.dtype} and {b.a.dtype}")
    return 0


cdef TensorBase result(tuple shape, TensorBase like, bint own):
    """An image tensor in channels-last memory, uninitialised."""
    cdef cnp.npy_intp sizes[5]
    cdef int i
    for i in range(len(shape)):
        sizes[i] = shape[i]
    return new_channels_last(len(shape), sizes, cnp.PyArray_TYPE(like.a), own)


cdef void forward_geometry(const Sizes* s, pydl_correlation* g) noexcept nogil:
    """Outputs are the forward pass's, inputs are x."""
    cdef int d
    for d in range(3):
        g.inp[d] = s.inp[d]
        g.out[d] = g.full[d] = s.out[d]
        g.taps[d], g.step[d], g.first[d], g.apart[d] = s.taps[d], s.stride[d], -s.pad[d], s.dilation[d]
        g.at[d], g.every[d] = 0, 1
    g.channels, g.pixel = s.c // s.groups, s.c


cdef bint residue(const Sizes* s, int d, ptrdiff_t a, pydl_correlation* g, ptrdiff_t* last, ptrdiff_t* hop) noexcept nogil:
    """Axis d of the data's gradient at the inputs that are a modulo stride: taps last, last - hop, ...; False if there are none.

    Input i gets dy[(i + pad - r·dilation) / stride] for every tap r where that divides; these r are `hop` apart.
    """
    cdef ptrdiff_t stride = s.stride[d], divisor = stride, rest = s.dilation[d], r = 0
    while rest:
        divisor, rest = rest, divisor % rest
    hop[0] = stride // divisor
    g.inp[d] = s.out[d]
    g.full[d], g.at[d], g.every[d] = s.inp[d], a, stride
    g.out[d] = (s.inp[d] - a + stride - 1) // stride
    while r < s.taps[d] and (a + s.pad[d] - r * s.dilation[d]) % stride:
        r += 1
        if r >= hop[0]:
            return False
    if r >= s.taps[d]:
        return False
    g.taps[d] = (s.taps[d] - 1 - r) // hop[0] + 1
    last[0] = r + (g.taps[d] - 1) * hop[0]
    g.first[d] = (a + s.pad[d] - last[0] * s.dilation[d]) // stride
    g.step[d], g.apart[d] = 1, s.dilation[d] // divisor
    return True


# --- weights ------------------------------------------------------------------------------------------------------

cdef TensorBase whole_strides(TensorBase w):
    """w, or a copy where its strides are no multiples of its elements."""
    cdef int i
    for i in range(cnp.PyArray_NDIM(w.a)):
        if cnp.PyArray_STRIDES(w.a)[i] % cnp.PyArray_ITEMSIZE(w.a):
            return contiguous_memory(w)
    return w


cdef void weight_strides(TensorBase w, ptrdiff_t* k, ptrdiff_t* c, ptrdiff_t* tap) noexcept:
    cdef int ndim = cnp.PyArray_NDIM(w.a), d
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(w.a)
    k[0], c[0] = cnp.PyArray_STRIDES(w.a)[0] // size, cnp.PyArray_STRIDES(w.a)[1] // size
    for d in range(3):
        tap[d] = cnp.PyArray_STRIDES(w.a)[d + ndim - 3] // size if d >= 5 - ndim else 0
