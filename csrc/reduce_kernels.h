/* SPDX-License-Identifier: BSD-3-Clause */
/* Reductions (reduce.h) of rows × n or n × cols elements, rows ldx apart; outputs contiguous, never aliasing x. Rules as in kernels.h. */
#ifndef PYDL_REDUCE_KERNELS_H
#define PYDL_REDUCE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_REDUCE(X) X(sum_rows) X(sum_cols) X(max_rows) X(min_rows) X(max_cols) X(min_cols)

typedef void pydl_extreme_fn(const void *x, ptrdiff_t ldx, ptrdiff_t a, ptrdiff_t b, void *values, int64_t *indices);

typedef struct pydl_reduce {
    /* y[r] = Σ_i x[r][i]; y[j] = Σ_i x[i][j]; the order of additions depends on n alone, the error grows with log n */
    void (*sum_rows)(const void *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, void *y);
    void (*sum_cols)(const void *x, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t cols, void *y);
    /* (x, ldx, rows, n, …) and (x, ldx, n, cols, …), n ≥ 1: values and (unless NULL) first indices; NaN wins */
    pydl_extreme_fn *max_rows, *min_rows, *max_cols, *min_cols;
} pydl_reduce;

#endif
