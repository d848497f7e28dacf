# SPDX-License-Identifier: BSD-3-Clause
"""Products with a matrix that is packed once, as steps of inference plans.

The panels are those of the packed paths of gemm, and so are the bits; a single row takes the rows of the weights as they lie.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.epilogue cimport IN_KERNEL, Epilogue, finish
from pydl._core.gemm_paths cimport Product, even_block, run_rows, up
from pydl._core.kernels cimport (
    FLOPS_PER_LANE_NS, PYDL_GEMM_ACCUMULATE, PYDL_GEMM_RELU, each_piece, run_pieces, run_team, table, threads_for,
)
from pydl._core.plan cimport Step
from pydl._core.plan_steps cimport read_epilogue
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, adopt, new

cnp.import_array()

cdef enum:
    LINE = 64
    PACK_A_BYTES = 262144        # as gemm: A from this size on is packed
    TASKS = 4                    # for each thread
    ROW_OUTPUTS = 64             # that a thread takes at a time of a single row

cdef double BYTES_PER_NS = 30.0


cdef struct Cells:
    ptrdiff_t rows, cols         # of a cell: whole tiles and panels
    ptrdiff_t n_rows, n_cols     # cells
    ptrdiff_t block, stride      # rows of A packed at a time, 0: it is read where it lies; bytes for each thread


cdef void run_cell(const Product* p, const Cells* g, const Epilogue* e, const char* panels, ptrdiff_t i, char* work) noexcept nogil:
    cdef ptrdiff_t row = i // g.n_cols * g.rows, col = i % g.n_cols * g.cols, nr = p.t.gemm.nr, k0, kc, r, some
    cdef ptrdiff_t rows = min(g.rows, p.m - row), cols = min(g.cols, p.n - col), width = up(p.n, nr)
    cdef ptrdiff_t block = g.block if g.block else rows
    cdef const char* tiles = NULL
    k0 = 0
    while True:
        kc = min(p.kc, p.k - k0)
        r = 0
        while r < rows:
            some = min(block, rows - r)
            if g.block:
                p.t.gemm.pack_a(some, kc, p.a + ((row + r) * p.a_row + k0) * p.size, p.a_row, 1, work)
                tiles = work
            run_rows(p, row + r, some, col, cols, k0, kc, panels + (k0 * width + col * kc) * p.size, tiles)
            r += some
        k0 += kc
        if k0 >= p.k:
            break
    if e != NULL:
        finish(e, p.c + (row * p.c_row + col) * p.size, rows, cols, p.c_row, p.size)


cdef struct Work:                # what a team of threads works on
    const Product* p
    const Cells* g
    const Epilogue* e
    const char* panels
    char* work                   # the stride's bytes for each thread
    ptrdiff_t threads


cdef void run_share(const void* job, ptrdiff_t t) noexcept nogil:
    """The cells of thread t."""
    cdef const Work* w = <const Work*>job
    cdef ptrdiff_t i, n = w.g.n_rows * w.g.n_cols
    for i in range(n * t // w.threads, n * (t + 1) // w.threads):
        run_cell(w.p, w.g, w.e, w.panels, i, w.work + t * w.g.stride)


cdef void run_cells(const void* job, int threads) noexcept nogil:
    each_piece(run_share, job, threads, threads)


cdef void cut(const Product* p, int threads, Cells* g) noexcept nogil:
    """One cell for one thread; else columns are cut, and rows where there are too few of them."""
    cdef ptrdiff_t mr = p.t.gemm.mr, nr = p.t.gemm.nr, n_panels = (p.n + nr - 1) // nr, parts = 1, least
    g.rows, g.cols = p.m, p.n
    if threads > 1:
        least = TASKS * threads
        parts = min(least, n_panels)
        g.cols = (n_panels + parts - 1) // parts * nr
        parts = min((least + parts - 1) // parts, (p.m + 4 * mr - 1) // (4 * mr))
        g.rows = min(p.m, up((p.m + parts - 1) // parts, mr))
    g.n_rows, g.n_cols = (p.m + g.rows - 1) // g.rows, (p.n + g.cols - 1) // g.cols
    g.block = even_block(g.rows, p.t.gemm.mc, mr) if p.m * p.k * p.size > PACK_A_BYTES else 0
    g.stride = up((up(g.block, mr) + mr) * (p.kc + 1) * p.size + LINE, 2 * LINE) if g.block else 0


cdef int packed_product(const Product* p, const Epilogue* e, const char* panels) except -1:
    """C = A times the packed matrix."""
    cdef Cells g
    cdef Work w
    cdef double work_ns = 2.0 * p.m * p.n * p.k / (FLOPS_PER_LANE_NS * p.t.lanes)
    cdef int threads
    work_ns += (<double>p.m * p.k + <double>p.k * p.n + <double>p.m * p.n) * p.size / BYTES_PER_NS
    threads = threads_for(work_ns)
    cut(p, threads, &g)
    w.p, w.g, w.e, w.panels, w.work, w.threads = p, &g, e, panels, NULL, threads
    if g.stride:
        w.work = <char*>scratch(g.stride * threads)
    run_team(run_cells, &w, threads, work_ns)
    if g.stride:
        scratch_free(w.work, g.stride * threads)
    return 0


cdef void run_outputs(const void* job, ptrdiff_t i) noexcept nogil:
    """ROW_OUTPUTS outputs of a single row; the weights are `panels`, as they lie."""
    cdef const Work* w = <const Work*>job
    cdef const Product* p = w.p
    cdef ptrdiff_t first = i * ROW_OUTPUTS, n = min(<ptrdiff_t>ROW_OUTPUTS, p.n - first)
    p.t.gemm.gemv_dot(n, p.k, w.panels + first * p.k * p.size, p.k, p.a, p.c + first * p.size, 1,
                      p.bias + first * p.size if p.bias != NULL else NULL, 1, p.flags)
    if w.e != NULL:
        finish(w.e, p.c + first * p.size, 1, n, n, p.size)


cdef void single_row(const Product* p, const Epilogue* e, const char* rows) noexcept:
    """C = A times the transpose of the weights, for one row of A."""
    cdef Work w
    w.p, w.e, w.panels = p, e, rows
    run_pieces(run_outputs, &w, (p.n + ROW_OUTPUTS - 1) // ROW_OUTPUTS, <double>p.n * p.k * p.size / BYTES_PER_NS)


@cython.final
cdef class ProductStep(Step):
    """y = f(x Wᵀ + b + y); y is added where `adds`. x has m rows of k elements, x_row apart; w (n, k) is copied."""
    cdef Py_ssize_t x, y
    cdef TensorBase w, bias       # packed; as it is for a single row
    cdef Product p
    cdef Epilogue e
    cdef bint has_e

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, Py_ssize_t m, Py_ssize_t x_row, w, bias, then, bint adds):
        cdef cnp.ndarray rows = np.array(w, order="C")
        cdef ptrdiff_t k0 = 0, kc, chunks
        cdef cnp.npy_intp n_packed
        cdef Product* p = &self.p
        self.text, self.x, self.y = text, x, y
        p.t = table(rows.dtype.itemsize == 8)
        p.size, p.m, p.n, p.k = cnp.PyArray_ITEMSIZE(rows), m, cnp.PyArray_DIMS(rows)[0], cnp.PyArray_DIMS(rows)[1]
        p.a_row, p.a_col, p.c_row, p.b = x_row, 1, p.n, NULL
        p.kc = max(p.k, 1)
        if p.k > p.t.gemm.kc:
            chunks = (p.k + p.t.gemm.kc - 1) // p.t.gemm.kc
            p.kc = min(p.t.gemm.kc, up((p.k + chunks - 1) // chunks, 8))
        self.bias = None if bias is None else adopt(np.ascontiguousarray(bias, rows.dtype))
        p.bias = NULL if bias is None else cnp.PyArray_BYTES(self.bias.a)
        self.has_e = read_epilogue(&self.e, then, p.size == 8)
        p.flags = (PYDL_GEMM_RELU if self.has_e and self.e.kind == IN_KERNEL else 0) | (PYDL_GEMM_ACCUMULATE if adds else 0)
        if m == 1:
            self.w = adopt(rows)
            return
        n_packed = up(p.n, p.t.gemm.nr) * p.k
        self.w = new(1, &n_packed, cnp.PyArray_TYPE(rows))
        while k0 < p.k:
            kc = min(p.kc, p.k - k0)
            p.t.gemm.pack_b(kc, p.n, cnp.PyArray_BYTES(rows) + k0 * p.size, 1, p.k,
                            cnp.PyArray_BYTES(self.w.a) + k0 * up(p.n, p.t.gemm.nr) * p.size)
            k0 += kc

    cdef int run(self, list tensors) except -1:
        cdef Product p = self.p
        cdef const Epilogue* e = &self.e if self.has_e and self.e.kind != IN_KERNEL else NULL
        if p.m <= 0 or p.n <= 0:
            return 0
        p.a = cnp.PyArray_BYTES((<TensorBase>tensors[self.x]).a)
        p.c = cnp.PyArray_BYTES((<TensorBase>tensors[self.y]).a)
        if p.m == 1:
            single_row(&p, e, cnp.PyArray_BYTES(self.w.a))
        else:
            packed_product(&p, e, cnp.PyArray_BYTES(self.w.a))
        return 0
