/* SPDX-License-Identifier: BSD-3-Clause */
/* Random numbers from Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011):
 * element i of a call depends on key, offset and i alone. random.c is compiled once, without contraction and without libm, so that
 * the numbers are the same on every platform, instruction set and thread count.
 *
 * A call reads counters offset, offset + 1, ... and each function says how many elements one counter gives: a caller that cuts the
 * work into pieces cuts at multiples of that and advances offset accordingly. `first` is the index of the piece's first element.
 */
#ifndef PYDL_RANDOM_H
#define PYDL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The bare generator: out = Philox4x32-10(counter, key). */
void pydl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Elements that one counter gives. */
enum { PYDL_RANDOM_F32 = 4, PYDL_RANDOM_F64 = 2, PYDL_RANDOM_I64 = 2, PYDL_RANDOM_MASK = 4 };

/* low + u (high - low), u = k 2^-24 (f32) or k 2^-53 (f64); below high wherever low < high */
void pydl_random_uniform_f32(float *out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high);
void pydl_random_uniform_f64(double *out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high);

/* mean + std z, z standard normal by Box-Muller in double from 32-bit (f32) or 53-bit (f64) uniforms; |z| < 6.7 or 8.6 */
void pydl_random_normal_f32(float *out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std);
void pydl_random_normal_f64(double *out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std);

/* Integers, each of [low, high) equally likely (rejection draws from the counter's upper half); low < high. */
void pydl_random_integers(int64_t *out, ptrdiff_t n, uint64_t key, uint64_t offset, int64_t low, int64_t high);

/* out[i] = 1 with probability p (to 2^-32), else 0; 0 <= p <= 1 */
void pydl_random_mask(uint8_t *out, ptrdiff_t n, uint64_t key, uint64_t offset, double p);

/* A random permutation of 0 ... n - 1 (Fisher-Yates); uses max(0, n - 1) integers. */
void pydl_random_permutation(int64_t *out, ptrdiff_t n, uint64_t key, uint64_t offset);

#endif
