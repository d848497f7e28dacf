/* SPDX-License-Identifier: BSD-3-Clause */
/* Dropout: which elements are kept depends on key, offset and an element's index alone, see activation_kernels.h.
 *
 * Philox4x32-10 as in random.c, on vectors: each 64-bit lane holds one 32-bit word of one counter's state and what the products left
 * above it, which neither the products nor, at the end, the mask read. Four words of a counter are four elements, one byte each.
 */
#ifndef PYDL_DROPOUT_H
#define PYDL_DROPOUT_H

enum { PHILOX_ROUNDS = 10, PHILOX_VECTORS = 2, PHILOX_BLOCK = 4 * PHILOX_VECTORS * WIDE_LANES }; /* elements at a time */

INLINE vwide wset(uint64_t s) { return (vwide){0} + s; }

INLINE vwide wlane_index(void) {
    vwide index;
    for (int i = 0; i < WIDE_LANES; i++) index[i] = (uint64_t)i;
    return index;
}

/* 1 where the lower half of a lane is below `keep`, in bit `at` of the lane: the sign of the difference. */
INLINE vwide is_below(vwide word, uint64_t keep, int at) {
    return (((word & wset(0xffffffff)) - wset(keep)) >> (63 - at)) & wset((uint64_t)1 << at);
}

/* PHILOX_BLOCK bytes from the counters first, first + 1, ... */
INLINE void philox_mask_block(uint8_t *mask, uint64_t first, const uint64_t *keys, uint64_t keep) {
    const vwide m0 = wset(0xD2511F53u), m1 = wset(0xCD9E8D57u);
    vwide c[PHILOX_VECTORS][4];
    for (int v = 0; v < PHILOX_VECTORS; v++) {
        c[v][0] = wset(first + (uint64_t)(v * WIDE_LANES)) + wlane_index();
        c[v][1] = c[v][0] >> 32;
        c[v][2] = c[v][3] = wset(0);
    }
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (int v = 0; v < PHILOX_VECTORS; v++) {
            const vwide p0 = wmul(c[v][0], m0), p1 = wmul(c[v][2], m1);
            c[v][0] = (p1 >> 32) ^ c[v][1] ^ wset(keys[2 * round]);
            c[v][2] = (p0 >> 32) ^ c[v][3] ^ wset(keys[2 * round + 1]);
            c[v][1] = p1;
            c[v][3] = p0;
        }
    }
    for (int v = 0; v < PHILOX_VECTORS; v++) {
        vwide bytes = is_below(c[v][0], keep, 0);
        for (int j = 1; j < 4; j++) bytes |= is_below(c[v][j], keep, 8 * j);
        wstore_low(mask + 4 * WIDE_LANES * v, bytes);
    }
}

static void dropout_mask(uint8_t *mask, ptrdiff_t n, uint64_t key, uint64_t offset, uint64_t keep) {
    uint64_t keys[2 * PHILOX_ROUNDS];
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        keys[2 * round] = (uint32_t)((uint32_t)key + (uint32_t)round * 0x9E3779B9u);
        keys[2 * round + 1] = (uint32_t)((uint32_t)(key >> 32) + (uint32_t)round * 0xBB67AE85u);
    }
    ptrdiff_t i = 0;
    for (; i + PHILOX_BLOCK <= n; i += PHILOX_BLOCK) philox_mask_block(mask + i, offset + (uint64_t)i / 4, keys, keep);
    if (i < n) {
        uint8_t last[PHILOX_BLOCK];
        philox_mask_block(last, offset + (uint64_t)i / 4, keys, keep);
        memcpy(mask + i, last, (size_t)(n - i));
    }
}

static void dropout(const void *x_, void *y_, uint8_t *mask, ptrdiff_t n, uint64_t key, uint64_t offset, uint64_t keep,
                    double scale_) {
    const real *x = x_;
    real *y = y_;
    const vreal scale = vset((real)scale_), zero = vset(0);
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        dropout_mask(mask + i, m, key, offset + (uint64_t)i / 4, keep);
        for (ptrdiff_t k = 0; k < m; k += LANES) {
            const vint kept = mask_load_upto(mask + i + k, m - k);
            vstore_upto(y + i + k, vload_upto(x + i + k, m - k) * vselect(kept, scale, zero), m - k);
        }
    }
}

/* --- a mask that is there already ---------------------------------------------------------------------------------------- */

INLINE const uint8_t *contiguous_bytes(const uint8_t *x, ptrdiff_t s, ptrdiff_t i, ptrdiff_t n, uint8_t *buffer) {
    if (s == 1) return x + i;
    for (ptrdiff_t k = 0; k < n; k++) buffer[k] = x[(i + k) * s];
    return buffer;
}

INLINE vreal masked(vreal x, vint kept, const vreal *p, const int affine) {
    if (!affine) return x * vselect(kept, p[0], vset(0));
    return vselect(kept, vfma(p[0], x, p[1]), vfma(vset(0), x, p[2]));
}

INLINE void masked_any(const real *x, ptrdiff_t sx, const uint8_t *mask, ptrdiff_t sm, real *y, ptrdiff_t sy, ptrdiff_t n,
                       const double *p_, const int affine) {
    const vreal p[3] = {vset((real)p_[0]), vset(affine ? (real)p_[1] : 0), vset(affine ? (real)p_[2] : 0)};
    real in[CHUNK], out[CHUNK];
    uint8_t bytes[CHUNK];
    for (ptrdiff_t i = 0; i < n; i += CHUNK) {
        const ptrdiff_t m = chunk_size(n - i);
        const real *px = contiguous(x, sx, i, m, in);
        const uint8_t *pm = contiguous_bytes(mask, sm, i, m, bytes);
        real *target = sy == 1 ? y + i : out;
        for (ptrdiff_t k = 0; k < m; k += LANES)
            vstore_upto(target + k, masked(vload_upto(px + k, m - k), mask_load_upto(pm + k, m - k), p, affine), m - k);
        if (sy != 1) scatter(out, y, sy, i, m);
    }
}

static void mask_scale(const void *x, ptrdiff_t sx, const uint8_t *mask, ptrdiff_t sm, void *y, ptrdiff_t sy, ptrdiff_t n,
                       const double *p) {
    masked_any(x, sx, mask, sm, y, sy, n, p, 0);
}

static void mask_affine(const void *x, ptrdiff_t sx, const uint8_t *mask, ptrdiff_t sm, void *y, ptrdiff_t sy, ptrdiff_t n,
                        const double *p) {
    masked_any(x, sx, mask, sm, y, sy, n, p, 1);
}

#endif
