# SPDX-License-Identifier: BSD-3-Clause
"""TensorBase, Node and what ties them together; the engine that walks the nodes is in engine.pyx, in-place changes are in inplace.pyx.

Neither class takes part in cyclic garbage collection: a graph is freed by reference counts alone, at once. So nothing here may
make a cycle: a node that saves its own output saves it without history, and gets the history back when it is read.

Each of the two has fields of the other, so they share a module: more than 400 lines.
"""

import weakref

cimport cython
from cpython.buffer cimport PyObject_GetBuffer
from cpython.object cimport PyTypeObject, PyObject, Py_EQ, Py_GT, Py_LE, Py_LT, Py_NE
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint64_t

import numpy as np
cimport numpy as cnp

cimport pydl._core.kernels as kernels
from pydl._core.storage cimport Storage, keep_array, new_array, storage_of

from pydl._core import dtypes
from pydl._core.attributes import Size

cnp.import_array()

cdef extern from *:
    """
    static _Thread_local int pydl_grad_on = 1;
    static int pydl_get_grad(void) { return pydl_grad_on; }
    static int pydl_swap_grad(int on) { int old = pydl_grad_on; pydl_grad_on = on; return old; }
    """
    int pydl_get_grad() noexcept
    int pydl_swap_grad(int on) noexcept

cdef extern from "objects.h":
    void pydl_keep_memory_of(PyTypeObject* type) noexcept
    void pydl_without_gc(PyTypeObject* type) noexcept
    void pydl_inherit_numbers(PyTypeObject* type) noexcept
    int pydl_set_up_tensors(PyTypeObject* type, object array, object storage, void* keep_array) except -1
    object pydl_unset_tensor(PyTypeObject* type)
    object pydl_tuple_of(PyTypeObject* type, int n, const Py_ssize_t* numbers)

cdef extern from "Python.h":
    object PyObject_GenericGetDict(object o, void* context)
    int PyObject_GenericSetDict(object o, object value, void* context) except -1

cdef extern from "numpy/arrayobject.h":
    object PyArray_NewFromDescr(PyTypeObject* subtype, cnp.PyArray_Descr* descr, int nd, const cnp.npy_intp* dims,
                                const cnp.npy_intp* strides, void* data, int flags, object obj)
    PyTypeObject PyArray_Type

cdef Slots slots
cdef uint64_t n_nodes = 0
cdef object tensor_type = TensorBase
cdef object handle_class = None
cdef cnp.ndarray nothing = np.empty(0, np.float32)
cdef Storage nothing_storage = storage_of(nothing)
cdef object dtype_of_typenum = {}
pydl_keep_memory_of(<PyTypeObject*>Node)
pydl_keep_memory_of(<PyTypeObject*>TensorBase)
pydl_set_up_tensors(<PyTypeObject*>TensorBase, nothing, nothing_storage, <void*>keep_array)

# Dropping the last reference to a graph would recurse once a node. Beyond this depth the parts are put aside and dropped by
# the outermost call: 2,000,000 nodes die on a 256 KB stack. Nodes alone have to do this: a tensor that a node saved has a node
# that is an edge of the same node too, and so outlives the tensor.
cdef enum:
    MAX_DROP_DEPTH = 40
cdef int drop_depth = 0
cdef list put_aside = []


cdef int drop_later(object part) except -1:
    put_aside.append(part)
    return 0


cdef void drop_rest() noexcept:
    global drop_depth
    drop_depth += 1    # so that what is dropped here puts aside too, instead of calling this again
    while put_aside:
        put_aside.pop()
    drop_depth -= 1


cdef bint grad_enabled() noexcept:
    return pydl_get_grad()


cdef bint swap_grad_enabled(bint on) noexcept:
    return pydl_swap_grad(on)


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return grad_enabled()


def set_grad_enabled(on: bool) -> bool:
    """Records operations of this thread or stops doing so; returns what was set before."""
    return swap_grad_enabled(on)


def set_tensor_type(cls: type) -> None:
    """The subclass of TensorBase that new tensors have; it must have `__slots__ = ()`."""
    global tensor_type
    if tensor_type is not TensorBase:
        raise RuntimeError("set_tensor_type: there are tensors already")
    if not issubclass(cls, TensorBase) or cls.__basicsize__ != TensorBase.__basicsize__:
        raise TypeError(f"set_tensor_type: {cls.__name__} must derive from TensorBase and add no fields")
    pydl_without_gc(<PyTypeObject*>cls)
    pydl_inherit_numbers(<PyTypeObject*>cls)
    tensor_type = cls


def set_handle_class(cls: type) -> None:
    """The class of what register_hook returns; it takes the dict of hooks and has `id` and `remove`."""
    global handle_class
    handle_class = cls


# --- nodes --------------------------------------------------------------------------------------------------------

@cython.no_gc
cdef class Node:
    def __cinit__(self):
        global n_nodes
        n_nodes += 1
        self.seq = n_nodes

    def __init__(self, *args, **kwargs):
        raise TypeError(f"{type(self).__name__}: nodes are made by operations")

    def __dealloc__(self):
        global drop_depth
        if drop_depth >= MAX_DROP_DEPTH:
            if self.e0 is not None:
                drop_later(self.e0)
            if self.e1 is not None:
                drop_later(self.e1)
            if self.more is not None:
                drop_later(self.more)
            return
        drop_depth += 1
        self.e0 = None
        self.e1 = None
        self.more = None
        drop_depth -= 1
        if drop_depth == 0 and put_aside:
            drop_rest()

    cdef object call(self, TensorBase dy):
        raise NotImplementedError(f"{self.name()} has one gradient rule for all its outputs")

    cdef object call_outputs(self, list grads):
        return self.call(grads[0])

    cdef int release(self) except -1:
        return 0

    cdef int set_edges(self, tuple inputs) except -1:
        """inputs: Tensors, or anything else for arguments without gradient."""
        cdef Py_ssize_t n = len(inputs)
        cdef list rest
        if n > 0 and isinstance(inputs[0], TensorBase):
            self.e0 = edge_of(<TensorBase>inputs[0])
        if n > 1 and isinstance(inputs[1], TensorBase):
            self.e1 = edge_of(<TensorBase>inputs[1])
        if n > 2:
            rest = []
            for x in inputs[2:]:
                rest.append(edge_of(<TensorBase>x) if isinstance(x, TensorBase) else None)
            self.more = tuple(rest)
        renumber(self)
        return 0

    cdef inline object edge(self, Py_ssize_t i):
        return self.e0 if i == 0 else self.e1 if i == 1 else self.more[i - 2]

    cdef inline Py_ssize_t n_edges(self):
        return 2 + (len(self.more) if self.more is not None else 0)

    def name(self) -> str:
        """The name of the operation, as PyTorch spells it: AddBackward0."""
        return type(self).__name__

    @property
    def next_functions(self):
        """The nodes behind the inputs, each with its output number: what backward reaches next."""
        cdef list out = []
        cdef Py_ssize_t i
        for i in range(self.n_edges()):
            edge = self.edge(i)
            if isinstance(edge, OutputPort):
                out.append(((<OutputPort>edge).e0, (<OutputPort>edge).index))
            elif isinstance(edge, TensorBase):
                out.append((AccumulateGrad(edge), 0))
            elif edge is not None:
                out.append((edge, 0))
        return tuple(out)

    def register_hook(self, fn):
        """Calls fn(grad_inputs, grad_outputs) after this node has run in backward; it may return other grad_inputs."""
        if self.node_hooks is None:
            self.node_hooks = {}
        return add_hook(self.node_hooks, fn)

    def __repr__(self) -> str:
        return f"<{self.name()}>"


@cython.final
@cython.no_gc
cdef class OutputPort(Node):
    cdef object call(self, TensorBase dy):
        return dy

    def name(self) -> str:
        return (<Node>self.e0).name()


class AccumulateGrad:
    """What next_functions shows for a leaf: `variable` is the leaf whose grad is added to."""

    def __init__(self, variable):
        self.variable = variable
        self.next_functions = ()

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"

    def __eq__(self, other) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


cdef object add_hook(dict hooks, object fn):
    handle = handle_class(hooks)
    hooks[handle.id] = fn
    return handle


cdef object edge_of(TensorBase t):
    """The edge of an operation to its input t."""
    cdef Node node
    if t.base is not None:
        node = node_of(t)
    else:
        node = t.node
    if not t.requires_grad_:
        return None
    return t if node is None else node


cdef Node node_of(TensorBase t):
    """The node that made t. After an in-place change of its base or of another view, the history of a view is read anew."""
    cdef TensorBase base = t.base
    cdef Node node
    cdef bint old
    if base is not None and base.epoch != t.epoch:
        t.epoch = base.epoch
        if base.s is not t.s:    # one of them was given other memory since
            return t.node
        t.requires_grad_ = base.requires_grad_
        if base.requires_grad_:
            old = swap_grad_enabled(True)
            try:
                node = slots.strided_view(base, t, cnp.PyArray_BYTES(t.a) - cnp.PyArray_BYTES(base.a)).node
                move_retained(t, node)
                t.node = node
            finally:
                swap_grad_enabled(old)
    return t.node


cdef int move_retained(TensorBase x, Node node) except -1:
    """A tensor that retains its gradient does so after a change of its history: the gradient of its new values."""
    cdef Node old = x.node
    if old is not None and node is not None and old.retained is not None and old.retained() is x:
        node.retained = old.retained
        old.retained = None
    return 0


cdef int renumber(Node node) except -1:
    """A node must be newer than those behind its edges, and looking at an edge may make a node: that of a view whose base changed."""
    global n_nodes
    n_nodes += 1
    node.seq = n_nodes
    return 0


cdef void attach(TensorBase out, Node node) noexcept:
    global n_nodes
    n_nodes += 1
    node.seq = n_nodes
    out.node = node
    out.requires_grad_ = True


cdef void follow(TensorBase out, Node node) noexcept:
    """Gives out the history of a node that others may have used already, so it keeps its age."""
    out.node = node
    out.requires_grad_ = True


cdef int raise_released(Node node) except -1:
    raise RuntimeError(
        f"Trying to backward through the graph a second time ({node.name()}): the saved tensors were freed by the first backward. "
        "Specify retain_graph=True if you need to go through the graph again."
    )


cdef TensorBase unpack(TensorBase t, unsigned int version, Node node):
    """A saved tensor, if nobody changed it since; an output of `node` gets its history back."""
    cdef TensorBase out
    if t is None:    # another backward through the same node ended while this one ran
        raise RuntimeError("Trying to backward through the graph a second time: the saved tensors were freed meanwhile. "
                           "Specify retain_graph=True if you need to go through the graph again.")
    if t.s.version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{tuple(t.shape)} {t.a.dtype}] is at version {t.s.version}; expected version {version} instead."
        )
    if node is None or not grad_enabled():
        return t
    out = alias(t)
    follow(out, node)
    return out


# --- new tensors --------------------------------------------------------------------------------------------------

cdef TensorBase make(cnp.ndarray a, Storage s):
    cdef TensorBase t = <TensorBase>pydl_unset_tensor(<PyTypeObject*>tensor_type)
    t.a = a
    t.s = s
    if slots.recording:
        slots.made(t, False)
    return t


cdef TensorBase new(int ndim, const cnp.npy_intp* shape, int typenum):
    cdef cnp.ndarray a = new_array(ndim, shape, typenum)
    return make(a, <Storage>cnp.get_array_base(a))


cdef TensorBase new_contiguous(TensorBase x):
    return new(cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), cnp.PyArray_TYPE(x.a))


cdef TensorBase twin(TensorBase x):
    cdef TensorBase t = make(x.a, x.s)
    t.own_format = x.own_format
    return t


cdef cnp.ndarray array_on(TensorBase x, int ndim, const cnp.npy_intp* shape, const cnp.npy_intp* strides, char* data):
    """An array on the memory of x, with x's element type; the storage keeps the memory alive."""
    return strided_array(x.a, x.s, ndim, shape, strides, data)


cdef cnp.ndarray strided_array(cnp.ndarray a, Storage s, int ndim, const cnp.npy_intp* shape, const cnp.npy_intp* strides, char* data):
    cdef cnp.PyArray_Descr* descr = cnp.PyArray_DESCR(a)
    cdef cnp.ndarray out
    Py_INCREF(<object>descr)    # PyArray_NewFromDescr takes the reference
    out = PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, data,
                               cnp.PyArray_FLAGS(a) & cnp.NPY_ARRAY_WRITEABLE, None)
    cnp.set_array_base(out, s)
    return out


cdef TensorBase adopt(cnp.ndarray a):
    """A tensor on the memory of any array of a supported type, in native byte order and aligned."""
    cdef Storage s = storage_of(a)
    if cnp.get_array_base(a) is not s:
        a = strided_array(a, s, cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_STRIDES(a), cnp.PyArray_BYTES(a))
    return make(a, s)


cdef TensorBase view_on(TensorBase x, cnp.ndarray a):
    cdef TensorBase t = make(a, x.s)
    t.base = x if x.base is None else x.base
    t.epoch = t.base.epoch
    return t


cdef TensorBase alias(TensorBase x):
    cdef TensorBase t = twin(x)
    t.node = node_of(x)
    t.requires_grad_ = x.requires_grad_
    return t


def wrap(a) -> TensorBase:
    """A tensor on the memory of a NumPy array (scalars become 0-d); copies only what kernels cannot read."""
    cdef cnp.ndarray array = a if isinstance(a, np.ndarray) else np.asarray(a)
    if cnp.PyArray_TYPE(array) not in dtype_of_typenum:
        array = array.astype(dtypes.from_np(array.dtype).np)
    elif not cnp.PyArray_ISALIGNED(array) or not cnp.PyArray_ISNOTSWAPPED(array):
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    return for_python(adopt(array))


cdef TensorBase for_python(TensorBase t):
    if slots.recording:
        slots.made(t, True)
    return t


def empty(shape, cnp.dtype np_dtype not None) -> TensorBase:
    """An uninitialised tensor on memory of the pool; shape is a tuple of ints, np_dtype a numpy.dtype."""
    cdef cnp.npy_intp dims[64]
    cdef Py_ssize_t i, n = len(shape)
    if n > 64:
        raise ValueError(f"empty: at most 64 dimensions, not {n}")
    if np_dtype.type_num not in dtype_of_typenum:
        raise TypeError(f"empty: {np_dtype} is not a dtype of tensors")
    for i in range(n):
        dims[i] = shape[i]
    return for_python(new(<int>n, dims, np_dtype.type_num))


# --- the tensor ---------------------------------------------------------------------------------------------------

@cython.no_gc
@cython.c_api_binop_methods(True)
cdef class TensorBase:
    """The compiled part of pydl.Tensor: an array, its storage, and its place in the graph."""

    @property
    def __dict__(self):
        """The attributes that a user has set."""
        return PyObject_GenericGetDict(self, NULL)

    @__dict__.setter
    def __dict__(self, value):
        PyObject_GenericSetDict(self, value, NULL)

    @property
    def array(self):
        """The NumPy array behind the tensor, on the same memory and without checks; for the library's own code."""
        settle(self)
        if slots.recording:
            slots.looked(self)
        return self.a

    @property
    def shape(self):
        """The sizes of the dimensions, as a pydl.Size."""
        return pydl_tuple_of(<PyTypeObject*>Size, cnp.PyArray_NDIM(self.a), <const Py_ssize_t*>cnp.PyArray_DIMS(self.a))

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return cnp.PyArray_NDIM(self.a)

    @property
    def dtype(self):
        """The element type, one of pydl's dtypes."""
        return dtype_of_typenum[cnp.PyArray_TYPE(self.a)]

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        if self.base is not None:
            node_of(self)
        return self.requires_grad_

    @requires_grad.setter
    def requires_grad(self, on):
        if self.node is not None and not on:
            raise RuntimeError("you can only change requires_grad flags of leaf variables. Use detach() for a tensor without history.")
        if on and not is_float(self):
            raise RuntimeError(f"only Tensors of floating point dtype can require gradients, not {self.dtype}")
        self.requires_grad_ = on

    @property
    def grad(self):
        """The gradient gathered by backward, or None."""
        return self.grad_

    @grad.setter
    def grad(self, value):
        cdef TensorBase g
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(f"assigned grad is of type {type(value).__name__}; expected a Tensor or None")
            g = <TensorBase>value
            if g is self:
                raise RuntimeError("can't assign a Variable as its own grad")
            if g.shape != self.shape or g.dtype is not self.dtype:
                raise RuntimeError(
                    f"assigned grad {tuple(g.shape)} {g.dtype} does not fit the tensor {tuple(self.shape)} {self.dtype}"
                )
        self.grad_ = value

    @grad.deleter
    def grad(self):
        self.grad_ = None

    @property
    def grad_fn(self):
        """The node that made this tensor; None for a leaf."""
        cdef Node node = node_of(self)
        return node.e0 if isinstance(node, OutputPort) else node

    @property
    def output_nr(self) -> int:
        """Which output of grad_fn this tensor is."""
        cdef Node node = node_of(self)
        return (<OutputPort>node).index if isinstance(node, OutputPort) else 0

    @property
    def is_leaf(self) -> bool:
        """True if no recorded operation made this tensor."""
        return node_of(self) is None

    @property
    def _version(self) -> int:
        return self.s.version

    @property
    def _base(self):
        return self.base

    def data_ptr(self) -> int:
        """The address of the first element."""
        settle(self)
        return <size_t>cnp.PyArray_DATA(self.a)

    def detach(self):
        """The same memory without history: changes of the one are seen by the other."""
        cdef TensorBase t
        settle(self)
        t = twin(self)
        if slots.recording:
            slots.aliased(t, self)
        return t

    def _set_data(self, TensorBase source not None):
        """Lets this tensor stand on the memory of `source`; for the `data` attribute and for loading."""
        settle(source)
        if slots.recording:
            slots.made(self, False)
        self.a = source.a
        self.s = source.s
        self.own_format = False

    def _bump_version(self):
        """Says that the memory was changed by other means than an operation."""
        self.s.version += 1

    def _check_inplace(self, str name not None):
        """Raises if this tensor may not be changed in place by operation `name`."""
        slots.check_inplace(self, name)

    def _rebase(self, TensorBase result not None):
        """After the memory was changed to the values of `result`, takes over its history."""
        self.s.version += 1
        if result.node is not None:
            slots.finish_inplace(self, result.node)

    def fill_(self, value):
        """Writes `value` to every element, in place."""
        return slots.fill_(self, value)

    def retain_grad(self) -> None:
        """Lets backward store the gradient of this tensor although it is not a leaf."""
        cdef Node node = node_of(self)
        if not self.requires_grad_:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if node is not None:
            node.retained = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        cdef Node node = node_of(self)
        return node is not None and node.retained is not None and node.retained() is self

    def register_hook(self, fn):
        """Calls fn(grad) when backward has the gradient of this tensor; it may return another one.

        A hook that refers to this very tensor keeps it alive until `remove()` is called on the handle.
        """
        cdef Node node = node_of(self)
        if not self.requires_grad_:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if node is None:
            if self.hooks is None:
                self.hooks = {}
            return add_hook(self.hooks, fn)
        if node.hooks is None:
            node.hooks = {}
        return add_hook(node.hooks, fn)

    def register_post_accumulate_grad_hook(self, fn):
        """Calls fn(tensor) after backward has added to the grad of this leaf."""
        if node_of(self) is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self.post_hooks is None:
            self.post_hooks = {}
        return add_hook(self.post_hooks, fn)

    def __neg__(self):
        return slots.unary(kernels.PYDL_U_neg, self)

    def __abs__(self):
        return slots.unary(kernels.PYDL_U_abs, self)

    # One C function for both orders of the operands (c_api_binop_methods); set_tensor_type hands these slots on as they are.

    def __add__(a, b):
        return slots.binary(kernels.PYDL_B_add, a, b)

    def __sub__(a, b):
        return slots.binary(kernels.PYDL_B_sub, a, b)

    def __mul__(a, b):
        return slots.binary(kernels.PYDL_B_mul, a, b)

    def __truediv__(a, b):
        return slots.binary(kernels.PYDL_B_div, a, b)

    def __pow__(a, b, modulo):
        return slots.binary(kernels.PYDL_B_pow, a, b)

    def __matmul__(a, b):
        return slots.matmul(a, b)

    def __iadd__(self, other):
        return slots.binary_(kernels.PYDL_B_add, self, other)

    def __isub__(self, other):
        return slots.binary_(kernels.PYDL_B_sub, self, other)

    def __imul__(self, other):
        return slots.binary_(kernels.PYDL_B_mul, self, other)

    def __itruediv__(self, other):
        return slots.binary_(kernels.PYDL_B_div, self, other)

    def __ipow__(self, other):
        return slots.binary_(kernels.PYDL_B_pow, self, other)

    def __richcmp__(self, other, int op):
        cdef int code
        if op == Py_EQ:
            code = kernels.PYDL_C_eq
        elif op == Py_NE:
            code = kernels.PYDL_C_ne
        elif op == Py_LT:
            code = kernels.PYDL_C_lt
        elif op == Py_LE:
            code = kernels.PYDL_C_le
        elif op == Py_GT:
            code = kernels.PYDL_C_gt
        else:
            code = kernels.PYDL_C_ge
        return slots.compare(code, self, other)

    def __hash__(self):
        return <Py_ssize_t>(<size_t><PyObject*>self >> 4)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        """The buffer protocol: memoryview(t) and all that takes buffers see the tensor's memory."""
        if node_of(self) is not None or self.requires_grad_:
            raise BufferError("a tensor that requires grad gives no buffer; use tensor.detach()")
        settle(self)
        if slots.recording:
            slots.looked(self)
        PyObject_GetBuffer(self.a, buffer, flags)

    def __getitem__(self, index):
        return slots.getitem(self, index)

    def __setitem__(self, index, value):
        slots.setitem(self, index, value)


def _fill_dtypes():
    for name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"):
        dtype_of_typenum[np.dtype(name).num] = getattr(dtypes, name)
    for twin in ("longlong", "long", "intc"):
        dtype_of_typenum.setdefault(np.dtype(twin).num, dtypes.from_np(np.dtype(twin)))


_fill_dtypes()
