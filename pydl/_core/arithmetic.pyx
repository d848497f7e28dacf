# SPDX-License-Identifier: BSD-3-Clause
"""What +, -, *, /, ** do with any two operands: tensors of one type, a tensor and numbers, mixed types, integers."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport BINARY_NAMES, binary_float, select, unary
from pydl._core.formats cimport new_like
from pydl._core.kernels cimport *
from pydl._core.loops cimport MAX_DIMS, apply_clamp, apply_number, broadcast_shape
from pydl._core.promote cimport as_tensor, number, promoted
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, adopt, attach, edge_of, grad_enabled, is_f64, is_float, requires_grad, slots, unpack,
)

from pydl._core import dtypes

cnp.import_array()

cdef tuple NUMPY_BINARY = (np.add, np.subtract, np.multiply, np.true_divide, None, np.maximum, np.minimum)


cdef object binary(int code, object a, object b):
    cdef TensorBase x, y
    if slots.recording and begins():
        out = binary(code, a, b)
        ends("binary", (a, b, code), out)
        return out
    if isinstance(a, TensorBase):
        x = <TensorBase>a
        if isinstance(b, TensorBase):
            y = <TensorBase>b
            if cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(y.a) and is_float(x):
                return binary_float(code, x, y)
        elif is_float(x) and (isinstance(b, float) or isinstance(b, int)):
            if code == PYDL_B_pow:
                return pow_number(x, <double>b)
            if code == PYDL_B_sub and isinstance(b, bool):
                return binary_mixed(code, a, b)
            if code <= PYDL_B_div:
                return with_number(code, x, <double>b, False)
            return binary_float(code, x, number(<double>b, cnp.PyArray_TYPE(x.a)))
    elif isinstance(b, TensorBase) and (isinstance(a, float) or isinstance(a, int)) and is_float(<TensorBase>b):
        if code == PYDL_B_sub and isinstance(a, bool):
            return binary_mixed(code, a, b)
        if code <= PYDL_B_div:
            return with_number(code, <TensorBase>b, <double>a, True)
        return binary_float(code, number(<double>a, cnp.PyArray_TYPE((<TensorBase>b).a)), <TensorBase>b)
    return binary_mixed(code, a, b)


# --- a tensor and a number ----------------------------------------------------------------------------------------

cdef TensorBase with_number(int code, TensorBase x, double value, bint swapped):
    """x + value, x - value, x * value, x / value, or value first if swapped."""
    cdef TensorBase out = new_like(x)
    cdef NumberNode node
    apply_number(<void*>table(is_f64(x)).eltwise.binary[code], out, x, value, swapped)
    if grad_enabled() and requires_grad(x):
        node = NumberNode.__new__(NumberNode)
        node.code = code
        node.value = value
        node.swapped = swapped
        node.e0 = edge_of(x)
        if code == PYDL_B_div and swapped:
            node.x = x
            node.version = x.s.version
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class NumberNode(Node):
    """One operand is a number: only value / x needs what was computed."""
    cdef int code
    cdef double value
    cdef bint swapped
    cdef TensorBase x
    cdef unsigned int version

    cdef object call(self, TensorBase dy):
        cdef TensorBase x
        if self.code == PYDL_B_add or (self.code == PYDL_B_sub and not self.swapped):
            return dy
        if self.code == PYDL_B_sub:
            return unary(PYDL_U_neg, dy)
        if self.code == PYDL_B_mul or not self.swapped:
            return with_number(self.code, dy, self.value, False)
        x = unpack(self.x, self.version, None)
        return unary(PYDL_U_neg, binary_float(PYDL_B_div, binary_float(PYDL_B_mul, dy, with_number(PYDL_B_div, x, self.value, True)), x))

    cdef int release(self) except -1:
        if self.x is not None:
            self.x = None
            self.released = True
        return 0

    def name(self) -> str:
        return BINARY_NAMES[self.code].capitalize() + "Backward0"


cdef TensorBase pow_number(TensorBase x, double exponent):
    if exponent == 2:
        return unary(PYDL_U_square, x)
    if exponent == 0.5:
        return unary(PYDL_U_sqrt, x)
    if exponent == -1:
        return unary(PYDL_U_reciprocal, x)
    return binary_float(PYDL_B_pow, x, number(exponent, cnp.PyArray_TYPE(x.a)))


cdef TensorBase clamp_numbers(TensorBase x, double lo, double hi):
    cdef TensorBase out
    cdef ClampNode node
    if slots.recording and begins():
        out = clamp_numbers(x, lo, hi)
        ends("clamp_numbers", (x, lo, hi), out)
        return out
    out = new_like(x)
    apply_clamp(<void*>table(is_f64(x)).eltwise.clamp, out, x, lo, hi)
    if grad_enabled() and requires_grad(x):
        node = ClampNode.__new__(ClampNode)
        node.x = x
        node.version = x.s.version
        node.lo = lo
        node.hi = hi
        node.e0 = edge_of(x)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class ClampNode(Node):
    cdef TensorBase x
    cdef unsigned int version
    cdef double lo, hi

    cdef object call(self, TensorBase dy):
        cdef TensorBase x = unpack(self.x, self.version, None)
        inside = adopt(np.asarray((x.a >= self.lo) & (x.a <= self.hi)))
        return select(inside, dy, number(0, cnp.PyArray_TYPE(dy.a)))

    cdef int release(self) except -1:
        self.x = None
        self.released = True
        return 0

    def name(self) -> str:
        return "ClampBackward1"


# --- other and mixed types ----------------------------------------------------------------------------------------

cdef bint is_bool(object v):
    return isinstance(v, (bool, np.bool_)) or (isinstance(v, TensorBase) and cnp.PyArray_TYPE((<TensorBase>v).a) == cnp.NPY_BOOL)


cdef object binary_mixed(int code, object a, object b):
    cdef TensorBase x, y
    cdef cnp.npy_intp shape[MAX_DIMS]
    dtype = promoted(a, b, code == PYDL_B_div)
    if dtype is None:
        return NotImplemented
    if code == PYDL_B_sub and (is_bool(a) or is_bool(b)):
        raise RuntimeError("sub: subtraction with a bool is not supported; use ^ or logical_xor()")
    x = as_tensor(a, dtype)
    y = as_tensor(b, dtype)
    if dtype.kind == "f":
        return binary_float(code, x, y)
    if code > PYDL_B_minimum:
        raise NotImplementedError(f"{BINARY_NAMES[code]}: is defined for floating-point tensors, not for {dtypes.from_np(dtype)}")
    broadcast_shape(BINARY_NAMES[code], (x.a, y.a), shape)
    if code == PYDL_B_pow:
        return power(x, y, not isinstance(b, TensorBase))
    return adopt(np.asarray(NUMPY_BINARY[code](x.a, y.a)))


cdef TensorBase power(TensorBase x, TensorBase y, bint number_exponent):
    """Integers to integer powers: a negative exponent gives 0, except for bases 1 and -1."""
    base = x.a
    exponent = y.a
    if cnp.PyArray_TYPE(x.a) == cnp.NPY_BOOL:
        if not number_exponent:
            raise NotImplementedError("pow: is not defined for bool tensors")
        return adopt(np.asarray(base | ~np.asarray(exponent)))
    if number_exponent and np.any(np.asarray(exponent) < 0):
        raise RuntimeError("pow: integers to negative integer powers are not allowed")
    result = np.power(base, np.maximum(exponent, 0))
    unit = np.where(base == 1, 1, np.where(base == -1, np.where(exponent % 2 == 0, 1, -1), 0)).astype(result.dtype)
    return adopt(np.asarray(np.where(exponent < 0, unit, result)))


slots.binary = binary
