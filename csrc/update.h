/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of gradient descent over n contiguous elements, in place and in one pass: SGD, averaged SGD, Rprop. The others: update_adaptive.h.
 *
 * Every kernel copies its options: for all the compiler knows, what it writes might overlap them. Where PyTorch adds a product this is
 * one rounding less (vfma); otherwise the order of operations is PyTorch's. */
#ifndef PYDL_UPDATE_H
#define PYDL_UPDATE_H

#define ALL_OF(n) for (ptrdiff_t i = 0, left = (n); left > 0; i += LANES, left -= LANES)

/* +-g + weight_decay p; without decay p is not looked at (0 * inf would be NaN). */
INLINE vreal descent(vreal p, const real *g, double weight_decay, int maximize, ptrdiff_t left) {
    const vreal d = vset(maximize ? -1 : 1) * vload_upto(g, left);
    return weight_decay != 0 ? vfma(vset((real)weight_decay), p, d) : d;
}

/* With momentum buf = momentum buf + (1 - dampening) d (buf = d in the first step) and d = buf, or with nesterov
 * d = d + momentum buf; p = p - lr d. Each flag is a constant in its own copy of the loop. */
INLINE void sgd_loop(real *p, const real *g, real *buf, const pydl_sgd h, ptrdiff_t n, const int momentum, const int first,
                     const int nesterov) {
    const vreal lr = vset((real)-h.lr), mu = vset((real)h.momentum), keep = vset((real)(1 - h.dampening));
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left);
        vreal d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        if (momentum) {
            const vreal b = first ? d : vfma(mu, vload_upto(buf + i, left), keep * d);
            vstore_upto(buf + i, b, left);
            d = nesterov ? vfma(mu, b, d) : b;
        }
        vstore_upto(p + i, vfma(lr, d, p0), left);
    }
}

static void sgd(void *p, const void *g, void *buf, void *s1, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_sgd h = options->sgd;
    (void)s1, (void)s2;
    if (!buf) sgd_loop(p, g, NULL, h, n, 0, 0, 0);
    else if (h.first && h.nesterov) sgd_loop(p, g, buf, h, n, 1, 1, 1);
    else if (h.first) sgd_loop(p, g, buf, h, n, 1, 1, 0);
    else if (h.nesterov) sgd_loop(p, g, buf, h, n, 1, 0, 1);
    else sgd_loop(p, g, buf, h, n, 1, 0, 0);
}

/* p = shrink p - rate d; the average ax moves by mu towards p. */
static void asgd(void *p_, const void *g_, void *ax_, void *s1, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_asgd h = options->asgd;
    const real *g = g_;
    real *p = p_, *ax = ax_;
    const vreal shrink = vset((real)h.shrink), rate = vset((real)-h.rate), mu = vset((real)h.mu);
    (void)s1, (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal p1 = vfma(rate, d, p0 * shrink);
        vstore_upto(p + i, p1, left);
        if (h.mu == 1) {
            vstore_upto(ax + i, p1, left);
        } else {
            const vreal a = vload_upto(ax + i, left);
            vstore_upto(ax + i, vfma(mu, p1 - a, a), left);
        }
    }
}

INLINE vreal sign_of(vreal x) { return vselect(x > 0, vset(1), vselect(x < 0, vset(-1), vset(0))); }

/* The step of an element grows by eta_plus while the sign of its gradient stays, shrinks by eta_minus when it changes (and then the
 * gradient counts as 0); p moves by the step against the sign. */
static void rprop(void *p_, const void *g_, void *prev_, void *step_, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_rprop h = options->rprop;
    const real *g = g_;
    real *p = p_, *prev = prev_, *step = step_;
    const vreal minus = vset((real)h.eta_minus), plus = vset((real)h.eta_plus), zero = vset(0);
    const vreal low = vset((real)h.step_min), high = vset((real)h.step_max);
    (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d0 = descent(p0, g + i, 0, h.maximize, left);
        const vreal turn = d0 * vload_upto(prev + i, left);
        const vreal d = vselect(turn < 0, zero, d0);
        vreal size = vload_upto(step + i, left) * vselect(turn > 0, plus, vselect(turn < 0, minus, vset(1)));
        size = vselect(size < low, low, size);
        size = vselect(size > high, high, size);
        vstore_upto(step + i, size, left);
        vstore_upto(prev + i, d, left);
        vstore_upto(p + i, vfma(-sign_of(d), size, p0), left);
    }
}

#endif
