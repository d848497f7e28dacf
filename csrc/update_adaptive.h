/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps that scale each element by a running size of its own gradients: the Adam family, RMSprop, Adagrad, Adadelta. Over n contiguous
 * elements, in place and in one pass; d as in update.h. */
#ifndef PYDL_UPDATE_ADAPTIVE_H
#define PYDL_UPDATE_ADAPTIVE_H

/* a + (1 - keep)(b - a), from the nearer end: exact at a == b, as PyTorch's lerp. */
INLINE vreal move_towards(vreal a, vreal b, double keep) {
    return keep > 0.5 ? vfma(vset((real)(1 - keep)), b - a, a) : vfma(vset((real)-keep), b - a, b);
}

/* keep a + (1 - keep) b b */
INLINE vreal mean_square(vreal a, vreal b, double keep) { return vfma(vset((real)(1 - keep)) * b, b, vset((real)keep) * a); }

/* The larger one; NaN if either is. */
INLINE vreal larger(vreal a, vreal b) { return vselect(a != a, a, vmax(a, b)); }

/* m = exp_avg moves by 1 - beta1 towards d, v = exp_avg_sq by 1 - beta2 towards d²; with amsgrad v = max(v, top) = top;
 * p = shrink p - rate m / (root_scale sqrt(v) + eps). */
INLINE void adam_loop(real *p, const real *g, real *m, real *v, real *top, const pydl_adam h, ptrdiff_t n, const int amsgrad) {
    const vreal shrink = vset((real)h.shrink), eps = vset((real)h.eps), scale = vset((real)h.root_scale), rate = vset((real)-h.rate);
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal m1 = move_towards(vload_upto(m + i, left), d, h.beta1);
        vreal v1 = mean_square(vload_upto(v + i, left), d, h.beta2);
        vstore_upto(m + i, m1, left);
        vstore_upto(v + i, v1, left);
        if (amsgrad) {
            v1 = larger(vload_upto(top + i, left), v1);
            vstore_upto(top + i, v1, left);
        }
        vstore_upto(p + i, vfma(p0, shrink, rate * m1 / vfma(vsqrt(v1), scale, eps)), left);
    }
}

static void adam(void *p, const void *g, void *m, void *v, void *top, const pydl_options *options, ptrdiff_t n) {
    if (top) adam_loop(p, g, m, v, top, options->adam, n, 1);
    else adam_loop(p, g, m, v, NULL, options->adam, n, 0);
}

/* As Adam, but p = shrink p - (grad_rate d + avg_rate m) / (sqrt(square_scale v) + eps). */
static void nadam(void *p_, const void *g_, void *m_, void *v_, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_nadam h = options->nadam;
    const real *g = g_;
    real *p = p_, *m = m_, *v = v_;
    const vreal shrink = vset((real)h.shrink), eps = vset((real)h.eps), scale = vset((real)h.square_scale);
    const vreal of_grad = vset((real)-h.grad_rate), of_avg = vset((real)-h.avg_rate);
    (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal m1 = move_towards(vload_upto(m + i, left), d, h.beta1);
        const vreal v1 = mean_square(vload_upto(v + i, left), d, h.beta2);
        vstore_upto(m + i, m1, left);
        vstore_upto(v + i, v1, left);
        vstore_upto(p + i, vfma(p0, shrink, vfma(of_grad, d, of_avg * m1) / (vsqrt(v1 * scale) + eps)), left);
    }
}

/* As Adam, but p = shrink p - rate m adapt / (sqrt(v) + eps), or without the quotient while adapt is 0. */
static void radam(void *p_, const void *g_, void *m_, void *v_, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_radam h = options->radam;
    const real *g = g_;
    real *p = p_, *m = m_, *v = v_;
    const vreal shrink = vset((real)h.shrink), eps = vset((real)h.eps), adapt = vset((real)h.adapt), rate = vset((real)-h.rate);
    (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal m1 = move_towards(vload_upto(m + i, left), d, h.beta1);
        const vreal v1 = mean_square(vload_upto(v + i, left), d, h.beta2);
        vreal change = rate * m1;
        vstore_upto(m + i, m1, left);
        vstore_upto(v + i, v1, left);
        if (h.adapt != 0) change = change * (adapt / (vsqrt(v1) + eps));
        vstore_upto(p + i, vfma(p0, shrink, change), left);
    }
}

/* m as in Adam, u = max(beta2 u, |d| + eps); p = p - rate m / u. */
static void adamax(void *p_, const void *g_, void *m_, void *u_, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_adamax h = options->adamax;
    const real *g = g_;
    real *p = p_, *m = m_, *u = u_;
    const vreal eps = vset((real)h.eps), keep = vset((real)h.beta2), rate = vset((real)-h.rate);
    (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal m1 = move_towards(vload_upto(m + i, left), d, h.beta1);
        const vreal u1 = larger(keep * vload_upto(u + i, left), vselect(d < 0, -d, d) + eps);
        vstore_upto(m + i, m1, left);
        vstore_upto(u + i, u1, left);
        vstore_upto(p + i, p0 + rate * m1 / u1, left);
    }
}

/* s moves by 1 - rho towards d², the change is c = d sqrt(a + eps) / sqrt(s + eps), a moves by 1 - rho towards c²; p = p - lr c. */
static void adadelta(void *p_, const void *g_, void *s_, void *a_, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_adadelta h = options->adadelta;
    const real *g = g_;
    real *p = p_, *s = s_, *a = a_;
    const vreal eps = vset((real)h.eps), lr = vset((real)-h.lr);
    (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal a0 = vload_upto(a + i, left), s1 = mean_square(vload_upto(s + i, left), d, h.rho);
        const vreal change = vsqrt(a0 + eps) / vsqrt(s1 + eps) * d;
        vstore_upto(s + i, s1, left);
        vstore_upto(a + i, mean_square(a0, change, h.rho), left);
        vstore_upto(p + i, vfma(lr, change, p0), left);
    }
}

/* s = s + d²; p = p - rate d / (sqrt(s) + eps). */
static void adagrad(void *p_, const void *g_, void *s_, void *s1, void *s2, const pydl_options *options, ptrdiff_t n) {
    const pydl_adagrad h = options->adagrad;
    const real *g = g_;
    real *p = p_, *s = s_;
    const vreal eps = vset((real)h.eps), rate = vset((real)-h.rate);
    (void)s1, (void)s2;
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        const vreal total = vfma(d, d, vload_upto(s + i, left));
        vstore_upto(s + i, total, left);
        vstore_upto(p + i, p0 + rate * d / (vsqrt(total) + eps), left);
    }
}

/* s moves by 1 - alpha towards d², centered: c by the same towards d and the root is that of s - c² (not below 0, where rounding would
 * take it); the step is d / (root + eps), with momentum buf = momentum buf + that; p = p - lr step. */
INLINE void rmsprop_loop(real *p, const real *g, real *s, real *buf, real *c, const pydl_rmsprop h, ptrdiff_t n, const int momentum,
                         const int centered) {
    const vreal eps = vset((real)h.eps), lr = vset((real)-h.lr), mu = vset((real)h.momentum);
    ALL_OF(n) {
        const vreal p0 = vload_upto(p + i, left), d = descent(p0, g + i, h.weight_decay, h.maximize, left);
        vreal size = mean_square(vload_upto(s + i, left), d, h.alpha);
        vstore_upto(s + i, size, left);
        if (centered) {
            const vreal c1 = move_towards(vload_upto(c + i, left), d, h.alpha);
            vstore_upto(c + i, c1, left);
            size = vmax(vset(0), vfma(-c1, c1, size));
        }
        size = vsqrt(size) + eps;
        if (momentum) {
            const vreal b = vfma(mu, vload_upto(buf + i, left), d / size);
            vstore_upto(buf + i, b, left);
            vstore_upto(p + i, vfma(lr, b, p0), left);
        } else {
            vstore_upto(p + i, p0 + lr * d / size, left);
        }
    }
}

static void rmsprop(void *p, const void *g, void *s, void *buf, void *c, const pydl_options *options, ptrdiff_t n) {
    const pydl_rmsprop h = options->rmsprop;
    if (buf && c) rmsprop_loop(p, g, s, buf, c, h, n, 1, 1);
    else if (buf) rmsprop_loop(p, g, s, buf, NULL, h, n, 1, 0);
    else if (c) rmsprop_loop(p, g, s, NULL, c, h, n, 0, 1);
    else rmsprop_loop(p, g, s, NULL, NULL, h, n, 0, 0);
}

#endif
