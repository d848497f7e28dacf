/* SPDX-License-Identifier: BSD-3-Clause */
/* Pooling of images with one channel (planes in C order): vectors of neighboring elements of a row, and of neighboring planes. */
#ifndef PYDL_POOL_PLANES_H
#define PYDL_POOL_PLANES_H

#include "transpose.h"

/* a[0], b[0], a[1], b[1], ... */
INLINE void store_interleaved(real *p, vreal a, vreal b) {
#if LANE_COUNT == 2
    vstore(p, __builtin_shufflevector(a, b, 0, 2));
    vstore(p + LANES, __builtin_shufflevector(a, b, 1, 3));
#elif LANE_COUNT == 4
    vstore(p, __builtin_shufflevector(a, b, 0, 4, 1, 5));
    vstore(p + LANES, __builtin_shufflevector(a, b, 2, 6, 3, 7));
#elif LANE_COUNT == 8
    vstore(p, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
    vstore(p + LANES, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
#else
    vstore(p, __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    vstore(p + LANES, __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
#endif
}

/* n vectors of neighboring elements (step 1), or of pairs of them (step 2): lane i of vector v is number 0 ... step - 1 of window
   j + v·LANES + i. Number r + step t of window j - t is the same element; windows in rising order are t in falling order. */
INLINE void plane_vector_bwd(const pydl_pool_geometry *g, const real *dy, ptrdiff_t id, ptrdiff_t ih, ptrdiff_t j, real *dx, const int n,
                             const int step) {
    const ptrdiff_t kernel = g->w.kernel;
    vreal sum[2][2] = {{{0}}};
    for (ptrdiff_t od = g->d.out_lo[id]; od < g->d.out_hi[id]; od++)
        for (ptrdiff_t oh = g->h.out_lo[ih]; oh < g->h.out_hi[ih]; oh++) {
            if (window_element(&g->d, od, id) < 0 || window_element(&g->h, oh, ih) < 0) continue;
            const real *p = dy + (od * g->h.n_out + oh) * g->w.n_out + j;
            const vreal divisor = vset(window_divisor(g, od, oh, g->w.even_lo));
#pragma GCC unroll 2
            for (int r = 0; r < step; r++)
                for (ptrdiff_t t = (kernel - r + step - 1) / step - 1; t >= 0; t--) {
#pragma GCC unroll 2
                    for (int v = 0; v < n; v++) sum[r][v] += vload(p - t + v * LANES) / divisor;
                }
        }
#pragma GCC unroll 2
    for (int v = 0; v < n; v++) {
        if (step == 1) vstore(dx + v * LANES, sum[0][v]);
        else store_interleaved(dx + 2 * v * LANES, sum[0][v], sum[1][v]);
    }
}

/* Vectors where all windows that could hold an element exist and have the same divisor, single elements elsewhere. */
INLINE void plane_row_bwd(const pydl_pool_geometry *g, const real *dy, ptrdiff_t row, real *dx, const int step) {
    const pydl_windows *w = &g->w;
    const ptrdiff_t id = row / g->h.n_in, ih = row % g->h.n_in, padding = -w->first[0];
    ptrdiff_t lo = w->even_lo + (w->kernel + step - 1) / step - 1, hi = w->even_hi;
    if (step * lo < padding) lo = (padding + step - 1) / step;
    if (step * hi - padding > w->n_in) hi = (w->n_in + padding) / step;
    const int has_vectors = hi - lo >= LANES;
    const ptrdiff_t begin = has_vectors ? step * lo - padding : w->n_in, end = has_vectors ? step * hi - padding : w->n_in;
    dx += row * w->n_in;
    ptrdiff_t j = lo;
    for (; has_vectors && hi - j >= 2 * LANES; j += 2 * LANES) plane_vector_bwd(g, dy, id, ih, j, dx + step * j - padding, 2, step);
    for (; has_vectors && j < hi; j += LANES) {
        if (j > hi - LANES) j = hi - LANES;
        plane_vector_bwd(g, dy, id, ih, j, dx + step * j - padding, 1, step);
    }
    for (ptrdiff_t iw = 0; iw < w->n_in; iw++) {
        if (iw == begin) iw = end;
        if (iw < w->n_in) avg_pixel_bwd(g, dy, id, ih, iw, 0, dx + iw, 1, 0);
    }
}

static void avg_bwd(const pydl_pool_geometry *g, const void *dy, ptrdiff_t row, void *dx) {
    const int neighbors = g->channels == 1 && g->w.dilation == 1 && g->w.kernel >= g->w.stride;
    if (neighbors && g->w.stride == 2) plane_row_bwd(g, dy, row, dx, 2);
    else if (neighbors && g->w.stride == 1) plane_row_bwd(g, dy, row, dx, 1);
    else avg_row_bwd(g, dy, row, dx);
}

/* --- one window over the whole plane ------------------------------------------------------------------------------------------ */

/* LANES elements from column i of LANES planes, `planes` of which exist: r[c] holds column i + c. */
INLINE void load_columns(vreal r[LANE_COUNT], const real *x, ptrdiff_t ldx, ptrdiff_t planes, ptrdiff_t left) {
#pragma GCC unroll 16
    for (int q = 0; q < LANE_COUNT; q++) r[q] = q < planes ? load_clipped(x + q * ldx, left) : (vreal){0};
    transpose(r);
}

static void avg_whole(const pydl_pool_geometry *g, const void *x_, ptrdiff_t n_planes, void *y_) {
    const real *x = x_;
    real *y = y_;
    const ptrdiff_t rows = g->d.n_in * g->h.n_in, n = g->w.n_in;
    const vreal divisor = vset(window_divisor(g, 0, 0, 0));
    for (ptrdiff_t p = 0; p < n_planes; p += LANES, x += LANES * rows * n) {
        vreal total = {0};
        for (ptrdiff_t row = 0; row < rows; row++) {
            vreal sum = {0};
            for (ptrdiff_t i = 0; i < n; i += LANES) {
                vreal r[LANE_COUNT];
                load_columns(r, x + row * n + i, rows * n, n_planes - p, n - i);
#pragma GCC unroll 16
                for (int c = 0; c < LANE_COUNT; c++)
                    if (i + c < n) sum += r[c];
            }
            total += sum;
        }
        vstore_upto(y + p, total / divisor, n_planes - p);
    }
}

static void max_whole(const pydl_pool_geometry *g, const void *x_, ptrdiff_t n_planes, void *y_, void *index) {
    const real *x = x_;
    real *y = y_;
    const ptrdiff_t n = g->d.n_in * g->h.n_in * g->w.n_in;
    for (ptrdiff_t p = 0; p < n_planes; p += LANES, x += LANES * n) {
        vreal best = vset(-(real)__builtin_inff());
        vint which = {0};
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            vreal r[LANE_COUNT];
            load_columns(r, x + i, n, n_planes - p, n - i);
#pragma GCC unroll 16
            for (int c = 0; c < LANE_COUNT; c++) {
                if (i + c >= n) break;
                const vint better = (r[c] > best) | (r[c] != r[c]);
                best = vselect(better, r[c], best);
                which = vselect_index(better, vindex(i + c), which);
            }
        }
        vstore_upto(y + p, best, n_planes - p);
        if (index) index_store(index, p, g->index_bytes, which, n_planes - p);
    }
}

#endif
