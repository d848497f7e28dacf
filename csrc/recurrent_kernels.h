/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the recurrent layers (recurrent.h): what a step does to a block of hidden units, without its matrix products.
 *
 * Every array is rows x n, its rows ld... apart: the sequences of a step and a block of units. g holds the gates of a row, `gate`
 * elements from one to the next; z is the update gate of the GRU and the new content of the LSTM. In backward passes the gradient of
 * h is dh1 + dh2 (dh2 may be NULL), and dg gets the gradients of what went into the gates; dg may be exactly g.
 * Rules as in kernels.h; nothing else overlaps unless said. An element's bits depend on its operands alone.
 */
#ifndef PYDL_RECURRENT_KERNELS_H
#define PYDL_RECURRENT_KERNELS_H

#include <stddef.h>

#define PYDL_RECURRENT(X) \
    X(rnn_fwd) X(rnn_bwd) X(lstm_fwd) X(lstm_bwd) X(gru_fwd) X(gru_bwd) X(gru_reset) X(gru_update) X(gru_update_bwd) X(gru_reset_bwd) \
    X(thin)

typedef struct pydl_recurrent {
    /* h = tanh h or relu h */
    void (*rnn_fwd)(ptrdiff_t rows, ptrdiff_t n, void *h, ptrdiff_t ldh, int relu);
    void (*rnn_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *dh1, ptrdiff_t lddh1, const void *dh2, ptrdiff_t lddh2, const void *h,
                    ptrdiff_t ldh, int relu, void *dg, ptrdiff_t lddg);

    /* g holds what goes into the gates i f z o, and then the gates; c = f c_prev + i z, h = o tanh c. tc = tanh c unless NULL.
       c may be exactly c_prev */
    void (*lstm_fwd)(ptrdiff_t rows, ptrdiff_t n, void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev, ptrdiff_t ldcp, void *c,
                     ptrdiff_t ldc, void *tc, ptrdiff_t ldtc, void *h, ptrdiff_t ldh);
    /* dc: the gradient of c from the later step, and then that of c_prev */
    void (*lstm_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *dh1, ptrdiff_t lddh1, const void *dh2, ptrdiff_t lddh2, const void *g,
                     ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev, ptrdiff_t ldcp, const void *tc, ptrdiff_t ldtc, void *dc,
                     ptrdiff_t lddc, void *dg, ptrdiff_t lddg);

    /* GRU, reset after the product. g: what goes into r z n without hn = W_hn h_prev + b_hn, and then the gates;
       n = tanh(g_n + r hn), h = n + z (h_prev - n) */
    void (*gru_fwd)(ptrdiff_t rows, ptrdiff_t n, void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *hn, ptrdiff_t ldhn,
                    const void *h_prev, ptrdiff_t ldhp, void *h, ptrdiff_t ldh);
    /* carry, the part of dh_prev that passes no gate, is added to dh and then becomes z dh; dhn, the gradient of hn, may be exactly hn */
    void (*gru_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *dh1, ptrdiff_t lddh1, const void *dh2, ptrdiff_t lddh2, void *carry,
                    ptrdiff_t ldcarry, const void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *hn, ptrdiff_t ldhn, const void *h_prev,
                    ptrdiff_t ldhp, void *dg, ptrdiff_t lddg, void *dhn, ptrdiff_t lddhn);

    /* GRU, reset before the product, in two parts. First r and z, and rh = r h_prev; then n = tanh(g_n) and h = n + z (h_prev - n) */
    void (*gru_reset)(ptrdiff_t rows, ptrdiff_t n, void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev, ptrdiff_t ldhp, void *rh,
                      ptrdiff_t ldrh);
    void (*gru_update)(ptrdiff_t rows, ptrdiff_t n, void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev, ptrdiff_t ldhp, void *h,
                       ptrdiff_t ldh);
    /* the gradients of z and n, carry as above; then from drh that of r, and carry += r drh */
    void (*gru_update_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *dh1, ptrdiff_t lddh1, const void *dh2, ptrdiff_t lddh2, void *carry,
                           ptrdiff_t ldcarry, const void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev, ptrdiff_t ldhp,
                           void *dg, ptrdiff_t lddg);
    void (*gru_reset_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *drh, ptrdiff_t lddrh, void *carry, ptrdiff_t ldcarry, const void *g,
                          ptrdiff_t ldg, const void *h_prev, ptrdiff_t ldhp, void *dg, ptrdiff_t lddg);

    /* C[m x n] = C + A[m x k] B[k x n] + bias[n], m = 1 or 2, C and bias as in gemm's block and with its bits: panels of pack_b,
       b_panel apart, unit column strides */
    void (*thin)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, ptrdiff_t a_row, const void *b, ptrdiff_t b_panel, void *c,
                 ptrdiff_t c_row, const void *bias, int flags);
} pydl_recurrent;

#endif
