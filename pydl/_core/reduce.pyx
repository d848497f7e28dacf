# SPDX-License-Identifier: BSD-3-Clause
"""Largest and smallest elements of floating-point tensors and where they are, over dimensions. Nothing is recorded.

NaN wins and of equal elements the first: neither depends on how the work is cut.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

cimport numpy as cnp

from pydl._core.kernels cimport (
    RELEASE_GIL_NS, enter_kernel, leave_kernel, pydl_extreme_fn, pydl_kernels, table, threads_for, tick, tock,
)
from pydl._core.loops cimport MAX_DIMS
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.sums cimport Blocks, blocks_of
from pydl._core.tape cimport TensorBase, is_f64, is_float, new

cnp.import_array()

cdef enum:
    CHUNK = 32768         # elements of a row, or of several rows, that one thread takes at a time
    COLUMN_BLOCK = 64     # columns that one thread takes at a time

cdef double NS_PER_ELEMENT = 0.2


cdef struct Extreme:
    pydl_extreme_fn* rows
    pydl_extreme_fn* cols
    ptrdiff_t itemsize
    char* values
    int64_t* indices          # NULL: not asked for
    char* part_values         # of the chunks of a long row
    int64_t* part_indices


cdef void long_row(const Extreme* e, const char* row, ptrdiff_t n, char* value, int64_t* index, int threads) noexcept nogil:
    """Extreme elements of the chunks, then the extreme one of these: the first chunk that has it wins."""
    cdef ptrdiff_t n_chunks = (n + CHUNK - 1) // CHUNK, i
    cdef int64_t chunk = 0
    for i in prange(n_chunks, num_threads=threads, schedule="static"):
        e.rows(row + i * CHUNK * e.itemsize, CHUNK, 1, min(<ptrdiff_t>CHUNK, n - i * CHUNK), e.part_values + i * e.itemsize,
               e.part_indices + i)
    e.rows(e.part_values, n_chunks, 1, n_chunks, value, &chunk)
    if index != NULL:
        index[0] = chunk * CHUNK + e.part_indices[chunk]


cdef void run_blocks(const Extreme* e, const char* x, Blocks b, int threads) noexcept nogil:
    cdef ptrdiff_t i, per_outer, cols, first, rows
    cdef int64_t* none = NULL
    if b.inner == 1 and b.n <= CHUNK:
        rows = max(<ptrdiff_t>1, CHUNK // b.n)
        for i in prange((b.outer + rows - 1) // rows, num_threads=threads, schedule="static"):
            e.rows(x + i * rows * b.n * e.itemsize, b.n, min(rows, b.outer - i * rows), b.n, e.values + i * rows * e.itemsize,
                   e.indices + i * rows if e.indices != NULL else none)
        return
    if b.inner == 1:
        for i in range(b.outer):
            long_row(e, x + i * b.n * e.itemsize, b.n, e.values + i * e.itemsize, e.indices + i if e.indices != NULL else none, threads)
        return
    cols = b.inner if threads == 1 or b.outer >= 4 * threads else COLUMN_BLOCK
    per_outer = (b.inner + cols - 1) // cols
    for i in prange(b.outer * per_outer, num_threads=threads, schedule="static"):
        first = (i % per_outer) * cols
        e.cols(x + ((i // per_outer) * b.n * b.inner + first) * e.itemsize, b.inner, b.n, min(cols, b.inner - first),
               e.values + ((i // per_outer) * b.inner + first) * e.itemsize,
               e.indices + (i // per_outer) * b.inner + first if e.indices != NULL else none)


cdef int run(Extreme* e, TensorBase x, tuple dims) except -1:
    """Fills e.values and, unless NULL, e.indices, which have one element for each of x outside of dims; none of dims is empty."""
    cdef Blocks b
    cdef cnp.ndarray a = blocks_of(x.a, dims, &b)
    cdef const char* data = cnp.PyArray_BYTES(a)
    cdef double work = <double>b.outer * <double>b.n * <double>b.inner * NS_PER_ELEMENT
    cdef size_t n_chunks = 0, n_bytes = 0
    cdef char* parts = NULL
    cdef int threads
    cdef int64_t start
    if b.inner == 1 and b.n > CHUNK:
        n_chunks = (b.n + CHUNK - 1) // CHUNK
        n_bytes = n_chunks * (sizeof(int64_t) + e.itemsize)
        parts = <char*>scratch(n_bytes)
        e.part_indices = <int64_t*>parts
        e.part_values = parts + n_chunks * sizeof(int64_t)
    start = tick()
    if work < RELEASE_GIL_NS:
        run_blocks(e, data, b, 1)
    else:
        enter_kernel()
        threads = threads_for(work)
        with nogil:
            run_blocks(e, data, b, threads)
        leave_kernel()
    tock(start)
    if parts != NULL:
        scratch_free(parts, n_bytes)
    return 0


cdef tuple extreme(str name, bint largest, TensorBase x, tuple dims, bint keepdim, bint want_indices):
    """(values, indices or None) over dims: non-negative and distinct."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, n_out = 0
    cdef Extreme e
    cdef const pydl_kernels* k
    cdef TensorBase values, indices = None
    if not is_float(x):
        raise TypeError(f"{name}: compiled for float32 and float64 only, not {x.a.dtype}")
    for d in range(cnp.PyArray_NDIM(x.a)):
        if d not in dims:
            shape[n_out] = cnp.PyArray_DIMS(x.a)[d]
            n_out += 1
        elif keepdim:
            shape[n_out] = 1
            n_out += 1
    values = new(n_out, shape, cnp.PyArray_TYPE(x.a))
    if want_indices:
        indices = new(n_out, shape, cnp.NPY_INT64)
    if cnp.PyArray_SIZE(values.a) == 0:
        return values, indices
    if cnp.PyArray_SIZE(x.a) == 0:
        raise IndexError(f"{name}: x {(<object>x.a).shape} has no elements along dims {dims}")
    k = table(is_f64(x))
    e.rows = k.reduce.max_rows if largest else k.reduce.min_rows
    e.cols = k.reduce.max_cols if largest else k.reduce.min_cols
    e.itemsize = cnp.PyArray_ITEMSIZE(x.a)
    e.values = cnp.PyArray_BYTES(values.a)
    e.indices = <int64_t*>cnp.PyArray_DATA(indices.a) if want_indices else NULL
    run(&e, x, dims)
    return values, indices


def amax(TensorBase x not None, tuple dims not None, bint keepdim) -> TensorBase:
    """The largest elements over dims; NaN if there is one."""
    return extreme("amax", True, x, dims, keepdim, False)[0]


def amin(TensorBase x not None, tuple dims not None, bint keepdim) -> TensorBase:
    """The smallest elements over dims; NaN if there is one."""
    return extreme("amin", False, x, dims, keepdim, False)[0]


def max_along(TensorBase x not None, int dim, bint keepdim) -> tuple:
    """The largest elements along a dimension and their first indices (int64)."""
    return extreme("max", True, x, (dim,) if cnp.PyArray_NDIM(x.a) else (), keepdim, True)


def min_along(TensorBase x not None, int dim, bint keepdim) -> tuple:
    """The smallest elements along a dimension and their first indices (int64)."""
    return extreme("min", False, x, (dim,) if cnp.PyArray_NDIM(x.a) else (), keepdim, True)
