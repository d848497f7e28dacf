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

from cython.parallel cimport prange
from libc.stdint cimport int64_t


from pydl._core.kernels cimport (
    PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED, PYDL_GEMM_RELU, PYDL_U_copy, RELEASE_GIL_NS, enter_kernel, leave_kernel,
    pydl_kernels, table, threads_for, tick, tock)
from pydl._core.storage cimport scratch, scratch_free

cdef enum Path:
    AUTO, DIRECT, PACK_B, PACK_AB, SWAPPED, DOT, SUM

PATHS = {"auto": AUTO, "direct": DIRECT, "pack_b": PACK_B, "pack_ab": PACK_AB, "swapped": SWAPPED, "dot": DOT, "sum": SUM}

cdef enum:
    SMALL_PRODUCTS = 4096        # up to so many m·n·k nothing is asked about threads and the interpreter lock
    STACK_BYTES = 16384          # packing space of small products, on the C stack
    VECTOR_BYTES = 2048          # a matrix up to this size goes through a tile also for one row
    DIRECT_BYTES = 16384         # B up to this size is read in place: half of L1
    SWAP_ROWS = 192              # rows of A up to which x·Wᵀ is computed as Cᵀ
    SWAP_K = 65536               # bounds the packed A of the swapped path
    FLAT_BYTES = 262144          # chunk of A up to which every panel of B meets all rows: half of a small L2
    FLAT_PANELS = 4              # that many are packed together: B is then read four lines a row
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
    bint flat                    # packed paths: run_flat

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


cdef void run_rows(const Product* p, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j, ptrdiff_t cols, ptrdiff_t k0, ptrdiff_t kc,
                   const char* panels, const char* tiles) noexcept nogil:
    """C[i:i+rows, j:j+cols] += A[i:i+rows, k0:k0+kc] · packed panels; A packed in `tiles` unless that is NULL."""
    cdef ptrdiff_t mr = p.t.gemm_mr, nr = p.t.gemm_nr
    cdef bint last = k0 + kc == p.k
    cdef const char* a = p.a + (i * p.a_row + k0 * p.a_col) * p.size
    p.t.gemm_block(rows, cols, kc, 1, a if tiles == NULL else tiles, p.a_row if tiles == NULL else 1,
                   p.a_col if tiles == NULL else mr, 0 if tiles == NULL else mr * kc, 0, panels, nr, kc * nr, 0,
                   p.c + (i * p.c_row + j) * p.size, p.c_row, p.bias + j * p.size if p.bias != NULL and last else NULL,
                   chunk_flags(p, k0 == 0, last) | PYDL_GEMM_PADDED)


cdef void run_flat(const Product* p, char* work) noexcept nogil:
    """All rows of A stay in L2: few panels of B at a time are packed, used and forgotten."""
    cdef ptrdiff_t group = min(FLAT_PANELS * p.t.gemm_nr, up(p.n, p.t.gemm_nr)), k0 = 0, j, cols, kc
    cdef char* tiles = work + up(p.kc * group * p.size, LINE) if p.path == PACK_AB else NULL
    while True:
        kc = min(p.kc, p.k - k0)
        if tiles != NULL:
            p.t.pack_a(p.m, kc, p.a + k0 * p.a_col * p.size, p.a_row, p.a_col, tiles)
        j = 0
        while j < p.n:
            cols = min(group, p.n - j)
            p.t.pack_b(kc, cols, p.b + (k0 * p.b_row + j * p.b_col) * p.size, p.b_row, p.b_col, work)
            run_rows(p, 0, p.m, j, cols, k0, kc, work, tiles)
            j += cols
        k0 += kc
        if k0 >= p.k:
            return


cdef void run_blocks(const Product* p, char* work) noexcept nogil:
    """Blocks of columns and of k packed for L3, of rows for L2, panels for L1."""
    cdef ptrdiff_t nc_max = even_block(p.n, p.t.gemm_nc, p.t.gemm_nr), mc = even_block(p.m, p.t.gemm_mc, p.t.gemm_mr)
    cdef ptrdiff_t j = 0, k0, i, nc, kc, rows
    cdef char* tiles = work + up(p.kc * up(nc_max, p.t.gemm_nr) * p.size, LINE) if p.path == PACK_AB else NULL
    while j < p.n:
        nc = min(nc_max, p.n - j)
        k0 = 0
        while True:
            kc = min(p.kc, p.k - k0)
            p.t.pack_b(kc, nc, p.b + (k0 * p.b_row + j * p.b_col) * p.size, p.b_row, p.b_col, work)
            i = 0
            while i < p.m:
                rows = min(mc, p.m - i)
                if tiles != NULL:
                    p.t.pack_a(rows, kc, p.a + (i * p.a_row + k0 * p.a_col) * p.size, p.a_row, p.a_col, tiles)
                run_rows(p, i, rows, j, nc, k0, kc, work, tiles)
                i += rows
            k0 += kc
            if k0 >= p.k:
                break
        j += nc


cdef void run_swapped(const Product* p, char* work) noexcept nogil:
    """Blocks of rows of Bᵀ times the packed Aᵀ, each stored transposed."""
    cdef ptrdiff_t nr = p.t.gemm_nr, width = up(p.m, nr), nb = even_block(p.n, p.t.gemm_mc, p.t.gemm_mr), j = 0, k0, kc, cols
    cdef char* panels = work + up(nb * width * p.size, LINE)
    k0 = 0
    while k0 < p.k:
        kc = min(p.kc, p.k - k0)
        p.t.pack_b(kc, p.m, p.a + k0 * p.a_col * p.size, p.a_col, p.a_row, panels + k0 * width * p.size)
        k0 += kc
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
    elif p.flat:
        run_flat(p, work)
    else:
        run_blocks(p, work)


cdef ptrdiff_t work_bytes(const Product* p) noexcept nogil:
    """Packing space that suffices for a product and for every smaller cell of it (blocks of a cell may be larger)."""
    cdef ptrdiff_t nr = p.t.gemm_nr, mr = p.t.gemm_mr, rows, cols
    if p.path == DIRECT or p.path == SUM:
        return 0
    if p.path == DOT:
        return p.k * p.size
    if p.path == SWAPPED:
        return up(min(p.n, p.t.gemm_mc) * up(p.m, nr) * p.size, LINE) + p.k * up(p.m, nr) * p.size
    cols = up(min(p.n, FLAT_PANELS * nr if p.flat else p.t.gemm_nc), nr)
    rows = 0 if p.path == PACK_B else up(p.m if p.flat else min(p.m, p.t.gemm_mc), mr) + 16
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
    g.row_unit = p.t.gemm_nr if swapped else p.t.gemm_mr
    g.col_unit = p.t.gemm_mr if swapped else p.t.gemm_nr
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


cdef void run_jobs(const Product* p, const Batch* batch, const Grid* g, ptrdiff_t lo, ptrdiff_t hi, char* work) noexcept nogil:
    """Jobs lo … hi - 1; job j is cell j % cells of item j // cells."""
    cdef ptrdiff_t cells = g.rows * g.cols, j, item
    cdef Product q
    for j in range(lo, hi):
        q = p[0] if cells == 1 else cell(p, g, j % cells)
        item = j // cells
        q.a += item * batch.a
        q.b += item * batch.b
        q.c += item * batch.c
        run(&q, work)


cdef void run_threads(const Product* p, const Batch* batch, const Grid* g, ptrdiff_t n_jobs, int threads, char* work,
                      ptrdiff_t stride) noexcept nogil:
    cdef int t
    if threads == 1:
        run_jobs(p, batch, g, 0, n_jobs, work)
        return
    for t in prange(threads, num_threads=threads, schedule="static", chunksize=1):
        run_jobs(p, batch, g, n_jobs * t // threads, n_jobs * (t + 1) // threads, work + t * stride)


cdef int run_large(const Product* p, const Batch* batch, int threads, double work_ns) except -1:
    """With scratch memory, threads, and the interpreter lock given up when that pays."""
    cdef Grid g
    cdef Product largest = p[0]
    cdef ptrdiff_t cells = 1 if batch.n >= threads else (threads + batch.n - 1) // batch.n, stride
    cdef char* work = NULL
    cut(p, cells, &g)
    largest.m = min(p.m, up((up(p.m, g.row_unit) // g.row_unit + g.rows - 1) // g.rows, 1) * g.row_unit)
    largest.n = min(p.n, up((up(p.n, g.col_unit) // g.col_unit + g.cols - 1) // g.cols, 1) * g.col_unit)
    stride = up(work_bytes(&largest), 2 * LINE)
    if stride:
        work = <char*>scratch(stride * threads)
    if threads == 1 and work_ns < RELEASE_GIL_NS:
        run_threads(p, batch, &g, batch.n, 1, work, stride)
    else:
        enter_kernel()
        with nogil:
            run_threads(p, batch, &g, batch.n * cells, threads, work, stride)
        leave_kernel()
    if stride:
        scratch_free(work, stride * threads)
    return 0


cdef int product(Product* p, const Batch* batch, int threads) except -1:
    """Fills in what follows from the operands and runs the product."""
    cdef char stack[STACK_BYTES]
    cdef ptrdiff_t chunks
    cdef double products = <double>p.m * p.n * p.k * batch.n, work_ns = 0
    if batch.n <= 0 or p.m <= 0 or p.n <= 0:
        return 0
    if p.n == 1:
        p.b_col = 1
    p.kc = max(p.k, 1)
    if p.k > p.t.gemm_kc:
        chunks = (p.k + p.t.gemm_kc - 1) // p.t.gemm_kc
        p.kc = min(p.t.gemm_kc, up((p.k + chunks - 1) // chunks, 8))
    if p.path == AUTO:
        p.path = choose(p)
    p.flat = p.m * p.kc * p.size <= FLAT_BYTES
    if products > SMALL_PRODUCTS:
        work_ns = (2.0 * products / (FLOPS_PER_LANE_NS * p.t.lanes)
                   + batch.n * (<double>p.m * p.k + <double>p.k * p.n + <double>p.m * p.n) * p.size / BYTES_PER_NS)
    if threads <= 0:
        threads = threads_for(work_ns) if work_ns else 1
    if threads > 1 or work_ns >= RELEASE_GIL_NS or (p.path != DIRECT and work_bytes(p) > STACK_BYTES):
        return run_large(p, batch, threads, work_ns)
    run(p, stack)
    for _i in range(1, batch.n):
        p.a += batch.a
        p.b += batch.b
        p.c += batch.c
        run(p, stack)
    return 0


cdef int gemm(int f64, ptrdiff_t n_batch, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
              const void* a, ptrdiff_t a_batch, ptrdiff_t a_row, ptrdiff_t a_col,
              const void* b, ptrdiff_t b_batch, ptrdiff_t b_row, ptrdiff_t b_col,
              void* c, ptrdiff_t c_batch, ptrdiff_t c_row,
              const void* bias, int relu, int accumulate, int threads) except -1:
    cdef Product p
    cdef Batch batch
    cdef int64_t start = tick()
    p.t = table(f64)
    p.size = 8 if f64 else 4
    p.m, p.n, p.k = m, n, k
    p.a, p.a_row, p.a_col = <const char*>a, a_row, a_col
    p.b, p.b_row, p.b_col = <const char*>b, b_row, b_col
    p.c, p.c_row, p.bias = <char*>c, c_row, <const char*>bias
    p.flags = (PYDL_GEMM_ACCUMULATE if accumulate else 0) | (PYDL_GEMM_RELU if relu else 0)
    p.path = AUTO
    batch.n, batch.a, batch.b, batch.c = n_batch, a_batch * p.size, b_batch * p.size, c_batch * p.size
    product(&p, &batch, threads)
    tock(start)
    return 0


def product_at(bint f64, sizes, a, b, c, size_t bias, int flags, int threads, str path):
    """gemm on a named path, for gemm_array: addresses and strides as numbers that the caller vouches for.

    sizes (n_batch, m, n, k); a and b (address, batch stride in bytes, row stride, column stride); c (address, batch, row).
    """
    cdef Product p
    cdef Batch batch
    cdef size_t address
    p.t = table(f64)
    p.size = 8 if f64 else 4
    batch.n, p.m, p.n, p.k = sizes
    address, batch.a, p.a_row, p.a_col = a
    p.a = <const char*>address
    address, batch.b, p.b_row, p.b_col = b
    p.b = <const char*>address
    address, batch.c, p.c_row = c
    p.c = <char*>address
    p.bias = <const char*>bias
    p.flags = flags & (PYDL_GEMM_ACCUMULATE | PYDL_GEMM_RELU)
    p.path = PATHS[path]
    product(&p, &batch, threads)
