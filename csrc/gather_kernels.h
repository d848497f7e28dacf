/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels that read rows through an index (gather.h): padding, resampling, embeddings. Rules as in kernels.h. */
#ifndef PYDL_GATHER_KERNELS_H
#define PYDL_GATHER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_GATHER(X) X(copy) X(combine) X(order)

typedef struct pydl_gather {
    /* y[i·ldy + k] = x[index[i]·ldx + k], or *fill where index[i] < 0, for i < m, k < n; moves elements, computes none. fill is one
       element, read only where an index is negative. y overlaps nothing. run, NULL unless ldx = ldy = n: the run[i] >= 1 indices from
       i on rise by one, or are all negative, and are copied at once (past m it may go on) */
    void (*copy)(const void *x, ptrdiff_t ldx, const int64_t *index, const int64_t *run, ptrdiff_t m, ptrdiff_t n, const void *fill,
                 void *y, ptrdiff_t ldy);
    /* y[i·ldy + k] = Σ_t weight[t]·x[index[t]·ldx + k] over start[i] <= t < start[i + 1], for i < m, k < n; weight NULL: ones; an empty
       sum is 0. Added in the order of t, in blocks, so that the error of a long sum stays small. y overlaps nothing */
    void (*combine)(const void *x, ptrdiff_t ldx, const int64_t *start, const int64_t *index, const void *weight, ptrdiff_t m,
                    ptrdiff_t n, void *y, ptrdiff_t ldy);
    /* Counting sort, stable: the positions t < n with index[t] = v stand in order[start[v] .. start[v + 1]), rising; start[rows + 1].
       0 <= index[t] < rows */
    void (*order)(const int64_t *index, ptrdiff_t n, ptrdiff_t rows, int64_t *start, int64_t *order);
} pydl_gather;

#endif
