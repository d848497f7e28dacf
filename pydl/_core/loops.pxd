# SPDX-License-Identifier: BSD-3-Clause
"""Loops over arrays of any strides: the place where elementwise work is cut into runs for the kernels and threads."""

cimport numpy as cnp

cdef enum:
    MAX_DIMS = 64
    MAX_OPERANDS = 4


# Up to four operands over one shape, dimensions merged where all strides allow; strides in bytes; operand 0 is the output.
cdef struct Loop:
    int n_operands
    int ndim                                  # of the outer dimensions; the innermost run stands apart
    ptrdiff_t shape[MAX_DIMS]
    ptrdiff_t strides[MAX_OPERANDS][MAX_DIMS]
    ptrdiff_t n_runs                          # product of the outer shape
    ptrdiff_t run                             # elements in a run
    ptrdiff_t run_strides[MAX_OPERANDS]
    char* data[MAX_OPERANDS]

cdef int loop_init(Loop* loop, int n_operands, int ndim, const cnp.npy_intp* shape) except -1
cdef void loop_operand(Loop* loop, int i, cnp.ndarray a, int ndim) noexcept
cdef void loop_merge(Loop* loop) noexcept

# The shape that two or three arrays broadcast to; ShapeError naming the operation. Returns the number of dimensions.
cdef int broadcast_shape(str name, tuple arrays, cnp.npy_intp* shape) except -1
