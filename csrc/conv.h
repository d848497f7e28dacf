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
#include "transpose.h"

/* --- weights -------------------------------------------------------------------------------------------------------------- */

INLINE ptrdiff_t conv_n_taps(const ptrdiff_t taps[3]) { return taps[0] * taps[1] * taps[2]; }

INLINE void conv_copy_row(const real *src, real *dst) {
#pragma GCC unroll 4
    for (int v = 0; v < NR; v += LANE_COUNT) vstore(dst + v, vload(src + v));
}

/* Whether the taps of a channel are neighbours in memory, forwards (1) or backwards (-1), else 0. */
INLINE int conv_dense_taps(const pydl_conv_weight *g) {
    for (int sign = 1; sign >= -1; sign -= 2) {
        ptrdiff_t apart = sign;
        int dense = 1;
        for (int d = 2; d >= 0; apart *= g->taps[d], d--) dense &= g->taps[d] == 1 || g->tap[d] == apart;
        if (dense) return sign;
    }
    return 0;
}

/* Column j of one (tap, channel) is src[j·column]; `width` of them exist. */
INLINE void conv_pack_row(const real *src, ptrdiff_t column, ptrdiff_t width, real *dst) {
    if (width >= NR && column == 1) {
        conv_copy_row(src, dst);
    } else {
        for (ptrdiff_t j = 0; j < NR; j++) dst[j] = j < width ? src[j * column] : (real)0;
    }
}

/* One panel of any weights: columns from w on, `width` of them exist. */
INLINE void conv_pack_panel(const pydl_conv_weight *g, const real *w, ptrdiff_t width, real *panel) {
    for (ptrdiff_t c = 0; c < g->channels; c++, w += g->channel) {
        real *dst = panel + c * NR;
        for (ptrdiff_t t = 0; t < g->taps[0]; t++)
            for (ptrdiff_t r = 0; r < g->taps[1]; r++)
                for (ptrdiff_t s = 0; s < g->taps[2]; s++, dst += g->channels * NR)
                    conv_pack_row(w + t * g->tap[0] + r * g->tap[1] + s * g->tap[2], g->column, width, dst);
    }
}

/* The same where a channel's n_taps are neighbours: blocks of taps × columns transposed in registers, the last taps one by one. */
INLINE void conv_pack_dense(const pydl_conv_weight *g, ptrdiff_t n_taps, int sign, const real *w, ptrdiff_t width, real *panel) {
    const ptrdiff_t along = g->channels * NR;
    for (ptrdiff_t c = 0; c < g->channels; c++, w += g->channel) {
        ptrdiff_t tap = 0;
        for (; tap + 2 < n_taps; tap += LANES) {
            const ptrdiff_t left = n_taps - tap;
            for (int v = 0; v < NR; v += LANE_COUNT) {
                vreal r[LANE_COUNT];
#pragma GCC unroll 16
                for (int j = 0; j < LANE_COUNT; j++)
                    r[j] = v + j < width ? load_clipped(w + (v + j) * g->column + tap, left) : (vreal){0};
                transpose(r);
#pragma GCC unroll 16
                for (int i = 0; i < LANE_COUNT; i++) {
                    if (i >= left) break;
                    vstore(panel + (sign > 0 ? tap + i : n_taps - 1 - tap - i) * along + c * NR + v, r[i]);
                }
            }
        }
        for (; tap < n_taps; tap++)
            conv_pack_row(w + tap, g->column, width, panel + (sign > 0 ? tap : n_taps - 1 - tap) * along + c * NR);
    }
}

static void conv_pack(const pydl_conv_weight *weight, const void *w, void *panels) {
    pydl_conv_weight g = *weight;
    ptrdiff_t n_taps = conv_n_taps(g.taps);
    const ptrdiff_t size = n_taps * g.channels * NR;
    const int dense = conv_dense_taps(&g);
    const real *first = w;
    if (dense < 0) first -= n_taps - 1;
    if (n_taps == 1 && g.channel == 1 && g.channels > 2) n_taps = g.channels, g.channels = 1; /* channels are as good as taps */
    for (ptrdiff_t j = 0; j < g.n; j += NR, first += NR * g.column, panels = (real *)panels + size)
        if (dense && n_taps > 2) conv_pack_dense(&g, n_taps, n_taps > 1 ? dense : 1, first, g.n - j, panels);
        else conv_pack_panel(&g, first + (dense < 0 ? n_taps - 1 : 0), g.n - j, panels);
}

/* dst[c][tap] = src[tap][c] for n_taps ≥ 3: blocks transposed in registers, what is left one by one. */
INLINE void conv_unpack_dense(ptrdiff_t n_taps, ptrdiff_t channels, const real *src, real *dst) {
    ptrdiff_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        ptrdiff_t tap = 0;
        for (; tap + 2 < n_taps; tap += LANES) {
            const ptrdiff_t left = n_taps - tap;
            vreal r[LANE_COUNT];
#pragma GCC unroll 16
            for (int i = 0; i < LANE_COUNT; i++) r[i] = i < left ? vload(src + (tap + i) * channels + c) : (vreal){0};
            transpose(r);
#pragma GCC unroll 16
            for (int j = 0; j < LANE_COUNT; j++) {
                real *to = dst + (c + j) * n_taps + tap;
                if (left >= LANES) vstore(to, r[j]);
                else store_tail(to, r[j], left);
            }
        }
        for (; tap < n_taps; tap++)
            for (int j = 0; j < LANE_COUNT; j++) dst[(c + j) * n_taps + tap] = src[tap * channels + c + j];
    }
    for (; c < channels; c++)
        for (ptrdiff_t tap = 0; tap < n_taps; tap++) dst[c * n_taps + tap] = src[tap * channels + c];
}

static void conv_unpack(const pydl_conv_weight *g, const void *matrix, ptrdiff_t ldm, void *w) {
    const real *src = matrix;
    const ptrdiff_t n_taps = conv_n_taps(g->taps);
    const int dense = n_taps > 2 && g->channel == n_taps && conv_dense_taps(g) > 0;
    for (ptrdiff_t j = 0; j < g->n; j++, src += ldm) {
        const real *from = src;
        if (dense) {
            conv_unpack_dense(n_taps, g->channels, src, (real *)w + j * g->column);
            continue;
        }
        for (ptrdiff_t t = 0; t < g->taps[0]; t++)
            for (ptrdiff_t r = 0; r < g->taps[1]; r++)
                for (ptrdiff_t s = 0; s < g->taps[2]; s++, from += g->channels) {
                    real *dst = (real *)w + j * g->column + t * g->tap[0] + r * g->tap[1] + s * g->tap[2];
                    for (ptrdiff_t c = 0; c < g->channels; c++) dst[c * g->channel] = from[c];
                }
    }
}

/* --- inputs --------------------------------------------------------------------------------------------------------------- */

/* n elements in whole vectors; what is written behind them is written again later or is slack. */
INLINE void conv_copy(real *dst, const real *src, ptrdiff_t n, const real *end) {
    for (ptrdiff_t i = 0; i < n; i += LANES) vstore(dst + i, load_clipped(src + i, end - src - i));
}

INLINE void conv_zero(real *dst, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += LANES) vstore(dst + i, (vreal){0});
}

INLINE ptrdiff_t conv_clip(ptrdiff_t v, ptrdiff_t lo, ptrdiff_t hi) { return v < lo ? lo : v > hi ? hi : v; }

INLINE ptrdiff_t conv_ceil(ptrdiff_t a, ptrdiff_t b) { return a <= 0 ? 0 : (a + b - 1) / b; } /* never negative */

/* n elements each of m rows, in n_vectors vectors whose surplus may be read. */
INLINE void conv_copy_rows(const ptrdiff_t n_vectors, ptrdiff_t m, const real *src, ptrdiff_t s_row, real *dst, ptrdiff_t ld) {
    for (ptrdiff_t i = 0; i < m; i++, src += s_row, dst += ld)
        for (ptrdiff_t v = 0; v < n_vectors; v++) vstore(dst + v * LANES, vload(src + v * LANES));
}

/* Part [lo, hi) of the row of taps (s, c) of outputs w0 … w0 + m − 1 where the channels of neighbouring taps lie side by side. */
static void conv_gather_runs(const pydl_correlation *g, const real *line, const real *end, ptrdiff_t w0, ptrdiff_t m, ptrdiff_t lo,
                             ptrdiff_t hi, real *dst, ptrdiff_t ld) {
    const ptrdiff_t channels = g->channels, hop = g->step[2] * channels, at = w0 * hop + g->first[2] * channels, n = hi - lo;
    const ptrdiff_t n_vectors = (n + LANES - 1) / LANES, room = end - line - n_vectors * LANES - lo, size = g->in[2] * channels;
    const ptrdiff_t last = (size - hi < room ? size - hi : room) - at; /* the largest offset that leaves neither line nor memory */
    const ptrdiff_t whole_lo = conv_clip(conv_ceil(-lo - at, hop), 0, m), whole_hi = conv_clip(last < 0 ? 0 : last / hop + 1, whole_lo, m);
    for (ptrdiff_t i = 0; i < m; i++, dst += ld) {
        if (i == whole_lo && whole_hi > whole_lo) {
            const real *src = line + (at + i * hop + lo);
            const ptrdiff_t rows = whole_hi - whole_lo;
            if (n_vectors == 1) conv_copy_rows(1, rows, src, hop, dst, ld);
            else if (n_vectors == 2) conv_copy_rows(2, rows, src, hop, dst, ld);
            else if (n_vectors == 3) conv_copy_rows(3, rows, src, hop, dst, ld);
            else conv_copy_rows(n_vectors, rows, src, hop, dst, ld);
            i += rows, dst += rows * ld;
            if (i >= m) return;
        }
        const ptrdiff_t w = at + i * hop, from = conv_clip(-w, lo, hi), to = conv_clip(size - w, from, hi);
        conv_zero(dst, from - lo);
        conv_copy(dst + (from - lo), line + w + from, to - from, end);
        conv_zero(dst + (to - lo), hi - to);
    }
}

/* The same for any pixels; `line` is the line of the input image, NULL outside. */
static void conv_gather_line(const pydl_correlation *g, const real *line, const real *end, ptrdiff_t w0, ptrdiff_t m, ptrdiff_t lo,
                             ptrdiff_t hi, real *dst, ptrdiff_t ld) {
    const ptrdiff_t channels = g->channels;
    if (!line) {
        for (ptrdiff_t i = 0; i < m; i++, dst += ld) conv_zero(dst, hi - lo);
        return;
    }
    if (g->pixel == channels && (g->apart[2] == 1 || g->taps[2] == 1)) {
        conv_gather_runs(g, line, end, w0, m, lo, hi, dst, ld);
        return;
    }
    for (ptrdiff_t i = 0; i < m; i++, dst += ld) {
        const ptrdiff_t w = (w0 + i) * g->step[2] + g->first[2];
        for (ptrdiff_t k = lo; k < hi;) {
            const ptrdiff_t s = k / channels, c = k - s * channels, at = w + s * g->apart[2];
            const ptrdiff_t n = channels - c < hi - k ? channels - c : hi - k;
            if (at >= 0 && at < g->in[2]) conv_copy(dst + (k - lo), line + at * g->pixel + c, n, end);
            else conv_zero(dst + (k - lo), n);
            k += n;
        }
    }
}

/* Grid row `row` = (n, d, h): its image, and the input line that tap line (0, 0) reads. */
typedef struct {
    const real *image;
    ptrdiff_t d, h;
} conv_origin;

INLINE conv_origin conv_origin_of(const pydl_correlation *g, const real *x, ptrdiff_t row) {
    const ptrdiff_t h = row % g->out[1], plane = row / g->out[1], d = plane % g->out[0], n = plane / g->out[0];
    const conv_origin o = {x + n * g->in[0] * g->in[1] * g->in[2] * g->pixel, d * g->step[0] + g->first[0], h * g->step[1] + g->first[1]};
    return o;
}

/* The line of the input that tap line (t, r) reads; NULL outside. */
INLINE const real *conv_line_of(const pydl_correlation *g, conv_origin o, ptrdiff_t t, ptrdiff_t r) {
    const ptrdiff_t d = o.d + t * g->apart[0], h = o.h + r * g->apart[1];
    return d < 0 || d >= g->in[0] || h < 0 || h >= g->in[1] ? NULL : o.image + (d * g->in[1] + h) * g->in[2] * g->pixel;
}

static void conv_gather(const pydl_correlation *g, const void *x, ptrdiff_t n_readable, ptrdiff_t i0, ptrdiff_t count, ptrdiff_t k0,
                        ptrdiff_t kc, void *columns, ptrdiff_t ld) {
    const real *end = (const real *)x + n_readable;
    const ptrdiff_t per_line = g->taps[2] * g->channels, width = g->out[2];
    real *dst = columns;
    while (count > 0 && kc > 0) {
        const ptrdiff_t row = i0 / width, w0 = i0 - row * width, m = count < width - w0 ? count : width - w0;
        const conv_origin o = conv_origin_of(g, x, row);
        for (ptrdiff_t tap = k0 / per_line; tap * per_line < k0 + kc; tap++) {
            const real *line = conv_line_of(g, o, tap / g->taps[1], tap % g->taps[1]);
            const ptrdiff_t base = tap * per_line, lo = conv_clip(k0 - base, 0, per_line), hi = conv_clip(k0 + kc - base, 0, per_line);
            conv_gather_line(g, line, end, w0, m, lo, hi, dst + (base + lo - k0), ld);
        }
        i0 += m, count -= m, dst += m * ld;
    }
}

/* m pixels of n channels each. */
static void conv_copy_pixels(const real *src, ptrdiff_t pixel, ptrdiff_t m, ptrdiff_t n, const real *end, real *dst, ptrdiff_t ld) {
    const ptrdiff_t n_vectors = (n + LANES - 1) / LANES, room = end - src - n_vectors * LANES;
    const ptrdiff_t whole = conv_clip(room < 0 ? 0 : room / pixel + 1, 0, m);
    if (n_vectors == 2) conv_copy_rows(2, whole, src, pixel, dst, ld);
    else if (n_vectors == 4) conv_copy_rows(4, whole, src, pixel, dst, ld);
    else conv_copy_rows(n_vectors, whole, src, pixel, dst, ld);
    for (ptrdiff_t i = whole; i < m; i++) conv_copy(dst + i * ld, src + i * pixel, n, end);
}

static void conv_lines(const pydl_correlation *g, const void *x, ptrdiff_t n_readable, ptrdiff_t row0, ptrdiff_t rows, ptrdiff_t n,
                       void *lines, ptrdiff_t ld) {
    const real *end = (const real *)x + n_readable;
    const ptrdiff_t width = (g->out[2] - 1) * g->step[2] + (g->taps[2] - 1) * g->apart[2] + 1, first = g->first[2];
    const ptrdiff_t lo = conv_clip(-first, 0, width), hi = conv_clip(g->in[2] - first, lo, width);
    real *dst = lines;
    if (n <= 0) return;
    for (ptrdiff_t row = row0; row < row0 + rows; row++) {
        const conv_origin o = conv_origin_of(g, x, row);
        for (ptrdiff_t tap = 0; tap < g->taps[0] * g->taps[1]; tap++, dst += width * ld) {
            const real *line = conv_line_of(g, o, tap / g->taps[1], tap % g->taps[1]);
            const ptrdiff_t from = line ? lo : width, to = line ? hi : width;
            for (ptrdiff_t w = 0; w < from; w++) conv_zero(dst + w * ld, n);
            if (from < to) conv_copy_pixels(line + (from + first) * g->pixel, g->pixel, to - from, n, end, dst + from * ld, ld);
            for (ptrdiff_t w = to; w < width; w++) conv_zero(dst + w * ld, n);
        }
    }
}

/* One pass over the pixels: a tile after the other would read each line of the cache several times. */
static void conv_pack_pixels(ptrdiff_t m, ptrdiff_t n, const void *dy, ptrdiff_t ldy, ptrdiff_t n_readable, void *tiles, ptrdiff_t tile) {
    const row_split split = split_rows(n, MR);
    const real *src = dy, *end = src + n_readable;
    for (ptrdiff_t i = 0; i < m; i++, src += ldy) {
        const real *from = src;
        real *to = (real *)tiles + i * MR;
        for (ptrdiff_t t = 0; t < split.n_tiles; t++, to += tile) {
            conv_copy(to, from, MR, end);
            from += split.height + (t < split.n_higher);
        }
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
