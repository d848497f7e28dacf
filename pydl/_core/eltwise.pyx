# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise operations on floating-point tensors: check, forward and backward side by side.

Operands of other or mixed types are brought to one type first; integer arithmetic is NumPy's work.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport channels_last, new_channels_last, new_like
from pydl._core.kernels cimport *
from pydl._core.loops cimport (
    MAX_DIMS, PICOSECONDS_MATH, PICOSECONDS_PLAIN, apply1, apply2, apply3, broadcast_shape, same_shape,
)
from pydl._core.promote cimport as_tensor, cast, number, promoted
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, adopt, attach, edge_of, grad_enabled, is_contiguous, is_f64, is_float, new, new_contiguous,
    requires_grad, settle, slots, twin, unpack,
)

from pydl._core import dtypes

cnp.import_array()

UNARY_NAMES = ("clone", "neg", "abs", "square", "reciprocal", "sqrt", "exp", "log", "tanh", "sigmoid", "relu")
BINARY_NAMES = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "tanh_backward", "sigmoid_backward",
                "threshold_backward")
cdef tuple COMPARE_NAMES = ("eq", "ne", "lt", "le", "gt", "ge")
cdef tuple NUMPY_UNARY = (np.positive, np.negative, np.abs, np.square)
cdef tuple NUMPY_COMPARE = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)


cdef TensorBase fit(TensorBase g, object shape):
    return g if shape is None else slots.sum_to(g, shape)


cdef object shape_if_other(TensorBase x, TensorBase out):
    return None if same_shape(x, out) else (<object>x.a).shape


cdef TensorBase clone(TensorBase x):
    return unary(PYDL_U_copy, x)


cdef TensorBase contiguous(TensorBase x):
    """x in C order, itself if it is."""
    cdef TensorBase out
    settle(x)
    if is_contiguous(x):
        return x
    if slots.recording and begins():
        out = contiguous(x)
        ends("contiguous", (x,), out)
        return out
    if not is_float(x):
        return adopt(x.a.copy())
    out = new_contiguous(x)
    apply1(<void*>table(is_f64(x)).eltwise.unary[PYDL_U_copy], out, x, PICOSECONDS_PLAIN)
    if grad_enabled() and requires_grad(x):
        record_unary(PYDL_U_copy, out, x)
    return out


# --- unary --------------------------------------------------------------------------------------------------------

cdef TensorBase unary(int code, TensorBase x):
    cdef TensorBase out
    if slots.recording and begins():
        out = unary(code, x)
        ends("unary", (x, code), out)
        return out
    if not is_float(x):
        return unary_other(code, x)
    out = new_like(x)
    apply1(<void*>table(is_f64(x)).eltwise.unary[code], out, x,
           PICOSECONDS_MATH if PYDL_U_exp <= code <= PYDL_U_sigmoid else PICOSECONDS_PLAIN)
    if grad_enabled() and requires_grad(x):
        record_unary(code, out, x)
    return out


cdef TensorBase unary_other(int code, TensorBase x):
    """Integers: what stays integer is NumPy's work, the rest is done in the default type."""
    if cnp.PyArray_TYPE(x.a) == cnp.NPY_BOOL and (code == PYDL_U_neg or code == PYDL_U_relu):
        raise RuntimeError(f"{UNARY_NAMES[code]}: is not defined for bool tensors (~ and logical_not() invert)")
    if cnp.PyArray_TYPE(x.a) == cnp.NPY_BOOL and code == PYDL_U_abs:
        raise NotImplementedError("abs: is not defined for bool tensors")
    if code <= PYDL_U_square:
        return adopt(np.asarray(NUMPY_UNARY[code](x.a)) if code else x.a.copy())
    if code == PYDL_U_relu:
        return adopt(np.asarray(np.maximum(x.a, x.a.dtype.type(0))))
    return unary(code, cast(x, dtypes.default_np().num))


cdef int record_unary(int code, TensorBase out, TensorBase x) except -1:
    cdef UnaryNode node = UnaryNode.__new__(UnaryNode)
    node.code = code
    node.e0 = edge_of(x)
    if code == PYDL_U_abs or code == PYDL_U_square or code == PYDL_U_log:
        node.saved = x
    elif code != PYDL_U_neg and code != PYDL_U_copy:
        node.saved = twin(out)
        node.is_output = True
    if node.saved is not None:
        node.version = node.saved.s.version
    attach(out, node)
    return 0


@cython.final
@cython.no_gc
cdef class UnaryNode(Node):
    cdef int code
    cdef TensorBase saved
    cdef unsigned int version
    cdef bint is_output

    cdef object call(self, TensorBase dy):
        cdef TensorBase s
        if self.code == PYDL_U_neg:
            return unary(PYDL_U_neg, dy)
        if self.code == PYDL_U_copy:
            return dy
        s = unpack(self.saved, self.version, self if self.is_output else None)
        if self.code == PYDL_U_relu:
            return binary_float(PYDL_B_relu_bwd, dy, s)
        if self.code == PYDL_U_tanh:
            return binary_float(PYDL_B_tanh_bwd, dy, s)
        if self.code == PYDL_U_sigmoid:
            return binary_float(PYDL_B_sigmoid_bwd, dy, s)
        if self.code == PYDL_U_exp:
            return binary_float(PYDL_B_mul, dy, s)
        if self.code == PYDL_U_log:
            return binary_float(PYDL_B_div, dy, s)
        if self.code == PYDL_U_sqrt:
            return binary_float(PYDL_B_div, dy, binary_float(PYDL_B_mul, s, number(2, cnp.PyArray_TYPE(s.a))))
        if self.code == PYDL_U_square:
            return binary_float(PYDL_B_mul, dy, binary_float(PYDL_B_mul, s, number(2, cnp.PyArray_TYPE(s.a))))
        if self.code == PYDL_U_reciprocal:
            return unary(PYDL_U_neg, binary_float(PYDL_B_mul, dy, unary(PYDL_U_square, s)))
        return binary_float(PYDL_B_mul, dy, adopt(np.asarray(np.sign(s.a))))    # abs

    cdef int release(self) except -1:
        if self.saved is not None:
            self.saved = None
            self.released = True
        return 0

    def name(self) -> str:
        return UNARY_NAMES[self.code].title() + "Backward0"


# --- binary -------------------------------------------------------------------------------------------------------

cdef TensorBase binary_float(int code, TensorBase a, TensorBase b):
    """Both of the same floating-point type."""
    cdef TensorBase out, x = a, y = b
    if cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a):
        raise_types(BINARY_NAMES[code], a, b)
    if same_shape(a, b):
        if a.own_format != b.own_format:
            x = channels_last(a)
            y = channels_last(b)
        out = new_like(y if y.own_format else x)
    else:
        out = new_broadcast(BINARY_NAMES[code], a, b)
    apply2(<void*>table(is_f64(a)).eltwise.binary[code], out, x, y, PICOSECONDS_MATH if code == PYDL_B_pow else PICOSECONDS_PLAIN)
    if grad_enabled() and (requires_grad(a) or requires_grad(b)):
        record_binary(code, out, a, b)
    return out


cdef TensorBase new_broadcast(str name, TensorBase a, TensorBase b):
    """For the result of an operation on a and b, laid out like the one that has its shape."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int ndim = broadcast_shape(name, (a.a, b.a), shape)
    if same_shape_as(a, ndim, shape):
        return new_like(a)
    if same_shape_as(b, ndim, shape):
        return new_like(b)
    return new(ndim, shape, cnp.PyArray_TYPE(a.a))


cdef bint same_shape_as(TensorBase x, int ndim, const cnp.npy_intp* shape) noexcept:
    return cnp.PyArray_NDIM(x.a) == ndim and cnp.PyArray_CompareLists(shape, cnp.PyArray_DIMS(x.a), ndim)


cdef int raise_types(str name, TensorBase a, TensorBase b) except -1:
    """Operands are brought to one type before they are recorded; a gradient or a replaced `data` of another type may follow."""
    raise RuntimeError(f"{name}: the operands have the types {a.dtype} and {b.dtype}; was a tensor given data of another type later?")


cdef int record_binary(int code, TensorBase out, TensorBase a, TensorBase b) except -1:
    cdef BinaryNode node = BinaryNode.__new__(BinaryNode)
    node.code = code
    node.e0 = edge_of(a)
    node.e1 = edge_of(b)
    if not same_shape(a, b):
        node.shape_a = shape_if_other(a, out)
        node.shape_b = shape_if_other(b, out)
    if code > PYDL_B_sub:
        node.save(out, a, b)
    attach(out, node)
    return 0


@cython.final
@cython.no_gc
cdef class BinaryNode(Node):
    cdef int code
    cdef TensorBase a, b, out
    cdef unsigned int version_a, version_b, version_out
    cdef object shape_a, shape_b      # of an operand that was broadcast

    cdef int save(self, TensorBase out, TensorBase a, TensorBase b) except -1:
        cdef int code = self.code
        if (code != PYDL_B_mul and code != PYDL_B_div) or self.e1 is not None:
            self.a = a
            self.version_a = a.s.version
        if code != PYDL_B_mul or self.e0 is not None:
            self.b = b
            self.version_b = b.s.version
        if code == PYDL_B_pow and self.e1 is not None:
            self.out = twin(out)
            self.version_out = out.s.version
        return 0

    cdef object call(self, TensorBase dy):
        cdef TensorBase a, b, out, da = None, db = None
        cdef int code = self.code
        cdef bint left = self.e0 is not None, right = self.e1 is not None
        if code == PYDL_B_add:
            return fit(dy, self.shape_a) if left else None, fit(dy, self.shape_b) if right else None
        if code == PYDL_B_sub:
            return fit(dy, self.shape_a) if left else None, unary(PYDL_U_neg, fit(dy, self.shape_b)) if right else None
        a = unpack(self.a, self.version_a, None) if self.a is not None else None
        b = unpack(self.b, self.version_b, None) if self.b is not None else None
        out = unpack(self.out, self.version_out, self) if self.out is not None else None
        if code == PYDL_B_mul:
            da = binary_float(PYDL_B_mul, dy, b) if left else None
            db = binary_float(PYDL_B_mul, dy, a) if right else None
        elif code == PYDL_B_div:
            da = binary_float(PYDL_B_div, dy, b)
            # The quotient is computed anew: the result itself may be changed in place, as in y = a / b; y += 1.
            db = unary(PYDL_U_neg, binary_float(PYDL_B_mul, da, binary_float(PYDL_B_div, a, b))) if right else None
        elif code == PYDL_B_pow:
            da = pow_grad_base(dy, a, b) if left else None
            db = pow_grad_exponent(dy, a, b, out) if right else None
        elif code == PYDL_B_maximum or code == PYDL_B_minimum:
            da = binary_float(PYDL_B_mul, dy, wins(code, a, b)) if left else None
            db = binary_float(PYDL_B_mul, dy, wins(code, b, a)) if right else None
        else:
            da = binary_float(code, dy, b) if left else None
            db = self.grad_of_output(dy, a, b) if right else None
        return fit(da, self.shape_a) if left else None, fit(db, self.shape_b) if db is not None else None

    cdef TensorBase grad_of_output(self, TensorBase dz, TensorBase dy, TensorBase y):
        """Of z = dy f'(y): tanh dy (1 - y^2), sigmoid dy y (1 - y); relu has none."""
        cdef int typenum = cnp.PyArray_TYPE(y.a)
        cdef TensorBase slope = binary_float(PYDL_B_mul, y, number(-2, typenum))
        if self.code == PYDL_B_relu_bwd:
            return None
        if self.code == PYDL_B_sigmoid_bwd:
            slope = binary_float(PYDL_B_add, slope, number(1, typenum))
        return binary_float(PYDL_B_mul, dz, binary_float(PYDL_B_mul, dy, slope))

    cdef int release(self) except -1:
        if self.code > PYDL_B_sub:
            self.a = None
            self.b = None
            self.out = None
            self.released = True
        return 0

    def name(self) -> str:
        name = BINARY_NAMES[self.code]
        return "".join([part.capitalize() for part in name.split("_")]) + ("Backward1" if self.code == PYDL_B_pow else "Backward0")


cdef TensorBase pow_grad_base(TensorBase dy, TensorBase a, TensorBase b):
    """dy b a^(b-1), and 0 where b = 0."""
    cdef int typenum = cnp.PyArray_TYPE(a.a)
    cdef TensorBase slope = binary_float(PYDL_B_mul, b, binary_float(PYDL_B_pow, a, binary_float(PYDL_B_sub, b, number(1, typenum))))
    return select(compare(PYDL_C_eq, b, 0), number(0, typenum), binary_float(PYDL_B_mul, dy, slope))


cdef TensorBase pow_grad_exponent(TensorBase dy, TensorBase a, TensorBase b, TensorBase out):
    """dy a^b log a, and 0 where a = 0 and b >= 0."""
    cdef TensorBase zero = adopt(np.asarray((a.a == 0) & (b.a >= 0)))
    cdef TensorBase safe = select(zero, number(1, cnp.PyArray_TYPE(a.a)), a)
    return binary_float(PYDL_B_mul, dy, binary_float(PYDL_B_mul, out, unary(PYDL_U_log, safe)))


cdef TensorBase wins(int code, TensorBase a, TensorBase b):
    """1 where a is taken, 1/2 where both are equal, 0 elsewhere."""
    more = a.a > b.a if code == PYDL_B_maximum else a.a < b.a
    return adopt(np.asarray(more + 0.5 * (a.a == b.a), a.a.dtype))


# --- comparison, choice -----------------------------------------------------------------------------------

cdef object compare(int code, object a, object b):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef TensorBase x, y, out
    cdef int ndim
    dtype = promoted(a, b, False)
    if dtype is None:
        return NotImplemented
    if slots.recording and begins():
        out = compare(code, a, b)
        ends(COMPARE_NAMES[code], (a, b), out)
        return out
    x = as_tensor(a, dtype)
    y = as_tensor(b, dtype)
    ndim = broadcast_shape(COMPARE_NAMES[code], (x.a, y.a), shape)
    if not is_float(x):
        return adopt(np.asarray(NUMPY_COMPARE[code](x.a, y.a)))
    if x.own_format and same_shape_as(x, ndim, shape):
        out = new_channels_last(ndim, shape, cnp.NPY_BOOL, True)
    else:
        out = new(ndim, shape, cnp.NPY_BOOL)
    apply2(<void*>table(is_f64(x)).eltwise.compare[code], out, x, y, PICOSECONDS_PLAIN)
    return out


cdef TensorBase select(TensorBase mask, TensorBase a, TensorBase b):
    """mask ? a : b, of one floating-point type; mask is bool."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef SelectNode node
    cdef int ndim = broadcast_shape("where", (mask.a, a.a, b.a), shape)
    cdef TensorBase out, like
    if cnp.PyArray_TYPE(a.a) != cnp.PyArray_TYPE(b.a) or cnp.PyArray_TYPE(mask.a) != cnp.NPY_BOOL:
        raise_types("where", a, b)
    like = a if a.own_format and same_shape_as(a, ndim, shape) else b if b.own_format and same_shape_as(b, ndim, shape) else None
    out = new(ndim, shape, cnp.PyArray_TYPE(a.a)) if like is None else new_like(like)
    apply3(<void*>table(is_f64(a)).eltwise.where, out, mask, a, b, PICOSECONDS_PLAIN)
    if grad_enabled() and (requires_grad(a) or requires_grad(b)):
        node = SelectNode.__new__(SelectNode)
        node.mask = mask
        node.version = mask.s.version
        node.e0 = edge_of(a)
        node.e1 = edge_of(b)
        node.shape_a = shape_if_other(a, out)
        node.shape_b = shape_if_other(b, out)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class SelectNode(Node):
    cdef TensorBase mask
    cdef unsigned int version
    cdef object shape_a, shape_b

    cdef object call(self, TensorBase dy):
        cdef TensorBase mask = unpack(self.mask, self.version, None)
        cdef TensorBase zero = number(0, cnp.PyArray_TYPE(dy.a))
        return (fit(select(mask, dy, zero), self.shape_a) if self.e0 is not None else None,
                fit(select(mask, zero, dy), self.shape_b) if self.e1 is not None else None)

    cdef int release(self) except -1:
        self.mask = None
        self.released = True
        return 0

    def name(self) -> str:
        return "WhereBackward0"


slots.unary = unary
slots.compare = compare
