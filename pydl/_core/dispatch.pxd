# SPDX-License-Identifier: BSD-3-Clause
"""Declared operations, their nodes, and what nodes keep, for the other compiled modules."""

cimport cython

from pydl._core.tape cimport Node, OutputPort, TensorBase


cdef class Saved:
    cdef tuple tensors
    cdef tuple versions
    cdef tuple output_of    # which output each is, -1 for others

    @staticmethod
    cdef Saved pack(tuple tensors, list outputs)
    cdef tuple unpack_all(self, OpNode node, list ports)


@cython.no_gc
cdef class OpNode(Node):
    cdef Op op
    cdef tuple to_save
    cdef Saved packed
    cdef list output_shapes       # (shape, type number) of every output, when there are several
    cdef readonly tuple needs     # which arguments need a gradient
    cdef tuple positions          # of the arguments that are tensors
    cdef public tuple constants   # numbers of the outputs that have no gradient, set by forward; None: all have one
    cdef dict ports               # weak references to the ports of the outputs; a port holds its node
    cdef dict __dict__
    cdef tuple checked(self, object result)


cdef class Op:
    cdef readonly str name, node_name
    cdef readonly object check, forward, backward
    cdef readonly bint numpy_backed, differentiable
    cdef dict __dict__
    cdef object run(self, tuple args)


cdef OutputPort ports_of(OpNode node, Py_ssize_t index)
