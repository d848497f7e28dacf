/* SPDX-License-Identifier: BSD-3-Clause */
/* Softmax and cross-entropy over contiguous rows (n >= 1 elements, ld elements apart).
 *
 *   softmax       y = e^(x - m) / s,  m = max x, s = sum e^(x - m)          dx = y (dy - sum dy y)
 *   log_softmax   y = (x - m) - log s                                       dx = dy - e^y sum dy
 *   cross-entropy, class weights w (1 if absent), smoothing a, target t, W = sum w:
 *                 loss = -(1 - a) w_t log p_t - (a / n) sum_c w_c log p_c
 *                 dx   = g ((1 - a) w_t (p - [c = t]) + (a / n) (W p - w_c))      for the loss's gradient g
 *
 * x - m and log s stay apart, so that logits of +-1e4 lose nothing. As PyTorch: a row with NaN or +inf, or all -inf, gives NaN;
 * single -inf elements have probability 0. y may be exactly x, dx exactly dy, y or the saved exponentials.
 */
#ifndef PYDL_SOFTMAX_H
#define PYDL_SOFTMAX_H

#include "reduce.h"

enum { EXP_SUM_BLOCK = 64 * (int)LANE_COUNT }; /* elements between two additions to a row's total */

/* Largest element; anything where the row holds NaN (the sum of exponentials is NaN then). */
INLINE real row_max(const real *x, ptrdiff_t n) {
    const vreal lowest = vset(-(real)__builtin_inff());
    vreal a = lowest, b = lowest;
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a = vmax(a, vload(x + i));
        b = vmax(b, vload(x + i + LANES));
    }
    for (; i < n; i += LANES) {
        const ptrdiff_t left = n - i;
        a = vmax(a, left >= LANES ? vload(x + i) : vselect(vlane_index() < (ireal)left, vload_n(x + i, left), lowest));
    }
    return vlargest(vmax(a, b));
}

/* sum e^(x - m), and where e is not NULL e[i] = e^(x[i] - m). */
INLINE real exp_row(const real *x, real m_, real *e, ptrdiff_t n) {
    const vreal m = vset(m_);
    vreal total = {0};
    for (ptrdiff_t start = 0; start < n; start += EXP_SUM_BLOCK) {
        const ptrdiff_t end = n - start < EXP_SUM_BLOCK ? n : start + EXP_SUM_BLOCK;
        vreal a = {0};
        ptrdiff_t i = start;
        for (; i + LANES <= end; i += LANES) {
            const vreal v = vexp(vload(x + i) - m);
            if (e) vstore(e + i, v);
            a += v;
        }
        if (i < end) {
            const vreal v = vexp(vload_n(x + i, end - i) - m);
            if (e) vstore_n(e + i, v, end - i);
            a += vselect(vlane_index() < (ireal)(end - i), v, vset(0));
        }
        total += a;
    }
    return vsum(total);
}

INLINE real log_scalar(real s) { return vlog(vset(s))[0]; }

static void softmax_rows(const void *x_, ptrdiff_t ldx, void *y_, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        const vreal s = vset(exp_row(x, row_max(x, n), y, n));
        for (ptrdiff_t i = 0; i < n; i += LANES) vstore_upto(y + i, vload_upto(y + i, n - i) / s, n - i);
    }
}

static void log_softmax_rows(const void *x_, ptrdiff_t ldx, void *y_, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        const real max = row_max(x, n);
        const vreal m = vset(max), log_s = vset(log_scalar(exp_row(x, max, NULL, n)));
        for (ptrdiff_t i = 0; i < n; i += LANES) vstore_upto(y + i, vload_upto(x + i, n - i) - m - log_s, n - i);
    }
}

INLINE real dot_row(const real *a, const real *b, ptrdiff_t n) {
    vreal total = {0};
    for (ptrdiff_t start = 0; start < n; start += EXP_SUM_BLOCK) {
        const ptrdiff_t end = n - start < EXP_SUM_BLOCK ? n : start + EXP_SUM_BLOCK;
        vreal s = {0};
        for (ptrdiff_t i = start; i < end; i += LANES) s = vfma(vload_upto(a + i, end - i), vload_upto(b + i, end - i), s);
        total += s;
    }
    return vsum(total);
}

static void softmax_rows_bwd(const void *dy_, ptrdiff_t lddy, const void *y_, ptrdiff_t ldy, void *dx_, ptrdiff_t lddx, ptrdiff_t rows,
                             ptrdiff_t n) {
    const real *dy = dy_, *y = y_;
    real *dx = dx_;
    for (ptrdiff_t r = 0; r < rows; r++, dy += lddy, y += ldy, dx += lddx) {
        const vreal s = vset(dot_row(dy, y, n));
        for (ptrdiff_t i = 0; i < n; i += LANES)
            vstore_upto(dx + i, vload_upto(y + i, n - i) * (vload_upto(dy + i, n - i) - s), n - i);
    }
}

static void log_softmax_rows_bwd(const void *dy_, ptrdiff_t lddy, const void *y_, ptrdiff_t ldy, void *dx_, ptrdiff_t lddx,
                                 ptrdiff_t rows, ptrdiff_t n) {
    const real *dy = dy_, *y = y_;
    real *dx = dx_;
    for (ptrdiff_t r = 0; r < rows; r++, dy += lddy, y += ldy, dx += lddx) {
        const vreal s = vset(n <= ROW_BLOCK ? vsum(sum_block(dy, n)) : sum_row(dy, n));
        for (ptrdiff_t i = 0; i < n; i += LANES)
            vstore_upto(dx + i, vfma(-vexp(vload_upto(y + i, n - i)), s, vload_upto(dy + i, n - i)), n - i);
    }
}

/* --- cross-entropy ------------------------------------------------------------------------------------------------------- */

/* First position whose target is neither `ignore` nor in [0, classes); -1 if all are fine. */
static ptrdiff_t target_check(const int64_t *target, ptrdiff_t st, ptrdiff_t rows, int64_t classes, int64_t ignore) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const int64_t t = target[r * st];
        if (t != ignore && (t < 0 || t >= classes)) return r;
    }
    return -1;
}

/* sum_c w_c (x_c - m), w = 1 if NULL */
INLINE real weighted_logits(const real *x, const real *w, real m_, ptrdiff_t n) {
    const vreal m = vset(m_);
    vreal total = {0};
    for (ptrdiff_t start = 0; start < n; start += EXP_SUM_BLOCK) {
        const ptrdiff_t end = n - start < EXP_SUM_BLOCK ? n : start + EXP_SUM_BLOCK;
        vreal s = {0};
        for (ptrdiff_t i = start; i < end; i += LANES) {
            vreal v = vload_upto(x + i, end - i) - m;
            if (w) v = v * vload_upto(w + i, end - i);
            s += end - i >= LANES ? v : vselect(vlane_index() < (ireal)(end - i), v, vset(0));
        }
        total += s;
    }
    return vsum(total);
}

static void cross_entropy_rows(const void *x_, ptrdiff_t ldx, const int64_t *target, ptrdiff_t st, ptrdiff_t rows, ptrdiff_t n,
                               const void *weight, int64_t ignore, double smoothing, void *loss_, void *row_weight_, void *e_,
                               ptrdiff_t lde, void *sum_) {
    const real *x = x_, *w = weight;
    real *loss = loss_, *row_weight = row_weight_, *e = e_, *sum = sum_;
    const real a = (real)smoothing;
    const real total_weight = a == 0 ? 0 : w ? sum_row(w, n) : (real)n;
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx) {
        const int64_t t = target[r * st];
        const real max = row_max(x, n);
        const real s = exp_row(x, max, e ? e + r * lde : NULL, n);
        if (sum) sum[r] = s;
        loss[r] = row_weight[r] = 0;
        if (t == ignore) continue;
        const real log_s = log_scalar(s);
        row_weight[r] = w ? w[t] : 1;
        loss[r] = (1 - a) * row_weight[r] * (log_s - (x[t] - max));
        if (a != 0) loss[r] += a / (real)n * (total_weight * log_s - weighted_logits(x, w, max, n));
    }
}

static void cross_entropy_rows_bwd(const void *e_, ptrdiff_t lde, const void *sum_, const int64_t *target, ptrdiff_t st, ptrdiff_t rows,
                                   ptrdiff_t n, const void *weight, int64_t ignore, double smoothing, const void *g_, ptrdiff_t sg,
                                   void *dx_, ptrdiff_t lddx) {
    const real *e = e_, *sum = sum_, *w = weight, *g = g_;
    real *dx = dx_;
    const real a = (real)smoothing;
    const real total_weight = a == 0 ? 0 : w ? sum_row(w, n) : (real)n;
    for (ptrdiff_t r = 0; r < rows; r++, e += lde, dx += lddx) {
        const int64_t t = target[r * st];
        if (t == ignore) {
            memset(dx, 0, (size_t)n * sizeof(real));
            continue;
        }
        const real hard = g[r * sg] * (1 - a) * (w ? w[t] : 1), soft = g[r * sg] * a / (real)n;
        const vreal scale = vset((hard + soft * total_weight) / sum[r]), down = vset(-soft);
        for (ptrdiff_t i = 0; i < n; i += LANES) {
            vreal v = vload_upto(e + i, n - i) * scale;
            if (a != 0) v = w ? vfma(down, vload_upto(w + i, n - i), v) : v + down;
            vstore_upto(dx + i, v, n - i);
        }
        dx[t] -= hard;
    }
}

#endif
