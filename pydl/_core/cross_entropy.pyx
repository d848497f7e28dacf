# SPDX-License-Identifier: BSD-3-Clause
"""Cross-entropy of rows of logits with numbers of classes: check, forward and backward side by side.

Rows are cut among the threads in blocks whose size depends on the shape alone; a row is never split.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np
cimport numpy as cnp

from pydl._core.arguments cimport tensor_arg
from pydl._core.formats cimport new_like
from pydl._core.kernels cimport pydl_kernels, run_pieces, table
from pydl._core.promote cimport number
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport (
    Node, TensorBase, attach, edge_of, grad_enabled, is_contiguous, is_f64, is_float, new, new_contiguous, requires_grad, unpack,
)

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 16384         # elements that one thread takes at a time, in whole rows

cdef double NS_PER_ELEMENT = 0.8
cdef tuple REDUCTIONS = ("mean", "sum", "none")
cdef object composed_gradient = None


def set_composed_gradient(function) -> None:
    """The gradient made of operations, for where it is recorded: function(dy, x, t, weight, ignore_index, smoothing, reduction, total)."""
    global composed_gradient
    composed_gradient = function


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
    if not is_float(x):
        raise TypeError(f"cross_entropy: compiled for float32 and float64 only, not {x.a.dtype}")
    p.k = table(is_f64(x))
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


cdef double total(const Loss* p, const void* values) noexcept:
    cdef double result = 0
    cdef float result32 = 0
    if p.itemsize == 8:
        p.k.reduce.sum_rows(values, p.rows, 1, p.rows, &result)
        return result
    p.k.reduce.sum_rows(values, p.rows, 1, p.rows, &result32)
    return result32


cdef TensorBase forward(TensorBase x, TensorBase target, TensorBase weight, object ignore_index, double smoothing, str reduction,
                        TensorBase e, TensorBase sums, double* total_weight):
    """The loss. e and sums, unless they are None, are filled for the backward pass."""
    cdef Loss p
    cdef cnp.npy_intp rows
    cdef size_t n_bytes
    cdef char* work
    cdef double value
    cdef TensorBase loss = None
    if not is_contiguous(x):
        x = contiguous_copy(x)
    if not is_contiguous(target):
        target = contiguous_copy(target)
    fill_loss(&p, x, target, weight, ignore_index, smoothing)
    check_targets(&p)
    rows = p.rows
    if reduction == "none":
        loss = new(1, &rows, cnp.PyArray_TYPE(x.a))
    n_bytes = 2 * max(rows, 1) * p.itemsize
    work = <char*>scratch(n_bytes)
    p.loss = cnp.PyArray_BYTES(loss.a) if loss is not None else work
    p.row_weight = work + rows * p.itemsize
    if p.n == 0:                            # every row is ignored
        memset(p.loss, 0, rows * p.itemsize)
        memset(p.row_weight, 0, rows * p.itemsize)
        if sums is not None:
            memset(cnp.PyArray_DATA(sums.a), 0, rows * p.itemsize)
    else:
        if e is not None:
            p.e, p.sum = cnp.PyArray_BYTES(e.a), cnp.PyArray_BYTES(sums.a)
        run_loss(&p)
    total_weight[0] = total(&p, p.row_weight)
    value = total(&p, p.loss) if loss is None else 0
    scratch_free(work, n_bytes)
    if loss is not None:
        return loss
    return number(value / total_weight[0] if reduction == "mean" else value, cnp.PyArray_TYPE(x.a))


cdef TensorBase backward(TensorBase dy, TensorBase exps, TensorBase sums, TensorBase target, TensorBase weight, object ignore_index,
                         double smoothing, str reduction, double total_weight):
    cdef Loss p
    cdef TensorBase dx = new_like(exps), g = dy
    cdef float scale_f32
    cdef double scale
    if not is_contiguous(target):
        target = contiguous_copy(target)
    fill_loss(&p, exps, target, weight, ignore_index, smoothing)
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
    if reduction == "none" and not is_contiguous(dy):
        g = contiguous_copy(dy)
    p.g = cnp.PyArray_BYTES(g.a)
    p.g_stride = 1 if reduction == "none" else 0
    if reduction == "mean":
        scale = ((<const double*>p.g)[0] if p.itemsize == 8 else <double>(<const float*>p.g)[0]) / total_weight
        scale_f32 = <float>scale
        p.g = <const char*>&scale if p.itemsize == 8 else <const char*>&scale_f32
    p.sum = cnp.PyArray_BYTES(sums.a)
    p.dx = cnp.PyArray_BYTES(dx.a)
    run_loss(&p)
    return dx


cdef TensorBase contiguous_copy(TensorBase x):
    cdef TensorBase out = new_contiguous(x)
    np.copyto(out.a, x.a)
    return out


def cross_entropy_fwd(TensorBase x not None, TensorBase target not None, TensorBase weight, object ignore_index,
                      double label_smoothing, str reduction not None, bint save) -> tuple:
    """(loss, exps, sums, total_weight) of logits (N, C) and int64 targets (N,); IndexError before anything is written.

    loss is (N,) for reduction "none", else a scalar; exps (N, C) = e^(x - max) and sums (N,) are for the backward pass, None unless
    `save`; total_weight = sum of the rows' class weights, by which "mean" divides. Nothing is recorded."""
    cdef TensorBase e = None, sums = None, loss
    cdef double total_weight
    if save:
        e, sums = new_contiguous(x), row_sums(x)
    loss = forward(x, target, weight, ignore_index, label_smoothing, reduction, e, sums, &total_weight)
    return loss, e, sums, total_weight


cdef TensorBase row_sums(TensorBase x):
    if cnp.PyArray_NDIM(x.a) != 2:
        raise ShapeError(f"cross_entropy: logits (N, C) are needed, not {(<object>x.a).shape}")
    return new(1, cnp.PyArray_DIMS(x.a), cnp.PyArray_TYPE(x.a))


def cross_entropy_bwd(TensorBase dy not None, TensorBase exps not None, TensorBase sums not None, TensorBase target not None,
                      TensorBase weight, object ignore_index, double label_smoothing, str reduction not None,
                      double total_weight) -> TensorBase:
    """dx (N, C) from what the forward pass gave and the gradient dy of the loss. Nothing is recorded."""
    return backward(dy, exps, sums, target, weight, ignore_index, label_smoothing, reduction, total_weight)


# --- the operation ------------------------------------------------------------------------------------------------

@cython.final
@cython.no_gc
cdef class CrossEntropyNode(Node):
    cdef TensorBase x, target, weight, exps, sums
    cdef unsigned int version_x, version_target, version_weight
    cdef object ignore_index
    cdef str reduction
    cdef double smoothing, total_weight

    cdef object call(self, TensorBase dy):
        cdef TensorBase x = unpack(self.x, self.version_x, None), target = unpack(self.target, self.version_target, None)
        cdef TensorBase weight = unpack(self.weight, self.version_weight, None) if self.weight is not None else None
        if grad_enabled():
            return composed_gradient(dy, x, target, weight, self.ignore_index, self.smoothing, self.reduction, self.total_weight)
        return backward(dy, self.exps, self.sums, target, weight, self.ignore_index, self.smoothing, self.reduction,
                        self.total_weight)

    cdef int release(self) except -1:
        self.x = self.target = self.weight = self.exps = self.sums = None
        self.released = True
        return 0

    def name(self) -> str:
        return "CrossEntropyRowsBackward0"


cdef TensorBase rows_loss(TensorBase x, TensorBase target, TensorBase weight, object ignore_index, double smoothing, str reduction):
    cdef CrossEntropyNode node
    cdef TensorBase loss
    cdef double total_weight
    if not grad_enabled() or not requires_grad(x):
        return forward(x, target, weight, ignore_index, smoothing, reduction, None, None, &total_weight)
    node = CrossEntropyNode.__new__(CrossEntropyNode)
    node.exps, node.sums = new_contiguous(x), row_sums(x)
    loss = forward(x, target, weight, ignore_index, smoothing, reduction, node.exps, node.sums, &node.total_weight)
    node.x, node.target, node.weight = x, target, weight
    node.version_x, node.version_target = x.s.version, target.s.version
    node.version_weight = weight.s.version if weight is not None else 0
    node.ignore_index, node.smoothing, node.reduction = ignore_index, smoothing, reduction
    node.e0 = edge_of(x)
    attach(loss, node)
    return loss


def cross_entropy_rows(x, t, weight, ignore_index, double label_smoothing, str reduction not None):
    """−Σ_c q_c w_c log softmax(x)_c of each row, q = (1 − a) [c = t] + a / C: one fused pass over the logits.

    Shapes: x (N, C), t (N) int64, w (C); a scalar, or (N) for "none".
    Gradient: dx = g ((1 − a) w_t (p − [c = t]) + (a / C) (p Σ w − w_c)) with p = softmax(x).
    Errors: IndexError naming a class outside of [0, C). Source: the core of torch.nn.functional.cross_entropy.

    Example:
        >>> import pydl
        >>> pydl.ops.cross_entropy_rows(pydl.zeros(1, 2), pydl.tensor([1]), None, -100, 0.0, "mean")
        tensor(0.6931)
    """
    return rows_loss(tensor_arg(x, "cross_entropy", "input"), tensor_arg(t, "cross_entropy", "target"),
                     None if weight is None else tensor_arg(weight, "cross_entropy", "weight"), ignore_index, label_smoothing, reduction)


def usual_case(x, t, ignore_index, label_smoothing, reduction) -> TensorBase | None:
    """cross_entropy of logits (N, C) and int64 classes (N,) without weights; None for all else, valid or not."""
    if (not isinstance(x, TensorBase) or not isinstance(t, TensorBase) or not is_float(<TensorBase>x)
            or cnp.PyArray_NDIM((<TensorBase>x).a) != 2 or cnp.PyArray_NDIM((<TensorBase>t).a) != 1
            or cnp.PyArray_TYPE((<TensorBase>t).a) != cnp.NPY_INT64 or reduction not in REDUCTIONS
            or not 0.0 <= label_smoothing <= 1.0):
        return None
    return rows_loss(<TensorBase>x, <TensorBase>t, None, ignore_index, label_smoothing, reduction)
