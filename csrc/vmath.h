/* SPDX-License-Identifier: BSD-3-Clause */
/* exp, log, tanh, sigmoid on vectors: polynomials, no tables, no libm; the same text for f32 and f64, with and without FMA.
 *
 *   vexp      e^x = 2^n (1 + em1(r)), x = n ln 2 + r; overflow gives inf, underflow goes through the subnormals
 *   vlog      x = 2^k (1 + f), log(1 + f) in s = f/(2 + f); log(0) = -inf, log(x < 0) = NaN, subnormals exact
 *   vtanh     1 - 2/(e^(2|x|) + 1) above 0.5625 (tanh > 1/2: the error of the quotient counts half), x + x^3 P(x^2) below; keeps -0
 *   vsigmoid  e^(-|x|) or 1, over 1 + e^(-|x|): no overflow, and the left tail keeps its relative accuracy
 *
 * Largest errors, f32 over all 2^32 values, f64 sampled: exp 1.1, log 0.9, tanh 1.4, sigmoid 2.0 ULP, with and without FMA.
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
#define EXP_NORMAL 708.0
#define TANH_ONE 20.0
#define TANH_SPLIT 0.5625
#define SMALLEST_NORMAL 0x1p-1022
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcd
static const real EXP_POLY[] = {0.50000000000000087016, 0.16666666666666440757,   0.041666666666543959237, 0.0083333333334821858117,
                                0.0013888888940422213873, 0.00019841269524554986825, 2.4801496105979240147e-5, 2.7557575906702100851e-6,
                                2.7629262951028068127e-7, 2.5002032529800974573e-8};
static const real TANH_POLY[] = {-0.33333333333333320789, 0.13333333333328930246, -0.053968253964526156229, 0.021869488395756408067,
                                 -0.0088632326128729962621, 0.0035920909371478578517, -0.0014555294650303235104,
                                 0.00058836775006600861903, -0.00023313974422406932306, 8.2912807576168944026e-5,
                                 -1.921512750158634172e-5};
static const real LOG_POLY[] = {0.66666666666666989267, 0.3999999999961189928,  0.2857142870386639394, 0.22222202139326245632,
                                0.18183394177387662984, 0.15318096386296832083, 0.14757983081754342354};
#else
enum { MANTISSA = 23, BIAS = 127 };
#define ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define LN2_HI 0.693359375f /* 10 bits */
#define LN2_LO (-2.12194440e-4f)
#define EXP_HIGH 89.0f
#define EXP_LOW (-104.0f)
#define EXP_NORMAL 87.0f
#define TANH_ONE 10.0f
#define TANH_SPLIT 0.5625f
#define SMALLEST_NORMAL 0x1p-126f
#define SQRT_HALF_BITS 0x3f3504f3
static const real EXP_POLY[] = {0.49999994142475484274f, 0.16666522851536180952f, 0.041668250621330214904f, 0.0083685101670734992233f,
                                0.0013821161780283667469f};
static const real TANH_POLY[] = {-0.33333319613125301166f, 0.13332605051353870917f, -0.053850768272903204224f, 0.021054596906759307912f,
                                 -0.0062381595127329230473f};
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
    return vfma(r * r, POLY(r, EXP_POLY), r);
}

/* Where all results are normal numbers n is added to the exponent. Elsewhere 2^n is applied in two halves, which gives the same there
 * and passes into the subnormals with one rounding. */
INLINE vreal vexp(vreal x) {
    vuint z;
    if (__builtin_expect(vall(vabs(x) <= vset(EXP_NORMAL)), 1)) {
        const vreal p = em1_reduced(x, 0, &z) + 1;
        return (vreal)((vuint)p + (z << MANTISSA)); /* the rounder's own bits leave at the top in the shifts */
    }
    const vreal p = em1_reduced(vmin(vset(EXP_HIGH), vmax(vset(EXP_LOW), x)), 2 * BIAS, &z) + 1;
    const vuint half = z >> 1;
    return p * (vreal)(half << MANTISSA) * (vreal)((z - half) << MANTISSA);
}

/* a / (big + small) for a sum in [1, 2]: its rounding error counts up to a whole ULP of the quotient when the sum is near 1, and is
 * taken back to first order there (the error over the sum is the error itself). */
INLINE vreal divide_by_sum(vreal a, vreal big, vreal small) {
    const vreal sum = big + small;
    const vreal lost = small - (sum - big);
    const vreal q = a / sum;
    return vfma(-q, lost, q);
}

INLINE vreal vsigmoid(vreal x) {
    const vreal one = vset(1);
    const vreal e = vexp((vreal)((vuint)x | vbits(SIGN_BIT)));
    return divide_by_sum(vselect(x < 0, e, one), one, e);
}

INLINE vreal vtanh(vreal x) {
    const vuint sign = (vuint)x & vbits(SIGN_BIT);
    const vreal magnitude = vabs(x);
    vuint z;
    const vreal em1 = em1_reduced(vmin(vset(TANH_ONE), magnitude) * 2, BIAS, &z);
    const vreal scale = (vreal)(z << MANTISSA);
    const vreal large = 1 - 2 / vfma(scale, em1, scale + 1);
    const vreal x2 = x * x;
    const vreal small = vfma(magnitude * x2, POLY(x2, TANH_POLY), magnitude);
    return (vreal)((vuint)vselect(magnitude < vset(TANH_SPLIT), small, large) | sign);
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
