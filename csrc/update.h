/* SPDX-License-Identifier: BSD-3-Clause */
/* Optimizer steps over n contiguous elements, in place and in one pass. p, g and buf never overlap. */
#ifndef PYDL_UPDATE_H
#define PYDL_UPDATE_H

/* d = +-g + weight_decay p; with momentum buf = momentum buf + (1 - dampening) d (buf = d in the first step) and d = buf, or with
 * nesterov d = d + momentum buf; p = p - lr d. Each flag is a constant in its own copy of the loop. */
INLINE void sgd_loop(real *p, const real *g, real *buf, const pydl_sgd *h, ptrdiff_t n, const int momentum, const int first,
                     const int nesterov) {
    const vreal lr = vset((real)-h->lr), decay = vset((real)h->weight_decay), mu = vset((real)h->momentum);
    const int decays = h->weight_decay != 0; /* 0 * inf would be NaN */
    const vreal keep = vset((real)(1 - h->dampening)), sign = vset(h->maximize ? -1 : 1);
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t left = n - i;
        const vreal p0 = vload_upto(p + i, left);
        vreal d = sign * vload_upto(g + i, left);
        if (decays) d = vfma(decay, p0, d);
        if (momentum) {
            const vreal b = first ? d : vfma(mu, vload_upto(buf + i, left), keep * d);
            vstore_upto(buf + i, b, left);
            d = nesterov ? vfma(mu, b, d) : b;
        }
        vstore_upto(p + i, vfma(lr, d, p0), left);
    }
}

static void sgd(void *p, const void *g, void *buf, const pydl_sgd *h, ptrdiff_t n) {
    if (!buf) sgd_loop(p, g, NULL, h, n, 0, 0, 0);
    else if (h->first && h->nesterov) sgd_loop(p, g, buf, h, n, 1, 1, 1);
    else if (h->first) sgd_loop(p, g, buf, h, n, 1, 1, 0);
    else if (h->nesterov) sgd_loop(p, g, buf, h, n, 1, 0, 1);
    else sgd_loop(p, g, buf, h, n, 1, 0, 0);
}

#endif
