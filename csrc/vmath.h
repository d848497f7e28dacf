/* SPDX-License-Identifier: BSD-3-Clause */
/* exp, log, tanh, sigmoid on vectors: polynomials, no tables, no libm; the same text for f32 and f64, with and without FMA.
 *
 *   vexp      e^x = 2^n (1 + em1(r)), x = n ln 2 + r; overflow gives inf, underflow goes through the subnormals
 *   vlog      x = 2^k (1 + f), log(1 + f) in s = f/(2 + f); log(0) = -inf, log(x < 0) = NaN, subnormals exact
 *   vtanh     -t / (t + 2), t = e^(-2|x|) - 1, which stays relatively accurate at small |x|; keeps -0
 *   vsigmoid  e^(-|x|) or 1, over 1 + e^(-|x|): no overflow, and the left tail keeps its relative accuracy
 *
 * NaN gives NaN, infinities their limits. The coefficients are minimax ones (Remez in 60 digits).
 */
#ifndef PYDL_VMATH_H
#define PYDL_VMATH_H

#if PYDL_F64
enum { MANTISSA = 52, BIAS = 1023 };
#define ROUNDER 6755399441055744.0 /* 1.5 * 2^52: adding it leaves the nearest integer in the low bits */
#define LN2_HI 6.93147180369123816490e-01 /* 33 bits, so that n * LN2_HI is exact */
#define LN2_LO 1.90821492927058770002e-10
#define EXP_HIGH 710.0
#define EXP_LOW (-746.0)
#define TANH_ONE 20.0
#define SMALLEST_NORMAL 0x1p-1022
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcd
static const real EM1_POLY[] = {0.50000000000000045783, 0.16666666666666684213,   0.041666666666582058454, 0.0083333333333156463076,
                                0.0013888888930171841843, 0.00019841269900919649043, 2.4801506690339406183e-5, 2.7557229705085330238e-6,
                                2.7625545751825326957e-7, 2.5113955491880967169e-8};
static const real LOG_POLY[] = {0.66666666666666989267, 0.3999999999961189928,  0.2857142870386639394, 0.22222202139326245632,
                                0.18183394177387662984, 0.15318096386296832083, 0.14757983081754342354};
#else
enum { MANTISSA = 23, BIAS = 127 };
#define ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define LN2_HI 0.693359375f /* 10 bits */
#define LN2_LO (-2.12194440e-4f)
#define EXP_HIGH 89.0f
#define EXP_LOW (-104.0f)
#define TANH_ONE 10.0f
#define SMALLEST_NORMAL 0x1p-126f
#define SQRT_HALF_BITS 0x3f3504f3
static const real EM1_POLY[] = {0.50000000583424391058f, 0.16666545448091227814f, 0.041666290369097325138f, 0.0083663474718580368884f,
                                0.0013946004644611078871f};
static const real LOG_POLY[] = {0.66666765430872974732f, 0.39978602851052061522f, 0.29847836077669224928f};
#endif
#define POLY(x, c) polynomial(x, c, (int)(sizeof(c) / sizeof *(c)))
#define SIGN_BIT ((ureal)1 << (sizeof(real) * 8 - 1))

/* c[0] + c[1] x + ... by Horner's rule; the loop disappears because n is constant. */
INLINE vreal polynomial(vreal x, const real *c, int n) {
    vreal p = vset(c[n - 1]);
#pragma GCC unroll 16
    for (int i = n - 2; i >= 0; i--) p = vfma(p, x, vset(c[i]));
    return p;
}

INLINE vuint vbits(ureal b) { return (vuint){0} + b; }
INLINE vreal vabs(vreal x) { return (vreal)((vuint)x & ~vbits(SIGN_BIT)); }

/* e^x - 1 reduced: returns em1 = e^r - 1, |r| <= ln2/2, and *z whose low bits hold n + offset, for x = n ln2 + r. */
INLINE vreal em1_reduced(vreal x, int offset, vuint *z) {
    const vreal rounder = vset(ROUNDER + (real)offset);
    const vreal shifted = vfma(x, vset((real)1.44269504088896340736), rounder);
    const vreal n = shifted - rounder;
    const vreal r = vfma(n, vset(-LN2_LO), vfma(n, vset(-LN2_HI), x));
    *z = (vuint)shifted;
    return vfma(r * r, POLY(r, EM1_POLY), r);
}

/* e^x for x that needs no upper clamp. 2^n is applied in two halves so that results pass into the subnormals with one rounding. */
INLINE vreal exp_bounded(vreal x) {
    vuint z;
    const vreal p = em1_reduced(x, 2 * BIAS, &z) + 1;
    const vuint half = z >> 1; /* the rounder's own bits leave at the top in the shifts below */
    return p * (vreal)(half << MANTISSA) * (vreal)((z - half) << MANTISSA);
}

INLINE vreal vexp(vreal x) { return exp_bounded(vmin(vset(EXP_HIGH), vmax(vset(EXP_LOW), x))); }

INLINE vreal vsigmoid(vreal x) {
    const vreal one = vset(1);
    const vreal e = exp_bounded(vmax(vset(EXP_LOW), (vreal)((vuint)x | vbits(SIGN_BIT))));
    return vselect(x < 0, e, one) / (one + e);
}

INLINE vreal vtanh(vreal x) {
    vuint z;
    const vreal magnitude = vmin(vset(TANH_ONE), vabs(x));
    const vreal em1 = em1_reduced(magnitude * -2, BIAS, &z);
    const vreal scale = (vreal)(z << MANTISSA);
    const vreal t = vfma(scale, em1, scale - 1);
    const vuint sign = (vuint)x & vbits(SIGN_BIT);
    return (vreal)(((vuint)(t / (t + 2)) & ~vbits(SIGN_BIT)) | sign);
}

INLINE vreal vlog(vreal x) {
    const vint subnormal = x < vset(SMALLEST_NORMAL);
    const vreal scaled = vselect(subnormal, x * (real)((ureal)1 << MANTISSA), x);
    const ureal one = (ureal)BIAS << MANTISSA;
    const vuint shifted = (vuint)scaled + (one - SQRT_HALF_BITS); /* the exponent steps at sqrt(1/2), not at 1 */
    const vuint mantissa = (shifted & (((ureal)1 << MANTISSA) - 1)) + SQRT_HALF_BITS;
    /* the exponent field as a number: put it into the low bits of 2^MANTISSA */
    const real two_m = (real)((ureal)1 << MANTISSA);
    const vuint field = (shifted >> MANTISSA) | ((ureal)(BIAS + MANTISSA) << MANTISSA);
    const vreal k = (vreal)field - vselect(subnormal, vset(two_m + BIAS + MANTISSA), vset(two_m + BIAS));
    const vreal f = (vreal)mantissa - 1;
    const vreal s = f / (f + 2), s2 = s * s;
    const vreal half_square = f * f * (real)0.5;
    const vreal tail = vfma(s, vfma(s2, POLY(s2, LOG_POLY), half_square), k * (real)LN2_LO);
    vreal y = vfma(k, vset(LN2_HI), f - (half_square - tail));
    y = vselect(x < vset(__builtin_inff()), y, x);
    y = vselect(x == 0, vset(-__builtin_inff()), y);
    return vselect(x < 0, vset(__builtin_nanf("")), y);
}

#endif
