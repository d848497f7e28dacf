# SPDX-License-Identifier: BSD-3-Clause
"""Functions of whole tensors as users call them, with their documentation: products, sums, views and copies."""

from operator import index as as_int

import numpy as np
cimport numpy as cnp

cimport pydl._core.eltwise as eltwise
cimport pydl._core.inplace as in_place
cimport pydl._core.linalg as linalg
cimport pydl._core.promote as promote
cimport pydl._core.shape as shape
cimport pydl._core.sums as sums
from pydl._core.arguments cimport tensor_arg
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport TensorBase, is_float, slots

from pydl._core import dtypes
from pydl._core.tape import wrap

cnp.import_array()


cdef tuple ints_arg(tuple sizes, str op):
    """Sizes given one by one, or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple([int(as_int(s)) for s in sizes])
    except TypeError:
        raise TypeError(f"{op}: sizes and dims must be ints, not {sizes!r}") from None


def matmul(input, other):
    """y = input @ other. Shapes: (n)·(n) → (); (m, n)·(n, p) → (m, p);
    leading dimensions are batches and broadcast; a vector counts as a row on the left and a column on the right.

    Gradient: dinput = dy otherᵀ, dother = inputᵀ dy. Errors: ShapeError, RuntimeError for different types.
    Source: torch.matmul.

    Example:
        >>> import pydl
        >>> pydl.matmul(pydl.tensor([[1., 2.]]), pydl.tensor([[3.], [4.]]))
        tensor([[11.]])
    """
    return linalg.matmul(tensor_arg(input, "matmul", "input"), tensor_arg(other, "matmul", "other"))


def linear(input, weight, bias=None):
    """y = x Wᵀ + b. Shapes: x (..., I), W (K, I), b (K) → y (..., K).

    Gradient: dx = dy W, dW = dyᵀ x, db = Σ dy over the rows.
    Errors: ShapeError; RuntimeError for different types. Source: torch.nn.functional.linear.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.linear(pydl.tensor([[1., 2.]]), pydl.tensor([[3., 4.]]), pydl.tensor([0.5]))
        tensor([[11.5000]])
    """
    return linalg.linear(tensor_arg(input, "linear", "input"), tensor_arg(weight, "linear", "weight"),
                         None if bias is None else tensor_arg(bias, "linear", "bias"))


cdef object reduce_sum(object input, object dim, bint keepdim, object dtype, bint mean, str op):
    cdef TensorBase x = tensor_arg(input, op, "input")
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    if slots.recording and begins():
        out = reduce_sum(x, dim, keepdim, dtype, mean, op)
        ends(op, (x, dim, keepdim, dtype), out)
        return out
    if dtype is not None:
        x = promote.cast(x, dtypes.as_np(dtype).num)
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        dims = sums.all_dims(ndim)
    elif isinstance(dim, (tuple, list)):
        dims = tuple([shape.wrap_dim(d, ndim, op) for d in dim])
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"{op}: a dim appears multiple times in the list of dims {tuple(dim)}")
    else:
        dims = (shape.wrap_dim(dim, ndim, op),)
    if ndim == 0:
        dims = ()
    if not is_float(x):
        if mean:
            raise RuntimeError(f"mean: could not infer output dtype. Input dtype must be a floating point dtype. Got: {x.dtype}")
        kind = np.int64 if dtype is None else (<object>x.a).dtype
        return wrap(np.asarray(np.sum(x.a, axis=dims, keepdims=keepdim, dtype=kind)))
    return sums.sum_dims(x, dims, keepdim, mean)


def sum(input, dim=None, keepdim=False, *, dtype=None):
    """y = Σ x over dim (an int, several, or None: all); integers and bools are summed in int64.

    Shapes: x without dim, or with size 1 there if keepdim. Gradient: dx = dy, expanded.
    Errors: IndexError for a bad dim. Source: torch.sum.

    Example:
        >>> import pydl
        >>> pydl.sum(pydl.tensor([[1., 2.], [3., 4.]]), 0)
        tensor([4., 6.])
    """
    return reduce_sum(input, dim, keepdim, dtype, False, "sum")


def mean(input, dim=None, keepdim=False, *, dtype=None):
    """y = Σ x / n over dim (an int, several, or None: all).

    Shapes: x without dim, or with size 1 there if keepdim. Gradient: dx = dy / n, expanded.
    Errors: RuntimeError for integers; IndexError for a bad dim. Source: torch.mean.

    Example:
        >>> import pydl
        >>> pydl.mean(pydl.tensor([[1., 2.], [3., 4.]]), 0)
        tensor([2., 3.])
    """
    return reduce_sum(input, dim, keepdim, dtype, True, "mean")


def view(input, *size):
    """x with another shape, on the same memory. One size may be −1. size may also be a dtype of the same itemsize.

    Gradient: dx = dy in x's shape. Errors: RuntimeError if that needs a copy. Source: torch.Tensor.view.

    Example:
        >>> import pydl
        >>> pydl.arange(6).view(2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    return shape.view(tensor_arg(input, "view", "input"), ints_arg(size, "view"))


def reshape(input, *shape_):
    """x with another shape, on the same memory if that is possible, else a copy. One size may be −1.

    Gradient: dx = dy in x's shape. Errors: ShapeError for another number of elements. Source: torch.reshape.

    Example:
        >>> import pydl
        >>> pydl.reshape(pydl.arange(6), (3, 2))
        tensor([[0, 1],
                [2, 3],
                [4, 5]])
    """
    return shape.reshape(tensor_arg(input, "reshape", "input"), ints_arg(shape_, "reshape"))


def flatten(input, start_dim=0, end_dim=-1):
    """x with the dimensions start_dim … end_dim made one; a 0-d tensor gets one dimension.

    Gradient: dx = dy in x's shape.
    Errors: IndexError for a bad dim; RuntimeError if start_dim comes after end_dim. Source: torch.flatten.

    Example:
        >>> import pydl
        >>> pydl.flatten(pydl.ones(2, 3, 4), 1).shape
        pydl.Size([2, 12])
    """
    cdef TensorBase x = tensor_arg(input, "flatten", "input")
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    cdef Py_ssize_t first = shape.wrap_dim(start_dim, ndim, "flatten"), last = shape.wrap_dim(end_dim, ndim, "flatten"), n = 1, d
    if first > last:
        raise RuntimeError("flatten: start_dim cannot come after end_dim")
    sizes = shape.shape_of(x)
    if ndim == 0:
        return shape.reshape(x, (1,))
    if first == last:
        return x
    for d in range(first, last + 1):
        n *= sizes[d]
    return shape.reshape(x, sizes[:first] + (n,) + sizes[last + 1:])


def transpose(input, dim0, dim1):
    """x with two dimensions swapped, on the same memory. Gradient: swapped back.
    Errors: IndexError for a bad dim. Source: torch.transpose.

    Example:
        >>> import pydl
        >>> pydl.transpose(pydl.ones(2, 3), 0, 1).shape
        pydl.Size([3, 2])
    """
    return shape.swap(tensor_arg(input, "transpose", "input"), dim0, dim1, "transpose")


def t(input):
    """xᵀ of a matrix; vectors and numbers stay as they are.

    Shapes: (N, M) of (M, N). Gradient: dx = dyᵀ. Errors: RuntimeError above 2 dimensions. Source: torch.t.

    Example:
        >>> import pydl
        >>> pydl.t(pydl.ones(2, 3)).shape
        pydl.Size([3, 2])
    """
    cdef TensorBase x = tensor_arg(input, "t", "input")
    if cnp.PyArray_NDIM(x.a) > 2:
        raise RuntimeError(f"t: expects a tensor with at most 2 dimensions, but it is {cnp.PyArray_NDIM(x.a)}-d")
    return shape.permute(x, tuple(range(cnp.PyArray_NDIM(x.a) - 1, -1, -1)))


def permute(input, *dims):
    """x with its dimensions in the order dims, on the same memory. Gradient: in the inverse order.

    Errors: IndexError for a bad dim; RuntimeError unless each stands there once. Source: torch.permute.

    Example:
        >>> import pydl
        >>> pydl.permute(pydl.ones(2, 3, 4), (2, 0, 1)).shape
        pydl.Size([4, 2, 3])
    """
    return shape.permute(tensor_arg(input, "permute", "input"), ints_arg(dims, "permute"))


def expand(input, *size):
    """x repeated along dimensions of size 1 and new leading ones, without a copy (stride 0); −1 keeps a size.

    Gradient: dx = Σ dy over what was repeated. Shapes: `size`. Errors: ShapeError. Source: torch.Tensor.expand.

    Example:
        >>> import pydl
        >>> pydl.tensor([[1], [2]]).expand(2, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    return shape.expand(tensor_arg(input, "expand", "input"), ints_arg(size, "expand"))


def squeeze(input, dim=None):
    """x without dimensions of size 1: all of them, or those among dim (an int or several). The same memory.

    Gradient: dx = dy in x's shape. Errors: IndexError for a bad dim. Source: torch.squeeze.

    Example:
        >>> import pydl
        >>> pydl.squeeze(pydl.ones(2, 1, 3, 1)).shape
        pydl.Size([2, 3])
    """
    if dim is not None:
        dim = tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)
    return shape.squeeze(tensor_arg(input, "squeeze", "input"), dim)


def unsqueeze(input, dim):
    """x with a dimension of size 1 inserted at dim. The same memory. Gradient: dx = dy in x's shape.
    Errors: IndexError. Source: torch.unsqueeze.

    Example:
        >>> import pydl
        >>> pydl.unsqueeze(pydl.ones(2, 3), 1).shape
        pydl.Size([2, 1, 3])
    """
    return shape.unsqueeze(tensor_arg(input, "unsqueeze", "input"), dim)


def clone(input, *, memory_format=None):
    """A copy of x, contiguous, with x's history.

    Shapes: those of x. Gradient: dx = dy. Errors: TypeError unless input is a Tensor. Source: torch.clone.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2); y = pydl.clone(x); y[0] = 5; x
        tensor([1., 1.])
    """
    return eltwise.clone(tensor_arg(input, "clone", "input"))


def contiguous(input, memory_format=None):
    """x itself if it is C-contiguous, else a copy that is.

    Shapes: those of x. Gradient: dx = dy. Errors: TypeError unless input is a Tensor. Source: torch.Tensor.contiguous.

    Example:
        >>> import pydl
        >>> pydl.ones(2, 3).t().contiguous().stride()
        (2, 1)
    """
    return eltwise.contiguous(tensor_arg(input, "contiguous", "input"))


def cast(input, dtype):
    """x in another element type; x itself if it has that one.

    Shapes: those of x. Gradient: dx = dy in x's type. Errors: TypeError unless input is a Tensor.
    Source: torch.Tensor.to.

    Example:
        >>> import pydl
        >>> pydl.ops.cast(pydl.tensor([1.5, -1.5]), pydl.int64)
        tensor([ 1, -1])
    """
    return promote.cast(tensor_arg(input, "cast", "input"), dtypes.as_np(dtype).num)


def copy_(input, src, non_blocking=False):
    """Writes src, cast and broadcast, into input. Gradient: dsrc = dy, summed to its shape. Source: torch.Tensor.copy_.

    Example:
        >>> import pydl
        >>> pydl.zeros(2).copy_(pydl.tensor(3))
        tensor([3., 3.])
    """
    return in_place.copy_(tensor_arg(input, "copy_", "input"), tensor_arg(src, "copy_", "src"))
