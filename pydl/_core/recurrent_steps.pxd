# SPDX-License-Identifier: BSD-3-Clause
"""The steps of a recurrent layer, one direction: what they share, and the walk through them."""

from pydl._core.kernels cimport pydl_kernels

cdef extern from "recurrent_kernels.h" nogil:
    ctypedef struct pydl_recurrent:
        void (*rnn_fwd)(ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, int) noexcept nogil
        void (*rnn_bwd)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, int, void*,
                        ptrdiff_t) noexcept nogil
        void (*lstm_fwd)(ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, void*, ptrdiff_t,
                         void*, ptrdiff_t) noexcept nogil
        void (*lstm_bwd)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, ptrdiff_t,
                         const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*gru_fwd)(ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*,
                        ptrdiff_t) noexcept nogil
        void (*gru_bwd)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*, ptrdiff_t,
                        ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*gru_reset)(ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*gru_update)(ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*gru_update_bwd)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*,
                               ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*gru_reset_bwd)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*, ptrdiff_t, const void*,
                              ptrdiff_t, void*, ptrdiff_t) noexcept nogil
        void (*thin)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*,
                     int) noexcept nogil

cdef enum:
    THIN_ROWS = 2                # of a step, up to which `thin` computes its products
    BLOCK_UNITS = 512            # rows times units of a block, if the rows are few: its gates stay in L1

cdef enum Cell:
    RNN_TANH, RNN_RELU, LSTM, GRU_AFTER, GRU_BEFORE

# Arrays over all N rows have the rows of step t at row first[t]. Those marked * have them in training only; in inference they have
# the rows of one step (state) or of the steps of one region (g), which `base` says.
cdef struct Steps:
    const pydl_kernels* t
    const pydl_recurrent* k
    Cell cell
    bint keep                    # training: * are over all rows
    bint reverse                 # the last step comes first
    ptrdiff_t size               # bytes of an element
    ptrdiff_t n_steps, n_rows, batch, n_in, hidden, out, n_gates
    ptrdiff_t plain              # gate columns that W_hh h is added to as it is: all, of GRU the first two gates
    ptrdiff_t summed             # gate columns that get b_ih + b_hh: all, but where r multiplies b_hn (GRU_AFTER) the first two gates
    const ptrdiff_t* sizes       # rows of step t, not increasing
    const ptrdiff_t* first       # their sum before t
    ptrdiff_t base               # the first row of g
    const char* w                # panels of W_hh: forward [gate][block][out][nr], backward [block][gates * hidden][nr]
    const char* w_hr             # panels of the projection, NULL without: forward [block][hidden][nr], backward [block][out][nr]
    const char* b_hn             # GRU_AFTER: bias of the product that r multiplies, or NULL
    const char* h0
    const char* c0
    char* y                      # (N, out); RNN: holds W_ih x + b first
    char* g                      # * (N, n_gates * hidden): W_ih x + b, then the gates; RNN: y
    char* c                      # * (N, hidden)
    char* tc                     # (N, hidden), tanh c; NULL in inference
    char* m                      # * (N, hidden): LSTM with projection: o tanh c; GRU_AFTER: W_hn h + b_hn; GRU_BEFORE: r h
    # backward
    const char* dy
    const char* dh_n
    char* dg                     # (N, n_gates * hidden), may be g
    char* dm                     # (N, hidden): GRU_AFTER: gradient of m; may be m
    char* dh                     # (N, out): LSTM with projection: gradient of h
    char* carry                  # (batch, hidden): LSTM: of c; GRU: what passes no gate
    char* dh0                    # (batch, out) or NULL
    char* room                   # room_units of every thread
    ptrdiff_t room_units

cdef inline ptrdiff_t step_at(const Steps* s, ptrdiff_t i) noexcept nogil:
    """The i-th step in the order of the forward pass."""
    return s.n_steps - 1 - i if s.reverse else i

cdef enum Walk:
    FORWARD, BACKWARD, INITIAL

# Steps i0 ... i1 - 1 in the order of the forward pass, or backward i1 - 1 ... i0; INITIAL: dh0 from the gradients of all gates.
cdef void walk(const Steps* s, Walk what, ptrdiff_t i0, ptrdiff_t i1, int threads) noexcept nogil
