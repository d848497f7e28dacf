# SPDX-License-Identifier: BSD-3-Clause
"""Elements moved or summed along the axes of a tensor, by tables: padding and resampling. Nothing is recorded.

Channels-last memory in, channels-last memory out; anything else is read and written in C order. What one thread takes at a time
depends on the shapes alone, and every element is computed by one kernel call: the bits do not depend on the threads.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, is_channels_last, new_channels_last, wants_public
from pydl._core.kernels cimport run_pieces, run_uneven_pieces, table
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_contiguous, is_float, new

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 8192           # elements that one thread takes at a time, in whole rows
    SHORT_RUN = 12         # elements; shorter runs of rows are not worth a copy of their own

cdef double NS_PER_COPY = 0.5
cdef double NS_PER_TERM = 0.4


cdef ptrdiff_t line_offset(const Lines* p, const ptrdiff_t* at) noexcept nogil:
    """Of the line at these coordinates, in elements; -1 for one outside of x."""
    cdef ptrdiff_t offset = 0, c
    cdef int i
    for i in range(p.n_outer):
        c = at[i]
        if p.tables[i] != NULL:
            c = p.tables[i][c]
            if c < 0:
                return -1
        offset = offset + c * p.strides[i]
    return offset


cdef void run_part(const Lines* p, ptrdiff_t line, ptrdiff_t first, ptrdiff_t offset) noexcept nogil:
    """Rows of a line from `first` on, at most rows_in_part."""
    cdef ptrdiff_t m = min(p.rows_in_part, p.m - first)
    cdef const char* x = p.x + max(offset, <ptrdiff_t>0) * p.itemsize
    cdef char* y = p.y + (line * p.m + first) * p.n * p.itemsize
    if p.start != NULL:
        p.k.combine(x, p.ldx, p.start + first, p.index, p.weight, m, p.n, y, p.n)
    elif offset < 0:
        p.k.copy(x, p.n, p.outside, p.outside_runs, m, p.n, p.fill, y, p.n)
    else:
        p.k.copy(x, p.ldx, p.index + first, p.runs + first if p.runs != NULL else NULL, m, p.n, p.fill, y, p.n)


cdef void run_task(const Lines* p, ptrdiff_t unit, ptrdiff_t end) noexcept nogil:
    """Units [unit, end) of all parts of all lines."""
    cdef ptrdiff_t at[MAX_AXES]
    cdef ptrdiff_t line = unit // p.parts, part = unit % p.parts, rest = line
    cdef int i
    for i in range(p.n_outer - 1, -1, -1):
        at[i] = rest % p.sizes[i]
        rest = rest // p.sizes[i]
    while unit < end:
        run_part(p, line, part * p.rows_in_part, line_offset(p, at))
        unit = unit + 1
        part = part + 1
        if part == p.parts:
            part = 0
            line = line + 1
            i = p.n_outer - 1
            while i >= 0:                         # the next line: count up like an odometer
                at[i] = at[i] + 1
                if at[i] < p.sizes[i]:
                    break
                at[i] = 0
                i = i - 1


cdef void run_piece(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Lines* p = <const Lines*>job
    run_task(p, i * p.per_piece, min(p.n_lines * p.parts, (i + 1) * p.per_piece))


cdef ptrdiff_t find_runs(const int64_t* index, ptrdiff_t m, int64_t* runs) noexcept nogil:
    """runs[i]: how many indices from i on rise by one, or are negative; returns how many such runs there are."""
    cdef ptrdiff_t i, n_runs = 0
    for i in range(m - 1, -1, -1):
        runs[i] = 1
        if i + 1 < m and ((index[i] < 0 and index[i + 1] < 0) or (index[i] >= 0 and index[i + 1] == index[i] + 1)):
            runs[i] = runs[i + 1] + 1
        else:
            n_runs += 1
    return n_runs


cdef void prepare_copies(Lines* p, int64_t* room) noexcept nogil:
    """Runs of the index and a line outside of x, in 3 m numbers of room."""
    cdef ptrdiff_t i
    for i in range(p.m):
        room[p.m + i] = -1
        room[2 * p.m + i] = p.m - i
    p.outside, p.outside_runs = room + p.m, room + 2 * p.m
    if p.ldx == p.n and find_runs(p.index, p.m, room) * SHORT_RUN <= p.m * p.n:
        p.runs = room


cdef int run_lines(Lines* p, double ns_per_element) except -1:
    """Cuts, threads, runs; y must have elements."""
    cdef ptrdiff_t n_pieces
    cdef size_t n_bytes = 3 * p.m * sizeof(int64_t)
    cdef double work = <double>p.n_lines * <double>p.m * <double>p.n * ns_per_element + 10.0 * p.n_lines
    cdef int64_t* room = NULL
    p.rows_in_part = min(p.m, max(<ptrdiff_t>1, CHUNK // p.n))
    p.parts = (p.m + p.rows_in_part - 1) // p.rows_in_part
    p.per_piece = max(<ptrdiff_t>1, CHUNK // (p.rows_in_part * p.n))
    n_pieces = (p.n_lines * p.parts + p.per_piece - 1) // p.per_piece
    if p.start == NULL and (p.n_outer > 0 or p.n < SHORT_RUN):
        room = <int64_t*>scratch(n_bytes)
        prepare_copies(p, room)
    if p.start != NULL:                           # sums differ in length
        run_uneven_pieces(run_piece, p, n_pieces, work)
    else:
        run_pieces(run_piece, p, n_pieces, work)
    if room != NULL:
        scratch_free(room, n_bytes)
    return 0


cdef const int64_t* table_of(object values, ptrdiff_t size, int64_t low, str name) except NULL:
    """The data of a one-dimensional contiguous int64 array whose values lie in [low, size)."""
    cdef cnp.ndarray a = values
    cdef const int64_t* data
    cdef ptrdiff_t i
    if cnp.PyArray_NDIM(a) != 1 or cnp.PyArray_TYPE(a) != cnp.NPY_INT64 or not cnp.PyArray_IS_C_CONTIGUOUS(a):
        raise TypeError(f"{name}: tables are contiguous vectors of int64")
    data = <const int64_t*>cnp.PyArray_DATA(a)
    for i in range(cnp.PyArray_SIZE(a)):
        if data[i] < low or data[i] >= size:
            raise IndexError(f"{name}: {data[i]} in a table for {size} rows")
    return data


cdef bint keeps_channels_last(TensorBase x) noexcept:
    """Memory in the order N, spatial, C that is not in C order too."""
    return is_channels_last(x) and not is_contiguous(x)


cdef TensorBase result(TensorBase x, bint last, int ndim, const cnp.npy_intp* shape):
    """A tensor of x's type in the order of x."""
    if last:
        return new_channels_last(ndim, shape, cnp.PyArray_TYPE(x.a), not wants_public(x))
    return new(ndim, shape, cnp.PyArray_TYPE(x.a))


cdef int memory_axis(int axis, int ndim, bint last) noexcept:
    """The dimension that stands at place `axis` of the memory."""
    if not last or axis == 0:
        return axis
    return 1 if axis == ndim - 1 else axis + 1


cdef int start_lines(Lines* p, TensorBase x, str name) except -1:
    cdef int itemsize = cnp.PyArray_ITEMSIZE(x.a)
    if itemsize != 4 and itemsize != 8:
        raise TypeError(f"{name}: elements of 4 or 8 bytes, not {x.a.dtype}")
    p.k = <const pydl_gather*>table(itemsize == 8).gather
    p.x = cnp.PyArray_BYTES(x.a)
    p.itemsize = itemsize
    p.n_outer = 0
    p.index = p.outside = p.outside_runs = p.runs = p.start = NULL
    p.fill = p.weight = NULL
    return 0


cdef void add_outer(Lines* p, ptrdiff_t size, ptrdiff_t stride, const int64_t* values) noexcept:
    p.sizes[p.n_outer] = size
    p.strides[p.n_outer] = stride
    p.tables[p.n_outer] = values
    p.n_outer += 1


cdef ptrdiff_t product(const ptrdiff_t* sizes, int n) noexcept:
    cdef ptrdiff_t total = 1
    cdef int i
    for i in range(n):
        total *= sizes[i]
    return total


# --- copies -------------------------------------------------------------------------------------------------------

def gather_axes(TensorBase x not None, dict tables not None, object value) -> TensorBase:
    """y[i_0, i_1, ...] = x[t_0[i_0], t_1[i_1], ...], `value` where a table has -1; tables: {dim: int64 vector}, others as they are.

    Elements of 4 or 8 bytes."""
    cdef int ndim = cnp.PyArray_NDIM(x.a), a, d, line = -1
    cdef bint last = keeps_channels_last(x)
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef const int64_t* data[MAX_AXES]
    cdef ptrdiff_t strides[MAX_AXES]
    cdef Lines p
    cdef TensorBase src = x if last else contiguous_memory(x), y
    fill = np.full(1, value, x.a.dtype)
    start_lines(&p, src, "gather_axes")
    if not 0 < ndim <= MAX_AXES:
        raise ValueError(f"gather_axes: 1 to {MAX_AXES} dimensions, not {ndim}")
    for d in range(ndim):
        data[d] = table_of(tables[d], cnp.PyArray_DIMS(x.a)[d], -1, "gather_axes") if d in tables else NULL
        shape[d] = len(tables[d]) if d in tables else cnp.PyArray_DIMS(x.a)[d]
    y = result(x, last, ndim, shape)
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    p.n = 1
    for a in range(ndim - 1, -1, -1):             # memory axes, innermost first
        d = memory_axis(a, ndim, last)
        strides[a] = p.n if a == ndim - 1 else strides[a + 1] * cnp.PyArray_DIMS(x.a)[memory_axis(a + 1, ndim, last)]
        if line < 0 and (data[d] != NULL or a == 0):
            line = a
        elif line < 0:
            p.n *= shape[d]
    for a in range(line):
        d = memory_axis(a, ndim, last)
        add_outer(&p, shape[d], strides[a], data[d])
    d = memory_axis(line, ndim, last)
    identity = np.arange(shape[d]) if data[d] == NULL else None
    p.index = data[d] if data[d] != NULL else <const int64_t*>cnp.PyArray_DATA(<cnp.ndarray>identity)
    p.m, p.ldx, p.n_lines = shape[d], strides[line], product(p.sizes, p.n_outer)
    p.fill = cnp.PyArray_BYTES(<cnp.ndarray>fill)
    p.y = cnp.PyArray_BYTES(y.a)
    run_lines(&p, NS_PER_COPY)
    return y


# --- sums ---------------------------------------------------------------------------------------------------------

cdef int sums_of(Lines* p, TensorBase x, tuple sums, ptrdiff_t size, str name) except -1:
    """Checks (start, index, weight or None) for an axis of `size` elements, and enters them."""
    start, index, weight = sums
    cdef const int64_t* at = table_of(start, len(index) + 1, 0, name)
    cdef ptrdiff_t i
    p.index = table_of(index, size, 0, name)
    if len(start) == 0:
        raise ShapeError(f"{name}: the starts of no sums have one element, not none")
    for i in range(len(start) - 1):
        if at[i] > at[i + 1]:
            raise IndexError(f"{name}: the sums of a table must follow each other")
    if weight is not None:
        if not isinstance(weight, np.ndarray) or weight.dtype != x.a.dtype or weight.shape != index.shape or not weight.flags.c_contiguous:
            raise TypeError(f"{name}: weights must be a contiguous vector of {x.a.dtype}, as long as the indices")
        p.weight = cnp.PyArray_BYTES(<cnp.ndarray>weight)
    p.start = at
    p.m = len(start) - 1
    return 0


def combine_axis(TensorBase x not None, int dim, tuple sums not None) -> TensorBase:
    """y[…, i, …] = Σ_t weight[t]·x[…, index[t], …] over start[i] <= t < start[i + 1], along one axis.

    sums: (start, index, weight), vectors; weight may be None: ones. float32 and float64."""
    cdef int ndim = cnp.PyArray_NDIM(x.a), a, d, place = 0
    cdef bint last = keeps_channels_last(x)
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef TensorBase src = x if last else contiguous_memory(x), y
    cdef ptrdiff_t terms
    cdef Lines p
    if len(sums) != 3:
        raise TypeError(f"combine_axis: (start, index, weight) are needed, not {len(sums)} things")
    terms = len(sums[1])
    if not is_float(x) or not 0 <= dim < ndim <= MAX_AXES:
        raise TypeError(f"combine_axis: dim {dim} of a floating-point tensor is needed, not of {x.a.dtype} with {ndim} dimensions")
    start_lines(&p, src, "combine_axis")
    sums_of(&p, x, sums, cnp.PyArray_DIMS(x.a)[dim], "combine_axis")
    for d in range(ndim):
        shape[d] = cnp.PyArray_DIMS(x.a)[d]
        if memory_axis(d, ndim, last) == dim:
            place = d
    shape[dim] = p.m
    y = result(x, last, ndim, shape)
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    p.n_lines = p.n = 1
    for a in range(ndim):
        d = memory_axis(a, ndim, last)
        if a < place:
            p.n_lines *= shape[d]
        elif a > place:
            p.n *= shape[d]
    p.ldx = p.n
    add_outer(&p, p.n_lines, cnp.PyArray_DIMS(x.a)[dim] * p.n, NULL)
    p.y = cnp.PyArray_BYTES(y.a)
    run_lines(&p, NS_PER_TERM * (1 + <double>terms / p.m))
    return y
