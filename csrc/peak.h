/* SPDX-License-Identifier: BSD-3-Clause */
/* The FMA roof: n rounds over 12 independent accumulators, enough to cover latency 4-5 at two FMAs a cycle; nothing is loaded.
 * out takes LANES elements so that the work cannot be removed. Returns the FLOPs done. */
#ifndef PYDL_PEAK_H
#define PYDL_PEAK_H

enum { FMA_CHAINS = 12 };

static double fma_chains(ptrdiff_t n, void *out) {
    vreal acc[FMA_CHAINS];
    const vreal scale = vset((real)0.999), shift = vset((real)0.001);
#pragma GCC unroll 16
    for (int i = 0; i < FMA_CHAINS; i++) acc[i] = vset((real)i);
    for (ptrdiff_t k = 0; k < n; k++) {
#pragma GCC unroll 16
        for (int i = 0; i < FMA_CHAINS; i++) acc[i] = vfma(acc[i], scale, shift);
    }
    vreal sum = acc[0];
    for (int i = 1; i < FMA_CHAINS; i++) sum += acc[i];
    vstore((real *)out, sum);
    return 2.0 * FMA_CHAINS * (double)LANES * (double)n;
}

#endif
