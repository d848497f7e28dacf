/* SPDX-License-Identifier: BSD-3-Clause */
/* Softmax and cross-entropy (softmax.h) over rows of n ≥ 1 contiguous elements; y may be exactly x, dx exactly dy, y or e.
 * Rules as in kernels.h. */
#ifndef PYDL_SOFTMAX_KERNELS_H
#define PYDL_SOFTMAX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_SOFTMAX(X) \
    X(rows) X(log_rows) X(rows_bwd) X(log_rows_bwd) X(target_check) X(cross_entropy) X(cross_entropy_bwd)

typedef struct pydl_softmax {
    void (*rows)(const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n);
    void (*log_rows)(const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n);
    void (*rows_bwd)(const void *dy, ptrdiff_t lddy, const void *y, ptrdiff_t ldy, void *dx, ptrdiff_t lddx, ptrdiff_t rows, ptrdiff_t n);
    void (*log_rows_bwd)(const void *dy, ptrdiff_t lddy, const void *y, ptrdiff_t ldy, void *dx, ptrdiff_t lddx, ptrdiff_t rows,
                         ptrdiff_t n);
    /* first r < rows whose target[r·st] is neither `ignore` nor in [0, classes), else -1; to be asked before the next two */
    ptrdiff_t (*target_check)(const int64_t *target, ptrdiff_t st, ptrdiff_t rows, int64_t classes, int64_t ignore);
    /* loss[rows]; row_weight[rows]: weight[target], 1 if weight is NULL, 0 where ignored; for the backward pass (each may be NULL)
       e[r·lde + c] = exp(x − max of the row) and its sum[rows]. weight[n] or NULL; 0 ≤ smoothing ≤ 1 */
    void (*cross_entropy)(const void *x, ptrdiff_t ldx, const int64_t *target, ptrdiff_t st, ptrdiff_t rows, ptrdiff_t n,
                          const void *weight, int64_t ignore, double smoothing, void *loss, void *row_weight, void *e, ptrdiff_t lde,
                          void *sum);
    /* dx = ∂loss[r]/∂x · g[r·sg]; rows ignored become 0 */
    void (*cross_entropy_bwd)(const void *e, ptrdiff_t lde, const void *sum, const int64_t *target, ptrdiff_t st, ptrdiff_t rows,
                              ptrdiff_t n, const void *weight, int64_t ignore, double smoothing, const void *g, ptrdiff_t sg, void *dx,
                              ptrdiff_t lddx);
} pydl_softmax;

#endif
