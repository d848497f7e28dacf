/* SPDX-License-Identifier: BSD-3-Clause */
/* The vector type of one ISA and element type, and the few operations that the vector extensions lack.
 *
 * The build defines PYDL_ISA_BASE | PYDL_ISA_AVX2 | PYDL_ISA_AVX512 | PYDL_ISA_NEON and PYDL_F64 (0 or 1).
 *   real      element type                      LANES   elements in a vector
 *   vreal     vector of real                    vint    vector of integers of the same width; comparisons give vint (0 or -1)
 *   vload/vstore            unaligned full vectors
 *   vload_n/vstore_n        the first n lanes, 0 < n < LANES; never touches memory behind them; other lanes load as 0
 *   vset(s)                 all lanes s (x - 0 folds to a broadcast and keeps -0 and NaN)
 *   vselect(m, a, b)        m ? a : b, lane by lane, m from a comparison
 *   vmin(a, b), vmax(a, b)  a < b ? a : b and a > b ? a : b, so b where either is NaN and where both are zeros
 *   vfma(a, b, c)           a*b + c, one rounding where the ISA has FMA. Always write it so: whether gcc contracts a plain a*b + c
 *                           depends on what surrounds it (an invariant a*b leaves the loop), and then equal inputs differ in bits
 *   VFMA_FUSED              1 where vfma rounds once, else 0
 *   vsqrt(a)                correctly rounded
 *   vsum(a)                 sum of the lanes, as a balanced tree;  vlargest(a) largest lane (any lane where one is NaN)
 *   vany(m), vall(m)        whether a comparison holds in any lane, in all lanes
 *   mask_load/mask_store    LANES bytes as a comparison (not 0) and back (0 or 1); _upto as below
 *   bytes_load/bytes_store  LANES bytes as integers 0 ... 255 and back
 *   vwide, WIDE_LANES       vector of uint64_t whatever the element type;  wmul(a, b) products of the lower halves of the lanes
 *   wstore_low(p, a)        the lower halves of the lanes, one after the other
 */
#ifndef PYDL_SIMD_H
#define PYDL_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if PYDL_F64
typedef double real;
typedef int64_t ireal;
typedef uint64_t ureal;
#else
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#endif

#if defined(PYDL_ISA_AVX512)
#define VBYTES 64
#elif defined(PYDL_ISA_AVX2)
#define VBYTES 32
#else
#define VBYTES 16
#endif
#define LANE_COUNT (VBYTES / (PYDL_F64 ? 8 : 4)) /* for the preprocessor */
#define LANES ((ptrdiff_t)LANE_COUNT)

#define INLINE static inline __attribute__((always_inline))
#if defined(PYDL_ISA_AVX512) || defined(PYDL_ISA_AVX2) || defined(__aarch64__)
#define VFMA_FUSED 1
#else
#define VFMA_FUSED 0
#endif

typedef real vreal __attribute__((vector_size(VBYTES)));
typedef ireal vint __attribute__((vector_size(VBYTES)));
typedef ureal vuint __attribute__((vector_size(VBYTES)));
typedef real vreal_mem __attribute__((vector_size(VBYTES), aligned(sizeof(real)), may_alias));

INLINE vreal vload(const real *p) { return (vreal)(*(const vreal_mem *)p); }
INLINE void vstore(real *p, vreal v) { *(vreal_mem *)p = (vreal_mem)v; }
INLINE vreal vset(real s) { return s - (vreal){0}; }
#if defined(PYDL_ISA_AVX512) && PYDL_F64
#define TAIL_MASK(n) ((__mmask8)((1u << (n)) - 1u))
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm512_maskz_loadu_pd(TAIL_MASK(n), p); }
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) { _mm512_mask_storeu_pd(p, TAIL_MASK(n), (__m512d)v); }
INLINE vreal vsqrt(vreal a) { return (vreal)_mm512_sqrt_pd((__m512d)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm512_min_pd((__m512d)a, (__m512d)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm512_max_pd((__m512d)a, (__m512d)b); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
INLINE vreal vselect(vint m, vreal a, vreal b) {
    return (vreal)_mm512_mask_blend_pd(_mm512_movepi64_mask((__m512i)m), (__m512d)b, (__m512d)a);
}
#elif defined(PYDL_ISA_AVX512)
#define TAIL_MASK(n) ((__mmask16)((1u << (n)) - 1u))
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm512_maskz_loadu_ps(TAIL_MASK(n), p); }
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) { _mm512_mask_storeu_ps(p, TAIL_MASK(n), (__m512)v); }
INLINE vreal vsqrt(vreal a) { return (vreal)_mm512_sqrt_ps((__m512)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE vreal vselect(vint m, vreal a, vreal b) {
    return (vreal)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), (__m512)b, (__m512)a);
}
#elif defined(PYDL_ISA_AVX2) && PYDL_F64
INLINE __m256i tail_mask(ptrdiff_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm256_maskload_pd(p, tail_mask(n)); }
/* In powers of two: AVX2's masked store takes about 20 cycles on AMD. */
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) {
    __m128d part = _mm256_castpd256_pd128((__m256d)v);
    if (n & 2) {
        _mm_storeu_pd(p, part);
        part = _mm256_extractf128_pd((__m256d)v, 1);
        p += 2;
    }
    if (n & 1) _mm_store_sd(p, part);
}
INLINE vreal vsqrt(vreal a) { return (vreal)_mm256_sqrt_pd((__m256d)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm256_min_pd((__m256d)a, (__m256d)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm256_max_pd((__m256d)a, (__m256d)b); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
INLINE vreal vselect(vint m, vreal a, vreal b) { return (vreal)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m); }
#elif defined(PYDL_ISA_AVX2)
INLINE __m256i tail_mask(ptrdiff_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm256_maskload_ps(p, tail_mask(n)); }
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) {
    __m128 part = _mm256_castps256_ps128((__m256)v);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps((__m256)v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}
INLINE vreal vsqrt(vreal a) { return (vreal)_mm256_sqrt_ps((__m256)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE vreal vselect(vint m, vreal a, vreal b) { return (vreal)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
#else
#if defined(__SSE2__) && PYDL_F64
INLINE vreal vload_n(const real *p, ptrdiff_t n) { (void)n; return (vreal)_mm_load_sd(p); }
#elif defined(__SSE2__)
INLINE vreal vload_n(const real *p, ptrdiff_t n) {
    if (n == 1) return (vreal)_mm_load_ss(p);
    const __m128 low = (__m128)_mm_loadl_epi64((const __m128i *)p);
    return (vreal)(n == 2 ? low : _mm_movelh_ps(low, _mm_load_ss(p + 2)));
}
#else
INLINE vreal vload_n(const real *p, ptrdiff_t n) {
    vreal v = {0};
    for (ptrdiff_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
#endif
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}
#if defined(__SSE2__) && PYDL_F64
INLINE vreal vsqrt(vreal a) { return (vreal)_mm_sqrt_pd((__m128d)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm_min_pd((__m128d)a, (__m128d)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm_max_pd((__m128d)a, (__m128d)b); }
#elif defined(__SSE2__)
INLINE vreal vsqrt(vreal a) { return (vreal)_mm_sqrt_ps((__m128)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm_min_ps((__m128)a, (__m128)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm_max_ps((__m128)a, (__m128)b); }
#elif defined(__aarch64__) && PYDL_F64
INLINE vreal vsqrt(vreal a) { return (vreal)vsqrtq_f64((float64x2_t)a); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
#elif defined(__aarch64__)
INLINE vreal vsqrt(vreal a) { return (vreal)vsqrtq_f32((float32x4_t)a); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
#include <math.h>
INLINE vreal vsqrt(vreal a) {
    for (ptrdiff_t i = 0; i < LANES; i++) a[i] = (real)sqrt((double)a[i]);
    return a;
}
#endif
INLINE vreal vselect(vint m, vreal a, vreal b) { return (vreal)((m & (vint)a) | (~m & (vint)b)); }
#if !defined(__SSE2__)
INLINE vreal vmin(vreal a, vreal b) { return vselect(a < b, a, b); }
INLINE vreal vmax(vreal a, vreal b) { return vselect(a > b, a, b); }
#endif
#if !defined(__aarch64__)
INLINE vreal vfma(vreal a, vreal b, vreal c) { return a * b + c; }
#endif
#endif

/* VSWAPS(X) calls X(indices) for lanes i ^ LANES/2, ..., i ^ 2, i ^ 1: after each step every lane holds the fold of twice as many. */
#if LANE_COUNT == 2
#define VSWAPS(X) X(1, 0)
#elif LANE_COUNT == 4
#define VSWAPS(X) X(2, 3, 0, 1) X(1, 0, 3, 2)
#elif LANE_COUNT == 8
#define VSWAPS(X) X(4, 5, 6, 7, 0, 1, 2, 3) X(2, 3, 0, 1, 6, 7, 4, 5) X(1, 0, 3, 2, 5, 4, 7, 6)
#else
#define VSWAPS(X)                                           \
    X(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7) \
    X(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11) \
    X(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13) \
    X(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#endif
#define VSUM_STEP(...) v += __builtin_shufflevector(v, v, __VA_ARGS__);
#define VLARGEST_STEP(...) v = vmax(v, __builtin_shufflevector(v, v, __VA_ARGS__));
#define VANY_STEP(...) m |= __builtin_shufflevector(m, m, __VA_ARGS__);
INLINE real vsum(vreal v) {
    VSWAPS(VSUM_STEP)
    return v[0];
}
INLINE real vlargest(vreal v) {
    VSWAPS(VLARGEST_STEP)
    return v[0];
}
INLINE int vany(vint m) {
#if defined(PYDL_ISA_AVX512)
    return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0;
#elif defined(PYDL_ISA_AVX2)
    return _mm256_movemask_epi8((__m256i)m) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_epi8((__m128i)m) != 0;
#else
    VSWAPS(VANY_STEP)
    return m[0] != 0;
#endif
}
INLINE int vall(vint m) {
#if defined(PYDL_ISA_AVX512)
    return _mm512_movepi32_mask((__m512i)m) == 0xffff;
#elif defined(PYDL_ISA_AVX2)
    return _mm256_movemask_epi8((__m256i)m) == -1;
#elif defined(__SSE2__)
    return _mm_movemask_epi8((__m128i)m) == 0xffff;
#else
    return !vany(~m);
#endif
}

INLINE vint vlane_index(void) {
    vint index;
    for (ireal i = 0; i < LANES; i++) index[i] = i;
    return index;
}

/* --- masks in memory: one byte a lane ------------------------------------------------------------------------------------- */

#if defined(PYDL_ISA_AVX512)
INLINE vint mask_load(const uint8_t *p) {
    __m128i bytes = _mm_setzero_si128();
    memcpy(&bytes, p, LANE_COUNT);
#if PYDL_F64
    return (vint)_mm512_movm_epi64((__mmask8)_mm_test_epi8_mask(bytes, bytes));
#else
    return (vint)_mm512_movm_epi32(_mm_test_epi8_mask(bytes, bytes));
#endif
}
INLINE void mask_store(uint8_t *p, vint m) {
#if PYDL_F64
    const __m128i bytes = _mm_maskz_set1_epi8(_mm512_movepi64_mask((__m512i)m), 1);
#else
    const __m128i bytes = _mm_maskz_set1_epi8(_mm512_movepi32_mask((__m512i)m), 1);
#endif
    memcpy(p, &bytes, LANE_COUNT);
}
#elif defined(__SSE2__)
/* Lanes are 0 or -1: each signed pack halves their width, and a 64-bit lane is two equal 32-bit ones. */
INLINE void mask_store(uint8_t *p, vint m) {
#if defined(PYDL_ISA_AVX2)
    __m128i v = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)m), _mm256_extracti128_si256((__m256i)m, 1));
#else
    __m128i v = _mm_packs_epi32((__m128i)m, (__m128i)m);
#endif
    if (PYDL_F64) v = _mm_packs_epi32(v, v);
    v = _mm_and_si128(_mm_packs_epi16(v, v), _mm_set1_epi8(1));
    memcpy(p, &v, LANE_COUNT);
}
/* Bytes repeated to the width of a lane. */
INLINE vint mask_load(const uint8_t *p) {
    __m128i v = _mm_setzero_si128();
    memcpy(&v, p, LANE_COUNT);
    v = _mm_cmpeq_epi8(v, _mm_setzero_si128());
#if defined(PYDL_ISA_AVX2)
    return ~(PYDL_F64 ? (vint)_mm256_cvtepi8_epi64(v) : (vint)_mm256_cvtepi8_epi32(v));
#else
    v = _mm_unpacklo_epi8(v, v);
    v = _mm_unpacklo_epi16(v, v);
    return ~(vint)(PYDL_F64 ? _mm_unpacklo_epi32(v, v) : v);
#endif
}
#else
typedef int8_t vbyte __attribute__((vector_size(LANE_COUNT)));
INLINE vint mask_load(const uint8_t *p) {
    vbyte bytes;
    memcpy(&bytes, p, LANE_COUNT);
    return __builtin_convertvector(bytes, vint) != 0;
}
INLINE void mask_store(uint8_t *p, vint m) {
    const vbyte bytes = __builtin_convertvector(m, vbyte) & 1;
    memcpy(p, &bytes, LANE_COUNT);
}
#endif

/* --- small numbers in memory: one byte a lane (gcc 12 converts such vectors lane by lane) ------------------------------------- */

#if defined(PYDL_ISA_AVX512)
INLINE vint bytes_load(const uint8_t *p) {
    __m128i bytes = _mm_setzero_si128();
    memcpy(&bytes, p, LANE_COUNT);
    return PYDL_F64 ? (vint)_mm512_cvtepu8_epi64(bytes) : (vint)_mm512_cvtepu8_epi32(bytes);
}
INLINE void bytes_store(uint8_t *p, vint v) {
    const __m128i bytes = PYDL_F64 ? _mm512_cvtepi64_epi8((__m512i)v) : _mm512_cvtepi32_epi8((__m512i)v);
    memcpy(p, &bytes, LANE_COUNT);
}
#elif defined(__SSE2__)
INLINE vint bytes_load(const uint8_t *p) {
    __m128i v = _mm_setzero_si128();
    memcpy(&v, p, LANE_COUNT);
#if defined(PYDL_ISA_AVX2)
    return PYDL_F64 ? (vint)_mm256_cvtepu8_epi64(v) : (vint)_mm256_cvtepu8_epi32(v);
#else
    const __m128i zero = _mm_setzero_si128();
    v = _mm_unpacklo_epi16(_mm_unpacklo_epi8(v, zero), zero);
    return (vint)(PYDL_F64 ? _mm_unpacklo_epi32(v, zero) : v);
#endif
}
INLINE void bytes_store(uint8_t *p, vint m) {
#if defined(PYDL_ISA_AVX2)
    __m128i v = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)m), _mm256_extracti128_si256((__m256i)m, 1));
#else
    __m128i v = _mm_packs_epi32((__m128i)m, (__m128i)m);
#endif
    if (PYDL_F64) v = _mm_packs_epi32(v, v); /* the upper halves of the lanes, which are 0, fall away */
    v = _mm_packus_epi16(v, v);
    memcpy(p, &v, LANE_COUNT);
}
#else
typedef uint8_t vubyte __attribute__((vector_size(LANE_COUNT)));
INLINE vint bytes_load(const uint8_t *p) {
    vubyte bytes;
    memcpy(&bytes, p, LANE_COUNT);
    return __builtin_convertvector(bytes, vint);
}
INLINE void bytes_store(uint8_t *p, vint v) {
    const vubyte bytes = __builtin_convertvector(v, vubyte);
    memcpy(p, &bytes, LANE_COUNT);
}
#endif

/* --- 64-bit integers ------------------------------------------------------------------------------------------------------ */

typedef uint64_t vwide __attribute__((vector_size(VBYTES)));
#define WIDE_LANES (VBYTES / 8)
#if defined(PYDL_ISA_AVX512)
INLINE vwide wmul(vwide a, vwide b) { return (vwide)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
INLINE void wstore_low(void *p, vwide a) { _mm256_storeu_si256(p, _mm512_cvtepi64_epi32((__m512i)a)); }
#elif defined(PYDL_ISA_AVX2)
INLINE vwide wmul(vwide a, vwide b) { return (vwide)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
INLINE void wstore_low(void *p, vwide a) {
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    _mm_storeu_si128(p, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32((__m256i)a, order)));
}
#elif defined(__SSE2__)
INLINE vwide wmul(vwide a, vwide b) { return (vwide)_mm_mul_epu32((__m128i)a, (__m128i)b); }
INLINE void wstore_low(void *p, vwide a) { _mm_storel_epi64(p, _mm_shuffle_epi32((__m128i)a, 0x08)); }
#else
INLINE vwide wmul(vwide a, vwide b) { return (a & 0xffffffff) * (b & 0xffffffff); }
INLINE void wstore_low(void *p, vwide a) {
    uint32_t low[WIDE_LANES];
    for (int i = 0; i < WIDE_LANES; i++) low[i] = (uint32_t)a[i];
    memcpy(p, low, sizeof low);
}
#endif

/* n < LANES loads and stores a partial vector, n >= LANES a full one: the tail computes exactly as the body does. */
INLINE vreal vload_upto(const real *p, ptrdiff_t n) { return n >= LANES ? vload(p) : vload_n(p, n); }
INLINE void vstore_upto(real *p, vreal v, ptrdiff_t n) {
    if (n >= LANES) vstore(p, v);
    else vstore_n(p, v, n);
}
INLINE vint mask_load_upto(const uint8_t *p, ptrdiff_t n) {
    if (n >= LANES) return mask_load(p);
    uint8_t lanes[LANE_COUNT] = {0};
    for (ptrdiff_t i = 0; i < n; i++) lanes[i] = p[i];
    return mask_load(lanes);
}
INLINE void mask_store_upto(uint8_t *p, vint m, ptrdiff_t n) {
    if (n >= LANES) {
        mask_store(p, m);
    } else {
        uint8_t lanes[LANE_COUNT];
        mask_store(lanes, m);
        for (ptrdiff_t i = 0; i < n; i++) p[i] = lanes[i];
    }
}

#endif
