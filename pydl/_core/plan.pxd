# SPDX-License-Identifier: BSD-3-Clause
"""The parts of inference plans: a step reads and writes the tensors of a call, which it finds by their numbers."""

from pydl._core.tape cimport TensorBase


cdef class Step:
    cdef readonly str text                     # what it does, for people
    cdef int run(self, list tensors) except -1


cdef class Plan:
    cdef readonly tuple steps
    cdef readonly Py_ssize_t nbytes            # of the buffers of one call at a time
    cdef tuple inputs, outputs, buffers, constants
    cdef object result                         # the outputs put together as the model did, or None: there is one
    cdef Py_ssize_t n_tensors
    cdef list idle                             # lists of tensors that no call uses now
    cdef list new_tensors(self)
    cdef int take_inputs(self, list tensors, tuple args) except -1
