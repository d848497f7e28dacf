/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of pooling in one to three dimensions (pool.h). Rules as in kernels.h.
 *
 * An image is dense: input [D][H][W][C], output [P_d][P_h][P_w][C], missing dimensions of size 1. Memory in C order, (N, C, spatial),
 * is N·C images of one channel. Row r of an image: r = d·H + h. Element k of a window in a dimension is k = 0 ... kernel − 1, that of
 * the whole window is (k_d·kernel_h + k_h)·kernel_w + k_w; index holds it, 1, 2 or 4 bytes wide (values below 2⁸, 2¹⁵, 2³¹).
 */
#ifndef PYDL_POOL_KERNELS_H
#define PYDL_POOL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_POOL(X) X(max_fwd) X(max_bwd) X(max_scatter) X(max_take) X(max_places) X(max_whole) X(avg_fwd) X(avg_bwd) \
    X(avg_scatter) X(avg_whole) X(place_check) X(place_store) X(place_add) X(place_take)

/* The windows along one dimension: element k of window o is input element first[o] + k·dilation, which exists for lo[o] ≤ k < hi[o]. */
typedef struct pydl_windows {
    ptrdiff_t n_in, n_out, kernel, dilation;
    ptrdiff_t stride;            /* first[o + 1] − first[o], 0 if that varies */
    ptrdiff_t full_lo, full_hi;  /* windows full_lo ≤ o < full_hi have all `kernel` elements */
    ptrdiff_t even_lo, even_hi;  /* windows even_lo ≤ o < even_hi have the count `kernel` */
    const ptrdiff_t *first, *lo, *hi;
    const ptrdiff_t *count;      /* what an average divides by: elements of the window, padding included if wanted */
    const ptrdiff_t *out_lo, *out_hi; /* input element i lies between the ends of the windows out_lo[i] ≤ o < out_hi[i] */
} pydl_windows;

typedef struct pydl_pool_geometry {
    pydl_windows d, h, w;
    ptrdiff_t channels, index_bytes;
    const ptrdiff_t *offset; /* of element k from the window's first one, in pixels */
    double divisor;          /* of averages, 0: the product of the three counts */
} pydl_pool_geometry;

typedef struct pydl_pool {
    /* y[row] = max of the windows and (unless index is NULL) the first element that has it; NaN wins, of several the last.
       A window without elements gives −inf */
    void (*max_fwd)(const pydl_pool_geometry *g, const void *x, ptrdiff_t row, void *y, void *index);
    /* dx[row] = Σ dy of the windows whose index is this element, in the order of the windows */
    void (*max_bwd)(const pydl_pool_geometry *g, const void *dy, const void *index, ptrdiff_t row, void *dx);
    /* the same for a whole image of one channel */
    void (*max_scatter)(const pydl_pool_geometry *g, const void *dy, const void *index, void *dx);
    /* y[row] = x at the window's index; 0 where the window has no elements */
    void (*max_take)(const pydl_pool_geometry *g, const void *x, const void *index, ptrdiff_t row, void *y);
    /* places[row] = (d·H + h)·W + w of the window's index */
    void (*max_places)(const pydl_pool_geometry *g, const void *index, ptrdiff_t row, int64_t *places);
    /* max_fwd and avg_fwd of neighboring images of one channel whose only window is the whole image */
    void (*max_whole)(const pydl_pool_geometry *g, const void *x, ptrdiff_t n_planes, void *y, void *index);
    void (*avg_whole)(const pydl_pool_geometry *g, const void *x, ptrdiff_t n_planes, void *y);
    /* y[row] = Σ over the window / divisor, added row by row of the window */
    void (*avg_fwd)(const pydl_pool_geometry *g, const void *x, ptrdiff_t row, void *y);
    /* dx[row] = Σ dy / divisor of the windows that hold the element, in their order */
    void (*avg_bwd)(const pydl_pool_geometry *g, const void *dy, ptrdiff_t row, void *dx);
    /* the same for a whole image of one channel */
    void (*avg_scatter)(const pydl_pool_geometry *g, const void *dy, void *dx);

    /* n elements and their places in a plane: first i with places[i] outside of [0, size), or −1; to be asked before the others */
    ptrdiff_t (*place_check)(const int64_t *places, ptrdiff_t n, int64_t size);
    /* y[places[i]] = x[i], later ones win; y[places[i]] += x[i]; y[i] = x[places[i]] */
    void (*place_store)(const void *x, const int64_t *places, ptrdiff_t n, void *y);
    void (*place_add)(const void *x, const int64_t *places, ptrdiff_t n, void *y);
    void (*place_take)(const void *x, const int64_t *places, ptrdiff_t n, void *y);
} pydl_pool;

#endif
