/* SPDX-License-Identifier: BSD-3-Clause */
/* Elementwise kernels (eltwise.h): any strides incl. 0 and negative; the output may be exactly an input (same pointer and stride);
 * the result of an element does not depend on its position or on the strides. Rules as in kernels.h. */
#ifndef PYDL_ELTWISE_KERNELS_H
#define PYDL_ELTWISE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* y[i] = f(x[i]). */
#define PYDL_UNARY(X) X(copy) X(neg) X(abs) X(square) X(reciprocal) X(sqrt) X(exp) X(log) X(tanh) X(sigmoid) X(relu)

/* c[i] = f(a[i], b[i]); the *_bwd entries take a = dy and b = the saved output y. */
#define PYDL_BINARY(X) \
    X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(tanh_bwd) X(sigmoid_bwd) X(relu_bwd)

/* c[i] = a[i] <op> b[i] as 0 or 1 in a byte. */
#define PYDL_COMPARE(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)

#define PYDL_ENUM_UNARY(name) PYDL_U_##name,
#define PYDL_ENUM_BINARY(name) PYDL_B_##name,
#define PYDL_ENUM_COMPARE(name) PYDL_C_##name,
enum { PYDL_UNARY(PYDL_ENUM_UNARY) PYDL_N_UNARY };
enum { PYDL_BINARY(PYDL_ENUM_BINARY) PYDL_N_BINARY };
enum { PYDL_COMPARE(PYDL_ENUM_COMPARE) PYDL_N_COMPARE };

typedef void pydl_unary_fn(const void *x, ptrdiff_t sx, void *y, ptrdiff_t sy, ptrdiff_t n);
typedef void pydl_binary_fn(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *c, ptrdiff_t sc, ptrdiff_t n);
typedef void pydl_compare_fn(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, uint8_t *c, ptrdiff_t sc, ptrdiff_t n);

#define PYDL_ELTWISE(X) X(add_scaled) X(clamp) X(where) X(fill)

typedef struct pydl_eltwise {
    pydl_unary_fn *unary[PYDL_N_UNARY];
    pydl_binary_fn *binary[PYDL_N_BINARY];
    pydl_compare_fn *compare[PYDL_N_COMPARE];
    /* c = a + alpha * b */
    void (*add_scaled)(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, double alpha, void *c, ptrdiff_t sc, ptrdiff_t n);
    /* y = min(max(x, lo), hi); NaN stays NaN; lo or hi may be infinite */
    void (*clamp)(const void *x, ptrdiff_t sx, double lo, double hi, void *y, ptrdiff_t sy, ptrdiff_t n);
    /* c = m ? a : b with byte masks */
    void (*where)(const uint8_t *m, ptrdiff_t sm, const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *c, ptrdiff_t sc,
                  ptrdiff_t n);
    void (*fill)(void *y, ptrdiff_t sy, double value, ptrdiff_t n);
} pydl_eltwise;

#endif
