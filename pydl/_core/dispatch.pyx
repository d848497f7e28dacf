# SPDX-License-Identifier: BSD-3-Clause
"""The door through which every operation declared in Python goes: check, forward without recording, then one node.

User-written autograd.Functions come through here too, and share the saved tensors and the node: more than 400 lines.
"""

import weakref

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.inplace cimport check_inplace, finish_inplace
from pydl._core.promote cimport cast
from pydl._core.shape cimport shape_of
from pydl._core.sums cimport sum_to
from pydl._core.tape cimport (
    Node, OutputPort, TensorBase, adopt, alias, attach, is_float, raise_released, requires_grad, settle, swap_grad_enabled, twin,
    unpack,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()

registry = {}
cdef object function_context = None


cdef class Saved:
    """What a node keeps for backward: tensors with the versions they had; outputs without history."""
    cdef tuple tensors
    cdef tuple versions
    cdef tuple output_of    # which output each is, -1 for others

    @staticmethod
    cdef Saved pack(tuple tensors, list outputs):
        cdef Saved s = Saved.__new__(Saved)
        cdef list kept = [], versions = [], which = []
        cdef TensorBase t
        for x in tensors:
            if x is None:
                kept.append(None)
                versions.append(0)
                which.append(-1)
                continue
            t = <TensorBase?>x
            index = -1
            for i, out in enumerate(outputs):
                if out is t:
                    index = i
            kept.append(t if index < 0 else twin(t))
            versions.append(t.s.version)
            which.append(index)
        s.tensors = tuple(kept)
        s.versions = tuple(versions)
        s.output_of = tuple(which)
        return s

    cdef tuple unpack_all(self, OpNode node, list ports):
        cdef list out = []
        cdef Node maker
        for i in range(len(self.tensors)):
            if self.tensors[i] is None:
                out.append(None)
                continue
            maker = None
            if self.output_of[i] >= 0:
                maker = node if ports is None else ports_of(node, self.output_of[i])
            out.append(unpack(<TensorBase>self.tensors[i], self.versions[i], maker))
        return tuple(out)


cdef OutputPort ports_of(OpNode node, Py_ssize_t index):
    """The port of an output. There is one at a time, so that all gradients of the output meet in it."""
    cdef OutputPort port = None
    if node.ports is None:
        node.ports = {}
    if index in node.ports:
        port = node.ports[index]()
    if port is None:
        port = OutputPort.__new__(OutputPort)
        port.e0 = node
        port.index = index
        node.ports[index] = weakref.ref(port)
    return port


@cython.no_gc
cdef class OpNode(Node):
    """The node of a declared operation, and the `ctx` of its forward and backward: attributes may be set freely."""
    cdef Op op
    cdef tuple to_save
    cdef Saved packed
    cdef list output_shapes       # (shape, type number) of every output, when there are several
    cdef readonly tuple needs     # which arguments need a gradient
    cdef tuple positions          # of the arguments that are tensors
    cdef public tuple constants   # numbers of the outputs that have no gradient, set by forward; None: all have one
    cdef dict ports               # weak references to the ports of the outputs; a port holds its node
    cdef dict __dict__

    def save(self, *tensors):
        """Keeps tensors (inputs, outputs, intermediates, or None) for backward."""
        for t in tensors:
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(f"save: takes Tensors and None, not {type(t).__name__}")
        self.to_save = tensors

    @property
    def saved(self) -> tuple:
        """What was saved; RuntimeError if one of them was changed since."""
        if self.released:
            raise_released(self)
        if self.packed is None:
            return ()
        return self.packed.unpack_all(self, self.output_shapes)

    cdef object call(self, TensorBase dy):
        if self.output_shapes is not None:
            return self.call_outputs([dy])
        return self.checked(self.op.backward(self, dy))

    cdef object call_outputs(self, list grads):
        cdef list full = []
        for i in range(len(self.output_shapes)):
            g = grads[i] if i < len(grads) else None
            shape, typenum = self.output_shapes[i]
            if g is None and typenum >= 0:
                g = adopt(np.zeros(shape, cnp.PyArray_DescrFromType(typenum)))
            full.append(g)
        return self.checked(self.op.backward(self, *full))

    cdef tuple checked(self, object result):
        """The gradients of the arguments that are tensors."""
        cdef tuple grads = result if isinstance(result, tuple) else (result,)
        cdef list out = []
        for i in self.positions:
            g = grads[i] if i < len(grads) else None
            if g is not None and not isinstance(g, TensorBase):
                raise TypeError(f"{self.op.name}: backward returned a {type(g).__name__} for argument {i}, not a Tensor or None")
            out.append(g if self.needs[i] else None)
        return tuple(out)

    cdef int release(self) except -1:
        if self.packed is not None:
            self.packed = None
            self.released = True
        return 0

    def name(self) -> str:
        return type(self).__name__ if self.op is None else self.op.node_name


cdef class Op:
    """A declared operation; calling it checks, runs and records."""
    cdef readonly str name, node_name
    cdef readonly object check, forward, backward
    cdef readonly bint numpy_backed, differentiable
    cdef dict __dict__

    def __init__(self, name, check, forward, backward, *, numpy_backed=False, differentiable=True):
        self.name = name
        self.node_name = "".join([part.capitalize() for part in name.split("_")]) + "Backward0"
        self.check = check
        self.forward = forward
        self.backward = backward
        self.numpy_backed = numpy_backed
        self.differentiable = differentiable and backward is not None

    def __call__(self, *args, **kwargs):
        arguments = self.check(*args, **kwargs)
        return self.run(arguments if isinstance(arguments, tuple) else (arguments,))

    def unchecked(self, *arguments):
        """The operation on forward's own arguments, past `check`: for gradients, whose arguments follow from checked ones."""
        return self.run(arguments)

    cdef object run(self, tuple args):
        cdef OpNode ctx = OpNode.__new__(OpNode)
        cdef bint recording, old = swap_grad_enabled(False)
        cdef list needs = [], positions = []
        cdef TensorBase t
        cdef Py_ssize_t i
        recording = False
        for i in range(len(args)):
            if isinstance(args[i], TensorBase):
                t = <TensorBase>args[i]
                positions.append(i)
                needs.append(old and self.differentiable and requires_grad(t))
                recording = recording or needs[i]
            else:
                needs.append(False)
        ctx.op = self
        ctx.needs = tuple(needs)
        try:
            out = self.forward(ctx, *args)
        finally:
            swap_grad_enabled(old)
        if not recording:
            return out
        ctx.positions = tuple(positions)
        ctx.set_edges(tuple([args[i] for i in positions]))
        return record_outputs(ctx, out, args)

    def __get__(self, instance, owner):
        return self if instance is None else BoundOp(self, instance)

    @property
    def __signature__(self):
        """The public signature: that of check."""
        import inspect    # not at import: it takes milliseconds
        return inspect.signature(self.check)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"

    def __reduce__(self):
        return find_operation, (self.__module__, self.name)


def find_operation(module: str, name: str):
    """The operation of that name, declared in that module (for pickles)."""
    if name not in registry:
        __import__(module)
    return registry[name]


@cython.final
cdef class BoundOp:
    """An operation as the method of a tensor."""
    cdef readonly object __func__, __self__

    def __init__(self, func, instance):
        self.__func__ = func
        self.__self__ = instance

    def __call__(self, *args, **kwargs):
        return self.__func__(self.__self__, *args, **kwargs)

    @property
    def __doc__(self):
        return self.__func__.__doc__

    @property
    def __name__(self):
        return self.__func__.__name__


cdef object record_outputs(OpNode ctx, object out, tuple args):
    """Attaches the node to the floating-point outputs and packs what was saved."""
    cdef bint single = not isinstance(out, tuple)
    cdef list outputs = [out] if single else list(<tuple>out)
    cdef TensorBase t
    cdef Py_ssize_t i
    for i in range(len(outputs)):
        for x in args:
            if outputs[i] is x and isinstance(x, TensorBase):
                settle(<TensorBase>x)
                outputs[i] = twin(<TensorBase>x)
    if ctx.to_save is not None:
        ctx.packed = Saved.pack(ctx.to_save, outputs)
        ctx.to_save = None
    if not single:
        ctx.output_shapes = []
    for i in range(len(outputs)):
        if not isinstance(outputs[i], TensorBase):
            if not single:
                ctx.output_shapes.append((None, -1))
            continue
        t = <TensorBase>outputs[i]
        records = is_float(t) and (ctx.constants is None or i not in ctx.constants)
        if not single:
            ctx.output_shapes.append((shape_of(t), cnp.PyArray_TYPE(t.a) if records else -1))
        if records:
            attach(t, ctx if single else ports_of(ctx, i))
    if single:
        return outputs[0]
    return type(out)(*outputs) if hasattr(out, "_fields") else tuple(outputs)


def inplace(op, TensorBase target not None, *args, **kwargs):
    """target = op(target, *args), in target's memory and history; for operations that have no in-place kernel of their own."""
    cdef TensorBase result
    check_inplace(target, op.name + "_")
    result = op(alias(target), *args, **kwargs)
    if result is None:
        raise TypeError(f"{op.name}_: the operation returned None in place of a Tensor")
    if shape_of(result) != shape_of(target):
        raise ShapeError(f"{op.name}_: the result {shape_of(result)} does not have the shape of the tensor {shape_of(target)}")
    if not dtypes.can_cast(result.dtype, target.dtype):
        raise RuntimeError(f"{op.name}_: result type {result.dtype} can't be cast to the desired output type {target.dtype}")
    np.copyto(target.a, result.a, casting="unsafe")
    target._rebase(result)
    return target


def register(name, operation):
    """Enters an operation under its name; names are unique."""
    if name in registry:
        raise ValueError(f"operation {name!r} is declared twice")
    registry[name] = operation


# --- user-written functions ---------------------------------------------------------------------------------------

def set_function_context(cls) -> None:
    """The class whose instances are the ctx of autograd.Function."""
    global function_context
    function_context = cls


cdef class PackedFunction:
    """The saved tensors of a Function: what ctx.saved_tensors reads. Holds its node only while the node is alive and running."""
    cdef Saved saved
    cdef FunctionNode node     # set around the call of backward; a lasting reference would be a cycle
    cdef bint released

    def unpack(self) -> tuple:
        if self.released:
            raise RuntimeError(
                "Trying to backward through the graph a second time: the saved tensors were freed by the first backward. "
                "Specify retain_graph=True if you need to go through the graph again."
            )
        if self.saved is None:
            return ()
        if self.node is None:
            return self.saved.unpack_all(None, None)
        return self.saved.unpack_all(self.node, self.node.output_shapes)


@cython.no_gc
cdef class FunctionNode(OpNode):
    cdef object cls, context
    cdef PackedFunction pack
    cdef tuple input_shapes
    cdef Py_ssize_t first      # the gradient that comes first: that of a view changed in place

    cdef object call_outputs(self, list grads):
        cdef list full = []
        for i in range(len(self.output_shapes)):
            g = grads[i] if i < len(grads) else None
            shape, typenum = self.output_shapes[i]
            if g is None and typenum >= 0 and self.context._materialize_grads:
                g = adopt(np.zeros(shape, cnp.PyArray_DescrFromType(typenum)))
            full.append(g)
        if self.pack is not None:
            self.pack.node = self
        try:
            result = self.cls._run_backward(self.context, tuple(full))
        finally:
            if self.pack is not None:
                self.pack.node = None
        return swapped(self.fitted(self.checked(result)), self.first)

    cdef object call(self, TensorBase dy):
        return self.call_outputs([dy])

    cdef tuple fitted(self, tuple grads):
        cdef list out = []
        cdef TensorBase g
        for i in range(len(grads)):
            if grads[i] is None:
                out.append(None)
                continue
            g = <TensorBase>grads[i]
            shape, typenum = self.input_shapes[i]
            if shape_of(g) != shape:
                if not broadcasts_to(shape, shape_of(g)):
                    raise ShapeError(
                        f"Function {self.name()} returned an invalid gradient at index {self.positions[i]} - got {list(shape_of(g))} "
                        f"but expected shape compatible with {list(shape)}"
                    )
                g = sum_to(g, shape)
            out.append(cast(g, typenum))
        return tuple(out)

    cdef int release(self) except -1:
        if self.pack is not None:
            self.pack.released = True
            self.pack.saved = None
        return 0

    def name(self) -> str:
        return type(self).__name__ if self.cls is None else self.cls.__name__ + "Backward"


cdef bint broadcasts_to(tuple small, tuple large):
    cdef Py_ssize_t lead = len(large) - len(small), d
    if lead < 0:
        return False
    for d in range(len(small)):
        if small[d] != 1 and small[d] != large[d + lead]:
            return False
    return True


def apply_function(cls, tuple args):
    """Runs cls.forward without recording and attaches a node that calls cls.backward."""
    cdef bint old, recording
    cdef list positions = [i for i in range(len(args)) if isinstance(args[i], TensorBase)]
    cdef FunctionNode node
    context = function_context()
    context.needs_input_grad = tuple([isinstance(x, TensorBase) and x.requires_grad for x in args])
    old = swap_grad_enabled(False)
    try:
        out = cls._run_forward(context, args)
    finally:
        swap_grad_enabled(old)
    recording = old and True in context.needs_input_grad
    for t in context._dirty:
        if not isinstance(t, TensorBase):
            raise TypeError(f"{cls.__name__}: mark_dirty takes Tensors that were given to forward, not {type(t).__name__}")
        check_inplace(<TensorBase>t, cls.__name__)
        (<TensorBase>t).s.version += 1
    if not recording:
        return fresh_outputs(out, args, context._dirty)
    node = FunctionNode.__new__(FunctionNode)
    node.cls = cls
    node.context = context
    node.needs = context.needs_input_grad
    node.positions = tuple(positions)
    node.set_edges(tuple([args[i] for i in positions]))
    node.input_shapes = tuple([(shape_of(<TensorBase>args[i]), cnp.PyArray_TYPE((<TensorBase>args[i]).a)) for i in positions])
    return record_function(node, out, args)


cdef object fresh_outputs(object out, tuple args, tuple dirty):
    """An input that is returned unchanged comes out as another object."""
    cdef list outputs = []
    for x in (out if isinstance(out, tuple) else (out,)):
        if isinstance(x, TensorBase) and not in_identity_of(x, dirty) and in_identity_of(x, args):
            settle(<TensorBase>x)
            x = twin(<TensorBase>x)
        outputs.append(x)
    return tuple(outputs) if isinstance(out, tuple) else outputs[0]


cdef bint in_identity_of(object x, tuple those):
    for y in those:
        if x is y:
            return True
    return False


cdef object record_function(FunctionNode node, object out, tuple args):
    cdef object context = node.context
    cdef bint single = not isinstance(out, tuple)
    cdef list outputs = list(<tuple>fresh_outputs(out if not single else (out,), args, context._dirty))
    cdef PackedFunction pack = PackedFunction.__new__(PackedFunction)
    cdef TensorBase t
    cdef list originals = [out] if single else list(<tuple>out)
    cdef Py_ssize_t i
    if context._to_save:
        pack.saved = Saved.pack(tuple(context._to_save), outputs)
        context._packed = pack
        node.pack = pack
        del context._to_save
    node.output_shapes = []
    for i in range(len(outputs)):
        if not isinstance(outputs[i], TensorBase):
            node.output_shapes.append((None, -1))
            continue
        t = <TensorBase>outputs[i]
        records = is_float(t) and not in_identity_of(originals[i], context._non_differentiable)
        node.output_shapes.append((shape_of(t), cnp.PyArray_TYPE(t.a) if records else -1))
        if not records:
            continue
        if in_identity_of(t, context._dirty):
            finish_dirty(node, t, i, len(outputs), args)
        else:
            attach(t, ports_of(node, i))
    return outputs[0] if single else tuple(outputs)


cdef int finish_dirty(FunctionNode node, TensorBase t, Py_ssize_t index, Py_ssize_t n_outputs, tuple args) except -1:
    """t, an argument that forward changed, gets the node as its history. Through a view the gradient comes from the base."""
    cdef Py_ssize_t i
    if t._base is None:
        return finish_inplace(t, ports_of(node, index))
    if n_outputs != 1:
        raise RuntimeError(f"{node.name()}: a Function that changes a view in place cannot return more than one Tensor")
    for i in range(len(node.positions)):
        if args[node.positions[i]] is t:
            node.first = i
            edges = swapped(tuple([node.edge(j) for j in range(node.n_edges())]), i)
            node.e0, node.e1, node.more = edges[0], edges[1], edges[2:]
            break
    return finish_inplace(t, node)


cdef tuple swapped(tuple items, Py_ssize_t i):
    """items with the first and the i-th exchanged."""
    if i == 0:
        return items
    return (items[i],) + items[1:i] + (items[0],) + items[i + 1:]
