# SPDX-License-Identifier: BSD-3-Clause
"""A correlation, and the gradient of its weights, as blocks of matrix products that are cut among the threads.

A block's inputs are gathered into rows that stay in L2 and multiplied with the packed weights by the matrix product's tiles. The
gradient of the weights is the product of dy and those rows, or of dy and whole lines of inputs that the taps share. Sums over k are
cut by shape alone and a tile gives an element the same bits wherever it lies, so that blocks may follow the number of threads. The
weights' gradient adds fixed spans of pixels in order.
"""

from pydl._core.correlation cimport pydl_conv_weight, up
from pydl._core.epilogue cimport IN_KERNEL, finish
from pydl._core.kernels cimport (
    FLOPS_PER_LANE_NS, PYDL_B_add, PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED, PYDL_GEMM_RELU, each_piece, run_team, threads_for,
)
from pydl._core.storage cimport scratch, scratch_free

cdef enum:
    LINE = 64
    ROWS_BYTES = 196608          # gathered rows of a block: they stay in L2 beside the weights
    MAX_ROWS = 768
    K_BYTES = 1024               # of a row in one product: a panel of so many rows of weights stays in L1
    PIXELS_BYTES = 294912        # weights' gradient: gathered rows of a product, and its sums: both stay in L2
    SUMS_BYTES = 262144
    WEIGHT_K_BYTES = 2560        # and of a row
    LINES_SUMS_BYTES = 327680    # the same from whole lines of inputs
    LINES_BYTES = 327680
    LINES_PIXELS = 256
    SHORTEST_LINE = 6            # outputs: shorter ones make short sums
    SPAN_TASKS = 8               # the weights' gradient is cut into so many tasks where there are pixels enough,
    SPAN_PIXELS = 1024           # at least these for each
    CHUNK = 16384                # elements that one thread takes at a time in passes over memory

cdef double BYTES_PER_NS = 10.0


cdef inline ptrdiff_t even(ptrdiff_t n, ptrdiff_t largest, ptrdiff_t unit) noexcept nogil:
    """The size of nearly equal pieces of n, multiples of `unit` of at most `largest` (itself one)."""
    cdef ptrdiff_t pieces = (n + largest - 1) // largest
    return n if pieces <= 1 else up((n + pieces - 1) // pieces, unit)


# --- a correlation as matrix products -----------------------------------------------------------------------------

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


cdef void pack_panel(const void* job, ptrdiff_t i) noexcept nogil:
    """Panel i of all groups' panels."""
    cdef const Job* p = <const Job*>job
    cdef ptrdiff_t nr = p.t.gemm.nr, per_group = (p.n + nr - 1) // nr, group = i // per_group, j = (i % per_group) * nr
    cdef pydl_conv_weight g = p.weight
    g.n = min(nr, p.n - j)
    p.v.pack(&g, p.w + (group * p.w_group + j * g.column) * p.size, p.panels + i * nr * p.k * p.size)


cdef ptrdiff_t panel_bytes(Job* p) noexcept nogil:
    prepare(p)
    return up(p.groups * up(p.n, p.t.gemm.nr) * p.k * p.size, LINE)


cdef void pack_panels(Job* p, char* panels) noexcept nogil:
    cdef ptrdiff_t i
    prepare(p)
    p.panels = panels
    for i in range(p.groups * (up(p.n, p.t.gemm.nr) // p.t.gemm.nr)):
        pack_panel(p, i)


cdef void run_block(const Job* p, ptrdiff_t i, char* work) noexcept nogil:
    """Task i: a block of outputs times a cut of a group's channels."""
    cdef ptrdiff_t cut = i % p.n_cuts, block = i // p.n_cuts % p.n_blocks, group = i // (p.n_cuts * p.n_blocks)
    cdef ptrdiff_t nr = p.t.gemm.nr, j = cut * p.cut, n = min(p.cut, p.n - j), i0 = block * p.rows, m = min(p.rows, p.n_pixels - i0)
    cdef ptrdiff_t k0 = 0, kc, channel = group * p.n + j, a_row = p.ld, c_row = p.groups * p.n
    cdef const char* x = p.x + group * p.g.channels * p.size
    cdef const char* panels = p.panels + (group * up(p.n, nr) + j) * p.k * p.size
    cdef const char* a = work
    cdef char* c = p.y + (i0 * c_row + channel) * p.size
    cdef bint last = False, relu = p.then != NULL and p.then.kind == IN_KERNEL
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
        p.t.gemm.block(m, n, kc, 1, a, a_row, 1, 0, 0, panels + k0 * nr * p.size, nr, p.k * nr, 0, c, c_row,
                       p.bias + channel * p.size if last and p.bias != NULL else NULL,
                       PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 or p.adds else 0) | (PYDL_GEMM_RELU if last and relu else 0))
        k0 += kc
    if p.then != NULL:
        finish(p.then, c, m, n, c_row, p.size)
    if p.scattered:
        p.v.scatter(&p.g, i0, m, n, c, p.y + channel * p.size, p.groups * p.n)


cdef struct Spans:
    ptrdiff_t n_spans, n_chunks, n_blocks     # spans of whole chunks of pixels; blocks of rows of the weights
    ptrdiff_t n_lines, lines, width           # of the grid, of a chunk (0: pixels are gathered); pixels of an input line

cdef struct Team:
    const Job* p
    const Spans* s                # of the weights' gradient
    char* dw
    ptrdiff_t dw_group
    ptrdiff_t n_tasks, threads
    char* work                    # `stride` bytes for each thread
    ptrdiff_t stride


cdef void run_share(const void* job, ptrdiff_t t) noexcept nogil:
    """The tasks of thread t."""
    cdef const Team* team = <const Team*>job
    cdef ptrdiff_t i
    for i in range(team.n_tasks * t // team.threads, team.n_tasks * (t + 1) // team.threads):
        if team.s == NULL:
            run_block(team.p, i, team.work + t * team.stride)
        else:
            run_span(team.p, team.s, i, team.work + t * team.stride)


cdef void run_blocks(const void* job, int threads) noexcept nogil:
    cdef const Job* p = (<const Team*>job).p
    if not p.packed:
        each_piece(pack_panel, p, p.groups * (up(p.n, p.t.gemm.nr) // p.t.gemm.nr), threads)
    each_piece(run_share, job, threads, threads)


cdef int correlate(Job* p) except -1:
    """y = the correlation, over all groups; what is set: t, v, g, weight's strides, size, groups, n, n_pixels, x … y."""
    cdef ptrdiff_t mr = p.t.gemm.mr, nr = p.t.gemm.nr, n_bytes = 0
    cdef double work_ns
    cdef int threads
    cdef char* work
    cdef Team team
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
    team.p, team.s, team.threads, team.n_tasks = p, NULL, threads, p.groups * p.n_blocks * p.n_cuts
    team.stride = up((p.rows * p.ld + (p.rows * p.n if p.scattered else 0)) * p.size, LINE) + 2 * LINE
    if not p.packed:
        n_bytes = panel_bytes(p)
    work = <char*>scratch(n_bytes + team.stride * threads)
    if not p.packed:
        p.panels = work
    team.work = work + n_bytes
    run_team(run_blocks, &team, threads, work_ns)
    scratch_free(work, n_bytes + team.stride * threads)
    return 0


# --- the gradient of the weights ----------------------------------------------------------------------------------

cdef void add_chunk(const Job* p, const Spans* s, ptrdiff_t i0, ptrdiff_t m, ptrdiff_t group, ptrdiff_t c0, int flags, const char* tiles,
                    char* lines, char* sums) noexcept nogil:
    """The products of dy's m pixels from i0 on with the channels from c0 on of their input lines: one for each tap, summed over lines."""
    cdef ptrdiff_t nr = p.t.gemm.nr, mr = p.t.gemm.mr, n = min(p.kc, p.g.channels - c0), per_row = p.g.taps[0] * p.g.taps[1]
    cdef ptrdiff_t channel = group * p.g.channels + c0, line = s.width * p.ld, tap, q, width = p.g.out[2]
    p.v.lines(&p.g, p.x + channel * p.size, p.n_x - channel, i0 // width, m // width, n, lines, p.ld)
    for tap in range(per_row):
        for q in range(p.g.taps[2]):
            p.t.gemm.block(p.n, n, width, m // width, tiles, 1, mr, m * mr + p.t.lanes, width * mr,
                           lines + (tap * line + q * p.g.apart[2] * p.ld) * p.size, p.g.step[2] * p.ld, nr, per_row * line,
                           sums + ((tap * p.g.taps[2] + q) * p.g.channels + c0) * p.size, p.k, NULL, PYDL_GEMM_PADDED | flags)


cdef inline ptrdiff_t input_elements(const Job* p, const Spans* s) noexcept nogil:
    """Of the inputs of a chunk."""
    return s.lines * p.g.taps[0] * p.g.taps[1] * s.width * p.ld if s.lines else p.rows * p.ld


cdef void cut_weight(Job* p, Spans* s) noexcept nogil:
    """Chunks of pixels and blocks of the weights' rows, by shape alone.

    Whole lines of inputs, where the taps of a line share one copy, if there are channels enough for panels; else gathered pixels.
    """
    cdef ptrdiff_t nr = p.t.gemm.nr, per_row = p.g.taps[0] * p.g.taps[1], line_bytes
    s.n_lines = p.n_pixels // p.g.out[2]
    s.width = (p.g.out[2] - 1) * p.g.step[2] + (p.g.taps[2] - 1) * p.g.apart[2] + 1
    p.kc = even(p.g.channels, max(4 * nr, LINES_SUMS_BYTES // (p.n * per_row * p.g.taps[2] * p.size) // nr * nr), nr)
    p.ld = up(p.kc, nr) + 16
    line_bytes = per_row * s.width * p.ld * p.size
    if (p.g.taps[2] > 1 and p.g.channels >= nr and SHORTEST_LINE <= p.g.out[2] <= LINES_PIXELS
            and line_bytes <= LINES_BYTES):
        s.lines = max(<ptrdiff_t>1, min(LINES_PIXELS // p.g.out[2], LINES_BYTES // line_bytes))
        p.rows = s.lines * p.g.out[2]
        s.n_blocks = (p.g.channels + p.kc - 1) // p.kc
    else:
        s.lines = 0
        p.kc = even(p.k, max(<ptrdiff_t>128, min(WEIGHT_K_BYTES, SUMS_BYTES // p.n) // p.size // 16 * 16), 16)
        p.ld = up(p.kc, 16) + 16
        p.rows = max(<ptrdiff_t>96, min(<ptrdiff_t>256, PIXELS_BYTES // (p.ld * p.size)))
        s.n_blocks = (p.k + p.kc - 1) // p.kc
    s.n_chunks = (p.n_pixels + p.rows - 1) // p.rows
    s.n_spans = max(<ptrdiff_t>1, min(SPAN_TASKS // (p.groups * s.n_blocks), p.n_pixels // SPAN_PIXELS))


cdef void run_span(const Job* p, const Spans* s, ptrdiff_t i, char* work) noexcept nogil:
    """Task i: the sums [n][k0:k0+kc] of a group over a span of pixels, chunk after chunk: dy, packed, times the gathered inputs."""
    cdef ptrdiff_t span = i % s.n_spans, block = i // s.n_spans % s.n_blocks, group = i // (s.n_spans * s.n_blocks)
    cdef ptrdiff_t k0 = block * p.kc, kc = min(p.kc, p.k - k0), chunk = s.n_chunks * span // s.n_spans, i0, m, at, tile
    cdef int flags
    cdef ptrdiff_t first = chunk, end = s.n_chunks * (span + 1) // s.n_spans, ldy = p.groups * p.n, mr = p.t.gemm.mr
    cdef char* tiles = work + up(input_elements(p, s) * p.size, LINE)
    cdef char* sums = p.panels + (span * p.groups + group) * p.n * p.k * p.size
    while chunk < end:
        i0 = chunk * p.rows
        m = min(p.rows, p.n_pixels - i0)
        at, tile = i0 * ldy + group * p.n, m * mr + p.t.lanes
        flags = PYDL_GEMM_ACCUMULATE if chunk > first else 0
        p.v.pack_pixels(m, p.n, p.y + at * p.size, ldy, p.n_pixels * ldy - at, tiles, tile)
        if s.lines:
            add_chunk(p, s, i0, m, group, k0, flags, tiles, work, sums)
        else:
            p.v.gather(&p.g, p.x + group * p.g.channels * p.size, p.n_x - group * p.g.channels, i0, m, k0, kc, work, p.ld)
            p.t.gemm.block(p.n, kc, m, 1, tiles, 1, mr, tile, 0, work, p.ld, p.t.gemm.nr, 0, sums + k0 * p.size, p.k, NULL,
                           PYDL_GEMM_PADDED | flags)
        chunk += 1


cdef void fold_spans(const void* job, ptrdiff_t i) noexcept nogil:
    """Piece i of the sums of all spans, added to the first one's in order."""
    cdef const Job* p = (<const Team*>job).p
    cdef const Spans* s = (<const Team*>job).s
    cdef ptrdiff_t total = p.groups * p.k * p.n, at = i * CHUNK, n = min(<ptrdiff_t>CHUNK, total - at), j
    for j in range(1, s.n_spans):
        p.t.eltwise.binary[PYDL_B_add](p.panels + at * p.size, 1, p.panels + (j * total + at) * p.size, 1, p.panels + at * p.size, 1, n)


cdef void unpack_group(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Team* team = <const Team*>job
    cdef const Job* p = team.p
    p.v.unpack(&p.weight, p.panels + i * p.k * p.n * p.size, p.k, team.dw + i * team.dw_group * p.size)


cdef void run_spans(const void* job, int threads) noexcept nogil:
    cdef const Job* p = (<const Team*>job).p
    each_piece(run_share, job, threads, threads)
    if (<const Team*>job).s.n_spans > 1:
        each_piece(fold_spans, job, (p.groups * p.k * p.n + CHUNK - 1) // CHUNK, threads)
    each_piece(unpack_group, job, p.groups, threads)


cdef int correlate_weight(Job* p, char* dw, ptrdiff_t dw_group) except -1:
    """dw from p.x and p.y = dy; there is at least one pixel, channel and tap."""
    cdef Spans s
    cdef Team team
    cdef double work_ns
    cdef int threads
    cdef ptrdiff_t sums_bytes
    prepare(p)
    work_ns = 2.0 * p.n_pixels * p.k * p.n * p.groups / (FLOPS_PER_LANE_NS * p.t.lanes)
    work_ns += <double>p.n_pixels * (p.k + p.n) * p.groups * p.size / BYTES_PER_NS
    threads = threads_for(work_ns)
    cut_weight(p, &s)
    team.stride = input_elements(p, &s) + (p.rows * p.t.gemm.mr + p.t.lanes) * (up(p.n, p.t.gemm.mr) // p.t.gemm.mr)
    team.stride = up(team.stride * p.size, LINE) + 2 * LINE
    sums_bytes = up(s.n_spans * p.groups * p.k * p.n * p.size, LINE)
    team.p, team.s, team.dw, team.dw_group, team.threads = p, &s, dw, dw_group, threads
    team.n_tasks = p.groups * s.n_blocks * s.n_spans
    p.panels = <char*>scratch(sums_bytes + team.stride * threads)
    team.work = p.panels + sums_bytes
    run_team(run_spans, &team, threads, work_ns)
    scratch_free(p.panels, sums_bytes + team.stride * threads)
    return 0
