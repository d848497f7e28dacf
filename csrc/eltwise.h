/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementwise kernels: arithmetic, comparisons, the first elementary functions, and what else goes over runs of elements (runs.h).
 *
 * As PyTorch: maximum, minimum and clamp propagate NaN; relu(NaN) = NaN, relu(-0) = -0; relu_bwd passes dy unless y <= 0.
 */
#ifndef PYDL_ELTWISE_H
#define PYDL_ELTWISE_H

#include "eltwise_kernels.h"
#include "runs.h"
#include "vmath.h"

#include <math.h>

/* --- the operations ------------------------------------------------------------------------------------------------------ */

INLINE vreal op_copy(vreal x) { return x; }
INLINE vreal op_neg(vreal x) { return -x; }
INLINE vreal op_abs(vreal x) { return vabs(x); }
INLINE vreal op_square(vreal x) { return x * x; }
INLINE vreal op_reciprocal(vreal x) { return 1 / x; }
INLINE vreal op_sqrt(vreal x) { return vsqrt(x); }
INLINE vreal op_exp(vreal x) { return vexp(x); }
INLINE vreal op_log(vreal x) { return vlog(x); }
INLINE vreal op_tanh(vreal x) { return vtanh(x); }
INLINE vreal op_sigmoid(vreal x) { return vsigmoid(x); }
INLINE vreal op_relu(vreal x) { return vmax(vset(0), x); }

INLINE vreal op_add(vreal a, vreal b) { return a + b; }
INLINE vreal op_sub(vreal a, vreal b) { return a - b; }
INLINE vreal op_mul(vreal a, vreal b) { return a * b; }
INLINE vreal op_div(vreal a, vreal b) { return a / b; }
INLINE vreal op_maximum(vreal a, vreal b) { return vselect(a == a, vmax(a, b), a); }
INLINE vreal op_minimum(vreal a, vreal b) { return vselect(a == a, vmin(a, b), a); }
INLINE vreal op_tanh_bwd(vreal dy, vreal y) { return dy * ((1 - y) * (1 + y)); } /* 1 - y y would cancel near 1 without FMA */
INLINE vreal op_sigmoid_bwd(vreal dy, vreal y) { return dy * (1 - y) * y; }
INLINE vreal op_relu_bwd(vreal dy, vreal y) { return vselect(y <= 0, vset(0), dy); }

/* C's pow lane by lane: its special cases are many and its users few. */
static __attribute__((noinline)) vreal op_pow(vreal a, vreal b) {
    real x[LANES], y[LANES];
    vstore(x, a);
    vstore(y, b);
#if PYDL_F64
    for (ptrdiff_t i = 0; i < LANES; i++) x[i] = pow(x[i], y[i]);
#else
    for (ptrdiff_t i = 0; i < LANES; i++) x[i] = powf(x[i], y[i]);
#endif
    return vload(x);
}

INLINE vint op_eq(vreal a, vreal b) { return a == b; }
INLINE vint op_ne(vreal a, vreal b) { return a != b; }
INLINE vint op_lt(vreal a, vreal b) { return a < b; }
INLINE vint op_le(vreal a, vreal b) { return a <= b; }
INLINE vint op_gt(vreal a, vreal b) { return a > b; }
INLINE vint op_ge(vreal a, vreal b) { return a >= b; }

/* --- the kernels -------------------------------------------------------------------------------------------------------- */

PYDL_UNARY(DEFINE_UNARY)
PYDL_BINARY(DEFINE_BINARY)
PYDL_COMPARE(DEFINE_COMPARE)

/* c = a + alpha b */
static void add_scaled(const void *a_, ptrdiff_t sa, const void *b_, ptrdiff_t sb, double alpha_, void *c_, ptrdiff_t sc,
                       ptrdiff_t n) {
    const real *a = a_, *b = b_;
    real *c = c_, in_a[CHUNK], in_b[CHUNK], out[CHUNK];
    const vreal alpha = vset((real)alpha_);
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        const real *pa = contiguous(a, sa, i, m, in_a), *pb = contiguous(b, sb, i, m, in_b);
        real *target = sc == 1 ? c + i : out;
        for (ptrdiff_t k = 0; k < m; k += LANES)
            vstore_upto(target + k, vfma(alpha, vload_upto(pb + k, m - k), vload_upto(pa + k, m - k)), m - k);
        if (sc != 1) scatter(out, c, sc, i, m);
    }
}

/* y = min(max(x, lo), hi); at equal zeros the result is x's own zero, as PyTorch. */
static void clamp(const void *x_, ptrdiff_t sx, double lo_, double hi_, void *y_, ptrdiff_t sy, ptrdiff_t n) {
    const real *x = x_;
    real *y = y_, in[CHUNK], out[CHUNK];
    const vreal lo = vset((real)lo_), hi = vset((real)hi_);
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        const real *px = contiguous(x, sx, i, m, in);
        real *target = sy == 1 ? y + i : out;
        for (ptrdiff_t k = 0; k < m; k += LANES)
            vstore_upto(target + k, vmin(hi, vmax(lo, vload_upto(px + k, m - k))), m - k);
        if (sy != 1) scatter(out, y, sy, i, m);
    }
}

/* c = m ? a : b */
static void where(const uint8_t *mask, ptrdiff_t sm, const void *a_, ptrdiff_t sa, const void *b_, ptrdiff_t sb, void *c_, ptrdiff_t sc,
                  ptrdiff_t n) {
    const real *a = a_, *b = b_;
    real *c = c_, in_a[CHUNK], in_b[CHUNK], out[CHUNK];
    uint8_t in_m[CHUNK];
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        const real *pa = contiguous(a, sa, i, m, in_a), *pb = contiguous(b, sb, i, m, in_b);
        const uint8_t *pm = mask + i;
        if (sm != 1) {
            for (ptrdiff_t k = 0; k < m; k++) in_m[k] = mask[(i + k) * sm];
            pm = in_m;
        }
        real *target = sc == 1 ? c + i : out;
        for (ptrdiff_t k = 0; k < m; k += LANES)
            vstore_upto(target + k, vselect(mask_load_upto(pm + k, m - k), vload_upto(pa + k, m - k), vload_upto(pb + k, m - k)), m - k);
        if (sc != 1) scatter(out, c, sc, i, m);
    }
}

static void fill(void *y_, ptrdiff_t sy, double value, ptrdiff_t n) {
    real *y = y_;
    if (sy == 1) {
        const vreal v = vset((real)value);
        for (ptrdiff_t i = 0; i < n; i += LANES) vstore_upto(y + i, v, n - i);
    } else {
        for (ptrdiff_t i = 0; i < n; i++) y[i * sy] = (real)value;
    }
}

#endif
