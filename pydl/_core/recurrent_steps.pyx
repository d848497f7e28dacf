# SPDX-License-Identifier: BSD-3-Clause
"""The time loop of RNN, LSTM and GRU, forward and backward.

Each thread of a team owns blocks of hidden units, of all gates together, so that a step needs one barrier (two, where a product stands
between the parts of a step: projection, reset before the product). An element is computed by one thread in an order that does not
depend on the others. Weights are read from panels, one block of units after the other; rows are taken in groups that stay in L2.
"""

from cython.parallel cimport parallel, threadid
from libc.string cimport memcpy

from pydl._core.kernels cimport PYDL_B_add, PYDL_GEMM_ACCUMULATE, PYDL_GEMM_PADDED

cdef extern from "barrier.h" nogil:
    ctypedef struct pydl_barrier:
        pass
    int PYDL_SPINS
    int pydl_team()
    int pydl_processors()
    void pydl_barrier_init(pydl_barrier* b)
    void pydl_barrier_wait(pydl_barrier* b, int team, int spins)

cdef struct Block:
    # Units u ... u + w - 1 of the rows row ... end - 1 of step t, and what the step before (in the order of the forward pass) and the
    # step after it share with it.
    ptrdiff_t t, index, u, w, row, end
    ptrdiff_t before, n_before   # a step, and how many rows of t it has
    ptrdiff_t after, n_after


cdef inline ptrdiff_t kept_row(const Steps* s, ptrdiff_t t) noexcept nogil:
    """The first row of step t in an array that has only one step in inference."""
    return s.first[t] if s.keep else 0


cdef inline char* gates_of(const Steps* s, char* g, const Block* b) noexcept nogil:
    """Row b.row and unit b.u of the first gate."""
    return g + ((s.first[b.t] - s.base + b.row) * s.n_gates * s.hidden + b.u) * s.size


cdef inline const char* h_before(const Steps* s, const Block* b) noexcept nogil:
    """Row b.row of the state that enters the step."""
    if b.row < b.n_before:
        return s.y + (s.first[b.before] + b.row) * s.out * s.size
    return s.h0 + b.row * s.out * s.size


cdef inline const char* c_before(const Steps* s, const Block* b) noexcept nogil:
    if b.row >= b.n_before and s.keep:
        return s.c0 + (b.row * s.hidden + b.u) * s.size
    return s.c + (((s.first[b.before] if s.keep else 0) + b.row) * s.hidden + b.u) * s.size


cdef void product(const Steps* s, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t k, const char* a, ptrdiff_t lda, const char* panel,
                  ptrdiff_t apart, char* c, ptrdiff_t ldc, const char* bias, int flags) noexcept nogil:
    """c = a · panels + bias, or added to c; n columns of panels that are `apart`."""
    cdef ptrdiff_t k0 = 0, kc = k, nr = s.t.gemm.nr
    cdef const char* b
    cdef int f
    if rows <= 0:
        return
    if k > s.t.gemm.kc:
        kc = (k + s.t.gemm.kc - 1) // s.t.gemm.kc
        kc = ((k + kc - 1) // kc + 7) // 8 * 8
    while True:
        kc = min(kc, k - k0)
        f, b = flags | PYDL_GEMM_PADDED | (PYDL_GEMM_ACCUMULATE if k0 else 0), panel + k0 * nr * s.size
        if rows <= THIN_ROWS:
            s.k.thin(rows, n, kc, a + k0 * s.size, lda, b, apart, c, ldc, bias if k0 + kc == k else NULL, f)
        else:
            s.t.gemm.block(rows, n, kc, 1, a + k0 * s.size, lda, 1, 0, 0, b, nr, apart, 0, c, ldc, bias if k0 + kc == k else NULL, f)
        k0 += kc
        if k0 >= k:
            return


# --- forward ------------------------------------------------------------------------------------------------------------

cdef inline const char* gate_panel(const Steps* s, ptrdiff_t gate, const Block* b) noexcept nogil:
    cdef ptrdiff_t nr = s.t.gemm.nr
    return s.w + (gate * ((s.hidden + nr - 1) // nr) + b.index) * s.out * nr * s.size


cdef void forward_span(const Steps* s, int phase, const Block* b) noexcept nogil:
    """Rows whose previous states lie together."""
    cdef ptrdiff_t rows = b.end - b.row, size = s.size, hidden = s.hidden, ldg = s.n_gates * hidden, nr = s.t.gemm.nr, q
    cdef const char* h = h_before(s, b)
    cdef char* g = gates_of(s, s.g, b)
    cdef char* m = s.m + (kept_row(s, b.t) + b.row) * hidden * size if s.m != NULL else NULL
    cdef char* y = s.y + ((s.first[b.t] + b.row) * s.out + b.u) * size
    cdef ptrdiff_t at = (kept_row(s, b.t) + b.row) * hidden + b.u
    if s.cell == GRU_BEFORE and phase == 1:
        product(s, rows, b.w, hidden, m, hidden, gate_panel(s, 2, b), s.out * nr, g + 2 * hidden * size, ldg, NULL, PYDL_GEMM_ACCUMULATE)
        s.k.gru_update(rows, b.w, g, ldg, hidden, h + b.u * size, s.out, y, s.out)
        return
    for q in range(s.n_gates if s.cell == LSTM or s.n_gates == 1 else 2):
        product(s, rows, b.w, s.out, h, s.out, gate_panel(s, q, b), s.out * nr, g + q * hidden * size, ldg, NULL, PYDL_GEMM_ACCUMULATE)
    if m != NULL:
        m += b.u * size
    if s.cell == LSTM:
        s.k.lstm_fwd(rows, b.w, g, ldg, hidden, c_before(s, b), hidden, s.c + at * size, hidden,
                     s.tc + at * size if s.tc != NULL else NULL, hidden, y if s.w_hr == NULL else m, s.out if s.w_hr == NULL else hidden)
    elif s.cell == GRU_AFTER:
        product(s, rows, b.w, s.out, h, s.out, gate_panel(s, 2, b), s.out * nr, m, hidden,
                s.b_hn + b.u * size if s.b_hn != NULL else NULL, 0)
        s.k.gru_fwd(rows, b.w, g, ldg, hidden, m, hidden, h + b.u * size, s.out, y, s.out)
    elif s.cell == GRU_BEFORE:
        s.k.gru_reset(rows, b.w, g, ldg, hidden, h + b.u * size, s.out, m, hidden)
    else:
        s.k.rnn_fwd(rows, b.w, y, s.out, s.cell == RNN_RELU)


cdef void forward_block(const Steps* s, int phase, const Block* whole) noexcept nogil:
    cdef Block b = whole[0]
    cdef ptrdiff_t size = s.size, apart = s.hidden * s.t.gemm.nr
    if phase == 1 and s.w_hr != NULL:
        product(s, b.end - b.row, b.w, s.hidden, s.m + (kept_row(s, b.t) + b.row) * s.hidden * size, s.hidden,
                s.w_hr + b.index * apart * size, apart, s.y + ((s.first[b.t] + b.row) * s.out + b.u) * size, s.out, NULL, 0)
        return
    while b.row < whole.end:
        b.end = min(b.n_before, whole.end) if b.row < b.n_before else whole.end
        forward_span(s, phase, &b)
        b.row = b.end


# --- backward -----------------------------------------------------------------------------------------------------------

cdef void through_weights(const Steps* s, ptrdiff_t t, ptrdiff_t row, ptrdiff_t rows, const Block* b, char* out, ptrdiff_t ldo,
                          int flags) noexcept nogil:
    """out = (gradients of the gates in rows of step t) · W_hh, the columns of block b."""
    cdef ptrdiff_t ldg = s.n_gates * s.hidden, nr = s.t.gemm.nr, at
    cdef ptrdiff_t k = s.plain
    cdef const char* panel = s.w + b.index * ldg * nr * s.size
    if rows <= 0:
        return
    at = s.first[t] + row
    product(s, rows, b.w, k, s.dg + at * ldg * s.size, ldg, panel, ldg * nr, out, ldo, NULL, flags)
    if s.cell == GRU_AFTER:
        product(s, rows, b.w, s.hidden, s.dm + at * s.hidden * s.size, s.hidden, panel + k * nr * s.size, ldg * nr, out,
                ldo, NULL, PYDL_GEMM_ACCUMULATE)


cdef void backward_span(const Steps* s, int phase, const Block* b, const char* dh1, ptrdiff_t ld1, const char* dh2,
                        ptrdiff_t ld2) noexcept nogil:
    """Rows whose previous states lie together, and whose dh2 do."""
    cdef ptrdiff_t rows = b.end - b.row, size = s.size, hidden = s.hidden, ldg = s.n_gates * hidden
    cdef ptrdiff_t at = ((s.first[b.t] + b.row) * hidden + b.u) * size
    cdef const char* h = h_before(s, b) + b.u * size
    cdef char* g = gates_of(s, s.g, b)
    cdef char* dg = gates_of(s, s.dg, b)
    cdef char* carry = s.carry + (b.row * hidden + b.u) * size if s.carry != NULL else NULL
    if s.cell == LSTM:
        s.k.lstm_bwd(rows, b.w, dh1, ld1, dh2, ld2, g, ldg, hidden, c_before(s, b), hidden, s.tc + at, hidden, carry, hidden, dg, ldg)
    elif s.cell == GRU_AFTER:
        s.k.gru_bwd(rows, b.w, dh1, ld1, dh2, ld2, carry, hidden, g, ldg, hidden, s.m + at, hidden, h, s.out, dg, ldg, s.dm + at, hidden)
    elif s.cell == GRU_BEFORE and phase == 0:
        s.k.gru_update_bwd(rows, b.w, dh1, ld1, dh2, ld2, carry, hidden, g, ldg, hidden, h, s.out, dg, ldg)
    elif s.cell == GRU_BEFORE:
        s.k.gru_reset_bwd(rows, b.w, dh1, ld1, carry, hidden, g, ldg, h, s.out, dg, ldg)
    else:
        s.k.rnn_bwd(rows, b.w, dh1, ld1, dh2, ld2, s.y + at, s.out, s.cell == RNN_RELU, dg, ldg)


cdef void projected_gradient(const Steps* s, const Block* b) noexcept nogil:
    """dh of a layer with projection, which has rows of its own: dy, dh_n of the sequences that end here, and what comes back in time."""
    cdef ptrdiff_t row, size = s.size, at
    cdef char* dh = s.dh + (s.first[b.t] * s.out + b.u) * size
    for row in range(b.row, b.end):
        at = row * s.out * size
        memcpy(dh + at, s.dy + (s.first[b.t] * s.out + b.u) * size + at, b.w * size)
        if row >= b.n_after:
            s.t.eltwise.binary[PYDL_B_add](dh + at, 1, s.dh_n + b.u * size + at, 1, dh + at, 1, b.w)
    through_weights(s, b.after, b.row, min(b.n_after, b.end) - b.row, b, dh + b.row * s.out * size, s.out, PYDL_GEMM_ACCUMULATE)


cdef void backward_block(const Steps* s, int phase, const Block* whole, char* room) noexcept nogil:
    cdef Block b = whole[0]
    cdef ptrdiff_t size = s.size, nr = s.t.gemm.nr, rows = whole.end - whole.row, ldg = s.n_gates * s.hidden, ld1 = s.out, ld2
    cdef ptrdiff_t width = (b.w + nr - 1) // nr * nr
    cdef const char* dh1 = s.dy + (s.first[b.t] * s.out + b.u) * size
    cdef const char* dh2
    cdef bint whole_dh = phase == 1        # room holds all there is
    if s.w_hr != NULL and phase == 0:
        projected_gradient(s, &b)
        return
    if s.w_hr != NULL:
        product(s, rows, b.w, s.out, s.dh + (s.first[b.t] + b.row) * s.out * size, s.out, s.w_hr + b.index * s.out * nr * size,
                s.out * nr, room, width, NULL, 0)
    elif phase == 1:
        product(s, rows, b.w, s.hidden, s.dg + ((s.first[b.t] + b.row) * ldg + 2 * s.hidden) * size, ldg,
                s.w + (b.index * ldg + 2 * s.hidden) * nr * size, ldg * nr, room, width, NULL, 0)
    else:
        through_weights(s, b.after, b.row, min(b.n_after, b.end) - b.row, &b, room, width, 0)
    while b.row < whole.end:
        b.end = min(b.n_before, whole.end) if b.row < b.n_before else whole.end
        if b.row < b.n_after and not whole_dh:
            b.end = min(b.end, b.n_after)
        dh2, ld2 = NULL, 0
        if not whole_dh and b.row < b.n_after:
            dh2, ld2 = room + (b.row - whole.row) * width * size, width
        elif not whole_dh and s.cell != GRU_AFTER and s.cell != GRU_BEFORE:
            dh2, ld2 = s.dh_n + (b.row * s.out + b.u) * size, s.out
        if whole_dh:
            backward_span(s, phase, &b, room + (b.row - whole.row) * width * size, width, NULL, 0)
        else:
            backward_span(s, phase, &b, dh1 + b.row * ld1 * size, ld1, dh2, ld2)
        b.row = b.end


# --- the walk -----------------------------------------------------------------------------------------------------------

cdef void find_neighbors(const Steps* s, Block* b) noexcept nogil:
    """The steps before and after b.t in the order of the forward pass, and the rows that they share."""
    cdef ptrdiff_t t = b.t, n = s.sizes[t]
    cdef bint first = t == 0, last = t == s.n_steps - 1
    b.before, b.after = t - 1, t + 1
    b.n_before = 0 if first else n
    b.n_after = 0 if last else s.sizes[t + 1]
    if s.reverse:
        b.before, b.after = b.after, b.before
        b.n_before, b.n_after = b.n_after, b.n_before


cdef void one_phase(const Steps* s, Walk what, int phase, Block* b, int thread, int team, char* room) noexcept nogil:
    """This thread's blocks of the step b.t: a panel of units, or several where the rows are few."""
    cdef ptrdiff_t nr = s.t.gemm.nr, i, row, n = s.sizes[b.t]
    cdef ptrdiff_t width = s.out if what == INITIAL or (s.w_hr != NULL and (phase == 1) == (what == FORWARD)) else s.hidden
    cdef ptrdiff_t panels = (width + nr - 1) // nr, end = panels * (thread + 1) // team, group
    row = b.n_before if what == INITIAL else 0
    while row < n:
        b.row, b.end = row, min(n, row + s.t.gemm.mc)
        group = panels if b.end - row <= THIN_ROWS else max(<ptrdiff_t>1, BLOCK_UNITS // ((b.end - row) * nr))
        i = panels * thread // team
        while i < end:
            b.index, b.u, b.row = i, i * nr, row
            b.w = min(min(group, end - i) * nr, width - b.u)
            if what == FORWARD:
                forward_block(s, phase, b)
            elif what == BACKWARD:
                backward_block(s, phase, b, room)
            else:
                through_weights(s, b.t, row, b.end - row, b, s.dh0 + (row * s.out + b.u) * s.size, s.out,
                                PYDL_GEMM_ACCUMULATE if s.cell == GRU_AFTER or s.cell == GRU_BEFORE else 0)
            i += group
        row += s.t.gemm.mc


cdef void walk_part(const Steps* s, Walk what, ptrdiff_t i0, ptrdiff_t i1, int thread, int team, pydl_barrier* barrier,
                    int spins) noexcept nogil:
    cdef ptrdiff_t j
    cdef int phase, n_phases = 2 if what != INITIAL and (s.w_hr != NULL or s.cell == GRU_BEFORE) else 1
    cdef char* room = s.room + thread * s.room_units * s.size
    cdef Block b
    for j in range(i1 - i0):
        b.t = step_at(s, i0 + j if what == FORWARD else i1 - 1 - j)
        find_neighbors(s, &b)
        for phase in range(n_phases):
            one_phase(s, what, phase, &b, thread, team, room)
            if team > 1 and what != INITIAL:
                pydl_barrier_wait(barrier, team, spins)


cdef void walk(const Steps* s, Walk what, ptrdiff_t i0, ptrdiff_t i1, int threads) noexcept nogil:
    cdef pydl_barrier barrier
    cdef int spins = PYDL_SPINS if threads <= pydl_processors() else 0
    pydl_barrier_init(&barrier)
    if threads == 1:
        walk_part(s, what, i0, i1, 0, 1, &barrier, 0)
        return
    with parallel(num_threads=threads):
        walk_part(s, what, i0, i1, threadid(), pydl_team(), &barrier, spins)
