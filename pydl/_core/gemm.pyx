# SPDX-License-Identifier: BSD-3-Clause
"""Matrix product: cuts the product into tasks and threads them. The paths that a task can take are in gemm_paths.pyx.

There are several tasks for each thread. A thread works on its own ones, the same in every call, then on what the others have not
begun: cores of a shared machine, or of two kinds, differ in speed for moments and a thread that slept comes late; with one part for
each thread all wait for the slowest. (512³ on a virtual machine whose cores now and then lose a third of their speed, independently
of each other: median 2.4 ms with one part for each of two threads, 2.1 ms with tasks.) Tasks are of two kinds:
  cells     parts of C, each a product of its own on the same path
  strips    columns of C, in blocks of rows; each thread packs A for itself before its first task and a strip of B when it comes to one,
            so that small tasks cost no more packing than large ones
What one thread packs no other reads: where the caches of two cores are far apart, panels packed by all for all made the best time of
512³ a sixth longer.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

from pydl._core.gemm_paths cimport (
    AUTO, DIRECT, DOT, FLAT_BYTES, FLAT_PANELS, LINE, PACK_AB, PACK_B, SUM, SWAPPED, Product, choose, even_block, pack_swapped,
    run, run_rows, run_swapped_cols, swapped_work, up, work_bytes)
from pydl._core.kernels cimport (
    FLOPS_PER_LANE_NS, PYDL_GEMM_ACCUMULATE, PYDL_GEMM_RELU, RELEASE_GIL_NS, each_piece, run_team, table, threads_for, tick, tock,
)
from pydl._core.storage cimport scratch, scratch_free

cdef extern from *:
    """
    /* Whether the caller is the first to take a task. */
    static int pydl_take(char *taken) { return !__atomic_exchange_n(taken, 1, __ATOMIC_RELAXED); }
    """
    bint pydl_take(char* taken) noexcept nogil

PATHS = {"auto": AUTO, "direct": DIRECT, "pack_b": PACK_B, "pack_ab": PACK_AB, "swapped": SWAPPED, "dot": DOT, "sum": SUM}

cdef enum:
    SMALL_PRODUCTS = 4096        # up to so many m·n·k nothing is asked about threads and the interpreter lock
    STACK_BYTES = 16384          # packing space of small products, on the C stack
    TASKS = 8                    # tasks for each thread, where they can be so many
    MOST_TASKS = 128             # unless there are more threads; choosing among more grids takes longer than it brings
    STRIP_BYTES = 4194304        # packed by each thread at a time, if that is more than one chunk of k
    STRIP_ROWS = 2048
    STRIP_COLS = 240             # columns for each thread from which strips pack less than cells

cdef double BYTES_PER_NS = 30.0  # for the choice of threads: about right is enough
cdef double TASK_NS = 8000.0     # no task smaller than this, unless there are as many threads
cdef double STRIP_NS = 80000.0   # work from which packing for each thread pays

cdef struct Grid:
    ptrdiff_t rows, cols         # cells
    ptrdiff_t row_unit, col_unit

cdef struct Batch:
    ptrdiff_t n, a, b, c         # items and the bytes from one to the next

cdef struct Job:                 # what a team of threads works on
    const Product* p
    const Batch* batch           # NULL: strips
    Grid g
    ptrdiff_t n_tasks, threads
    char* taken                  # one byte for each task
    char* work                   # `stride` bytes for each thread
    ptrdiff_t stride, packed     # strips: of these, the first `packed` bytes belong to A
    ptrdiff_t i0, m, block       # strips of packed paths: the rows, in blocks of at most `block` that are tasks of their own
    ptrdiff_t k0, span           # and the part of k that is multiplied


cdef inline ptrdiff_t cell_size(ptrdiff_t n, ptrdiff_t unit, ptrdiff_t parts) noexcept nogil:
    """The size of the largest of `parts` parts."""
    return min(n, ((n + unit - 1) // unit + parts - 1) // parts * unit)


cdef void cut(ptrdiff_t m, ptrdiff_t n, ptrdiff_t items, int threads, ptrdiff_t most, double per_row, double per_col,
              Grid* g) noexcept nogil:
    """The cheapest grid of at most `most` cells for each of `items` products.

    A row and a column of a cell cost as much as per_row and per_col products beside their own (packing an element: about 6).
    The last cell is waited for: half a cell on average.
    """
    cdef ptrdiff_t rows, cols, row_units = (m + g.row_unit - 1) // g.row_unit, col_units = (n + g.col_unit - 1) // g.col_unit
    cdef double h, w, cost, best = -1
    for rows in range(1, min(most, row_units) + 1):
        h = cell_size(m, g.row_unit, rows)
        for cols in range(1, min(most // rows, col_units) + 1):
            w = cell_size(n, g.col_unit, cols)
            cost = ((items * rows * cols + threads - 1) // threads + 0.5) * (h * w + per_col * w + per_row * h)
            if best < 0 or cost < best:
                best = cost
                g.rows, g.cols = rows, cols


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


cdef void prepare(const Job* job, char* work) noexcept nogil:
    """Packs what all strips of a thread read."""
    cdef const Product* p = job.p
    cdef ptrdiff_t rows = even_block(job.m, job.block, p.t.gemm.mr), i, k0 = job.k0, kc
    while k0 < job.k0 + job.span:
        kc = min(p.kc, p.k - k0)
        if p.path == SWAPPED:
            pack_swapped(p, 0, p.m, k0, kc, work)
        elif p.path == PACK_AB:
            i = 0
            while i < job.m:
                p.t.gemm.pack_a(min(rows, job.m - i), kc, p.a + ((job.i0 + i) * p.a_row + k0 * p.a_col) * p.size, p.a_row, p.a_col,
                                work + ((k0 - job.k0) * up(job.m, p.t.gemm.mr) + i * kc) * p.size)
                i += rows
        k0 += kc


cdef void run_strip(const Job* job, ptrdiff_t task, char* work, ptrdiff_t* packed) noexcept nogil:
    """Some rows of a strip; a thread that goes on in the strip it packed last (`packed`) packs nothing."""
    cdef const Product* p = job.p
    cdef const char* tiles = NULL
    cdef char* panels = work + job.packed
    cdef ptrdiff_t i = task // job.g.rows, rows = even_block(job.m, job.block, p.t.gemm.mr), r = task % job.g.rows * rows
    cdef ptrdiff_t col = edge(p.n, job.g.col_unit, i, job.g.cols), cols = edge(p.n, job.g.col_unit, i + 1, job.g.cols) - col
    cdef ptrdiff_t width = up(cols, p.t.gemm.nr), k0 = job.k0, kc
    while k0 < job.k0 + job.span and r < job.m:
        kc = min(p.kc, p.k - k0)
        if packed[0] != i:
            p.t.gemm.pack_b(kc, cols, p.b + (k0 * p.b_row + col * p.b_col) * p.size, p.b_row, p.b_col,
                            panels + (k0 - job.k0) * width * p.size)
        if p.path == PACK_AB:
            tiles = work + ((k0 - job.k0) * up(job.m, p.t.gemm.mr) + r * kc) * p.size
        run_rows(p, job.i0 + r, min(rows, job.m - r), col, cols, k0, kc, panels + (k0 - job.k0) * width * p.size, tiles)
        k0 += kc
    if r < job.m:
        packed[0] = i


cdef void run_share(const void* shared, ptrdiff_t thread) noexcept nogil:
    """The thread's own tasks from the first to the last, then those of the others from the last to the first."""
    cdef const Job* job = <const Job*>shared
    cdef ptrdiff_t threads = job.threads, s
    cdef ptrdiff_t n = job.n_tasks, jobs = job.batch.n * job.g.rows * job.g.cols if job.batch != NULL else 0, lo, hi, i, task
    cdef char* work = job.work + thread * job.stride
    cdef ptrdiff_t packed = -1
    cdef Product q
    cdef bint ready = job.batch != NULL
    for s in range(threads):
        lo, hi = n * ((thread + s) % threads) // threads, n * ((thread + s) % threads + 1) // threads
        for i in range(lo, hi):
            task = i if s == 0 else lo + hi - 1 - i
            if threads > 1 and not pydl_take(job.taken + task):
                continue
            if not ready:
                prepare(job, work)
                ready = True
            if job.batch == NULL and job.p.path == SWAPPED:
                q = cell(job.p, &job.g, task)
                run_swapped_cols(&q, work, work + job.packed)
            elif job.batch == NULL:
                run_strip(job, task, work, &packed)
            else:
                run_jobs(job.p, job.batch, &job.g, jobs * task // n, jobs * (task + 1) // n, work)


cdef void run_shares(const void* job, int threads) noexcept nogil:
    if threads > 1:
        memset((<const Job*>job).taken, 0, (<const Job*>job).n_tasks)
    each_piece(run_share, job, threads, threads)


cdef void run_all_strips(const void* whole, int threads) noexcept nogil:
    """STRIP_ROWS rows and a span of k after the other."""
    cdef Job job = (<const Job*>whole)[0]
    cdef const Product* p = job.p
    cdef ptrdiff_t rows = job.m, span = job.span
    job.i0 = 0
    while job.i0 < p.m:
        job.m = min(rows, p.m - job.i0)
        job.k0 = 0
        while job.k0 < p.k:
            job.span = min(span, p.k - job.k0)
            run_shares(&job, threads)
            job.k0 += job.span
        job.i0 += job.m


cdef int run_strips(const Product* p, int threads, ptrdiff_t most, double work_ns) except -1:
    cdef Job job
    cdef Product largest = p[0]
    cdef bint swapped = p.path == SWAPPED
    cdef ptrdiff_t nr = p.t.gemm.nr, mr = p.t.gemm.mr, mc = p.m, span = p.k, flags
    job.p, job.batch, job.block = p, NULL, p.t.gemm.mc
    if not swapped:
        mc = even_block(p.m, STRIP_ROWS, mr)
    job.g.row_unit, job.g.col_unit = up(p.m, nr * mr), mr if swapped else FLAT_PANELS * nr
    cut(mc, p.n, 1, threads, most, 2, 6, &job.g)
    largest.n = cell_size(p.n, job.g.col_unit, job.g.cols)
    if not swapped:
        span = min(p.k, max(1, STRIP_BYTES // ((mc + largest.n) * p.kc * p.size)) * p.kc)
        job.g.rows = (mc + p.t.gemm.mc - 1) // p.t.gemm.mc
    job.n_tasks = job.g.cols * job.g.rows
    flags = up(job.n_tasks, 2 * LINE)
    if swapped:
        job.packed = up(p.k * up(p.m, nr) * p.size, LINE)
        job.stride = up(job.packed + swapped_work(&largest), 2 * LINE)
    else:
        job.packed = up((span * up(mc, mr) + 16) * p.size, LINE) if p.path == PACK_AB else 0
        job.stride = up(job.packed + span * up(largest.n, nr) * p.size, 2 * LINE)
    job.work = <char*>scratch(flags + job.stride * threads)
    job.taken = job.work + job.stride * threads
    job.m, job.span, job.threads = mc, span, threads
    run_team(run_all_strips, &job, threads, work_ns)
    scratch_free(job.work, flags + job.stride * threads)
    return 0


cdef int run_cells(const Product* p, const Batch* batch, int threads, ptrdiff_t most, double work_ns) except -1:
    cdef Job job
    cdef Product largest = p[0]
    cdef bint swapped = p.path == SWAPPED, packs_a = p.path == PACK_AB or swapped, packs_b = p.path == PACK_AB or p.path == PACK_B
    cdef ptrdiff_t flags
    job.p, job.batch, job.work = p, batch, NULL
    job.g.rows = job.g.cols = 1
    job.g.row_unit, job.g.col_unit = p.t.gemm.nr if swapped else p.t.gemm.mr, p.t.gemm.mr if swapped else p.t.gemm.nr
    if threads > 1 and batch.n < most:
        cut(p.m, p.n, batch.n, threads, (most + batch.n - 1) // batch.n, 6 if packs_a else 0, 6 if packs_b else 0, &job.g)
    largest.m = cell_size(p.m, job.g.row_unit, job.g.rows)
    largest.n = cell_size(p.n, job.g.col_unit, job.g.cols)
    job.stride = up(work_bytes(&largest), 2 * LINE)
    job.n_tasks = batch.n * job.g.rows * job.g.cols
    if job.n_tasks > 4 * most:
        job.n_tasks = most
    flags = up(job.n_tasks, 2 * LINE) if threads > 1 else 0
    if job.stride or flags:
        job.work = <char*>scratch(flags + job.stride * threads)
    job.taken = job.work + job.stride * threads
    job.threads = threads
    run_team(run_shares, &job, threads, work_ns)
    if job.stride or flags:
        scratch_free(job.work, flags + job.stride * threads)
    return 0


cdef int run_large(Product* p, const Batch* batch, int threads, double work_ns) except -1:
    """With scratch memory, threads, and the interpreter lock given up when that pays."""
    cdef double item_ns = work_ns / batch.n
    cdef ptrdiff_t most = max(threads, min(<ptrdiff_t>min(TASKS * threads, MOST_TASKS), <ptrdiff_t>(work_ns / TASK_NS)))
    cdef bint wide = p.n >= STRIP_COLS * threads and (p.path == PACK_AB or (p.path == PACK_B and not p.flat))
    if threads == 1:
        return run_cells(p, batch, 1, 1, work_ns)
    if p.k == 0 or not (wide or p.path == SWAPPED) or item_ns < STRIP_NS or batch.n >= 4 * threads:
        return run_cells(p, batch, threads, threads if p.path == SUM else most, work_ns)
    most = max(threads, min(most, <ptrdiff_t>(item_ns / TASK_NS)))
    for _i in range(batch.n):
        run_strips(p, threads, most, item_ns)
        p.a += batch.a
        p.b += batch.b
        p.c += batch.c
    return 0


cdef int product(Product* p, const Batch* batch, int threads) except -1:
    """Fills in what follows from the operands and runs the product."""
    cdef char stack[STACK_BYTES]
    cdef int64_t start
    cdef ptrdiff_t chunks
    cdef double products = <double>p.m * p.n * p.k * batch.n, work_ns = 0
    if batch.n <= 0 or p.m <= 0 or p.n <= 0:
        return 0
    if p.n == 1:
        p.b_col = 1
    p.kc = max(p.k, 1)
    if p.k > p.t.gemm.kc:
        chunks = (p.k + p.t.gemm.kc - 1) // p.t.gemm.kc
        p.kc = min(p.t.gemm.kc, up((p.k + chunks - 1) // chunks, 8))
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
    start = tick()
    run(p, stack)
    for _i in range(1, batch.n):
        p.a += batch.a
        p.b += batch.b
        p.c += batch.c
        run(p, stack)
    tock(start)
    return 0


cdef int gemm(int f64, ptrdiff_t n_batch, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k,
              const void* a, ptrdiff_t a_batch, ptrdiff_t a_row, ptrdiff_t a_col,
              const void* b, ptrdiff_t b_batch, ptrdiff_t b_row, ptrdiff_t b_col,
              void* c, ptrdiff_t c_batch, ptrdiff_t c_row,
              const void* bias, int relu, int accumulate, int threads) except -1:
    cdef Product p
    cdef Batch batch
    p.t = table(f64)
    p.size = 8 if f64 else 4
    p.m, p.n, p.k = m, n, k
    p.a, p.a_row, p.a_col = <const char*>a, a_row, a_col
    p.b, p.b_row, p.b_col = <const char*>b, b_row, b_col
    p.c, p.c_row, p.bias = <char*>c, c_row, <const char*>bias
    p.flags = (PYDL_GEMM_ACCUMULATE if accumulate else 0) | (PYDL_GEMM_RELU if relu else 0)
    p.path = AUTO
    batch.n, batch.a, batch.b, batch.c = n_batch, a_batch * p.size, b_batch * p.size, c_batch * p.size
    return product(&p, &batch, threads)


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
