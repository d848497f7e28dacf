# SPDX-License-Identifier: BSD-3-Clause
"""Softmax, log-softmax and cross-entropy of floating-point tensors, forward and backward. Nothing is recorded.

Rows are cut among the threads in blocks whose size depends on the shape alone; a row is never split.
"""

from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport new_like
from pydl._core.kernels cimport pydl_kernels, run_pieces, table
from pydl._core.loops cimport MAX_DIMS
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, new, new_contiguous

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


# --- cross-entropy ------------------------------------------------------------------------------------------------

cdef struct Loss:
    const pydl_kernels* k
    const char* x              # logits, or the saved exponentials in the backward pass
    const int64_t* target
    const void* weight
    int64_t ignore
    double smoothing
    ptrdiff_t rows, n, itemsize, per_piece
    char* loss
    char* row_weight
    char* e                    # NULL: not saved
    char* sum
    const char* g              # gradients of the rows' losses, g_stride apart
    ptrdiff_t g_stride
    char* dx


cdef void loss_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Loss* p = <const Loss*>job
    cdef ptrdiff_t r = i * p.per_piece, m = min(p.per_piece, p.rows - r)
    if p.dx == NULL:
        p.k.softmax.cross_entropy(p.x + r * p.n * p.itemsize, p.n, p.target + r, 1, m, p.n, p.weight, p.ignore, p.smoothing,
                                  p.loss + r * p.itemsize, p.row_weight + r * p.itemsize,
                                  p.e + r * p.n * p.itemsize if p.e != NULL else NULL, p.n,
                                  p.sum + r * p.itemsize if p.sum != NULL else NULL)
    else:
        p.k.softmax.cross_entropy_bwd(p.x + r * p.n * p.itemsize, p.n, p.sum + r * p.itemsize, p.target + r, 1, m, p.n, p.weight,
                                      p.ignore, p.smoothing, p.g + r * p.g_stride * p.itemsize, p.g_stride,
                                      p.dx + r * p.n * p.itemsize, p.n)


cdef void run_loss(Loss* p) noexcept:
    p.per_piece = max(<ptrdiff_t>1, CHUNK // p.n)
    run_pieces(loss_rows, p, (p.rows + p.per_piece - 1) // p.per_piece, <double>p.rows * <double>p.n * NS_PER_ELEMENT)


cdef int fill_loss(Loss* p, TensorBase x, TensorBase target, TensorBase weight, object ignore_index, double smoothing) except -1:
    """What both passes share, checked; x and target contiguous."""
    p.k = kernels_for("cross_entropy", x)
    if cnp.PyArray_NDIM(x.a) != 2 or cnp.PyArray_NDIM(target.a) != 1 or cnp.PyArray_DIMS(x.a)[0] != cnp.PyArray_DIMS(target.a)[0]:
        raise ShapeError(
            f"cross_entropy: logits (N, C) and targets (N,) are needed, not {(<object>x.a).shape} and {(<object>target.a).shape}")
    if cnp.PyArray_TYPE(target.a) != cnp.NPY_INT64:
        raise TypeError(f"cross_entropy: targets must be int64, not {target.a.dtype}")
    p.rows, p.n = cnp.PyArray_DIMS(x.a)[0], cnp.PyArray_DIMS(x.a)[1]
    if weight is not None and (cnp.PyArray_NDIM(weight.a) != 1 or cnp.PyArray_SIZE(weight.a) != p.n
                               or cnp.PyArray_TYPE(weight.a) != cnp.PyArray_TYPE(x.a) or not is_contiguous(weight)):
        raise ShapeError(f"cross_entropy: weight must be contiguous ({p.n},) {x.a.dtype}, not "
                         f"{(<object>weight.a).shape} {weight.a.dtype}")
    p.x = cnp.PyArray_BYTES(x.a)
    p.target = <const int64_t*>cnp.PyArray_DATA(target.a)
    p.weight = cnp.PyArray_DATA(weight.a) if weight is not None else NULL
    p.ignore = ignore_index
    p.smoothing = smoothing
    p.itemsize = cnp.PyArray_ITEMSIZE(x.a)
    p.loss = p.row_weight = p.e = p.sum = p.dx = NULL
    p.g = NULL
    return 0


cdef int check_targets(Loss* p) except -1:
    cdef ptrdiff_t bad = p.k.softmax.target_check(p.target, 1, p.rows, p.n, p.ignore)
    if bad >= 0:
        raise IndexError(f"cross_entropy: Target {p.target[bad]} is out of bounds: position {bad}, {p.n} classes")
    return 0


cdef double total(Loss* p, const void* values) noexcept:
    cdef double result = 0
    cdef float result32 = 0
    if p.itemsize == 8:
        p.k.reduce.sum_rows(values, p.rows, 1, p.rows, &result)
        return result
    p.k.reduce.sum_rows(values, p.rows, 1, p.rows, &result32)
    return result32


cdef TensorBase scalar(double value, int typenum):
    cdef TensorBase t = new(0, NULL, typenum)
    if typenum == cnp.NPY_DOUBLE:
        (<double*>cnp.PyArray_DATA(t.a))[0] = value
    else:
        (<float*>cnp.PyArray_DATA(t.a))[0] = <float>value
    return t


def cross_entropy_fwd(TensorBase x not None, TensorBase target not None, TensorBase weight, object ignore_index,
                      double label_smoothing, str reduction not None, bint save) -> tuple:
    """(loss, exps, sums, total_weight) of logits (N, C) and int64 targets (N,); IndexError before anything is written.

    loss is (N,) for reduction "none", else a scalar; exps (N, C) = e^(x - max) and sums (N,) are for the backward pass, None unless
    `save`; total_weight = sum of the rows' class weights, by which "mean" divides."""
    cdef Loss p
    cdef cnp.npy_intp rows
    cdef int typenum = cnp.PyArray_TYPE(x.a)
    cdef TensorBase loss, row_weight, e = None, sums = None
    cdef double weights
    if not is_contiguous(x):
        x = contiguous_copy(x)
    if not is_contiguous(target):
        target = contiguous_copy(target)
    fill_loss(&p, x, target, weight, ignore_index, label_smoothing)
    check_targets(&p)
    rows = p.rows
    loss = new(1, &rows, typenum)
    row_weight = new(1, &rows, typenum)
    if save:
        e = new_like(x)
        sums = new(1, &rows, typenum)
    if p.n == 0:                            # every row is ignored
        for t in (loss, row_weight, sums):
            if t is not None:
                (<TensorBase>t).a.fill(0)
    else:
        p.loss, p.row_weight = cnp.PyArray_BYTES(loss.a), cnp.PyArray_BYTES(row_weight.a)
        if save:
            p.e, p.sum = cnp.PyArray_BYTES(e.a), cnp.PyArray_BYTES(sums.a)
        run_loss(&p)
    weights = total(&p, cnp.PyArray_DATA(row_weight.a))
    if reduction == "none":
        return loss, e, sums, weights
    if reduction == "sum":
        return scalar(total(&p, cnp.PyArray_DATA(loss.a)), typenum), e, sums, weights
    return scalar(total(&p, cnp.PyArray_DATA(loss.a)) / weights, typenum), e, sums, weights


def cross_entropy_bwd(TensorBase dy not None, TensorBase exps not None, TensorBase sums not None, TensorBase target not None,
                      TensorBase weight, object ignore_index, double label_smoothing, str reduction not None,
                      double total_weight) -> TensorBase:
    """dx (N, C) from what the forward pass gave and the gradient dy of the loss."""
    cdef Loss p
    cdef TensorBase dx = new_like(exps), g = dy
    if not is_contiguous(target):
        target = contiguous_copy(target)
    fill_loss(&p, exps, target, weight, ignore_index, label_smoothing)
    check_targets(&p)                       # they may have been changed since
    if cnp.PyArray_TYPE(dy.a) != cnp.PyArray_TYPE(exps.a):
        raise TypeError(f"cross_entropy: dy is {dy.a.dtype}, the logits are {exps.a.dtype}")
    if (cnp.PyArray_TYPE(sums.a) != cnp.PyArray_TYPE(exps.a) or cnp.PyArray_SIZE(sums.a) != p.rows or not is_contiguous(sums)
            or not is_contiguous(exps)):
        raise ShapeError(
            f"cross_entropy: exps {(<object>exps.a).shape} and sums {(<object>sums.a).shape} are not those of one forward pass"
        )
    if cnp.PyArray_SIZE(dy.a) != (p.rows if reduction == "none" else 1):
        raise ShapeError(f"cross_entropy: dy {(<object>dy.a).shape} does not fit {p.rows} rows with reduction {reduction!r}")
    if cnp.PyArray_SIZE(dx.a) == 0:
        return dx
    if reduction == "mean":
        g = scalar(float(dy.a.item()) / total_weight, cnp.PyArray_TYPE(dy.a))
    elif not is_contiguous(dy):
        g = contiguous_copy(dy)
    p.g = cnp.PyArray_BYTES(g.a)
    p.g_stride = 1 if reduction == "none" else 0
    p.sum = cnp.PyArray_BYTES(sums.a)
    p.dx = cnp.PyArray_BYTES(dx.a)
    run_loss(&p)
    return dx


cdef TensorBase contiguous_copy(TensorBase x):
    cdef TensorBase out = new_contiguous(x)
    np.copyto(out.a, x.a)
    return out
