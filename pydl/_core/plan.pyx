# SPDX-License-Identifier: BSD-3-Clause
"""Inference plans: steps that run one after the other on tensors of planned memory.

A call takes a list of tensors by number: constants, which all calls share, and the others on one block of memory, in which places
are used again as soon as what stood there is not needed any more (pydl/inference/memory.py). Calls of several Python threads have a
list each; a list is kept for the next call. Outputs are new tensors, inputs the caller's.
"""

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, new_channels_last
from pydl._core.tape cimport TensorBase, adopt, grad_enabled, is_contiguous, new, requires_grad, swap_grad_enabled

from pydl._core import dtypes
from pydl._core.errors import ShapeError

cnp.import_array()


cdef class Step:
    cdef int run(self, list tensors) except -1:
        raise NotImplementedError(f"a step without work: {self.text}")

    def __repr__(self) -> str:
        return self.text


@cython.auto_pickle(False)
cdef class Plan:
    """What `freeze` makes; see pydl/inference.

    inputs   (number, shape, NumPy type) of each
    outputs  (number, shape, NumPy type, channels-last) of each
    buffers  (number, shape, NumPy type, channels-last, offset in bytes), or for a view
             (number, shape, NumPy type, strides in bytes, offset)
    constants (number, array)
    """

    def __init__(self, steps, inputs, outputs, buffers, constants, Py_ssize_t n_tensors, Py_ssize_t nbytes, result):
        self.steps, self.inputs, self.outputs, self.buffers = tuple(steps), tuple(inputs), tuple(outputs), tuple(buffers)
        self.constants = tuple([(number, adopt(array)) for number, array in constants])
        self.n_tensors, self.nbytes, self.result = n_tensors, nbytes, result
        self.idle = []

    cdef list new_tensors(self):
        """A list of tensors for a call, on memory of its own."""
        cdef list tensors = [None] * self.n_tensors
        cdef cnp.npy_intp n = self.nbytes
        cdef TensorBase room = new(1, &n, cnp.NPY_UINT8), t
        for number, constant in self.constants:
            tensors[number] = constant
        for number, shape, dtype, strides, offset in self.buffers:
            if isinstance(strides, tuple):
                t = adopt(np.ndarray(shape, dtype, room.a, 0 if 0 in shape else offset, None if 0 in shape else strides))
            else:
                t = adopt(np.ndarray(shape, dtype, room.a, offset, channels_last_strides(shape, dtype.itemsize) if strides else None))
                t.own_format = strides
            tensors[number] = t
        return tensors

    cdef int take_inputs(self, list tensors, tuple args) except -1:
        cdef TensorBase x
        cdef cnp.npy_intp i, n = len(args)
        if n != len(self.inputs):
            raise TypeError(f"this plan takes {len(self.inputs)} tensors, as its example, not {n}")
        for i in range(n):
            number, shape, dtype = self.inputs[i]
            if not isinstance(args[i], TensorBase):
                raise TypeError(f"a plan takes Tensors, not {type(args[i]).__name__}")
            x = <TensorBase>args[i]
            if cnp.PyArray_TYPE(x.a) != dtype.num:
                raise TypeError(f"this plan was made for {dtypes.from_np(dtype)}, not {x.dtype}: freeze the model with such an example")
            if (<object>x.a).shape != shape:
                raise ShapeError(f"this plan was made for an input {shape}, not {(<object>x.a).shape}: freeze the model with such an "
                                 "example")
            if grad_enabled() and requires_grad(x):
                raise RuntimeError("a plan has no gradients, but its input requires one: call it under no_grad(), or with x.detach()")
            tensors[<Py_ssize_t>number] = x if is_contiguous(x) else contiguous_memory(x)
        return 0

    def __call__(self, *args):
        cdef list tensors = self.idle.pop() if self.idle else self.new_tensors()
        cdef list results
        cdef Step step
        cdef bint old
        self.take_inputs(tensors, args)
        for number, shape, dtype, last in self.outputs:
            tensors[<Py_ssize_t>number] = new_output(shape, dtype, last)
        old = swap_grad_enabled(False)
        try:
            for step in self.steps:
                step.run(tensors)
        finally:
            swap_grad_enabled(old)
        results = []
        for output in self.outputs:
            results.append(tensors[<Py_ssize_t>output[0]])
            tensors[<Py_ssize_t>output[0]] = None
        for taken in self.inputs:
            tensors[<Py_ssize_t>taken[0]] = None
        self.idle.append(tensors)
        return results[0] if self.result is None else self.result(results)


cdef TensorBase new_output(tuple shape, cnp.dtype dtype, bint last):
    cdef cnp.npy_intp dims[64]
    cdef Py_ssize_t i, n = len(shape)
    for i in range(n):
        dims[i] = shape[i]
    return new_channels_last(<int>n, dims, dtype.num, True) if last else new(<int>n, dims, dtype.num)


def channels_last_strides(shape, Py_ssize_t itemsize) -> tuple:
    """Strides in bytes of (N, C, spatial...) on memory in the order N, spatial, C."""
    order = (0, *range(2, len(shape)), 1)
    strides = {}
    for d in reversed(order):
        strides[d] = itemsize
        itemsize *= shape[d]
    return tuple([strides[d] for d in range(len(shape))])
