/* SPDX-License-Identifier: BSD-3-Clause */
/* Convolution of each channel by itself, vectors over channels. Taps outside of the input multiply zeros, as padding would.
 *
 * Outputs whose taps all lie inside of the line go several at a time, without a question: a weight loaded serves all of them.
 */
#ifndef PYDL_CONV_DEPTHWISE_H
#define PYDL_CONV_DEPTHWISE_H

#include "conv.h"

enum { DEPTHWISE_LINES = 32 }; /* of taps, that are looked up once for a line of outputs */

/* The outputs [lo, hi) of a line whose taps s0 … s0 + ns − 1 all lie inside of the input. */
typedef struct {
    ptrdiff_t lo, hi;
} conv_range;

INLINE conv_range conv_inside(const pydl_correlation *g, ptrdiff_t s0, ptrdiff_t ns) {
    const ptrdiff_t step = g->step[2], before = -(g->first[2] + s0 * g->apart[2]);
    const ptrdiff_t room = g->in[2] - 1 - (g->first[2] + (s0 + ns - 1) * g->apart[2]); /* last input that output 0 leaves */
    conv_range r = {before > 0 ? (before + step - 1) / step : 0, room < 0 ? 0 : room / step + 1};
    r.lo = conv_clip(r.lo, 0, g->out[2]);
    r.hi = conv_clip(r.hi, r.lo, g->out[2]);
    return r;
}

INLINE vreal conv_load(const int masked, const real *p, ptrdiff_t n) { return masked ? vload_n(p, n) : vload(p); }

/* m outputs from w0 on of one vector of channels (n of them where `masked`); inside: no tap of them leaves the line. */
INLINE void depthwise_tile(const int m, const int masked, const int inside, const pydl_correlation *g, const conv_origin *o, ptrdiff_t c,
                           const real *w, const real *bias, ptrdiff_t w0, ptrdiff_t n, real *y) {
    vreal acc[8];
    const ptrdiff_t hop = g->step[2] * g->pixel, at = w0 * g->step[2] + g->first[2], out = g->every[2] * g->channels;
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) acc[i] = (vreal){0};
    for (ptrdiff_t t = 0; t < g->taps[0]; t++)
        for (ptrdiff_t r = 0; r < g->taps[1]; r++) {
            const real *line = conv_line_of(g, *o, t, r);
            for (ptrdiff_t s = 0; s < g->taps[2]; s++, w += g->channels) {
                const vreal weight = conv_load(masked, w, n);
                const ptrdiff_t p = at + s * g->apart[2];
                if (line && (inside || (p >= 0 && p < g->in[2]))) {
                    const real *x = line + (p * g->pixel + c);
#pragma GCC unroll 8
                    for (int i = 0; i < m; i++) acc[i] = vfma(conv_load(masked, x + i * hop, n), weight, acc[i]);
                } else {
#pragma GCC unroll 8
                    for (int i = 0; i < m; i++) acc[i] = vfma((vreal){0}, weight, acc[i]);
                }
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++) {
        if (bias) acc[i] += conv_load(masked, bias, n);
        if (masked) vstore_n(y + i * out, acc[i], n);
        else vstore(y + i * out, acc[i]);
    }
}

#define DEPTHWISE_TILE(m) \
    static __attribute__((noinline)) void depthwise_##m(const pydl_correlation *g, const conv_origin *o, ptrdiff_t c, \
                                                        const real *w, const real *bias, ptrdiff_t w0, real *y) { \
        depthwise_tile(m, 0, 1, g, o, c, w, bias, w0, LANES, y); \
    }
DEPTHWISE_TILE(1)
DEPTHWISE_TILE(4)
DEPTHWISE_TILE(8)

static void depthwise_border(const pydl_correlation *g, const conv_origin *o, ptrdiff_t c, const real *w, const real *bias,
                             ptrdiff_t w0, ptrdiff_t n, real *y) {
    if (n >= LANES) depthwise_tile(1, 0, 0, g, o, c, w, bias, w0, LANES, y);
    else depthwise_tile(1, 1, 0, g, o, c, w, bias, w0, n, y);
}

/* The same where a line's ns taps are neighbours, for all whole vectors of channels: each input is loaded once for all of its taps.
 * Every output takes its taps in the same order as above. lines: those of the input, for each line of taps. */
INLINE void depthwise_run(const int m, const int ns, const int step, const pydl_correlation *g, const real *const *lines, const real *w,
                          const real *bias, ptrdiff_t w0, real *y) {
    const ptrdiff_t n_lines = g->taps[0] * g->taps[1], channels = g->channels, out = g->every[2] * channels;
    const ptrdiff_t at = (w0 * step + g->first[2]) * g->pixel;
    for (ptrdiff_t c = 0; c + LANES <= channels; c += LANES) {
        const real *next = w + c;
        vreal acc[8];
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) acc[i] = (vreal){0};
        for (ptrdiff_t l = 0; l < n_lines; l++, next += ns * channels) {
            vreal weight[5];
#pragma GCC unroll 5
            for (int s = 0; s < ns; s++) weight[s] = vload(next + s * channels);
            if (lines[l]) {
                const real *x = lines[l] + (at + c);
#pragma GCC unroll 32
                for (int j = 0; j < (m - 1) * step + ns; j++) {
                    const vreal v = vload(x + j * g->pixel);
#pragma GCC unroll 8
                    for (int i = 0; i < m; i++)
                        if (j - i * step >= 0 && j - i * step < ns) acc[i] = vfma(v, weight[j - i * step], acc[i]);
                }
            } else {
#pragma GCC unroll 5
                for (int s = 0; s < ns; s++)
#pragma GCC unroll 8
                    for (int i = 0; i < m; i++) acc[i] = vfma((vreal){0}, weight[s], acc[i]);
            }
        }
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) vstore(y + c + i * out, bias ? acc[i] + vload(bias + c) : acc[i]);
    }
}

typedef void depthwise_run_fn(const pydl_correlation *g, const real *const *lines, const real *w, const real *bias, ptrdiff_t w0, real *y);

#define DEPTHWISE_RUN(m, ns, step) \
    static __attribute__((noinline)) void depthwise_##m##ns##step(const pydl_correlation *g, const real *const *lines, const real *w, \
                                                                  const real *bias, ptrdiff_t w0, real *y) { \
        depthwise_run(m, ns, step, g, lines, w, bias, w0, y); \
    }
DEPTHWISE_RUN(8, 3, 1)
DEPTHWISE_RUN(4, 3, 1)
DEPTHWISE_RUN(8, 3, 2)
DEPTHWISE_RUN(4, 3, 2)
DEPTHWISE_RUN(6, 5, 1) /* 8 spill without FMA */
DEPTHWISE_RUN(4, 5, 1)

/* The runs of 8 (6 with 5 taps) and of 4 outputs for these taps and steps; NULL where there are none. */
INLINE depthwise_run_fn *const *depthwise_runs(const pydl_correlation *g) {
    static depthwise_run_fn *const runs[][2] = {
        {depthwise_831, depthwise_431}, {depthwise_832, depthwise_432}, {depthwise_651, depthwise_451}};
    if (g->apart[2] != 1 || g->taps[0] * g->taps[1] > DEPTHWISE_LINES || g->channels < LANES) return NULL;
    if (g->taps[2] == 3 && g->step[2] <= 2) return runs[g->step[2] - 1];
    return g->taps[2] == 5 && g->step[2] == 1 ? runs[2] : NULL;
}

/* Outputs outermost: of the lines that a tile reads all channels then lie in L1. */
static void depthwise_row(const pydl_correlation *g, const conv_origin *o, const real *w, const real *bias, real *y) {
    const ptrdiff_t out = g->every[2] * g->channels, whole = g->channels - g->channels % LANES;
    const conv_range r = conv_inside(g, 0, g->taps[2]);
    depthwise_run_fn *const *runs = depthwise_runs(g);
    const real *lines[DEPTHWISE_LINES];
    for (ptrdiff_t l = 0; runs && l < g->taps[0] * g->taps[1]; l++) lines[l] = conv_line_of(g, *o, l / g->taps[1], l % g->taps[1]);
    for (ptrdiff_t i = 0, m; i < g->out[2]; i += m, y += m * out) {
        const int inside = i >= r.lo && i < r.hi, run = runs && inside && r.hi - r.lo >= 4;
        m = !inside || r.hi - i < 4 ? 1 : r.hi - i < 8 ? 4 : 8;
        if (run) { /* the last of them over outputs that are there already, if need be */
            const ptrdiff_t most = g->taps[2] == 3 ? 8 : 6, left = r.hi - i, size = left <= 4 || r.hi - r.lo < most ? 4 : most;
            const ptrdiff_t back = left < size ? size - left : 0;
            runs[size == 4](g, lines, w, bias, i - back, y - back * out);
            m = size - back;
        }
        for (ptrdiff_t c = 0; c < whole && !run; c += LANES) {
            const real *b = bias ? bias + c : NULL;
            if (!inside) depthwise_border(g, o, c, w + c, b, i, LANES, y + c);
            else (m == 8 ? depthwise_8 : m == 4 ? depthwise_4 : depthwise_1)(g, o, c, w + c, b, i, y + c);
        }
        for (ptrdiff_t j = 0; whole < g->channels && j < m; j++)
            depthwise_border(g, o, whole, w + whole, bias ? bias + whole : NULL, i + j, g->channels - whole, y + j * out + whole);
    }
}

static void depthwise(const pydl_correlation *g, const void *x, const void *w, const void *bias, ptrdiff_t row0, ptrdiff_t rows, void *y) {
    for (ptrdiff_t row = row0; row < row0 + rows; row++) {
        const conv_origin o = conv_origin_of(g, x, row);
        depthwise_row(g, &o, w, bias, (real *)y + conv_output_line(g, row) * g->channels);
    }
}

/* --- the gradient of the weights ------------------------------------------------------------------------------------------ */

/* One product of output i with taps s0 … of one line; NULL or outside: zeros. */
INLINE void depthwise_weight_step(const int ns, const int nv, const int masked, const int inside, const pydl_correlation *g,
                                  const real *line, ptrdiff_t p, const real *dy, ptrdiff_t n, vreal (*acc)[2]) {
    vreal d[2];
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) d[v] = conv_load(masked, dy + v * LANES, n);
#pragma GCC unroll 4
    for (int s = 0; s < ns; s++) {
        const ptrdiff_t at = p + s * g->apart[2];
        const int exists = inside || (line && at >= 0 && at < g->in[2]);
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            acc[s][v] = vfma(exists ? conv_load(masked, line + at * g->pixel + v * LANES, n) : (vreal){0}, d[v], acc[s][v]);
    }
}

/* dw[s0 … s0 + ns)[nv vectors, or n channels where masked] += Σ_w x·dy of a line; chains of at most CHAIN products. */
INLINE void depthwise_weight_line(const int ns, const int nv, const int masked, const pydl_correlation *g, const real *line,
                                  const real *dy, ptrdiff_t s0, ptrdiff_t n, real *dw) {
    const conv_range r = conv_inside(g, s0, ns);
    const ptrdiff_t lo = line ? r.lo : g->out[2], hi = line ? r.hi : g->out[2];
    for (ptrdiff_t i = 0; i < g->out[2];) {
        const ptrdiff_t end = i + CHAIN < g->out[2] ? i + CHAIN : g->out[2];
        ptrdiff_t p = i * g->step[2] + g->first[2] + s0 * g->apart[2];
        vreal acc[4][2];
#pragma GCC unroll 4
        for (int s = 0; s < ns; s++) acc[s][0] = acc[s][1] = (vreal){0};
        for (; i < end && i < lo; i++, p += g->step[2])
            depthwise_weight_step(ns, nv, masked, 0, g, line, p, dy + i * g->channels, n, acc);
        for (; i < end && i < hi; i++, p += g->step[2])
            depthwise_weight_step(ns, nv, masked, 1, g, line, p, dy + i * g->channels, n, acc);
        for (; i < end; i++, p += g->step[2]) depthwise_weight_step(ns, nv, masked, 0, g, line, p, dy + i * g->channels, n, acc);
#pragma GCC unroll 4
        for (int s = 0; s < ns; s++)
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++) {
                real *to = dw + s * g->channels + v * LANES;
                if (masked) vstore_n(to, vload_n(to, n) + acc[s][v], n);
                else vstore(to, vload(to) + acc[s][v]);
            }
    }
}

#define DEPTHWISE_WEIGHT(ns) \
    static void depthwise_weight_##ns(const pydl_correlation *g, const real *line, const real *dy, ptrdiff_t s0, real *dw) { \
        const ptrdiff_t channels = g->channels; \
        ptrdiff_t c = 0; \
        for (; c + 2 * LANES <= channels; c += 2 * LANES) \
            depthwise_weight_line(ns, 2, 0, g, line ? line + c : NULL, dy + c, s0, LANES, dw + c); \
        for (; c + LANES <= channels; c += LANES) \
            depthwise_weight_line(ns, 1, 0, g, line ? line + c : NULL, dy + c, s0, LANES, dw + c); \
        if (c < channels) depthwise_weight_line(ns, 1, 1, g, line ? line + c : NULL, dy + c, s0, channels - c, dw + c); \
    }
DEPTHWISE_WEIGHT(1)
DEPTHWISE_WEIGHT(2)
DEPTHWISE_WEIGHT(3)

/* All taps of one line of them, three at a time. */
static void depthwise_weight_taps(const pydl_correlation *g, const real *line, const real *dy, real *dw) {
    for (ptrdiff_t s = 0; s < g->taps[2];) {
        const ptrdiff_t left = g->taps[2] - s;
        (left == 1 ? depthwise_weight_1 : left == 2 ? depthwise_weight_2 : depthwise_weight_3)(g, line, dy, s, dw + s * g->channels);
        s += left < 3 ? left : 3;
    }
}

static void depthwise_weight(const pydl_correlation *g, const void *x, const void *dy, ptrdiff_t row0, ptrdiff_t rows, void *dw) {
    const ptrdiff_t per_line = g->taps[2] * g->channels;
    for (ptrdiff_t i = 0; i < g->taps[0] * g->taps[1] * per_line; i++) ((real *)dw)[i] = 0;
    for (ptrdiff_t row = row0; row < row0 + rows; row++) {
        const conv_origin o = conv_origin_of(g, x, row);
        real *to = dw;
        for (ptrdiff_t t = 0; t < g->taps[0]; t++)
            for (ptrdiff_t r = 0; r < g->taps[1]; r++, to += per_line)
                depthwise_weight_taps(g, conv_line_of(g, o, t, r), (const real *)dy + row * g->out[2] * g->channels, to);
    }
}

#endif
