# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise operations on floating-point tensors: check, forward and backward side by side.

Operands of other or mixed types are brought to one type first (PyTorch's promotion); integer arithmetic is NumPy's work.
"""

cimport cython
from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t

import numpy as np
cimport numpy as cnp

from pydl._core.kernels cimport *
from pydl._core.loops cimport MAX_DIMS, Loop, broadcast_shape, loop_init, loop_merge, loop_operand
from pydl._core.tape cimport (
    Node, TensorBase, adopt, alias, attach, check_inplace, edge_of, finish_inplace, grad_enabled, is_contiguous, is_f64, is_float,
    make, new, new_like, slots, unpack,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 16384        # elements that one thread takes at a time from a long run

# Nanoseconds an element, to decide on threads: memory-bound ones, and those that compute.
cdef double COST_PLAIN = 0.15
cdef double COST_MATH = 0.5

cdef tuple UNARY_NAMES = ("clone", "neg", "abs", "square", "reciprocal", "sqrt", "exp", "log", "tanh", "sigmoid", "relu")
cdef tuple BINARY_NAMES = ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "tanh_backward", "sigmoid_backward",
                           "threshold_backward")
cdef tuple COMPARE_NAMES = ("eq", "ne", "lt", "le", "gt", "ge")
cdef tuple NUMPY_BINARY = (np.add, np.subtract, np.multiply, np.true_divide, None, np.maximum, np.minimum)
cdef tuple NUMPY_UNARY = (np.positive, np.negative, np.abs, np.square)
cdef tuple NUMPY_COMPARE = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)


# --- running a kernel over a loop ---------------------------------------------------------------------------------

cdef ptrdiff_t offset_of_run(const Loop* p, int operand, ptrdiff_t run) noexcept nogil:
    cdef int d = p.ndim - 1
    cdef ptrdiff_t offset = 0
    while d > 0:
        offset += (run % p.shape[d]) * p.strides[operand][d]
        run //= p.shape[d]
        d -= 1
    return offset + run * p.strides[operand][0]


cdef void call_kernel(int kind, void* fn, const Loop* p, const ptrdiff_t* size, ptrdiff_t run, ptrdiff_t first, ptrdiff_t n) noexcept nogil:
    """Elements first..first+n of one run. kind: number of inputs; size: bytes an element of each operand."""
    cdef char* data[4]
    cdef ptrdiff_t stride[4]
    cdef int i
    for i in range(p.n_operands):
        data[i] = p.data[i] + first * p.run_strides[i]
        if p.ndim:
            data[i] += offset_of_run(p, i, run)
        stride[i] = p.run_strides[i] // size[i]
    if kind == 1:
        (<pydl_unary_fn*>fn)(data[1], stride[1], data[0], stride[0], n)
    elif kind == 2:
        (<pydl_binary_fn*>fn)(data[1], stride[1], data[2], stride[2], data[0], stride[0], n)
    else:
        (<void (*)(const uint8_t*, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t) noexcept nogil>fn)(
            <const uint8_t*>data[1], stride[1], data[2], stride[2], data[3], stride[3], data[0], stride[0], n)


cdef void run_parallel(int kind, void* fn, const Loop* p, const ptrdiff_t* size, int threads) noexcept nogil:
    cdef ptrdiff_t pieces = (p.run + CHUNK - 1) // CHUNK, i, first
    cdef ptrdiff_t total = pieces * p.n_runs
    if threads == 1:
        for i in range(total):
            first = (i % pieces) * CHUNK
            call_kernel(kind, fn, p, size, i // pieces, first, min(<ptrdiff_t>CHUNK, p.run - first))
        return
    for i in prange(total, num_threads=threads, schedule="static"):
        call_kernel(kind, fn, p, size, i // pieces, (i % pieces) * CHUNK, min(<ptrdiff_t>CHUNK, p.run - (i % pieces) * CHUNK))


cdef void run_loop(int kind, void* fn, Loop* p, const ptrdiff_t* size, double cost) noexcept:
    """Runs an elementwise kernel over all operands, threaded and without the interpreter lock when that pays."""
    cdef double work = <double>p.run * <double>p.n_runs * cost
    cdef int threads
    cdef int64_t start
    if work < RELEASE_GIL_NS:
        start = tick()
        run_parallel(kind, fn, p, size, 1)
        tock(start)
        return
    enter_kernel()
    threads = threads_for(work)
    with nogil:
        start = tick()
        run_parallel(kind, fn, p, size, threads)
        tock(start)
    leave_kernel()


cdef int apply1(void* fn, TensorBase out, TensorBase x, double cost) except -1:
    """out[i] = fn(x[i]); x has the shape of out."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef int64_t start
    if n == 0:
        return 0
    if n < CHUNK and is_contiguous(out) and is_contiguous(x):
        start = tick()
        (<pydl_unary_fn*>fn)(cnp.PyArray_DATA(x.a), 1, cnp.PyArray_DATA(out.a), 1, n)
        tock(start)
        return 0
    loop_init(&p, 2, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, x.a, p.ndim)
    loop_merge(&p)
    size[0] = size[1] = cnp.PyArray_ITEMSIZE(out.a)
    run_loop(1, fn, &p, size, cost)
    return 0


cdef int apply2(void* fn, TensorBase out, TensorBase a, TensorBase b, double cost) except -1:
    """out[i] = fn(a[i], b[i]); a and b broadcast to the shape of out; out may be bytes (comparison)."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef int64_t start
    if n == 0:
        return 0
    if (n < CHUNK and is_contiguous(out) and is_contiguous(a) and is_contiguous(b) and cnp.PyArray_SIZE(a.a) == n
            and cnp.PyArray_SIZE(b.a) == n):
        start = tick()
        (<pydl_binary_fn*>fn)(cnp.PyArray_DATA(a.a), 1, cnp.PyArray_DATA(b.a), 1, cnp.PyArray_DATA(out.a), 1, n)
        tock(start)
        return 0
    loop_init(&p, 3, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, a.a, p.ndim)
    loop_operand(&p, 2, b.a, p.ndim)
    loop_merge(&p)
    size[0] = cnp.PyArray_ITEMSIZE(out.a)
    size[1] = size[2] = cnp.PyArray_ITEMSIZE(a.a)
    run_loop(2, fn, &p, size, cost)
    return 0


cdef inline bint same_shape(TensorBase a, TensorBase b) noexcept:
    cdef int d, n = cnp.PyArray_NDIM(a.a)
    if n != cnp.PyArray_NDIM(b.a):
        return False
    for d in range(n):
        if cnp.PyArray_DIMS(a.a)[d] != cnp.PyArray_DIMS(b.a)[d]:
            return False
    return True


# --- helpers ------------------------------------------------------------------------------------------------------

cdef TensorBase number(double value, int typenum):
    cdef TensorBase t = new(0, NULL, typenum)
    if typenum == cnp.NPY_DOUBLE:
        (<double*>cnp.PyArray_DATA(t.a))[0] = value
    else:
        (<float*>cnp.PyArray_DATA(t.a))[0] = <float>value
    return t


cdef inline bint is_number(object v):
    return isinstance(v, (float, int, np.generic))


cdef TensorBase fit(TensorBase g, object shape):
    return g if shape is None else slots.sum_to(g, shape)


cdef object shape_if_other(TensorBase x, TensorBase out):
    return None if same_shape(x, out) else (<object>x.a).shape


cdef TensorBase cast(TensorBase x, int typenum):
    """x in another element type; x itself if it has that one."""
    cdef CastNode node
    cdef TensorBase out
    if cnp.PyArray_TYPE(x.a) == typenum:
        return x
    out = new(cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), typenum)
    with np.errstate(invalid="ignore"):
        np.copyto(out.a, x.a, casting="unsafe")
    if grad_enabled() and x.requires_grad and is_float(out):
        node = CastNode.__new__(CastNode)
        node.typenum = cnp.PyArray_TYPE(x.a)
        node.e0 = edge_of(x)
        attach(out, node)
    return out


@cython.final
@cython.no_gc
cdef class CastNode(Node):
    cdef int typenum

    cdef object call(self, TensorBase dy):
        return cast(dy, self.typenum)

    def name(self) -> str:
        return "ToCopyBackward0"


# --- unary --------------------------------------------------------------------------------------------------------

cdef TensorBase unary(int code, TensorBase x):
    cdef TensorBase out
    if not is_float(x):
        return unary_other(code, x)
    out = new_like(x)
    apply1(<void*>table(is_f64(x)).unary[code], out, x, COST_PLAIN if code < PYDL_U_exp else COST_MATH)
    if grad_enabled() and x.requires_grad:
        record_unary(code, out, x)
    return out


cdef TensorBase unary_other(int code, TensorBase x):
    """Integers: what stays integer is NumPy's work, the rest is done in the default type."""
    if code <= PYDL_U_square:
        if code == PYDL_U_neg and cnp.PyArray_TYPE(x.a) == cnp.NPY_BOOL:
            raise RuntimeError("neg: is not defined for bool tensors; use ~ or logical_not()")
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
        node.saved = make(out.a, out.s)
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
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef TensorBase out
    cdef int ndim
    if same_shape(a, b):
        out = new_like(a)
    else:
        ndim = broadcast_shape(BINARY_NAMES[code], (a.a, b.a), shape)
        out = new(ndim, shape, cnp.PyArray_TYPE(a.a))
    apply2(<void*>table(is_f64(a)).binary[code], out, a, b, COST_MATH if code == PYDL_B_pow else COST_PLAIN)
    if grad_enabled() and (a.requires_grad or b.requires_grad):
        record_binary(code, out, a, b)
    return out


cdef object binary(int code, object a, object b):
    cdef TensorBase x, y
    if isinstance(a, TensorBase):
        x = <TensorBase>a
        if isinstance(b, TensorBase):
            y = <TensorBase>b
            if cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(y.a) and is_float(x):
                return binary_float(code, x, y)
        elif is_float(x) and (isinstance(b, float) or isinstance(b, int)):
            if code == PYDL_B_pow:
                return pow_number(x, <double>b)
            return binary_float(code, x, number(<double>b, cnp.PyArray_TYPE(x.a)))
    elif isinstance(b, TensorBase) and (isinstance(a, float) or isinstance(a, int)) and is_float(<TensorBase>b):
        return binary_float(code, number(<double>a, cnp.PyArray_TYPE((<TensorBase>b).a)), <TensorBase>b)
    return binary_mixed(code, a, b)


cdef TensorBase pow_number(TensorBase x, double exponent):
    if exponent == 2:
        return unary(PYDL_U_square, x)
    if exponent == 0.5:
        return unary(PYDL_U_sqrt, x)
    if exponent == -1:
        return unary(PYDL_U_reciprocal, x)
    return binary_float(PYDL_B_pow, x, number(exponent, cnp.PyArray_TYPE(x.a)))


cdef tuple describe(object v):
    """(NumPy type, number of dimensions, whether it is a number) for the promotion rules."""
    if isinstance(v, TensorBase):
        return (<object>(<TensorBase>v).a).dtype, cnp.PyArray_NDIM((<TensorBase>v).a), False
    return type(v), 0, True


cdef object promoted(object a, object b, bint to_float):
    """The NumPy type that an operation on a and b is done in; None if one is neither a tensor nor a number."""
    if not (isinstance(a, TensorBase) or is_number(a)) or not (isinstance(b, TensorBase) or is_number(b)):
        return None
    return dtypes.promote_binary(*describe(a), *describe(b), to_float)


cdef TensorBase as_tensor(object v, object np_dtype):
    if isinstance(v, TensorBase):
        return cast(<TensorBase>v, np_dtype.num)
    return adopt(np.asarray(v, np_dtype))


cdef object binary_mixed(int code, object a, object b):
    cdef TensorBase x, y
    cdef cnp.npy_intp shape[MAX_DIMS]
    dtype = promoted(a, b, code == PYDL_B_div)
    if dtype is None:
        return NotImplemented
    x = as_tensor(a, dtype)
    y = as_tensor(b, dtype)
    if dtype.kind == "f":
        return binary_float(code, x, y)
    broadcast_shape(BINARY_NAMES[code], (x.a, y.a), shape)
    if dtype.kind == "b" and code == PYDL_B_sub:
        raise RuntimeError("sub: subtraction of bool tensors is not supported; use ^ or logical_xor()")
    if code == PYDL_B_pow:
        if np.any(np.asarray(y.a) < 0) and not isinstance(b, TensorBase):
            raise RuntimeError("pow: integers to negative integer powers are not allowed")
        return adopt(np.asarray(integer_pow(x.a, y.a)))
    return adopt(np.asarray(NUMPY_BINARY[code](x.a, y.a)))


cdef object integer_pow(object base, object exponent):
    """As PyTorch: a negative exponent gives 0, except for bases 1 and -1."""
    result = np.power(base, np.maximum(exponent, 0))
    unit = np.where(base == 1, 1, np.where(base == -1, np.where(exponent % 2 == 0, 1, -1), 0)).astype(result.dtype)
    return np.where(exponent < 0, unit, result)


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
        if code != PYDL_B_div and (code != PYDL_B_mul or self.e1 is not None):
            self.a = a
            self.version_a = a.s.version
        if code != PYDL_B_mul or self.e0 is not None:
            self.b = b
            self.version_b = b.s.version
        if code == PYDL_B_pow or (code == PYDL_B_div and self.e1 is not None):
            self.out = make(out.a, out.s)
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
            db = unary(PYDL_U_neg, binary_float(PYDL_B_mul, da, out)) if right else None
        elif code == PYDL_B_pow:
            da = pow_grad_base(dy, a, b) if left else None
            db = pow_grad_exponent(dy, a, b, out) if right else None
        elif code == PYDL_B_maximum or code == PYDL_B_minimum:
            da = binary_float(PYDL_B_mul, dy, wins(code, a, b)) if left else None
            db = binary_float(PYDL_B_mul, dy, wins(code, b, a)) if right else None
        else:
            da = binary_float(code, dy, b) if left else None
            db = self.grad_of_output(dy, a, b) if right else None
        return fit(da, self.shape_a) if left else None, fit(db, self.shape_b) if right else None

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


# --- in place -----------------------------------------------------------------------------------------------------

cdef TensorBase operand_for(TensorBase x, object other, str name, bint to_float):
    """`other` as a tensor of x's type, with shapes and types checked, on memory that the change of x does not reach."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef TensorBase y
    cdef int ndim
    dtype = promoted(x, other, to_float)
    if dtype is None:
        raise TypeError(f"{name}: takes a Tensor or a number, not {type(other).__name__}")
    if not dtypes.can_cast(dtypes.from_np(dtype), x.dtype):
        raise RuntimeError(f"{name}: result type {dtypes.from_np(dtype)} can't be cast to the desired output type {x.dtype}")
    y = as_tensor(other, (<object>x.a).dtype)
    ndim = broadcast_shape(name, (x.a, y.a), shape)
    if tuple([shape[i] for i in range(ndim)]) != (<object>x.a).shape:
        raise_broadcast(name, x, y)
    if y.s is x.s and not ((<object>y.a).strides == (<object>x.a).strides and cnp.PyArray_DATA(y.a) == cnp.PyArray_DATA(x.a)):
        y = clone(y)
    return y


cdef int raise_broadcast(str name, TensorBase x, TensorBase y) except -1:
    raise ShapeError(f"{name}: the result would not have the shape of the tensor that is changed: {tuple(x.shape)}, other {tuple(y.shape)}")


cdef object binary_(int code, TensorBase x, object other):
    """x = f(x, other), in x's memory."""
    cdef TensorBase y, old
    cdef bint recorded
    cdef str name
    # The way of sums of gradients and optimizer steps: same type and shape, nothing recorded.
    if isinstance(other, TensorBase) and not grad_enabled() or not x.requires_grad:
        y = <TensorBase>other if isinstance(other, TensorBase) else None
        if (y is not None and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(y.a) and is_float(x) and same_shape(x, y) and y.s is not x.s
                and is_contiguous(x) and not (grad_enabled() and y.requires_grad) and cnp.PyArray_ISWRITEABLE(x.a)):
            apply2(<void*>table(is_f64(x)).binary[code], x, x, y, COST_PLAIN)
            x.s.version += 1
            return x
    name = BINARY_NAMES[code] + "_"
    check_inplace(x, name)
    y = operand_for(x, other, name, code == PYDL_B_div)
    if not is_float(x):
        np.copyto(x.a, (<TensorBase>binary(code, x, y)).a, casting="unsafe")
        x.s.version += 1
        return x
    recorded = grad_enabled() and (x.requires_grad or y.requires_grad)
    old = x
    if recorded:
        # The derivative by the other operand, and that of pow, max and min, needs the values of x from before.
        old = alias(x)
        if code > PYDL_B_div or (code == PYDL_B_mul and y.requires_grad):
            old = clone(x)
        if y is x or y.s is x.s:
            y = clone(y)
    apply2(<void*>table(is_f64(x)).binary[code], x, old, y, COST_MATH if code == PYDL_B_pow else COST_PLAIN)
    x.s.version += 1
    if recorded:
        rerecord_binary(code, x, old, y)
    return x


cdef int rerecord_binary(int code, TensorBase x, TensorBase old, TensorBase y) except -1:
    cdef TensorBase out = make(x.a, x.s)
    record_binary(code, out, old, y)
    return finish_inplace(x, out.node)


cdef TensorBase unary_(int code, TensorBase x):
    """x = f(x), in x's memory."""
    cdef TensorBase old, out
    cdef bint recorded
    check_inplace(x, UNARY_NAMES[code] + "_")
    if not is_float(x):
        if code > PYDL_U_square and code != PYDL_U_relu:
            raise RuntimeError(f"{UNARY_NAMES[code]}_: result type {dtypes.get_default_dtype()} can't be cast to the desired output type {x.dtype}")
        np.copyto(x.a, unary_other(code, x).a)
        x.s.version += 1
        return x
    recorded = grad_enabled() and x.requires_grad
    old = x
    if recorded:
        old = clone(x) if code == PYDL_U_abs or code == PYDL_U_square or code == PYDL_U_log else alias(x)
    apply1(<void*>table(is_f64(x)).unary[code], x, old, COST_PLAIN if code < PYDL_U_exp else COST_MATH)
    x.s.version += 1
    if recorded:
        out = make(x.a, x.s)
        record_unary(code, out, old)
        finish_inplace(x, out.node)
    return x


# --- copies -------------------------------------------------------------------------------------------------------

cdef TensorBase clone(TensorBase x):
    if is_float(x):
        return unary(PYDL_U_copy, x)
    return adopt(x.a.copy())


cdef TensorBase contiguous(TensorBase x):
    return x if is_contiguous(x) else clone(x)


cdef TensorBase copy_(TensorBase x, TensorBase source):
    """Writes source, cast and broadcast, into x."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef CopyNode node
    cdef bint recorded
    cdef int ndim
    check_inplace(x, "copy_")
    ndim = broadcast_shape("copy_", (x.a, source.a), shape)
    if ndim != cnp.PyArray_NDIM(x.a) or not all([shape[i] == cnp.PyArray_DIMS(x.a)[i] for i in range(ndim)]):
        raise_broadcast("copy_", x, source)
    recorded = grad_enabled() and is_float(x) and (x.requires_grad or source.requires_grad)
    if is_float(x) and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(source.a) and same_shape(x, source) and x.s is not source.s:
        apply1(<void*>table(is_f64(x)).unary[PYDL_U_copy], x, source, COST_PLAIN)
    else:
        with np.errstate(invalid="ignore"):
            np.copyto(x.a, source.a, casting="unsafe")
    x.s.version += 1
    if recorded:
        node = CopyNode.__new__(CopyNode)
        node.typenum = cnp.PyArray_TYPE(source.a)
        node.shape = shape_if_other(source, x)
        node.e1 = edge_of(source)
        finish_inplace(x, node)
    return x


@cython.final
@cython.no_gc
cdef class CopyNode(Node):
    """Edge 0 is what x was before: it gets nothing."""
    cdef int typenum
    cdef object shape

    cdef object call(self, TensorBase dy):
        return None, cast(fit(dy, self.shape), self.typenum) if self.e1 is not None else None

    def name(self) -> str:
        return "CopyBackwards"


# --- comparison, choice, bounds -----------------------------------------------------------------------------------

cdef object compare(int code, object a, object b):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef TensorBase x, y, out
    cdef int ndim
    dtype = promoted(a, b, False)
    if dtype is None:
        return NotImplemented
    x = as_tensor(a, dtype)
    y = as_tensor(b, dtype)
    ndim = broadcast_shape(COMPARE_NAMES[code], (x.a, y.a), shape)
    if not is_float(x):
        return adopt(np.asarray(NUMPY_COMPARE[code](x.a, y.a)))
    out = new(ndim, shape, cnp.NPY_BOOL)
    apply2(<void*>table(is_f64(x)).compare[code], out, x, y, COST_PLAIN)
    return out


cdef TensorBase select(TensorBase mask, TensorBase a, TensorBase b):
    """mask ? a : b, of one floating-point type; mask is bool."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef ptrdiff_t size[4]
    cdef Loop p
    cdef SelectNode node
    cdef int ndim = broadcast_shape("where", (mask.a, a.a, b.a), shape)
    cdef TensorBase out = new(ndim, shape, cnp.PyArray_TYPE(a.a))
    if cnp.PyArray_SIZE(out.a):
        loop_init(&p, 4, ndim, shape)
        loop_operand(&p, 0, out.a, ndim)
        loop_operand(&p, 1, mask.a, ndim)
        loop_operand(&p, 2, a.a, ndim)
        loop_operand(&p, 3, b.a, ndim)
        loop_merge(&p)
        size[0] = size[2] = size[3] = cnp.PyArray_ITEMSIZE(a.a)
        size[1] = 1
        run_loop(3, <void*>table(is_f64(a)).where, &p, size, COST_PLAIN)
    if grad_enabled() and (a.requires_grad or b.requires_grad):
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


cdef TensorBase clamp_numbers(TensorBase x, double lo, double hi):
    cdef TensorBase out = new_like(x)
    cdef ClampNode node
    cdef Loop p
    cdef ptrdiff_t r
    cdef int64_t start = tick()
    if cnp.PyArray_SIZE(x.a):
        loop_init(&p, 2, cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a))
        loop_operand(&p, 0, out.a, p.ndim)
        loop_operand(&p, 1, x.a, p.ndim)
        loop_merge(&p)
        for r in range(p.n_runs):
            table(is_f64(x)).clamp(p.data[1] + (offset_of_run(&p, 1, r) if p.ndim else 0), p.run_strides[1] // cnp.PyArray_ITEMSIZE(x.a), lo, hi,
                                   p.data[0] + (offset_of_run(&p, 0, r) if p.ndim else 0), p.run_strides[0] // cnp.PyArray_ITEMSIZE(x.a), p.run)
    tock(start)
    if grad_enabled() and x.requires_grad:
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


slots.unary = unary
slots.binary = binary
slots.binary_ = binary_
slots.compare = compare
slots.copy_ = copy_
