/* SPDX-License-Identifier: BSD-3-Clause */
/* Convolution as blocks of matrix products: inputs gathered into rows that a block in the cache holds, weights into panels.
 *
 * A gathered row has the taps of one output, so that blocks run over the ends of image rows and padding costs nothing in the
 * products. Copying an input costs about a twentieth of its products with 64 channels out. Values are only moved here.
 */
#ifndef PYDL_CONV_H
#define PYDL_CONV_H

#include "brgemm.h"
#include "conv_kernels.h"

/* --- weights -------------------------------------------------------------------------------------------------------------- */

INLINE ptrdiff_t conv_n_taps(const ptrdiff_t taps[3]) { return taps[0] * taps[1] * taps[2]; }

/* One panel: columns of w from its first one on, `width` of them exist. */
INLINE void conv_pack_panel(const pydl_conv_weight *g, const real *w, ptrdiff_t width, real *panel) {
    for (ptrdiff_t c = 0; c < g->channels; c++) {
        ptrdiff_t tap = 0;
        for (ptrdiff_t t = 0; t < g->taps[0]; t++)
            for (ptrdiff_t r = 0; r < g->taps[1]; r++)
                for (ptrdiff_t s = 0; s < g->taps[2]; s++, tap++) {
                    const real *src = w + t * g->tap[0] + r * g->tap[1] + s * g->tap[2] + c * g->channel;
                    real *dst = panel + (tap * g->channels + c) * NR;
                    if (width >= NR) {
#pragma GCC unroll 32
                        for (int j = 0; j < NR; j++) dst[j] = src[j * g->column];
                    } else {
                        for (ptrdiff_t j = 0; j < NR; j++) dst[j] = j < width ? src[j * g->column] : (real)0;
                    }
                }
    }
}

static void conv_pack(const pydl_conv_weight *g, const void *w, void *panels) {
    const ptrdiff_t size = conv_n_taps(g->taps) * g->channels * NR;
    for (ptrdiff_t j = 0, p = 0; j < g->n; j += NR, p++)
        conv_pack_panel(g, (const real *)w + j * g->column, g->n - j, (real *)panels + p * size);
}

static void conv_unpack(const pydl_conv_weight *g, const void *matrix, ptrdiff_t ldm, void *w) {
    const real *src = matrix;
    for (ptrdiff_t t = 0; t < g->taps[0]; t++)
        for (ptrdiff_t r = 0; r < g->taps[1]; r++)
            for (ptrdiff_t s = 0; s < g->taps[2]; s++)
                for (ptrdiff_t c = 0; c < g->channels; c++, src += ldm) {
                    real *dst = (real *)w + t * g->tap[0] + r * g->tap[1] + s * g->tap[2] + c * g->channel;
                    for (ptrdiff_t j = 0; j < g->n; j++) dst[j * g->column] = src[j];
                }
}

/* --- inputs --------------------------------------------------------------------------------------------------------------- */

/* n elements in whole vectors; what is written behind them is written again later or is slack. */
INLINE void conv_copy(real *dst, const real *src, ptrdiff_t n, const real *end) {
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t readable = end - src - i;
        vstore(dst + i, readable >= LANES ? vload(src + i) : vload_n(src + i, readable));
    }
}

INLINE void conv_zero(real *dst, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += LANES) vstore(dst + i, (vreal){0});
}

INLINE ptrdiff_t conv_clip(ptrdiff_t v, ptrdiff_t lo, ptrdiff_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Part [lo, hi) of the row of taps (s, c) of outputs w0 … w0 + m − 1; `line` is the line of the input image, NULL outside. */
static void conv_gather_line(const pydl_correlation *g, const real *line, const real *end, ptrdiff_t w0, ptrdiff_t m, ptrdiff_t lo,
                             ptrdiff_t hi, real *dst, ptrdiff_t ld) {
    const ptrdiff_t n_in = g->in[2], channels = g->channels;
    const int together = g->pixel == channels && (g->apart[2] == 1 || g->taps[2] == 1);
    for (ptrdiff_t i = 0; i < m; i++, dst += ld) {
        const ptrdiff_t w = (w0 + i) * g->step[2] + g->first[2];
        if (!line) {
            conv_zero(dst, hi - lo);
        } else if (together) { /* the channels of neighbouring taps lie side by side */
            const ptrdiff_t from = conv_clip(-w * channels, lo, hi), to = conv_clip((n_in - w) * channels, from, hi);
            conv_zero(dst, from - lo);
            conv_copy(dst + (from - lo), line + w * channels + from, to - from, end);
            conv_zero(dst + (to - lo), hi - to);
        } else {
            for (ptrdiff_t k = lo; k < hi;) {
                const ptrdiff_t s = k / channels, c = k - s * channels, at = w + s * g->apart[2];
                const ptrdiff_t n = channels - c < hi - k ? channels - c : hi - k;
                if (at >= 0 && at < n_in) conv_copy(dst + (k - lo), line + at * g->pixel + c, n, end);
                else conv_zero(dst + (k - lo), n);
                k += n;
            }
        }
    }
}

/* The line of the input that tap line `tap` (t, r) of grid row `row` = (n, d, h) reads; NULL outside. */
INLINE const real *conv_line(const pydl_correlation *g, const real *x, ptrdiff_t row, ptrdiff_t tap) {
    const ptrdiff_t h = row % g->out[1], plane = row / g->out[1], d = plane % g->out[0], n = plane / g->out[0];
    const ptrdiff_t t = tap / g->taps[1], r = tap - t * g->taps[1];
    const ptrdiff_t id = d * g->step[0] + g->first[0] + t * g->apart[0], ih = h * g->step[1] + g->first[1] + r * g->apart[1];
    if (id < 0 || id >= g->in[0] || ih < 0 || ih >= g->in[1]) return NULL;
    return x + ((n * g->in[0] + id) * g->in[1] + ih) * g->in[2] * g->pixel;
}

static void conv_gather(const pydl_correlation *g, const void *x, ptrdiff_t n_readable, ptrdiff_t i0, ptrdiff_t count, ptrdiff_t k0,
                        ptrdiff_t kc, void *columns, ptrdiff_t ld) {
    const real *end = (const real *)x + n_readable;
    const ptrdiff_t per_line = g->taps[2] * g->channels, width = g->out[2];
    real *dst = columns;
    while (count > 0 && kc > 0) {
        const ptrdiff_t row = i0 / width, w0 = i0 - row * width, m = count < width - w0 ? count : width - w0;
        for (ptrdiff_t tap = k0 / per_line; tap * per_line < k0 + kc; tap++) {
            const ptrdiff_t base = tap * per_line, lo = conv_clip(k0 - base, 0, per_line), hi = conv_clip(k0 + kc - base, 0, per_line);
            conv_gather_line(g, conv_line(g, x, row, tap), end, w0, m, lo, hi, dst + (base + lo - k0), ld);
        }
        i0 += m, count -= m, dst += m * ld;
    }
}

/* --- outputs -------------------------------------------------------------------------------------------------------------- */

/* The pixel of the output tensor where grid row `row` = (n, d, h) begins. */
INLINE ptrdiff_t conv_output_line(const pydl_correlation *g, ptrdiff_t row) {
    const ptrdiff_t h = row % g->out[1], plane = row / g->out[1], d = plane % g->out[0], n = plane / g->out[0];
    return ((n * g->full[0] + d * g->every[0] + g->at[0]) * g->full[1] + h * g->every[1] + g->at[1]) * g->full[2] + g->at[2];
}

static void conv_scatter(const pydl_correlation *g, ptrdiff_t i0, ptrdiff_t count, ptrdiff_t n, const void *rows, void *y,
                         ptrdiff_t ldy) {
    const real *src = rows;
    for (ptrdiff_t i = i0; i < i0 + count; i++, src += n) {
        const ptrdiff_t row = i / g->out[2], w = i - row * g->out[2];
        memcpy((real *)y + (conv_output_line(g, row) + w * g->every[2]) * ldy, src, (size_t)n * sizeof(real));
    }
}

/* --- a channel multiplier ---------------------------------------------------------------------------------------------------- */

static void conv_repeat(ptrdiff_t count, ptrdiff_t n, ptrdiff_t times, const void *x, void *y) {
    real *dst = y;
    for (ptrdiff_t i = 0; i < count * n; i++)
        for (ptrdiff_t j = 0; j < times; j++) *dst++ = ((const real *)x)[i];
}

static void conv_fold(ptrdiff_t count, ptrdiff_t n, ptrdiff_t times, const void *x, void *y) {
    const real *src = x;
    for (ptrdiff_t i = 0; i < count * n; i++) {
        real sum = *src++;
        for (ptrdiff_t j = 1; j < times; j++) sum += *src++;
        ((real *)y)[i] = sum;
    }
}

#endif
