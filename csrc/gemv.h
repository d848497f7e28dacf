/* SPDX-License-Identifier: BSD-3-Clause */
/* Matrix times vector, bound by the matrix's memory traffic. Both forms give an element the same bits whatever n is cut into.
 *
 * gemv_dot: rows of W contiguous. Four rows share the loads of x; each row has DOT_CHAINS vector accumulators, folded in a fixed
 *   order that depends on k only; after every DOT_BLOCK elements they are added to a total, so that no chain grows long.
 * gemv_sum: rows of B contiguous, y as a running sum over SUM_ROWS rows at a time; chunks of at most SUM_BLOCK rows start from 0.
 */
#ifndef PYDL_GEMV_H
#define PYDL_GEMV_H

#include "brgemm.h"

enum { DOT_CHAINS = 2, DOT_ROWS = 4, DOT_BLOCK = 4096, SUM_ROWS = 4, SUM_BLOCK = 128, SUM_COLUMNS = 1024 };

INLINE real sum_lanes(vreal v) {
    real t[LANE_COUNT];
    vstore(t, v);
#pragma GCC unroll 4
    for (int half = LANE_COUNT / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++) t[i] += t[i + half];
    return t[0];
}

/* out[r] = W[r]·x for `rows` (a constant) rows. */
INLINE void dot_rows(const int rows, ptrdiff_t k, const real *w, ptrdiff_t w_row, const real *x, real *out) {
    vreal total[DOT_ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) total[r] = (vreal){0};
    for (ptrdiff_t start = 0; start < k; start += DOT_BLOCK) {
        const ptrdiff_t end = k - start < DOT_BLOCK ? k : start + DOT_BLOCK;
        ptrdiff_t i = start;
        vreal acc[DOT_ROWS][DOT_CHAINS];
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = (vreal){0};
        for (; i + DOT_CHAINS * LANES <= end; i += DOT_CHAINS * LANES) {
            const vreal x0 = vload(x + i), x1 = vload(x + i + LANES);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) {
                acc[r][0] = vfma(vload(w + r * w_row + i), x0, acc[r][0]);
                acc[r][1] = vfma(vload(w + r * w_row + i + LANES), x1, acc[r][1]);
            }
        }
        for (; i < end; i += LANES) {
            const vreal xi = vload_upto(x + i, end - i);
#pragma GCC unroll 4
            for (int r = 0; r < rows; r++) acc[r][0] = vfma(vload_upto(w + r * w_row + i, end - i), xi, acc[r][0]);
        }
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) total[r] = total[r] + (acc[r][0] + acc[r][1]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) out[r] = sum_lanes(total[r]);
}

INLINE void finish_scalar(real v, real *y, const real *bias, int flags) {
    if (flags & PYDL_GEMM_ACCUMULATE) v = *y + v;
    if (bias) v = v + *bias;
    *y = (flags & PYDL_GEMM_RELU) && v < 0 ? (real)0 : v;
}

static void gemv_dot(ptrdiff_t n, ptrdiff_t k, const void *w, ptrdiff_t w_row, const void *x, void *y, ptrdiff_t sy, const void *bias,
                     ptrdiff_t sb, int flags) {
    const real *row = w, *bias_i = bias;
    real *out = y;
    for (ptrdiff_t i = 0; i < n;) {
        real sums[DOT_ROWS];
        const ptrdiff_t rows = n - i >= DOT_ROWS ? DOT_ROWS : 1;
        if (rows == DOT_ROWS) dot_rows(DOT_ROWS, k, row, w_row, x, sums);
        else dot_rows(1, k, row, w_row, x, sums);
        for (ptrdiff_t r = 0; r < rows; r++) finish_scalar(sums[r], out + (i + r) * sy, bias ? bias_i + (i + r) * sb : NULL, flags);
        row += rows * w_row, i += rows;
    }
}

/* sums[j] += Σ_{p < rows} x[p]·B[p][j], j < n, products in order of p. */
INLINE void sum_rows(const int rows, ptrdiff_t n, const real *x, ptrdiff_t sx, const real *b, ptrdiff_t b_row, real *sums) {
    vreal scale[SUM_ROWS];
#pragma GCC unroll 4
    for (int p = 0; p < rows; p++) scale[p] = vset(x[p * sx]);
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vreal v = vload(sums + j);
#pragma GCC unroll 4
        for (int p = 0; p < rows; p++) v = vfma(scale[p], vload(b + p * b_row + j), v);
        vstore(sums + j, v);
    }
    if (j < n) {
        vreal v = vload_n(sums + j, n - j);
#pragma GCC unroll 4
        for (int p = 0; p < rows; p++) v = vfma(scale[p], vload_n(b + p * b_row + j, n - j), v);
        store_tail(sums + j, v, n - j);
    }
}

static void sum_column_block(ptrdiff_t n, ptrdiff_t k, const real *x, ptrdiff_t sx, const real *b, ptrdiff_t b_row, real *y,
                             ptrdiff_t sy, const real *bias, ptrdiff_t sb, int flags) {
    real sums[SUM_COLUMNS];
    const ptrdiff_t n_chunks = k > SUM_BLOCK ? (k + SUM_BLOCK - 1) / SUM_BLOCK : 1;
    for (ptrdiff_t chunk = 0; chunk < n_chunks; chunk++) {
        const ptrdiff_t rows = k - chunk * SUM_BLOCK < SUM_BLOCK ? k - chunk * SUM_BLOCK : SUM_BLOCK;
        const int last = chunk == n_chunks - 1;
        const int f = (chunk ? PYDL_GEMM_ACCUMULATE : flags & PYDL_GEMM_ACCUMULATE) | (last ? flags & PYDL_GEMM_RELU : 0);
        ptrdiff_t p = 0;
        memset(sums, 0, (size_t)n * sizeof(real));
        for (; p + SUM_ROWS <= rows; p += SUM_ROWS) sum_rows(SUM_ROWS, n, x + p * sx, sx, b + p * b_row, b_row, sums);
        for (; p < rows; p++) sum_rows(1, n, x + p * sx, sx, b + p * b_row, b_row, sums);
        for (ptrdiff_t j = 0; j < n; j++) finish_scalar(sums[j], y + j * sy, bias && last ? bias + j * sb : NULL, f);
        x += rows * sx, b += rows * b_row;
    }
}

static void gemv_sum(ptrdiff_t n, ptrdiff_t k, const void *x, ptrdiff_t sx, const void *b, ptrdiff_t b_row, void *y, ptrdiff_t sy,
                     const void *bias, ptrdiff_t sb, int flags) {
    for (ptrdiff_t j = 0; j < n; j += SUM_COLUMNS)
        sum_column_block(n - j < SUM_COLUMNS ? n - j : SUM_COLUMNS, k, x, sx, (const real *)b + j, b_row, (real *)y + j * sy, sy,
                         bias ? (const real *)bias + j * sb : NULL, sb, flags);
}

#endif
