# SPDX-License-Identifier: BSD-3-Clause
"""Loops over arrays of any strides: the place where elementwise work is cut into runs for the kernels and threads."""

cimport numpy as cnp

from pydl._core.tape cimport TensorBase

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
    const double* parameters                  # of a kernel that takes some

cdef int loop_init(Loop* loop, int n_operands, int ndim, const cnp.npy_intp* shape) except -1
cdef void loop_operand(Loop* loop, int i, cnp.ndarray a, int ndim) noexcept
cdef void loop_merge(Loop* loop) noexcept

# The shape that two or three arrays broadcast to; ShapeError naming the operation. Returns the number of dimensions.
cdef int broadcast_shape(str name, tuple arrays, cnp.npy_intp* shape) except -1

# Nanoseconds an element, to decide on threads: kernels bound by memory, and those that compute.
cdef enum:
    PICOSECONDS_PLAIN = 150
    PICOSECONDS_MATH = 500

# out[i] = fn(x[i]) and out[i] = fn(a[i], b[i]), operands broadcast to the shape of out, threaded where that pays.
cdef int apply1(void* fn, TensorBase out, TensorBase x, int picoseconds) except -1
cdef int apply2(void* fn, TensorBase out, TensorBase a, TensorBase b, int picoseconds) except -1
# out[i] = fn(x[i], value), or fn(value, x[i]) if swapped
cdef int apply_number(void* fn, TensorBase out, TensorBase x, double value, bint swapped) except -1
# kernels with parameters (activation_kernels.h), of one input or, unless b is None, two; b may be bytes
cdef int apply_parameters(void* fn, TensorBase out, TensorBase a, TensorBase b, const double* parameters, int picoseconds) except -1
cdef int apply3(void* fn, TensorBase out, TensorBase a, TensorBase b, TensorBase c, int picoseconds) except -1
cdef int apply_clamp(void* fn, TensorBase out, TensorBase x, double lo, double hi) except -1

cdef inline bint same_shape(TensorBase a, TensorBase b) noexcept:
    cdef int d, n = cnp.PyArray_NDIM(a.a)
    if n != cnp.PyArray_NDIM(b.a):
        return False
    for d in range(n):
        if cnp.PyArray_DIMS(a.a)[d] != cnp.PyArray_DIMS(b.a)[d]:
            return False
    return True
