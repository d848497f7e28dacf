/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of the normalisations (norm.h). Rules as in kernels.h; nothing overlaps unless said; sums over parts are in double.
 *
 * Two shapes of memory. runs: m runs of n contiguous elements, one channel. cols: rows x cols, a channel is a column.
 * A part is what one call reduces; the caller cuts the parts by the shape alone and folds them in order.
 * Statistics are three arrays: hi + lo = mean (lo is what rounding hi to the element type loses), rstd = 1 / sqrt(variance + eps).
 */
#ifndef PYDL_NORM_KERNELS_H
#define PYDL_NORM_KERNELS_H

#include <stddef.h>

#define PYDL_NORM(X) \
    X(moments_runs) X(moments_cols) X(fold_moments) X(grad_sums_runs) X(grad_sums_cols) X(fold_sums) X(statistics) X(running) \
    X(coefs_fwd) X(coefs_bwd) X(narrow) X(affine_runs) X(affine_cols) X(grad_runs) X(grad_cols) X(layer_rows) X(layer_rows_bwd) \
    X(window_sum)

typedef struct pydl_norm {
    /* mean and m2 = sum (x - mean)^2 of all m x n elements of runs ldx apart; m, n >= 1 */
    void (*moments_runs)(const void *x, ptrdiff_t ldx, ptrdiff_t m, ptrdiff_t n, double *mean, double *m2);
    /* the same of each column; rows >= 1 */
    void (*moments_cols)(const void *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t cols, double *mean, double *m2);
    /* those of the union of parts p < parts with count[p] elements each: part p of column j at p*part_stride + j*col_stride */
    void (*fold_moments)(ptrdiff_t parts, ptrdiff_t part_stride, ptrdiff_t cols, ptrdiff_t col_stride, const double *count,
                         const double *mean, const double *m2, double *mean_out, double *m2_out);
    /* s1 = sum dy, s2 = sum dy (x - shift); dy and x both have runs ld apart; shift[1] */
    void (*grad_sums_runs)(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t m, ptrdiff_t n, const void *shift, double *s1,
                           double *s2);
    /* the same of each column; shift[cols] */
    void (*grad_sums_cols)(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift, double *s1,
                           double *s2);
    /* out[j] = sum over p of s[p*part_stride + j], in order */
    void (*fold_sums)(ptrdiff_t parts, ptrdiff_t part_stride, ptrdiff_t cols, const double *s, double *out);
    /* from the moments of count elements each */
    void (*statistics)(ptrdiff_t n, double count, double eps, const double *mean, const double *m2, void *hi, void *lo, void *rstd);
    /* r[j] = (1 - momentum) r[j] + momentum scale value[j] */
    void (*running)(ptrdiff_t n, const double *value, double scale, double momentum, void *r);
    /* y = (x - shift) scale + offset normalises: channel c has the statistics c / per_stat, weight w[c] and bias b[c] (each may be
       NULL: 1 and 0); lo NULL: 0 */
    void (*coefs_fwd)(ptrdiff_t channels, ptrdiff_t per_stat, const void *hi, const void *lo, const void *rstd, const void *w,
                      const void *b, void *shift, void *scale, void *offset);
    /* dx = k1 dy + k2 (x - shift) + k3, where `count` elements of per_stat channels share statistics; adds to dw[c] and db[c]
       (each may be NULL). s1, s2 from grad_sums with shift = hi. k1 may be NULL: then k2, k3 and shift are too */
    void (*coefs_bwd)(ptrdiff_t channels, ptrdiff_t per_stat, double count, const void *hi, const void *lo, const void *rstd,
                      const void *w, const double *s1, const double *s2, void *shift, void *k1, void *k2, void *k3, double *dw,
                      double *db);
    /* y[i] = x[i] */
    void (*narrow)(ptrdiff_t n, const double *x, void *y);
    /* y = (x - shift[c]) scale[c] + offset[c] for runs c < channels, ld apart; y may be exactly x. shift and offset NULL: y = x scale */
    void (*affine_runs)(const void *x, void *y, ptrdiff_t ld, ptrdiff_t channels, ptrdiff_t n, const void *shift, const void *scale,
                        const void *offset);
    void (*affine_cols)(const void *x, void *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift, const void *scale,
                        const void *offset);
    /* dx = k1[c] dy + k2[c] (x - shift[c]) + k3[c]; dx may be exactly dy */
    void (*grad_runs)(const void *dy, const void *x, void *dx, ptrdiff_t ld, ptrdiff_t channels, ptrdiff_t n, const void *shift,
                      const void *k1, const void *k2, const void *k3);
    void (*grad_cols)(const void *dy, const void *x, void *dx, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift,
                      const void *k1, const void *k2, const void *k3);
    /* each row of n >= 1 elements: y = (x - mean) rstd w[i] + b[i] (w, b may be NULL), and its statistics. Not centered: mean is 0,
       the variance the mean square, hi and lo may be NULL. y may be exactly x */
    void (*layer_rows)(const void *x, void *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, const void *w, const void *b, double eps,
                       int centered, void *hi, void *lo, void *rstd);
    /* dx (may be NULL), and added to dw[i] and db[i] (each may be NULL) the sums over the rows */
    void (*layer_rows_bwd)(const void *dy, const void *x, void *dx, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, const void *w,
                           const void *hi, const void *lo, const void *rstd, int centered, void *dw, void *db);
    /* y[c][i] = sum of x[d][i] over channels d in [c - below, c + above]; channels x n contiguous elements */
    void (*window_sum)(const void *x, void *y, ptrdiff_t channels, ptrdiff_t n, ptrdiff_t below, ptrdiff_t above);
} pydl_norm;

#endif
