# SPDX-License-Identifier: BSD-3-Clause
"""RNN, LSTM and GRU over whole sequences, one layer and direction: one call forward, one backward. Nothing is recorded.

Forward: the input projection of all rows is one matrix product with the bias, W_hh is packed once, then the steps run (recurrent_steps).
Backward: the steps in reverse, which leave the gradients of what went into the gates; then the gradients of x and the weights are one
product each over all rows. Both are cut into regions of steps by shapes alone; between regions signals are looked at.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.string cimport memcpy, memset

cimport numpy as cnp

from pydl._core.gemm cimport gemm
from pydl._core.kernels cimport FLOPS_PER_LANE_NS, PYDL_B_add, pydl_kernels, run_pieces
from pydl._core.recurrent_call cimport Call, end_row, first_row, matrix, region_end, run, start, team_of
from pydl._core.recurrent_single cimport is_single, single_step
from pydl._core.recurrent_steps cimport (
    BACKWARD, BLOCK_UNITS, FORWARD, GRU_AFTER, GRU_BEFORE, INITIAL, LSTM, THIN_ROWS, Steps,
)
from pydl._core.tape cimport TensorBase, new

cnp.import_array()

cdef enum:
    CHUNK_BYTES = 8388608        # of states brought together for the gradient of W_hh
    COLUMN_BLOCK = 64            # columns that one thread sums at a time

cdef double CHUNK_NS = 2.0e7     # of the products over all rows at a time, on one thread, about
cdef double SUM_NS = 0.15


cdef inline ptrdiff_t up(ptrdiff_t x, ptrdiff_t unit) noexcept nogil:
    return (x + unit - 1) // unit * unit


# --- forward ------------------------------------------------------------------------------------------------------------

cdef char* sum_of_biases(Call c, TensorBase b_ih, TensorBase b_hh) except? NULL:
    """What the input projection adds: both biases, but for GRU_AFTER not that of the product which r multiplies (s.b_hn)."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t n = s.n_gates * s.hidden, both = s.summed
    cdef char* first = c.data(b_ih)
    cdef char* second = c.data(b_hh)
    cdef char* out
    if second == NULL:
        return first
    if both < n:
        s.b_hn = second + both * s.size
    if first == NULL and both == n:
        return second
    out = c.room(n * s.size)
    if first == NULL:
        memcpy(out, second, both * s.size)
        memset(out + both * s.size, 0, (n - both) * s.size)
        return out
    s.t.eltwise.binary[PYDL_B_add](first, 1, second, 1, out, 1, both)
    memcpy(out + both * s.size, first + both * s.size, (n - both) * s.size)
    return out


cdef int pack_forward(Call c, TensorBase w_hh, TensorBase w_hr) except -1:
    cdef Steps* s = &c.s
    cdef ptrdiff_t nr = s.t.gemm.nr, blocks = up(s.hidden, nr), q
    cdef const char* w = c.data(w_hh)
    cdef char* panels = c.room(s.n_gates * blocks * s.out * s.size)
    s.w = panels
    for q in range(s.n_gates):
        s.t.gemm.pack_b(s.out, s.hidden, w + q * s.hidden * s.out * s.size, 1, s.out, panels + q * blocks * s.out * s.size)
    if w_hr is not None:
        panels = c.room(up(s.out, nr) * s.hidden * s.size)
        s.w_hr = panels
        s.t.gemm.pack_b(s.hidden, s.out, c.data(w_hr), 1, s.hidden, panels)
    return 0


cdef TensorBase last_states(Call c, const char* rows, ptrdiff_t width):
    """Of each sequence, the row of its last step in the order of the forward pass."""
    cdef Steps* s = &c.s
    cdef TensorBase out = c.fresh(s.batch, width)
    cdef ptrdiff_t row_bytes = width * s.size, t, ending
    cdef char* to = cnp.PyArray_BYTES(out.a)
    if s.reverse:
        memcpy(to, rows, s.batch * row_bytes)
        return out
    for t in range(s.n_steps):
        ending = s.sizes[t + 1] if t + 1 < s.n_steps else 0
        if ending < s.sizes[t]:
            memcpy(to + ending * row_bytes, rows + (s.first[t] + ending) * row_bytes, (s.sizes[t] - ending) * row_bytes)
    return out


cdef list forward_room(Call c, TensorBase y, ptrdiff_t region_rows):
    """Places for gates, cells and what a cell keeps besides; the tensors [gates, c, tanh c, m] in training, [c_n] of it in inference."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t hidden = s.hidden
    cdef bint has_m = s.cell == GRU_AFTER or s.cell == GRU_BEFORE or s.w_hr != NULL
    cdef list kept = [None, None, None, None]
    cdef TensorBase t
    if s.n_gates == 1:
        s.g = cnp.PyArray_BYTES(y.a)
    elif s.keep:
        kept[0] = c.fresh(s.n_rows, s.n_gates * hidden)
        s.g = cnp.PyArray_BYTES((<TensorBase>kept[0]).a)
    else:
        s.g = c.room(region_rows * s.n_gates * hidden * s.size)
    if s.cell == LSTM:
        kept[1] = t = c.fresh(s.n_rows if s.keep else s.batch, hidden)
        s.c = cnp.PyArray_BYTES(t.a)
        if not s.keep:
            memcpy(s.c, s.c0, s.batch * hidden * s.size)
    if s.cell == LSTM and s.keep:
        kept[2] = t = c.fresh(s.n_rows, hidden)
        s.tc = cnp.PyArray_BYTES(t.a)
    if has_m and s.keep:
        kept[3] = t = c.fresh(s.n_rows, hidden)
        s.m = cnp.PyArray_BYTES(t.a)
    elif has_m:
        s.m = c.room(s.batch * hidden * s.size)
    return kept


def forward(str name, str cell, TensorBase x not None, tuple sizes not None, TensorBase h0 not None, TensorBase c0,
            TensorBase w_ih not None, TensorBase w_hh not None, TensorBase b_ih, TensorBase b_hh, TensorBase w_hr, bint reverse,
            bint keep) -> tuple:
    """(y, h_n, c_n, gates, c, tanh c, m); those after c_n only with `keep`, each None where the cell has none."""
    cdef Call c = start(name, cell, x, sizes, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, reverse)
    cdef Steps* s = &c.s
    cdef ptrdiff_t i0 = 0, i1, columns = s.n_gates * s.hidden, row, region_rows = 0
    cdef const char* rows = c.data(x)
    cdef const char* w = c.data(w_ih)
    cdef const char* bias = sum_of_biases(c, b_ih, b_hh)
    cdef TensorBase y = c.fresh(s.n_rows, s.out)
    cdef list kept
    cdef int threads = team_of(c, c.row_ns)
    cdef bint single = is_single(c)
    s.keep = keep
    s.y, s.h0, s.c0 = cnp.PyArray_BYTES(y.a), c.data(h0), c.data(c0)
    if single:
        s.w_hr = c.data(w_hr)
    else:
        pack_forward(c, w_hh, w_hr)
    while i0 < s.n_steps:
        i1 = region_end(c, i0, c.row_ns, columns * s.size)
        region_rows = max(region_rows, end_row(c, i0, i1) - first_row(c, i0, i1))
        i0 = i1
    kept = forward_room(c, y, region_rows)
    i0 = 0
    while i0 < s.n_steps:
        i1 = region_end(c, i0, c.row_ns, columns * s.size)
        row = first_row(c, i0, i1)
        s.base = 0 if keep or s.n_gates == 1 else row
        gemm(s.size == 8, 1, end_row(c, i0, i1) - row, columns, s.n_in, rows + row * s.n_in * s.size, 0, s.n_in, 1, w, 0, 1, s.n_in,
             s.g + (row - s.base) * columns * s.size, 0, columns, bias, 0, 0, 0)
        PyErr_CheckSignals()
        if single:
            single_step(c, c.data(w_hh))
        else:
            run(c, FORWARD, i0, i1, threads, c.row_ns)
        PyErr_CheckSignals()
        i0 = i1
    h_n = last_states(c, s.y, s.out)
    c_n = None
    if s.cell == LSTM:
        c_n = last_states(c, s.c, s.hidden) if keep else kept[1]
    return (y, h_n, c_n, *kept) if keep else (y, h_n, c_n, None, None, None, None)


# --- backward -----------------------------------------------------------------------------------------------------------

cdef int pack_backward(Call c, TensorBase w_hh, TensorBase w_hr) except -1:
    cdef Steps* s = &c.s
    cdef ptrdiff_t nr = s.t.gemm.nr, k = s.n_gates * s.hidden
    cdef char* panels = c.room(up(s.out, nr) * k * s.size)
    s.w = panels
    s.t.gemm.pack_b(k, s.out, c.data(w_hh), s.out, 1, panels)
    if w_hr is not None:
        panels = c.room(up(s.hidden, nr) * s.out * s.size)
        s.w_hr = panels
        s.t.gemm.pack_b(s.out, s.hidden, c.data(w_hr), s.hidden, 1, panels)
    return 0


cdef TensorBase backward_room(Call c, TensorBase dh_n, TensorBase dc_n, bint overwrite, int threads):
    """Places for what the steps write; the gradient of c0, or None."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t state_bytes = s.batch * s.hidden * s.size
    cdef TensorBase dc0 = None
    s.dg = s.g if overwrite and s.n_gates > 1 else c.room(s.n_rows * s.n_gates * s.hidden * s.size)
    if s.cell == GRU_AFTER:
        s.dm = s.m if overwrite else c.room(s.n_rows * s.hidden * s.size)
    s.dh_n = c.data(dh_n)
    if s.cell == LSTM:
        dc0 = c.fresh(s.batch, s.hidden)
        s.carry = cnp.PyArray_BYTES(dc0.a)
        memcpy(s.carry, c.data(dc_n), state_bytes)
    elif s.n_gates == 3:
        s.carry = c.room(state_bytes)
        memcpy(s.carry, s.dh_n, state_bytes)
    if s.w_hr != NULL:
        s.dh = c.room(s.n_rows * s.out * s.size)
    s.room_units = max(min(s.batch, s.t.gemm.mc) * s.t.gemm.nr, THIN_ROWS * up(max(s.hidden, s.out), s.t.gemm.nr))
    s.room_units = max(s.room_units, <ptrdiff_t>BLOCK_UNITS)
    s.room = c.room(threads * s.room_units * s.size)
    return dc0


cdef bint states_together(const Steps* s, ptrdiff_t t0, ptrdiff_t t1) noexcept nogil:
    """Whether the states before the rows of steps t0 ... t1 - 1 lie in y as those rows do."""
    cdef ptrdiff_t low = t0 if s.reverse else t0 - 1, high = t1 if s.reverse else t1 - 1
    return low >= 0 and high < s.n_steps and s.sizes[low] == s.sizes[high]


cdef const char* states_before(const Steps* s, ptrdiff_t t0, ptrdiff_t t1, char* room) noexcept nogil:
    """The state before each row of steps t0 ... t1 - 1: where they lie in y, or brought together in room."""
    cdef ptrdiff_t row_bytes = s.out * s.size, t, before, n
    cdef char* to = room
    if states_together(s, t0, t1):
        return s.y + (s.first[t0 + 1] if s.reverse else s.first[t0 - 1]) * row_bytes
    for t in range(t0, t1):
        before = t + 1 if s.reverse else t - 1
        n = 0 if before < 0 or before == s.n_steps else min(s.sizes[t], s.sizes[before])
        if n:
            memcpy(to, s.y + s.first[before] * row_bytes, n * row_bytes)
        memcpy(to + n * row_bytes, s.h0 + n * row_bytes, (s.sizes[t] - n) * row_bytes)
        to += s.sizes[t] * row_bytes
    return room


cdef int add_products(Call c, ptrdiff_t row, ptrdiff_t rows, const char* x, const char* w_ih, const char* h, char* dx, char* dw_ih,
                      char* dw_hh, char* dw_hr) except -1:
    """The rows' gradient of x, and their shares of those of the weights; NULL for what is not needed."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t columns = s.n_gates * s.hidden, size = s.size, hidden = s.hidden, plain = s.plain
    cdef int f64 = size == 8, more = row > 0
    cdef char* dg = s.dg + row * columns * size
    if dx != NULL:
        gemm(f64, 1, rows, s.n_in, columns, dg, 0, columns, 1, w_ih, 0, s.n_in, 1, dx + row * s.n_in * size, 0, s.n_in, NULL, 0, 0, 0)
    if dw_ih != NULL:
        gemm(f64, 1, columns, s.n_in, rows, dg, 0, 1, columns, x + row * s.n_in * size, 0, s.n_in, 1, dw_ih, 0, s.n_in, NULL, 0, more, 0)
    if dw_hh != NULL:
        gemm(f64, 1, plain, s.out, rows, dg, 0, 1, columns, h, 0, s.out, 1, dw_hh, 0, s.out, NULL, 0, more, 0)
        if s.cell == GRU_AFTER:
            gemm(f64, 1, hidden, s.out, rows, s.dm + row * hidden * size, 0, 1, hidden, h, 0, s.out, 1, dw_hh + plain * s.out * size, 0,
                 s.out, NULL, 0, more, 0)
        elif s.cell == GRU_BEFORE:
            gemm(f64, 1, hidden, s.out, rows, dg + plain * size, 0, 1, columns, s.m + row * hidden * size, 0, hidden, 1,
                 dw_hh + plain * s.out * size, 0, s.out, NULL, 0, more, 0)
    if dw_hr != NULL:
        gemm(f64, 1, s.out, hidden, rows, s.dh + row * s.out * size, 0, 1, s.out, s.m + row * hidden * size, 0, hidden, 1, dw_hr, 0,
             hidden, NULL, 0, more, 0)
    return 0


cdef int all_products(Call c, const char* x, const char* w_ih, char* dx, char* dw_ih, char* dw_hh, char* dw_hr) except -1:
    """In chunks of whole steps, one after the other."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t columns = s.n_gates * s.hidden, t0 = 0, t1, rows, room_rows = 0
    cdef double row_ns = 2.0 * columns * (2.0 * s.n_in + s.out) / (FLOPS_PER_LANE_NS * s.t.lanes)
    cdef ptrdiff_t most = <ptrdiff_t>min(CHUNK_NS / row_ns, <double>(CHUNK_BYTES // (s.out * s.size)))
    cdef char* room = NULL
    while t0 < s.n_steps:
        t1 = t0 + 1
        while t1 < s.n_steps and s.first[t1 + 1] - s.first[t0] <= most:
            t1 += 1
        rows = s.first[t1] - s.first[t0]
        if dw_hh != NULL and rows > room_rows and not states_together(s, t0, t1):
            room_rows = max(rows, min(most, s.n_rows))
            room = c.room(room_rows * s.out * s.size)
        PyErr_CheckSignals()
        add_products(c, s.first[t0], rows, x, w_ih, states_before(s, t0, t1, room) if dw_hh != NULL else NULL, dx, dw_ih, dw_hh, dw_hr)
        t0 = t1
    return 0


cdef struct Columns:
    const pydl_kernels* t
    const char* x
    ptrdiff_t ldx, rows, n, size     # n columns
    char* out


cdef void sum_columns(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Columns* p = <const Columns*>job
    cdef ptrdiff_t first = i * COLUMN_BLOCK
    p.t.reduce.sum_cols(p.x + first * p.size, p.ldx, p.rows, min(<ptrdiff_t>COLUMN_BLOCK, p.n - first), p.out + first * p.size)


cdef void run_columns(const Columns* p) noexcept:
    run_pieces(sum_columns, p, (p.n + COLUMN_BLOCK - 1) // COLUMN_BLOCK, SUM_NS * p.rows * p.n)


cdef TensorBase bias_gradient(Call c, bint hidden_side):
    """Sums of the gates' gradients over all rows; hidden_side: as b_hh gets them."""
    cdef Steps* s = &c.s
    cdef cnp.npy_intp columns = s.n_gates * s.hidden
    cdef TensorBase out = new(1, &columns, c.typenum)
    cdef Columns p
    p.t, p.rows, p.size = s.t, s.n_rows, s.size
    p.x, p.ldx, p.n, p.out = s.dg, columns, s.summed if hidden_side else columns, cnp.PyArray_BYTES(out.a)
    run_columns(&p)
    if p.n < columns:
        p.x, p.ldx, p.n, p.out = s.dm, s.hidden, s.hidden, p.out + p.n * p.size
        run_columns(&p)
    return out


cdef TensorBase copy_of(TensorBase x):
    cdef TensorBase out = new(cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), cnp.PyArray_TYPE(x.a))
    memcpy(cnp.PyArray_DATA(out.a), cnp.PyArray_DATA(x.a), cnp.PyArray_NBYTES(x.a))
    return out


cdef int backward_steps(Call c, int threads) except -1:
    """Everything that goes step by step: the gradients of the gates, and of c0."""
    cdef Steps* s = &c.s
    cdef list ends = [0]
    cdef ptrdiff_t i
    while ends[len(ends) - 1] < s.n_steps:
        ends.append(region_end(c, ends[len(ends) - 1], c.row_ns, s.n_gates * s.hidden * s.size))
    for i in range(len(ends) - 1, 0, -1):
        run(c, BACKWARD, ends[i - 1], ends[i], threads, c.row_ns)
        PyErr_CheckSignals()
    return 0


cdef TensorBase initial_gradient(Call c, int threads):
    cdef Steps* s = &c.s
    cdef TensorBase dh0 = c.fresh(s.batch, s.out)
    s.dh0 = cnp.PyArray_BYTES(dh0.a)
    if s.n_gates == 3:
        memcpy(s.dh0, s.carry, s.batch * s.hidden * s.size)
    run(c, INITIAL, 0, s.n_steps, threads, c.row_ns * s.batch / max(s.n_rows, <ptrdiff_t>1))
    return dh0


cdef int check_kept(Call c, TensorBase dy, TensorBase dh_n, TensorBase dc_n, tuple kept, bint projected, ptrdiff_t n_needs) except -1:
    """What the caller brings from the forward pass has the sizes that the steps will read."""
    cdef Steps* s = &c.s
    cdef bint has_m = projected or s.n_gates == 3
    cdef ptrdiff_t hidden = s.hidden
    if n_needs != 8:
        raise ValueError(f"{c.name}: needs has {n_needs} elements in place of 8")
    wanted = (
        ("dy", dy, s.n_rows, s.out, True), ("dh_n", dh_n, s.batch, s.out, True), ("dc_n", dc_n, s.batch, hidden, s.cell == LSTM),
        ("y", kept[0], s.n_rows, s.out, True), ("gates", kept[1], s.n_rows, s.n_gates * hidden, s.n_gates > 1),
        ("c", kept[2], s.n_rows, hidden, s.cell == LSTM), ("tanh c", kept[3], s.n_rows, hidden, s.cell == LSTM),
        ("m", kept[4], s.n_rows, hidden, has_m),
    )
    for what, t, rows, columns, needed in wanted:
        if (t is not None) != needed:
            raise ValueError(f"{c.name}: {what} is {'missing' if needed else 'not for this cell'}")
        if needed:
            matrix(c, what, t, rows, columns, "from the forward pass")
    return 0


cdef inline char* output(TensorBase t):
    return NULL if t is None else cnp.PyArray_BYTES(t.a)


def backward(str name, str cell, TensorBase dy not None, TensorBase dh_n not None, TensorBase dc_n, TensorBase x not None,
             tuple sizes not None, TensorBase h0 not None, TensorBase c0, TensorBase w_ih not None, TensorBase w_hh not None,
             TensorBase w_hr, TensorBase y not None, TensorBase gates, TensorBase cells, TensorBase tanh_cells, TensorBase m,
             bint reverse, bint overwrite, tuple needs not None) -> tuple:
    """The gradients of (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr), None where needs is False.

    y and what follows it are from forward with `keep`; overwrite: gates and m may be used for their gradients.
    """
    cdef Call c = start(name, cell, x, sizes, h0, c0, w_ih, w_hh, None, None, w_hr, reverse)
    cdef Steps* s = &c.s
    cdef int threads = team_of(c, c.row_ns)
    cdef TensorBase dc0, dh0 = None, dx = None, dw_ih = None, dw_hh = None, dw_hr = None, db_ih = None, db_hh = None
    check_kept(c, dy, dh_n, dc_n, (y, gates, cells, tanh_cells, m), w_hr is not None, len(needs))
    s.keep = True
    s.dy, s.h0, s.c0 = c.data(dy), c.data(h0), c.data(c0)
    s.y, s.c, s.tc, s.m = c.data(y), c.data(cells), c.data(tanh_cells), c.data(m)
    s.g = s.y if gates is None else c.data(gates)
    pack_backward(c, w_hh, w_hr)
    dc0 = backward_room(c, dh_n, dc_n, overwrite, threads)
    dx = c.fresh(s.n_rows, s.n_in) if needs[0] else None
    dw_ih = c.fresh(s.n_gates * s.hidden, s.n_in) if needs[3] else None
    dw_hh = c.fresh(s.n_gates * s.hidden, s.out) if needs[4] else None
    dw_hr = c.fresh(s.out, s.hidden) if needs[7] and w_hr is not None else None
    backward_steps(c, threads)
    if needs[1]:
        dh0 = initial_gradient(c, threads)
    if dx is not None or dw_ih is not None or dw_hh is not None or dw_hr is not None:
        all_products(c, c.data(x), c.data(w_ih), output(dx), output(dw_ih), output(dw_hh), output(dw_hr))
    if needs[5]:
        db_ih = bias_gradient(c, False)
    if needs[6]:
        db_hh = bias_gradient(c, True) if s.summed < s.n_gates * s.hidden or db_ih is None else copy_of(db_ih)
    return dx, dh0, dc0 if needs[2] else None, dw_ih, dw_hh, db_ih, db_hh, dw_hr
