# SPDX-License-Identifier: BSD-3-Clause
"""A call of a recurrent layer, for its forward and backward pass."""

cimport cython
from libc.stddef cimport size_t

from pydl._core.recurrent_steps cimport Steps, Walk
from pydl._core.tape cimport TensorBase

cdef enum:
    MAX_BLOCKS = 12              # of scratch in a call


@cython.final
cdef class Call:
    cdef Steps s
    cdef int typenum
    cdef str name
    cdef list owned
    cdef void* blocks[MAX_BLOCKS]
    cdef size_t n_bytes[MAX_BLOCKS]
    cdef int n_blocks
    cdef double row_ns           # what one row of one step costs
    cdef char* room(self, size_t n_bytes) except NULL               # scratch until the end of the call
    cdef char* data(self, TensorBase x) except? NULL                # its memory, or that of a copy in C order; NULL for None
    cdef TensorBase fresh(self, ptrdiff_t rows, ptrdiff_t columns)

# Checks all arguments and fills in what follows from them.
cdef Call start(str name, str cell, TensorBase x, tuple sizes, TensorBase h0, TensorBase c0, TensorBase w_ih, TensorBase w_hh,
                TensorBase b_ih, TensorBase b_hh, TensorBase w_hr, bint reverse)

cdef int matrix(Call c, str what, TensorBase x, ptrdiff_t rows, ptrdiff_t columns, str why) except -1

# A region: steps i0 ... i1 - 1 in the order of the forward pass, whose rows lie together.
cdef ptrdiff_t region_end(Call c, ptrdiff_t i0, double row_ns, ptrdiff_t row_bytes) noexcept
cdef ptrdiff_t first_row(Call c, ptrdiff_t i0, ptrdiff_t i1) noexcept
cdef ptrdiff_t end_row(Call c, ptrdiff_t i0, ptrdiff_t i1) noexcept
cdef int team_of(Call c, double row_ns) noexcept
cdef int run(Call c, Walk what, ptrdiff_t i0, ptrdiff_t i1, int threads, double row_ns) except -1
