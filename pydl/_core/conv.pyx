# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of floating-point tensors over 1 to 3 spatial dimensions and its gradients. Nothing is recorded.

Every pass is a correlation (csrc/conv_kernels.h) on channels-last memory: the gradient of the data is one for each class of inputs
modulo stride. conv_blocks computes them as matrix products, depthwise those of single channels;
conv_taps is the gradient of the data of few channels.
"""

from libc.string cimport memset

cimport numpy as cnp

from pydl._core.conv_blocks cimport Job, correlate, correlate_weight
from pydl._core.conv_taps cimport add_taps, has_few_channels
from pydl._core.correlation cimport (
    Sizes, check_types, forward_geometry, output_shape, pydl_conv, pydl_correlation, read_sizes, residue, result, weight_strides,
    whole_strides,
)
from pydl._core.depthwise cimport depthwise_bwd_data, depthwise_bwd_weight, depthwise_fwd, is_depthwise
from pydl._core.formats cimport channels_last, wants_public
from pydl._core.kernels cimport pydl_kernels, run_pieces, table
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64, new

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 16384                # elements of dy that one thread sums at a time

cdef double BYTES_PER_NS = 10.0


cdef void set_operands(Job* p, const Sizes* s, TensorBase x, TensorBase y) noexcept:
    p.t = table(is_f64(x))
    p.v = <const pydl_conv*>p.t.conv
    p.size = cnp.PyArray_ITEMSIZE(x.a)
    p.groups = s.groups
    p.x, p.n_x, p.y = cnp.PyArray_BYTES(x.a), cnp.PyArray_SIZE(x.a), cnp.PyArray_BYTES(y.a)
    p.bias = NULL
    p.packed = p.adds = False
    p.then = NULL


def conv_fwd(TensorBase x not None, TensorBase w not None, TensorBase b, stride, padding, dilation,
             ptrdiff_t groups) -> TensorBase:
    """y[n, k, p] = b[k] + sum over c, r of x[n, c, p·stride - padding + r·dilation] · w[k, c, r]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase y
    check_types("conv", x, w)
    read_sizes("conv", (<object>x.a).shape, (<object>w.a).shape, tuple(stride), tuple(padding), tuple(dilation), groups, &s)
    if b is not None:
        check_types("conv", x, b)
        if (<object>b.a).shape != (s.k,):
            raise ShapeError(f"conv: bias {(<object>b.a).shape} must have one element for each of {s.k} channels")
        b = contiguous_vector(b)
    y = result(output_shape(&s, cnp.PyArray_NDIM(x.a)), x, not (wants_public(x) or wants_public(w)))
    x = channels_last(x)
    w = whole_strides(w)
    if is_depthwise(&s):
        depthwise_fwd(&s, x, w, b, y)
    else:
        set_operands(&p, &s, x, y)
        forward_geometry(&s, &p.g)
        weight_strides(w, &p.weight.column, &p.weight.channel, &p.weight.tap[0])
        p.n, p.n_pixels = s.k // s.groups, s.out_pixels
        p.w, p.w_group = cnp.PyArray_BYTES(w.a), p.n * p.weight.column
        if b is not None:
            p.bias = cnp.PyArray_BYTES(b.a)
        correlate(&p)
    return y


cdef TensorBase contiguous_vector(TensorBase b):
    cdef TensorBase out
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(b.a)
    if cnp.PyArray_IS_C_CONTIGUOUS(b.a):
        return b
    out = new(1, &n, cnp.PyArray_TYPE(b.a))
    out.a[...] = b.a
    return out


cdef int correlate_residues(Job* p, const Sizes* s, const char* w, const ptrdiff_t* tap) except -1:
    """dx at each class of inputs modulo stride; classes without taps are zero already."""
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t last[3]
    cdef ptrdiff_t hop[3]
    cdef int d
    for at[0] in range(min(s.stride[0], s.inp[0])):
        if not residue(s, 0, at[0], &p.g, &last[0], &hop[0]):
            continue
        for at[1] in range(min(s.stride[1], s.inp[1])):
            if not residue(s, 1, at[1], &p.g, &last[1], &hop[1]):
                continue
            for at[2] in range(min(s.stride[2], s.inp[2])):
                if not residue(s, 2, at[2], &p.g, &last[2], &hop[2]):
                    continue
                p.w, p.n_pixels = w, s.n
                for d in range(3):
                    p.weight.tap[d] = -hop[d] * tap[d]
                    p.w += last[d] * tap[d] * p.size
                    p.n_pixels *= p.g.out[d]
                correlate(p)
    return 0


cdef bint covers(const Sizes* s) noexcept:
    """Whether every input has a tap: else dx is zeroed first."""
    cdef pydl_correlation g
    cdef ptrdiff_t last, hop, a
    cdef int d
    for d in range(3):
        for a in range(min(s.stride[d], s.inp[d])):
            if not residue(s, d, a, &g, &last, &hop):
                return False
    return True


def conv_bwd_data(TensorBase dy not None, TensorBase w not None, input_shape, stride, padding, dilation,
                  ptrdiff_t groups) -> TensorBase:
    """dx[n, c, i] = sum over k, r, p with p·stride - padding + r·dilation = i of dy[n, k, p] · w[k, c, r]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase dx
    cdef ptrdiff_t tap[3]
    cdef int d
    check_types("conv_bwd_data", dy, w)
    input_shape = tuple(input_shape)
    read_sizes("conv_bwd_data", input_shape, (<object>w.a).shape, tuple(stride), tuple(padding), tuple(dilation), groups, &s)
    check_dy("conv_bwd_data", dy, output_shape(&s, len(input_shape)))
    dx = result(input_shape, dy, not (wants_public(dy) or wants_public(w)))
    dy = channels_last(dy)
    w = whole_strides(w)
    if s.out_pixels == 0 or s.k == 0 or not covers(&s):
        memset(cnp.PyArray_DATA(dx.a), 0, cnp.PyArray_NBYTES(dx.a))
    if is_depthwise(&s):
        depthwise_bwd_data(&s, dy, w, dx)
    else:
        set_operands(&p, &s, dy, dx)
        weight_strides(w, &p.weight.channel, &p.weight.column, tap)
        p.n, p.w_group = s.c // s.groups, s.k // s.groups * p.weight.channel
        p.w = cnp.PyArray_BYTES(w.a)
        for d in range(3):
            p.weight.tap[d] = tap[d]
        if not (has_few_channels(&p, &s) and add_taps(&p, &s)):
            p.g.channels, p.g.pixel = s.k // s.groups, s.k
            correlate_residues(&p, &s, cnp.PyArray_BYTES(w.a), tap)
    return dx


cdef int check_dy(str name, TensorBase dy, tuple shape) except -1:
    if (<object>dy.a).shape != shape:
        raise ShapeError(f"{name}: dy {(<object>dy.a).shape} must have the shape of the output {shape}")
    return 0


def conv_bwd_weight(TensorBase dy not None, TensorBase x not None, weight_shape, stride, padding, dilation,
                    ptrdiff_t groups) -> TensorBase:
    """dw[k, c, r] = sum over n, p of dy[n, k, p] · x[n, c, p·stride - padding + r·dilation]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase dw
    cdef cnp.npy_intp shape[5]
    cdef int i
    check_types("conv_bwd_weight", dy, x)
    weight_shape = tuple(weight_shape)
    read_sizes("conv_bwd_weight", (<object>x.a).shape, weight_shape, tuple(stride), tuple(padding), tuple(dilation), groups, &s)
    check_dy("conv_bwd_weight", dy, output_shape(&s, cnp.PyArray_NDIM(x.a)))
    for i in range(len(weight_shape)):
        shape[i] = weight_shape[i]
    dw = new(len(weight_shape), shape, cnp.PyArray_TYPE(x.a))
    if cnp.PyArray_SIZE(dw.a) == 0 or s.out_pixels == 0:
        memset(cnp.PyArray_DATA(dw.a), 0, cnp.PyArray_NBYTES(dw.a))
        return dw
    dy, x = channels_last(dy), channels_last(x)
    if is_depthwise(&s):
        depthwise_bwd_weight(&s, dy, x, dw)
    else:
        set_operands(&p, &s, x, dy)
        forward_geometry(&s, &p.g)
        weight_strides(dw, &p.weight.column, &p.weight.channel, &p.weight.tap[0])
        p.n, p.n_pixels = s.k // s.groups, s.out_pixels
        correlate_weight(&p, cnp.PyArray_BYTES(dw.a), p.n * p.weight.column)
    return dw


cdef struct Pixels:
    const pydl_kernels* t
    ptrdiff_t n, rows, k, size     # pixels, pixels of a piece, channels
    const char* dy
    char* parts                    # sums of the pieces


cdef void sum_piece(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Pixels* p = <const Pixels*>job
    p.t.reduce.sum_cols(p.dy + i * p.rows * p.k * p.size, p.k, min(p.rows, p.n - i * p.rows), p.k, p.parts + i * p.k * p.size)


def conv_bwd_bias(TensorBase dy not None) -> TensorBase:
    """db[k] = sum over n, p of dy[n, k, p]: fixed pieces of pixels, then their sums."""
    cdef Pixels p
    cdef ptrdiff_t n_pieces
    cdef TensorBase db
    check_types("conv_bwd_bias", dy, dy)
    if not 3 <= cnp.PyArray_NDIM(dy.a) <= 5:
        raise ShapeError(f"conv_bwd_bias: dy {(<object>dy.a).shape} needs 3 to 5 dimensions")
    p.t, p.size, p.k = table(is_f64(dy)), cnp.PyArray_ITEMSIZE(dy.a), cnp.PyArray_DIMS(dy.a)[1]
    db = new(1, &cnp.PyArray_DIMS(dy.a)[1], cnp.PyArray_TYPE(dy.a))
    p.n = cnp.PyArray_SIZE(dy.a) // p.k if p.k else 0
    if p.n == 0:
        memset(cnp.PyArray_DATA(db.a), 0, cnp.PyArray_NBYTES(db.a))
        return db
    dy = channels_last(dy)
    p.dy = cnp.PyArray_BYTES(dy.a)
    p.rows = max(<ptrdiff_t>64, CHUNK // p.k)
    n_pieces = (p.n + p.rows - 1) // p.rows
    p.parts = <char*>scratch(n_pieces * p.k * p.size)
    run_pieces(sum_piece, &p, n_pieces, <double>p.n * p.k * p.size / BYTES_PER_NS)
    p.t.reduce.sum_cols(p.parts, p.k, n_pieces, p.k, cnp.PyArray_DATA(db.a))
    scratch_free(p.parts, n_pieces * p.k * p.size)
    return db
