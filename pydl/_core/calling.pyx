# SPDX-License-Identifier: BSD-3-Clause
"""The call of a module: a look for hooks, then `forward`, without a frame of the interpreter in between."""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

cdef extern from "Python.h":
    """
    /* A plain function of the type, which may be called without a method object being made; NULL for anything else. */
    static PyObject *pydl_plain_method(PyTypeObject *type, PyObject *name) {
        PyObject *found = _PyType_Lookup(type, name);
        return found && PyFunction_Check(found) ? found : NULL;
    }
    static PyObject *pydl_dict_of(PyObject *o) {
        PyObject **dict = _PyObject_GetDictPtr(o);
        return dict && *dict && PyDict_CheckExact(*dict) ? *dict : NULL;
    }
    """
    object PyObject_Vectorcall(PyObject* function, PyObject** args, size_t n_args, PyObject* keywords)
    object PyObject_VectorcallMethod(object name, PyObject** args, size_t n_args, PyObject* keywords)
    PyObject* pydl_plain_method(type type, object name)
    PyObject* pydl_dict_of(object o)
    PyObject* Py_False

cdef enum:
    MAX_ARGS = 8

cdef str FORWARD = "forward"
cdef str HOOKED = "_hooked"
cdef object every = None


def set_hooks_of_all(hooks) -> None:
    """The hooks that every module calls; `hooks._hooked` says whether there are any."""
    global every
    every = hooks


cdef inline bint is_hooked(object o) except -1:
    """o._hooked, without the search through the classes of o that a Python `__getattr__` in one of them makes longer."""
    cdef PyObject* state = pydl_dict_of(o)
    cdef PyObject* hooked = PyDict_GetItemWithError(<object>state, HOOKED) if state != NULL else NULL
    if hooked == Py_False:
        return False
    return <bint>o._hooked


@cython.auto_pickle(False)
cdef class ForwardCaller:
    """Calling an instance calls its `forward`, or `_call_hooked(args, kwargs)` while there are hooks."""

    def __call__(self, *args, **kwargs):
        cdef PyObject* stack[MAX_ARGS + 1]
        cdef PyObject* own
        cdef PyObject* method
        cdef Py_ssize_t i, n = len(args)
        if is_hooked(self) or is_hooked(every):
            return self._call_hooked(args, kwargs)
        if kwargs or n > MAX_ARGS:
            return self.forward(*args, **kwargs)
        stack[0] = <PyObject*>self
        for i in range(n):
            stack[i + 1] = <PyObject*>args[i]
        own = pydl_dict_of(self)
        method = pydl_plain_method(type(self), FORWARD)
        if method != NULL and own != NULL and PyDict_GetItemWithError(<object>own, FORWARD) == NULL:
            return called(<object>method, stack, n + 1)
        return PyObject_VectorcallMethod(FORWARD, stack, n + 1, NULL)


cdef inline object called(object function, PyObject** args, size_t n_args):
    """The function is held here: it may take itself out of its class."""
    return PyObject_Vectorcall(<PyObject*>function, args, n_args, NULL)
