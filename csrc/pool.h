/* SPDX-License-Identifier: BSD-3-Clause */
/* Max and average pooling, forward and backward; shapes in pool_kernels.h.
 *
 * With several channels a vector holds channels of one pixel. With one channel (planes in C order) it holds neighboring outputs of a
 * row where the stride is 1 or 2 and the windows are whole, else one output. Either way an element is computed from its window's
 * elements in the same order, so memory order, tails and threads do not change its bits.
 *
 *   max   v replaces the best where v > best or v is NaN: the first of equal ones stays, the last NaN wins
 *   avg   (Σ_rows (Σ_columns x)) / divisor; in place of Σ over thousands in one chain the error grows with the window's sides
 *   backward gathers over the windows that hold an element (rows are independent), or for one channel scatters over the windows in
 *   their order (planes are independent): the same additions in the same order. In a plane a vector gather of max costs twice the
 *   scatter; that of avg is faster (pool_planes.h)
 */
#ifndef PYDL_POOL_H
#define PYDL_POOL_H

enum { CHANNEL_VECTORS = 4 }; /* vectors of one pixel that are worked on together */

INLINE vint vindex(ptrdiff_t k) { return (vint){0} + (ireal)k; }
INLINE vint vselect_index(vint m, vint a, vint b) { return (vint)vselect(m, (vreal)a, (vreal)b); }

/* --- indices in memory: 1, 2 or 4 bytes a lane ------------------------------------------------------------------------------ */

typedef int16_t vshort __attribute__((vector_size(2 * LANE_COUNT)));
typedef int32_t vword __attribute__((vector_size(4 * LANE_COUNT)));

INLINE ireal index_at(const void *index, ptrdiff_t at, ptrdiff_t n_bytes) {
    if (n_bytes == 1) return ((const uint8_t *)index)[at];
    return n_bytes == 2 ? ((const int16_t *)index)[at] : ((const int32_t *)index)[at];
}

INLINE vint index_load(const void *index, ptrdiff_t at, ptrdiff_t n_bytes, ptrdiff_t left) {
    const char *p = (const char *)index + at * n_bytes;
    if (left < LANES) {
        vint v = {0};
        for (ptrdiff_t i = 0; i < left; i++) v[i] = index_at(p, i, n_bytes);
        return v;
    }
    if (n_bytes == 1) return bytes_load((const uint8_t *)p);
    if (n_bytes == 2) {
        vshort s;
        memcpy(&s, p, sizeof s);
        return __builtin_convertvector(s, vint);
    }
    vword w;
    memcpy(&w, p, sizeof w);
    return __builtin_convertvector(w, vint);
}

INLINE void index_store(void *index, ptrdiff_t at, ptrdiff_t n_bytes, vint v, ptrdiff_t left) {
    char *p = (char *)index + at * n_bytes;
    if (left < LANES) {
        for (ptrdiff_t i = 0; i < left; i++) {
            const int32_t k = (int32_t)v[i];
            if (n_bytes == 1) ((uint8_t *)p)[i] = (uint8_t)k;
            else if (n_bytes == 2) ((int16_t *)p)[i] = (int16_t)k;
            else ((int32_t *)p)[i] = k;
        }
    } else if (n_bytes == 1) {
        bytes_store((uint8_t *)p, v);
    } else if (n_bytes == 2) {
        const vshort s = __builtin_convertvector(v, vshort);
        memcpy(p, &s, sizeof s);
    } else {
        const vword w = __builtin_convertvector(v, vword);
        memcpy(p, &w, sizeof w);
    }
}

/* --- windows ---------------------------------------------------------------------------------------------------------------- */

/* Element i's number in window o, or -1 if dilation skips it. */
INLINE ptrdiff_t window_element(const pydl_windows *w, ptrdiff_t o, ptrdiff_t i) {
    const ptrdiff_t distance = i - w->first[o];
    if (w->dilation == 1) return distance;
    return distance % w->dilation ? -1 : distance / w->dilation;
}

/* Row k_d, k_h of the windows of output row (od, oh): its first pixel. */
INLINE ptrdiff_t window_row(const pydl_pool_geometry *g, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t kd, ptrdiff_t kh) {
    return ((g->d.first[od] + kd * g->d.dilation) * g->h.n_in + g->h.first[oh] + kh * g->h.dilation) * g->w.n_in;
}

INLINE real window_divisor(const pydl_pool_geometry *g, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow) {
    return (real)(g->divisor != 0 ? g->divisor : (double)g->d.count[od] * (double)g->h.count[oh] * (double)g->w.count[ow]);
}

/* p[0], p[step], ... for step 1 or 2; nothing behind the last of them is read. */
INLINE vreal load_step(const real *p, const int step) {
    if (step == 1) return vload(p);
    const vreal a = vload(p), b = vload(p + LANES - 1); /* a's even lanes, b's odd ones */
#if LANE_COUNT == 2
    return __builtin_shufflevector(a, b, 0, 3);
#elif LANE_COUNT == 4
    return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#elif LANE_COUNT == 8
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#else
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
}

#define FOR_WINDOW(k, w, o) for (ptrdiff_t k = (w).lo[o]; k < (w).hi[o]; k++)

/* --- max -------------------------------------------------------------------------------------------------------------------- */

/* n vectors of one window's result: of neighboring channels, or (step > 0) of neighboring windows of a plane. x is the image's
   first pixel at these channels, y and index are where the results go; `left` elements exist, all if `whole`. */
INLINE void max_window(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow, ptrdiff_t left, real *y,
                       void *index, ptrdiff_t at, const int n, const int whole, const int step, const int wants_index) {
    const pydl_windows *w = &g->w;
    const ptrdiff_t c = g->channels;
    const vint none = vindex((g->d.lo[od] * g->h.kernel + g->h.lo[oh]) * w->kernel + w->lo[ow]);
    vreal best[CHANNEL_VECTORS];
    vint which[CHANNEL_VECTORS];
    for (int j = 0; j < n; j++) best[j] = vset(-(real)__builtin_inff()), which[j] = none;
    FOR_WINDOW(kd, g->d, od) FOR_WINDOW(kh, g->h, oh) {
        const ptrdiff_t row = window_row(g, od, oh, kd, kh) + w->first[ow], k_row = (kd * g->h.kernel + kh) * w->kernel;
        FOR_WINDOW(kw, *w, ow) {
            const real *p = x + (row + kw * w->dilation) * c;
            const vint k = vindex(k_row + kw);
            for (int j = 0; j < n; j++) {
                const vreal v = step ? load_step(p + j * step * LANES, step) : whole ? vload(p + j * LANES) : vload_upto(p, left);
                const vint better = (v > best[j]) | (v != v);
                best[j] = vselect(better, v, best[j]);
                if (wants_index) which[j] = vselect_index(better, k, which[j]);
            }
        }
    }
    for (int j = 0; j < n; j++) {
        if (whole) vstore(y + at + j * LANES, best[j]);
        else vstore_upto(y + at, best[j], left);
        if (wants_index) index_store(index, at + j * LANES, g->index_bytes, which[j], whole ? LANES : left);
    }
}

INLINE void max_row(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, real *y, void *index, const int wants) {
    const ptrdiff_t c = g->channels;
    ptrdiff_t at = (od * g->h.n_out + oh) * g->w.n_out * c;
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++, at += c) {
        ptrdiff_t i = 0;
        for (; i + CHANNEL_VECTORS * LANES <= c; i += CHANNEL_VECTORS * LANES)
            max_window(g, x + i, od, oh, ow, 0, y, index, at + i, CHANNEL_VECTORS, 1, 0, wants);
        for (; i < c; i += LANES) max_window(g, x + i, od, oh, ow, c - i, y, index, at + i, 1, 0, 0, wants);
    }
}

/* A row of one channel: vectors over the whole windows, the last one moved back to end with them. */
INLINE void max_plane_row(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, real *y, void *index,
                          const int step, const int wants) {
    const ptrdiff_t at = (od * g->h.n_out + oh) * g->w.n_out, lo = g->w.full_lo, hi = g->w.full_hi;
    const int has_vectors = hi - lo >= LANES;
    ptrdiff_t i = lo;
    for (; has_vectors && hi - i >= 4 * LANES; i += 4 * LANES) max_window(g, x, od, oh, i, 0, y, index, at + i, 4, 1, step, wants);
    for (; has_vectors && hi - i >= 2 * LANES; i += 2 * LANES) max_window(g, x, od, oh, i, 0, y, index, at + i, 2, 1, step, wants);
    for (; has_vectors && i < hi; i += LANES) {
        if (i > hi - LANES) i = hi - LANES;
        max_window(g, x, od, oh, i, 0, y, index, at + i, 1, 1, step, wants);
    }
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++) {
        if (has_vectors && ow == lo) ow = hi;
        if (ow < g->w.n_out) max_window(g, x, od, oh, ow, 1, y, index, at + ow, 1, 0, 0, wants);
    }
}

static void max_fwd(const pydl_pool_geometry *g, const void *x, ptrdiff_t row, void *y, void *index) {
    const ptrdiff_t od = row / g->h.n_out, oh = row % g->h.n_out;
    const int step = g->channels == 1 && g->w.stride <= 2 ? (int)g->w.stride : 0;
    if (step == 2) {
        if (index) max_plane_row(g, x, od, oh, y, index, 2, 1);
        else max_plane_row(g, x, od, oh, y, NULL, 2, 0);
    } else if (step == 1) {
        if (index) max_plane_row(g, x, od, oh, y, index, 1, 1);
        else max_plane_row(g, x, od, oh, y, NULL, 1, 0);
    } else {
        if (index) max_row(g, x, od, oh, y, index, 1);
        else max_row(g, x, od, oh, y, NULL, 0);
    }
}

/* n vectors of channels of input pixel (id, ih, iw). */
INLINE void max_pixel_bwd(const pydl_pool_geometry *g, const real *dy, const void *index, ptrdiff_t id, ptrdiff_t ih, ptrdiff_t iw,
                          ptrdiff_t channel, real *dx, const int n, const int whole, const ptrdiff_t n_bytes) {
    const ptrdiff_t c = g->channels, left = c - channel;
    vreal sum[CHANNEL_VECTORS] = {{0}};
    for (ptrdiff_t od = g->d.out_lo[id]; od < g->d.out_hi[id]; od++) {
        const ptrdiff_t kd = window_element(&g->d, od, id);
        if (kd < 0) continue;
        for (ptrdiff_t oh = g->h.out_lo[ih]; oh < g->h.out_hi[ih]; oh++) {
            const ptrdiff_t kh = window_element(&g->h, oh, ih);
            if (kh < 0) continue;
            for (ptrdiff_t ow = g->w.out_lo[iw]; ow < g->w.out_hi[iw]; ow++) {
                const ptrdiff_t kw = window_element(&g->w, ow, iw);
                if (kw < 0) continue;
                const ptrdiff_t at = ((od * g->h.n_out + oh) * g->w.n_out + ow) * c + channel;
                const vint k = vindex((kd * g->h.kernel + kh) * g->w.kernel + kw);
                for (int j = 0; j < n; j++) {
                    const vint is_here = index_load(index, at + j * LANES, n_bytes, whole ? LANES : left) == k;
                    const vreal v = whole ? vload(dy + at + j * LANES) : vload_upto(dy + at, left);
                    sum[j] += vselect(is_here, v, vset(0));
                }
            }
        }
    }
    for (int j = 0; j < n; j++) {
        if (whole) vstore(dx + j * LANES, sum[j]);
        else vstore_upto(dx, sum[j], left);
    }
}

INLINE void max_row_bwd(const pydl_pool_geometry *g, const real *dy, const void *index, ptrdiff_t row, real *dx, const ptrdiff_t n_bytes) {
    const ptrdiff_t c = g->channels, id = row / g->h.n_in, ih = row % g->h.n_in;
    dx += row * g->w.n_in * c;
    for (ptrdiff_t iw = 0; iw < g->w.n_in; iw++, dx += c) {
        ptrdiff_t i = 0;
        for (; i + CHANNEL_VECTORS * LANES <= c; i += CHANNEL_VECTORS * LANES)
            max_pixel_bwd(g, dy, index, id, ih, iw, i, dx + i, CHANNEL_VECTORS, 1, n_bytes);
        for (; i < c; i += LANES) max_pixel_bwd(g, dy, index, id, ih, iw, i, dx + i, 1, 0, n_bytes);
    }
}

static void max_bwd(const pydl_pool_geometry *g, const void *dy, const void *index, ptrdiff_t row, void *dx) {
    if (g->index_bytes == 1) max_row_bwd(g, dy, index, row, dx, 1);
    else max_row_bwd(g, dy, index, row, dx, g->index_bytes);
}

/* Whether the windows of this output have elements: dilated ones may step over the whole input. */
INLINE int window_exists(const pydl_windows *w, ptrdiff_t o) { return w->lo[o] < w->hi[o]; }

INLINE void max_scatter_row(const pydl_pool_geometry *g, const real *dy, const void *index, ptrdiff_t od, ptrdiff_t oh, real *dx,
                            const ptrdiff_t n_bytes) {
    const pydl_windows *w = &g->w;
    const ptrdiff_t at = (od * g->h.n_out + oh) * w->n_out, row = window_row(g, od, oh, 0, 0);
    for (ptrdiff_t ow = 0; ow < w->n_out; ow++) {
        if (window_exists(w, ow)) dx[row + w->first[ow] + g->offset[index_at(index, at + ow, n_bytes)]] += dy[at + ow];
    }
}

static void max_scatter(const pydl_pool_geometry *g, const void *dy, const void *index, void *dx) {
    memset(dx, 0, (size_t)(g->d.n_in * g->h.n_in * g->w.n_in) * sizeof(real));
    for (ptrdiff_t od = 0; od < g->d.n_out; od++)
        for (ptrdiff_t oh = 0; oh < g->h.n_out; oh++) {
            if (!window_exists(&g->d, od) || !window_exists(&g->h, oh)) continue;
            if (g->index_bytes == 1) max_scatter_row(g, dy, index, od, oh, dx, 1);
            else max_scatter_row(g, dy, index, od, oh, dx, g->index_bytes);
        }
}

static void max_take(const pydl_pool_geometry *g, const void *x_, const void *index, ptrdiff_t row, void *y_) {
    const real *x = x_;
    real *y = y_;
    const ptrdiff_t od = row / g->h.n_out, oh = row % g->h.n_out, c = g->channels, first = window_row(g, od, oh, 0, 0);
    ptrdiff_t at = row * g->w.n_out * c;
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++) {
        const int exists = window_exists(&g->d, od) && window_exists(&g->h, oh) && window_exists(&g->w, ow);
        for (ptrdiff_t i = 0; i < c; i++, at++)
            y[at] = exists ? x[(first + g->w.first[ow] + g->offset[index_at(index, at, g->index_bytes)]) * c + i] : 0;
    }
}

static void max_places(const pydl_pool_geometry *g, const void *index, ptrdiff_t row, int64_t *places) {
    const ptrdiff_t c = g->channels, first = window_row(g, row / g->h.n_out, row % g->h.n_out, 0, 0);
    ptrdiff_t at = row * g->w.n_out * c;
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++)
        for (ptrdiff_t i = 0; i < c; i++, at++)
            places[at] = first + g->w.first[ow] + g->offset[index_at(index, at, g->index_bytes)];
}

/* --- average ---------------------------------------------------------------------------------------------------------------- */

INLINE void avg_window(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, ptrdiff_t ow, ptrdiff_t left, real *y,
                       const int n, const int whole, const int step) {
    const pydl_windows *w = &g->w;
    const ptrdiff_t c = g->channels;
    const vreal divisor = vset(window_divisor(g, od, oh, ow));
    vreal total[CHANNEL_VECTORS] = {{0}};
    FOR_WINDOW(kd, g->d, od) FOR_WINDOW(kh, g->h, oh) {
        const ptrdiff_t row = window_row(g, od, oh, kd, kh) + w->first[ow];
        vreal sum[CHANNEL_VECTORS] = {{0}};
        FOR_WINDOW(kw, *w, ow) {
            const real *p = x + (row + kw * w->dilation) * c;
            for (int j = 0; j < n; j++) sum[j] += step ? load_step(p + j * step * LANES, step) : whole ? vload(p + j * LANES) : vload_upto(p, left);
        }
        for (int j = 0; j < n; j++) total[j] += sum[j];
    }
    for (int j = 0; j < n; j++) {
        if (whole) vstore(y + j * LANES, total[j] / divisor);
        else vstore_upto(y, total[j] / divisor, left);
    }
}

INLINE void avg_row(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, real *y) {
    const ptrdiff_t c = g->channels;
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++, y += c) {
        ptrdiff_t i = 0;
        for (; i + CHANNEL_VECTORS * LANES <= c; i += CHANNEL_VECTORS * LANES)
            avg_window(g, x + i, od, oh, ow, 0, y + i, CHANNEL_VECTORS, 1, 0);
        for (; i < c; i += LANES) avg_window(g, x + i, od, oh, ow, c - i, y + i, 1, 0, 0);
    }
}

INLINE void avg_plane_row(const pydl_pool_geometry *g, const real *x, ptrdiff_t od, ptrdiff_t oh, real *y, const int step) {
    const ptrdiff_t lo = g->w.full_lo, hi = g->w.full_hi;
    const int has_vectors = hi - lo >= LANES;
    ptrdiff_t i = lo;
    for (; has_vectors && hi - i >= 4 * LANES; i += 4 * LANES) avg_window(g, x, od, oh, i, 0, y + i, 4, 1, step);
    for (; has_vectors && hi - i >= 2 * LANES; i += 2 * LANES) avg_window(g, x, od, oh, i, 0, y + i, 2, 1, step);
    for (; has_vectors && i < hi; i += LANES) {
        if (i > hi - LANES) i = hi - LANES;
        avg_window(g, x, od, oh, i, 0, y + i, 1, 1, step);
    }
    for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++) {
        if (has_vectors && ow == lo) ow = hi;
        if (ow < g->w.n_out) avg_window(g, x, od, oh, ow, 1, y + ow, 1, 0, 0);
    }
}

static void avg_fwd(const pydl_pool_geometry *g, const void *x, ptrdiff_t row, void *y) {
    const ptrdiff_t od = row / g->h.n_out, oh = row % g->h.n_out;
    real *to = (real *)y + row * g->w.n_out * g->channels;
    if (g->channels == 1 && g->w.stride == 2) avg_plane_row(g, x, od, oh, to, 2);
    else if (g->channels == 1 && g->w.stride == 1) avg_plane_row(g, x, od, oh, to, 1);
    else avg_row(g, x, od, oh, to);
}

INLINE void avg_pixel_bwd(const pydl_pool_geometry *g, const real *dy, ptrdiff_t id, ptrdiff_t ih, ptrdiff_t iw, ptrdiff_t channel,
                          real *dx, const int n, const int whole) {
    const ptrdiff_t c = g->channels, left = c - channel;
    vreal sum[CHANNEL_VECTORS] = {{0}};
    for (ptrdiff_t od = g->d.out_lo[id]; od < g->d.out_hi[id]; od++)
        for (ptrdiff_t oh = g->h.out_lo[ih]; oh < g->h.out_hi[ih]; oh++)
            for (ptrdiff_t ow = g->w.out_lo[iw]; ow < g->w.out_hi[iw]; ow++) {
                if (window_element(&g->d, od, id) < 0 || window_element(&g->h, oh, ih) < 0 || window_element(&g->w, ow, iw) < 0) continue;
                const ptrdiff_t at = ((od * g->h.n_out + oh) * g->w.n_out + ow) * c + channel;
                const vreal divisor = vset(window_divisor(g, od, oh, ow));
                for (int j = 0; j < n; j++) sum[j] += (whole ? vload(dy + at + j * LANES) : vload_upto(dy + at, left)) / divisor;
            }
    for (int j = 0; j < n; j++) {
        if (whole) vstore(dx + j * LANES, sum[j]);
        else vstore_upto(dx, sum[j], left);
    }
}

/* Neighbors in the same windows have the same gradient: divided once, then copied (global pooling). */
INLINE void avg_row_bwd(const pydl_pool_geometry *g, const real *dy, ptrdiff_t row, real *dx) {
    const pydl_windows *w = &g->w;
    const ptrdiff_t c = g->channels, id = row / g->h.n_in, ih = row % g->h.n_in;
    dx += row * w->n_in * c;
    for (ptrdiff_t iw = 0; iw < w->n_in; iw++, dx += c) {
        if (iw && w->dilation == 1 && w->out_lo[iw] == w->out_lo[iw - 1] && w->out_hi[iw] == w->out_hi[iw - 1]) {
            memcpy(dx, dx - c, (size_t)c * sizeof(real));
            continue;
        }
        ptrdiff_t i = 0;
        for (; i + CHANNEL_VECTORS * LANES <= c; i += CHANNEL_VECTORS * LANES)
            avg_pixel_bwd(g, dy, id, ih, iw, i, dx + i, CHANNEL_VECTORS, 1);
        for (; i < c; i += LANES) avg_pixel_bwd(g, dy, id, ih, iw, i, dx + i, 1, 0);
    }
}

static void avg_scatter(const pydl_pool_geometry *g, const void *dy_, void *dx_) {
    const real *dy = dy_;
    real *dx = dx_;
    memset(dx, 0, (size_t)(g->d.n_in * g->h.n_in * g->w.n_in) * sizeof(real));
    for (ptrdiff_t od = 0; od < g->d.n_out; od++)
        for (ptrdiff_t oh = 0; oh < g->h.n_out; oh++, dy += g->w.n_out)
            FOR_WINDOW(kd, g->d, od) FOR_WINDOW(kh, g->h, oh) {
                const ptrdiff_t row = window_row(g, od, oh, kd, kh);
                for (ptrdiff_t ow = 0; ow < g->w.n_out; ow++) {
                    const real v = dy[ow] / window_divisor(g, od, oh, ow);
                    FOR_WINDOW(kw, g->w, ow) dx[row + g->w.first[ow] + kw * g->w.dilation] += v;
                }
            }
}

/* --- elements at given places of a plane ---------------------------------------------------------------------------------------- */

static ptrdiff_t place_check(const int64_t *places, ptrdiff_t n, int64_t size) {
    for (ptrdiff_t i = 0; i < n; i++)
        if (places[i] < 0 || places[i] >= size) return i;
    return -1;
}

static void place_store(const void *x, const int64_t *places, ptrdiff_t n, void *y) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)y)[places[i]] = ((const real *)x)[i];
}

static void place_add(const void *x, const int64_t *places, ptrdiff_t n, void *y) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)y)[places[i]] += ((const real *)x)[i];
}

static void place_take(const void *x, const int64_t *places, ptrdiff_t n, void *y) {
    for (ptrdiff_t i = 0; i < n; i++) ((real *)y)[i] = ((const real *)x)[places[i]];
}

#endif
