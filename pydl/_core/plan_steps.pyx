# SPDX-License-Identifier: BSD-3-Clause
"""Steps of inference plans: elementwise work, pooling, softmax, changes of order, and any operation at all."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.activation cimport pydl_activation
from pydl._core.eltwise cimport BINARY_NAMES, UNARY_NAMES
from pydl._core.epilogue cimport IN_KERNEL, LIMITS, PARAMETERS, PLAIN, Epilogue
from pydl._core.formats cimport rearrange
from pydl._core.kernels cimport (
    PYDL_B_pow, PYDL_U_copy, PYDL_U_exp, PYDL_U_relu, PYDL_U_sigmoid, pydl_kernels, run_pieces, table,
)
from pydl._core.loops cimport PICOSECONDS_MATH, PICOSECONDS_PLAIN, apply1, apply2, apply_clamp, apply_number, apply_parameters
from pydl._core.plan cimport Step
from pydl._core.pool cimport pool_into
from pydl._core.pool_windows cimport Geometry
from pydl._core.tape cimport TensorBase, array_on, is_f64, make, twin

from pydl._core.errors import ShapeError

cnp.import_array()

ctypedef void (*rows_fn)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil

cdef enum:
    ROWS_ELEMENTS = 8192         # that one thread takes at a time of a softmax

unary_names, binary_names = UNARY_NAMES, BINARY_NAMES     # by code

cdef double SOFTMAX_NS = 1.0     # an element


# --- elementwise --------------------------------------------------------------------------------------------------

cdef bint read_epilogue(Epilogue* e, object then, bint f64) except -1:
    """then: None, ("unary", code), ("activation", code, a, b, c) or ("clamp", low, high)."""
    cdef const pydl_kernels* t = table(f64)
    cdef int code
    if then is None:
        return False
    e.p[0] = e.p[1] = e.p[2] = 0
    if then[0] == "unary":
        code = then[1]
        e.kind, e.fn = IN_KERNEL if code == PYDL_U_relu else PLAIN, <void*>t.eltwise.unary[code]
    elif then[0] == "activation":
        code = then[1]
        e.kind, e.fn = PARAMETERS, <void*>(<const pydl_activation*>t.activation).fwd[code]
        e.p[0], e.p[1], e.p[2] = then[2], then[3], then[4]
    else:
        e.kind, e.fn = LIMITS, <void*>t.eltwise.clamp
        e.p[0], e.p[1] = then[1], then[2]
    return True


@cython.final
cdef class FunctionStep(Step):
    """y = f(x); y may be x."""
    cdef Py_ssize_t x, y
    cdef Epilogue f
    cdef int picoseconds

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, then, bint f64):
        self.text, self.x, self.y = text, x, y
        read_epilogue(&self.f, then, f64)
        plain = then[0] == "clamp" or (then[0] == "unary" and not PYDL_U_exp <= then[1] <= PYDL_U_sigmoid)
        self.picoseconds = PICOSECONDS_PLAIN if plain else PICOSECONDS_MATH

    cdef int run(self, list tensors) except -1:
        cdef TensorBase x = <TensorBase>tensors[self.x], y = <TensorBase>tensors[self.y]
        if self.f.kind == PARAMETERS:
            apply_parameters(self.f.fn, y, x, None, self.f.p, self.picoseconds)
        elif self.f.kind == LIMITS:
            apply_clamp(self.f.fn, y, x, self.f.p[0], self.f.p[1])
        else:
            apply1(self.f.fn, y, x, self.picoseconds)
        return 0


@cython.final
cdef class BinaryStep(Step):
    """y = f(a, b); y may be a or b. A number stands in place of b, or of a if `swapped`."""
    cdef Py_ssize_t a, b, y
    cdef void* f
    cdef double value
    cdef bint is_number, swapped
    cdef int picoseconds

    def __init__(self, str text, int code, Py_ssize_t a, b, Py_ssize_t y, bint swapped, bint f64):
        self.text, self.a, self.y, self.swapped = text, a, y, swapped
        self.is_number = isinstance(b, float)
        if self.is_number:
            self.value = b
        else:
            self.b = b
        self.f = <void*>table(f64).eltwise.binary[code]
        self.picoseconds = PICOSECONDS_MATH if code == PYDL_B_pow else PICOSECONDS_PLAIN

    cdef int run(self, list tensors) except -1:
        cdef TensorBase a = <TensorBase>tensors[self.a], y = <TensorBase>tensors[self.y]
        if self.is_number:
            apply_number(self.f, y, a, self.value, self.swapped)
        else:
            apply2(self.f, y, a, <TensorBase>tensors[self.b], self.picoseconds)
        return 0


# --- order and shape ----------------------------------------------------------------------------------------------

@cython.final
cdef class CopyStep(Step):
    """y = x, whose elements may lie in another order."""
    cdef Py_ssize_t x, y

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y):
        self.text, self.x, self.y = text, x, y

    cdef int run(self, list tensors) except -1:
        cdef TensorBase x = <TensorBase>tensors[self.x], y = <TensorBase>tensors[self.y]
        if cnp.PyArray_TYPE(x.a) in (cnp.NPY_FLOAT, cnp.NPY_DOUBLE) and (<object>x.a).strides == (<object>y.a).strides:
            apply1(<void*>table(is_f64(x)).eltwise.unary[PYDL_U_copy], y, x, PICOSECONDS_PLAIN)
        else:
            rearrange(x, y)
        return 0


@cython.final
cdef class ViewStep(Step):
    """y is x with another shape and strides, offset bytes from its start: where x is not planned memory."""
    cdef Py_ssize_t x, y, offset
    cdef int ndim
    cdef cnp.npy_intp shape[64]
    cdef cnp.npy_intp strides[64]

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, shape, strides, Py_ssize_t offset):
        cdef int d
        self.text, self.x, self.y, self.offset, self.ndim = text, x, y, offset, len(shape)
        for d in range(self.ndim):
            self.shape[d], self.strides[d] = shape[d], strides[d]

    cdef int run(self, list tensors) except -1:
        cdef TensorBase x = <TensorBase>tensors[self.x]
        tensors[self.y] = make(array_on(x, self.ndim, self.shape, self.strides, cnp.PyArray_BYTES(x.a) + self.offset), x.s)
        return 0


# --- layers -------------------------------------------------------------------------------------------------------

@cython.final
cdef class PoolStep(Step):
    """The largest elements or the averages of windows; x and y are channels-last."""
    cdef Py_ssize_t x, y
    cdef Geometry geometry
    cdef bint averages

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, Geometry geometry not None, bint averages):
        self.text, self.x, self.y, self.geometry, self.averages = text, x, y, geometry, averages

    cdef int run(self, list tensors) except -1:
        return pool_into(<TensorBase>tensors[self.x], self.geometry, <TensorBase>tensors[self.y], self.averages, False)


cdef struct Rows:
    rows_fn f
    const char* x
    char* y
    ptrdiff_t rows, n, size, per_piece


cdef void run_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Rows* p = <const Rows*>job
    cdef ptrdiff_t row = i * p.per_piece, at = row * p.n * p.size
    p.f(p.x + at, p.n, p.y + at, p.n, min(p.per_piece, p.rows - row), p.n)


@cython.final
cdef class SoftmaxStep(Step):
    """Softmax or its logarithm of dense rows of n elements; y may be x."""
    cdef Py_ssize_t x, y
    cdef Rows p

    def __init__(self, str text, Py_ssize_t x, Py_ssize_t y, Py_ssize_t rows, Py_ssize_t n, bint logarithm, bint f64):
        self.text, self.x, self.y = text, x, y
        self.p.rows, self.p.n, self.p.size, self.p.per_piece = rows, n, 8 if f64 else 4, max(1, ROWS_ELEMENTS // max(n, 1))
        self.p.f = table(f64).softmax.log_rows if logarithm else table(f64).softmax.rows

    cdef int run(self, list tensors) except -1:
        cdef Rows p = self.p
        p.x, p.y = cnp.PyArray_BYTES((<TensorBase>tensors[self.x]).a), cnp.PyArray_BYTES((<TensorBase>tensors[self.y]).a)
        if p.rows and p.n:
            run_pieces(run_rows, &p, (p.rows + p.per_piece - 1) // p.per_piece, SOFTMAX_NS * p.rows * p.n)
        return 0


@cython.final
cdef class GeneralStep(Step):
    """Calls an operation as it is and copies its results to their places. args: (True, number) for a tensor, (False, anything)."""
    cdef object f
    cdef tuple args, outputs

    def __init__(self, str text, f, args, outputs):
        self.text, self.f, self.args, self.outputs = text, f, tuple(args), tuple(outputs)

    cdef int run(self, list tensors) except -1:
        cdef list given = []
        cdef TensorBase source, target
        cdef Py_ssize_t i
        for is_tensor, value in self.args:
            # Another object each time: an operation may put the memory of its arguments into another order.
            given.append(twin(<TensorBase>tensors[<Py_ssize_t>value]) if is_tensor else value)
        out = self.f(*given)
        results = out if isinstance(out, tuple) else (out,)
        for i in range(len(self.outputs)):
            if self.outputs[i] is None:
                continue
            source, target = <TensorBase?>results[i], <TensorBase>tensors[<Py_ssize_t>self.outputs[i]]
            if (<object>source.a).shape != (<object>target.a).shape or cnp.PyArray_TYPE(source.a) != cnp.PyArray_TYPE(target.a):
                raise ShapeError(f"this plan cannot hold {self.text}: its result is {(<object>source.a).shape} {source.dtype} now, with "
                                 f"the example it was {(<object>target.a).shape} {target.dtype}")
            np.copyto(target.a, source.a)
        return 0
