# SPDX-License-Identifier: BSD-3-Clause
"""The driver of all optimizers' steps: one call for all parameter groups, everything checked before anything is written.

The work is cut into chunks of a fixed length over all tensors together, so that many small parameters and one large one are
threaded alike; every element is computed on its own, so the bits do not depend on the cut.
"""

cimport cython
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.string cimport memcmp, memcpy, memset

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport channels_last, contiguous_memory, is_channels_last, new_like
from pydl._core.inplace cimport check_inplace
from pydl._core.kernels cimport run_pieces, table
from pydl._core.loops cimport same_shape
from pydl._core.storage cimport Storage, scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, new, swap_grad_enabled

from pydl._core.dtypes import default_np
from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    CHUNK = 16384                              # elements that one thread takes at a time
    MAX_HELD = 2 + MAX_SCALARS + MAX_ARRAYS


cdef struct Part:
    pydl_step_fn* fn
    char* p
    const char* g
    char* s[MAX_ARRAYS]                        # NULL where the optimizer has none
    ptrdiff_t n, itemsize
    ptrdiff_t first_chunk                      # number of its first chunk among those of all tensors
    char* scalars[MAX_SCALARS]                 # where to write `after`
    bint wide[MAX_SCALARS]
    double after[MAX_SCALARS]
    int n_scalars, n_held
    PyObject* held[MAX_HELD]                   # the storages, the gradient's first: nobody may free them meanwhile
    pydl_options h


cdef class Rule:
    def __cinit__(self):
        self.scalars = self.arrays = ()
        self.ns_per_element = 0.5

    cdef int read(self, dict group) except -1:
        raise NotImplementedError

    cdef double start_of_scalar(self, Py_ssize_t i) noexcept:
        return 0

    cdef double start_of_array(self, Py_ssize_t i) noexcept:
        return 0

    cdef void advance(self, double* scalars) noexcept:
        pass

    cdef void set_first(self, pydl_options* h, bint first) noexcept:
        pass

    cdef pydl_step_fn* kernel(self, const pydl_update* k) noexcept:
        return NULL


cdef double number(object x) except? -1:
    """An option; it may be a tensor of one element."""
    return <double>x if type(x) is float else <double>float(x)


# --- checks -------------------------------------------------------------------------------------------------------

cdef int check_target(str name, str what, object t) except -1:
    """A tensor that a step may write. Called with grad mode off: leaves that require grad are what a step is for."""
    if not isinstance(t, TensorBase):
        raise TypeError(f"{name}: {what} must be a tensor, not {type(t).__name__}")
    if not is_float(<TensorBase>t):
        raise TypeError(f"{name}: {what} must be float32 or float64, not {(<TensorBase>t).a.dtype}")
    return check_inplace(<TensorBase>t, name)


cdef inline bint is_plain(TensorBase t) noexcept:
    """Whether t is writable memory in C order: then nothing but its type and shape is left to check."""
    cdef int wanted = cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_WRITEABLE
    return is_float(t) and (cnp.PyArray_FLAGS(t.a) & wanted) == wanted


cdef inline bint is_like(TensorBase t, TensorBase p) noexcept:
    return cnp.PyArray_TYPE(t.a) == cnp.PyArray_TYPE(p.a) and same_shape(t, p)


cdef int check_same(str name, str what, TensorBase p, object t) except -1:
    cdef TensorBase x
    if not isinstance(t, TensorBase):
        raise TypeError(f"{name}: {what} must be a tensor, not {type(t).__name__}")
    x = <TensorBase>t
    if not is_like(x, p):
        raise ShapeError(f"{name}: {what} {(<object>x.a).shape} {x.a.dtype} does not fit the parameter "
                         f"{(<object>p.a).shape} {p.a.dtype}")
    return 0


# --- the plan of a step -------------------------------------------------------------------------------------------

@cython.final
@cython.internal
cdef class Plan:
    """All that a step will do. Nothing is written until `run`."""
    cdef Rule rule
    cdef object state            # a dict, by parameter
    cdef Part* parts
    cdef ptrdiff_t n, room, n_chunks, n_elements
    cdef list fresh              # (parameter, its state dict or None, new entries)
    cdef list copies             # (tensor, contiguous copy that is written in its place)
    cdef list temporary

    def __cinit__(self, Rule rule, object state, ptrdiff_t room):
        self.rule, self.state = rule, state
        self.fresh, self.copies, self.temporary = [], [], []
        if room:
            self.parts = <Part*>scratch(room * sizeof(Part))
            self.room = room

    def __dealloc__(self):
        cdef ptrdiff_t i
        cdef int k
        for i in range(self.n):
            for k in range(self.parts[i].n_held):
                Py_DECREF(<object>self.parts[i].held[k])
        if self.room:
            scratch_free(self.parts, self.room * sizeof(Part))

    cdef int add(self, object param, TensorBase grad) except -1:
        cdef Part* part
        cdef TensorBase p
        cdef bint last
        p = <TensorBase>param
        if not is_plain(p):
            check_target(self.rule.name, "a parameter", param)
        if not is_like(grad, p):
            check_same(self.rule.name, "the gradient", p, grad)
        part = self.parts + self.n
        memset(part, 0, sizeof(Part))
        self.n += 1
        last = not is_contiguous(p) and is_channels_last(p)
        part.g = self.readable(part, grad, last)
        part.p = self.writable(part, p, last)
        part.n, part.itemsize, part.first_chunk = cnp.PyArray_SIZE(p.a), cnp.PyArray_ITEMSIZE(p.a), self.n_chunks
        part.fn = self.rule.kernel(<const pydl_update*>table(is_f64(p)).update)
        self.n_chunks += (part.n + CHUNK - 1) // CHUNK
        self.n_elements += part.n
        if self.rule.scalars or self.rule.arrays:
            self.add_state(part, p, last)
        else:
            part.h = self.rule.h
        return 0

    cdef int add_state(self, Part* part, TensorBase p, bint last) except -1:
        cdef Rule rule = self.rule
        cdef PyObject* found = PyDict_GetItemWithError(self.state, p)
        cdef dict old = None
        cdef dict made = None
        cdef bint first = False
        cdef Py_ssize_t i
        if found != NULL:
            if not isinstance(<object>found, dict):
                raise TypeError(f"{rule.name}: the state of a parameter must be a dict, not {type(<object>found).__name__}")
            old = <dict>found
        if not old or rule.may_lack:
            made = {}
        for i in range(len(rule.scalars)):
            self.add_scalar(part, self.entry(p, old, made, rule.scalars[i], True, i), rule.scalars[i])
        for i in range(len(rule.arrays)):
            if rule.arrays[i] is not None:
                array = self.entry(p, old, made, rule.arrays[i], False, i)
                first = first or (made is not None and rule.arrays[i] in made)
                if not (isinstance(array, TensorBase) and is_plain(<TensorBase>array) and is_like(<TensorBase>array, p)):
                    check_target(rule.name, rule.arrays[i], array)
                    check_same(rule.name, rule.arrays[i], p, array)
                part.s[i] = self.writable(part, <TensorBase>array, last)
        if made:
            self.fresh.append((p, old, made))
        if not (rule.known and memcmp(part.after, rule.before, sizeof(rule.before)) == 0):
            memcpy(rule.before, part.after, sizeof(rule.before))
            memcpy(rule.after, part.after, sizeof(rule.before))
            rule.wide = part.n_scalars > 0 and part.wide[part.n_scalars - 1]
            rule.advance(rule.after)
            rule.known = True
        memcpy(part.after, rule.after, sizeof(rule.before))
        part.h = rule.h
        rule.set_first(&part.h, first)
        return 0

    cdef object entry(self, TensorBase p, dict old, dict made, str name, bint scalar, Py_ssize_t i):
        """What the state has under `name`, or a new tensor that is noted in `made`."""
        cdef TensorBase t
        cdef PyObject* found = PyDict_GetItemWithError(old, name) if old is not None else NULL
        if found != NULL:
            return <object>found
        if made is None:
            raise KeyError(f"{self.rule.name}: the state of the parameter {(<object>p.a).shape} has no {name!r}")
        if scalar:
            t = new(0, NULL, cnp.NPY_DOUBLE if default_np() == np.float64 else cnp.NPY_FLOAT)
            (<object>t.a).fill(self.rule.start_of_scalar(i))
        else:
            t = new_like(p)
            if self.rule.start_of_array(i) == 0:
                memset(cnp.PyArray_DATA(t.a), 0, cnp.PyArray_NBYTES(t.a))
            else:
                (<object>t.a).fill(self.rule.start_of_array(i))
        made[name] = t
        return t

    cdef int add_scalar(self, Part* part, object value, str what) except -1:
        """Reads a 0-d tensor into part.after, where the rule will advance it."""
        cdef TensorBase t
        cdef int i = part.n_scalars
        if not (isinstance(value, TensorBase) and is_plain(<TensorBase>value)):
            check_target(self.rule.name, what, value)
        t = <TensorBase>value
        if cnp.PyArray_SIZE(t.a) != 1:
            raise ShapeError(f"{self.rule.name}: {what} must have one element, but has shape {(<object>t.a).shape}")
        part.scalars[i] = cnp.PyArray_BYTES(t.a)
        part.wide[i] = is_f64(t)
        part.after[i] = (<double*>part.scalars[i])[0] if part.wide[i] else (<float*>part.scalars[i])[0]
        part.n_scalars = i + 1
        self.hold(part, t.s)
        return 0

    cdef const char* readable(self, Part* part, TensorBase t, bint last) except NULL:
        cdef TensorBase dense = t
        if last or not is_contiguous(t):
            dense = channels_last(t) if last else contiguous_memory(t)
        if dense is not t:
            self.temporary.append(dense)
        self.hold(part, t.s)
        return cnp.PyArray_BYTES(dense.a)

    cdef char* writable(self, Part* part, TensorBase t, bint last) except NULL:
        cdef TensorBase dense = t
        if last or not is_contiguous(t):
            dense = channels_last(t) if last else contiguous_memory(t)
        if dense is not t:
            self.copies.append((t, dense))
        self.hold(part, t.s)
        return cnp.PyArray_BYTES(dense.a)

    cdef void hold(self, Part* part, Storage s) noexcept:
        Py_INCREF(s)
        part.held[part.n_held] = <PyObject*>s
        part.n_held += 1

    cdef int run(self) except -1:
        cdef ptrdiff_t i
        cdef int k
        for param, old, made in self.fresh:
            if old is None:
                self.state[param] = made
            else:
                (<dict>old).update(made)
        for i in range(self.n):
            for k in range(1, self.parts[i].n_held):      # all but the gradient
                (<Storage>self.parts[i].held[k]).version += 1
            for k in range(self.parts[i].n_scalars):
                if self.parts[i].wide[k]:
                    (<double*>self.parts[i].scalars[k])[0] = self.parts[i].after[k]
                else:
                    (<float*>self.parts[i].scalars[k])[0] = <float>self.parts[i].after[k]
        run_all(self.parts, self.n, self.n_chunks, self.n_elements * self.rule.ns_per_element)
        for target, copy in self.copies:
            np.copyto((<TensorBase>target).a, (<TensorBase>copy).a)
        return 0


cdef struct Parts:
    const Part* first
    ptrdiff_t n


cdef void run_chunk(const void* job, ptrdiff_t chunk) noexcept nogil:
    cdef const Part* parts = (<const Parts*>job).first
    cdef const Part* part
    cdef ptrdiff_t low = 0, high = (<const Parts*>job).n - 1, middle, at, offset
    while low < high:                     # the last part that starts at or before this chunk
        middle = (low + high + 1) // 2
        if parts[middle].first_chunk <= chunk:
            low = middle
        else:
            high = middle - 1
    part = parts + low
    at = (chunk - part.first_chunk) * CHUNK
    offset = at * part.itemsize
    part.fn(part.p + offset, part.g + offset, part.s[0] + offset if part.s[0] != NULL else NULL,
            part.s[1] + offset if part.s[1] != NULL else NULL, part.s[2] + offset if part.s[2] != NULL else NULL,
            &part.h, min(<ptrdiff_t>CHUNK, part.n - at))


cdef void run_part(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Part* part = (<const Parts*>job).first + i
    if part.n:
        part.fn(part.p, part.g, part.s[0], part.s[1], part.s[2], &part.h, part.n)


cdef void run_all(const Part* parts, ptrdiff_t n_parts, ptrdiff_t n_chunks, double work_ns) noexcept:
    cdef Parts p
    p.first, p.n = parts, n_parts
    if n_chunks <= n_parts:               # short ones
        run_pieces(run_part, &p, n_parts, work_ns)
    else:
        run_pieces(run_chunk, &p, n_chunks, work_ns)


cdef int take_step(Rule rule, list groups, object state) except -1:
    cdef ptrdiff_t room = 0
    cdef Plan plan
    cdef bint grad_mode
    cdef TensorBase grad
    if not isinstance(state, dict):
        raise TypeError(f"{rule.name}: the state must be a dict, not {type(state).__name__}")
    for group in groups:
        if not isinstance(group, dict):
            raise TypeError(f"{rule.name}: a parameter group must be a dict, not {type(group).__name__}")
        room += len(<list?>(<dict>group)["params"])
    plan = Plan.__new__(Plan, rule, state, room)
    grad_mode = swap_grad_enabled(False)
    try:
        for group in groups:
            rule.known = False
            rule.read(<dict>group)
            for param in <list>(<dict>group)["params"]:
                if not isinstance(param, TensorBase):
                    raise TypeError(f"{rule.name}: a parameter must be a tensor, not {type(param).__name__}")
                grad = (<TensorBase>param).grad_
                if grad is not None:
                    if plan.n >= room:      # an option's own code made a list longer
                        raise RuntimeError(f"{rule.name}: the parameter groups changed during the step")
                    plan.add(param, grad)
        return plan.run()
    finally:
        swap_grad_enabled(grad_mode)
