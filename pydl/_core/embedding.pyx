# SPDX-License-Identifier: BSD-3-Clause
"""Rows of a table by number, and the sums of rows that are its adjoint. Nothing is recorded.

Numbers are checked before anything is written. Every row of the table adds up its terms in the order of the numbers, on one thread.
"""

from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory
from pydl._core.kernels cimport pydl_kernels, table
from pydl._core.loops cimport MAX_DIMS
from pydl._core.resample cimport Lines, pydl_gather, run_lines, start_lines
from pydl._core.tape cimport TensorBase, adopt, is_float, new

from pydl._core.errors import IndexRangeError, ShapeError

cnp.import_array()

cdef double NS_PER_COPY = 0.3
cdef double NS_PER_TERM = 0.4


cdef cnp.ndarray numbers(TensorBase ids, ptrdiff_t rows, str name):
    """ids as a flat vector of int64, each in [0, rows)."""
    cdef cnp.ndarray flat
    cdef const pydl_kernels* k = table(0)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(ids.a), bad
    cdef int64_t* data
    flat = np.ascontiguousarray(ids.a, np.int64).reshape(-1)
    data = <int64_t*>cnp.PyArray_DATA(flat)
    if rows:
        bad = k.softmax.target_check(data, 1, n, rows, 0)
    else:
        bad = 0 if n else -1
    if bad >= 0:
        place = np.unravel_index(bad, (<object>ids.a).shape) if cnp.PyArray_NDIM(ids.a) else ()
        raise IndexRangeError(f"{name}: index {data[bad]} at position {tuple(int(i) for i in place)} is out of range: "
                              f"the table has {rows} rows")
    return flat


def lookup(TensorBase weight not None, TensorBase ids not None) -> TensorBase:
    """y[…] = weight[ids[…]]: (V, E) and (…) to (…, E)."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, ndim = cnp.PyArray_NDIM(ids.a)
    cdef ptrdiff_t n = cnp.PyArray_SIZE(ids.a)
    cdef TensorBase src, y
    cdef cnp.ndarray flat
    cdef Lines p
    if ndim + 1 > MAX_DIMS or cnp.PyArray_NDIM(weight.a) != 2:
        raise ShapeError(f"embedding: a matrix and at most {MAX_DIMS - 1} dimensions of numbers are needed, not "
                         f"{(<object>weight.a).shape} and {ndim}")
    src, flat = contiguous_memory(weight), numbers(ids, cnp.PyArray_DIMS(weight.a)[0], "embedding")
    if cnp.PyArray_ITEMSIZE(src.a) < 4:            # tables of bytes and bools, which no kernel moves
        return adopt(np.take(src.a, flat, axis=0).reshape((<object>ids.a).shape + (cnp.PyArray_DIMS(weight.a)[1],)))
    start_lines(&p, src, "embedding")
    for d in range(ndim):
        shape[d] = cnp.PyArray_DIMS(ids.a)[d]
    shape[ndim] = cnp.PyArray_DIMS(weight.a)[1]
    y = new(ndim + 1, shape, cnp.PyArray_TYPE(weight.a))
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    p.index = <const int64_t*>cnp.PyArray_DATA(flat)
    p.n_lines, p.m, p.n, p.ldx = 1, n, shape[ndim], shape[ndim]
    p.y = cnp.PyArray_BYTES(y.a)
    run_lines(&p, NS_PER_COPY)
    return y


cdef tuple sorted_numbers(cnp.ndarray flat, ptrdiff_t rows):
    """(start, order): the positions of number v are order[start[v]:start[v + 1]], rising."""
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(flat), n_start = rows + 1
    cdef cnp.ndarray start = cnp.PyArray_EMPTY(1, &n_start, cnp.NPY_INT64, 0), order = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)
    (<const pydl_gather*>table(0).gather).order(<const int64_t*>cnp.PyArray_DATA(flat), n, rows, <int64_t*>cnp.PyArray_DATA(start),
                                                <int64_t*>cnp.PyArray_DATA(order))
    return start, order


def add_rows(TensorBase dy not None, TensorBase ids not None, ptrdiff_t rows, ptrdiff_t skip, bint by_frequency) -> TensorBase:
    """dw[v] = Σ dy[…] over ids[…] = v, divided by their count if `by_frequency`; zeros for v = skip (-1: none).

    (…, E) and (…) to (rows, E)."""
    cdef int ndim = cnp.PyArray_NDIM(ids.a)
    cdef cnp.npy_intp shape[2]
    cdef TensorBase src = contiguous_memory(dy), dw
    cdef cnp.ndarray flat = numbers(ids, rows, "embedding_backward"), start, order, scale
    cdef Lines p
    if not is_float(dy) or cnp.PyArray_NDIM(dy.a) != ndim + 1 or (<object>dy.a).shape[:ndim] != (<object>ids.a).shape:
        raise ShapeError(f"embedding_backward: dy {(<object>dy.a).shape} {dy.a.dtype} does not fit the indices {(<object>ids.a).shape}")
    shape[0], shape[1] = rows, cnp.PyArray_DIMS(dy.a)[ndim]
    start_lines(&p, src, "embedding_backward")
    dw = new(2, shape, cnp.PyArray_TYPE(dy.a))
    if cnp.PyArray_SIZE(dw.a) == 0:
        return dw
    if skip >= 0:
        flat = np.where(flat == skip, rows, flat)      # a row of its own behind the others, which is not summed
    start, order = sorted_numbers(flat, rows + 1)
    if by_frequency:
        counts = np.diff(start)
        scale = np.repeat(1.0 / np.maximum(counts, 1), counts).astype(dy.a.dtype)
        p.weight = cnp.PyArray_BYTES(scale)
    p.start, p.index = <const int64_t*>cnp.PyArray_DATA(start), <const int64_t*>cnp.PyArray_DATA(order)
    p.n_lines, p.m, p.n, p.ldx = 1, rows, shape[1], shape[1]
    p.y = cnp.PyArray_BYTES(dw.a)
    run_lines(&p, NS_PER_TERM * (1 + <double>cnp.PyArray_SIZE(flat) / rows))
    return dw
