/* SPDX-License-Identifier: BSD-3-Clause */
/* One or two rows times packed panels: what a step of one or two sequences consists of. Contract: recurrent_kernels.h.
 *
 * A register tile as wide as a panel has too few chains of FMAs for so few rows: it waits for their latency. Here several panels are
 * read side by side. Sums are in the order of gemm_block's, so that an element has the same bits as there.
 */
#ifndef PYDL_RECURRENT_THIN_H
#define PYDL_RECURRENT_THIN_H

#include "brgemm.h"

#if defined(PYDL_ISA_AVX512)
enum { THIN_1 = 4, THIN_2 = 4 }; /* panels side by side for one row and for two */
#elif defined(PYDL_ISA_AVX2) || defined(__aarch64__)
enum { THIN_1 = 4, THIN_2 = 2 };
#else
enum { THIN_1 = 3, THIN_2 = 1 };
#endif

/* m and panels are constants. Columns of the last panel may be missing in C and bias. */
INLINE void thin_tile(const int m, const int panels, ptrdiff_t n, ptrdiff_t k, const real *a, ptrdiff_t a_row, const real *b,
                      ptrdiff_t b_panel, real *c, ptrdiff_t c_row, const real *bias, int flags) {
    vreal acc[2][THIN_1 * NV];
    real total[2][THIN_1 * NV][LANE_COUNT];
    const ptrdiff_t segments = (k + CHAIN - 1) / CHAIN, longest = segments > 1 ? (k + segments - 1) / segments : k;
    int folded = 0;
#define EACH_SUM _Pragma("GCC unroll 2") for (int i = 0; i < m; i++) _Pragma("GCC unroll 16") for (int v = 0; v < panels * NV; v++)
    EACH_SUM acc[i][v] = (vreal){0};
    for (ptrdiff_t left = k; left > 0;) {
        const ptrdiff_t steps = left < longest ? left : longest;
        if (left < k) {
            EACH_SUM vstore(total[i][v], folded ? vload(total[i][v]) + acc[i][v] : acc[i][v]);
            EACH_SUM acc[i][v] = (vreal){0};
            folded = 1;
        }
        left -= steps;
        for (ptrdiff_t p = 0; p < steps; p++, a++, b += NR) {
            const vreal x0 = vset(a[0]), x1 = vset(m > 1 ? a[a_row] : (real)0);
#pragma GCC unroll 4
            for (int j = 0; j < panels; j++)
#pragma GCC unroll 4
                for (int v = 0; v < NV; v++) {
                    const vreal column = vload(b + j * b_panel + v * LANES);
                    acc[0][j * NV + v] = vfma(x0, column, acc[0][j * NV + v]);
                    if (m > 1) acc[1][j * NV + v] = vfma(x1, column, acc[1][j * NV + v]);
                }
        }
    }
    if (folded) EACH_SUM acc[i][v] = vload(total[i][v]) + acc[i][v];
    EACH_SUM vstore(total[i][v], acc[i][v]);
#undef EACH_SUM
    for (int i = 0; i < m; i++)
        for (ptrdiff_t v = 0; v * LANES < n; v++) {
            real *to = c + i * c_row + v * LANES;
            const ptrdiff_t width = n - v * LANES;
            vreal sum = vload(total[i][v]);
            if (flags & PYDL_GEMM_ACCUMULATE) sum = vload_upto(to, width) + sum;
            if (bias) sum = sum + vload_upto(bias + v * LANES, width);
            vstore_upto(to, sum, width);
        }
}

#define THIN_ARGS n, k, a, a_row, b, b_panel, c, c_row, bias, flags
static void thin(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a_, ptrdiff_t a_row, const void *b_, ptrdiff_t b_panel, void *c_,
                 ptrdiff_t c_row, const void *bias_, int flags) {
    const real *a = a_, *b = b_, *bias = bias_;
    const ptrdiff_t columns = n;
    real *c = c_;
    for (ptrdiff_t done = 0; done < columns;) {
        const ptrdiff_t some = (m > 1 ? THIN_2 : THIN_1) * NR, step = columns - done > some - NR ? some : NR;
        n = columns - done < step ? columns - done : step;
        if (m > 1 && step > NR) thin_tile(2, THIN_2, THIN_ARGS);
        else if (m > 1) thin_tile(2, 1, THIN_ARGS);
        else if (step > NR) thin_tile(1, THIN_1, THIN_ARGS);
        else thin_tile(1, 1, THIN_ARGS);
        done += step, b += step / NR * b_panel, c += step;
        if (bias) bias += step;
    }
}

#endif
