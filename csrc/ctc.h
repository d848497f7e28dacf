/* SPDX-License-Identifier: BSD-3-Clause */
/* Connectionist temporal classification: the forward and the backward recursion over one sequence, in logarithms. Contracts:
 * ctc_kernels.h; the recursions are those of Graves et al. 2006, equations 6, 7, 10, 11 and 15.
 *
 * Blanks and labels stand apart, so that a vector holds neighbours of one kind: a blank is reached in two ways, a label in three.
 * A state that no path reaches is CTC_DEAD, a finite number: differences of two such are 0, and no infinity becomes NaN.
 * Each step takes the largest element of the step before off, so that elements stay near 0 where paths are likely.
 */
#ifndef PYDL_CTC_H
#define PYDL_CTC_H

#if PYDL_F64
#define CTC_DEAD (-1e300)
#else
#define CTC_DEAD (-1e37f)
#endif

/* vmax(a, b) is b where either is NaN: the order below keeps the NaN of a state, and that of the largest element drops it. */
INLINE vreal ctc_alive(vreal x) { return vmax(vset(CTC_DEAD), x); }
INLINE vreal ctc_larger(vreal largest, vreal x) { return vmax(x, largest); }

/* log(e^a + e^b); beyond EXP_NORMAL the smaller one no longer counts. */
INLINE vreal ctc_add2(vreal a, vreal b) {
    const vreal less = vmin(vset(EXP_NORMAL), vabs(a - b));
    return vmax(a, b) + vlog(vexp(-less) + 1);
}

INLINE vreal ctc_share(vreal x, vreal largest) { return vexp(vmax(vset(-EXP_NORMAL), x - largest)); }

INLINE vreal ctc_add3(vreal a, vreal b, vreal c) {
    const vreal largest = vmax(vmax(a, b), c);
    return largest + vlog(ctc_share(a, largest) + ctc_share(b, largest) + ctc_share(c, largest));
}

/* Lanes behind the last state do not count. */
INLINE vreal ctc_first(vreal x, ptrdiff_t left) {
    return left >= LANES ? x : vselect(vlane_index() < (ireal)left, x, vset(CTC_DEAD));
}

/* skip[i]: 0 where a path may go from label i - 1 to label i, else CTC_DEAD; skip[n] = CTC_DEAD. */
static void ctc_skips(const int64_t *labels, ptrdiff_t n, real *skip) {
    skip[0] = skip[n] = CTC_DEAD;
    for (ptrdiff_t i = 1; i < n; i++) skip[i] = labels[i] != labels[i - 1] ? 0 : CTC_DEAD;
}

static void ctc_read_labels(const real *lp, const int64_t *labels, ptrdiff_t n, real *e) {
    for (ptrdiff_t i = 0; i < n; i++) e[i] = lp[labels[i]];
}

/* The states after one step from those before it, all less `offset`; returns the largest. e[n]: log-probabilities of the labels. */
static real ctc_step(const real *before, real *after, ptrdiff_t n, real blank, const real *e, const real *skip, real offset) {
    const real *from = before + n + 1;
    real *to = after + n + 1;
    const vreal off = vset(offset), blanks = vset(blank) - off;
    vreal largest = vset(CTC_DEAD);
    for (ptrdiff_t i = 0; i <= n; i += LANES) {
        const ptrdiff_t left = n + 1 - i;
        const vreal y = ctc_alive(ctc_add2(vload_upto(before + i, left), vload_upto(from + i, left)) + blanks);
        vstore_upto(after + i, y, left);
        largest = ctc_larger(largest, ctc_first(y, left));
    }
    to[0] = CTC_DEAD;
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t left = n - i;
        const vreal skipped = vload_upto(from + i, left) + vload_upto(skip + i, left);
        const vreal reached = ctc_add3(vload_upto(from + 1 + i, left), vload_upto(before + i, left), skipped);
        const vreal y = ctc_alive(reached + (vload_upto(e + i, left) - off));
        vstore_upto(to + 1 + i, y, left);
        largest = ctc_larger(largest, ctc_first(y, left));
    }
    return vlargest(largest);
}

static double ctc_forward(const void *lp_, ptrdiff_t ldt, ptrdiff_t steps, const int64_t *labels, ptrdiff_t n, int64_t blank, void *rows_,
                          int keep, void *scratch) {
    const real *lp = lp_;
    real *skip = scratch, *e = skip + n + 1, *start = e + n + 1, *row = start;
    ctc_skips(labels, n, skip);
    for (ptrdiff_t i = 0; i < 2 * (n + 1); i++) start[i] = i ? CTC_DEAD : 0; /* in front of everything: blank 0, with certainty */
    double total = 0;
    real offset = 0;
    for (ptrdiff_t t = 0; t < steps; t++, lp += ldt) {
        real *next = (real *)rows_ + (keep ? t : t & 1) * 2 * (n + 1);
        ctc_read_labels(lp, labels, n, e);
        const real largest = ctc_step(row, next, n, lp[blank], e, skip, offset);
        total += offset;
        offset = largest;
        row = next;
        if (largest > CTC_DEAD / 2) continue;
        for (ptrdiff_t i = 0; i < 2 * (n + 1); i++)
            if (row[i] != row[i]) return row[i];
        return -__builtin_inf();
    }
    const real end = ctc_add2(vset(row[n]), vset(row[2 * n + 1]))[0];
    return end <= CTC_DEAD / 2 ? -__builtin_inf() : total + end;
}

/* row[i] = e^(alpha + beta - largest) of the n + 1 blanks and the n labels; returns their sum. */
static real ctc_weights(const real *alpha, const real *beta, ptrdiff_t n, real *row) {
    vreal largest = vset(CTC_DEAD) * 2, sum = {0};
    for (int part = 0; part < 2; part++) {
        const ptrdiff_t at = part ? n + 1 : 0, m = n + 1 - part;
        for (ptrdiff_t i = 0; i < m; i += LANES) {
            const vreal y = vload_upto(alpha + at + part + i, m - i) + vload_upto(beta + at + i, m - i);
            vstore_upto(row + at + i, y, m - i);
            largest = ctc_larger(largest, m - i >= LANES ? y : vselect(vlane_index() < (ireal)(m - i), y, largest));
        }
    }
    const vreal top = vset(vlargest(largest));
    for (ptrdiff_t i = 0; i < 2 * n + 1; i += LANES) {
        const ptrdiff_t left = 2 * n + 1 - i;
        const vreal y = vexp(vload_upto(row + i, left) - top);
        vstore_upto(row + i, y, left);
        sum += left >= LANES ? y : vselect(vlane_index() < (ireal)left, y, vset(0));
    }
    return vsum(sum);
}

/* beta of the step before from that of this one (what follows this step, without it), through `here`, which has this step too;
 * returns the largest of `here`. */
static real ctc_step_back(real *beta, real *here, ptrdiff_t n, real blank, const real *e, const real *skip, real offset) {
    real *labels = beta + n + 1, *through = here + n + 1;
    const vreal off = vset(offset), blanks = vset(blank) - off;
    vreal largest = vset(CTC_DEAD);
    for (ptrdiff_t i = 0; i <= n; i += LANES) {
        const vreal y = ctc_alive(vload_upto(beta + i, n + 1 - i) + blanks);
        vstore_upto(here + i, y, n + 1 - i);
        largest = ctc_larger(largest, ctc_first(y, n + 1 - i));
    }
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const vreal y = ctc_alive(vload_upto(labels + i, n - i) + (vload_upto(e + i, n - i) - off));
        vstore_upto(through + i, y, n - i);
        largest = ctc_larger(largest, ctc_first(y, n - i));
    }
    through[n] = CTC_DEAD;
    for (ptrdiff_t i = 0; i <= n; i += LANES) {
        const ptrdiff_t left = n + 1 - i;
        vstore_upto(beta + i, ctc_add2(vload_upto(here + i, left), vload_upto(through + i, left)), left);
    }
    for (ptrdiff_t i = 0; i < n; i += LANES) {
        const ptrdiff_t left = n - i;
        const vreal skipped = vload_upto(through + i + 1, left) + vload_upto(skip + i + 1, left);
        vstore_upto(labels + i, ctc_add3(vload_upto(through + i, left), vload_upto(here + i + 1, left), skipped), left);
    }
    return vlargest(largest);
}

static void ctc_backward(const void *lp_, ptrdiff_t ldt, ptrdiff_t steps, const int64_t *labels, ptrdiff_t n, int64_t blank,
                         const void *rows_, double g, void *dlp_, ptrdiff_t lddt, void *scratch) {
    const real *lp = (const real *)lp_ + (steps - 1) * ldt, *row = (const real *)rows_ + (steps - 1) * 2 * (n + 1);
    real *dlp = (real *)dlp_ + (steps - 1) * lddt;
    real *skip = scratch, *e = skip + n + 1, *beta = e + n + 1, *here = beta + 2 * (n + 1), *weight = here + 2 * (n + 1), offset = 0;
    ctc_skips(labels, n, skip);
    for (ptrdiff_t i = 0; i < 2 * (n + 1); i++) beta[i] = i == n || (n && i == 2 * n) ? 0 : CTC_DEAD;
    for (ptrdiff_t t = steps; t > 0; t--, lp -= ldt, dlp -= lddt, row -= 2 * (n + 1)) {
        const real scale = (real)(g / (double)ctc_weights(row, beta, n, weight));
        real blanks = 0;
        for (ptrdiff_t i = 0; i <= n; i++) blanks += weight[i];
        dlp[blank] -= blanks * scale;
        for (ptrdiff_t i = 0; i < n; i++) dlp[labels[i]] -= weight[n + 1 + i] * scale;
        if (t == 1) break;
        ctc_read_labels(lp, labels, n, e);
        offset = ctc_step_back(beta, here, n, lp[blank], e, skip, offset);
        if (offset <= CTC_DEAD / 2) offset = 0;
    }
}

#endif
