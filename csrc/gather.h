/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows read through an index, and sums of such rows.
 *
 *   copy      y_i = x[index_i], or a fill value          padding, nearest neighbor, unfolding, shuffles, embedding
 *   combine   y_i = sum_t w_t x[index_t]                 interpolation, and the adjoint of each of the above
 *   order     which t have index_t = v                   turns a copy into the combine that is its adjoint
 *
 * Copies keep every bit, NaN payloads too, so that they serve integers of the same width. In sums NaN and Inf spread as IEEE says,
 * also through a weight of 0. Rounding: one per term (fused where the ISA has FMA) and one per block of SUM_BLOCK terms.
 */
#ifndef PYDL_GATHER_H
#define PYDL_GATHER_H

enum { SUM_BLOCK = 128 }; /* terms between two additions to the total */

INLINE void copy_row(const real *x, real *y, ptrdiff_t n) {
    ptrdiff_t i = 0;
    if (n < 4) { /* a partial load and store take longer */
        for (; i < n; i++) y[i] = x[i];
        return;
    }
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        const vreal a = vload(x + i), b = vload(x + i + LANES), c = vload(x + i + 2 * LANES), d = vload(x + i + 3 * LANES);
        vstore(y + i, a);
        vstore(y + i + LANES, b);
        vstore(y + i + 2 * LANES, c);
        vstore(y + i + 3 * LANES, d);
    }
    for (; i < n; i += LANES) vstore_upto(y + i, vload_upto(x + i, n - i), n - i);
}

INLINE void fill_row(const real *value, real *y, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) y[i] = *value;
}

static void gather_copy(const void *x_, ptrdiff_t ldx, const int64_t *index, const int64_t *run, ptrdiff_t m, ptrdiff_t n,
                        const void *fill_, void *y_, ptrdiff_t ldy) {
    const real *x = x_, *value = fill_;
    real *y = y_;
    if (n == 1 && !run) {
        for (ptrdiff_t i = 0; i < m; i++) y[i * ldy] = index[i] < 0 ? *value : x[index[i] * ldx];
        return;
    }
    for (ptrdiff_t i = 0, rows; i < m; i += rows) {
        rows = run ? (run[i] < m - i ? run[i] : m - i) : 1;
        if (index[i] < 0) fill_row(value, y + i * ldy, rows * n);
        else copy_row(x + index[i] * ldx, y + i * ldy, rows * n);
    }
}

/* Scalar a*b + c rounded as vfma rounds, so that an element alone has the bits it has in a row. */
INLINE real fma_scalar(real a, real b, real c) {
#if defined(PYDL_ISA_AVX2) || defined(PYDL_ISA_AVX512) || defined(__aarch64__)
    return PYDL_F64 ? (real)__builtin_fma((double)a, (double)b, (double)c) : (real)__builtin_fmaf((float)a, (float)b, (float)c);
#else
    return a * b + c;
#endif
}

/* One element of a sum; terms t of [t, end). */
INLINE real combine_one(const real *x, ptrdiff_t ldx, const int64_t *index, const real *weight, ptrdiff_t t, ptrdiff_t end) {
    real total = 0;
    do {
        const ptrdiff_t stop = end - t < SUM_BLOCK ? end : t + SUM_BLOCK;
        real sum = 0;
        for (; t < stop; t++) {
            const real v = x[index[t] * ldx];
            sum = weight ? fma_scalar(weight[t], v, sum) : sum + v;
        }
        total += sum;
    } while (t < end);
    return total;
}

/* Single elements. An element of one term, as most are in the adjoint of a padding, is 0 + v as in a row. */
INLINE void combine_elements(const real *x, ptrdiff_t ldx, const int64_t *start, const int64_t *index, const real *weight, ptrdiff_t m,
                             real *y, ptrdiff_t ldy) {
    for (ptrdiff_t i = 0; i < m; i++) {
        const ptrdiff_t t = start[i], end = start[i + 1];
        if (!weight && end == t + 1) y[i * ldy] = 0 + x[index[t] * ldx];
        else y[i * ldy] = combine_one(x, ldx, index, weight, t, end);
    }
}

/* n_vectors vectors of a row, the last with `left` elements. */
INLINE void combine_vectors(const real *x, ptrdiff_t ldx, const int64_t *index, const real *weight, ptrdiff_t t, ptrdiff_t end, real *y,
                            const int n_vectors, ptrdiff_t left) {
    vreal total[4], sum[4];
#pragma GCC unroll 4
    for (int j = 0; j < n_vectors; j++) total[j] = vset(0);
    for (ptrdiff_t stop; t < end; t = stop) {
        stop = end - t < SUM_BLOCK ? end : t + SUM_BLOCK;
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++) sum[j] = vset(0);
        for (ptrdiff_t u = t; u < stop; u++) {
            const real *row = x + index[u] * ldx;
            const vreal w = vset(weight ? weight[u] : 1);
#pragma GCC unroll 4
            for (int j = 0; j < n_vectors; j++) {
                const vreal v = j + 1 == n_vectors ? vload_upto(row + j * LANES, left) : vload(row + j * LANES);
                sum[j] = weight ? vfma(w, v, sum[j]) : sum[j] + v;
            }
        }
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++) total[j] += sum[j];
    }
#pragma GCC unroll 4
    for (int j = 0; j < n_vectors; j++) {
        if (j + 1 == n_vectors) vstore_upto(y + j * LANES, total[j], left);
        else vstore(y + j * LANES, total[j]);
    }
}

INLINE void combine_row(const real *x, ptrdiff_t ldx, const int64_t *index, const real *weight, ptrdiff_t t, ptrdiff_t end, ptrdiff_t n,
                        real *y) {
    ptrdiff_t k = 0;
    for (; k + 4 * LANES <= n; k += 4 * LANES) combine_vectors(x + k, ldx, index, weight, t, end, y + k, 4, LANES);
    for (; k < n; k += LANES) combine_vectors(x + k, ldx, index, weight, t, end, y + k, 1, n - k);
}

static void gather_combine(const void *x_, ptrdiff_t ldx, const int64_t *start, const int64_t *index, const void *weight_, ptrdiff_t m,
                           ptrdiff_t n, void *y_, ptrdiff_t ldy) {
    const real *x = x_, *weight = weight_;
    real *y = y_;
    if (n == 1) {
        if (weight) combine_elements(x, ldx, start, index, weight, m, y, ldy);
        else combine_elements(x, ldx, start, index, NULL, m, y, ldy);
        return;
    }
    for (ptrdiff_t i = 0; i < m; i++, y += ldy) {
        if (weight) combine_row(x, ldx, index, weight, start[i], start[i + 1], n, y);
        else combine_row(x, ldx, index, NULL, start[i], start[i + 1], n, y);
    }
}

static void gather_order(const int64_t *index, ptrdiff_t n, ptrdiff_t rows, int64_t *start, int64_t *order) {
    for (ptrdiff_t v = 0; v <= rows; v++) start[v] = 0;
    for (ptrdiff_t t = 0; t < n; t++) start[index[t] + 1]++;
    for (ptrdiff_t v = 0; v < rows; v++) start[v + 1] += start[v];
    for (ptrdiff_t t = 0; t < n; t++) order[start[index[t]]++] = t; /* start[v] becomes the end of v */
    for (ptrdiff_t v = rows; v > 0; v--) start[v] = start[v - 1];
    start[0] = 0;
}

#endif
