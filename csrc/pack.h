/* SPDX-License-Identifier: BSD-3-Clause */
/* Layout transforms for the GEMM: panels [k][width] of B (width NR) and of A (width MR), and the transposed store of C.
 *
 * A panel is one matrix with a "w" index (columns of B, rows of A) and a "k" index; the source may have any strides. Sources with
 * unit stride in w are copied by vectors, those with unit stride in k are transposed in registers, others go element by element.
 * What lies behind the source's w is filled with zeros. Values are only moved: NaN payloads, Inf and -0 stay as they are.
 */
#ifndef PYDL_PACK_H
#define PYDL_PACK_H

#include "brgemm.h"
#include "transpose.h"

/* Source with unit stride in w. Vectors overlap where width is no multiple of LANES: the next row overwrites the surplus, so the
 * destination needs LANES elements of slack behind its end (as in pack_transposed). */
INLINE void pack_copied(const int width, ptrdiff_t w, ptrdiff_t k, const real *src, ptrdiff_t s_k, real *dst) {
    for (ptrdiff_t i = 0; i < k; i++, src += s_k, dst += width)
#pragma GCC unroll 4
        for (int v = 0; v < width; v += LANE_COUNT) vstore(dst + v, load_clipped(src + v, w - v));
}

/* Source with unit stride in k: LANE_COUNT × LANE_COUNT blocks, `groups` of them side by side because the stores must go in order of k. */
INLINE void pack_transposed_groups(const int width, const int groups, ptrdiff_t w, ptrdiff_t k, const real *src, ptrdiff_t s_w,
                                   real *dst) {
    for (ptrdiff_t i = 0; i < k; i += LANE_COUNT) {
        vreal r[2][LANE_COUNT];
        const ptrdiff_t left = k - i;
#pragma GCC unroll 2
        for (int g = 0; g < groups; g++) {
#pragma GCC unroll 16
            for (int j = 0; j < LANE_COUNT; j++)
                r[g][j] = g * LANE_COUNT + j < w ? load_clipped(src + (g * LANE_COUNT + j) * s_w + i, left) : (vreal){0};
            transpose(r[g]);
        }
#pragma GCC unroll 16
        for (int j = 0; j < LANE_COUNT; j++) {
            if (j >= left) break;
#pragma GCC unroll 2
            for (int g = 0; g < groups; g++) vstore(dst + (i + j) * width + g * LANE_COUNT, r[g][j]);
        }
    }
}

INLINE void pack_panel(const int width, ptrdiff_t w, ptrdiff_t k, const real *src, ptrdiff_t s_w, ptrdiff_t s_k, real *dst) {
    if (s_w == 1) {
        pack_copied(width, w, k, src, s_k, dst);
    } else if (s_k == 1 && width % LANE_COUNT == 0) {
        for (int v = 0; v < width; v += LANE_COUNT) pack_transposed_groups(width, 1, w - v, k, src + v * s_w, s_w, dst + v);
    } else if (s_k == 1 && width <= 2 * LANE_COUNT) {
        pack_transposed_groups(width, width > LANE_COUNT ? 2 : 1, w, k, src, s_w, dst);
    } else {
        for (ptrdiff_t i = 0; i < k; i++)
            for (ptrdiff_t j = 0; j < width; j++) dst[i * width + j] = j < w ? src[i * s_k + j * s_w] : (real)0;
    }
}

/* Whole panels of a B with contiguous rows, PANELS_AT_ONCE lines side by side: with rows 4 KB apart one line a row is a page a line. */
enum { PANELS_AT_ONCE = 4 };

INLINE void pack_rows(const int n_panels, ptrdiff_t k, const real *src, ptrdiff_t s_k, real *dst) {
    for (ptrdiff_t i = 0; i < k; i++, src += s_k)
#pragma GCC unroll 4
        for (int p = 0; p < n_panels; p++)
#pragma GCC unroll 4
            for (int v = 0; v < NR; v += LANE_COUNT) vstore(dst + (p * k + i) * NR + v, vload(src + p * NR + v));
}

static void pack_b(ptrdiff_t k, ptrdiff_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_col, void *panels) {
    real *dst = panels;
    ptrdiff_t j = 0;
    if (b_col == 1)
        for (; j + PANELS_AT_ONCE * NR <= n; j += PANELS_AT_ONCE * NR, dst += PANELS_AT_ONCE * NR * k)
            pack_rows(PANELS_AT_ONCE, k, (const real *)b + j, b_row, dst);
    for (; j < n; j += NR, dst += k * NR)
        pack_panel(NR, n - j < NR ? n - j : NR, k, (const real *)b + j * b_col, b_col, b_row, dst);
}

static void pack_a(ptrdiff_t m, ptrdiff_t k, const void *a, ptrdiff_t a_row, ptrdiff_t a_col, void *tiles) {
    const real *src = a;
    real *dst = tiles;
    if (m <= 0) return;
    const row_split split = split_rows(m, MR);
    for (ptrdiff_t t = 0; t < split.n_tiles; t++, dst += k * MR) {
        const ptrdiff_t height = split.height + (t < split.n_higher);
        pack_panel(MR, height, k, src, a_row, a_col, dst);
        src += height * a_row;
    }
}

/* C[i][j] = the finished ct[j][i]. */
static void gemm_store_transposed(ptrdiff_t m, ptrdiff_t n, const void *ct, ptrdiff_t ct_row, void *c, ptrdiff_t c_row,
                                  const void *bias, int flags) {
    const int accumulate = (flags & PYDL_GEMM_ACCUMULATE) != 0, relu = (flags & PYDL_GEMM_RELU) != 0;
    for (ptrdiff_t j = 0; j < n; j += LANE_COUNT) {
        const real *bias_j = bias ? (const real *)bias + j : NULL;
        for (ptrdiff_t i = 0; i < m; i += LANE_COUNT) {
            const real *src = (const real *)ct + j * ct_row + i;
            real *dst = (real *)c + i * c_row + j;
            vreal r[LANE_COUNT], row[1][NV];
#pragma GCC unroll 16
            for (int q = 0; q < LANE_COUNT; q++) r[q] = q < n - j ? load_clipped(src + q * ct_row, m - i) : (vreal){0};
            transpose(r);
#pragma GCC unroll 16
            for (int q = 0; q < LANE_COUNT; q++) {
                if (q >= m - i) break;
                row[0][0] = r[q];
                store_finished(1, 1, row, dst + q * c_row, c_row, bias_j, accumulate, relu, n - j);
            }
        }
    }
}

#endif
