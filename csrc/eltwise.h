/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementwise kernels: c[i] = f(a[i], b[i]) over n elements.
 *
 * Strides count elements and may be anything; the output may be exactly an input (same pointer, same stride), else must not overlap.
 * Contiguous and scalar (stride 0) inputs stream straight through vectors; other strides pass through a buffer on the stack. Every path
 * runs the same vector function, tails included, so an element's result depends on neither its position nor the strides.
 *
 * As PyTorch: maximum, minimum and clamp propagate NaN; relu(NaN) = NaN, relu(-0) = -0; relu_bwd passes dy unless y <= 0.
 */
#ifndef PYDL_ELTWISE_H
#define PYDL_ELTWISE_H

#include <math.h>

enum { CHUNK = 256 }; /* elements in a stack buffer; a multiple of LANES on every ISA */

typedef vreal unary_op(vreal x);
typedef vreal binary_op(vreal a, vreal b);
typedef vint compare_op(vreal a, vreal b);

/* --- an input or output as a run of contiguous elements ------------------------------------------------------------------ */

/* Elements [i, i + n) of x: where they are if contiguous, else gathered into the buffer. */
INLINE const real *contiguous(const real *x, ptrdiff_t s, ptrdiff_t i, ptrdiff_t n, real *buffer) {
    if (s == 1) return x + i;
    for (ptrdiff_t k = 0; k < n; k++) buffer[k] = x[(i + k) * s];
    return buffer;
}

INLINE void scatter(const real *buffer, real *y, ptrdiff_t s, ptrdiff_t i, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n; k++) y[(i + k) * s] = buffer[k];
}

INLINE ptrdiff_t chunk_size(ptrdiff_t left) { return left < CHUNK ? left : CHUNK; }

/* --- y = f(x) ------------------------------------------------------------------------------------------------------------ */

INLINE void unary_run(unary_op *f, const real *x, real *y, ptrdiff_t n) {
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) vstore(y + i, f(vload(x + i)));
    if (i < n) vstore_n(y + i, f(vload_n(x + i, n - i)), n - i);
}

INLINE void unary_any(unary_op *f, const real *x, ptrdiff_t sx, real *y, ptrdiff_t sy, ptrdiff_t n) {
    if (sx == 1 && sy == 1) {
        unary_run(f, x, y, n);
        return;
    }
    real in[CHUNK], out[CHUNK];
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        real *target = sy == 1 ? y + i : out;
        unary_run(f, contiguous(x, sx, i, m, in), target, m);
        if (sy != 1) scatter(out, y, sy, i, m);
    }
}

/* --- c = f(a, b) --------------------------------------------------------------------------------------------------------- */

/* Strides 0 or 1 are constants at each call, so that a scalar operand becomes a broadcast outside the loop. */
INLINE vreal operand(const real *p, ptrdiff_t s, ptrdiff_t i, ptrdiff_t n) { return s ? vload_upto(p + i, n) : vset(*p); }

INLINE void binary_run(binary_op *f, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, real *c, ptrdiff_t n) {
    ptrdiff_t i = 0;
    if (n <= 0) return;
    for (; i + LANES <= n; i += LANES) vstore(c + i, f(operand(a, sa, i, LANES), operand(b, sb, i, LANES)));
    if (i < n) vstore_n(c + i, f(operand(a, sa, i, n - i), operand(b, sb, i, n - i)), n - i);
}

INLINE void binary_any(binary_op *f, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, real *c, ptrdiff_t sc, ptrdiff_t n) {
    if (sc == 1 && sa == 1 && sb == 1) {
        binary_run(f, a, 1, b, 1, c, n);
    } else if (sc == 1 && sa == 1 && sb == 0) {
        binary_run(f, a, 1, b, 0, c, n);
    } else if (sc == 1 && sa == 0 && sb == 1) {
        binary_run(f, a, 0, b, 1, c, n);
    } else {
        real in_a[CHUNK], in_b[CHUNK], out[CHUNK];
        for (ptrdiff_t i = 0; i < n; i += CHUNK) {
            const ptrdiff_t m = chunk_size(n - i);
            real *target = sc == 1 ? c + i : out;
            binary_run(f, contiguous(a, sa, i, m, in_a), 1, contiguous(b, sb, i, m, in_b), 1, target, m);
            if (sc != 1) scatter(out, c, sc, i, m);
        }
    }
}

/* --- comparisons and masks ----------------------------------------------------------------------------------------------- */

INLINE void compare_run(compare_op *f, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, uint8_t *c, ptrdiff_t n) {
    ptrdiff_t i = 0;
    if (n <= 0) return;
    for (; i + LANES <= n; i += LANES) mask_store_upto(c + i, f(operand(a, sa, i, LANES), operand(b, sb, i, LANES)), LANES);
    if (i < n) mask_store_upto(c + i, f(operand(a, sa, i, n - i), operand(b, sb, i, n - i)), n - i);
}

INLINE void compare_any(compare_op *f, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, uint8_t *c, ptrdiff_t sc,
                        ptrdiff_t n) {
    if (sc == 1 && sa == 1 && sb == 1) {
        compare_run(f, a, 1, b, 1, c, n);
    } else if (sc == 1 && sa == 1 && sb == 0) {
        compare_run(f, a, 1, b, 0, c, n);
    } else {
        real in_a[CHUNK], in_b[CHUNK];
        uint8_t out[CHUNK];
        for (ptrdiff_t i = 0; i < n; i += CHUNK) {
            const ptrdiff_t m = chunk_size(n - i);
            compare_run(f, contiguous(a, sa, i, m, in_a), 1, contiguous(b, sb, i, m, in_b), 1, out, m);
            for (ptrdiff_t k = 0; k < m; k++) c[(i + k) * sc] = out[k];
        }
    }
}

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

/* --- the kernels: one function of fixed signature an operation ------------------------------------------------------------ */

#define DEFINE_UNARY(name) \
    static void unary_##name(const void *x, ptrdiff_t sx, void *y, ptrdiff_t sy, ptrdiff_t n) { unary_any(op_##name, x, sx, y, sy, n); }
#define DEFINE_BINARY(name)                                                                                                          \
    static void binary_##name(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *c, ptrdiff_t sc, ptrdiff_t n) {        \
        binary_any(op_##name, a, sa, b, sb, c, sc, n);                                                                               \
    }
#define DEFINE_COMPARE(name)                                                                                                         \
    static void compare_##name(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, uint8_t *c, ptrdiff_t sc, ptrdiff_t n) {    \
        compare_any(op_##name, a, sa, b, sb, c, sc, n);                                                                              \
    }
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
