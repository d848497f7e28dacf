/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms of n contiguous elements, summed in double whatever the element type: 3e19 squared is no infinity in float32. Four accumulators
 * take turns and are folded in order, so the result depends on n alone. NaN and infinities propagate. */
#ifndef PYDL_TOTAL_NORM_H
#define PYDL_TOTAL_NORM_H

enum { DOUBLES = VBYTES / 8, NORM_WAYS = 4 };
typedef double vdouble __attribute__((vector_size(VBYTES)));
typedef int64_t vlong __attribute__((vector_size(VBYTES)));
typedef real vpart __attribute__((vector_size(DOUBLES * sizeof(real)), aligned(sizeof(real)), may_alias));

typedef vdouble norm_op(vdouble total, vdouble x);
INLINE vdouble add_square(vdouble total, vdouble x) {
#if PYDL_F64
    return (vdouble)vfma((vreal)x, (vreal)x, (vreal)total);
#else
    return total + x * x; /* the square of a float is exact: contracted or not, it is the same */
#endif
}
INLINE vdouble add_size(vdouble total, vdouble x) { return total + (vdouble)((vlong)x & INT64_MAX); }

INLINE double fold_norm(norm_op *op, const real *x, ptrdiff_t n) {
    vdouble totals[NORM_WAYS] = {{0}};
    real rest[NORM_WAYS * DOUBLES] = {0};
    double total = 0;
    while (n > 0) {
        if (n < NORM_WAYS * DOUBLES) {
            memcpy(rest, x, (size_t)n * sizeof *x);
            x = rest;
        }
#pragma GCC unroll 4
        for (int way = 0; way < NORM_WAYS; way++)
            totals[way] = op(totals[way], __builtin_convertvector(*(const vpart *)(x + way * DOUBLES), vdouble));
        x += NORM_WAYS * DOUBLES;
        n -= NORM_WAYS * DOUBLES;
    }
    for (int way = 0; way < NORM_WAYS; way++)
        for (int lane = 0; lane < DOUBLES; lane++) total += totals[way][lane];
    return total;
}

static double sum_squares(const void *x, ptrdiff_t n) { return fold_norm(add_square, x, n); }
static double sum_abs(const void *x, ptrdiff_t n) { return fold_norm(add_size, x, n); }

static double max_abs(const void *x_, ptrdiff_t n) {
    const real *x = x_;
    vreal top = {0};
    ALL_OF(n) {
        const vreal v = vload_upto(x + i, left);
        top = larger(top, vselect(v < 0, -v, v));
    }
    real largest = 0;
    for (ptrdiff_t lane = 0; lane < LANES; lane++)
        if (!(top[lane] <= largest)) largest = largest != largest ? largest : top[lane];
    return largest;
}

#endif
