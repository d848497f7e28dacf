# SPDX-License-Identifier: BSD-3-Clause
"""Sums and means over dimensions, forward and backward.

A long row is cut into chunks of a fixed length whose sums are added in order, so that the bits do not depend on the threads.
"""

cimport cython
from cython.parallel cimport prange
from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport binary_float
from pydl._core.formats cimport contiguous_memory
from pydl._core.promote cimport number
from pydl._core.kernels cimport (
    PYDL_B_div, RELEASE_GIL_NS, enter_kernel, leave_kernel, pydl_kernels, table, threads_for, tick, tock,
)
from pydl._core.loops cimport MAX_DIMS
from pydl._core.shape cimport expand, reshape, shape_of
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport Node, TensorBase, attach, edge_of, grad_enabled, requires_grad, is_f64, new, slots

cnp.import_array()

cdef enum:
    CHUNK = 32768         # elements of a row summed at a time
    COLUMN_BLOCK = 64     # columns that one thread takes at a time

cdef double NS_PER_ELEMENT = 0.15


cdef cnp.ndarray blocks_of(cnp.ndarray a, tuple dims, Blocks* blocks):
    """Depends on the shape alone, so that the strides of the input do not change the order of the additions."""
    cdef int d, ndim = cnp.PyArray_NDIM(a), first = ndim, last = -1
    cdef bint reduced[MAX_DIMS]
    cdef bint together = True
    for d in range(ndim):
        reduced[d] = False
    for d in dims:
        if d < 0 or d >= ndim:
            raise IndexError(f"dimension {d} is out of range for {ndim} dimensions")
        reduced[d] = True
        if cnp.PyArray_DIMS(a)[d] != 1:
            first = min(first, d)
            last = max(last, d)
    for d in range(first, last + 1):
        together = together and (reduced[d] or cnp.PyArray_DIMS(a)[d] == 1)
    blocks.outer = blocks.n = blocks.inner = 1
    for d in range(ndim):
        if reduced[d]:
            blocks.n *= cnp.PyArray_DIMS(a)[d]
        elif d < first or not together:
            blocks.outer *= cnp.PyArray_DIMS(a)[d]
        else:
            blocks.inner *= cnp.PyArray_DIMS(a)[d]
    if together:
        return np.ascontiguousarray(a)
    return np.ascontiguousarray(np.transpose(a, [d for d in range(ndim) if not reduced[d]] + [d for d in range(ndim) if reduced[d]]))


cdef void sum_long_row(const pydl_kernels* k, const char* row, ptrdiff_t n, ptrdiff_t itemsize, char* parts, char* out,
                       int threads) noexcept nogil:
    cdef ptrdiff_t n_chunks = (n + CHUNK - 1) // CHUNK, i
    for i in prange(n_chunks, num_threads=threads, schedule="static"):
        k.reduce.sum_rows(row + i * CHUNK * itemsize, CHUNK, 1, min(<ptrdiff_t>CHUNK, n - i * CHUNK), parts + i * itemsize)
    k.reduce.sum_rows(parts, n_chunks, 1, n_chunks, out)


cdef void sum_blocks(const pydl_kernels* k, const char* x, Blocks b, ptrdiff_t itemsize, char* parts, char* out,
                     int threads) noexcept nogil:
    cdef ptrdiff_t i, per_outer, cols, first, rows
    if b.inner == 1 and b.n <= CHUNK:
        rows = max(<ptrdiff_t>1, CHUNK // max(b.n, <ptrdiff_t>1))
        for i in prange((b.outer + rows - 1) // rows, num_threads=threads, schedule="static"):
            k.reduce.sum_rows(x + i * rows * b.n * itemsize, b.n, min(rows, b.outer - i * rows), b.n, out + i * rows * itemsize)
        return
    if b.inner == 1:
        for i in range(b.outer):
            sum_long_row(k, x + i * b.n * itemsize, b.n, itemsize, parts, out + i * itemsize, threads)
        return
    cols = b.inner if threads == 1 or b.outer >= 4 * threads else COLUMN_BLOCK
    per_outer = (b.inner + cols - 1) // cols
    for i in prange(b.outer * per_outer, num_threads=threads, schedule="static"):
        first = (i % per_outer) * cols
        k.reduce.sum_cols(x + ((i // per_outer) * b.n * b.inner + first) * itemsize, b.inner, b.n, min(cols, b.inner - first),
                          out + ((i // per_outer) * b.inner + first) * itemsize)


cdef TensorBase raw_sum(TensorBase x, tuple dims, bint keepdim):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, n_out = 0
    cdef Blocks b
    cdef TensorBase out
    cdef cnp.ndarray a
    cdef void* parts = NULL
    cdef size_t n_bytes = 0
    cdef ptrdiff_t itemsize = cnp.PyArray_ITEMSIZE(x.a)
    cdef int threads = 1
    cdef double work = <double>cnp.PyArray_SIZE(x.a) * NS_PER_ELEMENT
    for d in range(cnp.PyArray_NDIM(x.a)):
        if d not in dims:
            shape[n_out] = cnp.PyArray_DIMS(x.a)[d]
            n_out += 1
        elif keepdim:
            shape[n_out] = 1
            n_out += 1
    out = new(n_out, shape, cnp.PyArray_TYPE(x.a))
    if cnp.PyArray_SIZE(out.a) == 0:
        return out
    if cnp.PyArray_SIZE(x.a) == 0:
        out.a.fill(0)
        return out
    if x.own_format:    # sums keep one order whatever the memory's is
        x = contiguous_memory(x)
    a = blocks_of(x.a, dims, &b)
    if b.inner == 1 and b.n > CHUNK:
        n_bytes = ((b.n + CHUNK - 1) // CHUNK) * itemsize
        parts = scratch(n_bytes)
    cdef const pydl_kernels* k = table(is_f64(x))
    cdef const char* data = cnp.PyArray_BYTES(a)
    cdef char* result = cnp.PyArray_BYTES(out.a)
    cdef int64_t start = tick()
    if work < RELEASE_GIL_NS:
        sum_blocks(k, data, b, itemsize, <char*>parts, result, 1)
    else:
        enter_kernel()
        threads = threads_for(work)
        with nogil:
            sum_blocks(k, data, b, itemsize, <char*>parts, result, threads)
        leave_kernel()
    tock(start)
    if parts != NULL:
        scratch_free(parts, n_bytes)
    return out


cdef TensorBase sum_dims(TensorBase x, tuple dims, bint keepdim, bint mean):
    """Sum or mean over dims (non-negative, distinct) of a floating-point tensor."""
    cdef TensorBase out = raw_sum(x, dims, keepdim)
    cdef SumNode node
    cdef Py_ssize_t n = 1
    if mean:
        for d in dims:
            n *= cnp.PyArray_DIMS(x.a)[<int>d]
        if cnp.PyArray_SIZE(out.a):
            out = binary_float(PYDL_B_div, out, number(n, cnp.PyArray_TYPE(out.a)))
    if grad_enabled() and requires_grad(x):
        node = SumNode.__new__(SumNode)
        node.shape = shape_of(x)
        node.kept = tuple([1 if d in dims else size for d, size in enumerate(node.shape)])
        node.n = n
        node.mean = mean
        node.e0 = edge_of(x)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class SumNode(Node):
    cdef tuple shape, kept     # of the input, and with size 1 where it was summed
    cdef Py_ssize_t n
    cdef bint mean

    cdef object call(self, TensorBase dy):
        if self.mean:
            dy = binary_float(PYDL_B_div, dy, number(self.n, cnp.PyArray_TYPE(dy.a)))
        return expand(reshape(dy, self.kept), self.shape)

    def name(self) -> str:
        return "MeanBackward0" if self.mean else "SumBackward0"


cdef TensorBase sum_to(TensorBase g, object shape):
    """g summed over the dimensions along which an operand of that shape was broadcast."""
    cdef tuple have = shape_of(g)
    cdef Py_ssize_t lead = len(have) - len(shape), d
    if have == shape:
        return g
    dims = tuple([d for d in range(len(have)) if d < lead or (shape[d - lead] == 1 and have[d] != 1)])
    g = sum_dims(g, dims, True, False)
    return reshape(g, tuple(shape)) if lead else g


slots.sum_to = sum_to
