// SPDX-License-Identifier: BSD-3-Clause
// What this machine can do at most on one thread: fused multiply-adds per second, bytes read and copied per second.
// Compiled at run time with -O3 -march=native; every function works for about `seconds` and returns units per second.
#include <stddef.h>
#include <string.h>
#include <time.h>

#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64, CHAINS = 24 };
#else
enum { VECTOR_BYTES = sizeof(float) * 8, CHAINS = 12 };
#endif
#define STEPS 20000

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// CHAINS independent chains a ← a·x + y; the fixed point y/(1−x) keeps them finite. `sink` keeps the compiler honest.
#define DEFINE_PEAK(NAME, REAL)                                                                     \
    typedef REAL NAME##_v __attribute__((vector_size(VECTOR_BYTES)));                               \
    double NAME(double seconds, REAL *sink) {                                                       \
        NAME##_v a[CHAINS], x = (NAME##_v){0} + (REAL)0.999, y = (NAME##_v){0} + (REAL)0.001;       \
        for (int i = 0; i < CHAINS; i++) a[i] = (NAME##_v){0} + (REAL)i;                            \
        double start = now(), n = 0, t;                                                             \
        do {                                                                                        \
            for (int k = 0; k < STEPS; k++) {                                                       \
                _Pragma("GCC unroll 24") for (int i = 0; i < CHAINS; i++) a[i] = a[i] * x + y;      \
            }                                                                                       \
            n += 2.0 * STEPS * CHAINS * (VECTOR_BYTES / sizeof(REAL));                              \
            t = now() - start;                                                                      \
        } while (t < seconds);                                                                      \
        for (int i = 0; i < CHAINS; i++) *sink += a[i][0];                                          \
        return n / t;                                                                               \
    }
DEFINE_PEAK(peak_float32, float)
DEFINE_PEAK(peak_float64, double)

typedef float lane __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));

double read_bandwidth(double seconds, const char *p, ptrdiff_t n_bytes, float *sink) {
    lane s[8] = {{0}};
    ptrdiff_t step = 8 * VECTOR_BYTES;
    double start = now(), done = 0, t;
    do {
        for (ptrdiff_t i = 0; i + step <= n_bytes; i += step)
            for (int j = 0; j < 8; j++) s[j] += *(const lane *)(p + i + j * VECTOR_BYTES);
        done += (double)(n_bytes / step * step);
        t = now() - start;
    } while (t < seconds);
    for (int j = 0; j < 8; j++) *sink += s[j][0];
    return done / t;
}

double copy_bandwidth(double seconds, char *to, const char *from, ptrdiff_t n_bytes) {
    double start = now(), done = 0, t;
    do {
        for (ptrdiff_t i = 0; i + VECTOR_BYTES <= n_bytes; i += VECTOR_BYTES) *(lane *)(to + i) = *(const lane *)(from + i);
        __asm__ volatile("" ::: "memory");
        done += 2.0 * (double)n_bytes;
        t = now() - start;
    } while (t < seconds);
    return done / t;
}
