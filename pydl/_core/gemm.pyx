# SPDX-License-Identifier: BSD-3-Clause
"""Matrix product: chooses a path, cuts the product into cache blocks and threads. All arithmetic is in csrc/brgemm.h and gemv.h.

Paths (which one depends on shapes, strides, dtype and ISA only):
  direct    B is read where it lies: rows contiguous and B small, or few rows in A
  pack_b    B packed into panels, A read with its strides
  pack_ab   both packed: A too large or too scattered for the caches
  swapped   Cᵀ = Bᵀ·Aᵀ for few rows in A and columns of B contiguous (x·Wᵀ): packs A, never the large B
  dot, sum  vector times matrix, the matrix read once along its contiguous side

Except for dot and sum every path adds the products of one element in the same order, in chunks of k that depend on k only.
"""

cimport cython
from cython.parallel cimport prange
from libc.stddef cimport size_t

import numpy as np

cimport numpy as cnp

from pydl._core.kernels cimport (
    PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED, PYDL_GEMM_RELU, PYDL_U_copy, RELEASE_GIL_NS, enter_kernel, leave_kernel,
    pydl_kernels, table, threads_for, tick, tock)
from pydl._core.storage cimport scratch, scratch_free

cnp.import_array()

cdef enum Path:
    AUTO, DIRECT, PACK_B, PACK_AB, SWAPPED, DOT, SUM

PATHS = {"auto": AUTO, "direct": DIRECT, "pack_b": PACK_B, "pack_ab": PACK_AB, "swapped": SWAPPED, "dot": DOT, "sum": SUM}

cdef enum:
    STACK_BYTES = 16384          # packing space of small products, on the C stack
    DIRECT_BYTES = 16384         # B up to this size is read in place: half of L1
    SWAP_ROWS = 192              # rows of A up to which x·Wᵀ is computed as Cᵀ
    SWAP_K = 65536               # bounds the packed A of the swapped path
    PACK_A_BYTES = 262144        # A from this size on is packed: it leaves L2
    LINE = 64

# FLOPs per nanosecond and vector lane, and bytes per nanosecond, for the choice of threads: about right is enough.
cdef double FLOPS_PER_LANE_NS = 10.0
cdef double BYTES_PER_NS = 30.0

cdef struct Product:
    const pydl_kernels* t
    ptrdiff_t size               # bytes of an element
    ptrdiff_t m, n, k, kc
    const char* a
    ptrdiff_t a_row, a_col
    const char* b
    ptrdiff_t b_row, b_col
    char* c
    ptrdiff_t c_row
    const char* bias
    int flags, path

cdef struct Grid:
    ptrdiff_t rows, cols         # cells
    ptrdiff_t row_unit, col_unit

cdef struct Batch:
    ptrdiff_t n, a, b, c         # items and the bytes from one to the next


cdef inline ptrdiff_t up(ptrdiff_t x, ptrdiff_t unit) noexcept nogil:
    return (x + unit - 1) // unit * unit


cdef inline ptrdiff_t even_block(ptrdiff_t n, ptrdiff_t largest, ptrdiff_t unit) noexcept nogil:
    """The size of nearly equal blocks that cover n, each at most `largest`, in multiples of `unit`."""
    if n <= largest:
        return n
    cdef ptrdiff_t blocks = (n + largest - 1) // largest
    return min(largest, up((n + blocks - 1) // blocks, unit))


cdef inline int chunk_flags(const Product* p, bint first, bint last) noexcept nogil:
    return ((p.flags if first else PYDL_GEMM_ACCUMULATE) & PYDL_GEMM_ACCUMULATE) | (p.flags & PYDL_GEMM_RELU if last else 0)


cdef void run_direct(const Product* p) noexcept nogil:
    cdef ptrdiff_t k0 = 0, kc
    cdef bint last = False
    while not last:
        kc = min(p.kc, p.k - k0)
        last = k0 + kc == p.k
        p.t.gemm_block(p.m, p.n, kc, 1, p.a + k0 * p.a_col * p.size, p.a_row, p.a_col, 0, 0,
                       p.b + k0 * p.b_row * p.size, p.b_row, p.t.gemm_nr, 0, p.c, p.c_row, p.bias if last else NULL,
                       chunk_flags(p, k0 == 0, last))
        k0 += kc


cdef void run_row_blocks(const Product* p, ptrdiff_t j, ptrdiff_t nc, ptrdiff_t k0, ptrdiff_t kc, const char* panels,
                         char* tiles) noexcept nogil:
    """C[:, j:j+nc] += A[:, k0:k0+kc] · packed panels, in blocks of rows that fit L2."""
    cdef ptrdiff_t mr = p.t.gemm_mr, mc = even_block(p.m, p.t.gemm_mc, mr), i = 0, rows
    cdef bint last = k0 + kc == p.k
    cdef int flags = chunk_flags(p, k0 == 0, last) | PYDL_GEMM_PADDED
    cdef const char* a
    cdef const char* bias = p.bias + j * p.size if p.bias != NULL and last else NULL
    while i < p.m:
        rows = min(mc, p.m - i)
        a = p.a + (i * p.a_row + k0 * p.a_col) * p.size
        if p.path == PACK_AB:
            p.t.pack_a(rows, kc, a, p.a_row, p.a_col, tiles)
            p.t.gemm_block(rows, nc, kc, 1, tiles, 1, mr, mr * kc, 0, panels, p.t.gemm_nr, kc * p.t.gemm_nr, 0,
                           p.c + (i * p.c_row + j) * p.size, p.c_row, bias, flags)
        else:
            p.t.gemm_block(rows, nc, kc, 1, a, p.a_row, p.a_col, 0, 0, panels, p.t.gemm_nr, kc * p.t.gemm_nr, 0,
                           p.c + (i * p.c_row + j) * p.size, p.c_row, bias, flags)
        i += rows


cdef void run_packed(const Product* p, char* work) noexcept nogil:
    cdef ptrdiff_t nc_max = even_block(p.n, p.t.gemm_nc, p.t.gemm_nr), j = 0, k0, nc, kc
    cdef char* tiles = work + up(p.kc * up(nc_max, p.t.gemm_nr) * p.size, LINE)
    while j < p.n:
        nc = min(nc_max, p.n - j)
        k0 = 0
        while True:
            kc = min(p.kc, p.k - k0)
            p.t.pack_b(kc, nc, p.b + (k0 * p.b_row + j * p.b_col) * p.size, p.b_row, p.b_col, work)
            run_row_blocks(p, j, nc, k0, kc, work, tiles)
            k0 += kc
            if k0 >= p.k:
                break
        j += nc


cdef void run_swapped(const Product* p, char* work) noexcept nogil:
    """Blocks of rows of Bᵀ times the packed Aᵀ, each stored transposed."""
    cdef ptrdiff_t nr = p.t.gemm_nr, width = up(p.m, nr), nb = even_block(p.n, p.t.gemm_mc, p.t.gemm_mr), j = 0, k0, kc, cols
    cdef char* panels = work + up(nb * width * p.size, LINE)
    for k0 in range(0, p.k, p.kc):
        kc = min(p.kc, p.k - k0)
        p.t.pack_b(kc, p.m, p.a + k0 * p.a_col * p.size, p.a_col, p.a_row, panels + k0 * width * p.size)
    while j < p.n:
        cols = min(nb, p.n - j)
        k0 = 0
        while True:
            kc = min(p.kc, p.k - k0)
            p.t.gemm_block(cols, p.m, kc, 1, p.b + (j * p.b_col + k0 * p.b_row) * p.size, p.b_col, p.b_row, 0, 0,
                           panels + k0 * width * p.size, nr, kc * nr, 0, work, width, NULL,
                           PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 else 0))
            k0 += kc
            if k0 >= p.k:
                break
        p.t.gemm_store_transposed(p.m, cols, work, width, p.c + j * p.size, p.c_row,
                                  p.bias + j * p.size if p.bias != NULL else NULL, p.flags)
        j += cols


cdef void run_vector(const Product* p, char* work) noexcept nogil:
    """n = 1: A times a column; else m = 1: a row times B. `matrix` has one output per `row`."""
    cdef bint column = p.n == 1
    cdef ptrdiff_t outputs = p.m if column else p.n, sy = p.c_row if column else 1, sb = 0 if column else 1
    cdef ptrdiff_t row = p.a_row if column else p.b_col, along = p.a_col if column else p.b_row
    cdef ptrdiff_t sx = p.b_row if column else p.a_col
    cdef const char* matrix = p.a if column else p.b
    cdef const char* x = p.b if column else p.a
    if p.path == SUM:
        p.t.gemv_sum(outputs, p.k, x, sx, matrix, along, p.c, sy, p.bias, sb, p.flags)
        return
    if sx != 1 and p.k > 1:
        p.t.unary[PYDL_U_copy](x, sx, work, 1, p.k)
        x = work
    p.t.gemv_dot(outputs, p.k, matrix, row, x, p.c, sy, p.bias, sb, p.flags)


cdef inline void run(const Product* p, char* work) noexcept nogil:
    if p.path == DIRECT:
        run_direct(p)
    elif p.path == SWAPPED:
        run_swapped(p, work)
    elif p.path == DOT or p.path == SUM:
        run_vector(p, work)
    else:
        run_packed(p, work)


cdef ptrdiff_t work_bytes(const Product* p) noexcept nogil:
    """Packing space for a product (or a cell of it)."""
    cdef ptrdiff_t nr = p.t.gemm_nr, mr = p.t.gemm_mr
    if p.path == DIRECT or p.path == SUM:
        return 0
    if p.path == DOT:
        return p.k * p.size
    if p.path == SWAPPED:
        return up(even_block(p.n, p.t.gemm_mc, mr) * up(p.m, nr) * p.size, LINE) + p.k * up(p.m, nr) * p.size
    cdef ptrdiff_t n_bytes = up(p.kc * up(even_block(p.n, p.t.gemm_nc, nr), nr) * p.size, LINE)
    if p.path == PACK_AB:
        n_bytes += p.kc * up(even_block(p.m, p.t.gemm_mc, mr), mr) * p.size + 16 * p.size
    return n_bytes


cdef int choose(const Product* p) noexcept nogil:
    if p.n == 1 and (p.a_col == 1 or p.k == 1):
        return DOT
    if p.n == 1 and p.a_row == 1:
        return SUM
    if p.m == 1 and p.b_col == 1:
        return SUM
    if p.m == 1 and p.b_row == 1:
        return DOT
    if p.b_col == 1:
        if p.m <= 2 * p.t.gemm_mr or p.n * p.k * p.size <= DIRECT_BYTES or p.n < p.t.gemm_nr:
            return DIRECT
    elif p.b_row == 1 and p.m <= SWAP_ROWS and p.m < p.n and p.k <= SWAP_K:
        return SWAPPED
    if p.m * p.k * p.size > PACK_A_BYTES and p.n > 8 * p.t.gemm_nr:
        return PACK_AB
    return PACK_B


cdef void cut(const Product* p, ptrdiff_t cells, Grid* g) noexcept nogil:
    """The grid of `cells` cells whose largest cell costs least; packing an element costs about as much as 6 products."""
    cdef bint swapped = p.path == SWAPPED
    cdef ptrdiff_t rows, h, w
    cdef double cost, best = -1
    g.row_unit, g.col_unit = (p.t.gemm_nr, p.t.gemm_mr) if swapped else (p.t.gemm_mr, p.t.gemm_nr)
    for rows in range(1, cells + 1):
        if cells % rows:
            continue
        h = min(p.m, up((up(p.m, g.row_unit) // g.row_unit + rows - 1) // rows, 1) * g.row_unit)
        w = min(p.n, up((up(p.n, g.col_unit) // g.col_unit + cells // rows - 1) // (cells // rows), 1) * g.col_unit)
        cost = <double>h * w
        if p.path == PACK_B or p.path == PACK_AB:
            cost += 6.0 * w
        if p.path == PACK_AB or swapped:
            cost += 6.0 * h
        if best < 0 or cost < best:
            best = cost
            g.rows, g.cols = rows, cells // rows


cdef inline ptrdiff_t edge(ptrdiff_t n, ptrdiff_t unit, ptrdiff_t i, ptrdiff_t parts) noexcept nogil:
    return min(n, (n + unit - 1) // unit * i // parts * unit)


cdef Product cell(const Product* p, const Grid* g, ptrdiff_t i) noexcept nogil:
    """Cell i of the grid as a product of its own, on the same path and chunks of k."""
    cdef Product q = p[0]
    cdef ptrdiff_t r = i // g.cols, c = i % g.cols
    cdef ptrdiff_t m0 = edge(p.m, g.row_unit, r, g.rows), n0 = edge(p.n, g.col_unit, c, g.cols)
    q.m = edge(p.m, g.row_unit, r + 1, g.rows) - m0
    q.n = edge(p.n, g.col_unit, c + 1, g.cols) - n0
    q.a += m0 * p.a_row * p.size
    q.b += n0 * p.b_col * p.size
    q.c += (m0 * p.c_row + n0) * p.size
    if q.bias != NULL:
        q.bias += n0 * p.size
    return q
