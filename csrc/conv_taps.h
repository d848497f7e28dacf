/* SPDX-License-Identifier: BSD-3-Clause */
/* The gradient of the data where there are few channels: a product of dy with the weights gives each output all of its taps' terms,
 * and those are added to the lines of inputs that they belong to.
 */
#ifndef PYDL_CONV_TAPS_H
#define PYDL_CONV_TAPS_H

#include "conv.h"

static void conv_pack_taps(const pydl_conv_weight *g, const void *w, void *panels) {
    const ptrdiff_t n_columns = conv_n_taps(g->taps) * g->n;
    real *to = panels;
    for (ptrdiff_t i = 0; i < (n_columns + NR - 1) / NR * NR * g->channels; i++) to[i] = 0;
    ptrdiff_t j = 0;
    for (ptrdiff_t t = 0; t < g->taps[0]; t++)
        for (ptrdiff_t r = 0; r < g->taps[1]; r++)
            for (ptrdiff_t s = 0; s < g->taps[2]; s++)
                for (ptrdiff_t c = 0; c < g->n; c++, j++) {
                    const real *from = (const real *)w + t * g->tap[0] + r * g->tap[1] + s * g->tap[2] + c * g->column;
                    to = (real *)panels + j / NR * NR * g->channels + j % NR;
                    for (ptrdiff_t k = 0; k < g->channels; k++) to[k * NR] = from[k * g->channel];
                }
}

/* acc[0 … n) += row[0 … n); what lies behind gets + 0. n_whole = n / LANES. */
INLINE void conv_add_row(const ptrdiff_t n_whole, ptrdiff_t rest, const real *row, real *acc) {
    for (ptrdiff_t v = 0; v < n_whole; v++) vstore(acc + v * LANES, vload(acc + v * LANES) + vload(row + v * LANES));
    if (rest) vstore(acc + n_whole * LANES, vload(acc + n_whole * LANES) + vload_n(row + n_whole * LANES, rest));
}

/* Neighbouring outputs write to the same elements, and a load waits for a store that it overlaps: they are taken far apart. */
INLINE void conv_add_line(const ptrdiff_t n_whole, const pydl_correlation *g, const real *columns, ptrdiff_t ld, ptrdiff_t lo, ptrdiff_t hi,
                          real *acc, ptrdiff_t lda) {
    const ptrdiff_t n = g->taps[2] * g->channels, rest = n - n_whole * LANES, hop = g->step[2] * g->channels;
    const ptrdiff_t apart = ((n_whole + (rest > 0)) * LANES + hop - 1) / hop;
    for (ptrdiff_t first = 0; first < apart && first < g->out[2]; first++)
        for (ptrdiff_t w = first; w < g->out[2]; w += apart) {
            const real *row = columns + w * ld + lo * n;
            real *to = acc + w * hop;
            for (ptrdiff_t r = lo; r < hi; r++, row += n, to += g->apart[1] * lda) conv_add_row(n_whole, rest, row, to);
        }
}

static void conv_add_taps(const pydl_correlation *g, const void *columns, ptrdiff_t ld, ptrdiff_t h, ptrdiff_t h0, ptrdiff_t lines,
                          void *acc, ptrdiff_t lda) {
    const ptrdiff_t n = g->taps[2] * g->channels, top = h * g->step[1] + g->first[1] - h0;
    const ptrdiff_t lo = conv_clip(conv_ceil(-top, g->apart[1]), 0, g->taps[1]);
    const ptrdiff_t hi = conv_clip(conv_ceil(lines - top, g->apart[1]), lo, g->taps[1]);
    real *to = acc;
    if (n <= 0 || lo == hi) return;
    to += (top + lo * g->apart[1]) * lda;
    if (n < LANES) conv_add_line(0, g, columns, ld, lo, hi, to, lda);
    else if (n < 2 * LANES) conv_add_line(1, g, columns, ld, lo, hi, to, lda);
    else if (n < 3 * LANES) conv_add_line(2, g, columns, ld, lo, hi, to, lda);
    else conv_add_line(n / LANES, g, columns, ld, lo, hi, to, lda);
}

#endif
