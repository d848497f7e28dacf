# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and log-softmax of floating-point tensors, forward and backward. Nothing is recorded.

Rows are cut among the threads in blocks whose size depends on the shape alone; a row is never split.
"""

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport new_like
from pydl._core.kernels cimport pydl_kernels, run_pieces, table
from pydl._core.loops cimport MAX_DIMS
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, new

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 16384         # elements that one thread takes at a time, in whole rows

cdef double NS_PER_ELEMENT = 0.8

ctypedef void (*fwd_fn)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
ctypedef void (*bwd_fn)(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil


# --- softmax ------------------------------------------------------------------------------------------------------

cdef TensorBase dense(TensorBase x, int dim, cnp.npy_intp* shape):
    """x as contiguous rows along dim, which becomes the last dimension; x itself where it is so already."""
    cdef int ndim = cnp.PyArray_NDIM(x.a), d
    cdef TensorBase out
    moved = x.a if ndim == 0 or dim == ndim - 1 else np.moveaxis(x.a, dim, -1)
    for d in range(ndim):
        shape[d] = cnp.PyArray_DIMS(<cnp.ndarray>moved)[d]
    if moved is x.a and is_contiguous(x):
        return x
    out = new(ndim, shape, cnp.PyArray_TYPE(x.a))
    np.copyto(out.a, moved)
    return out


cdef TensorBase moved_back(TensorBase y, TensorBase like, int dim):
    cdef int ndim = cnp.PyArray_NDIM(y.a)
    cdef TensorBase out
    if ndim == 0 or dim == ndim - 1:
        return y
    out = new_like(like)
    np.copyto(out.a, np.moveaxis(y.a, -1, dim))
    return out


cdef struct Rows:
    fwd_fn forward            # a -> out; NULL: backward, (a, b) -> out; all of contiguous rows
    bwd_fn backward
    const char* a
    const char* b
    char* out
    ptrdiff_t rows, n, itemsize, per_piece


cdef void run_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Rows* p = <const Rows*>job
    cdef ptrdiff_t row = i * p.per_piece, m = min(p.per_piece, p.rows - row), at = row * p.n * p.itemsize
    if p.forward != NULL:
        p.forward(p.a + at, p.n, p.out + at, p.n, m, p.n)
    else:
        p.backward(p.a + at, p.n, p.b + at, p.n, p.out + at, p.n, m, p.n)


cdef TensorBase softmax_any(str name, fwd_fn forward, bwd_fn backward, TensorBase a, TensorBase b, int dim):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int ndim = cnp.PyArray_NDIM(a.a)
    cdef TensorBase x, y = None, out
    cdef ptrdiff_t size = cnp.PyArray_SIZE(a.a)
    cdef Rows p
    if b is not None and (cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a) or (<object>a.a).shape != (<object>b.a).shape):
        raise ShapeError(f"{name}: dy {(<object>a.a).shape} {a.a.dtype} does not match y {(<object>b.a).shape} {b.a.dtype}")
    if dim < 0 or dim >= max(ndim, 1):
        raise IndexError(f"{name}: dim {dim} is out of range for {ndim} dimensions")
    if size == 0:
        return new_like(a)
    p.forward, p.backward, p.itemsize = forward, backward, cnp.PyArray_ITEMSIZE(a.a)
    x = dense(a, dim, shape)
    if b is not None:
        y = dense(b, dim, shape)
        p.b = cnp.PyArray_BYTES(y.a)
    out = new(ndim, shape, cnp.PyArray_TYPE(a.a))
    p.a, p.out = cnp.PyArray_BYTES(x.a), cnp.PyArray_BYTES(out.a)
    p.n = shape[ndim - 1] if ndim else 1
    p.rows, p.per_piece = size // p.n, max(<ptrdiff_t>1, CHUNK // p.n)
    run_pieces(run_rows, &p, (p.rows + p.per_piece - 1) // p.per_piece, size * NS_PER_ELEMENT)
    return moved_back(out, a, dim)


cdef const pydl_kernels* kernels_for(str name, TensorBase x) except NULL:
    if not is_float(x):
        raise TypeError(f"{name}: compiled for float32 and float64 only, not {x.a.dtype}")
    return table(is_f64(x))


def softmax_fwd(TensorBase x not None, int dim) -> TensorBase:
    """y = e^(x - max) / sum along dim (non-negative)."""
    return softmax_any("softmax", <fwd_fn>kernels_for("softmax", x).softmax.rows, NULL, x, None, dim)


def softmax_bwd(TensorBase dy not None, TensorBase y not None, int dim) -> TensorBase:
    """dx = y (dy - sum dy y)."""
    return softmax_any("softmax_bwd", NULL, <bwd_fn>kernels_for("softmax_bwd", dy).softmax.rows_bwd, dy, y, dim)


def log_softmax_fwd(TensorBase x not None, int dim) -> TensorBase:
    """y = x - max - log sum e^(x - max) along dim (non-negative)."""
    return softmax_any("log_softmax", <fwd_fn>kernels_for("log_softmax", x).softmax.log_rows, NULL, x, None, dim)


def log_softmax_bwd(TensorBase dy not None, TensorBase y not None, int dim) -> TensorBase:
    """dx = dy - e^y sum dy."""
    return softmax_any("log_softmax_bwd", NULL, <bwd_fn>kernels_for("log_softmax_bwd", dy).softmax.log_rows_bwd, dy, y, dim)
