/* SPDX-License-Identifier: BSD-3-Clause */
/* Elements moved, none computed: NaN payloads, Inf and -0 stay as they are. */
#ifndef PYDL_LAYOUT_H
#define PYDL_LAYOUT_H

#include "transpose.h"

/* One block of up to LANES x LANES elements; rows and columns say how much of it exists. */
INLINE void transpose_block(ptrdiff_t rows, ptrdiff_t columns, const real *x, ptrdiff_t ldx, real *y, ptrdiff_t ldy) {
    vreal r[LANE_COUNT];
#pragma GCC unroll 16
    for (int i = 0; i < LANE_COUNT; i++) r[i] = i < rows ? load_clipped(x + i * ldx, columns) : (vreal){0};
    transpose(r);
#pragma GCC unroll 16
    for (int j = 0; j < LANE_COUNT; j++)
        if (j < columns) vstore_upto(y + j * ldy, r[j], rows);
}

/* Rows of y are written in order and a line of it at a time; bands of x that stay in the cache while they are read. */
static void transpose_matrix(ptrdiff_t m, ptrdiff_t n, const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy) {
    const real *src = x;
    real *dst = y;
    if (m < 4) { /* few channels: a row of y is shorter than a vector */
        for (ptrdiff_t j = 0; j < n; j++)
            for (ptrdiff_t i = 0; i < m; i++) dst[j * ldy + i] = src[i * ldx + j];
        return;
    }
    if (n < 4) {
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) dst[j * ldy + i] = src[i * ldx + j];
        return;
    }
    for (ptrdiff_t j = 0; j < n; j += LANE_COUNT)
        for (ptrdiff_t i = 0; i < m; i += LANE_COUNT)
            transpose_block(m - i, n - j, src + i * ldx + j, ldx, dst + j * ldy + i, ldy);
}

#endif
