# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of each channel by itself: vectors over channels, lines of outputs cut among the threads.

With several outputs a channel the input is repeated first, so that the kernels see one input channel for each output channel; the
gradient of the data is summed over the repetitions. The gradient of the weights adds fixed pieces of lines in order.
"""

from libc.string cimport memset

cimport numpy as cnp

from pydl._core.correlation cimport (
    Sizes, forward_geometry, pydl_conv, pydl_correlation, residue, weight_strides,
)
from pydl._core.kernels cimport PYDL_B_add, PYDL_U_copy, pydl_kernels, run_pieces, table
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64

cnp.import_array()

cdef enum:
    LINE = 64
    CHUNK = 16384            # products of a thread's piece at least, in whole lines
    MAX_PIECES = 64          # of the weights' gradient

cdef double PRODUCTS_PER_LANE_NS = 1.5
cdef double BYTES_PER_NS = 10.0

cdef struct Job:
    const pydl_kernels* t
    const pydl_conv* v
    pydl_correlation g
    ptrdiff_t size, k, n_lines, lines     # channels out, lines of the grid, lines of a piece
    const char* x
    const char* w                         # [taps][k]
    const char* bias
    char* y
    char* sums                            # of the pieces of the weights' gradient, n_sums of each
    ptrdiff_t n_sums


cdef void set_job(Job* p, const Sizes* s, TensorBase x) noexcept:
    p.t = table(is_f64(x))
    p.v = <const pydl_conv*>p.t.conv
    p.size, p.k = cnp.PyArray_ITEMSIZE(x.a), s.k
    p.bias = NULL


cdef void pack(const Job* p, const char* w, ptrdiff_t column, const ptrdiff_t* tap, char* packed) noexcept nogil:
    """packed[tap][k] = w; w points to the first tap."""
    cdef ptrdiff_t t, r, q, to = 0
    for t in range(p.g.taps[0]):
        for r in range(p.g.taps[1]):
            for q in range(p.g.taps[2]):
                p.t.eltwise.unary[PYDL_U_copy](w + (t * tap[0] + r * tap[1] + q * tap[2]) * p.size, column, packed + to * p.k * p.size, 1,
                                               p.k)
                to += 1


cdef void run_piece(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    p.v.depthwise(&p.g, p.x, p.w, p.bias, i * p.lines, min(p.lines, p.n_lines - i * p.lines), p.y)


cdef double cut(Job* p, ptrdiff_t n) noexcept:
    """Lines and pieces of a grid over n items; returns the nanoseconds that it will take on one core."""
    cdef double per_line = <double>p.g.out[2] * p.k * p.g.taps[0] * p.g.taps[1] * p.g.taps[2]
    p.n_lines = n * p.g.out[0] * p.g.out[1]
    p.lines = max(<ptrdiff_t>1, <ptrdiff_t>(CHUNK / max(per_line, 1.0)))
    return p.n_lines * (per_line / (PRODUCTS_PER_LANE_NS * p.t.lanes) + <double>p.g.out[2] * p.k * p.size / BYTES_PER_NS)


cdef int correlate(Job* p, const Sizes* s, const char* w, ptrdiff_t column, const ptrdiff_t* tap) except -1:
    """p.y = the correlation of p.x with w (at its first tap)."""
    cdef double work_ns = cut(p, s.n)
    cdef ptrdiff_t n_bytes = p.g.taps[0] * p.g.taps[1] * p.g.taps[2] * p.k * p.size
    cdef char* packed
    if p.n_lines == 0 or p.g.out[2] == 0:
        return 0
    packed = <char*>scratch(n_bytes)
    pack(p, w, column, tap, packed)
    p.w = packed
    run_pieces(run_piece, p, (p.n_lines + p.lines - 1) // p.lines, work_ns)
    scratch_free(packed, n_bytes)
    return 0


# --- several outputs a channel ------------------------------------------------------------------------------------

cdef struct Pixels:
    void (*change)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, void*) noexcept nogil     # repeat or fold
    ptrdiff_t n, channels, times, piece, x_bytes, y_bytes     # pixels; of a piece: pixels and bytes
    const char* x
    char* y


cdef void change_piece(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Pixels* p = <const Pixels*>job
    p.change(min(p.piece, p.n - i * p.piece), p.channels, p.times, p.x + i * p.x_bytes, p.y + i * p.y_bytes)


cdef void change_pixels(const Job* j, bint repeat, ptrdiff_t pixels, ptrdiff_t n, ptrdiff_t times, const char* x, char* y) noexcept:
    """repeat or fold of all pixels."""
    cdef Pixels p
    p.change = j.v.repeat if repeat else j.v.fold
    p.n, p.channels, p.times, p.x, p.y = pixels, n, times, x, y
    p.piece = max(<ptrdiff_t>1, CHUNK // (n * times))
    p.x_bytes = p.piece * (n if repeat else n * times) * j.size
    p.y_bytes = p.piece * (n * times if repeat else n) * j.size
    run_pieces(change_piece, &p, (pixels + p.piece - 1) // p.piece, <double>pixels * n * times * j.size / BYTES_PER_NS)


cdef char* repeated(Job* p, const Sizes* s, TensorBase x) except? NULL:
    """Sets p.x to x, repeated where a channel has several outputs; returns the scratch memory it took, of repeated_bytes()."""
    cdef char* block
    p.x = cnp.PyArray_BYTES(x.a)
    p.g.channels = p.g.pixel = s.k
    if s.k == s.c:
        return NULL
    block = <char*>scratch(repeated_bytes(p, s))
    change_pixels(p, True, s.in_pixels, s.c, s.k // s.c, p.x, block)
    p.x = block
    return block


cdef inline ptrdiff_t repeated_bytes(const Job* p, const Sizes* s) noexcept:
    return s.in_pixels * s.k * p.size


# --- the passes ---------------------------------------------------------------------------------------------------

cdef int depthwise_fwd(const Sizes* s, TensorBase x, TensorBase w, TensorBase b, TensorBase y) except -1:
    cdef Job p
    cdef ptrdiff_t column, channel
    cdef ptrdiff_t tap[3]
    cdef char* block
    if s.out_pixels == 0 or s.k == 0:
        return 0
    set_job(&p, s, x)
    forward_geometry(s, &p.g)
    block = repeated(&p, s, x)
    weight_strides(w, &column, &channel, tap)
    if b is not None:
        p.bias = cnp.PyArray_BYTES(b.a)
    p.y = cnp.PyArray_BYTES(y.a)
    try:
        correlate(&p, s, cnp.PyArray_BYTES(w.a), column, tap)
    finally:
        if block != NULL:
            scratch_free(block, repeated_bytes(&p, s))
    return 0


cdef int correlate_residues(Job* p, const Sizes* s, TensorBase w) except -1:
    """The gradient of the data at each class of inputs modulo stride that has taps."""
    cdef ptrdiff_t column, channel
    cdef ptrdiff_t tap[3]
    cdef ptrdiff_t at[3]
    cdef ptrdiff_t last[3]
    cdef ptrdiff_t hop[3]
    cdef ptrdiff_t back[3]
    cdef int d
    cdef const char* first
    weight_strides(w, &column, &channel, tap)
    for at[0] in range(min(s.stride[0], s.inp[0])):
        if not residue(s, 0, at[0], &p.g, &last[0], &hop[0]):
            continue
        for at[1] in range(min(s.stride[1], s.inp[1])):
            if not residue(s, 1, at[1], &p.g, &last[1], &hop[1]):
                continue
            for at[2] in range(min(s.stride[2], s.inp[2])):
                if not residue(s, 2, at[2], &p.g, &last[2], &hop[2]):
                    continue
                first = cnp.PyArray_BYTES(w.a)
                for d in range(3):
                    back[d] = -hop[d] * tap[d]
                    first += last[d] * tap[d] * p.size
                correlate(p, s, first, column, back)
    return 0


cdef int depthwise_bwd_data(const Sizes* s, TensorBase dy, TensorBase w, TensorBase dx) except -1:
    cdef Job p
    cdef char* block = NULL
    if s.in_pixels == 0 or s.out_pixels == 0 or s.k == 0:
        return 0
    set_job(&p, s, dy)
    p.g.channels = p.g.pixel = s.k
    p.x, p.y = cnp.PyArray_BYTES(dy.a), cnp.PyArray_BYTES(dx.a)
    if s.k > s.c:
        p.y = block = <char*>scratch(repeated_bytes(&p, s))
        memset(block, 0, repeated_bytes(&p, s))
    try:
        correlate_residues(&p, s, w)
        if block != NULL:
            change_pixels(&p, False, s.in_pixels, s.c, s.k // s.c, block, cnp.PyArray_BYTES(dx.a))
    finally:
        if block != NULL:
            scratch_free(block, repeated_bytes(&p, s))
    return 0


cdef void weight_piece(const void* job, ptrdiff_t i) noexcept nogil:
    """Its sums [taps][k]."""
    cdef const Job* p = <const Job*>job
    p.v.depthwise_weight(&p.g, p.x, p.y, i * p.lines, min(p.lines, p.n_lines - i * p.lines), p.sums + i * p.n_sums * p.size)


cdef int depthwise_bwd_weight(const Sizes* s, TensorBase dy, TensorBase x, TensorBase dw) except -1:
    """There is at least one pixel and one weight."""
    cdef Job p
    cdef char* block
    cdef double work_ns
    cdef ptrdiff_t n_pieces, i, tap
    set_job(&p, s, x)
    forward_geometry(s, &p.g)
    block = repeated(&p, s, x)
    p.y = cnp.PyArray_BYTES(dy.a)
    work_ns = cut(&p, s.n)
    p.lines = max(p.lines, (p.n_lines + MAX_PIECES - 1) // MAX_PIECES)
    n_pieces = (p.n_lines + p.lines - 1) // p.lines
    p.n_sums = s.n_taps * s.k
    try:
        p.sums = <char*>scratch(n_pieces * p.n_sums * p.size)
        run_pieces(weight_piece, &p, n_pieces, work_ns)
        for i in range(1, n_pieces):
            p.t.eltwise.binary[PYDL_B_add](p.sums, 1, p.sums + i * p.n_sums * p.size, 1, p.sums, 1, p.n_sums)
        for tap in range(s.n_taps):
            p.t.eltwise.unary[PYDL_U_copy](p.sums + tap * s.k * p.size, 1, cnp.PyArray_BYTES(dw.a) + tap * p.size, s.n_taps, s.k)
        scratch_free(p.sums, n_pieces * p.n_sums * p.size)
    finally:
        if block != NULL:
            scratch_free(block, repeated_bytes(&p, s))
    return 0
