# SPDX-License-Identifier: BSD-3-Clause
"""Activations: elementwise functions with parameters, their derivatives, in place or not, recorded; PReLU and GLU.

One node serves them all. Under create_graph the derivative of the smooth ones is composed of recorded operations (set_slopes), that
of the piecewise linear ones is itself an operation that is linear in dy. Most of the file is documentation: more than 400 lines.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport binary_float, clone
from pydl._core.kernels cimport PYDL_B_mul, table
from pydl._core.loops cimport PICOSECONDS_MATH, PICOSECONDS_PLAIN, apply2, apply3, apply_parameters, same_shape
from pydl._core.promote cimport cast
from pydl._core.tape cimport (
    Node, TensorBase, adopt, alias, array_on, attach, check_inplace, edge_of, finish_inplace, grad_enabled, is_channels_last,
    is_contiguous, is_f64, is_float, make, new, new_channels_last, new_like, requires_grad, twin, unpack,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()

cdef extern from "activation_kernels.h" nogil:
    enum:
        PYDL_A_leaky_relu, PYDL_A_hardtanh, PYDL_A_threshold, PYDL_A_hardshrink, PYDL_A_softshrink, PYDL_A_hardsigmoid
        PYDL_A_hardswish, PYDL_A_elu, PYDL_A_softplus, PYDL_A_gelu, PYDL_A_gelu_tanh, PYDL_A_silu, PYDL_A_mish
        PYDL_A_logsigmoid, PYDL_A_softsign, PYDL_A_tanhshrink, PYDL_A_erf, PYDL_A_erfc, PYDL_A_expm1, PYDL_A_log1p
    ctypedef void pydl_activation_fn(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const double*) noexcept nogil
    ctypedef void pydl_activation_bwd_fn(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t,
                                         const double*) noexcept nogil
    ctypedef struct pydl_activation:
        pydl_activation_fn** fwd
        pydl_activation_bwd_fn** bwd
        void* prelu
        void* prelu_bwd
        void* glu
        void* glu_bwd

cdef double SELU_ALPHA = 1.6732632423543772848170429916717
cdef double SELU_SCALE = 1.0507009873554804934193349852946

# By code; the derivative as a function of recorded operations, None for what is linear between kinks.
cdef list slopes = [None] * 20
cdef tuple CODES = (
    "leaky_relu", "hardtanh", "threshold", "hardshrink", "softshrink", "hardsigmoid", "hardswish", "elu", "softplus", "gelu", "gelu_tanh",
    "silu", "mish", "logsigmoid", "softsign", "tanhshrink", "erf", "erfc", "expm1", "log1p",
)


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


# --- the functions ------------------------------------------------------------------------------------------------

def relu6(input, bint inplace=False):
    """min(max(x, 0), 6). Shapes: any; integers stay integers. Gradient: dy where 0 < x < 6, else 0.
    Source: torch.nn.functional.relu6.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.relu6(pydl.tensor([-2., 3., 8.]))
        tensor([0., 3., 6.])
    """
    return activate("relu6", PYDL_A_hardtanh, input, 0, 6, 0, inplace)


def leaky_relu(input, double negative_slope=0.01, bint inplace=False):
    """y = x above 0, negative_slope · x below. Shapes: any. Gradient: dy or negative_slope · dy (at 0 too).
    Source: torch.nn.functional.leaky_relu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.leaky_relu(pydl.tensor([-2., 0., 3.]), 0.1)
        tensor([-0.2000,  0.0000,  3.0000])
    """
    return activate("leaky_relu", PYDL_A_leaky_relu, input, negative_slope, 0, 0, inplace)


def leaky_relu_(input, double negative_slope=0.01):
    """leaky_relu in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.leaky_relu_."""
    return activate("leaky_relu", PYDL_A_leaky_relu, input, negative_slope, 0, 0, True)


def elu(input, double alpha=1.0, bint inplace=False):
    """y = x above 0, alpha (eˣ − 1) below. Shapes: any. Gradient: dy, or alpha · eˣ · dy where x ≤ 0.
    Source: torch.nn.functional.elu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.elu(pydl.tensor([-2., 0., 3.]))
        tensor([-0.8647,  0.0000,  3.0000])
    """
    return activate("elu", PYDL_A_elu, input, alpha, 1, 1, inplace)


def elu_(input, double alpha=1.0):
    """elu in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.elu_."""
    return activate("elu", PYDL_A_elu, input, alpha, 1, 1, True)


def selu(input, bint inplace=False):
    """y = 1.0507 (x above 0, 1.6733 (eˣ − 1) below): the elu that keeps mean 0 and variance 1. Shapes: any.
    Gradient: as elu's. Source: torch.nn.functional.selu, torch.selu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.selu(pydl.tensor([-2., 0., 3.]))
        tensor([-1.5202,  0.0000,  3.1521])
    """
    return activate("selu", PYDL_A_elu, input, SELU_ALPHA, SELU_SCALE, 1, inplace)


def selu_(input):
    """selu in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.selu_."""
    return activate("selu", PYDL_A_elu, input, SELU_ALPHA, SELU_SCALE, 1, True)


def celu(input, double alpha=1.0, bint inplace=False):
    """y = x above 0, alpha (e^(x/alpha) − 1) below. Shapes: any. Gradient: dy, or e^(x/alpha) · dy where x ≤ 0.
    Errors: RuntimeError for alpha = 0. Source: torch.nn.functional.celu, torch.celu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.celu(pydl.tensor([-2., 0., 3.]), 2.0)
        tensor([-1.2642,  0.0000,  3.0000])
    """
    if alpha == 0:
        raise RuntimeError("celu: ZeroDivisionError: alpha cannot be 0 for CELU")
    return activate("celu", PYDL_A_elu, input, alpha, 1, 1 / alpha, inplace)


def celu_(input, double alpha=1.0):
    """celu in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.celu_."""
    if alpha == 0:
        raise RuntimeError("celu_: ZeroDivisionError: alpha cannot be 0 for CELU")
    return activate("celu", PYDL_A_elu, input, alpha, 1, 1 / alpha, True)


def hardtanh(input, double min_val=-1.0, double max_val=1.0, bint inplace=False):
    """y = min(max(x, min_val), max_val). Shapes: any; integers stay integers. Gradient: dy strictly between the bounds, else 0.
    Errors: ValueError for min_val > max_val. Source: torch.nn.functional.hardtanh.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.hardtanh(pydl.tensor([-2., 0., 3.]))
        tensor([-1.,  0.,  1.])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val cannot be greater than max_val, but {min_val} > {max_val}")
    return activate("hardtanh", PYDL_A_hardtanh, input, min_val, max_val, 0, inplace)


def hardtanh_(input, double min_val=-1.0, double max_val=1.0):
    """hardtanh in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.hardtanh_."""
    if min_val > max_val:
        raise ValueError(f"hardtanh_: min_val cannot be greater than max_val, but {min_val} > {max_val}")
    return activate("hardtanh", PYDL_A_hardtanh, input, min_val, max_val, 0, True)


def threshold(input, double threshold, double value, bint inplace=False):
    """y = x above the threshold, else value. Shapes: any; integers stay integers. Gradient: dy above the threshold, else 0.
    Source: torch.nn.functional.threshold, torch.threshold.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.threshold(pydl.tensor([-2., 0., 3.]), 1, 20)
        tensor([20., 20.,  3.])
    """
    return activate("threshold", PYDL_A_threshold, input, threshold, value, 0, inplace)


def threshold_(input, double threshold, double value):
    """threshold in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.nn.functional.threshold_."""
    return activate("threshold", PYDL_A_threshold, input, threshold, value, 0, True)


def hardsigmoid(input, bint inplace=False):
    """y = min(max(x + 3, 0), 6) / 6. Shapes: any. Gradient: dy / 6 where −3 < x < 3, else 0.
    Source: torch.nn.functional.hardsigmoid.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.hardsigmoid(pydl.tensor([-2., 0., 3.]))
        tensor([0.1667, 0.5000, 1.0000])
    """
    return activate("hardsigmoid", PYDL_A_hardsigmoid, input, 0, 0, 0, inplace)


def gelu(input, *, str approximate="none"):
    """y = x Φ(x), Φ the normal distribution; approximate="tanh": x σ(2 √(2/π) (x + 0.044715 x³)). Shapes: any.

    Gradient: dy (Φ(x) + x φ(x)). Errors: RuntimeError for another `approximate`. Source: torch.nn.functional.gelu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.gelu(pydl.tensor([-2., 0., 3.]))
        tensor([-0.0455,  0.0000,  2.9960])
    """
    if approximate != "none" and approximate != "tanh":
        raise RuntimeError(f"gelu: approximate argument must be either none or tanh, not {approximate!r}")
    return activate("gelu", PYDL_A_gelu if approximate == "none" else PYDL_A_gelu_tanh, input, 0, 0, 0, False)


def hardswish(input, bint inplace=False):
    """y = x min(max(x + 3, 0), 6) / 6. Shapes: any. Gradient: dy (x/3 + 1/2) where −3 < x < 3, dy above, 0 below.
    Source: torch.nn.functional.hardswish.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.hardswish(pydl.tensor([-2., 0., 3.]))
        tensor([-0.3333,  0.0000,  3.0000])
    """
    return activate("hardswish", PYDL_A_hardswish, input, 0, 0, 0, inplace)


def silu(input, bint inplace=False):
    """y = x σ(x), also known as swish. Shapes: any. Gradient: dy σ(x) (1 + x (1 − σ(x))). Source: torch.nn.functional.silu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.silu(pydl.tensor([-2., 0., 3.]))
        tensor([-0.2384,  0.0000,  2.8577])
    """
    return activate("silu", PYDL_A_silu, input, 0, 0, 0, inplace)


def mish(input, bint inplace=False):
    """y = x tanh(log(1 + eˣ)). Shapes: any. Gradient: dy (t + x (1 − t²) σ(x)) for t = y / x. Source: torch.nn.functional.mish.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.mish(pydl.tensor([-2., 0., 3.]))
        tensor([-0.2525,  0.0000,  2.9865])
    """
    return activate("mish", PYDL_A_mish, input, 0, 0, 0, inplace)


def hardshrink(input, double lambd=0.5):
    """y = x, but 0 where |x| ≤ lambd. Shapes: any. Gradient: dy outside, 0 inside.
    Source: torch.nn.functional.hardshrink, torch.hardshrink.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.hardshrink(pydl.tensor([-2., 0.3, 3.]))
        tensor([-2.,  0.,  3.])
    """
    return activate("hardshrink", PYDL_A_hardshrink, input, lambd, 0, 0, False)


def softshrink(input, double lambd=0.5):
    """y = x moved by lambd towards 0, and 0 where |x| ≤ lambd. Shapes: any. Gradient: dy outside, 0 inside.
    Errors: RuntimeError for lambd < 0. Source: torch.nn.functional.softshrink.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.softshrink(pydl.tensor([-2., 0.3, 3.]))
        tensor([-1.5000,  0.0000,  2.5000])
    """
    if not lambd >= 0:
        raise RuntimeError(f"softshrink: lambda must be in range [0, inf), but found {lambd}")
    return activate("softshrink", PYDL_A_softshrink, input, lambd, 0, 0, False)


def tanhshrink(input):
    """y = x − tanh x. Shapes: any; integers are computed in the default type. Gradient: dy tanh² x.
    Source: torch.nn.functional.tanhshrink.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.tanhshrink(pydl.tensor([-2., 0., 3.]))
        tensor([-1.0360,  0.0000,  2.0049])
    """
    return activate("tanhshrink", PYDL_A_tanhshrink, input, 0, 0, 0, False)


def softsign(input):
    """y = x / (1 + |x|). Shapes: any; integers are computed in the default type. Gradient: dy / (1 + |x|)².
    Source: torch.nn.functional.softsign.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.softsign(pydl.tensor([-2., 0., 3.]))
        tensor([-0.6667,  0.0000,  0.7500])
    """
    return activate("softsign", PYDL_A_softsign, input, 0, 0, 0, False)


def softplus(input, double beta=1.0, double threshold=20.0):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold. Shapes: any. Gradient: dy σ(beta x).
    Source: torch.nn.functional.softplus.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.softplus(pydl.tensor([-2., 0., 3.]))
        tensor([0.1269, 0.6931, 3.0486])
    """
    return activate("softplus", PYDL_A_softplus, input, beta, threshold, 0, False)


def logsigmoid(input):
    """y = log σ(x) = −log(1 + e⁻ˣ). Shapes: any. Gradient: dy σ(−x). Source: torch.nn.functional.logsigmoid.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.logsigmoid(pydl.tensor([-2., 0., 3.]))
        tensor([-2.1269, -0.6931, -0.0486])
    """
    return activate("logsigmoid", PYDL_A_logsigmoid, input, 0, 0, 0, False)


def erf(input):
    """y = 2/√π ∫₀ˣ e^(−t²) dt. Shapes: any; integers are computed in the default type. Gradient: dy · 2/√π · e^(−x²).
    Source: torch.erf.

    Example:
        >>> import pydl
        >>> pydl.erf(pydl.tensor([-1., 0., 1.]))
        tensor([-0.8427,  0.0000,  0.8427])
    """
    return activate("erf", PYDL_A_erf, input, 0, 0, 0, False)


def erf_(input):
    """erf in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.erf_."""
    return activate("erf", PYDL_A_erf, input, 0, 0, 0, True)


def erfc(input):
    """y = 1 − erf x, exact in the right tail. Shapes: any; integers are computed in the default type.
    Gradient: −dy · 2/√π · e^(−x²). Source: torch.erfc.

    Example:
        >>> import pydl
        >>> pydl.erfc(pydl.tensor([0., 5.]))
        tensor([1.0000e+00, 1.5375e-12])
    """
    return activate("erfc", PYDL_A_erfc, input, 0, 0, 0, False)


def erfc_(input):
    """erfc in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.erfc_."""
    return activate("erfc", PYDL_A_erfc, input, 0, 0, 0, True)


def expm1(input):
    """y = eˣ − 1, exact for small x. Shapes: any; integers are computed in the default type. Gradient: dy · eˣ.
    Source: torch.expm1.

    Example:
        >>> import pydl
        >>> pydl.expm1(pydl.tensor([0., 1e-10])) * 1e10
        tensor([0., 1.])
    """
    return activate("expm1", PYDL_A_expm1, input, 0, 0, 0, False)


def expm1_(input):
    """expm1 in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.expm1_."""
    return activate("expm1", PYDL_A_expm1, input, 0, 0, 0, True)


def log1p(input):
    """y = log(1 + x), exact for small x; −∞ at −1, NaN below. Shapes: any; integers are computed in the default type.
    Gradient: dy / (1 + x). Source: torch.log1p.

    Example:
        >>> import pydl
        >>> pydl.log1p(pydl.tensor([0., 1e-10])) * 1e10
        tensor([0., 1.])
    """
    return activate("log1p", PYDL_A_log1p, input, 0, 0, 0, False)


def log1p_(input):
    """log1p in place: x is overwritten with the result. Errors: RuntimeError for a leaf that requires grad.
    Source: torch.Tensor.log1p_."""
    return activate("log1p", PYDL_A_log1p, input, 0, 0, 0, True)
