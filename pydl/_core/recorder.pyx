# SPDX-License-Identifier: BSD-3-Clause
"""Records which operations run on which tensors while a model runs once, for inference plans (pydl.inference).

A tensor that appears while recording is a value, if a recorded operation made it from the input; a constant, if one made it from
constants or if it was made from no tensor (zeros, arange); else unexplained, and whoever uses it is refused. So nothing that
depends on the input can be taken for a constant: neither the result of an operation that is not recorded, nor a change in place
(versions are compared), nor numbers that Python read from a tensor.
"""

import sys
import threading

cimport cython

import numpy as np
cimport numpy as cnp

from pydl._core.storage cimport Storage
from pydl._core.tape cimport TensorBase, is_float, slots

from pydl._core.errors import RecordingError

cnp.import_array()

# Methods through which Python sees elements, by module; in the others of these modules a look is at the type or the shape.
cdef dict LOOKS = {
    "pydl._conversion": {"__array__", "__dlpack__", "item", "numpy", "tolist"},
    "pydl.tensor": {"__bool__", "__complex__", "__contains__", "__float__", "__index__", "__int__", "__reduce_ex__"},
    "pydl._printing": set(), "pydl.creation": set(),
}

cdef Recorder active = None
cdef object active_thread = None
cdef bint inside = False         # a recorded operation runs
lock = threading.Lock()          # one recording at a time


@cython.final
cdef class Call:
    """An operation that ran: its arguments, where a Value or a Constant stands for each tensor, and the numbers of the results."""
    cdef readonly str name, where
    cdef readonly object of
    cdef readonly tuple args, outputs
    cdef readonly bint peeked     # the library's Python had the array of indices or a mask that are no arguments of the call
    cdef readonly list results    # of each result: shape, NumPy type, strides in elements, offset from the first argument's start

    def __repr__(self) -> str:
        return f"<{self.name}{self.args} -> {self.outputs}>"


@cython.final
cdef class Value:
    """A tensor that depends on the input, by its number."""
    cdef readonly Py_ssize_t number

    def __init__(self, number):
        self.number = number

    def __repr__(self) -> str:
        return f"v{self.number}"


@cython.final
cdef class Constant:
    """A tensor that does not, as an array that nobody changes."""
    cdef readonly object array

    def __repr__(self) -> str:
        return f"constant {self.array.shape}"


@cython.final
cdef class Recorder:
    """What is known of the tensors of one run. The tensors are kept, so that none takes the address of another."""
    cdef readonly list calls
    cdef dict made             # id: (tensor, where), of all that appeared
    cdef dict values           # id: (tensor, number, version)
    cdef dict constants        # id: (tensor, version), of those met
    cdef set fixed, stale      # ids of constants that appeared, and of values that a change of their memory made wrong
    cdef dict copies           # id: Constant
    cdef readonly Py_ssize_t n_values
    cdef dict peeks            # id: (the operation written in Python that was given the array, whether that is of indices or a mask)
    cdef object refused

    def __cinit__(self):
        self.calls = []
        self.made = {}
        self.values = {}
        self.constants = {}
        self.fixed = set()
        self.stale = set()
        self.copies = {}
        self.peeks = {}

    def input(self, TensorBase x not None) -> Value:
        """Enters an input of the model."""
        self.enter(x)
        return Value(self.n_values - 1)

    def output(self, TensorBase x not None):
        """What a result of the model is: a Value or a Constant."""
        return self.operand("freeze", x, None)

    def finish(self) -> None:
        """RecordingError if a constant was changed by the run, or something was refused on the way that the model caught."""
        cdef TensorBase t
        if self.refused is not None:
            raise RecordingError(self.refused)
        for t, version in self.constants.values():
            if t.s.version != version:
                raise RecordingError(f"the run changes a tensor {tuple(t.shape)} that it does not make (a buffer or a parameter): "
                                     "a plan's constants stay as they are")

    cdef Py_ssize_t enter(self, TensorBase t):
        self.values[id(t)] = (t, self.n_values, t.s.version)
        self.stale.discard(id(t))
        self.n_values += 1
        return self.n_values - 1

    cdef object operand(self, str name, TensorBase t, Storage changed):
        """`changed`: the memory whose version the operation has just raised."""
        key = id(t)
        if key in self.stale:
            self.refuse(f"{name} uses a tensor {tuple(t.shape)} whose memory was changed through another tensor (a view and its base)")
        if key in self.values:
            known = self.values[key]
            if t.s.version - (t.s is changed) != known[2]:
                self.refuse(f"{name} uses a tensor {tuple(t.shape)} that was changed in place by an operation that is not recorded")
            return Value(known[1])
        if key in self.made and key not in self.fixed:
            self.refuse(f"{name} uses a tensor {tuple(t.shape)} made by an operation that is not recorded, {self.made[key][1]}")
        return self.constant(t)

    cdef Constant constant(self, TensorBase t):
        cdef Constant out
        key = id(t)
        if key not in self.fixed:
            self.constants.setdefault(key, (t, t.s.version))
        elif key in self.copies and (<tuple>self.copies[key])[1] == t.s.version:
            return (<tuple>self.copies[key])[0]
        if key in self.copies and key not in self.fixed:
            return (<tuple>self.copies[key])[0]
        out = Constant.__new__(Constant)
        out.array = np.array(t.a, order="C", copy=True)
        self.copies[key] = (out, t.s.version)
        return out

    cdef object refuse(self, str why):
        if self.refused is None:
            self.refused = why
        raise RecordingError(why)

    cdef int note(self, str name, tuple args, object out, object of) except -1:
        cdef list outputs = [out] if isinstance(out, TensorBase) else list(out) if isinstance(out, tuple) else []
        cdef bint depends = False, changes = name.endswith("_"), peeked = self.takes_from_peeks(args)
        cdef TensorBase first = args[0] if args and isinstance(args[0], TensorBase) else None
        cdef Storage changed = first.s if changes else None
        cdef list operands = [self.operand(name, x, changed) if isinstance(x, TensorBase) else x.copy() if isinstance(x, np.ndarray) else x
                              for x in args]
        for x in operands:
            depends = depends or isinstance(x, Value)
        if not depends:
            if changes and id(first) not in self.made:
                self.refuse(f"{name} changes a tensor {tuple(first.shape)} that the run does not make")
            for x in outputs:
                if isinstance(x, TensorBase):
                    self.fixed.add(id(x))
            return 0
        if changes:
            self.take_over(name, first)
        elif len(outputs) == 1 and outputs[0] is first:
            return 0
        call = Call.__new__(Call)
        (<Call>call).name, (<Call>call).where, (<Call>call).of = name, place(), of
        (<Call>call).args = tuple(operands)
        (<Call>call).peeked = peeked
        (<Call>call).outputs = tuple([self.enter(<TensorBase>x) if isinstance(x, TensorBase) else None for x in outputs])
        (<Call>call).results = [result(<TensorBase>x, first) if isinstance(x, TensorBase) else None for x in outputs]
        self.calls.append(call)
        return 0

    cdef bint takes_from_peeks(self, tuple args) except -1:
        """Whether a call may have been given what Python made of the elements of an index or a mask. Those are remembered as
        long as the operation runs that had the array, and to the next call after it."""
        cdef set given = {id(x) for x in args}
        cdef bint found = False
        running = operation() if self.peeks else None
        for key, (frame, is_number) in list(self.peeks.items()):
            found = found or (is_number and key not in given)
            if frame is not running:
                del self.peeks[key]
        return found

    cdef int take_over(self, str name, TensorBase target) except -1:
        """The target of a change in place becomes another value; others on its memory become stale."""
        cdef TensorBase other
        if id(target) not in self.values:
            self.refuse(f"{name} writes what depends on the input into a tensor {tuple(target.shape)} that does not, {place()}")
        for known in (*self.values.values(), *self.made.values()):
            other = known[0]
            if other is not target and other.s is target.s:
                self.stale.add(id(other))
        return 0


cdef tuple result(TensorBase t, TensorBase first):
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(t.a)
    offset = cnp.PyArray_BYTES(t.a) - cnp.PyArray_BYTES(first.a) if first is not None and first.s is t.s else None
    return ((<object>t.a).shape, (<object>t.a).dtype, tuple([s // size for s in (<object>t.a).strides]), offset,
            tuple([s // size for s in (<object>first.a).strides]) if offset is not None else None)


cdef object caller():
    """The frame of Python from which compiled code was called."""
    return sys._getframe(0)


cdef object operation():
    """The frame of the operation written in Python that runs, the outermost one; None outside of operations."""
    frame = caller()
    found = None
    while frame is not None:
        if (frame.f_globals.get("__name__") or "").startswith("pydl.ops"):
            found = frame
        frame = frame.f_back
    return found


cdef str place():
    """Where the model was: the library's function that it had called, if that is Python's, file and line."""
    frame = caller()
    name = ""
    while frame is not None and (frame.f_globals.get("__name__") or "").split(".")[0] == "pydl":
        name = frame.f_code.co_name + ", "
        frame = frame.f_back
    where = "the library" if frame is None else f"{frame.f_code.co_filename.rpartition('/')[2]}, line {frame.f_lineno}"
    return f"in {name}{where}"


cdef bint here() noexcept:
    return active is not None and threading.get_ident() == active_thread


cdef bint begins() noexcept:
    global inside
    if inside or not here():
        return False
    inside = True
    return True


cdef int ends(str name, tuple args, object out, object of=None) except -1:
    global inside
    inside = False
    active.note(name, args, out, of)
    return 0


cdef int made(TensorBase t, bint from_numbers) except -1:
    """A tensor appeared; from_numbers: `wrap` or `empty` made it for Python."""
    if not here():
        return 0
    if from_numbers:
        if not inside and operation() not in [frame for frame, _ in active.peeks.values()]:
            active.fixed.add(id(t))
        return 0
    active.made[id(t)] = (t, "" if inside else place())
    active.fixed.discard(id(t))
    return 0


cdef int looked(TensorBase t) except -1:
    """Python was given the array of t."""
    if inside or not here() or id(t) not in active.values:
        return 0
    frame = caller()
    name = frame.f_globals.get("__name__") or ""
    if name.startswith(("pydl.ops", "pydl._core")):
        active.peeks[id(t)] = (operation(), not is_float(t))
        return 0
    if name in LOOKS and frame.f_code.co_name not in LOOKS[name]:
        return 0
    active.refuse(f"the model looks at the values of a tensor {tuple(t.shape)} that depends on the input, {place()}: what Python "
                  "decides by them, a plan cannot")


cdef int aliased(TensorBase t, TensorBase source) except -1:
    """t is another object for the same memory (detach)."""
    if inside or not here():
        return 0
    if id(source) in active.values:
        active.values[id(t)] = (t, *active.values[id(source)][1:])
        if id(source) in active.stale:
            active.stale.add(id(t))
    elif id(source) not in active.made or id(source) in active.fixed:
        active.fixed.add(id(t))
    return 0


def record(run, inputs) -> tuple:
    """(recorder, the inputs' Values, what run(*inputs) returned): the run, recorded; inputs are tensors of the caller's own."""
    global active, active_thread, inside
    with lock:
        recorder = Recorder()
        numbers = [recorder.input(x) for x in inputs]
        active, active_thread, inside = recorder, threading.get_ident(), False
        slots.recording = True
        try:
            out = run(*inputs)
        finally:
            slots.recording = False
            active = active_thread = None
            inside = False
    recorder.finish()
    return recorder, numbers, out


slots.made = made
slots.looked = looked
slots.aliased = aliased
