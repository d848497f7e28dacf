# SPDX-License-Identifier: BSD-3-Clause
"""Runs of the kernels that read rows through an index, for the other compiled modules."""

cimport numpy as cnp
from libc.stdint cimport int64_t

from pydl._core.tape cimport TensorBase

cdef extern from "gather_kernels.h" nogil:
    ctypedef struct pydl_gather:
        void (*copy)(const void*, ptrdiff_t, const int64_t*, const int64_t*, ptrdiff_t, ptrdiff_t, const void*, void*,
                     ptrdiff_t) noexcept nogil
        void (*combine)(const void*, ptrdiff_t, const int64_t*, const int64_t*, const void*, ptrdiff_t, ptrdiff_t, void*,
                        ptrdiff_t) noexcept nogil
        void (*order)(const int64_t*, ptrdiff_t, ptrdiff_t, int64_t*, int64_t*) noexcept nogil

cdef enum:
    MAX_AXES = 16

cdef double NS_PER_COPY        # of an element, and of a term of a sum
cdef double NS_PER_TERM

# A run: n_lines lines of y, each m rows of n elements, dense. The line with the coordinates c_0, c_1, ... of the outer axes reads
# x from offset sum_a (tables[a] ? tables[a][c_a] : c_a)·strides[a]; where a table says -1 the whole line is filled.
cdef struct Lines:
    const pydl_gather* k
    const char* x
    char* y
    ptrdiff_t itemsize
    int n_outer
    ptrdiff_t sizes[MAX_AXES]
    ptrdiff_t strides[MAX_AXES]
    const int64_t* tables[MAX_AXES]
    ptrdiff_t n_lines, m, n, ldx
    ptrdiff_t rows_in_part, parts, per_piece  # each line is cut into parts, of which a thread takes per_piece at a time
    const int64_t* index                      # of the rows of x in a line
    const int64_t* runs                       # how many rows from each on follow each other; NULL where they are too short
    const int64_t* outside                    # m times -1, and the runs of that
    const int64_t* outside_runs
    const char* fill
    const int64_t* start                      # not NULL: combine, not copy
    const char* weight                        # may be NULL

cdef int start_lines(Lines* p, TensorBase x, str name) except -1      # all but sizes, strides, tables and y
cdef void add_outer(Lines* p, ptrdiff_t size, ptrdiff_t stride, const int64_t* values) noexcept
cdef int run_lines(Lines* p, double ns_per_element) except -1         # cuts, threads, runs; y must have elements
cdef ptrdiff_t product(const ptrdiff_t* sizes, int n) noexcept
# (start, index, weight or None) over an axis of `size` elements: checked, and entered
cdef int sums_of(Lines* p, TensorBase x, tuple sums, ptrdiff_t size, str name) except -1

cdef bint keeps_channels_last(TensorBase x) noexcept                  # memory in the order N, spatial, C and not in C order too
cdef TensorBase result(TensorBase x, bint last, int ndim, const cnp.npy_intp* shape)     # of x's type; last: channels-last
