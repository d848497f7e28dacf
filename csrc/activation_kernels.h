/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the activations (activation.h) and of dropout (dropout.h). Rules as in kernels.h.
 *
 * PYDL_ACTIVATION: y = f(x; p) and dx = dy f'(x; p) for elements of any strides, with three parameters p[] of which some functions
 * use fewer (activation.h says which mean what); y may be exactly x, dx exactly dy or x (same pointer and stride).
 * The order is read in pydl/_core/activation.pyx: those up to hardswish cost no more than their memory, those from softsign on take
 * integers too, computed in the default type. So a new one goes to the end.
 */
#ifndef PYDL_ACTIVATION_KERNELS_H
#define PYDL_ACTIVATION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_ACTIVATION(X) \
    X(leaky_relu) X(hardtanh) X(threshold) X(hardshrink) X(softshrink) X(hardsigmoid) X(hardswish) X(elu) X(softplus) X(gelu) \
    X(gelu_tanh) X(silu) X(mish) X(logsigmoid) X(softsign) X(tanhshrink) X(erf) X(erfc) X(expm1) X(log1p)
#define PYDL_ACTIVATION_SINGLE(X) X(prelu) X(prelu_bwd) X(glu) X(glu_bwd) X(dropout) X(dropout_mask) X(mask_scale) X(mask_affine)

#define PYDL_ENUM_ACTIVATION(name) PYDL_A_##name,
enum { PYDL_ACTIVATION(PYDL_ENUM_ACTIVATION) PYDL_N_ACTIVATION };
enum { PYDL_ACTIVATION_PARAMETERS = 3 };

typedef void pydl_activation_fn(const void *x, ptrdiff_t sx, void *y, ptrdiff_t sy, ptrdiff_t n, const double *p);
typedef void pydl_activation_bwd_fn(const void *dy, ptrdiff_t sdy, const void *x, ptrdiff_t sx, void *dx, ptrdiff_t sdx, ptrdiff_t n,
                                    const double *p);
typedef void pydl_ternary_fn(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, const void *c, ptrdiff_t sc, void *y,
                             ptrdiff_t sy, ptrdiff_t n);

typedef struct pydl_activation {
    pydl_activation_fn *fwd[PYDL_N_ACTIVATION];
    pydl_activation_bwd_fn *bwd[PYDL_N_ACTIVATION];

    /* y = x > 0 ? x : w x;  dx = x > 0 ? dy : w dy from dy, x, w */
    void (*prelu)(const void *x, ptrdiff_t sx, const void *w, ptrdiff_t sw, void *y, ptrdiff_t sy, ptrdiff_t n);
    pydl_ternary_fn *prelu_bwd;
    /* y = a sigmoid(b); db = dy a sigmoid(b) (1 - sigmoid(b)) from dy, a, b (and da = dy sigmoid(b) is glu of dy and b) */
    void (*glu)(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *y, ptrdiff_t sy, ptrdiff_t n);
    pydl_ternary_fn *glu_bwd;

    /* Element i of n contiguous ones is kept, mask[i] = 1, where word i of the Philox stream (word i % 4 of counter offset + i / 4) is
       below `keep` (<= 2^32); y[i] = x[i] (mask[i] ? scale : 0), a product, so that NaN stays. y may be x */
    void (*dropout)(const void *x, void *y, uint8_t *mask, ptrdiff_t n, uint64_t key, uint64_t offset, uint64_t keep, double scale);
    void (*dropout_mask)(uint8_t *mask, ptrdiff_t n, uint64_t key, uint64_t offset, uint64_t keep);
    /* y = x (mask ? p[0] : 0) and y = mask ? p[0] x + p[1] : 0 x + p[2]; y may be exactly x */
    void (*mask_scale)(const void *x, ptrdiff_t sx, const uint8_t *mask, ptrdiff_t sm, void *y, ptrdiff_t sy, ptrdiff_t n,
                       const double *p);
    void (*mask_affine)(const void *x, ptrdiff_t sx, const uint8_t *mask, ptrdiff_t sm, void *y, ptrdiff_t sy, ptrdiff_t n,
                        const double *p);
} pydl_activation;

#endif
