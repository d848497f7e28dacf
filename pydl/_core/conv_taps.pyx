# SPDX-License-Identifier: BSD-3-Clause
"""The gradient of the data where there are few input channels.

Lines of dy times the weights give the terms of every tap, full panels wide; they are added to lines of inputs. Each thread owns
some of these and computes every output line that reaches them: an element's terms are added in order of the output lines, and
within one in an order that follows from the geometry, so that the bits do not depend on the cut.
"""

from libc.string cimport memcpy, memset

from pydl._core.conv_blocks cimport Job
from pydl._core.correlation cimport Sizes, forward_geometry, up
from pydl._core.kernels cimport PYDL_GEMM_PADDED, each_piece, run_team, threads_for
from pydl._core.storage cimport scratch, scratch_free

cdef enum:
    LINE = 64
    TERMS_BYTES = 196608         # of a product: they stay in L2
    INPUT_BYTES = 262144         # lines of inputs that a task adds to

cdef double TAPS_FLOPS_PER_LANE_NS = 8.0    # less than the matrix product: sums are as short as there are channels

cdef struct Taps:
    ptrdiff_t k, ld, lda             # columns of the product, elements from row to row of it and from line to line of the sums
    ptrdiff_t rows, lines, n_tasks   # output lines of a product, lines of inputs of a task, tasks of an image


cdef bint has_few_channels(const Job* p, const Sizes* s) noexcept:
    cdef ptrdiff_t nr = p.t.gemm.nr, line_bytes = s.out[2] * (up(s.n_taps * s.c, nr) + 16) * p.size
    return (s.groups == 1 and s.c < nr and s.inp[0] == 1 and s.taps[0] == 1 and s.pad[0] == 0 and s.dilation[2] == 1
            and s.pad[2] < s.taps[2] and line_bytes <= 4 * TERMS_BYTES)


cdef bint is_finite(const char* x, ptrdiff_t n, ptrdiff_t size) noexcept nogil:
    """Whether all n elements are: then zeros times them are zeros."""
    cdef ptrdiff_t i
    cdef double sum_ = 0.0
    for i in range(n):
        sum_ += 0.0 * ((<const double*>x)[i] if size == 8 else (<const float*>x)[i])
    return sum_ == 0.0


cdef void run_task(const Job* p, const Sizes* s, const Taps* q, ptrdiff_t i, char* terms) noexcept nogil:
    """Lines h0 ... of an image."""
    cdef ptrdiff_t image = i // q.n_tasks, h0 = i % q.n_tasks * q.lines, lines = min(q.lines, s.inp[1] - h0), nr = p.t.gemm.nr, m, j
    cdef ptrdiff_t reach = (s.taps[1] - 1) * s.dilation[1], from_ = h0 + s.pad[1] - reach, width = s.out[2]
    cdef ptrdiff_t line = (from_ + s.stride[1] - 1) // s.stride[1] if from_ > 0 else 0
    cdef ptrdiff_t end = min(s.out[1], (h0 + lines - 1 + s.pad[1]) // s.stride[1] + 1)
    cdef char* sums = terms + up(q.rows * width * q.ld * p.size, LINE)
    memset(sums, 0, lines * q.lda * p.size)
    while line < end:
        m = min(q.rows, end - line)
        p.t.gemm.block(m * width, up(q.k, nr), s.k, 1, p.x + (image * s.out[1] + line) * width * s.k * p.size, s.k, 1, 0, 0, p.panels, nr,
                       s.k * nr, 0, terms, q.ld, NULL, PYDL_GEMM_PADDED)
        for j in range(m):
            p.v.add_taps(&p.g, terms + j * width * q.ld * p.size, q.ld, line + j, h0, lines, sums, q.lda)
        line += m
    for j in range(lines):
        memcpy(p.y + (image * s.inp[1] + h0 + j) * s.inp[2] * s.c * p.size, sums + (j * q.lda + s.pad[2] * s.c) * p.size,
               s.inp[2] * s.c * p.size)


cdef struct Team:
    const Job* p
    const Sizes* s
    const Taps* q
    ptrdiff_t n_tasks, threads
    char* work                    # `stride` bytes for each thread
    ptrdiff_t stride


cdef void run_share(const void* job, ptrdiff_t t) noexcept nogil:
    """The tasks of thread t."""
    cdef const Team* team = <const Team*>job
    cdef ptrdiff_t i
    for i in range(team.n_tasks * t // team.threads, team.n_tasks * (t + 1) // team.threads):
        run_task(team.p, team.s, team.q, i, team.work + t * team.stride)


cdef void run_shares(const void* job, int threads) noexcept nogil:
    each_piece(run_share, job, threads, threads)


cdef int add_taps(Job* p, const Sizes* s) except -1:
    """False, and nothing done, if the weights are not finite: zeros around dy times them are no zeros."""
    cdef Taps q
    cdef ptrdiff_t nr = p.t.gemm.nr, width = (s.out[2] - 1) * s.stride[2] + s.taps[2], panel_bytes
    cdef double work_ns
    cdef int threads, d
    cdef Team team
    if s.in_pixels == 0 or s.c == 0 or s.out_pixels == 0 or s.k == 0:
        return True
    forward_geometry(s, &p.g)
    for d in range(3):
        p.weight.taps[d] = s.taps[d]
    p.weight.channels, p.weight.n = s.k, s.c
    q.k = s.n_taps * s.c
    q.ld = up(q.k, nr) + 16
    q.lda = up(max(width, s.pad[2] + s.inp[2]) * s.c + p.t.lanes, 16)
    q.rows = max(<ptrdiff_t>1, min(s.out[1], TERMS_BYTES // (s.out[2] * q.ld * p.size)))
    work_ns = 2.0 * s.out_pixels * s.k * q.k / (TAPS_FLOPS_PER_LANE_NS * p.t.lanes) + <double>s.out_pixels * q.k / p.t.lanes
    threads = threads_for(work_ns)
    q.lines = min(s.inp[1], max(4 * s.taps[1] * s.dilation[1], INPUT_BYTES // (q.lda * p.size)))
    if s.n < threads:
        q.lines = min(q.lines, (s.inp[1] * s.n + threads - 1) // threads)
    q.n_tasks = (s.inp[1] + q.lines - 1) // q.lines
    panel_bytes = up(up(q.k, nr) * s.k * p.size, LINE)
    team.p, team.s, team.q, team.n_tasks, team.threads = p, s, &q, s.n * q.n_tasks, threads
    team.stride = up(q.rows * s.out[2] * q.ld * p.size, LINE) + up(q.lines * q.lda * p.size, LINE) + LINE
    p.panels = <char*>scratch(panel_bytes + team.stride * threads)
    team.work = p.panels + panel_bytes
    p.v.pack_taps(&p.weight, p.w, p.panels)
    if not is_finite(p.panels, up(q.k, nr) * s.k, p.size):
        scratch_free(p.panels, panel_bytes + team.stride * threads)
        return False
    run_team(run_shares, &team, threads, work_ns)
    scratch_free(p.panels, panel_bytes + team.stride * threads)
    return True
