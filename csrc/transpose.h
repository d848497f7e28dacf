/* SPDX-License-Identifier: BSD-3-Clause */
/* Transposition of a square block of LANE_COUNT vectors in registers, by log2(LANE_COUNT) rounds of shuffles. */
#ifndef PYDL_TRANSPOSE_H
#define PYDL_TRANSPOSE_H

/* Butterfly round: lanes whose bit d is set in `a` change places with those whose bit d is clear in `b`. */
#define UNPAREN(...) __VA_ARGS__
#define SHUFFLED(a, b, lanes) __builtin_shufflevector(a, b, UNPAREN lanes)
#define SWAP_LANES(a, b, lo, hi) \
    do { \
        const vreal swapped = SHUFFLED(a, b, lo); \
        b = SHUFFLED(a, b, hi); \
        a = swapped; \
    } while (0)
#if LANE_COUNT == 2
#define SWAP_1(a, b) SWAP_LANES(a, b, (0, 2), (1, 3))
#elif LANE_COUNT == 4
#define SWAP_1(a, b) SWAP_LANES(a, b, (0, 4, 2, 6), (1, 5, 3, 7))
#define SWAP_2(a, b) SWAP_LANES(a, b, (0, 1, 4, 5), (2, 3, 6, 7))
#elif LANE_COUNT == 8
#define SWAP_1(a, b) SWAP_LANES(a, b, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15))
#define SWAP_2(a, b) SWAP_LANES(a, b, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15))
#define SWAP_4(a, b) SWAP_LANES(a, b, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15))
#else
#define SWAP_1(a, b) \
    SWAP_LANES(a, b, (0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30), \
                (1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
#define SWAP_2(a, b) \
    SWAP_LANES(a, b, (0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29), \
                (2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
#define SWAP_4(a, b) \
    SWAP_LANES(a, b, (0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27), \
                (4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
#define SWAP_8(a, b) \
    SWAP_LANES(a, b, (0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), \
                (8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#endif
#define SWAP_ROUND(r, d, swap) \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANE_COUNT; i++) if (!(i & (d))) swap(r[i], r[i + (d)])

/* r[i][j] <-> r[j][i]. */
INLINE void transpose(vreal r[LANE_COUNT]) {
    SWAP_ROUND(r, 1, SWAP_1);
#if LANE_COUNT >= 4
    SWAP_ROUND(r, 2, SWAP_2);
#endif
#if LANE_COUNT >= 8
    SWAP_ROUND(r, 4, SWAP_4);
#endif
#if LANE_COUNT >= 16
    SWAP_ROUND(r, 8, SWAP_8);
#endif
}

/* The first n lanes, n of any sign and size. */
INLINE vreal load_clipped(const real *p, ptrdiff_t n) { return n >= LANES ? vload(p) : n > 0 ? vload_n(p, n) : (vreal){0}; }

#endif
