# SPDX-License-Identifier: BSD-3-Clause
"""Largest and smallest elements of floating-point tensors and where they are, over dimensions. Nothing is recorded.

NaN wins and of equal elements the first: neither depends on how the work is cut.
"""

from libc.stdint cimport int64_t

cimport numpy as cnp

from pydl._core.kernels cimport each_piece, pydl_extreme_fn, pydl_kernels, run_team, table, threads_for
from pydl._core.loops cimport MAX_DIMS
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.sums cimport Blocks, blocks_of, mark_dims
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


cdef struct Job:
    const Extreme* e
    Blocks b
    const char* x
    ptrdiff_t rows, cols, per_outer     # of a piece: rows, columns; pieces of a block


cdef void row_chunk(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    cdef const Extreme* e = p.e
    e.rows(p.x + i * CHUNK * e.itemsize, CHUNK, 1, min(<ptrdiff_t>CHUNK, p.b.n - i * CHUNK), e.part_values + i * e.itemsize,
           e.part_indices + i)


cdef void long_row(const Job* p, ptrdiff_t row, int threads) noexcept nogil:
    """Extreme elements of the chunks of p.x, then the extreme one of these: the first chunk that has it wins."""
    cdef const Extreme* e = p.e
    cdef ptrdiff_t n_chunks = (p.b.n + CHUNK - 1) // CHUNK
    cdef int64_t chunk = 0
    each_piece(row_chunk, p, n_chunks, threads)
    e.rows(e.part_values, n_chunks, 1, n_chunks, e.values + row * e.itemsize, &chunk)
    if e.indices != NULL:
        e.indices[row] = chunk * CHUNK + e.part_indices[chunk]


cdef void some_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    cdef const Extreme* e = p.e
    cdef ptrdiff_t row = i * p.rows
    e.rows(p.x + row * p.b.n * e.itemsize, p.b.n, min(p.rows, p.b.outer - row), p.b.n, e.values + row * e.itemsize,
           e.indices + row if e.indices != NULL else NULL)


cdef void some_columns(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    cdef const Extreme* e = p.e
    cdef ptrdiff_t outer = i // p.per_outer, first = (i % p.per_outer) * p.cols, to = outer * p.b.inner + first
    e.cols(p.x + (outer * p.b.n * p.b.inner + first) * e.itemsize, p.b.inner, p.b.n, min(p.cols, p.b.inner - first),
           e.values + to * e.itemsize, e.indices + to if e.indices != NULL else NULL)


cdef void run_blocks(const void* job, int threads) noexcept nogil:
    cdef Job p = (<const Job*>job)[0]
    cdef ptrdiff_t i
    if p.b.inner == 1 and p.b.n <= CHUNK:
        p.rows = max(<ptrdiff_t>1, CHUNK // p.b.n)
        each_piece(some_rows, &p, (p.b.outer + p.rows - 1) // p.rows, threads)
    elif p.b.inner == 1:
        for i in range(p.b.outer):
            long_row(&p, i, threads)
            p.x += p.b.n * p.e.itemsize
    else:
        p.cols = p.b.inner if threads == 1 or p.b.outer >= 4 * threads else COLUMN_BLOCK
        p.per_outer = (p.b.inner + p.cols - 1) // p.cols
        each_piece(some_columns, &p, p.b.outer * p.per_outer, threads)


cdef int run(Extreme* e, TensorBase x, const bint* reduced) except -1:
    """Fills e.values and, unless NULL, e.indices: one element for each of x outside of the reduced dims, none of which is empty."""
    cdef Job p
    cdef cnp.ndarray a = blocks_of(x.a, reduced, &p.b)
    cdef double work = <double>p.b.outer * <double>p.b.n * <double>p.b.inner * NS_PER_ELEMENT
    cdef size_t n_chunks = 0, n_bytes = 0
    cdef char* parts = NULL
    if p.b.inner == 1 and p.b.n > CHUNK:
        n_chunks = (p.b.n + CHUNK - 1) // CHUNK
        n_bytes = n_chunks * (sizeof(int64_t) + e.itemsize)
        parts = <char*>scratch(n_bytes)
        e.part_indices = <int64_t*>parts
        e.part_values = parts + n_chunks * sizeof(int64_t)
    p.e, p.x = e, cnp.PyArray_BYTES(a)
    run_team(run_blocks, &p, threads_for(work), work)
    if parts != NULL:
        scratch_free(parts, n_bytes)
    return 0


cdef tuple extreme(str name, bint largest, TensorBase x, tuple dims, bint keepdim, bint want_indices):
    """(values, indices or None) over dims: non-negative and distinct."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef bint reduced[MAX_DIMS]
    cdef int d, n_out = 0
    cdef Extreme e
    cdef const pydl_kernels* k
    cdef TensorBase values, indices = None
    if not is_float(x):
        raise TypeError(f"{name}: compiled for float32 and float64 only, not {x.a.dtype}")
    mark_dims(dims, cnp.PyArray_NDIM(x.a), reduced)
    for d in range(cnp.PyArray_NDIM(x.a)):
        if not reduced[d]:
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
    run(&e, x, reduced)
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
