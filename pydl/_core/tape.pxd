# SPDX-License-Identifier: BSD-3-Clause
"""Tensors and the nodes that record what made them."""

cimport cython
cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from pydl._core.storage cimport Storage


@cython.no_gc
cdef class Node:
    """One recorded operation. An edge is the Node that made an input, the input itself when it is a leaf, or None."""
    cdef uint64_t seq            # later nodes have larger numbers; backward runs in falling order
    cdef object e0, e1           # the first two edges
    cdef tuple more              # the others
    cdef TensorBase pending      # the gradient gathered so far in the running backward
    cdef list pending_outputs    # the same for a node with several outputs (it is reached through OutputPort)
    cdef uint64_t run            # the backward that gathers, 0: none
    cdef dict hooks              # tensor hooks on the output: they see the gradient before the node does
    cdef dict node_hooks         # hooks on the node: they see the gradients of the inputs and of the output
    cdef object retained         # weak reference to the output tensor if it retains its gradient
    cdef bint released
    cdef object __weakref__
    cdef object call(self, TensorBase dy)            # the gradients of the edges: one Tensor, a tuple, or None
    cdef object call_outputs(self, list grads)       # the same when there are several outputs
    cdef int release(self) except -1                 # drops what was saved
    cdef int set_edges(self, tuple inputs) except -1
    cdef inline object edge(self, Py_ssize_t i)
    cdef inline Py_ssize_t n_edges(self)


@cython.no_gc
cdef class OutputPort(Node):
    """Stands between an output of a node with several outputs and that node (edge e0)."""
    cdef Py_ssize_t index


@cython.no_gc
cdef class TensorBase:
    # These three first: objects.h reads them.
    cdef PyObject* attributes    # the dict, once an attribute is set
    cdef cnp.ndarray a           # the array; its base is the storage
    cdef Storage s
    cdef Node node               # what made it; None for a leaf. Read through node_of(), which follows changes of the base
    cdef TensorBase grad_
    cdef TensorBase base         # the tensor that this one is a view of
    cdef bint requires_grad_
    cdef bint own_format         # the channels-last strides are the library's own choice: nobody may see them, see settle()
    cdef unsigned int epoch      # how often the history of the base was replaced by a change through a view
    cdef TensorBase pending
    cdef uint64_t run
    cdef dict hooks
    cdef dict post_hooks
    cdef object __weakref__


# What this module and the number slots of TensorBase call; filled in by the modules above this one when they are imported.
cdef struct Slots:
    TensorBase (*unary)(int code, TensorBase x)
    object (*binary)(int code, object a, object b)
    object (*binary_)(int code, TensorBase x, object other)
    object (*compare)(int code, object a, object b)
    object (*matmul)(object a, object b)
    object (*getitem)(TensorBase x, object index)
    int (*setitem)(TensorBase x, object index, object value) except -1
    TensorBase (*copy_)(TensorBase x, TensorBase source)
    TensorBase (*fill_)(TensorBase x, object value)
    int (*check_inplace)(TensorBase x, str name) except -1
    int (*finish_inplace)(TensorBase x, Node node) except -1
    TensorBase (*sum_to)(TensorBase g, object shape)
    int (*settle)(TensorBase x) except -1
    TensorBase (*strided_view)(TensorBase base, TensorBase like, ptrdiff_t offset)   # like's shape and strides on base's memory
    # of the recorder of inference plans; the functions are called while some thread is recorded
    bint recording
    int (*made)(TensorBase x, bint from_numbers) except -1
    int (*looked)(TensorBase x) except -1
    int (*aliased)(TensorBase x, TensorBase source) except -1

cdef Slots slots

cdef bint grad_enabled() noexcept
cdef bint swap_grad_enabled(bint on) noexcept

# New tensors. `make` takes an array whose base is `s`; `adopt` takes any array.
cdef TensorBase make(cnp.ndarray a, Storage s)
cdef TensorBase new(int ndim, const cnp.npy_intp* shape, int typenum)
cdef TensorBase new_contiguous(TensorBase x)             # of x's shape and type
cdef TensorBase twin(TensorBase x)                       # the same memory without history
cdef TensorBase adopt(cnp.ndarray a)
cdef TensorBase view_on(TensorBase x, cnp.ndarray a)     # a is an array on x's memory, made with set_base_of
cdef TensorBase alias(TensorBase x)                      # the same memory and history, another object
cdef cnp.ndarray array_on(TensorBase x, int ndim, const cnp.npy_intp* shape, const cnp.npy_intp* strides, char* data)

# Recording.
cdef Node node_of(TensorBase t)
cdef object edge_of(TensorBase t)
cdef void attach(TensorBase out, Node node) noexcept     # a new node, whose edges are set
cdef void follow(TensorBase out, Node node) noexcept     # a node that others may have used already
cdef int move_retained(TensorBase x, Node node) except -1
cdef int renumber(Node node) except -1
cdef TensorBase unpack(TensorBase t, unsigned int version, Node node)
cdef int raise_released(Node node) except -1

cdef inline bint is_float(TensorBase t) noexcept:
    cdef int n = cnp.PyArray_TYPE(t.a)
    return n == cnp.NPY_FLOAT or n == cnp.NPY_DOUBLE

cdef inline bint is_f64(TensorBase t) noexcept:
    return cnp.PyArray_TYPE(t.a) == cnp.NPY_DOUBLE

cdef inline bint is_contiguous(TensorBase t) noexcept:
    return cnp.PyArray_IS_C_CONTIGUOUS(t.a)

cdef inline int settle(TensorBase x) except -1:
    """Before anybody sees strides or shares memory: a format of the library's own becomes C order, once."""
    return slots.settle(x) if x.own_format else 0

cdef inline bint requires_grad(TensorBase t):
    """The flag; that of a view follows the changes of its base."""
    if t.base is not None:
        node_of(t)
    return t.requires_grad_
