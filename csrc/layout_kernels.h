/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels that move elements without computing (layout.h). Rules as in kernels.h. */
#ifndef PYDL_LAYOUT_KERNELS_H
#define PYDL_LAYOUT_KERNELS_H

#include <stddef.h>

#define PYDL_LAYOUT(X) X(transpose)

typedef struct pydl_layout {
    /* y[j·ldy + i] = x[i·ldx + j], i < m, j < n; x and y do not overlap */
    void (*transpose)(ptrdiff_t m, ptrdiff_t n, const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy);
} pydl_layout;

#endif
