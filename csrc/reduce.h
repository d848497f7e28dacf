/* SPDX-License-Identifier: BSD-3-Clause */
/* Reductions of a matrix with contiguous rows, ldx elements apart: along the rows (one result a row) and along the columns.
 *
 * Sums run in blocks of fixed length, and block sums are folded as a binary tree (the way a binary counter carries), so that the error
 * grows with log n and the order of additions depends on n alone. NaN and infinities propagate as IEEE says; an empty sum is 0.
 *
 * max and min (n >= 1): NaN wins; of equal elements the first gives the index. Values and indices never alias x.
 */
#ifndef PYDL_REDUCE_H
#define PYDL_REDUCE_H

enum {
    SUM_WAYS = 4,                                     /* accumulators that hide the latency of an addition */
    ROW_BLOCK = SUM_WAYS * 32 * (int)LANE_COUNT,      /* elements of a row summed before a fold */
    COLUMN_WAYS = 8,                                  /* vectors of columns that go down the rows together */
    COLUMN_BLOCK = 64,                                /* rows summed before a fold */
    SUM_LEVELS = 48,                                  /* of the tree: more than 2^48 blocks cannot be in memory */
    EXTREME_BLOCK = 1 << 20                           /* rows whose index fits a lane of integers */
};

/* The level of the tree that block number `block` ends on: the sums below it are added to it. */
#define FOLD_LEVELS(block, level) for (ptrdiff_t bits_ = (block); bits_ & 1; bits_ >>= 1, (level)++)

INLINE vreal sum_block(const real *x, ptrdiff_t n) {
    vreal a = {0}, b = {0}, c = {0}, d = {0};
    ptrdiff_t i = 0;
    for (; i + SUM_WAYS * LANES <= n; i += SUM_WAYS * LANES) {
        a += vload(x + i);
        b += vload(x + i + LANES);
        c += vload(x + i + 2 * LANES);
        d += vload(x + i + 3 * LANES);
    }
    for (; i + LANES <= n; i += LANES) a += vload(x + i);
    if (i < n) b += vload_n(x + i, n - i);
    return (a + b) + (c + d);
}

static real sum_row(const real *x, ptrdiff_t n) {
    vreal levels[SUM_LEVELS], total = {0};
    ptrdiff_t block = 0;
    for (ptrdiff_t i = 0; i < n; i += ROW_BLOCK, block++) {
        vreal v = sum_block(x + i, n - i < ROW_BLOCK ? n - i : ROW_BLOCK);
        int level = 0;
        FOLD_LEVELS(block, level) v += levels[level];
        levels[level] = v;
    }
    for (int level = 0; block >> level; level++)
        if (block >> level & 1) total += levels[level];
    return vsum(total);
}

/* y[r] = sum over the n elements of row r */
static void sum_each_row(const void *x_, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, void *y_) {
    const real *x = x_;
    real *y = y_;
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx) y[r] = n <= ROW_BLOCK ? vsum(sum_block(x, n)) : sum_row(x, n);
}

/* Columns [0, width) of n rows, width <= ways * LANES. */
INLINE void sum_column_tile(const real *x, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t width, real *y, const int ways) {
    vreal levels[SUM_LEVELS][COLUMN_WAYS], v[COLUMN_WAYS];
    ptrdiff_t block = 0;
    for (ptrdiff_t i = 0; i < n; block++) {
        const ptrdiff_t end = n - i < COLUMN_BLOCK ? n : i + COLUMN_BLOCK;
#pragma GCC unroll 8
        for (int w = 0; w < ways; w++) v[w] = vset(0);
        for (; i < end; i++) {
#pragma GCC unroll 8
            for (int w = 0; w < ways; w++) v[w] += ways == 1 ? vload_upto(x + i * ldx, width) : vload(x + i * ldx + w * LANES);
        }
        int level = 0;
        FOLD_LEVELS(block, level) {
            for (int w = 0; w < ways; w++) v[w] += levels[level][w];
        }
        for (int w = 0; w < ways; w++) levels[level][w] = v[w];
    }
    for (int w = 0; w < ways; w++) {
        vreal total = {0};
        for (int level = 0; block >> level; level++)
            if (block >> level & 1) total += levels[level][w];
        vstore_upto(y + w * LANES, total, width - w * LANES);
    }
}

/* y[j] = sum over the n rows of column j, j < cols */
static void sum_each_column(const void *x_, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t cols, void *y_) {
    const real *x = x_;
    real *y = y_;
    ptrdiff_t j = 0;
    for (; j + COLUMN_WAYS * LANES <= cols; j += COLUMN_WAYS * LANES)
        sum_column_tile(x + j, ldx, n, COLUMN_WAYS * LANES, y + j, COLUMN_WAYS);
    for (; j < cols; j += LANES) sum_column_tile(x + j, ldx, n, cols - j, y + j, 1);
}

/* --- max and min --------------------------------------------------------------------------------------------------------- */

typedef vint better_op(vreal x, vreal best); /* whether x replaces best; false at NaN */
INLINE vint better_max(vreal x, vreal best) { return x > best; }
INLINE vint better_min(vreal x, vreal best) { return x < best; }
/* A NaN replaces anything but a NaN. */
INLINE vint replaces(better_op *better, vreal x, vreal best) { return better(x, best) | ((x != x) & (best == best)); }
INLINE int replaces_scalar(better_op *better, real x, real best) { return replaces(better, vset(x), vset(best))[0] != 0; }

INLINE real extreme_row(better_op *better, const real *x, ptrdiff_t n) {
    vreal a = vset(x[0]), b = a;
    vint nan = {0};
    ptrdiff_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const vreal u = vload(x + i), v = vload(x + i + LANES);
        a = vselect(better(u, a), u, a);
        b = vselect(better(v, b), v, b);
        nan |= (u != u) | (v != v);
    }
    for (; i < n; i += LANES) {
        const ptrdiff_t left = n - i;
        const vreal u = left >= LANES ? vload(x + i) : vselect(vlane_index() < (ireal)left, vload_n(x + i, left), a);
        a = vselect(better(u, a), u, a);
        nan |= u != u;
    }
    a = vselect(better(b, a), b, a);
    if (vany(nan)) return (real)__builtin_nan("");
#define EXTREME_STEP(...)                                              \
    b = __builtin_shufflevector(a, a, __VA_ARGS__);                    \
    a = vselect(better(b, a), b, a);
    VSWAPS(EXTREME_STEP)
    return a[0];
}

/* The first index whose element is `value`, or is NaN when `value` is. */
static ptrdiff_t first_index(const real *x, ptrdiff_t n, real value) {
    const vreal v = vset(value);
    ptrdiff_t i = 0;
    if (value != value) {
        while (i < n && x[i] == x[i]) i++;
        return i;
    }
    while (i + LANES <= n && !vany(vload(x + i) == v)) i += LANES;
    while (i < n - 1 && x[i] != value) i++;
    return i;
}

INLINE void extreme_rows(better_op *better, const real *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, real *values, int64_t *indices) {
    for (ptrdiff_t r = 0; r < rows; r++, x += ldx) {
        const real value = extreme_row(better, x, n);
        const ptrdiff_t at = indices ? first_index(x, n, value) : 0;
        values[r] = indices ? x[at] : value;
        if (indices) indices[r] = at;
    }
}

/* Rows [first, end) of a tile of columns; merges into values and indices unless first is 0. */
INLINE void extreme_column_tile(better_op *better, const real *x, ptrdiff_t ldx, ptrdiff_t first, ptrdiff_t end, ptrdiff_t width,
                                real *values, int64_t *indices) {
    vreal best = vload_upto(x + first * ldx, width);
    vint at = {0};
    for (ptrdiff_t i = first + 1; i < end; i++) {
        const vreal u = vload_upto(x + i * ldx, width);
        const vint m = replaces(better, u, best);
        best = vselect(m, u, best);
        at = (vint)vselect(m, (vreal)((vint){0} + (ireal)(i - first)), (vreal)at);
    }
    for (ptrdiff_t k = 0; k < width && k < LANES; k++) {
        if (first > 0 && !replaces_scalar(better, best[k], values[k])) continue;
        values[k] = best[k];
        if (indices) indices[k] = first + at[k];
    }
}

INLINE void extreme_cols(better_op *better, const real *x, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t cols, real *values, int64_t *indices) {
    for (ptrdiff_t j = 0; j < cols; j += LANES)
        for (ptrdiff_t i = 0; i < n; i += EXTREME_BLOCK)
            extreme_column_tile(better, x + j, ldx, i, n - i < EXTREME_BLOCK ? n : i + EXTREME_BLOCK, cols - j, values + j,
                                indices ? indices + j : NULL);
}

#define DEFINE_EXTREME(name)                                                                                                         \
    static void name##_rows(const void *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, void *values, int64_t *indices) {             \
        extreme_rows(better_##name, x, ldx, rows, n, values, indices);                                                               \
    }                                                                                                                                \
    static void name##_cols(const void *x, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t cols, void *values, int64_t *indices) {             \
        extreme_cols(better_##name, x, ldx, n, cols, values, indices);                                                               \
    }
DEFINE_EXTREME(max)
DEFINE_EXTREME(min)

#endif
