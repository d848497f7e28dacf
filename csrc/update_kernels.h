/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the optimizers (update.h): one step in place over n contiguous elements; nothing overlaps. Rules as in kernels.h. */
#ifndef PYDL_UPDATE_KERNELS_H
#define PYDL_UPDATE_KERNELS_H

#include <stddef.h>

#define PYDL_UPDATE(X) X(sgd)

typedef struct pydl_sgd {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize, first; /* first: the momentum buffer is not yet filled */
} pydl_sgd;

typedef struct pydl_update {
    /* buf NULL without momentum */
    void (*sgd)(void *p, const void *g, void *buf, const pydl_sgd *h, ptrdiff_t n);
} pydl_update;

#endif
