/* SPDX-License-Identifier: BSD-3-Clause */
/* Normalisations: moments, sums of the backward pass, and the passes that apply them. Contracts: norm_kernels.h.
 *
 * The variance takes two passes over a part that lies in the cache, the second about the part's own mean m:
 *   mean = m + sum (x - m) / n,   M2 = sum (x - m)^2 - (sum (x - m))^2 / n
 * and parts are folded in double, so that nothing is lost where the mean is 1e6 times the deviation. What x - mean needs beyond
 * the element type, lo, goes into the offset: (x - hi) scale + (b - lo scale). Long runs are added in blocks whose sums go to a
 * double, columns one row at a time: the caller keeps parts short. NaN gives NaN, an infinity an infinite mean and variance NaN.
 */
#ifndef PYDL_NORM_H
#define PYDL_NORM_H

enum { RUN_WAYS = 4, RUN_BLOCK = RUN_WAYS * 64 * (int)LANE_COUNT }; /* accumulators; elements of a run between additions to a double */

/* What is summed: x; d and d^2 with d = x - m; dy and dy d; nothing and x^2; w dy and w dy d. */
typedef enum { SUM_X, SUM_MOMENTS, SUM_GRADS, SUM_SQUARES, SUM_WEIGHTED } sum_kind;

/* --- runs ---------------------------------------------------------------------------------------------------------------- */

/* Adds the terms of n <= LANES elements to *p and *q. */
INLINE void add_terms(const sum_kind kind, const real *dy, const real *x, const real *w, vreal m, ptrdiff_t n, vreal *p, vreal *q) {
    const vreal v = vload_upto(x, n);
    if (kind == SUM_X) {
        *p += v;
    } else if (kind == SUM_SQUARES) {
        *q = vfma(v, v, *q);
    } else {
        vreal d = v - m;
        if (n < LANES) d = vselect(vlane_index() < (ireal)n, d, vset(0)); /* lanes behind the end: dy is 0, but m may be infinite */
        const vreal g = kind == SUM_MOMENTS ? d : kind == SUM_WEIGHTED ? vload_upto(dy, n) * vload_upto(w, n) : vload_upto(dy, n);
        *p += g;
        *q = vfma(g, d, *q);
    }
}

/* The sums over m runs of n elements, ld apart. */
INLINE void run_sums(const sum_kind kind, const real *dy, const real *x, const real *w, ptrdiff_t ld, ptrdiff_t m, ptrdiff_t n, real mean,
                     double *p_out, double *q_out) {
    vreal p[RUN_WAYS] = {{0}}, q[RUN_WAYS] = {{0}};
    const vreal shift = vset(mean);
    double p_total = 0, q_total = 0;
    ptrdiff_t since = 0;
    for (ptrdiff_t r = 0; r < m; r++) {
        for (ptrdiff_t start = 0; start < n; start += RUN_BLOCK) {
            const ptrdiff_t end = n - start < RUN_BLOCK ? n : start + RUN_BLOCK;
            ptrdiff_t i = start;
            for (; i + RUN_WAYS * LANES <= end; i += RUN_WAYS * LANES) {
#pragma GCC unroll 4
                for (int k = 0; k < RUN_WAYS; k++) {
                    const ptrdiff_t at = i + k * LANES;
                    add_terms(kind, dy + at, x + at, w + at, shift, LANES, &p[k], &q[k]);
                }
            }
            for (; i < end; i += LANES) add_terms(kind, dy + i, x + i, w + i, shift, end - i, &p[0], &q[0]);
            since += end - start;
            if (since < RUN_BLOCK && r < m - 1) continue;
            p_total += vsum((p[0] + p[1]) + (p[2] + p[3]));
            q_total += vsum((q[0] + q[1]) + (q[2] + q[3]));
            for (int k = 0; k < RUN_WAYS; k++) p[k] = q[k] = vset(0);
            since = 0;
        }
        x += ld;
        dy += ld;
    }
    *p_out = p_total;
    *q_out = q_total;
}

/* Of count elements with sum (x - m) = p and sum (x - m)^2 = q. */
INLINE void moments_about(double m, double p, double q, double count, double *mean, double *m2) {
    const double shift = p / count;
    *mean = shift == shift ? m + shift : m; /* m infinite: p is NaN */
    *m2 = q - p * shift;
}

INLINE void run_moments(const real *x, ptrdiff_t ld, ptrdiff_t m, ptrdiff_t n, double *mean, double *m2) {
    double p, q;
    const double count = (double)m * (double)n;
    run_sums(SUM_X, x, x, x, ld, m, n, 0, &p, &q);
    const real middle = (real)(p / count);
    run_sums(SUM_MOMENTS, x, x, x, ld, m, n, middle, &p, &q);
    moments_about((double)middle, p, q, count, mean, m2);
}

static void moments_runs(const void *x, ptrdiff_t ldx, ptrdiff_t m, ptrdiff_t n, double *mean, double *m2) {
    run_moments(x, ldx, m, n, mean, m2);
}

static void grad_sums_runs(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t m, ptrdiff_t n, const void *shift, double *s1,
                           double *s2) {
    run_sums(SUM_GRADS, dy, x, x, ld, m, n, *(const real *)shift, s1, s2);
}

/* --- columns ------------------------------------------------------------------------------------------------------------- */

/* The sums of `ways` vectors of columns, of which `width` columns exist; each column is added one row at a time. */
INLINE void column_sums(const sum_kind kind, const real *dy, const real *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t width,
                        const real *shift, const int ways, vreal *p_out, vreal *q_out) {
    vreal p[8], q[8], m[8];
#pragma GCC unroll 8
    for (int k = 0; k < ways; k++) {
        p[k] = q[k] = m[k] = vset(0);
        if (shift) m[k] = vload_upto(shift + k * LANES, width - k * LANES);
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int k = 0; k < ways; k++)
            add_terms(kind, dy + r * ld + k * LANES, x + r * ld + k * LANES, NULL, m[k], ways == 1 ? width : LANES, &p[k], &q[k]);
    }
#pragma GCC unroll 8
    for (int k = 0; k < ways; k++) {
        p_out[k] = p[k];
        q_out[k] = q[k];
    }
}

INLINE void columns_of(const sum_kind kind, const real *dy, const real *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t width,
                       const real *shift, vreal *p, vreal *q) {
    if (width >= 4 * LANES) column_sums(kind, dy, x, ld, rows, 4 * LANES, shift, 4, p, q);
    else if (width >= 2 * LANES) column_sums(kind, dy, x, ld, rows, 2 * LANES, shift, 2, p, q);
    else column_sums(kind, dy, x, ld, rows, width < LANES ? width : LANES, shift, 1, p, q);
}
/* How many columns that took. */
INLINE ptrdiff_t columns_taken(ptrdiff_t width) {
    return width >= 4 * LANES ? 4 * LANES : width >= 2 * LANES ? 2 * LANES : width < LANES ? width : LANES;
}

static void moments_cols(const void *x_, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t cols, double *mean, double *m2) {
    const real *x = x_;
    vreal p[4], q[4];
    real middle[4 * LANE_COUNT];
    for (ptrdiff_t j = 0, taken; j < cols; j += taken) {
        taken = columns_taken(cols - j);
        columns_of(SUM_X, x + j, x + j, ldx, rows, taken, NULL, p, q);
        for (ptrdiff_t k = 0; k * LANES < taken; k++) vstore(middle + k * LANES, p[k] / vset((real)rows));
        columns_of(SUM_MOMENTS, x + j, x + j, ldx, rows, taken, middle, p, q);
        for (ptrdiff_t k = 0; k < taken; k++)
            moments_about(middle[k], p[k / LANES][k % LANES], q[k / LANES][k % LANES], (double)rows, &mean[j + k], &m2[j + k]);
    }
}

static void grad_sums_cols(const void *dy_, const void *x_, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift, double *s1,
                           double *s2) {
    const real *dy = dy_, *x = x_;
    vreal p[4], q[4];
    for (ptrdiff_t j = 0, taken; j < cols; j += taken) {
        taken = columns_taken(cols - j);
        columns_of(SUM_GRADS, dy + j, x + j, ld, rows, taken, (const real *)shift + j, p, q);
        for (ptrdiff_t k = 0; k < taken; k++) {
            s1[j + k] = p[k / LANES][k % LANES];
            s2[j + k] = q[k / LANES][k % LANES];
        }
    }
}

/* --- small arrays: one number a channel ---------------------------------------------------------------------------------- */

static void fold_moments(ptrdiff_t parts, ptrdiff_t part_stride, ptrdiff_t cols, ptrdiff_t col_stride, const double *count,
                         const double *mean, const double *m2, double *mean_out, double *m2_out) {
    double n = 0;
    for (ptrdiff_t p = 0; p < parts; p++) n += count[p];
    for (ptrdiff_t j = 0; j < cols; j++) mean_out[j] = m2_out[j] = 0;
    for (ptrdiff_t p = 0; p < parts; p++)
        for (ptrdiff_t j = 0; j < cols; j++) mean_out[j] += mean[p * part_stride + j * col_stride] * (count[p] / n);
    for (ptrdiff_t p = 0; p < parts; p++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const double d = mean[p * part_stride + j * col_stride] - mean_out[j];
            m2_out[j] += m2[p * part_stride + j * col_stride] + count[p] * d * d;
        }
}

static void fold_sums(ptrdiff_t parts, ptrdiff_t part_stride, ptrdiff_t cols, const double *s, double *out) {
    for (ptrdiff_t j = 0; j < cols; j++) out[j] = 0;
    for (ptrdiff_t p = 0; p < parts; p++)
        for (ptrdiff_t j = 0; j < cols; j++) out[j] += s[p * part_stride + j];
}

INLINE double rstd_of(double m2, double count, double eps) { return 1 / __builtin_sqrt(m2 / count + eps); }

static void statistics(ptrdiff_t n, double count, double eps, const double *mean, const double *m2, void *hi_, void *lo_, void *rstd_) {
    real *hi = hi_, *lo = lo_, *rstd = rstd_;
    for (ptrdiff_t i = 0; i < n; i++) {
        hi[i] = (real)mean[i];
        lo[i] = (real)(mean[i] - (double)hi[i]);
        rstd[i] = (real)rstd_of(m2[i], count, eps);
    }
}

static void running(ptrdiff_t n, const double *value, double scale, double momentum, void *r_) {
    real *r = r_;
    for (ptrdiff_t i = 0; i < n; i++) r[i] = (real)((1 - momentum) * (double)r[i] + momentum * (value[i] * scale));
}

static void coefs_fwd(ptrdiff_t channels, ptrdiff_t per_stat, const void *hi_, const void *lo_, const void *rstd_, const void *w_,
                      const void *b_, void *shift_, void *scale_, void *offset_) {
    const real *hi = hi_, *lo = lo_, *rstd = rstd_, *w = w_, *b = b_;
    real *shift = shift_, *scale = scale_, *offset = offset_;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const ptrdiff_t s = c / per_stat;
        shift[c] = hi[s];
        scale[c] = w ? rstd[s] * w[c] : rstd[s];
        offset[c] = (b ? b[c] : 0) - (lo ? lo[s] * scale[c] : 0);
    }
}

static void coefs_bwd(ptrdiff_t channels, ptrdiff_t per_stat, double count, const void *hi_, const void *lo_, const void *rstd_,
                      const void *w_, const double *s1, const double *s2, void *shift_, void *k1_, void *k2_, void *k3_, double *dw,
                      double *db) {
    const real *hi = hi_, *lo = lo_, *rstd = rstd_, *w = w_;
    real *shift = shift_, *k1 = k1_, *k2 = k2_, *k3 = k3_;
    for (ptrdiff_t first = 0; first < channels; first += per_stat) {
        const ptrdiff_t s = first / per_stat, end = first + per_stat;
        const double r = rstd[s], low = lo ? (double)lo[s] : 0;
        double sum = 0, dot = 0; /* of w dy, and of w dy (x - mean) */
        for (ptrdiff_t c = first; c < end; c++) {
            const double about_mean = s2[c] - low * s1[c];
            sum += w ? (double)w[c] * s1[c] : s1[c];
            dot += w ? (double)w[c] * about_mean : about_mean;
            if (dw) dw[c] += about_mean * r;
            if (db) db[c] += s1[c];
        }
        if (!k1) continue;
        const double slope = -r * r * r * dot / count;
        for (ptrdiff_t c = first; c < end; c++) {
            shift[c] = hi[s];
            k1[c] = (real)(w ? r * (double)w[c] : r);
            k2[c] = (real)slope;
            k3[c] = (real)(-r * sum / count - slope * low);
        }
    }
}

static void narrow(ptrdiff_t n, const double *x, void *y_) {
    real *y = y_;
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (real)x[i];
}

/* --- the passes that apply ----------------------------------------------------------------------------------------------- */

static void affine_runs(const void *x_, void *y_, ptrdiff_t ld, ptrdiff_t channels, ptrdiff_t n, const void *shift_, const void *scale_,
                        const void *offset_) {
    const real *shift = shift_, *scale = scale_, *offset = offset_;
    for (ptrdiff_t c = 0; c < channels; c++) {
        const real *x = (const real *)x_ + c * ld;
        real *y = (real *)y_ + c * ld;
        const vreal a = vset(scale[c]);
        if (!shift) {
            for (ptrdiff_t i = 0; i < n; i += LANES) vstore_upto(y + i, vload_upto(x + i, n - i) * a, n - i);
            continue;
        }
        const vreal m = vset(shift[c]), b = vset(offset[c]);
        ptrdiff_t i = 0;
        for (; i + 4 * LANES <= n; i += 4 * LANES) {
#pragma GCC unroll 4
            for (ptrdiff_t k = 0; k < 4 * LANES; k += LANES) vstore(y + i + k, vfma(vload(x + i + k) - m, a, b));
        }
        for (; i < n; i += LANES) vstore_upto(y + i, vfma(vload_upto(x + i, n - i) - m, a, b), n - i);
    }
}

/* Rows [0, count) of one vector of columns; count is a constant, so that the coefficients are loaded once for them all. */
INLINE void affine_block(const real *x, real *y, ptrdiff_t ld, ptrdiff_t width, const real *shift, const real *scale, const real *offset,
                         const int count) {
    const vreal a = vload_upto(scale, width);
    const vreal m = shift ? vload_upto(shift, width) : vset(0), b = shift ? vload_upto(offset, width) : vset(0);
#pragma GCC unroll 4
    for (int r = 0; r < count; r++) {
        const vreal v = vload_upto(x + r * ld, width);
        vstore_upto(y + r * ld, shift ? vfma(v - m, a, b) : v * a, width);
    }
}

enum { ROWS_AT_ONCE = 4 };

static void affine_cols(const void *x_, void *y_, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift_, const void *scale_,
                        const void *offset_) {
    const real *x = x_, *shift = shift_, *scale = scale_, *offset = offset_;
    real *y = y_;
    for (ptrdiff_t r = 0; r < rows;) {
        const int four = rows - r >= ROWS_AT_ONCE;
        for (ptrdiff_t j = 0; j < cols; j += LANES) {
            const real *m = shift ? shift + j : NULL, *b = shift ? offset + j : NULL;
            const ptrdiff_t at = r * ld + j;
            if (four && cols - j >= LANES) affine_block(x + at, y + at, ld, LANES, m, scale + j, b, ROWS_AT_ONCE);
            else if (four) affine_block(x + at, y + at, ld, cols - j, m, scale + j, b, ROWS_AT_ONCE);
            else affine_block(x + at, y + at, ld, cols - j, m, scale + j, b, 1);
        }
        r += four ? ROWS_AT_ONCE : 1;
    }
}

INLINE vreal grad_of(vreal dy, vreal x, vreal m, vreal k1, vreal k2, vreal k3) { return vfma(k1, dy, vfma(k2, x - m, k3)); }

static void grad_runs(const void *dy_, const void *x_, void *dx_, ptrdiff_t ld, ptrdiff_t channels, ptrdiff_t n, const void *shift,
                      const void *k1_, const void *k2_, const void *k3_) {
    for (ptrdiff_t c = 0; c < channels; c++) {
        const real *dy = (const real *)dy_ + c * ld, *x = (const real *)x_ + c * ld;
        real *dx = (real *)dx_ + c * ld;
        const vreal m = vset(((const real *)shift)[c]), k1 = vset(((const real *)k1_)[c]);
        const vreal k2 = vset(((const real *)k2_)[c]), k3 = vset(((const real *)k3_)[c]);
        ptrdiff_t i = 0;
        for (; i + 4 * LANES <= n; i += 4 * LANES) {
#pragma GCC unroll 4
            for (ptrdiff_t k = i; k < i + 4 * LANES; k += LANES)
                vstore(dx + k, grad_of(vload(dy + k), vload(x + k), m, k1, k2, k3));
        }
        for (; i < n; i += LANES)
            vstore_upto(dx + i, grad_of(vload_upto(dy + i, n - i), vload_upto(x + i, n - i), m, k1, k2, k3), n - i);
    }
}

INLINE void grad_block(const real *dy, const real *x, real *dx, ptrdiff_t ld, ptrdiff_t width, const real *shift, const real *k1_,
                       const real *k2_, const real *k3_, const int count) {
    const vreal m = vload_upto(shift, width), k1 = vload_upto(k1_, width), k2 = vload_upto(k2_, width), k3 = vload_upto(k3_, width);
#pragma GCC unroll 4
    for (int r = 0; r < count; r++)
        vstore_upto(dx + r * ld, grad_of(vload_upto(dy + r * ld, width), vload_upto(x + r * ld, width), m, k1, k2, k3), width);
}

static void grad_cols(const void *dy_, const void *x_, void *dx_, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, const void *shift_,
                      const void *k1_, const void *k2_, const void *k3_) {
    const real *dy = dy_, *x = x_, *shift = shift_, *k1 = k1_, *k2 = k2_, *k3 = k3_;
    real *dx = dx_;
    for (ptrdiff_t r = 0; r < rows;) {
        const int four = rows - r >= ROWS_AT_ONCE;
        for (ptrdiff_t j = 0; j < cols; j += LANES) {
            const ptrdiff_t at = r * ld + j;
            if (four && cols - j >= LANES)
                grad_block(dy + at, x + at, dx + at, ld, LANES, shift + j, k1 + j, k2 + j, k3 + j, ROWS_AT_ONCE);
            else if (four) grad_block(dy + at, x + at, dx + at, ld, cols - j, shift + j, k1 + j, k2 + j, k3 + j, ROWS_AT_ONCE);
            else grad_block(dy + at, x + at, dx + at, ld, cols - j, shift + j, k1 + j, k2 + j, k3 + j, 1);
        }
        r += four ? ROWS_AT_ONCE : 1;
    }
}

#endif
