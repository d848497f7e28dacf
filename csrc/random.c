/* SPDX-License-Identifier: BSD-3-Clause */
/* See random.h. Built with -ffp-contract=off: integers, IEEE + - * / and square roots only, hence the same bits everywhere; loops over
 * a block and pairs of doubles in vectors, which change no bit either. */
#include "random.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 }; /* counters at a time */

typedef uint32_t words[4 * BLOCK]; /* in the order in which they are used */
typedef double pair __attribute__((vector_size(16)));
typedef uint64_t bits __attribute__((vector_size(16)));

/* Ten rounds: two 32 x 32 -> 64 bit products a round, the key stepped by Weyl constants between rounds. */
static void philox_block(const uint64_t key, const uint64_t offset, const uint64_t upper, const ptrdiff_t n, words w) {
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint64_t counter = offset + (uint64_t)i;
        uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = (uint32_t)upper, c3 = (uint32_t)(upper >> 32);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
            const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
            c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
            c1 = (uint32_t)p1;
            c3 = (uint32_t)p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        w[4 * i] = c0;
        w[4 * i + 1] = c1;
        w[4 * i + 2] = c2;
        w[4 * i + 3] = c3;
    }
}

void pydl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    words w;
    philox_block((uint64_t)key[1] << 32 | key[0], (uint64_t)counter[1] << 32 | counter[0], (uint64_t)counter[3] << 32 | counter[2], 1, w);
    memcpy(out, w, 4 * sizeof *out);
}

static ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* Words 2 j and 2 j + 1 as one 64-bit number. */
static uint64_t wide(const uint32_t *w, ptrdiff_t j) { return (uint64_t)w[2 * j + 1] << 32 | w[2 * j]; }

/* Two of them, from word 4 j on. */
static bits wide_pair(const uint32_t *w, ptrdiff_t j) {
    bits b;
    memcpy(&b, w + 4 * j, sizeof b);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    b = b << 32 | b >> 32;
#endif
    return b;
}

/* k < 2^53 exactly, without an instruction that some vector units lack: each half is put into the mantissa of 2^52. */
static pair exact(bits k) {
    const uint64_t two52 = (uint64_t)0x433 << 52;
    const pair high = (pair)(k >> 26 | two52) - 0x1p52, low = (pair)((k & 0x3ffffff) | two52) - 0x1p52;
    return high * 0x1p26 + low;
}

/* --- uniform ------------------------------------------------------------------------------------------------------------- */

void pydl_random_uniform_f32(float *out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high) {
    words w;
    const double scale = (high - low) * 0x1p-24;
    const float last = low < high ? nextafterf((float)high, (float)-INFINITY) : (float)high;
    for (ptrdiff_t i = 0; i < n; i += 4 * BLOCK, offset += BLOCK) {
        const ptrdiff_t m = least(n - i, 4 * BLOCK);
        philox_block(key, offset, 0, (m + 3) / 4, w);
        for (ptrdiff_t j = 0; j < m; j++) {
            const float u = (float)(low + (double)(int32_t)(w[j] >> 8) * scale);
            out[i + j] = u < last ? u : last;
        }
    }
}

void pydl_random_uniform_f64(double *out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high) {
    words w;
    const double scale = high - low, last = low < high ? nextafter(high, -INFINITY) : high;
    for (ptrdiff_t i = 0; i < n; i += 2 * BLOCK, offset += BLOCK) {
        const ptrdiff_t m = least(n - i, 2 * BLOCK);
        philox_block(key, offset, 0, (m + 1) / 2, w);
        for (ptrdiff_t j = 0; j < m; j += 2) {
            const pair u = low + exact(wide_pair(w, j / 2) >> 11) * 0x1p-53 * scale;
            out[i + j] = u[0] < last ? u[0] : last;
            if (j + 1 < m) out[i + j + 1] = u[1] < last ? u[1] : last;
        }
    }
}

/* --- normal -------------------------------------------------------------------------------------------------------------- */

/* log x for normal x > 0: x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), and an odd series in s = f / (2 + f). */
static pair log_positive(pair x) {
    const uint64_t one = (uint64_t)0x3ff << 52, root = 0x3fe6a09e667f3bcd, mantissa = ((uint64_t)1 << 52) - 1;
    const bits b = (bits)x + (one - root);
    const pair k = (pair)(b >> 52 | (uint64_t)0x433 << 52) - (0x1p52 + 1023);
    const pair f = (pair)((b & mantissa) + root) - 1;
    const pair s = f / (f + 2), z = s * s, half = 0.5 * f * f;
    pair p = z * 0.14757983081754342354 + 0.15318096386296832083;
    p = p * z + 0.18183394177387662984;
    p = p * z + 0.22222202139326245632;
    p = p * z + 0.2857142870386639394;
    p = p * z + 0.3999999999961189928;
    p = p * z + 0.66666666666666989267;
    return k * 6.93147180369123816490e-01 + (f - (half - (s * (half + p * z) + k * 1.90821492927058770002e-10)));
}

/* sin and cos of (pi/2) t, |t| <= 1/2 */
static pair sin_quarter(pair t) {
    const pair z = t * t;
    pair p = z * -6.6276042574173027811e-10 + 5.691927684596038e-8;
    p = p * z + -3.598842716626475919e-6;
    p = p * z + 0.00016044118472659280189;
    p = p * z + -0.0046817541353148208933;
    p = p * z + 0.079692626246166924255;
    p = p * z + -0.64596409750624625222;
    return (p * z + 1.5707963267948966192) * t;
}
static pair cos_quarter(pair t) {
    const pair z = t * t;
    pair p = z * -6.3212349402556418472e-9 + 4.7106095511699705318e-7;
    p = p * z + -0.000025202036764985349007;
    p = p * z + 0.00091926027418231832583;
    p = p * z + -0.02086348076331114425;
    p = p * z + 0.25366950790104670675;
    p = p * z + -1.2337005501361698118;
    return p * z + 1;
}

/* Box-Muller: r = sqrt(-2 log u), u in (0, 1], turned by the angle 2 pi b / 2^64. b's two leading bits, rounded, name the quadrant;
 * the rest is t in [-1/2, 1/2) quarters around its middle. In odd quadrants sin and cos change places; the signs follow. */
static inline void box_muller(pair u, bits b, pair *even, pair *odd) {
    const pair squared = -2 * log_positive(u), r = {sqrt(squared[0]), sqrt(squared[1])};
    const bits turned = b + ((uint64_t)1 << 61), quadrant = turned >> 62, swap = -(quadrant & 1);
    const pair t = exact(turned << 2 >> 11) * 0x1p-53 - 0.5;
    const bits s = (bits)(r * sin_quarter(t)), c = (bits)(r * cos_quarter(t));
    *even = (pair)(((c & ~swap) | (s & swap)) ^ ((quadrant + 1) >> 1 << 63));
    *odd = (pair)(((s & ~swap) | (c & swap)) ^ (quadrant >> 1 << 63));
}

/* Words 2 j and 2 j + 1 give elements 2 j and 2 j + 1: u has 32 bits. */
void pydl_random_normal_f32(float *out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std) {
    words w;
    float z[4 * BLOCK];
    for (ptrdiff_t i = 0; i < n; i += 4 * BLOCK, offset += BLOCK) {
        const ptrdiff_t m = least(n - i, 4 * BLOCK);
        philox_block(key, offset, 0, (m + 3) / 4, w);
        for (ptrdiff_t j = 0; j < m; j += 4) {
            pair even, odd;
            const bits b = wide_pair(w, j / 4);
            box_muller((exact(b & 0xffffffff) + 1) * 0x1p-32, b >> 32 << 32, &even, &odd);
            even = mean + std * even;
            odd = mean + std * odd;
            z[j] = (float)even[0];
            z[j + 1] = (float)odd[0];
            z[j + 2] = (float)even[1];
            z[j + 3] = (float)odd[1];
        }
        memcpy(out + i, z, (size_t)m * sizeof *z);
    }
}

/* Each counter gives two elements: u has 53 bits. */
void pydl_random_normal_f64(double *out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std) {
    words w;
    double z[2 * BLOCK];
    for (ptrdiff_t i = 0; i < n; i += 2 * BLOCK, offset += BLOCK) {
        const ptrdiff_t m = least(n - i, 2 * BLOCK);
        philox_block(key, offset, 0, (m + 3) / 4 * 2, w); /* an even number of counters: two go together */
        for (ptrdiff_t j = 0; j < m; j += 4) {
            pair even, odd;
            const bits first = wide_pair(w, j / 2), second = wide_pair(w, j / 2 + 1);
            const bits a = {first[0], second[0]}, b = {first[1], second[1]};
            box_muller((exact(a >> 11) + 1) * 0x1p-53, b, &even, &odd);
            even = mean + std * even;
            odd = mean + std * odd;
            z[j] = even[0];
            z[j + 1] = odd[0];
            z[j + 2] = even[1];
            z[j + 3] = odd[1];
        }
        memcpy(out + i, z, (size_t)m * sizeof *z);
    }
}

/* --- integers ------------------------------------------------------------------------------------------------------------ */

/* The 128-bit product a * b. */
static void multiply(uint64_t a, uint64_t b, uint64_t *high, uint64_t *low) {
    const uint64_t mask = 0xffffffff, a0 = a & mask, a1 = a >> 32, b0 = b & mask, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), middle2 = a0 * b1 + (middle & mask);
    *high = a1 * b1 + (middle >> 32) + (middle2 >> 32);
    *low = a * b;
}

/* An integer below range (2^64 when range is 0) from 64 random bits x: the high half of x * range, drawn again while the low half is
 * in the uneven remainder (Lemire 2019). Draw number d of element `index` has d in the counter's upper half. */
static uint64_t below(uint64_t range, uint64_t x, uint64_t key, uint64_t offset, uint64_t index) {
    if (range == 0) return x;
    uint64_t high, low;
    multiply(x, range, &high, &low);
    if (low >= range) return high;
    const uint64_t uneven = (0 - range) % range;
    for (uint64_t draw = 1; low < uneven; draw++) {
        words w;
        philox_block(key, offset + index / 2, draw, 1, w);
        multiply(wide(w, (ptrdiff_t)(index % 2)), range, &high, &low);
    }
    return high;
}

void pydl_random_integers(int64_t *out, ptrdiff_t n, uint64_t key, uint64_t offset, int64_t low, int64_t high) {
    words w;
    const uint64_t range = (uint64_t)high - (uint64_t)low;
    for (ptrdiff_t i = 0; i < n; i += 2 * BLOCK) {
        const ptrdiff_t m = least(n - i, 2 * BLOCK);
        philox_block(key, offset + (uint64_t)i / 2, 0, (m + 1) / 2, w);
        for (ptrdiff_t j = 0; j < m; j++)
            out[i + j] = (int64_t)((uint64_t)low + below(range, wide(w, j), key, offset, (uint64_t)(i + j)));
    }
}

void pydl_random_mask(uint8_t *out, ptrdiff_t n, uint64_t key, uint64_t offset, double p) {
    words w;
    const uint64_t threshold = (uint64_t)(p * 0x1p32 + 0.5);
    for (ptrdiff_t i = 0; i < n; i += 4 * BLOCK, offset += BLOCK) {
        const ptrdiff_t m = least(n - i, 4 * BLOCK);
        philox_block(key, offset, 0, (m + 3) / 4, w);
        for (ptrdiff_t j = 0; j < m; j++) out[i + j] = w[j] < threshold;
    }
}

void pydl_random_permutation(int64_t *out, ptrdiff_t n, uint64_t key, uint64_t offset) {
    words w;
    for (ptrdiff_t i = 0; i < n; i++) out[i] = i;
    for (ptrdiff_t k = 0; k < n - 1; k++) {
        const ptrdiff_t in_block = k % (2 * BLOCK);
        if (in_block == 0) philox_block(key, offset + (uint64_t)k / 2, 0, least(BLOCK, (n - k) / 2), w);
        const ptrdiff_t last = n - 1 - k;
        const uint64_t x = wide(w, in_block);
        const ptrdiff_t other = (ptrdiff_t)below((uint64_t)last + 1, x, key, offset, (uint64_t)k);
        const int64_t value = out[last];
        out[last] = out[other];
        out[other] = value;
    }
}
