# SPDX-License-Identifier: BSD-3-Clause
"""The door through which every operation declared in Python goes: check, forward without recording, then one node."""

import weakref
from functools import partial

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.inplace cimport check_inplace
from pydl._core.recorder cimport begins, ends
from pydl._core.shape cimport shape_of
from pydl._core.tape cimport (
    Node, OutputPort, TensorBase, adopt, alias, attach, is_float, raise_released, requires_grad, settle, slots, swap_grad_enabled,
    twin, unpack,
)

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()

registry = {}


cdef class Saved:
    """What a node keeps for backward: tensors with the versions they had; outputs without history."""

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
        cdef OpNode ctx
        cdef bint recording, old
        if slots.recording and begins():
            out = self.run(args)
            ends(self.name, args, out, self.unchecked)
            return out
        ctx = OpNode.__new__(OpNode)
        old = swap_grad_enabled(False)
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
    if slots.recording and begins():
        inplace(op, target, *args, **kwargs)
        ends(op.name + "_", (target, *args), target, partial(op, **kwargs))
        return target
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
