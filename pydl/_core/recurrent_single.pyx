# SPDX-License-Identifier: BSD-3-Clause
"""A single step of RNN, LSTM or GRU: packing W_hh would take longer than the step, so its products read it where it lies."""

from pydl._core.gemm cimport gemm
from pydl._core.kernels cimport run_team
from pydl._core.recurrent_call cimport Call
from pydl._core.recurrent_steps cimport GRU_AFTER, GRU_BEFORE, LSTM, RNN_RELU, Steps

cdef enum:
    SINGLE_UNITS = 8192          # sequences times hidden units, of which one thread computes the gates


cdef bint is_single(Call c) noexcept:
    return c.s.n_steps == 1 and c.s.batch * c.s.hidden <= SINGLE_UNITS


cdef int add_product(Steps* s, const char* a, ptrdiff_t k, const char* w, ptrdiff_t n, char* out, ptrdiff_t ldo, const char* bias,
                     bint accumulate) except -1:
    """out = a Wᵀ + bias, or added to out; a (batch, k), W (n, k)."""
    return gemm(s.size == 8, 1, s.batch, n, k, a, 0, k, 1, w, 0, 1, k, out, 0, ldo, bias, 0, accumulate, 0)


cdef struct Gates:
    const Steps* s
    int phase


cdef void gates(const void* job, int threads) noexcept nogil:
    """By one thread: the step is small."""
    cdef const Steps* s = (<const Gates*>job).s
    cdef ptrdiff_t n = s.batch, hidden = s.hidden, ldg = s.n_gates * hidden
    if s.cell == LSTM:
        s.k.lstm_fwd(n, hidden, s.g, ldg, hidden, s.c0 if s.keep else s.c, hidden, s.c, hidden, s.tc, hidden,
                     s.y if s.w_hr == NULL else s.m, hidden)
    elif s.cell == GRU_AFTER:
        s.k.gru_fwd(n, hidden, s.g, ldg, hidden, s.m, hidden, s.h0, hidden, s.y, hidden)
    elif s.cell == GRU_BEFORE and (<const Gates*>job).phase == 0:
        s.k.gru_reset(n, hidden, s.g, ldg, hidden, s.h0, hidden, s.m, hidden)
    elif s.cell == GRU_BEFORE:
        s.k.gru_update(n, hidden, s.g, ldg, hidden, s.h0, hidden, s.y, hidden)
    else:
        s.k.rnn_fwd(n, hidden, s.y, hidden, s.cell == RNN_RELU)


cdef void run_gates(Call c, int phase) noexcept:
    cdef Gates g
    g.s, g.phase = &c.s, phase
    run_team(gates, &g, 1, c.row_ns * c.s.batch)


cdef int single_step(Call c, const char* w_hh) except -1:
    """s.g holds the input projection."""
    cdef Steps* s = &c.s
    cdef ptrdiff_t hidden = s.hidden, ldg = s.n_gates * hidden
    cdef const char* w_n = w_hh + s.plain * s.out * s.size
    add_product(s, s.h0, s.out, w_hh, s.plain, s.g, ldg, NULL, True)
    if s.cell == GRU_AFTER:
        add_product(s, s.h0, hidden, w_n, hidden, s.m, hidden, s.b_hn, False)
    run_gates(c, 0)
    if s.cell == GRU_BEFORE:
        add_product(s, s.m, hidden, w_n, hidden, s.g + s.plain * s.size, ldg, NULL, True)
        run_gates(c, 1)
    if s.w_hr != NULL:
        add_product(s, s.m, hidden, s.w_hr, s.out, s.y, s.out, NULL, False)
    return 0
