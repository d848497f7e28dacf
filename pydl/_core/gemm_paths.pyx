# SPDX-License-Identifier: BSD-3-Clause
"""The paths of the matrix product: what one thread does with a product or a cell of it. All arithmetic is in csrc/brgemm.h and gemv.h.

Paths (which one depends on shapes, strides, dtype and ISA only):
  direct    B is read where it lies: rows contiguous and B small, or few rows in A
  pack_b    B packed into panels, A read with its strides
  pack_ab   both packed: A too large or too scattered for the caches
  swapped   Cᵀ = Bᵀ·Aᵀ for few rows in A and columns of B contiguous (x·Wᵀ): packs A, never the large B
  dot, sum  vector times matrix, the matrix read once along its contiguous side

Except for dot and sum every path adds the products of one element in the same order, in chunks of k that depend on k only.
"""

from pydl._core.kernels cimport (
    PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED, PYDL_GEMM_RELU, PYDL_U_copy)

cdef enum:
    VECTOR_BYTES = 2048          # a matrix up to this size goes through a tile also for one row
    DIRECT_BYTES = 16384         # B up to this size is read in place: half of L1
    SWAP_ROWS = 192              # rows of A up to which x·Wᵀ is computed as Cᵀ
    SWAP_K = 65536               # bounds the packed A of the swapped path
    PACK_A_BYTES = 262144        # A from this size on is packed: it leaves L2


cdef inline int chunk_flags(const Product* p, bint first, bint last) noexcept nogil:
    return ((p.flags if first else PYDL_GEMM_ACCUMULATE) & PYDL_GEMM_ACCUMULATE) | (p.flags & PYDL_GEMM_RELU if last else 0)


cdef void run_direct(const Product* p) noexcept nogil:
    cdef ptrdiff_t k0 = 0, kc
    cdef bint last = False
    while not last:
        kc = min(p.kc, p.k - k0)
        last = k0 + kc == p.k
        p.t.gemm.block(p.m, p.n, kc, 1, p.a + k0 * p.a_col * p.size, p.a_row, p.a_col, 0, 0,
                       p.b + k0 * p.b_row * p.size, p.b_row, p.t.gemm.nr, 0, p.c, p.c_row, p.bias if last else NULL,
                       chunk_flags(p, k0 == 0, last))
        k0 += kc


cdef void run_rows(const Product* p, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j, ptrdiff_t cols, ptrdiff_t k0, ptrdiff_t kc,
                   const char* panels, const char* tiles) noexcept nogil:
    """C[i:i+rows, j:j+cols] += A[i:i+rows, k0:k0+kc] · packed panels; A packed in `tiles` unless that is NULL."""
    cdef ptrdiff_t mr = p.t.gemm.mr, nr = p.t.gemm.nr
    cdef bint last = k0 + kc == p.k
    cdef const char* a = p.a + (i * p.a_row + k0 * p.a_col) * p.size
    p.t.gemm.block(rows, cols, kc, 1, a if tiles == NULL else tiles, p.a_row if tiles == NULL else 1,
                   p.a_col if tiles == NULL else mr, 0 if tiles == NULL else mr * kc, 0, panels, nr, kc * nr, 0,
                   p.c + (i * p.c_row + j) * p.size, p.c_row, p.bias + j * p.size if p.bias != NULL and last else NULL,
                   chunk_flags(p, k0 == 0, last) | PYDL_GEMM_PADDED)


cdef void run_flat(const Product* p, char* work) noexcept nogil:
    """All rows of A stay in L2: few panels of B at a time are packed, used and forgotten."""
    cdef ptrdiff_t group = min(FLAT_PANELS * p.t.gemm.nr, up(p.n, p.t.gemm.nr)), k0 = 0, j, cols, kc
    cdef char* tiles = work + up(p.kc * group * p.size, LINE) if p.path == PACK_AB else NULL
    while True:
        kc = min(p.kc, p.k - k0)
        if tiles != NULL:
            p.t.gemm.pack_a(p.m, kc, p.a + k0 * p.a_col * p.size, p.a_row, p.a_col, tiles)
        j = 0
        while j < p.n:
            cols = min(group, p.n - j)
            p.t.gemm.pack_b(kc, cols, p.b + (k0 * p.b_row + j * p.b_col) * p.size, p.b_row, p.b_col, work)
            run_rows(p, 0, p.m, j, cols, k0, kc, work, tiles)
            j += cols
        k0 += kc
        if k0 >= p.k:
            return


cdef void run_blocks(const Product* p, char* work) noexcept nogil:
    """Blocks of columns and of k packed for L3, of rows for L2, panels for L1."""
    cdef ptrdiff_t nc_max = even_block(p.n, p.t.gemm.nc, p.t.gemm.nr), mc = even_block(p.m, p.t.gemm.mc, p.t.gemm.mr)
    cdef ptrdiff_t j = 0, k0, i, nc, kc, rows
    cdef char* tiles = work + up(p.kc * up(nc_max, p.t.gemm.nr) * p.size, LINE) if p.path == PACK_AB else NULL
    while j < p.n:
        nc = min(nc_max, p.n - j)
        k0 = 0
        while True:
            kc = min(p.kc, p.k - k0)
            p.t.gemm.pack_b(kc, nc, p.b + (k0 * p.b_row + j * p.b_col) * p.size, p.b_row, p.b_col, work)
            i = 0
            while i < p.m:
                rows = min(mc, p.m - i)
                if tiles != NULL:
                    p.t.gemm.pack_a(rows, kc, p.a + (i * p.a_row + k0 * p.a_col) * p.size, p.a_row, p.a_col, tiles)
                run_rows(p, i, rows, j, nc, k0, kc, work, tiles)
                i += rows
            k0 += kc
            if k0 >= p.k:
                break
        j += nc


cdef void pack_swapped(const Product* p, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t k0, ptrdiff_t kc, char* panels) noexcept nogil:
    """Packs rows i … of A in the chunk of k at k0; i is a multiple of the panel's width."""
    p.t.gemm.pack_b(kc, rows, p.a + (i * p.a_row + k0 * p.a_col) * p.size, p.a_col, p.a_row,
                    panels + (k0 * up(p.m, p.t.gemm.nr) + i * kc) * p.size)


cdef void run_swapped_cols(const Product* p, const char* panels, char* work) noexcept nogil:
    """Blocks of rows of Bᵀ times the packed Aᵀ, each stored transposed."""
    cdef ptrdiff_t nr = p.t.gemm.nr, width = up(p.m, nr), nb = even_block(p.n, p.t.gemm.mc, p.t.gemm.mr), j = 0, k0, kc, cols
    while j < p.n:
        cols = min(nb, p.n - j)
        k0 = 0
        while True:
            kc = min(p.kc, p.k - k0)
            p.t.gemm.block(cols, p.m, kc, 1, p.b + (j * p.b_col + k0 * p.b_row) * p.size, p.b_col, p.b_row, 0, 0,
                           panels + k0 * width * p.size, nr, kc * nr, 0, work, width, NULL,
                           PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 else 0))
            k0 += kc
            if k0 >= p.k:
                break
        p.t.gemm.store_transposed(p.m, cols, work, width, p.c + j * p.size, p.c_row,
                                  p.bias + j * p.size if p.bias != NULL else NULL, p.flags)
        j += cols


cdef void run_swapped(const Product* p, char* work) noexcept nogil:
    cdef ptrdiff_t k0 = 0, kc
    cdef char* panels = work + swapped_work(p)
    while k0 < p.k:
        kc = min(p.kc, p.k - k0)
        pack_swapped(p, 0, p.m, k0, kc, panels)
        k0 += kc
    run_swapped_cols(p, panels, work)


cdef void run_vector(const Product* p, char* work) noexcept nogil:
    """n = 1: A times a column; else m = 1: a row times B. `matrix` has one output per `row`."""
    cdef bint column = p.n == 1
    cdef ptrdiff_t outputs = p.m if column else p.n, sy = p.c_row if column else 1, sb = 0 if column else 1
    cdef ptrdiff_t row = p.a_row if column else p.b_col, along = p.a_col if column else p.b_row
    cdef ptrdiff_t sx = p.b_row if column else p.a_col
    cdef const char* matrix = p.a if column else p.b
    cdef const char* x = p.b if column else p.a
    if p.path == SUM:
        p.t.gemm.gemv_sum(outputs, p.k, x, sx, matrix, along, p.c, sy, p.bias, sb, p.flags)
        return
    if sx != 1 and p.k > 1:
        p.t.eltwise.unary[PYDL_U_copy](x, sx, work, 1, p.k)
        x = work
    p.t.gemm.gemv_dot(outputs, p.k, matrix, row, x, p.c, sy, p.bias, sb, p.flags)


cdef void run(const Product* p, char* work) noexcept nogil:
    if p.path == DIRECT:
        run_direct(p)
    elif p.path == SWAPPED:
        run_swapped(p, work)
    elif p.path == DOT or p.path == SUM:
        run_vector(p, work)
    elif p.flat:
        run_flat(p, work)
    else:
        run_blocks(p, work)


cdef ptrdiff_t swapped_work(const Product* p) noexcept nogil:
    """The part of the packing space that run_swapped_cols needs."""
    return up(min(p.n, p.t.gemm.mc) * up(p.m, p.t.gemm.nr) * p.size, LINE)


cdef ptrdiff_t work_bytes(const Product* p) noexcept nogil:
    """Packing space that suffices for a product and for every smaller cell of it (blocks of a cell may be larger)."""
    cdef ptrdiff_t nr = p.t.gemm.nr, mr = p.t.gemm.mr, rows, cols
    if p.path == DIRECT or p.path == SUM:
        return 0
    if p.path == DOT:
        return p.k * p.size
    if p.path == SWAPPED:
        return swapped_work(p) + p.k * up(p.m, nr) * p.size
    cols = up(min(p.n, FLAT_PANELS * nr if p.flat else p.t.gemm.nc), nr)
    rows = 0 if p.path == PACK_B else up(p.m if p.flat else min(p.m, p.t.gemm.mc), mr) + 16
    return up(p.kc * cols * p.size, LINE) + (p.kc + 1) * rows * p.size


cdef int choose(const Product* p) noexcept nogil:
    if p.n == 1 and (p.a_col == 1 or p.k == 1):
        return DOT
    if p.n == 1 and p.a_row == 1:
        return SUM
    if p.m == 1 and p.b_col == 1:
        return SUM if p.n * p.k * p.size > VECTOR_BYTES else DIRECT
    if p.m == 1 and p.b_row == 1:
        return DOT
    if p.b_col == 1:
        if p.m <= 2 * p.t.gemm.mr or p.n * p.k * p.size <= DIRECT_BYTES or p.n < p.t.gemm.nr:
            return DIRECT
    elif p.b_row == 1 and p.m <= SWAP_ROWS and p.m < p.n and p.k <= SWAP_K:
        return SWAPPED
    if p.m * p.k * p.size > PACK_A_BYTES and p.n > 8 * p.t.gemm.nr:
        return PACK_AB
    return PACK_B
