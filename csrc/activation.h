/* SPDX-License-Identifier: BSD-3-Clause */
/* Activations: y = f(x; p) and dx = dy f'(x; p), elementwise over any strides, with the paths and aliasing of eltwise.h.
 *
 *   leaky_relu   x or p0 x below 0                       hardtanh     min(max(x, p0), p1)
 *   threshold    x above p0, else p1                     hardsigmoid  min(max(x + 3, 0), 6) / 6;  hardswish: times x
 *   hardshrink   0 in [-p0, p0], else x                  softshrink   the same, moved by p0 towards 0
 *   elu          p1 x above 0, p0 p1 (e^(p2 x) - 1)      softplus     x where p0 x > p1, else log(1 + e^(p0 x)) / p0
 *   gelu         x Phi(x), Phi = erfc(-x / sqrt 2) / 2   gelu_tanh    x sigmoid(2 k (x + 0.044715 x^3)), k = sqrt(2 / pi)
 *   silu         x sigmoid(x)                            mish         x tanh(softplus(x))
 *   logsigmoid   -softplus(-x)                           softsign     x / (1 + |x|);  tanhshrink: x - tanh x
 *   erf, erfc, expm1, log1p                              as in vmath.h
 *
 * Every form is chosen so that the left tails keep their relative accuracy: errors are a few ULP (those of sigmoid(z) grow with |z|).
 * As PyTorch: NaN gives NaN, and passes dy through the derivatives of the piecewise linear ones (hardsigmoid: 0); at a kink the
 * derivative is the one that is 0, of elu the left one; gelu, silu, mish, hardswish of -inf, softsign of +-inf are NaN.
 */
#ifndef PYDL_ACTIVATION_H
#define PYDL_ACTIVATION_H

typedef vreal activation_op(vreal x, const vreal *p);
typedef vreal activation_bwd_op(vreal dy, vreal x, const vreal *p);
typedef vreal ternary_op(vreal a, vreal b, vreal c);

/* --- loops --------------------------------------------------------------------------------------------------------------- */

INLINE void activation_any(activation_op *f, const real *x, ptrdiff_t sx, real *y, ptrdiff_t sy, ptrdiff_t n, const double *p_) {
    const vreal p[PYDL_ACTIVATION_PARAMETERS] = {vset((real)p_[0]), vset((real)p_[1]), vset((real)p_[2])};
    real in[CHUNK], out[CHUNK];
    const ptrdiff_t piece = sx == 1 && sy == 1 ? n : CHUNK;
    for (ptrdiff_t i = 0; i < n; i += piece) {
        const ptrdiff_t m = n - i < piece ? n - i : piece;
        const real *px = contiguous(x, sx, i, m, in);
        real *target = sy == 1 ? y + i : out;
        ptrdiff_t k = 0;
        for (; k + LANES <= m; k += LANES) vstore(target + k, f(vload(px + k), p));
        if (k < m) vstore_n(target + k, f(vload_n(px + k, m - k), p), m - k);
        if (sy != 1) scatter(out, y, sy, i, m);
    }
}

INLINE void activation_bwd_any(activation_bwd_op *f, const real *dy, ptrdiff_t sdy, const real *x, ptrdiff_t sx, real *dx, ptrdiff_t sdx,
                               ptrdiff_t n, const double *p_) {
    const vreal p[PYDL_ACTIVATION_PARAMETERS] = {vset((real)p_[0]), vset((real)p_[1]), vset((real)p_[2])};
    real in_dy[CHUNK], in_x[CHUNK], out[CHUNK];
    const ptrdiff_t piece = sdy == 1 && sx == 1 && sdx == 1 ? n : CHUNK;
    for (ptrdiff_t i = 0; i < n; i += piece) {
        const ptrdiff_t m = n - i < piece ? n - i : piece;
        const real *pd = contiguous(dy, sdy, i, m, in_dy), *px = contiguous(x, sx, i, m, in_x);
        real *target = sdx == 1 ? dx + i : out;
        ptrdiff_t k = 0;
        for (; k + LANES <= m; k += LANES) vstore(target + k, f(vload(pd + k), vload(px + k), p));
        if (k < m) vstore_n(target + k, f(vload_n(pd + k, m - k), vload_n(px + k, m - k), p), m - k);
        if (sdx != 1) scatter(out, dx, sdx, i, m);
    }
}

INLINE void ternary_any(ternary_op *f, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, const real *c, ptrdiff_t sc, real *y,
                        ptrdiff_t sy, ptrdiff_t n) {
    real in_a[CHUNK], in_b[CHUNK], in_c[CHUNK], out[CHUNK];
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        const real *pa = contiguous(a, sa, i, m, in_a), *pb = contiguous(b, sb, i, m, in_b), *pc = contiguous(c, sc, i, m, in_c);
        real *target = sy == 1 ? y + i : out;
        for (ptrdiff_t k = 0; k < m; k += LANES) {
            const ptrdiff_t left = m - k;
            vstore_upto(target + k, f(vload_upto(pa + k, left), vload_upto(pb + k, left), vload_upto(pc + k, left)), left);
        }
        if (sy != 1) scatter(out, y, sy, i, m);
    }
}

/* --- piecewise linear ---------------------------------------------------------------------------------------------------- */

INLINE vreal clip(vreal x, vreal low, vreal high) { return vmin(high, vmax(low, x)); }
INLINE vreal hat(vreal x) { return clip(x + 3, vset(0), vset(6)); } /* 6 hardsigmoid(x) */

INLINE vreal f_leaky_relu(vreal x, const vreal *p) { return vselect(x > 0, x, x * p[0]); }
INLINE vreal f_leaky_relu_bwd(vreal dy, vreal x, const vreal *p) { return vselect(x > 0, dy, dy * p[0]); }
INLINE vreal f_hardtanh(vreal x, const vreal *p) { return clip(x, p[0], p[1]); }
INLINE vreal f_hardtanh_bwd(vreal dy, vreal x, const vreal *p) { return vselect((x <= p[0]) | (x >= p[1]), vset(0), dy); }
INLINE vreal f_threshold(vreal x, const vreal *p) { return vselect(x <= p[0], p[1], x); }
INLINE vreal f_threshold_bwd(vreal dy, vreal x, const vreal *p) { return vselect(x <= p[0], vset(0), dy); }
INLINE vreal f_hardshrink(vreal x, const vreal *p) { return vselect((x >= -p[0]) & (x <= p[0]), vset(0), x); }
INLINE vreal f_hardshrink_bwd(vreal dy, vreal x, const vreal *p) { return vselect((x >= -p[0]) & (x <= p[0]), vset(0), dy); }
INLINE vreal f_softshrink(vreal x, const vreal *p) {
    return vselect((x >= -p[0]) & (x <= p[0]), vset(0), vselect(x > 0, x - p[0], x + p[0]));
}
INLINE vreal f_softshrink_bwd(vreal dy, vreal x, const vreal *p) { return f_hardshrink_bwd(dy, x, p); }
INLINE vreal f_hardsigmoid(vreal x, const vreal *p) { return (void)p, hat(x) / 6; }
INLINE vreal f_hardsigmoid_bwd(vreal dy, vreal x, const vreal *p) {
    return (void)p, vselect((x > -3) & (x < 3), dy * ((real)1 / 6), vset(0));
}
INLINE vreal f_hardswish(vreal x, const vreal *p) { return (void)p, x * hat(x) / 6; }
INLINE vreal f_hardswish_bwd(vreal dy, vreal x, const vreal *p) {
    return (void)p, vselect(x <= -3, vset(0), vselect(x >= 3, dy, dy * (x / 3 + (real)0.5)));
}

/* --- exponentials -------------------------------------------------------------------------------------------------------- */

INLINE vreal f_elu(vreal x, const vreal *p) { return vselect(x > 0, x * p[1], vexpm1(x * p[2]) * (p[0] * p[1])); }
INLINE vreal f_elu_bwd(vreal dy, vreal x, const vreal *p) {
    return dy * vselect(x > 0, p[1], vexp(x * p[2]) * (p[0] * p[1] * p[2]));
}

/* log(1 + e^z) without overflow. */
INLINE vreal softplus(vreal z) { return vmax(vset(0), z) + vlog1p(vexp(-vabs(z))); }

INLINE vreal f_softplus(vreal x, const vreal *p) {
    const vreal z = x * p[0];
    return vselect(z > p[1], x, softplus(z) / p[0]);
}
INLINE vreal f_softplus_bwd(vreal dy, vreal x, const vreal *p) {
    const vreal z = x * p[0];
    return vselect(z > p[1], dy, dy * vsigmoid(z));
}
INLINE vreal f_logsigmoid(vreal x, const vreal *p) { return (void)p, -softplus(-x); }
INLINE vreal f_logsigmoid_bwd(vreal dy, vreal x, const vreal *p) { return (void)p, dy * vsigmoid(-x); }

/* sigmoid(z), and sigmoid(-z) = 1 - sigmoid(z) without cancellation. */
INLINE vreal two_sigmoids(vreal z, vreal *other) {
    const vreal e = vexp(-vabs(z)), large = 1 / (1 + e), small = e * large;
    *other = vselect(z < 0, large, small);
    return vselect(z < 0, small, large);
}

INLINE vreal f_silu(vreal x, const vreal *p) { return (void)p, x * vsigmoid(x); }
INLINE vreal f_silu_bwd(vreal dy, vreal x, const vreal *p) {
    vreal other;
    const vreal s = two_sigmoids(x, &other);
    return (void)p, dy * (s * vfma(x, other, vset(1)));
}

/* With w = e^-|x|: tanh(softplus(x)) = top / (top + rest), and its derivative 4 w' (1 + w) / (top + rest)^2, where for x < 0
 * top = w (w + 2), rest = 2, w' = w, and for x >= 0 top = 1 + 2 w, rest = 2 w^2, w' = w^2. */
INLINE vreal mish_gate(vreal x, vreal *slope) {
    const vreal w = vexp(-vabs(x)), square = w * w;
    const vint left = x < 0;
    const vreal top = vselect(left, w * (w + 2), vfma(w, vset(2), vset(1)));
    const vreal inverse = 1 / (top + vselect(left, vset(2), square * 2));
    *slope = 4 * vselect(left, w, square) * (1 + w) * (inverse * inverse);
    return top * inverse;
}
INLINE vreal f_mish(vreal x, const vreal *p) {
    vreal slope;
    return (void)p, x * mish_gate(x, &slope);
}
INLINE vreal f_mish_bwd(vreal dy, vreal x, const vreal *p) {
    vreal slope;
    const vreal gate = mish_gate(x, &slope);
    return (void)p, dy * vfma(x, slope, gate);
}

/* --- the normal distribution --------------------------------------------------------------------------------------------- */

/* x^2 - square for the rounded square. */
INLINE vreal square_error(vreal x, vreal square) { return VFMA_FUSED ? vfma(x, x, -square) : product_error(x, x, square); }

/* Phi(x) = erfc(-x / sqrt 2) / 2 with the argument's factor drawn into the constants, and *density = e^(-x^2/2). The square's
 * rounding error counts where the tail is steep. */
INLINE vreal normal_cdf(vreal x, vreal *density) {
    const vreal t = vmin(vset(ERFC_ZERO * (real)1.4), vabs(x)), square = t * t;
    const vreal e = vexp_minus(square * (real)0.5, square_error(t, square) * (real)0.5);
    const vreal shift = vset(ERFCX_SHIFT * (real)1.41421356237309504880), v = 1 / (t + shift);
    const vreal tail = e * v * (POLY((t - shift) * v, ERFCX_POLY) * (real)0.70710678118654752440);
    *density = e;
    return vselect(x > 0, 1 - tail, tail);
}
INLINE vreal f_gelu(vreal x, const vreal *p) {
    vreal density;
    return (void)p, x * normal_cdf(x, &density);
}
INLINE vreal f_gelu_bwd(vreal dy, vreal x, const vreal *p) {
    vreal density;
    const vreal cdf = normal_cdf(x, &density);
    return (void)p, dy * vfma(x, density * (real)0.39894228040143267794, cdf);
}

#define GELU_K ((real)(2 * 0.79788456080286535588)) /* 2 sqrt(2 / pi) */
#define GELU_CUBE ((real)0.044715)
INLINE vreal f_gelu_tanh(vreal x, const vreal *p) {
    return (void)p, x * vsigmoid(GELU_K * x * vfma(x * x, vset(GELU_CUBE), vset(1)));
}
INLINE vreal f_gelu_tanh_bwd(vreal dy, vreal x, const vreal *p) {
    const vreal square = x * x;
    vreal other;
    const vreal s = two_sigmoids(GELU_K * x * vfma(square, vset(GELU_CUBE), vset(1)), &other);
    const vreal slope = GELU_K * vfma(square, vset(3 * GELU_CUBE), vset(1));
    return (void)p, dy * (s * vfma(x * other, slope, vset(1)));
}

/* --- others -------------------------------------------------------------------------------------------------------------- */

INLINE vreal f_softsign(vreal x, const vreal *p) { return (void)p, x / (1 + vabs(x)); }
INLINE vreal f_softsign_bwd(vreal dy, vreal x, const vreal *p) {
    const vreal d = 1 / (1 + vabs(x));
    return (void)p, dy * (d * d + (x - x)); /* NaN where y is */
}
/* Near 0 the series of tanh without its first term. */
INLINE vreal f_tanhshrink(vreal x, const vreal *p) {
    const vreal square = x * x;
    return (void)p, vselect(vabs(x) < vset(TANH_SPLIT), 0 - x * square * POLY(square, TANH_POLY), x - vtanh(x));
}
INLINE vreal f_tanhshrink_bwd(vreal dy, vreal x, const vreal *p) {
    const vreal t = vtanh(x);
    return (void)p, dy * (t * t);
}

INLINE vreal erf_slope(vreal x) {
    const vreal a = vmin(vset(ERFC_ZERO), vabs(x)), square = a * a;
    return (real)1.12837916709551257390 * vexp_minus(square, square_error(a, square));
}
INLINE vreal f_erf(vreal x, const vreal *p) { return (void)p, verf(x); }
INLINE vreal f_erf_bwd(vreal dy, vreal x, const vreal *p) { return (void)p, dy * erf_slope(x); }
INLINE vreal f_erfc(vreal x, const vreal *p) { return (void)p, verfc(x); }
INLINE vreal f_erfc_bwd(vreal dy, vreal x, const vreal *p) { return (void)p, -dy * erf_slope(x); }
INLINE vreal f_expm1(vreal x, const vreal *p) { return (void)p, vexpm1(x); }
INLINE vreal f_expm1_bwd(vreal dy, vreal x, const vreal *p) { return (void)p, dy * vexp(x); }
INLINE vreal f_log1p(vreal x, const vreal *p) { return (void)p, vlog1p(x); }
INLINE vreal f_log1p_bwd(vreal dy, vreal x, const vreal *p) { return (void)p, dy / (1 + x); }

#define DEFINE_ACTIVATION(name)                                                                                                      \
    static void fwd_##name(const void *x, ptrdiff_t sx, void *y, ptrdiff_t sy, ptrdiff_t n, const double *p) {                       \
        activation_any(f_##name, x, sx, y, sy, n, p);                                                                                \
    }                                                                                                                                \
    static void bwd_##name(const void *dy, ptrdiff_t sdy, const void *x, ptrdiff_t sx, void *dx, ptrdiff_t sdx, ptrdiff_t n,         \
                           const double *p) {                                                                                        \
        activation_bwd_any(f_##name##_bwd, dy, sdy, x, sx, dx, sdx, n, p);                                                           \
    }
PYDL_ACTIVATION(DEFINE_ACTIVATION)

/* --- with a second tensor ------------------------------------------------------------------------------------------------ */

INLINE vreal op_prelu(vreal x, vreal w) { return vselect(x > 0, x, w * x); }
INLINE vreal op_prelu_bwd(vreal dy, vreal x, vreal w) { return vselect(x > 0, dy, w * dy); }
INLINE vreal op_glu(vreal a, vreal b) { return a * vsigmoid(b); }
INLINE vreal op_glu_bwd(vreal dy, vreal a, vreal b) {
    vreal other;
    const vreal s = two_sigmoids(b, &other);
    return dy * a * (s * other);
}

DEFINE_BINARY(prelu)
DEFINE_BINARY(glu)
#define DEFINE_TERNARY(name)                                                                                                         \
    static void ternary_##name(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, const void *c, ptrdiff_t sc, void *y,       \
                               ptrdiff_t sy, ptrdiff_t n) {                                                                          \
        ternary_any(op_##name, a, sa, b, sb, c, sc, y, sy, n);                                                                       \
    }
DEFINE_TERNARY(prelu_bwd)
DEFINE_TERNARY(glu_bwd)

#endif
