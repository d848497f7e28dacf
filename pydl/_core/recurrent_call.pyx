# SPDX-License-Identifier: BSD-3-Clause
"""A call of a recurrent layer: its arguments checked, its scratch, and how its steps are cut into regions and among threads."""

from operator import index as as_int

cimport cython
from libc.stdint cimport SIZE_MAX
from libc.string cimport memset

cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory
from pydl._core.kernels cimport FLOPS_PER_LANE_NS, run_team, table, threads_for
from pydl._core.recurrent_steps cimport (
    GRU_AFTER, GRU_BEFORE, LSTM, RNN_RELU, RNN_TANH, Cell, Steps, Walk, pydl_recurrent, step_at, walk,
)
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64, is_float, new

from pydl._core.errors import ShapeError

cnp.import_array()

CELLS = {"rnn_tanh": RNN_TANH, "rnn_relu": RNN_RELU, "lstm": LSTM, "gru_after": GRU_AFTER, "gru_before": GRU_BEFORE}

cdef enum:
    REGION_BYTES = 4194304       # of gates in a region: they are used while they are in the caches

cdef double REGION_NS = 2.0e7    # a region's time on one thread, about
# A thread's share of a step below which it brings too little: where other programs want the processors, each of the many barriers
# waits until all threads run again. 200 steps of 5 us took 1.3 ms on one thread, on two up to 40 on a busy machine.
cdef double STEP_NS = 5000.0
cdef double GATE_NS = 6.0        # a unit's functions times lanes


@cython.final
cdef class Call:
    """What one forward or backward pass needs; owns its scratch and the arrays in C order."""

    def __dealloc__(self):
        while self.n_blocks:
            self.n_blocks -= 1
            scratch_free(self.blocks[self.n_blocks], self.n_bytes[self.n_blocks])

    cdef char* room(self, size_t n_bytes) except NULL:
        """Scratch until the end of the call."""
        self.blocks[self.n_blocks] = scratch(n_bytes)
        self.n_bytes[self.n_blocks] = n_bytes
        self.n_blocks += 1
        return <char*>self.blocks[self.n_blocks - 1]

    cdef char* data(self, TensorBase x) except? NULL:
        """The memory of x, or of a copy in C order."""
        if x is None:
            return NULL
        x = contiguous_memory(x)
        self.owned.append(x.a)       # not x: another thread, or a signal handler between regions, may give it other memory
        return cnp.PyArray_BYTES(x.a)

    cdef TensorBase fresh(self, ptrdiff_t rows, ptrdiff_t columns):
        cdef cnp.npy_intp shape[2]
        shape[0], shape[1] = rows, columns
        cdef TensorBase t = new(2, shape, self.typenum)
        self.owned.append(t)
        return t


# --- arguments ----------------------------------------------------------------------------------------------------------

cdef tuple shape(TensorBase x):
    return (<object>x.a).shape


cdef str type_name(Call c):
    return "float32" if c.typenum == cnp.NPY_FLOAT else "float64"


cdef int matrix(Call c, str what, TensorBase x, ptrdiff_t rows, ptrdiff_t columns, str why) except -1:
    """x must be rows × columns and of the type of the call."""
    if x is None:
        raise TypeError(f"{c.name}: {what} is missing")
    if cnp.PyArray_NDIM(x.a) != 2 or cnp.PyArray_DIMS(x.a)[0] != rows or cnp.PyArray_DIMS(x.a)[1] != columns:
        raise ShapeError(f"{c.name}: {what} has shape {shape(x)} but must be ({rows}, {columns}): {why}")
    if cnp.PyArray_TYPE(x.a) != c.typenum:
        raise RuntimeError(f"{c.name}: {what} is {x.dtype} but x is {type_name(c)}; all must have one type")
    return 0


def step_sizes(str name, tuple sizes not None) -> tuple:
    """The sizes as ints, which nobody can change; the tuple itself if they are."""
    cdef list ints
    for n in sizes:
        if type(n) is not int:
            break
    else:
        return sizes
    ints = []
    for n in sizes:
        try:
            ints.append(int(as_int(n)))
        except TypeError:
            raise TypeError(f"{name}: sizes must be integers, but sizes[{len(ints)}] is {n!r}") from None
    return tuple(ints)


cdef int read_sizes(Call c, tuple sizes, ptrdiff_t n_rows) except -1:
    """sizes and their sums go to scratch."""
    cdef ptrdiff_t n = len(sizes), t, size, last = 0, total = 0
    cdef ptrdiff_t* out
    sizes = step_sizes(c.name, sizes)
    if n == 0:
        raise ShapeError(f"{c.name}: sizes is empty; a sequence has at least one step")
    out = <ptrdiff_t*>c.room((2 * n + 1) * sizeof(ptrdiff_t))
    for t in range(n):
        try:
            size = sizes[t]
        except OverflowError:
            raise ShapeError(f"{c.name}: sizes[{t}] is {sizes[t]}, but x has {n_rows} rows") from None
        if size < 0 or (t and (size > last or (size == 0 and last > 0))):    # a batch may be empty, not its later steps
            after = f" after {last}" if t else ""
            raise ShapeError(f"{c.name}: sizes must be positive and must not increase, but sizes[{t}] is {size}{after}")
        if size > n_rows - total:
            raise ShapeError(f"{c.name}: sizes sum to more than the {n_rows} rows of x (at step {t})")
        out[t], out[n + t] = size, total
        total += size
        last = size
    out[2 * n] = total
    if total != n_rows:
        raise ShapeError(f"{c.name}: sizes sum to {total} but x has {n_rows} rows")
    c.s.n_steps, c.s.n_rows, c.s.batch, c.s.sizes, c.s.first = n, n_rows, out[0], out, out + n
    return 0


cdef Call start(str name, str cell, TensorBase x, tuple sizes, TensorBase h0, TensorBase c0, TensorBase w_ih, TensorBase w_hh,
                TensorBase b_ih, TensorBase b_hh, TensorBase w_hr, bint reverse):
    """Checks everything; no result is written before."""
    cdef Call c = Call.__new__(Call)
    cdef Steps* s = &c.s
    cdef ptrdiff_t rows
    memset(s, 0, sizeof(Steps))
    c.name, c.owned, c.n_blocks, c.typenum = name, [], 0, cnp.PyArray_TYPE(x.a)
    if cell not in CELLS:
        raise ValueError(f"{name}: cell must be one of {', '.join(CELLS)}, not {cell!r}")
    s.cell = <Cell><int>CELLS[cell]
    s.n_gates = 4 if s.cell == LSTM else 1 if s.cell == RNN_TANH or s.cell == RNN_RELU else 3
    if not is_float(x):
        raise NotImplementedError(f"{name}: not implemented for {x.dtype}")
    if cnp.PyArray_NDIM(x.a) != 2:
        raise ShapeError(f"{name}: x must have the shape (rows of all steps, features), not {shape(x)}")
    if cnp.PyArray_NDIM(w_ih.a) != 2 or cnp.PyArray_DIMS(w_ih.a)[0] % s.n_gates or cnp.PyArray_DIMS(w_ih.a)[0] == 0:
        raise ShapeError(f"{name}: w_ih must have the shape ({s.n_gates} · hidden, features), not {shape(w_ih)}")
    rows = cnp.PyArray_DIMS(w_ih.a)[0]
    s.n_in, s.hidden = cnp.PyArray_DIMS(x.a)[1], rows // s.n_gates
    if cnp.PyArray_DIMS(w_ih.a)[1] != s.n_in:
        raise ShapeError(f"{name}: x has {s.n_in} features (x {shape(x)}) but w_ih takes {shape(w_ih)[1]} (w_ih {shape(w_ih)})")
    s.plain = 2 * s.hidden if s.n_gates == 3 else rows
    s.summed = s.plain if s.cell == GRU_AFTER else rows
    s.out = s.hidden
    if w_hr is not None:
        s.out = cnp.PyArray_DIMS(w_hr.a)[0] if cnp.PyArray_NDIM(w_hr.a) == 2 else 0
        if s.out == 0:
            raise ShapeError(f"{name}: w_hr must have the shape (projection, hidden), not {shape(w_hr)}")
        matrix(c, "w_hr", w_hr, s.out, s.hidden, f"w_ih is {shape(w_ih)}")
    read_sizes(c, sizes, cnp.PyArray_DIMS(x.a)[0])
    matrix(c, "w_ih", w_ih, rows, s.n_in, "")
    matrix(c, "w_hh", w_hh, rows, s.out, f"w_ih is {shape(w_ih)}" + ("" if w_hr is None else f", w_hr {shape(w_hr)}"))
    matrix(c, "h0", h0, s.batch, s.out, f"sizes[0] is {s.batch}, w_hh {shape(w_hh)}")
    if s.cell == LSTM:
        matrix(c, "c0", c0, s.batch, s.hidden, f"sizes[0] is {s.batch}, w_ih {shape(w_ih)}")
    for what, b in (("b_ih", b_ih), ("b_hh", b_hh)):
        if b is not None and shape(b) != (rows,):
            raise ShapeError(f"{name}: {what} has shape {shape(b)} but w_ih {shape(w_ih)} needs ({rows},)")
        if b is not None and cnp.PyArray_TYPE((<TensorBase>b).a) != c.typenum:
            raise RuntimeError(f"{name}: {what} is {b.dtype} but x is {type_name(c)}; all must have one type")
    s.t = table(is_f64(x))
    if (<double>max(s.n_rows, s.out) + s.t.gemm.nr) * s.n_gates * (<double>s.hidden + s.t.gemm.nr) * 8 > <double>(SIZE_MAX // 4):
        raise MemoryError(f"{name}: the gates of {s.n_rows} rows, or w_hh {shape(w_hh)}, do not fit the address space")
    s.k = <const pydl_recurrent*>s.t.recurrent
    s.size, s.reverse = cnp.PyArray_ITEMSIZE(x.a), reverse
    c.row_ns = <double>s.hidden * (2.0 * s.n_gates * (s.out + (s.out if w_hr is not None else 0)) / FLOPS_PER_LANE_NS + GATE_NS) / s.t.lanes
    return c


# --- regions ------------------------------------------------------------------------------------------------------------

cdef ptrdiff_t region_end(Call c, ptrdiff_t i0, double row_ns, ptrdiff_t row_bytes) noexcept:
    """The steps from i0 on that fit the time and bytes of a region; one at least."""
    cdef double ns = 0
    cdef ptrdiff_t i = i0, rows = 0, n
    while i < c.s.n_steps:
        n = c.s.sizes[step_at(&c.s, i)]
        ns += n * row_ns
        rows += n
        if i > i0 and (ns > REGION_NS or rows * row_bytes > REGION_BYTES):
            break
        i += 1
    return i


cdef ptrdiff_t first_row(Call c, ptrdiff_t i0, ptrdiff_t i1) noexcept:
    """The first row of the steps i0 ... i1 - 1 of the forward order."""
    return c.s.first[c.s.n_steps - i1] if c.s.reverse else c.s.first[i0]


cdef ptrdiff_t end_row(Call c, ptrdiff_t i0, ptrdiff_t i1) noexcept:
    return c.s.first[c.s.n_steps - i0] if c.s.reverse else c.s.first[i1]


cdef int team_of(Call c, double row_ns) noexcept:
    """Threads that pay for a step of average size; they share its blocks of units."""
    cdef double step_ns = row_ns * c.s.n_rows / c.s.n_steps      # on average
    cdef ptrdiff_t blocks = (c.s.hidden + c.s.t.gemm.nr - 1) // c.s.t.gemm.nr
    cdef int threads = threads_for(row_ns * c.s.n_rows)
    return <int>max(1.0, min(min(<double>threads, <double>blocks), step_ns / STEP_NS))


cdef struct Part:
    const Steps* s
    Walk what
    ptrdiff_t i0, i1


cdef void walk_part(const void* job, int threads) noexcept nogil:
    cdef const Part* p = <const Part*>job
    walk(p.s, p.what, p.i0, p.i1, threads)


cdef int run(Call c, Walk what, ptrdiff_t i0, ptrdiff_t i1, int threads, double row_ns) except -1:
    cdef Part p
    p.s, p.what, p.i0, p.i1 = &c.s, what, i0, i1
    run_team(walk_part, &p, threads, row_ns * (end_row(c, i0, i1) - first_row(c, i0, i1)))
    return 0
