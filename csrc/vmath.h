/* SPDX-License-Identifier: BSD-3-Clause */
/* exp, log, tanh, sigmoid, erf, erfc, expm1, log1p on vectors: polynomials, no tables, no libm; the same text for f32 and f64, with and without FMA.
 *
 *   vexp      e^x = 2^n (1 + em1(r)), x = n ln 2 + r; overflow gives inf, underflow goes through the subnormals
 *   vlog      x = 2^k (1 + f), log(1 + f) in s = f/(2 + f); log(0) = -inf, log(x < 0) = NaN, subnormals exact
 *   vtanh     1 - 2/(e^(2|x|) + 1) above 0.5625 (tanh > 1/2: the error of the quotient counts half), x + x^3 P(x^2) below; keeps -0
 *   vsigmoid  e^(-|x|) or 1, over 1 + e^(-|x|): no overflow, and the left tail keeps its relative accuracy
 *   verfc     e^(-x^2) (a + K) erfcx(a) / (a + K), a = |x|, the middle factor a polynomial in (a - K) / (a + K); 2 - that for x < 0
 *   verf      x + x P(x^2) below 1, 1 - erfc(x) above (erfc < 0.16: its error counts little); keeps -0
 *   vexpm1    2^n (e^r - 1) + (2^n - 1);  vlog1p  log u + (1 + x - u) / u, u = 1 + x rounded; both keep -0
 *
 * Largest errors, f32 over all 2^32 values, f64 sampled: exp 1.1, log 0.9, tanh 1.4, sigmoid 2.0, erf 1.3, erfc 1.8, expm1 2.0,
 * log1p 1.5 ULP, with and without FMA.
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
#define ERFCX_SHIFT 4.0
#define ERFC_ZERO 28.0 /* erfc is 0 from here */
static const real ERF_POLY[] = {0.12837916709551257375, -0.37612638903183747615, 0.11283791670954857915, -0.026866170645072959249,
                                0.0052239776247813697943, -0.00085483269787651488163, 0.00012055331037551108097,
                                -0.000014925593518728226688, 1.646097295415376567e-6, -1.6350026192077268531e-7,
                                1.4657883530919653519e-8, -1.1365670671827159274e-9, 5.9452555842234874355e-11};
static const real ERFCX_POLY[] = {1.0959956610004911205, -0.97654872908088208074, 0.77320870226523671042, -0.54085383131322475083,
                                  0.3308515878780292402, -0.17401093724029578151, 0.07638151490901702555, -0.026370053334566856851,
                                  0.0061120556582866422799, -0.00028095891584183182276, -0.00045505269880704122198,
                                  0.00017681308325732756428, -3.6351100608215346481e-6, -0.000018861759951942814313,
                                  4.6942360993002244658e-6, 1.4260075100220693663e-6, -8.4587733541266579438e-7,
                                  -7.7818091024805046544e-8, 1.2385695271252652042e-7, 2.4532237832377335571e-9,
                                  -1.5395892384036622803e-8, -3.19807023093155026e-10, 1.0393127615585367553e-9};
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
#define ERFCX_SHIFT 3.0f
#define ERFC_ZERO 11.0f
static const real ERF_POLY[] = {0.12837916572955936822f, -0.37612625837465104191f, 0.11283585248605634751f,
                                -0.026853814582072517433f, 0.0051883304825924878339f, -0.00080102026992725067869f,
                                0.000078538498284294088513f};
static const real ERFCX_POLY[] = {1.074006908414654584f, -0.88339449727514724665f, 0.59022824093387185833f, -0.31046570910640977652f,
                                  0.11952997392706983762f, -0.026841601204157982857f, -0.0012314675855906411006f,
                                  0.0030819579094011883331f, -0.00047403185512435329672f, -0.00032051748308201358876f};
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

/* --- erf, erfc, expm1, log1p --------------------------------------------------------------------------------------------- */

/* a b - p for the rounded product p, without an FMA (Dekker): halves of a mantissa have exact products. */
INLINE vreal product_error(vreal a, vreal b, vreal p) {
    const vuint high = ~vbits(((ureal)1 << (MANTISSA + 2) / 2) - 1);
    const vreal a0 = (vreal)((vuint)a & high), b0 = (vreal)((vuint)b & high), a1 = a - a0, b1 = b - b0;
    return ((a0 * b0 - p) + a0 * b1 + a1 * b0) + a1 * b1;
}

/* a + b - s for the rounded sum s (Knuth). */
INLINE vreal sum_error(vreal a, vreal b, vreal s) {
    const vreal part = s - a;
    return (a - (s - part)) + (b - part);
}

/* e^(x + low) for x <= 0, as (1 + em1) half[0] half[1]; 0 below EXP_LOW. *em1_low is what em1 lost. */
INLINE vreal em1_of_sum(vreal x_, vreal low, vreal *em1_low, vreal half[2]) {
    const vreal x = vmax(vset(EXP_LOW), x_), rounder = vset(ROUNDER + (real)(2 * BIAS));
    const vreal shifted = vfma(x, vset((real)1.44269504088896340736), rounder);
    const vreal n = shifted - rounder;
    const vreal r0 = vfma(n, vset(-LN2_HI), x), r1 = vfma(n, vset(-LN2_LO), low), r = r0 + r1;
    const vuint z = (vuint)shifted, first = z >> 1;
    half[0] = (vreal)(first << MANTISSA);
    half[1] = (vreal)((z - first) << MANTISSA);
    const vreal q = r * r * POLY(r, EXP_POLY), em1 = r + q;
    *em1_low = sum_error(r, q, em1) + sum_error(r0, r1, r);
    return em1;
}

/* e^(-s - low) for s >= 0, which low makes more exact than an element can be. NaN stays. */
INLINE vreal vexp_minus(vreal s, vreal low) {
    vreal half[2], lost;
    const vreal em1 = em1_of_sum(-s, -low, &lost, half);
    return (em1 + 1) * half[0] * half[1];
}

/* e^(a^2) erfc(a) for 0 <= a <= ERFC_ZERO, to about 3 ULP. */
INLINE vreal erfcx_plain(vreal a) {
    const vreal v = 1 / (a + ERFCX_SHIFT);
    return v * POLY((a - ERFCX_SHIFT) * v, ERFCX_POLY);
}

/* Below 0.6 it is 1 - erf. Above, what the sums, the quotient, the products and the polynomial's argument and last steps lose is
 * carried along: without it, 5 ULP. The polynomial's slope comes from erfcx' = 2 a erfcx - 2 / sqrt(pi). */
INLINE vreal verfc(vreal x) {
    const vreal a = vmin(vset(ERFC_ZERO), vabs(x)), one = vset(1), shift = vset(ERFCX_SHIFT), square = a * a;
    vreal half[2], em1_low;
    const vreal em1 = em1_of_sum(-square, -product_error(a, a, square), &em1_low, half);
    const vreal e = one + em1, e_low = em1 - (e - one) + em1_low;
    const vreal d = a + shift, v = 1 / d, vd = v * d;
    const vreal v_low = v * ((one - vd) - product_error(v, d, vd) - v * sum_error(a, shift, d));
    const vreal t = a - shift, u = t * v;
    const vreal u_low = vfma(t, v_low, vfma(sum_error(a, -shift, t), v, product_error(t, v, u)));
    const vreal c0 = vset(ERFCX_POLY[0]), c1 = vset(ERFCX_POLY[1]);
    const vreal later = u * polynomial(u, ERFCX_POLY + 2, (int)(sizeof ERFCX_POLY / sizeof *ERFCX_POLY) - 2);
    const vreal factor = c1 + later, rest = u * factor, g = c0 + rest, vg = v * g;
    const vreal rest_low = vfma(u, sum_error(c1, later, factor), product_error(u, factor, rest));
    const vreal slope = vfma(d, vfma(2 * a, vg, vset((real)-1.12837916709551257390)), vg) * (d * d * (1 / (2 * ERFCX_SHIFT)));
    const vreal g_low = vfma(slope, u_low, sum_error(c0, rest, g) + rest_low);
    const vreal vg_low = vfma(v, g_low, vfma(v_low, g, product_error(v, g, vg)));
    const vreal y = e * vg, y_low = vfma(e, vg_low, vfma(e_low, vg, product_error(e, vg, y)));
    const vreal far = (y + y_low) * half[0] * half[1];
    const vreal near = (real)0.5 - vfma(a, POLY(square, ERF_POLY), a - (real)0.5);
    const vreal positive = vselect(a < (real)0.6, near, far);
    return vselect(x < 0, 2 - positive, positive);
}

INLINE vreal verf(vreal x) {
    const vuint sign = (vuint)x & vbits(SIGN_BIT);
    const vreal a = vmin(vset(ERFC_ZERO), vabs(x)), square = a * a;
    const vreal small = vfma(a, POLY(square, ERF_POLY), a);
    const vreal large = 1 - vexp_minus(square, vset(0)) * erfcx_plain(a);
    return (vreal)((vuint)vselect(a < 1, small, large) | sign);
}

/* Half of 2^n and of the result, since 2^n itself overflows before the result does. */
INLINE vreal vexpm1(vreal x) {
    vuint z;
    const vreal inside = vmin(vset(EXP_HIGH), vmax(vset(-(real)(2 * MANTISSA)), x));
    const vreal em1 = em1_reduced(inside, BIAS - 1, &z);
    const vreal half = (vreal)(z << MANTISSA);
    const vreal y = vfma(half, em1, half - (real)0.5) * 2;
    return vselect(vabs(x) < (real)0.34, vselect(x == 0, x, em1), y);
}

INLINE vreal vlog1p(vreal x) {
    const vreal one = vset(1), u = x + one, correction = sum_error(one, x, u) / u, y = vlog(u);
    return vselect(x == 0, x, vselect(correction == correction, y + correction, y)); /* NaN where u is 0 or infinite */
}

#endif
