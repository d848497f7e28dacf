/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses a kernel table: what was compiled in, what the CPU has, what the operating system saves at a context switch. */
#include "kernels.h"

#include <stdio.h>
#include <string.h>

/* The build says which tables there are: all, unless a developer chose fewer. */
extern const pydl_kernels pydl_kernels_base_f32, pydl_kernels_base_f64;
extern const pydl_kernels pydl_kernels_avx2_f32, pydl_kernels_avx2_f64;
extern const pydl_kernels pydl_kernels_avx512_f32, pydl_kernels_avx512_f64;

#if defined(PYDL_HAVE_AVX2) || defined(PYDL_HAVE_AVX512)
/* __builtin_cpu_supports asks CPUID and XGETBV, so a hypervisor or kernel that hides the wide registers is honoured. */
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif
#ifdef PYDL_HAVE_AVX512
static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#ifdef PYDL_HAVE_BASE
static int always(void) { return 1; }
#endif

static const struct {
    const char *name;
    int (*usable)(void);
    const pydl_kernels *table[2];
} isas[] = {
#if defined(PYDL_HAVE_BASE) && defined(__aarch64__)
    {"neon", always, {&pydl_kernels_base_f32, &pydl_kernels_base_f64}},
#elif defined(PYDL_HAVE_BASE)
    {"base", always, {&pydl_kernels_base_f32, &pydl_kernels_base_f64}},
#endif
#ifdef PYDL_HAVE_AVX2
    {"avx2", has_avx2, {&pydl_kernels_avx2_f32, &pydl_kernels_avx2_f64}},
#endif
#ifdef PYDL_HAVE_AVX512
    {"avx512", has_avx512, {&pydl_kernels_avx512_f32, &pydl_kernels_avx512_f64}},
#endif
};
enum { N_ISAS = sizeof isas / sizeof isas[0] };

const pydl_kernels *pydl_table(const char *isa, int f64) {
    for (int i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i].name, isa) == 0) return isas[i].usable() ? isas[i].table[f64 != 0] : NULL;
    return NULL;
}

const char *pydl_best_isa(void) {
    const char *best = isas[0].name;
    for (int i = 0; i < N_ISAS; i++)
        if (isas[i].usable()) best = isas[i].name;
    return best;
}

const char *pydl_isas(void) {
    static char names[64];
    size_t used = 0;
    for (int i = 0; i < N_ISAS; i++)
        if (isas[i].usable()) used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "", isas[i].name);
    return names;
}
