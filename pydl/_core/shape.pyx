# SPDX-License-Identifier: BSD-3-Clause
"""Views and basic indexing: what changes the shape of a tensor. Views never copy.

These kinds of view share one node, whose backward is another view; those with strides of their own are in strided.pyx.
"""

cimport cython
from libc.string cimport memset

import numpy as np
cimport numpy as cnp

from pydl._core.eltwise cimport contiguous
from pydl._core.inplace cimport check_inplace, copy_
from pydl._core.loops cimport MAX_DIMS
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, array_on, attach, edge_of, grad_enabled, is_contiguous, new, requires_grad, settle, slots, view_on,
)

from pydl._core.errors import ShapeError

cnp.import_array()

cdef Py_ssize_t MAX_SIZE = 9223372036854775807

cdef enum ViewKind:
    VIEW, PERMUTE, EXPAND, INDEX, INDEX_BACKWARD

cdef tuple VIEW_NAMES = ("ViewBackward0", "PermuteBackward0", "ExpandBackward0", "SliceBackward0", "SliceBackwardBackward0")
cdef object get_advanced = None, set_advanced = None


def set_advanced_indexing(get, set):
    """get(x, index) and set(x, index, value) serve what is not made of ints, slices, None and Ellipsis."""
    global get_advanced, set_advanced
    get_advanced, set_advanced = get, set


@cython.final
@cython.no_gc
cdef class ViewNode(Node):
    """The history of a view; `how` is what the backward of its kind needs."""
    cdef ViewKind kind
    cdef tuple shape      # of the input
    cdef object how

    cdef object call(self, TensorBase dy):
        if self.kind == VIEW:
            return reshape(dy, self.shape)
        if self.kind == PERMUTE:
            return permute(dy, self.how)
        if self.kind == EXPAND:
            return slots.sum_to(dy, self.shape)
        if self.kind == INDEX:
            return index_backward(dy, self.how, self.shape)
        return index_basic(dy, self.how)

    def name(self) -> str:
        return VIEW_NAMES[self.kind]


cdef int record(TensorBase out, TensorBase x, ViewKind kind, object how) except -1:
    cdef ViewNode node
    if grad_enabled() and requires_grad(x):
        node = ViewNode.__new__(ViewNode)
        node.kind = kind
        node.shape = shape_of(x)
        node.how = how
        node.e0 = edge_of(x)
        attach(out, node)
    return 0


cdef TensorBase recorded_view(TensorBase x, int ndim, const cnp.npy_intp* shape, const cnp.npy_intp* strides, char* data, ViewKind kind,
                              object how):
    cdef TensorBase out = view_on(x, array_on(x, ndim, shape, strides, data))
    record(out, x, kind, how)
    if slots.recording and begins():
        ends("view", (x,), out)
    return out


cdef tuple shape_of(TensorBase x):
    return (<object>x.a).shape


cdef Py_ssize_t wrap_dim(Py_ssize_t dim, int ndim, str name) except -1:
    """dim counted from the front. IndexError naming the allowed range."""
    cdef int range_ = ndim if ndim else 1
    if dim < -range_ or dim >= range_:
        raise IndexError(f"{name}: Dimension out of range (expected to be in range of [{-range_}, {range_ - 1}], but got {dim})")
    return dim + range_ if dim < 0 else dim


# --- view and reshape ---------------------------------------------------------------------------------------------

cdef tuple resolve(TensorBase x, tuple shape, str name):
    """shape with its one -1 replaced."""
    cdef Py_ssize_t n = cnp.PyArray_SIZE(x.a), known = 1, free = -1, i, size
    for i in range(len(shape)):
        size = shape[i]
        if size == -1:
            if free >= 0:
                raise RuntimeError(f"{name}: only one dimension can be inferred, not two in {shape}")
            free = i
        elif size < 0:
            raise RuntimeError(f"{name}: invalid shape dimension {size} in {shape}")
        elif size and known > MAX_SIZE // size:
            raise ShapeError(f"{name}: shape {shape} is too large for a tensor {shape_of(x)} of {n} elements")
        else:
            known *= size
    if free >= 0:
        if known == 0:
            raise RuntimeError(f"{name}: cannot reshape {shape_of(x)} of 0 elements into {shape}: the size of -1 is not determined")
        if n % known:
            raise ShapeError(f"{name}: shape {shape} is invalid for a tensor {shape_of(x)} of {n} elements")
        return shape[:free] + (n // known,) + shape[free + 1:]
    if known != n:
        raise ShapeError(f"{name}: shape {shape} is invalid for a tensor {shape_of(x)} of {n} elements")
    return shape


cdef bint view_strides(TensorBase x, tuple shape, cnp.npy_intp* dims, cnp.npy_intp* strides) except -1:
    """Strides of `shape` on the memory of x; False if there are none."""
    cdef int new_ndim = len(shape), d, view_d = new_ndim - 1, ndim = cnp.PyArray_NDIM(x.a)
    cdef cnp.npy_intp* old_dims = cnp.PyArray_DIMS(x.a)
    cdef cnp.npy_intp* old_strides = cnp.PyArray_STRIDES(x.a)
    cdef cnp.npy_intp itemsize = cnp.PyArray_ITEMSIZE(x.a), chunk_stride, n_chunk = 1, n_view = 1
    if new_ndim > MAX_DIMS:
        raise ValueError(f"view: at most {MAX_DIMS} dimensions are supported, not {new_ndim}")
    for d in range(new_ndim):
        dims[d] = shape[d]
    if is_contiguous(x) or cnp.PyArray_SIZE(x.a) == 0 or ndim == 0:
        for d in range(new_ndim - 1, -1, -1):
            strides[d] = itemsize
            itemsize *= max(dims[d], <cnp.npy_intp>1)
        return True
    chunk_stride = old_strides[ndim - 1]
    for d in range(ndim - 1, -1, -1):
        n_chunk *= old_dims[d]
        # A chunk is a group of old dimensions that lie evenly behind each other; it must be covered by whole new dimensions.
        if d == 0 or (old_dims[d - 1] != 1 and old_strides[d - 1] != n_chunk * chunk_stride):
            while view_d >= 0 and (n_view < n_chunk or dims[view_d] == 1):
                strides[view_d] = n_view * chunk_stride
                n_view *= dims[view_d]
                view_d -= 1
            if n_view != n_chunk:
                return False
            if d > 0:
                chunk_stride = old_strides[d - 1]
                n_chunk = n_view = 1
    return view_d == -1


cdef TensorBase try_view(TensorBase x, tuple shape):
    cdef cnp.npy_intp dims[MAX_DIMS]
    cdef cnp.npy_intp strides[MAX_DIMS]
    settle(x)
    if not view_strides(x, shape, dims, strides):
        return None
    return recorded_view(x, len(shape), dims, strides, cnp.PyArray_BYTES(x.a), VIEW, None)


cdef TensorBase view(TensorBase x, tuple shape):
    cdef TensorBase out = try_view(x, resolve(x, shape, "view"))
    if out is None:
        raise RuntimeError(
            f"view: size {shape} is not compatible with input tensor's size {shape_of(x)} and stride "
            f"{tuple([s // cnp.PyArray_ITEMSIZE(x.a) for s in (<object>x.a).strides])} (at least one dimension spans across two contiguous "
            "subspaces). Use .reshape(...) instead."
        )
    return out


cdef TensorBase reshape(TensorBase x, tuple shape):
    cdef TensorBase out
    shape = resolve(x, shape, "reshape")
    out = try_view(x, shape)
    return try_view(contiguous(x), shape) if out is None else out


cdef TensorBase squeeze(TensorBase x, tuple dims):
    """Without the dimensions of size 1 among dims (None: all)."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef int d, n = 0, ndim = cnp.PyArray_NDIM(x.a)
    cdef set wanted = None if dims is None else {wrap_dim(d, ndim, "squeeze") for d in dims}
    settle(x)
    for d in range(ndim):
        if cnp.PyArray_DIMS(x.a)[d] == 1 and (wanted is None or d in wanted):
            continue
        shape[n] = cnp.PyArray_DIMS(x.a)[d]
        strides[n] = cnp.PyArray_STRIDES(x.a)[d]
        n += 1
    return recorded_view(x, n, shape, strides, cnp.PyArray_BYTES(x.a), VIEW, None)


cdef TensorBase unsqueeze(TensorBase x, Py_ssize_t dim):
    cdef cnp.npy_intp shape[MAX_DIMS + 1]
    cdef cnp.npy_intp strides[MAX_DIMS + 1]
    cdef int d, ndim = cnp.PyArray_NDIM(x.a)
    dim = wrap_dim(dim, ndim + 1, "unsqueeze")
    if ndim == MAX_DIMS:
        raise ValueError(f"unsqueeze: at most {MAX_DIMS} dimensions are supported")
    settle(x)
    for d in range(ndim):
        shape[d + (d >= dim)] = cnp.PyArray_DIMS(x.a)[d]
        strides[d + (d >= dim)] = cnp.PyArray_STRIDES(x.a)[d]
    shape[dim] = 1
    strides[dim] = shape[dim + 1] * strides[dim + 1] if dim < ndim else cnp.PyArray_ITEMSIZE(x.a)
    return recorded_view(x, ndim + 1, shape, strides, cnp.PyArray_BYTES(x.a), VIEW, None)


cdef TensorBase permute(TensorBase x, tuple dims):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef int inverse[MAX_DIMS]
    cdef int i, d, ndim = cnp.PyArray_NDIM(x.a)
    if len(dims) != ndim:
        raise RuntimeError(f"permute: takes one entry for each of the {ndim} dimensions of {shape_of(x)}, not {dims}")
    settle(x)
    for i in range(ndim):
        inverse[i] = -1
    for i in range(ndim):
        d = wrap_dim(dims[i], ndim, "permute")
        if inverse[d] >= 0:
            raise RuntimeError(f"permute: dimension {d} stands twice in {dims}")
        inverse[d] = i
        shape[i] = cnp.PyArray_DIMS(x.a)[d]
        strides[i] = cnp.PyArray_STRIDES(x.a)[d]
    return recorded_view(x, ndim, shape, strides, cnp.PyArray_BYTES(x.a), PERMUTE, tuple([inverse[i] for i in range(ndim)]))


cdef TensorBase swap(TensorBase x, Py_ssize_t dim0, Py_ssize_t dim1, str name):
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    cdef list dims = list(range(ndim))
    dim0 = wrap_dim(dim0, ndim, name)
    dim1 = wrap_dim(dim1, ndim, name)
    if ndim:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(x, tuple(dims))


cdef TensorBase swap_last(TensorBase x):
    return swap(x, -2, -1, "mT")


cdef TensorBase expand(TensorBase x, tuple sizes):
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef int d, ndim = len(sizes), lead = ndim - cnp.PyArray_NDIM(x.a)
    cdef cnp.npy_intp size, old
    if lead < 0 or ndim > MAX_DIMS:
        raise ShapeError(f"expand: {sizes} has {ndim} dimensions, fewer than the tensor {shape_of(x)} (or more than {MAX_DIMS})")
    settle(x)
    for d in range(ndim):
        size = sizes[d]
        old = cnp.PyArray_DIMS(x.a)[d - lead] if d >= lead else 1
        if size == -1 and d >= lead:
            size = old
        if size < 0 or (size != old and old != 1):
            raise ShapeError(f"expand: size {sizes[d]} in dimension {d} of {sizes} does not fit the tensor {shape_of(x)}")
        shape[d] = size
        strides[d] = 0 if d < lead or size != old else cnp.PyArray_STRIDES(x.a)[d - lead]
    return recorded_view(x, ndim, shape, strides, cnp.PyArray_BYTES(x.a), EXPAND, None)


# --- basic indexing -----------------------------------------------------------------------------------------------

cdef bint is_basic(object index):
    if isinstance(index, tuple):
        for part in <tuple>index:
            if not is_basic_part(part):
                return False
        return True
    return is_basic_part(index)


cdef inline bint is_basic_part(object part):
    return (isinstance(part, slice) or part is None or part is Ellipsis
            or (isinstance(part, (int, np.integer)) and not isinstance(part, bool)))


cdef TensorBase index_basic(TensorBase x, object index):
    """x[index] for ints, slices, None and Ellipsis."""
    cdef tuple parts = index if isinstance(index, tuple) else (index,)
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef cnp.npy_intp strides[MAX_DIMS]
    cdef char* data
    cdef int ndim = cnp.PyArray_NDIM(x.a), d = 0, n = 0, n_used = 0, n_ellipsis = 0
    cdef Py_ssize_t start, step, length
    settle(x)
    data = cnp.PyArray_BYTES(x.a)
    for part in parts:
        n_used += part is not None and part is not Ellipsis
        n_ellipsis += part is Ellipsis
    if n_used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}: {n_used} in {index!r}")
    if n_ellipsis > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if n_ellipsis == 0:
        parts += (Ellipsis,)
    if ndim - n_used + len(parts) > MAX_DIMS:
        raise IndexError(f"at most {MAX_DIMS} dimensions are supported")
    for part in parts:
        if part is None:
            shape[n] = 1
            strides[n] = cnp.PyArray_STRIDES(x.a)[d] * cnp.PyArray_DIMS(x.a)[d] if d < ndim else cnp.PyArray_ITEMSIZE(x.a)
            n += 1
        elif part is Ellipsis:
            for _i in range(ndim - n_used):
                shape[n] = cnp.PyArray_DIMS(x.a)[d]
                strides[n] = cnp.PyArray_STRIDES(x.a)[d]
                n += 1
                d += 1
        elif isinstance(part, slice):
            length = slice_bounds(part, cnp.PyArray_DIMS(x.a)[d], &start, &step)
            data += start * cnp.PyArray_STRIDES(x.a)[d] if length else 0
            shape[n] = length
            strides[n] = cnp.PyArray_STRIDES(x.a)[d] * step
            n += 1
            d += 1
        else:
            data += position(part, d, cnp.PyArray_DIMS(x.a)[d]) * cnp.PyArray_STRIDES(x.a)[d]
            d += 1
    return recorded_view(x, n, shape, strides, data, INDEX, index)


cdef Py_ssize_t position(object part, int dim, Py_ssize_t size) except -1:
    cdef Py_ssize_t i = -size - 1
    try:
        i = part
    except OverflowError:
        pass
    if i < -size or i >= size:
        raise IndexError(f"index {part} is out of bounds for dimension {dim} with size {size}")
    return i + size if i < 0 else i


cdef Py_ssize_t slice_bounds(object part, Py_ssize_t size, Py_ssize_t* start, Py_ssize_t* step) except -1:
    """The length of the slice; start and step come out."""
    first, last, stride = part.indices(size)
    if stride <= 0:
        raise ValueError(f"slice step must be positive, not {stride}")
    start[0] = first
    step[0] = stride if stride < size else max(size, 1)
    return max(0, (last - first + stride - 1) // stride)


cdef TensorBase zeros(tuple shape, int typenum):
    cdef cnp.npy_intp dims[MAX_DIMS]
    cdef int d
    cdef TensorBase t
    for d in range(len(shape)):
        dims[d] = shape[d]
    t = new(len(shape), dims, typenum)
    memset(cnp.PyArray_DATA(t.a), 0, cnp.PyArray_NBYTES(t.a))
    return t


cdef TensorBase index_backward(TensorBase dy, object index, tuple shape):
    """Zeros of `shape` with dy at index."""
    cdef TensorBase out = zeros(shape, cnp.PyArray_TYPE(dy.a))
    np.copyto((<TensorBase>index_basic(out, index)).a, dy.a)
    record(out, dy, INDEX_BACKWARD, index)
    return out


cdef object getitem(TensorBase x, object index):
    if is_basic(index):
        return index_basic(x, index)
    return get_advanced(x, index)


cdef int setitem(TensorBase x, object index, object value) except -1:
    cdef TensorBase part
    if not is_basic(index):
        set_advanced(x, index, value)
        return 0
    part = index_basic(x, index)
    check_inplace(part, "setitem")             # not x: the part of an expanded tensor may be one place
    if isinstance(value, TensorBase):
        copy_(part, drop_leading_ones(<TensorBase>value, cnp.PyArray_NDIM(part.a)))
    elif isinstance(value, (int, float, np.generic)):
        part.fill_(value)
    else:
        raise TypeError(f"setitem: can't assign a {type(value).__name__} to a tensor; assign a Tensor or a number")
    return 0


cdef TensorBase drop_leading_ones(TensorBase value, int ndim):
    cdef tuple shape = shape_of(value)
    while len(shape) > ndim and shape[0] == 1:
        shape = shape[1:]
    return value if len(shape) == cnp.PyArray_NDIM(value.a) else reshape(value, shape)


slots.getitem = getitem
slots.setitem = setitem
