# SPDX-License-Identifier: BSD-3-Clause
"""Sums and means over dimensions, forward and backward.

A long row is cut into chunks of a fixed length whose sums are added in order, so that the bits do not depend on the threads.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.arithmetic cimport with_number
from pydl._core.formats cimport contiguous_memory
from pydl._core.kernels cimport PYDL_B_div, each_piece, pydl_kernels, run_team, table, threads_for
from pydl._core.loops cimport MAX_DIMS, apply_number
from pydl._core.shape cimport expand, reshape, shape_of
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport (
    Node, TensorBase, array_on, attach, edge_of, grad_enabled, is_f64, new, requires_grad, settle, slots, view_on,
)

cnp.import_array()

cdef enum:
    CHUNK = 32768         # elements of a row summed at a time
    COLUMN_BLOCK = 64     # columns that one thread takes at a time

cdef double NS_PER_ELEMENT = 0.15
cdef tuple ALL_DIMS = tuple([tuple(range(n)) for n in range(MAX_DIMS + 1)])


cdef int mark_dims(tuple dims, int ndim, bint* reduced) except -1:
    cdef int d
    cdef Py_ssize_t i
    for d in range(ndim):
        reduced[d] = False
    for i in range(len(dims)):
        d = dims[i]
        if d < 0 or d >= ndim:
            raise IndexError(f"dimension {d} is out of range for {ndim} dimensions")
        reduced[d] = True
    return 0


cdef cnp.ndarray blocks_of(cnp.ndarray a, const bint* reduced, Blocks* blocks):
    """Depends on the shape alone, so that the strides of the input do not change the order of the additions."""
    cdef int d, ndim = cnp.PyArray_NDIM(a), first = ndim, last = -1
    cdef bint together = True
    for d in range(ndim):
        if reduced[d] and cnp.PyArray_DIMS(a)[d] != 1:
            first = min(first, d)
            last = d
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
        return a if cnp.PyArray_IS_C_CONTIGUOUS(a) else np.ascontiguousarray(a)
    return np.ascontiguousarray(np.transpose(a, [d for d in range(ndim) if not reduced[d]] + [d for d in range(ndim) if reduced[d]]))


cdef struct Job:
    const pydl_kernels* k
    Blocks b
    ptrdiff_t itemsize
    const char* x
    char* parts                          # sums of a long row's chunks
    char* out
    ptrdiff_t rows, cols, per_outer      # of a piece: rows, columns; pieces of a block


cdef void row_chunk(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    p.k.reduce.sum_rows(p.x + i * CHUNK * p.itemsize, CHUNK, 1, min(<ptrdiff_t>CHUNK, p.b.n - i * CHUNK), p.parts + i * p.itemsize)


cdef void some_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    cdef ptrdiff_t row = i * p.rows
    p.k.reduce.sum_rows(p.x + row * p.b.n * p.itemsize, p.b.n, min(p.rows, p.b.outer - row), p.b.n, p.out + row * p.itemsize)


cdef void some_columns(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* p = <const Job*>job
    cdef ptrdiff_t outer = i // p.per_outer, first = (i % p.per_outer) * p.cols
    p.k.reduce.sum_cols(p.x + (outer * p.b.n * p.b.inner + first) * p.itemsize, p.b.inner, p.b.n, min(p.cols, p.b.inner - first),
                        p.out + (outer * p.b.inner + first) * p.itemsize)


cdef void sum_blocks(const void* job, int threads) noexcept nogil:
    cdef Job p = (<const Job*>job)[0]
    cdef ptrdiff_t n_chunks = (p.b.n + CHUNK - 1) // CHUNK, i
    if p.b.inner == 1 and p.b.n <= CHUNK:
        p.rows = max(<ptrdiff_t>1, CHUNK // max(p.b.n, <ptrdiff_t>1))
        each_piece(some_rows, &p, (p.b.outer + p.rows - 1) // p.rows, threads)
    elif p.b.inner == 1:
        for i in range(p.b.outer):
            each_piece(row_chunk, &p, n_chunks, threads)
            p.k.reduce.sum_rows(p.parts, n_chunks, 1, n_chunks, p.out + i * p.itemsize)
            p.x += p.b.n * p.itemsize
    else:
        p.cols = p.b.inner if threads == 1 or p.b.outer >= 4 * threads else COLUMN_BLOCK
        p.per_outer = (p.b.inner + p.cols - 1) // p.cols
        each_piece(some_columns, &p, p.b.outer * p.per_outer, threads)


cdef TensorBase raw_sum(TensorBase x, const bint* reduced, bint keepdim):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, n_out = 0
    cdef Job p
    cdef TensorBase out
    cdef cnp.ndarray a
    cdef size_t n_bytes = 0
    cdef double work = <double>cnp.PyArray_SIZE(x.a) * NS_PER_ELEMENT
    for d in range(cnp.PyArray_NDIM(x.a)):
        if not reduced[d]:
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
    a = blocks_of(x.a, reduced, &p.b)
    p.itemsize, p.parts = cnp.PyArray_ITEMSIZE(x.a), NULL
    if p.b.inner == 1 and p.b.n > CHUNK:
        n_bytes = ((p.b.n + CHUNK - 1) // CHUNK) * p.itemsize
        p.parts = <char*>scratch(n_bytes)
    p.k, p.x, p.out = table(is_f64(x)), cnp.PyArray_BYTES(a), cnp.PyArray_BYTES(out.a)
    run_team(sum_blocks, &p, threads_for(work), work)
    if p.parts != NULL:
        scratch_free(p.parts, n_bytes)
    return out


cdef tuple all_dims(int ndim):
    return <tuple>ALL_DIMS[ndim]


cdef TensorBase sum_dims(TensorBase x, tuple dims, bint keepdim, bint mean):
    """Sum or mean over dims (non-negative, distinct) of a floating-point tensor."""
    cdef bint reduced[MAX_DIMS]
    cdef TensorBase out
    cdef SumNode node
    cdef Py_ssize_t n = 1
    cdef int d
    mark_dims(dims, cnp.PyArray_NDIM(x.a), reduced)
    out = raw_sum(x, reduced, keepdim)
    if mean:
        for d in range(cnp.PyArray_NDIM(x.a)):
            if reduced[d]:
                n *= cnp.PyArray_DIMS(x.a)[d]
        apply_number(<void*>table(is_f64(x)).eltwise.binary[PYDL_B_div], out, out, n, False)
    if grad_enabled() and requires_grad(x):
        node = SumNode.__new__(SumNode)
        node.shape = shape_of(x)
        node.dims = dims
        node.n = n
        node.mean = mean
        node.keepdim = keepdim
        node.e0 = edge_of(x)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class SumNode(Node):
    cdef tuple shape, dims     # of the input; the dims that were summed
    cdef Py_ssize_t n
    cdef bint mean, keepdim

    cdef object call(self, TensorBase dy):
        cdef bint reduced[MAX_DIMS]
        cdef cnp.npy_intp shape[MAX_DIMS]
        cdef cnp.npy_intp strides[MAX_DIMS]
        cdef int d, i = 0, ndim = len(self.shape)
        if self.mean:
            dy = with_number(PYDL_B_div, dy, self.n, False)
        if grad_enabled():
            kept = tuple([1 if d in self.dims else self.shape[d] for d in range(ndim)])
            return expand(reshape(dy, kept), self.shape)
        settle(dy)
        mark_dims(self.dims, ndim, reduced)
        for d in range(ndim):
            shape[d] = self.shape[d]
            strides[d] = 0 if reduced[d] else cnp.PyArray_STRIDES(dy.a)[i]
            i += self.keepdim or not reduced[d]
        return view_on(dy, array_on(dy, ndim, shape, strides, cnp.PyArray_BYTES(dy.a)))

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
