/* SPDX-License-Identifier: BSD-3-Clause */
/* The batch-reduce GEMM: C[m × n] = relu(C + Σ_b A_b[m × k]·B_b[k × n] + bias), each of C, bias and relu optional.
 *
 * One register tile of MR rows × NV vectors (wide) and one of MR1 rows × 1 vector (narrow: the columns behind the last whole
 * panel). An accumulator starts at zero and takes its products one after the other in order of b and k; chains of at most CHAIN
 * products are folded into a total, C and then the bias are added at the end. So every tile height, tile width and column position
 * gives an element the same bits, and a caller may cut m and n as it likes.
 * NaN and Inf appear in the rows and columns they belong to and nowhere else: what is read beside the operands is never stored.
 * Tiles were chosen by `python csrc/spills.py` (no vector register is spilled) and by the rate with operands in L1.
 */
#ifndef PYDL_BRGEMM_H
#define PYDL_BRGEMM_H

#include "gemm_kernels.h"
#include "simd.h"

#if defined(PYDL_ISA_AVX512)
#define EACH_WIDE(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define EACH_NARROW(X) EACH_WIDE(X)
enum { MR = 14, NV = 2, MR1 = 14 };
#elif defined(PYDL_ISA_AVX2)
#define EACH_WIDE(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define EACH_NARROW(X) EACH_WIDE(X) X(7) X(8) X(9) X(10) X(11) X(12)
enum { MR = 6, NV = 2, MR1 = 12 };
#elif defined(__aarch64__)
#define EACH_WIDE(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#define EACH_NARROW(X) EACH_WIDE(X) X(9) X(10) X(11) X(12)
enum { MR = 8, NV = 3, MR1 = 12 };
#else
#define EACH_WIDE(X) X(1) X(2) X(3)
#define EACH_NARROW(X) EACH_WIDE(X) X(4) X(5) X(6)
enum { MR = 3, NV = 3, MR1 = 6 }; /* share of mul+add peak: 3×3 83 %, 2×4 82, 6×2 77, 4×2 74; 3×4 spills: 56 */
#endif
/* Longest chain of roundings: 256 gave errors up to 7.1e-7 of the largest value in f32, 128 at most 5e-7 for 1 % of the speed. */
enum { CHAIN = 128 };
enum { NR = NV * LANE_COUNT, MR_MAX = MR1 > MR ? MR1 : MR };

/* Cache blocks: a panel of KC × NR stays in L1, MC × KC of A in L2 (half of 512 KB, the smallest one about), KC × NC of B in L3. */
#if defined(PYDL_ISA_AVX512)
enum { KC = 384, MC = PYDL_F64 ? 112 : 224, NC = 3072 };
#else
enum { KC = 256, MC = PYDL_F64 ? 120 : 240, NC = 3072 };
#endif

/* What all tiles of one call share. A's strides are in bytes (addressing modes then need no shift), the others in elements. */
typedef struct {
    ptrdiff_t k, n_blocks, a_row, a_col, a_block, b_row, b_block, c_row;
    int accumulate, relu;
} tile_shape;

typedef void tile_fn(const tile_shape *s, const real *a, const real *b, real *c, const real *bias, ptrdiff_t n);

/* Stores the first n < LANES lanes. AVX2's masked store is microcoded on AMD (about 20 cycles), so powers of two are copied. */
INLINE void store_tail(real *p, vreal v, ptrdiff_t n) {
#if defined(PYDL_ISA_AVX512)
    vstore_n(p, v, n);
#else
    real t[LANE_COUNT];
    const real *q = t;
    vstore(t, v);
#if LANE_COUNT > 8
    if (n & 8) memcpy(p, q, 8 * sizeof(real)), p += 8, q += 8;
#endif
#if LANE_COUNT > 4
    if (n & 4) memcpy(p, q, 4 * sizeof(real)), p += 4, q += 4;
#endif
#if LANE_COUNT > 2
    if (n & 2) memcpy(p, q, 2 * sizeof(real)), p += 2, q += 2;
#endif
    if (n & 1) *p = *q;
#endif
}

INLINE vreal relu_of(vreal v) { return vselect(v < (vreal){0}, (vreal){0}, v); } /* NaN stays NaN */

/* store_tail of mr rows as a loop: unrolled it would be most of the code of a narrow tile. */
INLINE void store_tails(const int mr, vreal (*acc)[NV], real *c, ptrdiff_t c_row, ptrdiff_t n) {
    real t[MR_MAX][LANE_COUNT];
#pragma GCC unroll 16
    for (int i = 0; i < mr; i++) vstore(t[i], acc[i][0]);
#pragma GCC unroll 1
    for (int i = 0; i < mr; i++) store_tail(c + i * c_row, vload(t[i]), n);
}

/* The end of a tile of mr rows × nv vectors (constants): C, bias and relu as asked; n < LANES columns exist when nv = 1. */
INLINE void store_finished(const int mr, const int nv, vreal (*acc)[NV], real *c, ptrdiff_t c_row, const real *bias, int accumulate,
                           int relu, ptrdiff_t n) {
    const int whole = nv > 1 || n >= LANES;
#define EACH_VECTOR \
    _Pragma("GCC unroll 16") for (int i = 0; i < mr; i++) _Pragma("GCC unroll 4") for (int v = 0; v < nv; v++)
    if (accumulate) {
        if (whole) EACH_VECTOR acc[i][v] = vload(c + i * c_row + v * LANES) + acc[i][v];
        else EACH_VECTOR acc[i][v] = vload_n(c + i * c_row, n) + acc[i][v];
    }
    if (bias) {
        vreal column[NV];
#pragma GCC unroll 4
        for (int v = 0; v < nv; v++) column[v] = whole ? vload(bias + v * LANES) : vload_n(bias, n);
        EACH_VECTOR acc[i][v] = acc[i][v] + column[v];
    }
    if (relu) EACH_VECTOR acc[i][v] = relu_of(acc[i][v]);
    if (whole) EACH_VECTOR vstore(c + i * c_row + v * LANES, acc[i][v]);
    else store_tails(mr, acc, c, c_row, n);
}

/* Row i of a group of up to 8 rows from one pointer and three multiples of the stride. */
#define ROW_OFFSET(i) \
    ((i) == 0 ? 0 : (i) == 1 ? r1 : (i) == 2 ? 2 * r1 : (i) == 3 ? r3 : (i) == 4 ? 4 * r1 : (i) == 5 ? r5 : (i) == 6 ? 2 * r3 : r7)

/* How A lies: with any strides, in contiguous rows, or packed by pack_a. Where its steps are known k is unrolled: that saves
 * up to a fifth of the instructions, and on a core whose other hardware thread issues too 4 (rows) and 8 % (packed) of the time. */
enum { ANY, ROWS, PACKED };

/* mr, nv, form and masked are constants in every instance. masked: only the first n < LANES columns of B may be read (nv = 1). */
INLINE void tile(const int mr, const int nv, const int form, const int masked, const tile_shape *s, const real *a, const real *b,
                 real *c, const real *bias, ptrdiff_t n) {
    vreal acc[MR_MAX][NV];
    const int group = mr <= 6 ? mr : (mr + 1) / 2; /* 7 or 8 rows from one pointer: gcc 12 spills */
    const ptrdiff_t size = sizeof(real), b_row = s->b_row;
    const ptrdiff_t r1 = form == PACKED ? size : s->a_row, r3 = 3 * r1, r5 = 5 * r1, r7 = 7 * r1;
    const ptrdiff_t segments = (s->k + CHAIN - 1) / CHAIN, longest = segments > 1 ? (s->k + segments - 1) / segments : s->k;
    real total[MR_MAX * NV][LANE_COUNT];
    ptrdiff_t in_chain = 0, left = 0;
    int folded = 0;
    EACH_VECTOR acc[i][v] = (vreal){0};
    if (s->accumulate) EACH_VECTOR __builtin_prefetch(c + i * s->c_row + v * LANES, 1);
    const char *p0 = NULL, *p1 = NULL;
    const real *q = NULL;
    for (ptrdiff_t part = 0; part < s->n_blocks * segments; part++) {
        if (left == 0) {
            p0 = (const char *)a, p1 = p0 + group * r1, q = b, left = s->k;
            a = (const real *)((const char *)a + s->a_block), b += s->b_block;
        }
        const ptrdiff_t steps = left < longest ? left : longest;
        left -= steps;
        if (in_chain + steps > CHAIN && in_chain > 0) {
            EACH_VECTOR vstore(total[i * nv + v], folded ? vload(total[i * nv + v]) + acc[i][v] : acc[i][v]);
            EACH_VECTOR acc[i][v] = (vreal){0};
            folded = 1, in_chain = 0;
        }
        in_chain += steps;
#define STEPS(times, a_col, b_row) \
    _Pragma(times) for (ptrdiff_t k = steps; k > 0; k--, p0 += a_col, p1 += a_col, q += b_row) { \
        vreal column[NV]; \
        _Pragma("GCC unroll 4") for (int v = 0; v < nv; v++) column[v] = masked ? vload_n(q, n) : vload(q + v * LANES); \
        _Pragma("GCC unroll 16") for (int i = 0; i < mr; i++) { \
            const vreal row = vset(*(const real *)(i < group ? p0 + ROW_OFFSET(i) : p1 + ROW_OFFSET(i - group))); \
            _Pragma("GCC unroll 4") for (int v = 0; v < nv; v++) acc[i][v] = vfma(row, column[v], acc[i][v]); \
        } \
    }
        if (form == ANY) STEPS("GCC unroll 1", s->a_col, s->b_row)
        else STEPS("GCC unroll 4", (form == PACKED ? MR * size : size), b_row)
    }
    if (folded) EACH_VECTOR acc[i][v] = vload(total[i * nv + v]) + acc[i][v];
    store_finished(mr, nv, acc, c, s->c_row, bias, s->accumulate, s->relu, n);
}

#define TILE_ARGS const tile_shape *s, const real *a, const real *b, real *c, const real *bias, ptrdiff_t n
#define TILE_WIDE(mr) \
    static void tile_wide_##mr(TILE_ARGS) { tile(mr, NV, ANY, 0, s, a, b, c, bias, n); } \
    static void tile_rows_##mr(TILE_ARGS) { tile(mr, NV, ROWS, 0, s, a, b, c, bias, n); } \
    static void tile_packed_##mr(TILE_ARGS) { tile(mr, NV, PACKED, 0, s, a, b, c, bias, n); }
#define TILE_NARROW(mr) \
    static void tile_narrow_##mr(TILE_ARGS) { tile(mr, 1, ANY, 0, s, a, b, c, bias, n); } \
    static void tile_masked_##mr(TILE_ARGS) { tile(mr, 1, ANY, 1, s, a, b, c, bias, n); }
EACH_WIDE(TILE_WIDE)
EACH_NARROW(TILE_NARROW)
#define ENTRY_WIDE(mr) tile_wide_##mr,
#define ENTRY_ROWS(mr) tile_rows_##mr,
#define ENTRY_PACKED(mr) tile_packed_##mr,
#define ENTRY_NARROW(mr) tile_narrow_##mr,
#define ENTRY_MASKED(mr) tile_masked_##mr,
static tile_fn *const tiles_wide[][MR] = {
    [ANY] = {EACH_WIDE(ENTRY_WIDE)}, [ROWS] = {EACH_WIDE(ENTRY_ROWS)}, [PACKED] = {EACH_WIDE(ENTRY_PACKED)}};
static tile_fn *const tiles_narrow[] = {EACH_NARROW(ENTRY_NARROW)};
static tile_fn *const tiles_masked[] = {EACH_NARROW(ENTRY_MASKED)};

/* m rows in tiles of nearly equal height: 32 rows are 6+6+5+5+5+5, not 6+6+6+6+6+2, whose last tile has too few FMA chains. */
typedef struct {
    ptrdiff_t n_tiles, height, n_higher;
} row_split;

INLINE row_split split_rows(ptrdiff_t m, ptrdiff_t max_height) {
    row_split r = {1, m, 0};
    if (m <= max_height) return r;
    r.n_tiles = (m + max_height - 1) / max_height;
    r.height = m / r.n_tiles;
    r.n_higher = m - r.height * r.n_tiles;
    return r;
}

/* Lines of the next panel that a tile calls into the cache: panels that lie beyond L2 then cost 8 % less with 96 rows and more. Many
 * more a tile cost time themselves, and panels of so few rows come fast enough. */
enum { AHEAD = 16 };

/* One panel column of tiles, top to bottom. a_tile = 0: A is strided; else tiles of split_rows(m, MR), a_tile bytes apart. The
 * n_next elements at `next` will be read after it. */
static void tile_column(tile_fn *const *fns, ptrdiff_t max_height, ptrdiff_t m, const tile_shape *s, const real *a, ptrdiff_t a_tile,
                        const real *b, real *c, const real *bias, ptrdiff_t n, const real *next, ptrdiff_t n_next) {
    const row_split split = split_rows(m, a_tile ? MR : max_height);
    const ptrdiff_t line = 64 / (ptrdiff_t)sizeof(real), share = (n_next / line + split.n_tiles - 1) / split.n_tiles * line;
    if (share > AHEAD * line) n_next = 0;
    const char *p = (const char *)a;
    for (ptrdiff_t t = 0; t < split.n_tiles; t++) {
        const real *end = next + (share < n_next ? share : n_next);
        n_next -= end - next;
        for (; next < end; next += line) __builtin_prefetch(next);
        const ptrdiff_t height = split.height + (t < split.n_higher);
        fns[height - 1](s, (const real *)p, b, c, bias, n);
        p += a_tile ? a_tile : height * s->a_row;
        c += height * s->c_row;
    }
}

static void gemm_block(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t n_blocks, const void *a, ptrdiff_t a_row, ptrdiff_t a_col,
                       ptrdiff_t a_tile, ptrdiff_t a_block, const void *b, ptrdiff_t b_row, ptrdiff_t b_panel, ptrdiff_t b_block,
                       void *c, ptrdiff_t c_row, const void *bias, int flags) {
    const ptrdiff_t size = sizeof(real);
    const tile_shape s = {k, n_blocks, a_row * size, a_col * size, a_block * size, b_row, b_block, c_row,
                          (flags & PYDL_GEMM_ACCUMULATE) != 0, (flags & PYDL_GEMM_RELU) != 0};
    const int form = s.a_col == size ? ROWS : s.a_row == size && s.a_col == MR * size ? PACKED : ANY;
    if (m <= 0) return;
    for (ptrdiff_t j = 0; j < n; j += NR, b = (const real *)b + b_panel) {
        const real *panel = b, *bias_j = bias ? (const real *)bias + j : NULL;
        real *c_j = (real *)c + j;
        if (n - j >= NR) {
            const ptrdiff_t n_next = b_row == NR && n_blocks == 1 && n - j > NR ? k * NR : 0;
            tile_column(tiles_wide[form], MR, m, &s, a, a_tile * size, panel, c_j, bias_j, NR, panel + (n_next ? b_panel : 0), n_next);
            continue;
        }
        for (ptrdiff_t v = 0; v < n - j; v += LANES) {
            const ptrdiff_t width = n - j - v;
            tile_fn *const *fns = width >= LANES || (flags & PYDL_GEMM_PADDED) ? tiles_narrow : tiles_masked;
            tile_column(fns, MR1, m, &s, a, a_tile * size, panel + v, c_j + v, bias ? bias_j + v : NULL, width, b, 0);
        }
    }
}

#endif
