/* SPDX-License-Identifier: BSD-3-Clause */
/* How an elementwise kernel walks along its operands: y = f(x), c = f(a, b) and masks over n elements, f a vector function.
 *
 * Strides count elements and may be anything; the output may be exactly an input (same pointer, same stride), else must not overlap.
 * Contiguous and scalar (stride 0) inputs stream straight through vectors; other strides pass through a buffer on the stack. Every path
 * runs the same vector function, tails included, so an element's result depends on neither its position nor the strides.
 */
#ifndef PYDL_RUNS_H
#define PYDL_RUNS_H

#include "simd.h"

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

/* --- the kernels: one function of fixed signature each op_<name> ------------------------------------------------------------ */

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

#endif
