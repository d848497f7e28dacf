/* SPDX-License-Identifier: BSD-3-Clause */
/* Convolution of each channel by itself, vectors over channels. Taps outside of the input multiply zeros, as padding would. */
#ifndef PYDL_CONV_DEPTHWISE_H
#define PYDL_CONV_DEPTHWISE_H

#include "conv.h"

enum { DEPTHWISE_PIXELS = 4 }; /* outputs at once: each weight is then loaded once for four products */

/* m ≤ DEPTHWISE_PIXELS outputs from w0 on, n channels (a vector at most); `masked` and m are constants. */
INLINE void depthwise_tile(const int m, const int masked, const pydl_correlation *g, const real *x, const real *w, const real *bias,
                           ptrdiff_t row, ptrdiff_t w0, ptrdiff_t n, real *y) {
    vreal acc[DEPTHWISE_PIXELS];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) acc[i] = (vreal){0};
    const ptrdiff_t last = (w0 + m - 1) * g->step[2] + g->first[2];
    for (ptrdiff_t tap = 0; tap < g->taps[0] * g->taps[1]; tap++) {
        const real *line = conv_line(g, x, row, tap);
        for (ptrdiff_t s = 0; s < g->taps[2]; s++, w += g->channels) {
            const vreal weight = masked ? vload_n(w, n) : vload(w);
            const ptrdiff_t at = w0 * g->step[2] + g->first[2] + s * g->apart[2];
            const int inside = line && at >= 0 && last + s * g->apart[2] < g->in[2];
#pragma GCC unroll 4
            for (int i = 0; i < m; i++) {
                const ptrdiff_t p = at + i * g->step[2];
                vreal v = {0};
                if (inside || (line && p >= 0 && p < g->in[2])) v = masked ? vload_n(line + p * g->pixel, n) : vload(line + p * g->pixel);
                acc[i] = vfma(v, weight, acc[i]);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        if (bias) acc[i] += masked ? vload_n(bias, n) : vload(bias);
        if (masked) vstore_n(y + i * g->every[2] * g->channels, acc[i], n);
        else vstore(y + i * g->every[2] * g->channels, acc[i]);
    }
}

static void depthwise_row(const pydl_correlation *g, const real *x, const real *w, const real *bias, ptrdiff_t row, real *y) {
    const ptrdiff_t step = g->every[2] * g->channels;
    for (ptrdiff_t c = 0; c < g->channels; c += LANES) {
        const ptrdiff_t n = g->channels - c;
        const real *b = bias ? bias + c : NULL;
        ptrdiff_t i = 0;
        for (; n >= LANES && i + DEPTHWISE_PIXELS <= g->out[2]; i += DEPTHWISE_PIXELS)
            depthwise_tile(DEPTHWISE_PIXELS, 0, g, x + c, w + c, b, row, i, LANES, y + i * step + c);
        for (; n >= LANES && i < g->out[2]; i++) depthwise_tile(1, 0, g, x + c, w + c, b, row, i, LANES, y + i * step + c);
        for (; i < g->out[2]; i++) depthwise_tile(1, 1, g, x + c, w + c, b, row, i, n, y + i * step + c);
    }
}

static void depthwise(const pydl_correlation *g, const void *x, const void *w, const void *bias, ptrdiff_t row0, ptrdiff_t rows, void *y) {
    for (ptrdiff_t row = row0; row < row0 + rows; row++)
        depthwise_row(g, x, w, bias, row, (real *)y + conv_output_line(g, row) * g->channels);
}

/* dw[s][c … c + n) += Σ_w x·dy of one line of taps, n ≤ LANES: a sum of its own per line and tap, added at the end. */
INLINE void depthwise_weight_line(const int masked, const pydl_correlation *g, const real *line, const real *dy, ptrdiff_t n, real *dw) {
    for (ptrdiff_t s = 0; s < g->taps[2]; s++, dw += g->channels) {
        vreal acc = {0};
        for (ptrdiff_t i = 0; i < g->out[2]; i++) {
            const ptrdiff_t p = i * g->step[2] + g->first[2] + s * g->apart[2];
            const real *d = dy + i * g->channels;
            vreal v = {0};
            if (line && p >= 0 && p < g->in[2]) v = masked ? vload_n(line + p * g->pixel, n) : vload(line + p * g->pixel);
            acc = vfma(v, masked ? vload_n(d, n) : vload(d), acc);
        }
        vstore_upto(dw, acc + vload_upto(dw, n), n);
    }
}

static void depthwise_weight(const pydl_correlation *g, const void *x, const void *dy, ptrdiff_t row0, ptrdiff_t rows, void *dw) {
    const ptrdiff_t n_lines = g->taps[0] * g->taps[1], per_line = g->taps[2] * g->channels;
    for (ptrdiff_t i = 0; i < n_lines * per_line; i++) ((real *)dw)[i] = 0;
    for (ptrdiff_t row = row0; row < row0 + rows; row++)
        for (ptrdiff_t tap = 0; tap < n_lines; tap++) {
            const real *line = conv_line(g, x, row, tap), *d = (const real *)dy + row * g->out[2] * g->channels;
            for (ptrdiff_t c = 0; c < g->channels; c += LANES) {
                const ptrdiff_t n = g->channels - c;
                real *to = (real *)dw + tap * per_line + c;
                if (n >= LANES) depthwise_weight_line(0, g, line ? line + c : NULL, d + c, LANES, to);
                else depthwise_weight_line(1, g, line ? line + c : NULL, d + c, n, to);
            }
        }
}

#endif
