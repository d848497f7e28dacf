/* SPDX-License-Identifier: BSD-3-Clause */
/* A barrier for the threads of one parallel region, crossed once in a step of a few microseconds: it spins.
 *
 * After SPINS pauses, or at once where there are more threads than processors, a waiting thread gives its processor away between
 * looks, so that the others get there. All threads of the team pass it equally often; what one wrote before it the others see after it.
 */
#ifndef PYDL_BARRIER_H
#define PYDL_BARRIER_H

#include <stdatomic.h>
#ifdef _OPENMP
#include <omp.h>
static inline int pydl_team(void) { return omp_get_num_threads(); }
static inline int pydl_processors(void) { return omp_get_num_procs(); }
#else
static inline int pydl_team(void) { return 1; }
static inline int pydl_processors(void) { return 1; }
#endif

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#define PYDL_YIELD() SwitchToThread()
#else
#include <sched.h>
#define PYDL_YIELD() sched_yield()
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define PYDL_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PYDL_PAUSE() __asm__ volatile("yield")
#else
#define PYDL_PAUSE() ((void)0)
#endif

enum { PYDL_SPINS = 2000 }; /* 20 to 100 us */

/* Each counter on a cache line of its own. */
typedef struct {
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint phase;
} pydl_barrier;

static inline void pydl_barrier_init(pydl_barrier *b) {
    atomic_init(&b->arrived, 0);
    atomic_init(&b->phase, 0);
}

static inline void pydl_barrier_wait(pydl_barrier *b, int team, int spins) {
    const unsigned phase = atomic_load_explicit(&b->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) + 1 == (unsigned)team) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&b->phase, phase + 1, memory_order_release);
        return;
    }
    while (atomic_load_explicit(&b->phase, memory_order_acquire) == phase) {
        if (spins > 0) {
            spins--;
            PYDL_PAUSE();
        } else {
            PYDL_YIELD();
        }
    }
}

#endif
