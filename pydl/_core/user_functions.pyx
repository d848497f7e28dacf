# SPDX-License-Identifier: BSD-3-Clause
"""autograd.Function: forward and backward written by a user, behind one node that is recorded like a declared operation's."""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.dispatch cimport OpNode, Saved, ports_of
from pydl._core.inplace cimport check_inplace, finish_inplace
from pydl._core.promote cimport cast
from pydl._core.recorder cimport begins, ends
from pydl._core.shape cimport shape_of
from pydl._core.sums cimport sum_to
from pydl._core.tape cimport TensorBase, adopt, attach, is_float, settle, slots, swap_grad_enabled, twin

from pydl._core.errors import ShapeError

cnp.import_array()

cdef object function_context = None


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
    if slots.recording and begins():
        out = apply_function(cls, args)
        ends(cls.__name__, args, out, cls.apply)
        return out
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
