# SPDX-License-Identifier: BSD-3-Clause
"""Backward: sends gradients from the roots to the leaves, one node at a time, without recursion.

A node is newer than the nodes of its inputs, so taking the newest waiting node first means that every user of its output has
already sent its share: no pass that counts users is needed. The gradient of a node gathers in the node itself; what waits is a
binary heap ordered by age. One algorithm with the checks of its arguments and hooks: more than 400 lines.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc

cimport numpy as cnp

cimport pydl._core.kernels as kernels
from pydl._core.formats cimport is_channels_last, new_like
from pydl._core.promote cimport cast
from pydl._core.tape cimport (
    Node, OutputPort, TensorBase, is_contiguous, is_float, node_of, raise_released, slots, swap_grad_enabled,
)

from pydl._core.errors import ShapeError

cdef extern from *:
    """
    static _Thread_local int pydl_graph_kept = 0;
    static int pydl_get_kept(void) { return pydl_graph_kept; }
    static int pydl_swap_kept(int on) { int old = pydl_graph_kept; pydl_graph_kept = on; return old; }
    """
    int pydl_get_kept() noexcept
    int pydl_swap_kept(int on) noexcept

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* o)    # of a borrowed pointer: an attribute passed as an object is referred to once more

cnp.import_array()

cdef uint64_t n_runs = 0


@cython.final
cdef class Run:
    """One backward: the waiting nodes, the leaves that got a gradient, and what is to be returned."""
    cdef PyObject** heap
    cdef Py_ssize_t n, room
    cdef uint64_t id
    cdef list leaves
    cdef dict shared        # leaf -> gradient, of leaves that another backward is adding to (in a hook, or in another thread)
    cdef dict captures      # of a Node or leaf -> gradient, when only some inputs are asked for
    cdef dict wanted        # Node -> whether an input that is asked for lies behind it
    cdef bint create_graph

    def __dealloc__(self):
        """Nodes still waiting after an error forget what they gathered."""
        cdef Node node
        while self.n:
            node = self.pop()
            node.pending = None
            node.pending_outputs = None
        free(self.heap)

    cdef int push(self, Node node) except -1:
        cdef Py_ssize_t child = self.n, parent
        cdef PyObject** grown
        if self.n == self.room:
            grown = <PyObject**>realloc(self.heap, (2 * self.room + 64) * sizeof(PyObject*))
            if grown == NULL:
                raise MemoryError("backward: no memory for the waiting nodes")
            self.heap = grown
            self.room = 2 * self.room + 64
        node.run = self.id
        Py_INCREF(node)
        self.n += 1
        while child > 0:
            parent = (child - 1) >> 1
            if (<Node>self.heap[parent]).seq > node.seq:
                break
            self.heap[child] = self.heap[parent]
            child = parent
        self.heap[child] = <PyObject*>node
        return 0

    cdef Node pop(self):
        """The newest waiting node."""
        cdef Node node = <Node>self.heap[0]
        cdef PyObject* last
        cdef Py_ssize_t parent = 0, child = 1
        Py_DECREF(node)
        node.run = 0
        self.n -= 1
        last = self.heap[self.n]
        while child < self.n:
            if child + 1 < self.n and (<Node>self.heap[child + 1]).seq > (<Node>self.heap[child]).seq:
                child += 1
            if (<Node>self.heap[child]).seq < (<Node>last).seq:
                break
            self.heap[parent] = self.heap[child]
            parent = child
            child = 2 * parent + 1
        self.heap[parent] = last
        return node


cdef bint is_own(TensorBase g):
    """Whether nobody else can see the memory of g, which the caller alone refers to (once)."""
    return (Py_REFCNT(<PyObject*>g) == 1 and Py_REFCNT(<PyObject*>g.a) == 1 and g.base is None and g.s.size_class >= 0
            and Py_REFCNT(<PyObject*>g.s) == 2 and not g.requires_grad_ and (is_contiguous(g) or is_channels_last(g)))


cdef TensorBase gathered(Run run, TensorBase so_far, TensorBase more):
    if not run.create_graph and is_own(so_far):
        return slots.binary_(kernels.PYDL_B_add, so_far, more)
    return slots.binary(kernels.PYDL_B_add, so_far, more)


cdef int send(Run run, object edge, TensorBase g) except -1:
    """Adds g to what waits at the edge."""
    cdef Node node
    cdef TensorBase leaf, so_far
    if isinstance(edge, Node):
        node = <Node>edge
        if run.wanted is not None and not run.wanted.get(node) and node not in run.captures:
            return 0
        if node.run == 0:
            node.pending = g
            run.push(node)
        elif node.run != run.id:
            raise RuntimeError(f"backward: another backward is running through the same graph (at {node.name()})")
        elif node.pending is None:
            node.pending = g
        else:
            so_far = node.pending
            node.pending = None
            node.pending = gathered(run, so_far, g)
        return 0
    leaf = <TensorBase>edge
    if run.captures is not None and leaf not in run.captures:
        return 0
    if leaf.run != run.id:
        if leaf.run != 0:
            if run.shared is None:
                run.shared = {}
            so_far = run.shared.pop(leaf, None)
            run.shared[leaf] = g if so_far is None else gathered(run, so_far, g)
            return 0
        leaf.run = run.id
        run.leaves.append(leaf)
        leaf.pending = g
    else:
        so_far = leaf.pending
        leaf.pending = None
        leaf.pending = gathered(run, so_far, g)
    return 0


cdef TensorBase run_hooks(dict hooks, TensorBase g):
    for hook in list(hooks.values()):
        result = hook(g)
        if result is not None:
            if not isinstance(result, TensorBase):
                raise TypeError(f"a tensor hook must return a Tensor or None, not {type(result).__name__}")
            check_replaced(<TensorBase>result, g)
            g = <TensorBase>result
    return g


cdef int check_replaced(TensorBase result, TensorBase g) except -1:
    """What a hook returns must be a gradient of the same kind: the kernels of the next node rely on it."""
    if result.shape != g.shape:
        raise ShapeError(f"hook: returned a gradient {tuple(result.shape)} in place of {tuple(g.shape)}")
    if result.dtype is not g.dtype:
        raise RuntimeError(f"hook: has changed the type of value (was {g.dtype} got {result.dtype})")
    return 0


cdef object run_node_hooks(Node node, object results, tuple outputs):
    cdef tuple grads = results if isinstance(results, tuple) else (results,)
    for hook in list(node.node_hooks.values()):
        changed = hook(grads, outputs)
        if changed is None:
            continue
        changed = tuple(changed) if isinstance(changed, (tuple, list)) else (changed,)
        if len(changed) != len(grads):
            raise RuntimeError(f"hook of {node.name()}: returned {len(changed)} gradients in place of {len(grads)}")
        for new, old in zip(changed, grads):
            if new is not None and not isinstance(new, TensorBase):
                raise TypeError(f"hook of {node.name()}: must return Tensors or None, not {type(new).__name__}")
            if new is not None and old is not None:
                check_replaced(<TensorBase>new, <TensorBase>old)
            elif new is not None and not is_float(<TensorBase>new):
                raise RuntimeError(f"hook of {node.name()}: a gradient must be of floating-point type, not {new.dtype}")
        grads = changed
    return grads


cdef int step(Run run, Node node, bint retain_graph) except -1:
    """Runs one node: its gradient goes in, the gradients of its inputs are sent on."""
    cdef TensorBase g = node.pending
    cdef list grads = None
    cdef Node parent
    cdef tuple results
    cdef Py_ssize_t i, n
    node.pending = None
    if g is not None:
        if node.hooks is not None:
            g = run_hooks(node.hooks, g)
        if node.retained is not None:
            keep_retained(node, g)
        if run.captures is not None and node in run.captures:
            run.captures[node] = g
            if not run.wanted.get(node):
                return 0
    if isinstance(node, OutputPort):
        parent = <Node>node.e0
        if parent.run != 0 and parent.run != run.id:
            raise RuntimeError(f"backward: another backward is running through the same graph (at {parent.name()})")
        if parent.pending_outputs is None:
            parent.pending_outputs = [None] * ((<OutputPort>node).index + 1)
            if parent.run == 0:
                run.push(parent)
        while len(parent.pending_outputs) <= (<OutputPort>node).index:
            parent.pending_outputs.append(None)
        parent.pending_outputs[(<OutputPort>node).index] = g
        return 0
    if node.released:
        raise_released(node)
    if node.pending_outputs is not None:
        grads = node.pending_outputs
        node.pending_outputs = None
        result = node.call_outputs(grads)
    else:
        result = node.call(g)
    if node.node_hooks is not None:
        result = run_node_hooks(node, result, (g,) if grads is None else tuple(grads))
    g = None
    grads = None
    if not retain_graph:
        node.release()
    if result is None:
        return 0
    if isinstance(result, TensorBase):
        if node.e0 is not None:
            send(run, node.e0, <TensorBase>result)
        return 0
    results = <tuple>result
    n = min(<Py_ssize_t>len(results), node.n_edges())
    for i in range(n):
        if results[i] is not None and node.edge(i) is not None:
            send(run, node.edge(i), <TensorBase>results[i])
    return 0


cdef TensorBase own_copy(TensorBase g):
    """A gradient that is kept shares its memory with no other; recorded if the backward is."""
    return slots.unary(kernels.PYDL_U_copy, g)


cdef int keep_retained(Node node, TensorBase g) except -1:
    cdef TensorBase t = node.retained()
    if t is not None:
        t.grad_ = own_copy(g) if t.grad_ is None else slots.binary(kernels.PYDL_B_add, t.grad_, g)
    return 0


cdef int finish_leaf(Run run, TensorBase leaf) except -1:
    cdef TensorBase g = leaf.pending, more = None
    leaf.pending = None
    leaf.run = 0
    if run.shared is not None:
        more = run.shared.pop(leaf, None)
        if more is not None:
            g = gathered(run, g, more)
    return finish_gradient(run, leaf, g)


cdef int finish_gradient(Run run, TensorBase leaf, TensorBase g) except -1:
    cdef TensorBase changed    # an argument that is assigned to would be referred to twice, and its gradient copied
    if leaf.hooks is not None:
        changed = run_hooks(leaf.hooks, g)
        if changed is not g:
            return keep_gradient(run, leaf, changed)
    return keep_gradient(run, leaf, g)


cdef int keep_gradient(Run run, TensorBase leaf, TensorBase g) except -1:
    if run.captures is not None:
        run.captures[leaf] = g
        return 0
    return store_grad(run, leaf, g)


cdef int store_grad(Run run, TensorBase leaf, TensorBase g) except -1:
    """leaf.grad += g; the first gradient is kept as it is if nobody else can see it."""
    if run.create_graph:
        leaf.grad_ = own_copy(g) if leaf.grad_ is None else slots.binary(kernels.PYDL_B_add, leaf.grad_, g)
    elif leaf.grad_ is None:
        leaf.grad_ = g if is_own(g) else slots.copy_(new_like(g), g)
    elif leaf.grad_.requires_grad_:
        leaf.grad_ = slots.binary(kernels.PYDL_B_add, leaf.grad_, g)
    else:
        slots.binary_(kernels.PYDL_B_add, leaf.grad_, g)
    if leaf.post_hooks is not None:
        for hook in list(leaf.post_hooks.values()):
            hook(leaf)
    return 0


cdef dict nodes_before(tuple roots, dict captures):
    """Which nodes lie between the roots and what is captured: Node -> bool, found without recursion."""
    cdef dict wanted = {}
    cdef list stack = []
    cdef Node node
    cdef Py_ssize_t i
    for t in roots:
        node = node_of(<TensorBase>t)
        if node is not None:
            stack.append(node)
    while stack:
        node = <Node>stack[len(stack) - 1]
        if node in wanted and wanted[node] is not None:
            stack.pop()
            continue
        if node not in wanted:
            wanted[node] = None
            for i in range(node.n_edges()):
                edge = node.edge(i)
                if isinstance(edge, Node) and edge not in wanted:
                    stack.append(edge)
            continue
        stack.pop()
        wanted[node] = leads_on(node, captures, wanted)
    return wanted


cdef bint leads_on(Node node, dict captures, dict wanted):
    cdef Py_ssize_t i
    for i in range(node.n_edges()):
        edge = node.edge(i)
        if edge is not None and (edge in captures or (isinstance(edge, Node) and wanted.get(edge))):
            return True
    return False


cdef TensorBase root_gradient(TensorBase root, object given):
    cdef TensorBase g
    if given is None:
        if root.a.size != 1:
            raise RuntimeError(f"grad can be implicitly created only for scalar outputs, not for a tensor of shape {tuple(root.shape)}")
        g = new_like(root)
        g.a.fill(1)
        return g
    if not isinstance(given, TensorBase):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    if given.shape != root.shape:
        raise ShapeError(f"backward: the gradient {tuple(given.shape)} must have the shape of its tensor {tuple(root.shape)}")
    return cast(<TensorBase>given, cnp.PyArray_TYPE(root.a))


cdef int check_arguments(tuple tensors, tuple grads, inputs) except -1:
    if len(tensors) != len(grads):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    for t in tensors + (() if inputs is None else tuple(inputs)):
        if not isinstance(t, TensorBase):
            raise TypeError(f"backward: takes Tensors, not {type(t).__name__}")
    return 0


cdef int walk(Run run, tuple tensors, tuple grads, bint retain_graph) except -1:
    cdef TensorBase root
    cdef Py_ssize_t i, n_steps = 0
    for i in range(len(tensors)):
        root = <TensorBase>tensors[i]
        node_of(root)
        if not root.requires_grad_:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")
        g = root_gradient(root, grads[i])
        send(run, root if root.node is None else root.node, <TensorBase>g)
        g = None
    while run.n:
        n_steps += 1
        if not n_steps & 63:
            PyErr_CheckSignals()
        step(run, run.pop(), retain_graph)
    while run.leaves:
        finish_leaf(run, run.leaves.pop())
    while run.shared:
        leaf, g = run.shared.popitem()
        finish_gradient(run, <TensorBase>leaf, <TensorBase>g)
    return 0


def backward(tuple tensors not None, tuple grads not None, bint retain_graph, bint create_graph, inputs, bint allow_unused,
             bint accumulate):
    """Gradients of the sum of `tensors` weighted with `grads` (None: ones, for tensors of one element).

    accumulate: into the grad of all leaves, or of `inputs` (a tuple) alone; else the gradients of `inputs` are returned.
    """
    global n_runs
    cdef Run run = Run.__new__(Run)
    cdef TensorBase t
    cdef bint old, kept
    check_arguments(tensors, grads, inputs)
    old = swap_grad_enabled(create_graph)
    kept = pydl_swap_kept(retain_graph)
    n_runs += 1
    run.id = n_runs
    run.leaves = []
    run.create_graph = create_graph
    try:
        if inputs is not None:
            run.captures = {capture_key(x): None for x in inputs}
            run.wanted = nodes_before(tensors, run.captures)
        walk(run, tensors, grads, retain_graph)
        if inputs is None:
            return None
        found = tuple([run.captures[capture_key(x)] for x in inputs])
        if accumulate:
            for x, g in zip(inputs, found, strict=True):
                if g is not None:
                    store_grad(run, <TensorBase>x, <TensorBase>g)
            return None
        if not allow_unused and any([g is None for g in found]):
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
        return found
    finally:
        while run.leaves:
            t = run.leaves.pop()
            t.pending = None
            t.run = 0
        swap_grad_enabled(old)
        pydl_swap_kept(kept)


def graph_is_kept() -> bool:
    """Whether the backward that is running on this thread keeps what its nodes saved; else a node may overwrite it."""
    return pydl_get_kept()


def capture_key(TensorBase x not None):
    node = node_of(x)
    if not x.requires_grad_:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return x if node is None else node
