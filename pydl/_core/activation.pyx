# SPDX-License-Identifier: BSD-3-Clause
"""Activations: elementwise functions with parameters, their derivatives, in place or not, recorded; PReLU and GLU.

One node serves them all. Under create_graph the derivative of the smooth ones is composed of recorded operations (set_slopes), that
of the piecewise linear ones is itself an operation that is linear in dy. The functions are in activation_functions.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport binary_float, clone
from pydl._core.formats cimport is_channels_last, new_channels_last, new_like
from pydl._core.inplace cimport check_inplace, finish_inplace
from pydl._core.kernels cimport PYDL_B_mul, table
from pydl._core.loops cimport PICOSECONDS_MATH, PICOSECONDS_PLAIN, apply2, apply3, apply_parameters, same_shape
from pydl._core.promote cimport cast
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, adopt, alias, array_on, attach, edge_of, grad_enabled, is_contiguous, is_f64, is_float, make, new,
    requires_grad, slots, twin, unpack,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()

cdef extern from *:
    """
    #include "activation_kernels.h"
    #define PYDL_ACTIVATION_NAME(name) #name,
    static const char *const pydl_activation_names[] = {PYDL_ACTIVATION(PYDL_ACTIVATION_NAME)};
    """
    const char** pydl_activation_names

# By code; the derivative as a function of recorded operations, None for what is linear between kinks.
cdef list slopes = [None] * PYDL_N_ACTIVATION
cdef tuple CODES = tuple([pydl_activation_names[code].decode() for code in range(PYDL_N_ACTIVATION)])


def set_slopes(dict functions not None) -> None:
    """The derivatives of smooth activations: by name, a function of x and three parameters made of recorded operations."""
    for name, function in functions.items():
        slopes[CODES.index(name)] = function


cdef const pydl_activation* kernels_for(TensorBase x) noexcept:
    return <const pydl_activation*>table(is_f64(x)).activation


cdef int picoseconds(int code) noexcept:
    return PICOSECONDS_PLAIN if code <= PYDL_A_hardswish or code == PYDL_A_softsign else PICOSECONDS_MATH


cdef object activate(str name, int code, object input, double a, double b, double c, bint inplace):
    cdef double p[3]
    cdef TensorBase x, old, out
    cdef bint recorded
    if not isinstance(input, TensorBase):
        raise TypeError(f"{name}: input must be a Tensor, not {type(input).__name__}")
    x = <TensorBase>input
    if slots.recording and begins():
        out = activate(name, code, x, a, b, c, inplace)
        ends("activation_" if inplace else "activation", (x, name, code, a, b, c), out)
        return out
    if not is_float(x):
        return activate_other(name, code, x, a, b, c, inplace)
    p[0], p[1], p[2] = a, b, c
    recorded = grad_enabled() and requires_grad(x)
    if not inplace:
        out = new_like(x)
        apply_parameters(<void*>kernels_for(x).fwd[code], out, x, None, p, picoseconds(code))
        if recorded:
            attach(out, activation_node(code, x, None, p))
        return out
    check_inplace(x, name + "_")
    old = x
    if recorded:
        old = alias(x) if from_result(code, a) else clone(x)
    apply_parameters(<void*>kernels_for(x).fwd[code], x, x, None, p, picoseconds(code))
    x.s.version += 1
    if recorded:
        finish_inplace(x, activation_node(code, old, x if from_result(code, a) else None, p))
    return x


cdef bint from_result(int code, double a) noexcept:
    """Whether a change in place keeps the result, which tells the derivative as the input does, in place of a copy of the input. As in
    PyTorch: of leaky_relu, so that a second change in place raises; hardtanh, whose result would do too, may be followed by one."""
    return code == PYDL_A_leaky_relu and a >= 0


cdef object activate_other(str name, int code, TensorBase x, double a, double b, double c, bint inplace):
    """Integers: bounds and limits stay integers, the functions that PyTorch composes of arithmetic are done in the default type."""
    cdef int typenum = cnp.PyArray_TYPE(x.a)
    dtype = (<object>x.a).dtype
    if code >= PYDL_A_softsign:
        if inplace:
            raise RuntimeError(f"{name}_: result type {dtypes.get_default_dtype()} can't be cast to the desired output type {x.dtype}")
        return activate(name, code, cast(x, dtypes.default_np().num), a, b, c, False)
    if (code != PYDL_A_hardtanh and code != PYDL_A_threshold) or typenum == cnp.NPY_BOOL:
        if code == PYDL_A_hardtanh:
            raise RuntimeError(f"{name}: Bool inputs not supported for hardtanh")
        raise NotImplementedError(f"{name}: not implemented for {x.dtype}")
    if code == PYDL_A_hardtanh:
        if dtype.kind == "u" and (a < 0 or b < 0):
            raise RuntimeError(f"{name}: cannot do hardtanh on an unsigned type with negative limits")
        values = np.clip(x.a, int(a), int(b))
    else:
        values = np.where(np.asarray(x.a) <= int(a), int(b), x.a)
    if not inplace:
        return adopt(np.asarray(values, dtype))
    check_inplace(x, name + "_")
    np.copyto(x.a, values, casting="unsafe")
    x.s.version += 1
    return x


cdef ActivationNode activation_node(int code, TensorBase x, TensorBase result, const double* p):
    """`result`: what to keep instead of x where the derivative can be told from it."""
    cdef ActivationNode node = ActivationNode.__new__(ActivationNode)
    cdef int i
    node.code = code
    for i in range(3):
        node.p[i] = p[i]
    node.e0 = edge_of(x)
    node.saved = x
    if result is not None and from_result(code, p[0]):
        node.saved = twin(result)
    node.version = node.saved.s.version
    return node


cdef TensorBase activation_bwd(int code, TensorBase dy, TensorBase x, const double* p):
    """dx = dy f'(x), linear in dy."""
    cdef TensorBase dx = new_like(x)
    cdef ActivationNode node
    if cnp.PyArray_TYPE(dy.a) != cnp.PyArray_TYPE(x.a) or not same_shape(dy, x):
        raise ShapeError(f"{CODES[code]}: the gradient {(<object>dy.a).shape} {dy.dtype} does not fit the input {(<object>x.a).shape} "
                         f"{x.dtype}; was a tensor given data of another type after it was used?")
    apply_parameters(<void*>kernels_for(x).bwd[code], dx, dy, x, p, picoseconds(code))
    if grad_enabled() and requires_grad(dy):
        node = activation_node(code, x, None, p)
        node.e0 = edge_of(dy)
        node.of_backward = True
        attach(dx, node)
    return dx


@cython.final
@cython.no_gc
cdef class ActivationNode(Node):
    cdef int code
    cdef double p[3]
    cdef TensorBase saved
    cdef unsigned int version
    cdef bint of_backward      # the node of dx = dy f'(x) as a function of dy

    cdef object call(self, TensorBase dy):
        cdef TensorBase x = unpack(self.saved, self.version, None)
        slope = slopes[self.code]
        if grad_enabled() and slope is not None:
            return binary_float(PYDL_B_mul, dy, slope(x, self.p[0], self.p[1], self.p[2]))
        return activation_bwd(self.code, dy, x, self.p)

    cdef int release(self) except -1:
        self.saved = None
        self.released = True
        return 0

    def name(self) -> str:
        return CODES[self.code].title().replace("_", "") + ("BackwardBackward0" if self.of_backward else "Backward0")


# --- with a second tensor -----------------------------------------------------------------------------------------

cdef int check_fits(str name, TensorBase t, TensorBase x) except -1:
    """t has x's type, and dimensions that broadcast to those of x. A saved tensor may have been given other data since."""
    cdef int i, ndim = cnp.PyArray_NDIM(x.a)
    cdef bint fits = is_float(x) and cnp.PyArray_TYPE(t.a) == cnp.PyArray_TYPE(x.a) and cnp.PyArray_NDIM(t.a) == ndim
    for i in range(ndim if fits else 0):
        fits = fits and cnp.PyArray_DIMS(t.a)[i] in (1, cnp.PyArray_DIMS(x.a)[i])
    if not fits:
        raise ShapeError(f"{name}: {(<object>t.a).shape} {t.dtype} does not fit {(<object>x.a).shape} {x.dtype}; "
                         "was a tensor given data of another type after it was used?")
    return 0


cdef int check_halves(TensorBase x, int dim) except -1:
    if not is_float(x) or not 0 <= dim < cnp.PyArray_NDIM(x.a) or cnp.PyArray_DIMS(x.a)[dim] % 2:
        raise ShapeError(f"glu: dimension {dim} of {(<object>x.a).shape} {x.dtype} has no halves")
    return 0


cdef TensorBase half_of(TensorBase x, int dim, bint second):
    """The first or the second half of x along dim, on its memory."""
    cdef cnp.npy_intp shape[64]
    cdef int i, ndim = cnp.PyArray_NDIM(x.a)
    cdef char* data = cnp.PyArray_BYTES(x.a)
    for i in range(ndim):
        shape[i] = cnp.PyArray_DIMS(x.a)[i]
    shape[dim] //= 2
    if second:
        data += shape[dim] * cnp.PyArray_STRIDES(x.a)[dim]
    return make(array_on(x, ndim, shape, cnp.PyArray_STRIDES(x.a), data), x.s)


def glu_fwd(TensorBase x not None, int dim) -> TensorBase:
    """a sigmoid(b) for the halves a, b of x along dim (non-negative; its size is even)."""
    cdef TensorBase a, b, y
    cdef int ndim = cnp.PyArray_NDIM(x.a), typenum = cnp.PyArray_TYPE(x.a)
    check_halves(x, dim)
    a, b = half_of(x, dim, False), half_of(x, dim, True)
    if is_contiguous(x) or not is_channels_last(x):
        y = new(ndim, cnp.PyArray_DIMS(a.a), typenum)
    else:
        y = new_channels_last(ndim, cnp.PyArray_DIMS(a.a), typenum, x.own_format)
    apply2(kernels_for(x).glu, y, a, b, PICOSECONDS_MATH)
    return y


def glu_bwd(TensorBase dy not None, TensorBase x not None, int dim) -> TensorBase:
    """dy sigmoid(b) and dy a sigmoid'(b), joined along dim."""
    cdef TensorBase a, b, dx
    check_halves(x, dim)
    a, b = half_of(x, dim, False), half_of(x, dim, True)
    check_fits("glu", dy, a)
    dx = new_like(x)
    apply2(kernels_for(x).glu, half_of(dx, dim, False), dy, b, PICOSECONDS_MATH)
    apply3(kernels_for(x).glu_bwd, half_of(dx, dim, True), dy, a, b, PICOSECONDS_MATH)
    return dx


cdef TensorBase along_channels(TensorBase w, int ndim):
    """w, one number or one a channel, as a tensor that broadcasts along dimension 1 of one with ndim dimensions."""
    cdef cnp.npy_intp shape[64]
    cdef cnp.npy_intp strides[64]
    cdef int i
    if cnp.PyArray_SIZE(w.a) != 1 and (ndim < 2 or cnp.PyArray_NDIM(w.a) != 1):
        raise ShapeError(f"prelu: weight {(<object>w.a).shape} is neither one number nor one a channel")
    for i in range(ndim):
        shape[i] = 1
        strides[i] = 0
    if ndim > 1 and cnp.PyArray_SIZE(w.a) > 1:
        shape[1] = cnp.PyArray_SIZE(w.a)
        strides[1] = cnp.PyArray_STRIDES(w.a)[0]
    return make(array_on(w, ndim, shape, strides, cnp.PyArray_BYTES(w.a)), w.s)


def prelu_fwd(TensorBase x not None, TensorBase w not None) -> TensorBase:
    """x above 0, w x below; w is one number or one a channel."""
    cdef TensorBase y, slopes_of = along_channels(w, cnp.PyArray_NDIM(x.a))
    check_fits("prelu", slopes_of, x)
    y = new_like(x)
    apply2(kernels_for(x).prelu, y, x, slopes_of, PICOSECONDS_PLAIN)
    return y


def prelu_bwd(TensorBase dy not None, TensorBase x not None, TensorBase w not None) -> TensorBase:
    """dy where x is above 0, w dy elsewhere."""
    cdef TensorBase dx, slopes_of = along_channels(w, cnp.PyArray_NDIM(x.a))
    check_fits("prelu", slopes_of, x)
    check_fits("prelu", dy, x)
    dx = new_like(x)
    apply3(kernels_for(x).prelu_bwd, dx, dy, x, slopes_of, PICOSECONDS_PLAIN)
    return dx
