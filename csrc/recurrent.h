/* SPDX-License-Identifier: BSD-3-Clause */
/* Gates of the recurrent layers, forward and backward. Contracts: recurrent_kernels.h; elementary functions: vmath.h.
 *
 * NaN and infinities go where the formulas take them. Whole vectors are kept apart from the tail of a row.
 */
#ifndef PYDL_RECURRENT_H
#define PYDL_RECURRENT_H

/* y (1 - y) and 1 - y y: the derivatives of sigmoid and tanh at the output y. */
INLINE vreal slope_sigmoid(vreal y) { return vfma(-y, y, y); }
INLINE vreal slope_tanh(vreal y) { return vfma(-y, y, vset(1)); }

INLINE void lstm_vector(real *g, ptrdiff_t gate, const real *c_prev, real *c, real *tc, real *h, ptrdiff_t left) {
    const vreal i = vsigmoid(vload_upto(g, left)), z = vtanh(vload_upto(g + 2 * gate, left));
    const vreal iz = i * z;
    vstore_upto(g, i, left);
    vstore_upto(g + 2 * gate, z, left);
    const vreal f = vsigmoid(vload_upto(g + gate, left));
    vstore_upto(g + gate, f, left);
    const vreal cell = vfma(f, vload_upto(c_prev, left), iz), t = vtanh(cell);
    vstore_upto(c, cell, left);
    if (tc) vstore_upto(tc, t, left);
    const vreal o = vsigmoid(vload_upto(g + 3 * gate, left));
    vstore_upto(g + 3 * gate, o, left);
    vstore_upto(h, o * t, left);
}

static void lstm_fwd(ptrdiff_t rows, ptrdiff_t n, void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev_, ptrdiff_t ldcp, void *c_,
                     ptrdiff_t ldc, void *tc_, ptrdiff_t ldtc, void *h_, ptrdiff_t ldh) {
    const real *c_prev = c_prev_;
    real *g = g_, *c = c_, *tc = tc_, *h = h_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t u = 0;
        for (; u + LANES <= n; u += LANES) lstm_vector(g + u, gate, c_prev + u, c + u, tc ? tc + u : NULL, h + u, LANES);
        if (u < n) lstm_vector(g + u, gate, c_prev + u, c + u, tc ? tc + u : NULL, h + u, n - u);
        g += ldg, c_prev += ldcp, c += ldc, h += ldh;
        if (tc) tc += ldtc;
    }
}

INLINE void lstm_vector_bwd(const real *dh1, const real *dh2, const real *g, ptrdiff_t gate, const real *c_prev, const real *tc, real *dc,
                            real *dg, ptrdiff_t left) {
    vreal dh = vload_upto(dh1, left);
    if (dh2) dh = dh + vload_upto(dh2, left);
    const vreal t = vload_upto(tc, left), o = vload_upto(g + 3 * gate, left);
    const vreal i = vload_upto(g, left), f = vload_upto(g + gate, left), z = vload_upto(g + 2 * gate, left);
    const vreal d = vfma(dh * o, slope_tanh(t), vload_upto(dc, left));
    vstore_upto(dg + 3 * gate, dh * t * slope_sigmoid(o), left);
    vstore_upto(dg, d * z * slope_sigmoid(i), left);
    vstore_upto(dg + gate, d * vload_upto(c_prev, left) * slope_sigmoid(f), left);
    vstore_upto(dg + 2 * gate, d * i * slope_tanh(z), left);
    vstore_upto(dc, d * f, left);
}

static void lstm_bwd(ptrdiff_t rows, ptrdiff_t n, const void *dh1_, ptrdiff_t lddh1, const void *dh2_, ptrdiff_t lddh2, const void *g_,
                     ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev_, ptrdiff_t ldcp, const void *tc_, ptrdiff_t ldtc, void *dc_,
                     ptrdiff_t lddc, void *dg_, ptrdiff_t lddg) {
    const real *dh1 = dh1_, *dh2 = dh2_, *g = g_, *c_prev = c_prev_, *tc = tc_;
    real *dc = dc_, *dg = dg_;
    for (ptrdiff_t r = 0; r < rows; r++) {
        ptrdiff_t u = 0;
        for (; u + LANES <= n; u += LANES)
            lstm_vector_bwd(dh1 + u, dh2 ? dh2 + u : NULL, g + u, gate, c_prev + u, tc + u, dc + u, dg + u, LANES);
        if (u < n) lstm_vector_bwd(dh1 + u, dh2 ? dh2 + u : NULL, g + u, gate, c_prev + u, tc + u, dc + u, dg + u, n - u);
        dh1 += lddh1, g += ldg, c_prev += ldcp, tc += ldtc, dc += lddc, dg += lddg;
        if (dh2) dh2 += lddh2;
    }
}

#endif
