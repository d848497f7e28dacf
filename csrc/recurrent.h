/* SPDX-License-Identifier: BSD-3-Clause */
/* Gates of the recurrent layers, forward and backward. Contracts: recurrent_kernels.h; elementary functions: vmath.h.
 *
 * NaN and infinities go where the formulas take them. Whole vectors are kept apart from the tail of a row. Forward, one function at a
 * time goes over some rows, which stay in L1: its short chains overlap, where those of a whole unit wait for each other (LSTM in f32,
 * AVX2: 4.0 ns a unit in one pass, 2.9 to 3.6 so).
 */
#ifndef PYDL_RECURRENT_H
#define PYDL_RECURRENT_H

/* `vector` for the units u of a row, `left` of them at a time. */
#define EACH_UNIT(vector)                         \
    {                                             \
        ptrdiff_t u = 0;                          \
        for (; u + LANES <= n; u += LANES) {      \
            const ptrdiff_t left = LANES;         \
            vector;                               \
        }                                         \
        if (u < n) {                              \
            const ptrdiff_t left = n - u;         \
            vector;                               \
        }                                         \
    }

/* y (1 - y) and 1 - y y: the derivatives of sigmoid and tanh at the output y. */
INLINE vreal slope_sigmoid(vreal y) { return vfma(-y, y, y); }
INLINE vreal slope_tanh(vreal y) { return vfma(-y, y, vset(1)); }
INLINE vreal clipped_below(vreal v) { return vselect(v < (vreal){0}, (vreal){0}, v); } /* NaN stays NaN */

INLINE vreal total_dh(const real *dh1, const real *dh2, ptrdiff_t left) {
    const vreal dh = vload_upto(dh1, left);
    return dh2 ? dh + vload_upto(dh2, left) : dh;
}

/* Rows of n units that are finished before the next ones are begun. */
INLINE ptrdiff_t rows_at_once(ptrdiff_t n) { return n > 0 && n < 512 ? 512 / n : 1; }

INLINE void sigmoid_vector(real *g, ptrdiff_t left) { vstore_upto(g, vsigmoid(vload_upto(g, left)), left); }

INLINE void sigmoid_rows(ptrdiff_t rows, ptrdiff_t n, real *g, ptrdiff_t ldg) {
    for (ptrdiff_t r = 0; r < rows; r++, g += ldg) EACH_UNIT(sigmoid_vector(g + u, left))
}

/* --- RNN ---------------------------------------------------------------------------------------------------------------- */

static void rnn_fwd(ptrdiff_t rows, ptrdiff_t n, void *h_, ptrdiff_t ldh, int relu) {
    real *h = h_;
    for (ptrdiff_t r = 0; r < rows; r++, h += ldh) {
        if (relu) EACH_UNIT(vstore_upto(h + u, clipped_below(vload_upto(h + u, left)), left))
        else EACH_UNIT(vstore_upto(h + u, vtanh(vload_upto(h + u, left)), left))
    }
}

INLINE void rnn_vector_bwd(const real *dh1, const real *dh2, const real *h, int relu, real *dg, ptrdiff_t left) {
    const vreal dh = total_dh(dh1, dh2, left), y = vload_upto(h, left);
    vstore_upto(dg, relu ? vselect(y <= (vreal){0}, (vreal){0}, dh) : dh * slope_tanh(y), left);
}

static void rnn_bwd(ptrdiff_t rows, ptrdiff_t n, const void *dh1_, ptrdiff_t lddh1, const void *dh2_, ptrdiff_t lddh2, const void *h_,
                    ptrdiff_t ldh, int relu, void *dg_, ptrdiff_t lddg) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *dh1 = (const real *)dh1_ + r * lddh1, *dh2 = dh2_ ? (const real *)dh2_ + r * lddh2 : NULL;
        const real *h = (const real *)h_ + r * ldh;
        real *dg = (real *)dg_ + r * lddg;
        EACH_UNIT(rnn_vector_bwd(dh1 + u, dh2 ? dh2 + u : NULL, h + u, relu, dg + u, left))
    }
}

/* --- LSTM --------------------------------------------------------------------------------------------------------------- */

INLINE void lstm_cell_vector(real *g, ptrdiff_t gate, const real *c_prev, real *c, ptrdiff_t left) {
    const vreal z = vtanh(vload_upto(g + 2 * gate, left));
    vstore_upto(g + 2 * gate, z, left);
    vstore_upto(c, vfma(vload_upto(g + gate, left), vload_upto(c_prev, left), vload_upto(g, left) * z), left);
}

INLINE void lstm_output_vector(const real *o, const real *c, real *tc, real *h, ptrdiff_t left) {
    const vreal t = vtanh(vload_upto(c, left));
    if (tc) vstore_upto(tc, t, left);
    vstore_upto(h, vload_upto(o, left) * t, left);
}

static void lstm_fwd(ptrdiff_t rows, ptrdiff_t n, void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *c_prev_, ptrdiff_t ldcp, void *c_,
                     ptrdiff_t ldc, void *tc_, ptrdiff_t ldtc, void *h_, ptrdiff_t ldh) {
    const ptrdiff_t some = rows_at_once(n);
    for (ptrdiff_t first = 0; first < rows; first += some) {
        const ptrdiff_t end = rows - first < some ? rows : first + some;
        real *part = (real *)g_ + first * ldg;
        sigmoid_rows(end - first, n, part, ldg);
        sigmoid_rows(end - first, n, part + gate, ldg);
        sigmoid_rows(end - first, n, part + 3 * gate, ldg);
        for (ptrdiff_t r = first; r < end; r++) {
            const real *c_prev = (const real *)c_prev_ + r * ldcp;
            real *g = (real *)g_ + r * ldg, *c = (real *)c_ + r * ldc;
            EACH_UNIT(lstm_cell_vector(g + u, gate, c_prev + u, c + u, left))
        }
        for (ptrdiff_t r = first; r < end; r++) {
            const real *o = (const real *)g_ + r * ldg + 3 * gate, *c = (const real *)c_ + r * ldc;
            real *tc = tc_ ? (real *)tc_ + r * ldtc : NULL, *h = (real *)h_ + r * ldh;
            EACH_UNIT(lstm_output_vector(o + u, c + u, tc ? tc + u : NULL, h + u, left))
        }
    }
}

INLINE void lstm_vector_bwd(const real *dh1, const real *dh2, const real *g, ptrdiff_t gate, const real *c_prev, const real *tc, real *dc,
                            real *dg, ptrdiff_t left) {
    const vreal dh = total_dh(dh1, dh2, left), t = vload_upto(tc, left), o = vload_upto(g + 3 * gate, left);
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
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *dh1 = (const real *)dh1_ + r * lddh1, *dh2 = dh2_ ? (const real *)dh2_ + r * lddh2 : NULL;
        const real *g = (const real *)g_ + r * ldg, *c_prev = (const real *)c_prev_ + r * ldcp, *tc = (const real *)tc_ + r * ldtc;
        real *dc = (real *)dc_ + r * lddc, *dg = (real *)dg_ + r * lddg;
        EACH_UNIT(lstm_vector_bwd(dh1 + u, dh2 ? dh2 + u : NULL, g + u, gate, c_prev + u, tc + u, dc + u, dg + u, left))
    }
}

/* --- GRU ---------------------------------------------------------------------------------------------------------------- */

INLINE void gru_vector(real *g, ptrdiff_t gate, const real *hn, const real *h_prev, real *h, ptrdiff_t left) {
    const vreal n = vtanh(vfma(vload_upto(g, left), vload_upto(hn, left), vload_upto(g + 2 * gate, left)));
    vstore_upto(g + 2 * gate, n, left);
    vstore_upto(h, vfma(vload_upto(g + gate, left), vload_upto(h_prev, left) - n, n), left);
}

static void gru_fwd(ptrdiff_t rows, ptrdiff_t n, void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *hn_, ptrdiff_t ldhn,
                    const void *h_prev_, ptrdiff_t ldhp, void *h_, ptrdiff_t ldh) {
    const ptrdiff_t some = rows_at_once(n);
    for (ptrdiff_t first = 0; first < rows; first += some) {
        const ptrdiff_t end = rows - first < some ? rows : first + some;
        sigmoid_rows(end - first, n, (real *)g_ + first * ldg, ldg);
        sigmoid_rows(end - first, n, (real *)g_ + first * ldg + gate, ldg);
        for (ptrdiff_t r = first; r < end; r++) {
            const real *hn = (const real *)hn_ + r * ldhn, *h_prev = (const real *)h_prev_ + r * ldhp;
            real *g = (real *)g_ + r * ldg, *h = (real *)h_ + r * ldh;
            EACH_UNIT(gru_vector(g + u, gate, hn + u, h_prev + u, h + u, left))
        }
    }
}

/* The gradients of n and z before their functions; carry becomes z dh. */
INLINE vreal gru_outputs_bwd(const real *dh1, const real *dh2, real *carry, const real *g, ptrdiff_t gate, const real *h_prev, real *dg,
                             ptrdiff_t left) {
    const vreal dh = total_dh(dh1, dh2, left) + vload_upto(carry, left);
    const vreal z = vload_upto(g + gate, left), n = vload_upto(g + 2 * gate, left);
    const vreal dn = dh * (vset(1) - z) * slope_tanh(n);
    vstore_upto(carry, dh * z, left);
    vstore_upto(dg + gate, dh * (vload_upto(h_prev, left) - n) * slope_sigmoid(z), left);
    vstore_upto(dg + 2 * gate, dn, left);
    return dn;
}

INLINE void gru_vector_bwd(const real *dh1, const real *dh2, real *carry, const real *g, ptrdiff_t gate, const real *hn,
                           const real *h_prev, real *dg, real *dhn, ptrdiff_t left) {
    const vreal r = vload_upto(g, left), product = vload_upto(hn, left);
    const vreal dn = gru_outputs_bwd(dh1, dh2, carry, g, gate, h_prev, dg, left);
    vstore_upto(dg, dn * product * slope_sigmoid(r), left);
    vstore_upto(dhn, dn * r, left);
}

static void gru_bwd(ptrdiff_t rows, ptrdiff_t n, const void *dh1_, ptrdiff_t lddh1, const void *dh2_, ptrdiff_t lddh2, void *carry_,
                    ptrdiff_t ldcarry, const void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *hn_, ptrdiff_t ldhn, const void *h_prev_,
                    ptrdiff_t ldhp, void *dg_, ptrdiff_t lddg, void *dhn_, ptrdiff_t lddhn) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *dh1 = (const real *)dh1_ + r * lddh1, *dh2 = dh2_ ? (const real *)dh2_ + r * lddh2 : NULL;
        const real *g = (const real *)g_ + r * ldg, *hn = (const real *)hn_ + r * ldhn, *h_prev = (const real *)h_prev_ + r * ldhp;
        real *carry = (real *)carry_ + r * ldcarry, *dg = (real *)dg_ + r * lddg, *dhn = (real *)dhn_ + r * lddhn;
        EACH_UNIT(gru_vector_bwd(dh1 + u, dh2 ? dh2 + u : NULL, carry + u, g + u, gate, hn + u, h_prev + u, dg + u, dhn + u, left))
    }
}

INLINE void gru_vector_reset(real *g, ptrdiff_t gate, const real *h_prev, real *rh, ptrdiff_t left) {
    const vreal r = vsigmoid(vload_upto(g, left));
    vstore_upto(g, r, left);
    vstore_upto(rh, r * vload_upto(h_prev, left), left);
    vstore_upto(g + gate, vsigmoid(vload_upto(g + gate, left)), left);
}

static void gru_reset(ptrdiff_t rows, ptrdiff_t n, void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev_, ptrdiff_t ldhp, void *rh_,
                      ptrdiff_t ldrh) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *h_prev = (const real *)h_prev_ + r * ldhp;
        real *g = (real *)g_ + r * ldg, *rh = (real *)rh_ + r * ldrh;
        EACH_UNIT(gru_vector_reset(g + u, gate, h_prev + u, rh + u, left))
    }
}

INLINE void gru_vector_update(real *g, ptrdiff_t gate, const real *h_prev, real *h, ptrdiff_t left) {
    const vreal n = vtanh(vload_upto(g + 2 * gate, left));
    vstore_upto(g + 2 * gate, n, left);
    vstore_upto(h, vfma(vload_upto(g + gate, left), vload_upto(h_prev, left) - n, n), left);
}

static void gru_update(ptrdiff_t rows, ptrdiff_t n, void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev_, ptrdiff_t ldhp, void *h_,
                       ptrdiff_t ldh) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *h_prev = (const real *)h_prev_ + r * ldhp;
        real *g = (real *)g_ + r * ldg, *h = (real *)h_ + r * ldh;
        EACH_UNIT(gru_vector_update(g + u, gate, h_prev + u, h + u, left))
    }
}

static void gru_update_bwd(ptrdiff_t rows, ptrdiff_t n, const void *dh1_, ptrdiff_t lddh1, const void *dh2_, ptrdiff_t lddh2, void *carry_,
                           ptrdiff_t ldcarry, const void *g_, ptrdiff_t ldg, ptrdiff_t gate, const void *h_prev_, ptrdiff_t ldhp,
                           void *dg_, ptrdiff_t lddg) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *dh1 = (const real *)dh1_ + r * lddh1, *dh2 = dh2_ ? (const real *)dh2_ + r * lddh2 : NULL;
        const real *g = (const real *)g_ + r * ldg, *h_prev = (const real *)h_prev_ + r * ldhp;
        real *carry = (real *)carry_ + r * ldcarry, *dg = (real *)dg_ + r * lddg;
        EACH_UNIT(gru_outputs_bwd(dh1 + u, dh2 ? dh2 + u : NULL, carry + u, g + u, gate, h_prev + u, dg + u, left))
    }
}

INLINE void gru_vector_reset_bwd(const real *drh, real *carry, const real *g, const real *h_prev, real *dg, ptrdiff_t left) {
    const vreal r = vload_upto(g, left), d = vload_upto(drh, left);
    vstore_upto(dg, d * vload_upto(h_prev, left) * slope_sigmoid(r), left);
    vstore_upto(carry, vfma(d, r, vload_upto(carry, left)), left);
}

static void gru_reset_bwd(ptrdiff_t rows, ptrdiff_t n, const void *drh_, ptrdiff_t lddrh, void *carry_, ptrdiff_t ldcarry, const void *g_,
                          ptrdiff_t ldg, const void *h_prev_, ptrdiff_t ldhp, void *dg_, ptrdiff_t lddg) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *drh = (const real *)drh_ + r * lddrh, *g = (const real *)g_ + r * ldg, *h_prev = (const real *)h_prev_ + r * ldhp;
        real *carry = (real *)carry_ + r * ldcarry, *dg = (real *)dg_ + r * lddg;
        EACH_UNIT(gru_vector_reset_bwd(drh + u, carry + u, g + u, h_prev + u, dg + u, left))
    }
}

#endif
