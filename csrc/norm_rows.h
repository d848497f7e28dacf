/* SPDX-License-Identifier: BSD-3-Clause */
/* Layer norm and RMS norm of contiguous rows, and the window over channels of local response norm. Contracts: norm_kernels.h; sums
 * and their accuracy: norm.h.
 */
#ifndef PYDL_NORM_ROWS_H
#define PYDL_NORM_ROWS_H

/* `left` elements of a row: y = h w + b with h = (x - m) a + c, or x a where not centered. */
INLINE void layer_vector(const real *x, real *y, const real *w, const real *b, vreal m, vreal a, vreal c, const int centered,
                         ptrdiff_t left) {
    const vreal v = vload_upto(x, left), h = centered ? vfma(v - m, a, c) : v * a;
    if (w && b) vstore_upto(y, vfma(h, vload_upto(w, left), vload_upto(b, left)), left);
    else if (w) vstore_upto(y, h * vload_upto(w, left), left);
    else vstore_upto(y, b ? h + vload_upto(b, left) : h, left);
}

/* Whole vectors apart from the tail: a test of the length at every access costs as much as the arithmetic. */
INLINE void layer_apply(const real *x, real *y, ptrdiff_t n, const real *w, const real *b, vreal m, vreal a, vreal c, const int centered) {
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) layer_vector(x + i, y + i, w ? w + i : NULL, b ? b + i : NULL, m, a, c, centered, LANES);
    if (i < n) layer_vector(x + i, y + i, w ? w + i : NULL, b ? b + i : NULL, m, a, c, centered, n - i);
}

INLINE void layer_rows_of(const real *x, real *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, const real *w, const real *b, double eps,
                          const int centered, real *hi, real *lo, real *rstd) {
    for (ptrdiff_t r = 0; r < rows; r++, x += ld, y += ld) {
        double mean = 0, m2, ignored;
        if (centered) run_moments(x, 0, 1, n, &mean, &m2);
        else run_sums(SUM_SQUARES, x, x, x, 0, 1, n, 0, &ignored, &m2);
        const real high = (real)mean, low = (real)(mean - (double)high), scale = (real)rstd_of(m2, (double)n, eps);
        const vreal m = vset(high), a = vset(scale), c = vset(-low * scale);
        if (centered) hi[r] = high;
        if (centered) lo[r] = low;
        rstd[r] = scale;
        if (w && b) layer_apply(x, y, n, w, b, m, a, c, centered);
        else if (w) layer_apply(x, y, n, w, NULL, m, a, c, centered);
        else layer_apply(x, y, n, NULL, b, m, a, c, centered);
    }
}

static void layer_rows(const void *x, void *y, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, const void *w, const void *b, double eps,
                       int centered, void *hi, void *lo, void *rstd) {
    if (centered) layer_rows_of(x, y, ld, rows, n, w, b, eps, 1, hi, lo, rstd);
    else layer_rows_of(x, y, ld, rows, n, w, b, eps, 0, hi, lo, rstd);
}

/* `left` elements of a row: dx = k1 w dy + k2 (x - m) + k3, dw += dy h, db += dy with h = (x - m) r + c. */
INLINE void layer_vector_bwd(const real *dy, const real *x, real *dx, const real *w, const vreal coefs[6], real *dw, real *db,
                             ptrdiff_t left) {
    const vreal g = vload_upto(dy, left), d = vload_upto(x, left) - coefs[0];
    if (dx) vstore_upto(dx, vfma(coefs[3], w ? g * vload_upto(w, left) : g, vfma(coefs[4], d, coefs[5])), left);
    if (dw) vstore_upto(dw, vfma(g, vfma(d, coefs[1], coefs[2]), vload_upto(dw, left)), left);
    if (db) vstore_upto(db, g + vload_upto(db, left), left);
}

INLINE void layer_row_apply(const real *dy, const real *x, real *dx, ptrdiff_t n, const real *w, const vreal coefs[6], real *dw, real *db) {
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES)
        layer_vector_bwd(dy + i, x + i, dx ? dx + i : NULL, w ? w + i : NULL, coefs, dw ? dw + i : NULL, db ? db + i : NULL, LANES);
    if (i < n)
        layer_vector_bwd(dy + i, x + i, dx ? dx + i : NULL, w ? w + i : NULL, coefs, dw ? dw + i : NULL, db ? db + i : NULL, n - i);
}

static void layer_rows_bwd(const void *dy_, const void *x_, void *dx_, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n, const void *w_,
                           const void *hi_, const void *lo_, const void *rstd_, int centered, void *dw, void *db) {
    const real *w = w_, *hi = hi_, *lo = lo_, *rstd = rstd_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *dy = (const real *)dy_ + r * ld, *x = (const real *)x_ + r * ld;
        real *dx = dx_ ? (real *)dx_ + r * ld : NULL;
        const real high = centered ? hi[r] : 0, low = centered ? lo[r] : 0;
        const double s = rstd[r];
        double sum = 0, dot = 0;
        if (dx && w) run_sums(SUM_WEIGHTED, dy, x, w, 0, 1, n, high, &sum, &dot);
        else if (dx) run_sums(SUM_GRADS, dy, x, x, 0, 1, n, high, &sum, &dot);
        const double slope = -s * s * s * (dot - (double)low * sum) / (double)n;
        const double rest = centered ? -s * sum / (double)n - slope * (double)low : 0;
        const vreal coefs[6] = {vset(high), vset(rstd[r]), vset(-low * rstd[r]), vset(rstd[r]), vset((real)slope), vset((real)rest)};
        if (dx && w && dw && db) layer_row_apply(dy, x, dx, n, w, coefs, dw, db);
        else layer_row_apply(dy, x, dx, n, w, coefs, dw, db);
    }
}

/* --- local response norm ------------------------------------------------------------------------------------------------- */

static void window_sum(const void *x_, void *y_, ptrdiff_t channels, ptrdiff_t n, ptrdiff_t below, ptrdiff_t above) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const ptrdiff_t first = c > below ? c - below : 0, end = channels - c - 1 > above ? c + above + 1 : channels;
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            vreal s = {0};
            for (ptrdiff_t d = first; d < end; d++) s += vload_upto(x + d * n + i, n - i);
            vstore_upto(y + c * n + i, s, n - i);
        }
    }
}

#endif
