# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of floating-point tensors over 1 to 3 spatial dimensions and its gradients. Nothing is recorded.

Every pass is a correlation (csrc/conv_kernels.h) on channels-last memory, cut into blocks of outputs. A block's inputs are gathered
into rows that stay in L2 and multiplied with the packed weights by the matrix product's tiles; the gradient of the weights is the
product of dy and those rows. Sums over k are cut by shape alone and a tile gives an element the same bits wherever
it lies, so that blocks may follow the number of threads. The gradient of the weights adds fixed spans of pixels in order.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp

from pydl._core.correlation cimport (
    Sizes, check_types, forward_geometry, output_shape, pydl_conv, pydl_conv_weight, pydl_correlation, read_sizes, residue,
    result, up, weight_strides, whole_strides,
)
from pydl._core.depthwise cimport depthwise_bwd_data, depthwise_bwd_weight, depthwise_fwd, is_depthwise
from pydl._core.formats cimport channels_last, wants_public
from pydl._core.kernels cimport (
    PYDL_B_add, PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED, PYDL_U_copy, RELEASE_GIL_NS, enter_kernel, leave_kernel, pydl_kernels, table,
    threads_for, tick, tock,
)
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64, new

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    LINE = 64
    ROWS_BYTES = 196608          # gathered rows of a block: they stay in L2 beside the weights
    MAX_ROWS = 768
    K_BYTES = 1024               # of a row in one product: a panel of so many rows of weights stays in L1
    PIXELS_BYTES = 294912        # weights' gradient: gathered rows of a product, and its sums: both stay in L2
    SUMS_BYTES = 262144
    WEIGHT_K_BYTES = 2560        # and of a row
    SPAN_TASKS = 8               # the weights' gradient is cut into so many tasks where there are pixels enough,
    SPAN_PIXELS = 1024           # at least these for each
    CHUNK = 16384                # elements that one thread takes at a time in passes over memory

cdef double FLOPS_PER_LANE_NS = 10.0
cdef double BYTES_PER_NS = 10.0


cdef inline ptrdiff_t even(ptrdiff_t n, ptrdiff_t largest, ptrdiff_t unit) noexcept nogil:
    """The size of nearly equal pieces of n, multiples of `unit` of at most `largest` (itself one)."""
    cdef ptrdiff_t pieces = (n + largest - 1) // largest
    return n if pieces <= 1 else up((n + pieces - 1) // pieces, unit)


# --- a correlation as matrix products -----------------------------------------------------------------------------

cdef struct Job:
    const pydl_kernels* t
    const pydl_conv* v
    pydl_correlation g
    pydl_conv_weight weight
    ptrdiff_t size                        # bytes of an element
    ptrdiff_t groups, n, k, n_pixels      # columns and rows of a group's weights, outputs of the grid
    const char* x
    ptrdiff_t n_x
    const char* w                         # of group 0, tap (0, 0, 0)
    ptrdiff_t w_group
    const char* bias
    char* y                               # dy for the weights' gradient
    char* panels                          # packed weights, or sums of the weights' gradient
    ptrdiff_t kc, ld, rows, n_blocks, n_cuts, cut
    bint in_place, scattered


cdef void prepare(Job* p) noexcept nogil:
    """What follows from the geometry."""
    cdef int d
    p.k = p.g.taps[0] * p.g.taps[1] * p.g.taps[2] * p.g.channels
    p.in_place = p.k == p.g.channels
    p.scattered = False
    for d in range(3):
        p.weight.taps[d] = p.g.taps[d]
        if p.g.step[d] != 1 or p.g.first[d] != 0 or p.g.inp[d] != p.g.out[d]:
            p.in_place = False
        if p.g.full[d] != p.g.out[d]:
            p.scattered = True
    p.weight.channels, p.weight.n = p.g.channels, p.n


cdef void pack_panel(const Job* p, ptrdiff_t i) noexcept nogil:
    """Panel i of all groups' panels."""
    cdef ptrdiff_t nr = p.t.gemm_nr, per_group = (p.n + nr - 1) // nr, group = i // per_group, j = (i % per_group) * nr
    cdef pydl_conv_weight g = p.weight
    g.n = min(nr, p.n - j)
    p.v.pack(&g, p.w + (group * p.w_group + j * g.column) * p.size, p.panels + i * nr * p.k * p.size)


cdef void run_block(const Job* p, ptrdiff_t i, char* work) noexcept nogil:
    """Task i: a block of outputs times a cut of a group's channels."""
    cdef ptrdiff_t cut = i % p.n_cuts, block = i // p.n_cuts % p.n_blocks, group = i // (p.n_cuts * p.n_blocks)
    cdef ptrdiff_t nr = p.t.gemm_nr, j = cut * p.cut, n = min(p.cut, p.n - j), i0 = block * p.rows, m = min(p.rows, p.n_pixels - i0)
    cdef ptrdiff_t k0 = 0, kc, channel = group * p.n + j, a_row = p.ld, c_row = p.groups * p.n
    cdef const char* x = p.x + group * p.g.channels * p.size
    cdef const char* panels = p.panels + (group * up(p.n, nr) + j) * p.k * p.size
    cdef const char* a = work
    cdef char* c = p.y + (i0 * c_row + channel) * p.size
    cdef bint last = False
    if p.scattered:
        c = work + up(p.rows * p.ld * p.size, LINE) + LINE
        c_row = n
    while not last:
        kc = min(p.kc, p.k - k0)
        last = k0 + kc == p.k
        if p.in_place:
            a, a_row = x + (i0 * p.g.pixel + k0) * p.size, p.g.pixel
        else:
            p.v.gather(&p.g, x, p.n_x - group * p.g.channels, i0, m, k0, kc, work, p.ld)
        p.t.gemm_block(m, n, kc, 1, a, a_row, 1, 0, 0, panels + k0 * nr * p.size, nr, p.k * nr, 0, c, c_row,
                       p.bias + channel * p.size if last and p.bias != NULL else NULL,
                       PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 else 0))
        k0 += kc
    if p.scattered:
        p.v.scatter(&p.g, i0, m, n, c, p.y + channel * p.size, p.groups * p.n)


cdef void run_blocks(const Job* p, ptrdiff_t n_tasks, int threads, char* work, ptrdiff_t stride) noexcept nogil:
    cdef ptrdiff_t n_panels = p.groups * (up(p.n, p.t.gemm_nr) // p.t.gemm_nr), i
    cdef int t
    for i in prange(n_panels, num_threads=threads, schedule="static"):
        pack_panel(p, i)
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        for i in range(n_tasks * t // threads, n_tasks * (t + 1) // threads):
            run_block(p, i, work + t * stride)


cdef int correlate(Job* p) except -1:
    """y = the correlation, over all groups; what is set: t, v, g, weight's strides, size, groups, n, n_pixels, x … y."""
    cdef ptrdiff_t mr = p.t.gemm_mr, nr = p.t.gemm_nr, n_tasks, stride, panel_bytes
    cdef double work_ns
    cdef int threads
    cdef char* work
    if p.n_pixels == 0 or p.n == 0:
        return 0
    prepare(p)
    work_ns = 2.0 * p.n_pixels * p.k * p.n * p.groups / (FLOPS_PER_LANE_NS * p.t.lanes)
    work_ns += <double>p.n_pixels * (p.k + p.n) * p.groups * p.size / BYTES_PER_NS
    threads = threads_for(work_ns)
    p.kc = even(p.k, K_BYTES // p.size, 8)
    p.ld = up(p.kc, 8) + 16
    p.rows = max(mr, min(<ptrdiff_t>MAX_ROWS, ROWS_BYTES // (p.ld * p.size)) // mr * mr)
    if threads > 1:
        p.rows = min(p.rows, max(4 * mr, up((p.n_pixels + 2 * threads - 1) // (2 * threads), mr)))
    p.n_blocks = (p.n_pixels + p.rows - 1) // p.rows
    p.cut, p.n_cuts = p.n, 1
    if p.n_blocks * p.groups < threads:
        p.cut = min(p.n, up(p.n * p.n_blocks * p.groups // threads, nr))
        p.n_cuts = (p.n + p.cut - 1) // p.cut
    n_tasks = p.groups * p.n_blocks * p.n_cuts
    stride = up((p.rows * p.ld + (p.rows * p.n if p.scattered else 0)) * p.size, LINE) + 2 * LINE
    panel_bytes = up(p.groups * up(p.n, nr) * p.k * p.size, LINE)
    work = <char*>scratch(panel_bytes + stride * threads)
    p.panels = work
    if threads == 1 and work_ns < RELEASE_GIL_NS:
        run_blocks(p, n_tasks, 1, work + panel_bytes, stride)
    else:
        enter_kernel()
        with nogil:
            run_blocks(p, n_tasks, threads, work + panel_bytes, stride)
        leave_kernel()
    scratch_free(work, panel_bytes + stride * threads)
    return 0


# --- the gradient of the weights ----------------------------------------------------------------------------------

cdef struct Spans:
    ptrdiff_t n_spans, n_chunks, n_blocks     # spans of whole chunks of pixels; blocks of rows of the weights


cdef void run_span(const Job* p, const Spans* s, ptrdiff_t i, char* work) noexcept nogil:
    """Task i: the sums [n][k0:k0+kc] of a group over a span of pixels, chunk after chunk: dy, packed, times the gathered inputs."""
    cdef ptrdiff_t span = i % s.n_spans, block = i // s.n_spans % s.n_blocks, group = i // (s.n_spans * s.n_blocks)
    cdef ptrdiff_t k0 = block * p.kc, kc = min(p.kc, p.k - k0), chunk = s.n_chunks * span // s.n_spans, i0, m, at, tile
    cdef ptrdiff_t first = chunk, end = s.n_chunks * (span + 1) // s.n_spans, ldy = p.groups * p.n, mr = p.t.gemm_mr
    cdef char* tiles = work + up(p.rows * p.ld * p.size, LINE)
    cdef char* sums = p.panels + ((span * p.groups + group) * p.n * p.k + k0) * p.size
    while chunk < end:
        i0 = chunk * p.rows
        m = min(p.rows, p.n_pixels - i0)
        at, tile = i0 * ldy + group * p.n, m * mr + p.t.lanes
        p.v.gather(&p.g, p.x + group * p.g.channels * p.size, p.n_x - group * p.g.channels, i0, m, k0, kc, work, p.ld)
        p.v.pack_pixels(m, p.n, p.y + at * p.size, ldy, p.n_pixels * ldy - at, tiles, tile)
        p.t.gemm_block(p.n, kc, m, 1, tiles, 1, mr, tile, 0, work, p.ld, p.t.gemm_nr, 0, sums, p.k, NULL,
                       PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if chunk > first else 0))
        chunk += 1


cdef void fold_spans(const Job* p, const Spans* s, ptrdiff_t i) noexcept nogil:
    """Piece i of the sums of all spans, added to the first one's in order."""
    cdef ptrdiff_t total = p.groups * p.k * p.n, at = i * CHUNK, n = min(<ptrdiff_t>CHUNK, total - at), j
    for j in range(1, s.n_spans):
        p.t.binary[PYDL_B_add](p.panels + at * p.size, 1, p.panels + (j * total + at) * p.size, 1, p.panels + at * p.size, 1, n)


cdef void run_spans(const Job* p, const Spans* s, char* dw, ptrdiff_t dw_group, int threads, char* work, ptrdiff_t stride) noexcept nogil:
    cdef ptrdiff_t n_tasks = p.groups * s.n_blocks * s.n_spans, i
    cdef int t
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        for i in range(n_tasks * t // threads, n_tasks * (t + 1) // threads):
            run_span(p, s, i, work + t * stride)
    if s.n_spans > 1:
        for i in prange((p.groups * p.k * p.n + CHUNK - 1) // CHUNK, num_threads=threads, schedule="static"):
            fold_spans(p, s, i)
    for i in prange(p.groups, num_threads=threads, schedule="static"):
        p.v.unpack(&p.weight, p.panels + i * p.k * p.n * p.size, p.k, dw + i * dw_group * p.size)


cdef int gather_weight_grad(Job* p, char* dw, ptrdiff_t dw_group) except -1:
    """dw from p.x and p.y = dy; there is at least one pixel, channel and tap."""
    cdef Spans s
    cdef double work_ns
    cdef int threads
    cdef ptrdiff_t stride, sums_bytes
    cdef char* work
    prepare(p)
    work_ns = 2.0 * p.n_pixels * p.k * p.n * p.groups / (FLOPS_PER_LANE_NS * p.t.lanes)
    work_ns += <double>p.n_pixels * (p.k + p.n) * p.groups * p.size / BYTES_PER_NS
    threads = threads_for(work_ns)
    p.kc = even(p.k, max(<ptrdiff_t>128, min(WEIGHT_K_BYTES, SUMS_BYTES // p.n) // p.size // 16 * 16), 16)
    p.ld = up(p.kc, 16) + 16
    p.rows = max(<ptrdiff_t>96, min(<ptrdiff_t>256, PIXELS_BYTES // (p.ld * p.size)))
    s.n_blocks = (p.k + p.kc - 1) // p.kc
    s.n_chunks = (p.n_pixels + p.rows - 1) // p.rows
    s.n_spans = max(<ptrdiff_t>1, min(SPAN_TASKS // (p.groups * s.n_blocks), p.n_pixels // SPAN_PIXELS))
    stride = up((p.rows * p.ld + (p.rows * p.t.gemm_mr + p.t.lanes) * (up(p.n, p.t.gemm_mr) // p.t.gemm_mr)) * p.size, LINE) + 2 * LINE
    sums_bytes = up(s.n_spans * p.groups * p.k * p.n * p.size, LINE)
    work = <char*>scratch(sums_bytes + stride * threads)
    p.panels = work
    if threads == 1 and work_ns < RELEASE_GIL_NS:
        run_spans(p, &s, dw, dw_group, 1, work + sums_bytes, stride)
    else:
        enter_kernel()
        with nogil:
            run_spans(p, &s, dw, dw_group, threads, work + sums_bytes, stride)
        leave_kernel()
    scratch_free(work, sums_bytes + stride * threads)
    return 0


# --- the passes ---------------------------------------------------------------------------------------------------

cdef void set_operands(Job* p, const Sizes* s, TensorBase x, TensorBase y) noexcept:
    p.t = table(is_f64(x))
    p.v = <const pydl_conv*>p.t.conv
    p.size = cnp.PyArray_ITEMSIZE(x.a)
    p.groups = s.groups
    p.x, p.n_x, p.y = cnp.PyArray_BYTES(x.a), cnp.PyArray_SIZE(x.a), cnp.PyArray_BYTES(y.a)
    p.bias = NULL


def conv_fwd(TensorBase x not None, TensorBase w not None, TensorBase b, tuple stride, tuple padding, tuple dilation,
             ptrdiff_t groups) -> TensorBase:
    """y[n, k, p] = b[k] + sum over c, r of x[n, c, p·stride - padding + r·dilation] · w[k, c, r]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase y
    cdef int64_t start
    check_types("conv", x, w)
    read_sizes("conv", (<object>x.a).shape, (<object>w.a).shape, stride, padding, dilation, groups, &s)
    if b is not None:
        check_types("conv", x, b)
        if (<object>b.a).shape != (s.k,):
            raise ShapeError(f"conv: bias {(<object>b.a).shape} must have one element for each of {s.k} channels")
        b = contiguous_vector(b)
    y = result(output_shape(&s, cnp.PyArray_NDIM(x.a)), x, not (wants_public(x) or wants_public(w)))
    x = channels_last(x)
    w = whole_strides(w)
    start = tick()
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
    tock(start)
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


def conv_bwd_data(TensorBase dy not None, TensorBase w not None, tuple input_shape, tuple stride, tuple padding, tuple dilation,
                  ptrdiff_t groups) -> TensorBase:
    """dx[n, c, i] = sum over k, r, p with p·stride - padding + r·dilation = i of dy[n, k, p] · w[k, c, r]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase dx
    cdef ptrdiff_t tap[3]
    cdef int64_t start
    check_types("conv_bwd_data", dy, w)
    read_sizes("conv_bwd_data", input_shape, (<object>w.a).shape, stride, padding, dilation, groups, &s)
    check_dy("conv_bwd_data", dy, output_shape(&s, len(input_shape)))
    dx = result(input_shape, dy, not (wants_public(dy) or wants_public(w)))
    dy = channels_last(dy)
    w = whole_strides(w)
    start = tick()
    if s.out_pixels == 0 or s.k == 0 or not covers(&s):
        memset(cnp.PyArray_DATA(dx.a), 0, cnp.PyArray_NBYTES(dx.a))
    if is_depthwise(&s):
        depthwise_bwd_data(&s, dy, w, dx)
    else:
        set_operands(&p, &s, dy, dx)
        weight_strides(w, &p.weight.channel, &p.weight.column, tap)
        p.n, p.w_group = s.c // s.groups, s.k // s.groups * p.weight.channel
        p.g.channels, p.g.pixel = s.k // s.groups, s.k
        correlate_residues(&p, &s, cnp.PyArray_BYTES(w.a), tap)
    tock(start)
    return dx


cdef int check_dy(str name, TensorBase dy, tuple shape) except -1:
    if (<object>dy.a).shape != shape:
        raise ShapeError(f"{name}: dy {(<object>dy.a).shape} must have the shape of the output {shape}")
    return 0


def conv_bwd_weight(TensorBase dy not None, TensorBase x not None, tuple weight_shape, tuple stride, tuple padding, tuple dilation,
                    ptrdiff_t groups) -> TensorBase:
    """dw[k, c, r] = sum over n, p of dy[n, k, p] · x[n, c, p·stride - padding + r·dilation]."""
    cdef Sizes s
    cdef Job p
    cdef TensorBase dw
    cdef cnp.npy_intp shape[5]
    cdef int i
    cdef int64_t start
    check_types("conv_bwd_weight", dy, x)
    read_sizes("conv_bwd_weight", (<object>x.a).shape, weight_shape, stride, padding, dilation, groups, &s)
    check_dy("conv_bwd_weight", dy, output_shape(&s, cnp.PyArray_NDIM(x.a)))
    for i in range(len(weight_shape)):
        shape[i] = weight_shape[i]
    dw = new(len(weight_shape), shape, cnp.PyArray_TYPE(x.a))
    if cnp.PyArray_SIZE(dw.a) == 0 or s.out_pixels == 0:
        memset(cnp.PyArray_DATA(dw.a), 0, cnp.PyArray_NBYTES(dw.a))
        return dw
    dy, x = channels_last(dy), channels_last(x)
    start = tick()
    if is_depthwise(&s):
        depthwise_bwd_weight(&s, dy, x, dw)
    else:
        set_operands(&p, &s, x, dy)
        forward_geometry(&s, &p.g)
        weight_strides(dw, &p.weight.column, &p.weight.channel, &p.weight.tap[0])
        p.n, p.n_pixels = s.k // s.groups, s.out_pixels
        gather_weight_grad(&p, cnp.PyArray_BYTES(dw.a), p.n * p.weight.column)
    tock(start)
    return dw


cdef void sum_piece(const pydl_kernels* t, const char* dy, ptrdiff_t n, ptrdiff_t rows, ptrdiff_t k, ptrdiff_t i, char* part,
                    ptrdiff_t size) noexcept nogil:
    t.sum_cols(dy + i * rows * k * size, k, min(rows, n - i * rows), k, part + i * k * size)


def conv_bwd_bias(TensorBase dy not None) -> TensorBase:
    """db[k] = sum over n, p of dy[n, k, p]: fixed pieces of pixels, then their sums."""
    cdef const pydl_kernels* t
    cdef ptrdiff_t k, n, rows, n_pieces, size = cnp.PyArray_ITEMSIZE(dy.a), i
    cdef TensorBase db
    cdef int threads
    cdef char* parts
    cdef const char* data
    cdef double work_ns
    cdef int64_t start
    check_types("conv_bwd_bias", dy, dy)
    if not 3 <= cnp.PyArray_NDIM(dy.a) <= 5:
        raise ShapeError(f"conv_bwd_bias: dy {(<object>dy.a).shape} needs 3 to 5 dimensions")
    t = table(is_f64(dy))
    k = cnp.PyArray_DIMS(dy.a)[1]
    db = new(1, &cnp.PyArray_DIMS(dy.a)[1], cnp.PyArray_TYPE(dy.a))
    n = cnp.PyArray_SIZE(dy.a) // k if k else 0
    if n == 0:
        memset(cnp.PyArray_DATA(db.a), 0, cnp.PyArray_NBYTES(db.a))
        return db
    dy = channels_last(dy)
    data = cnp.PyArray_BYTES(dy.a)
    rows = max(<ptrdiff_t>64, CHUNK // k)
    n_pieces = (n + rows - 1) // rows
    parts = <char*>scratch(n_pieces * k * size)
    work_ns = <double>n * k * size / BYTES_PER_NS
    threads = threads_for(work_ns)
    start = tick()
    enter_kernel()
    with nogil:
        for i in prange(n_pieces, num_threads=threads, schedule="static"):
            sum_piece(t, data, n, rows, k, i, parts, size)
        t.sum_cols(parts, k, n_pieces, k, cnp.PyArray_DATA(db.a))
    leave_kernel()
    tock(start)
    scratch_free(parts, n_pieces * k * size)
    return db
