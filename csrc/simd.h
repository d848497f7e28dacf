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
 *   vsqrt(a)                correctly rounded
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
#define LANES ((ptrdiff_t)(VBYTES / sizeof(real)))

#define INLINE static inline __attribute__((always_inline))

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
INLINE vreal vselect(vint m, vreal a, vreal b) { return (vreal)_mm512_mask_blend_pd(_mm512_movepi64_mask((__m512i)m), (__m512d)b, (__m512d)a); }
#elif defined(PYDL_ISA_AVX512)
#define TAIL_MASK(n) ((__mmask16)((1u << (n)) - 1u))
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm512_maskz_loadu_ps(TAIL_MASK(n), p); }
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) { _mm512_mask_storeu_ps(p, TAIL_MASK(n), (__m512)v); }
INLINE vreal vsqrt(vreal a) { return (vreal)_mm512_sqrt_ps((__m512)a); }
INLINE vreal vmin(vreal a, vreal b) { return (vreal)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vreal vmax(vreal a, vreal b) { return (vreal)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vreal vfma(vreal a, vreal b, vreal c) { return (vreal)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE vreal vselect(vint m, vreal a, vreal b) { return (vreal)_mm512_mask_blend_ps(_mm512_movepi32_mask((__m512i)m), (__m512)b, (__m512)a); }
#elif defined(PYDL_ISA_AVX2) && PYDL_F64
INLINE __m256i tail_mask(ptrdiff_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE vreal vload_n(const real *p, ptrdiff_t n) { return (vreal)_mm256_maskload_pd(p, tail_mask(n)); }
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) { _mm256_maskstore_pd(p, tail_mask(n), (__m256d)v); }
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
INLINE void vstore_n(real *p, vreal v, ptrdiff_t n) { _mm256_maskstore_ps(p, tail_mask(n), (__m256)v); }
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

/* n < LANES loads and stores a partial vector, n >= LANES a full one: the tail computes exactly as the body does. */
INLINE vreal vload_upto(const real *p, ptrdiff_t n) { return n >= LANES ? vload(p) : vload_n(p, n); }
INLINE void vstore_upto(real *p, vreal v, ptrdiff_t n) {
    if (n >= LANES) vstore(p, v);
    else vstore_n(p, v, n);
}

#endif
