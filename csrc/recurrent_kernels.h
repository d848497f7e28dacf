/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the recurrent layers (recurrent.h): what a step does to a block of hidden units, without its matrix products.
 *
 * Every array is rows x n, its rows ld... apart: the sequences of a step and a block of units. g holds the gates of a row, `gate`
 * elements from one to the next. Rules as in kernels.h; nothing overlaps unless said. An element's bits depend on its operands alone.
 */
#ifndef PYDL_RECURRENT_KERNELS_H
#define PYDL_RECURRENT_KERNELS_H

#include <stddef.h>

#define PYDL_RECURRENT(X) X(lstm_fwd) X(lstm_bwd)

typedef struct pydl_recurrent {
    /* g holds what goes into the gates i f z o, and then the gates; c = f c_prev + i z, h = o tanh c. tc = tanh c unless NULL.
       c may be exactly c_prev */
    void (*lstm_fwd)(ptrdiff_t rows, ptrdiff_t n, void *g, ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev, ptrdiff_t ldcp, void *c,
                     ptrdiff_t ldc, void *tc, ptrdiff_t ldtc, void *h, ptrdiff_t ldh);
    /* dh = dh1 + dh2 (dh2 may be NULL), dc the gradient of c from the later step; writes to dg what goes into the gates, and to dc
       the gradient of c_prev. dg may be exactly g */
    void (*lstm_bwd)(ptrdiff_t rows, ptrdiff_t n, const void *dh1, ptrdiff_t lddh1, const void *dh2, ptrdiff_t lddh2, const void *g,
                     ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev, ptrdiff_t ldcp, const void *tc, ptrdiff_t ldtc, void *dc,
                     ptrdiff_t lddc, void *dg, ptrdiff_t lddg);
} pydl_recurrent;

#endif
