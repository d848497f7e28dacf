# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products: matmul of all ranks and linear, check, forward and backward side by side."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.gemm cimport gemm
from pydl._core.loops cimport MAX_DIMS
from pydl._core.recorder cimport begins, ends
from pydl._core.shape cimport reshape, shape_of, swap_last
from pydl._core.sums cimport sum_dims, sum_to
from pydl._core.tape cimport (
    Node, TensorBase, adopt, attach, edge_of, grad_enabled, is_contiguous, is_f64, is_float, requires_grad, new, slots, unpack,
)

from pydl._core.errors import ShapeError

cnp.import_array()


cdef inline ptrdiff_t stride(TensorBase x, int d) noexcept:
    return cnp.PyArray_STRIDES(x.a)[d] // cnp.PyArray_ITEMSIZE(x.a)


cdef inline ptrdiff_t size(TensorBase x, int d) noexcept:
    return cnp.PyArray_DIMS(x.a)[d]


cdef int product2d(TensorBase c, TensorBase a, TensorBase b) except -1:
    """c = a b for matrices of any strides; c is contiguous."""
    return gemm(is_f64(a), 1, size(a, 0), size(b, 1), size(a, 1), cnp.PyArray_DATA(a.a), 0, stride(a, 0), stride(a, 1),
                cnp.PyArray_DATA(b.a), 0, stride(b, 0), stride(b, 1), cnp.PyArray_DATA(c.a), 0, size(b, 1), NULL, 0, 0, 0)


cdef TensorBase new_matrix(ptrdiff_t rows, ptrdiff_t cols, TensorBase like):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = rows, cols
    return new(2, shape, cnp.PyArray_TYPE(like.a))


cdef TensorBase matmul2d(TensorBase a, TensorBase b):
    cdef TensorBase c
    if size(a, 1) != size(b, 0) or cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise_mismatch(a, b)
    c = new_matrix(size(a, 0), size(b, 1), a)
    product2d(c, a, b)
    if grad_enabled() and (requires_grad(a) or requires_grad(b)):
        record(c, a, b)
    return c


cdef TensorBase matmul2d_t(TensorBase a, TensorBase b):
    """A B^T."""
    cdef TensorBase c
    if grad_enabled() or size(a, 1) != size(b, 1) or cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        return matmul2d(a, swap_last(b))
    c = new_matrix(size(a, 0), size(b, 0), a)
    gemm(is_f64(a), 1, size(a, 0), size(b, 0), size(a, 1), cnp.PyArray_DATA(a.a), 0, stride(a, 0), stride(a, 1),
         cnp.PyArray_DATA(b.a), 0, stride(b, 1), stride(b, 0), cnp.PyArray_DATA(c.a), 0, size(b, 0), NULL, 0, 0, 0)
    return c


cdef TensorBase t_matmul2d(TensorBase a, TensorBase b):
    """A^T B."""
    cdef TensorBase c
    if grad_enabled() or size(a, 0) != size(b, 0) or cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        return matmul2d(swap_last(a), b)
    c = new_matrix(size(a, 1), size(b, 1), a)
    gemm(is_f64(a), 1, size(a, 1), size(b, 1), size(a, 0), cnp.PyArray_DATA(a.a), 0, stride(a, 1), stride(a, 0),
         cnp.PyArray_DATA(b.a), 0, stride(b, 0), stride(b, 1), cnp.PyArray_DATA(c.a), 0, size(b, 1), NULL, 0, 0, 0)
    return c


cdef int raise_mismatch(TensorBase a, TensorBase b) except -1:
    if cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise RuntimeError(f"matmul: expected both of the same type, but input is {a.dtype} and other is {b.dtype}")
    raise ShapeError(
        f"matmul: input {shape_of(a)} has {size(a, cnp.PyArray_NDIM(a.a) - 1)} columns but other {shape_of(b)} has "
        f"{size(b, max(cnp.PyArray_NDIM(b.a) - 2, 0))} rows"
    )


cdef int record(TensorBase c, TensorBase a, TensorBase b) except -1:
    cdef MatmulNode node = MatmulNode.__new__(MatmulNode)
    node.e0 = edge_of(a)
    node.e1 = edge_of(b)
    if node.e1 is not None:
        node.a = a
        node.version_a = a.s.version
    if node.e0 is not None:
        node.b = b
        node.version_b = b.s.version
    node.inner = size(a, cnp.PyArray_NDIM(a.a) - 1)
    if cnp.PyArray_NDIM(a.a) > 2 or cnp.PyArray_NDIM(b.a) > 2:
        node.shape_a = shape_of(a)
        node.shape_b = shape_of(b)
    attach(c, node)
    return 0


@cython.final
@cython.no_gc
cdef class MatmulNode(Node):
    """C = A B over the last two dimensions: dA = dC B^T and dB = A^T dC, summed over batches that were broadcast."""
    cdef TensorBase a, b
    cdef unsigned int version_a, version_b
    cdef ptrdiff_t inner            # columns of A
    cdef tuple shape_a, shape_b     # None for two matrices

    cdef object call(self, TensorBase dy):
        cdef TensorBase a, b, da = None, db = None
        if self.e0 is not None:
            b = unpack(self.b, self.version_b, None)
            if self.shape_a is None:
                da = matmul2d_t(dy, matrix_of(b, 0, self.inner))
            else:
                da = sum_to(matmul_batched(dy, swap_last(b)), self.shape_a)
        if self.e1 is not None:
            a = unpack(self.a, self.version_a, None)
            if self.shape_b is None:
                db = t_matmul2d(matrix_of(a, 1, self.inner), dy)
            else:
                db = sum_to(matmul_batched(swap_last(a), dy), self.shape_b)
        return da, db

    cdef int release(self) except -1:
        self.a = None
        self.b = None
        self.released = True
        return 0

    def name(self) -> str:
        return "MmBackward0" if self.shape_a is None else "BmmBackward0"


cdef TensorBase matrix_of(TensorBase x, int d, ptrdiff_t n):
    """A saved matrix whose dimension d has size n: a tensor may have been given other data since."""
    if cnp.PyArray_NDIM(x.a) != 2 or size(x, d) != n:
        raise ShapeError(f"matmul: the saved tensor has the shape {shape_of(x)} by now, but its dimension {d} had {n} elements")
    return x


cdef TensorBase matmul_batched(TensorBase a, TensorBase b):
    """A B over the last two dimensions, the others broadcast; both have at least two dimensions."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int ndim, nd_a = cnp.PyArray_NDIM(a.a), nd_b = cnp.PyArray_NDIM(b.a), d
    cdef TensorBase c
    cdef tuple batch
    if nd_a == 2 and nd_b == 2:
        return matmul2d(a, b)
    if size(a, nd_a - 1) != size(b, nd_b - 2) or cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise_mismatch(a, b)
    if nd_b == 2 and is_contiguous(a):
        return reshape(matmul2d(reshape(a, (-1 if a.a.size else rows_of(a), size(a, nd_a - 1))), b), shape_of(a)[:nd_a - 1] + (size(b, 1),))
    ndim = broadcast_batch(a, b, shape)
    batch = tuple([shape[d] for d in range(ndim)])
    shape[ndim] = size(a, nd_a - 2)
    shape[ndim + 1] = size(b, nd_b - 1)
    c = new(ndim + 2, shape, cnp.PyArray_TYPE(a.a))
    batched_product(c, a, b, batch)
    if grad_enabled() and (requires_grad(a) or requires_grad(b)):
        record(c, a, b)
    return c


cdef Py_ssize_t rows_of(TensorBase a):
    cdef Py_ssize_t n = 1
    cdef int d
    for d in range(cnp.PyArray_NDIM(a.a) - 1):
        n *= size(a, d)
    return n


cdef int broadcast_batch(TensorBase a, TensorBase b, cnp.npy_intp* shape) except -1:
    cdef tuple left = shape_of(a)[:cnp.PyArray_NDIM(a.a) - 2], right = shape_of(b)[:cnp.PyArray_NDIM(b.a) - 2]
    try:
        batch = np.broadcast_shapes(left, right)
    except ValueError:
        raise ShapeError(f"matmul: the batch dimensions of input {shape_of(a)} and other {shape_of(b)} do not broadcast") from None
    if len(batch) + 2 > MAX_DIMS:
        raise ValueError(f"matmul: at most {MAX_DIMS} dimensions are supported")
    for d in range(len(batch)):
        shape[<int>d] = batch[<int>d]
    return len(batch)


cdef bint batch_stride(object x, Py_ssize_t n, ptrdiff_t* step) except -1:
    """Whether the matrices of x, an array with leading dimensions `batch`, lie at even distances; the distance comes out."""
    cdef Py_ssize_t d
    step[0] = 0
    distance = None
    count = 1
    for d in range(n - 1, -1, -1):
        if x.shape[d] == 1:
            continue
        if distance is None:
            distance = x.strides[d]
            count = x.shape[d]
        elif x.strides[d] == distance * count:
            count *= x.shape[d]
        else:
            return False
    step[0] = (distance or 0) // <Py_ssize_t>x.itemsize
    return True


cdef int batched_product(TensorBase c, TensorBase a, TensorBase b, tuple batch) except -1:
    cdef ptrdiff_t step_a, step_b, n_batch = 1
    cdef int last_a = cnp.PyArray_NDIM(a.a) - 1, last_b = cnp.PyArray_NDIM(b.a) - 1
    cdef cnp.ndarray x = np.broadcast_to(a.a, batch + shape_of(a)[last_a - 1:])
    cdef cnp.ndarray y = np.broadcast_to(b.a, batch + shape_of(b)[last_b - 1:])
    for d in batch:
        n_batch *= d
    if not batch_stride(x, len(batch), &step_a):
        x = np.ascontiguousarray(x)
        batch_stride(x, len(batch), &step_a)
    if not batch_stride(y, len(batch), &step_b):
        y = np.ascontiguousarray(y)
        batch_stride(y, len(batch), &step_b)
    cdef cnp.npy_intp* xs = cnp.PyArray_STRIDES(x) + len(batch)
    cdef cnp.npy_intp* ys = cnp.PyArray_STRIDES(y) + len(batch)
    cdef ptrdiff_t itemsize = cnp.PyArray_ITEMSIZE(x)
    gemm(is_f64(a), n_batch, size(a, last_a - 1), size(b, last_b), size(a, last_a),
         cnp.PyArray_DATA(x), step_a, xs[0] // itemsize, xs[1] // itemsize,
         cnp.PyArray_DATA(y), step_b, ys[0] // itemsize, ys[1] // itemsize,
         cnp.PyArray_DATA(c.a), size(a, last_a - 1) * size(b, last_b), size(b, last_b), NULL, 0, 0, 0)
    return 0


cdef TensorBase matmul(TensorBase a, TensorBase b):
    cdef int nd_a = cnp.PyArray_NDIM(a.a), nd_b = cnp.PyArray_NDIM(b.a)
    cdef TensorBase c
    if slots.recording and begins():
        c = matmul(a, b)
        ends("matmul", (a, b), c)
        return c
    if nd_a == 0 or nd_b == 0:
        raise ShapeError(f"matmul: both arguments need at least 1 dimension, but they are {shape_of(a)} and {shape_of(b)}")
    if cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise RuntimeError(f"matmul: expected both of the same type, but input is {a.dtype} and other is {b.dtype}")
    if not is_float(a):
        return integer_matmul(a, b)
    if nd_a == 2 and nd_b == 2:
        return matmul2d(a, b)
    if (nd_b == 1 and size(a, nd_a - 1) != size(b, 0)) or (nd_a == 1 and size(a, 0) != size(b, max(nd_b - 2, 0))):
        raise_mismatch(a, b)
    c = matmul_batched(reshape(a, (1, size(a, 0))) if nd_a == 1 else a, reshape(b, (size(b, 0), 1)) if nd_b == 1 else b)
    if nd_b == 1:
        c = reshape(c, shape_of(c)[:cnp.PyArray_NDIM(c.a) - 1])
    if nd_a == 1:
        shape = shape_of(c)
        c = reshape(c, shape[:len(shape) - 1] if nd_b == 1 else shape[:len(shape) - 2] + shape[len(shape) - 1:])
    return c


cdef TensorBase integer_matmul(TensorBase a, TensorBase b):
    if cnp.PyArray_TYPE(a.a) == cnp.NPY_BOOL:
        raise NotImplementedError("matmul: is not defined for bool tensors")
    try:
        return adopt(np.asarray(np.matmul(a.a, b.a)))
    except ValueError:
        raise ShapeError(f"matmul: shapes {shape_of(a)} and {shape_of(b)} do not fit") from None


cdef object matmul_slot(object a, object b):
    if not isinstance(a, TensorBase) or not isinstance(b, TensorBase):
        return NotImplemented
    return matmul(<TensorBase>a, <TensorBase>b)


# --- linear -------------------------------------------------------------------------------------------------------

cdef int check_linear(TensorBase x, TensorBase w, TensorBase b) except -1:
    cdef int nd = cnp.PyArray_NDIM(x.a), nd_w = cnp.PyArray_NDIM(w.a)
    if nd == 0 or nd_w not in (1, 2):
        raise ShapeError(f"linear: x {shape_of(x)} needs 1 dimension or more and weight {shape_of(w)} 1 or 2")
    if size(x, nd - 1) != size(w, nd_w - 1):
        raise ShapeError(
            f"linear: x has {size(x, nd - 1)} features (x {shape_of(x)}) but weight takes {size(w, nd_w - 1)} (weight {shape_of(w)})"
        )
    if not is_float(x) or cnp.PyArray_TYPE(x.a) != cnp.PyArray_TYPE(w.a):
        raise RuntimeError(f"linear: x and weight must have the same floating-point type, not {x.dtype} and {w.dtype}")
    if b is not None:
        if cnp.PyArray_TYPE(b.a) != cnp.PyArray_TYPE(w.a):
            raise RuntimeError(f"linear: bias must have the type of weight, {w.dtype}, not {b.dtype}")
        if cnp.PyArray_NDIM(b.a) != nd_w - 1 or (nd_w == 2 and size(b, 0) != size(w, 0)):
            raise ShapeError(f"linear: bias {shape_of(b)} does not fit weight {shape_of(w)}")
    return 0


cdef TensorBase linear(TensorBase x, TensorBase w, TensorBase b):
    """y = x W^T + b over the last dimension of x."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int nd = cnp.PyArray_NDIM(x.a), d
    cdef TensorBase y, rows, bias
    cdef LinearNode node
    if slots.recording and begins():
        y = linear(x, w, b)
        ends("linear", (x, w, b), y)
        return y
    check_linear(x, w, b)
    if cnp.PyArray_NDIM(w.a) == 1:
        y = matmul(x, w)
        return y if b is None else slots.binary(0, y, b)
    bias = None if b is None else (b if is_contiguous(b) else raw_contiguous(b))
    rows = x if nd <= 2 or is_contiguous(x) else raw_contiguous(x)
    for d in range(nd - 1):
        shape[d] = size(x, d)
    shape[nd - 1] = size(w, 0)
    y = new(nd, shape, cnp.PyArray_TYPE(x.a))
    gemm(is_f64(x), 1, rows_of(x), size(w, 0), size(w, 1), cnp.PyArray_DATA(rows.a), 0,
         stride(rows, nd - 2) if nd == 2 else size(w, 1), stride(rows, nd - 1),
         cnp.PyArray_DATA(w.a), 0, stride(w, 1), stride(w, 0), cnp.PyArray_DATA(y.a), 0, size(w, 0),
         cnp.PyArray_DATA(bias.a) if bias is not None else NULL, 0, 0, 0)
    if grad_enabled() and (requires_grad(x) or requires_grad(w) or (b is not None and requires_grad(b))):
        node = LinearNode.__new__(LinearNode)
        node.e0 = edge_of(x)
        node.e1 = edge_of(w)
        if b is not None:
            node.more = (edge_of(b),)
        node.x = x if requires_grad(w) else None
        node.w = w if requires_grad(x) else None
        node.version_x = x.s.version
        node.version_w = w.s.version
        node.features = size(w, 1)
        if nd != 2:
            node.shape = shape_of(x)
        node.has_bias = b is not None
        attach(y, node)
    return y


cdef TensorBase raw_contiguous(TensorBase x):
    return adopt(np.ascontiguousarray(x.a))


@cython.final
@cython.no_gc
cdef class LinearNode(Node):
    """y = x W^T + b: dx = dy W, dW = dy^T x, db = the sum of dy over its rows."""
    cdef TensorBase x, w
    cdef unsigned int version_x, version_w
    cdef ptrdiff_t features
    cdef tuple shape      # of x; None for a matrix
    cdef bint has_bias

    cdef object call(self, TensorBase dy):
        cdef TensorBase x, dx = None, dw = None, db = None, rows = dy
        if cnp.PyArray_NDIM(dy.a) != 2:
            rows = reshape(dy, (rows_of(dy), size(dy, cnp.PyArray_NDIM(dy.a) - 1)))
        if self.e0 is not None:
            dx = matmul2d(rows, matrix_of(unpack(self.w, self.version_w, None), 1, self.features))
            if self.shape is not None:
                dx = reshape(dx, self.shape)
        if self.e1 is not None:
            x = unpack(self.x, self.version_x, None)
            if self.shape is not None:
                x = reshape(x, (rows_of(x), self.features))
            dw = t_matmul2d(rows, matrix_of(x, 1, self.features))
        if self.has_bias and self.more[0] is not None:
            db = sum_dims(rows, (0,), False, False)
        return dx, dw, db

    cdef int release(self) except -1:
        self.x = None
        self.w = None
        self.released = True
        return 0

    def name(self) -> str:
        return "LinearBackward0" if self.shape is not None and len(self.shape) > 2 else "AddmmBackward0"


slots.matmul = matmul_slot
