# SPDX-License-Identifier: BSD-3-Clause
"""The call of a module: a look for hooks, then `forward`, without a frame of the interpreter in between."""

cimport cython
from cpython.object cimport PyObject

cdef extern from "Python.h":
    object PyObject_VectorcallMethod(object name, PyObject** args, size_t n_args, PyObject* keywords)

cdef enum:
    MAX_ARGS = 8

cdef str FORWARD = "forward"
cdef object every = None


def set_hooks_of_all(hooks) -> None:
    """The hooks that every module calls; `hooks._hooked` says whether there are any."""
    global every
    every = hooks


@cython.auto_pickle(False)
cdef class ForwardCaller:
    """Calling an instance calls its `forward`, or `_call_hooked(args, kwargs)` while there are hooks."""

    def __call__(self, *args, **kwargs):
        cdef PyObject* stack[MAX_ARGS + 1]
        cdef Py_ssize_t i, n = len(args)
        if self._hooked or every._hooked:
            return self._call_hooked(args, kwargs)
        if kwargs or n > MAX_ARGS:
            return self.forward(*args, **kwargs)
        stack[0] = <PyObject*>self
        for i in range(n):
            stack[i + 1] = <PyObject*>args[i]
        return PyObject_VectorcallMethod(FORWARD, stack, n + 1, NULL)
