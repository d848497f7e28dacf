/* SPDX-License-Identifier: BSD-3-Clause */
/* Batch-reduce GEMM micro-kernels and packing (brgemm.h, pack.h, gemv.h); outputs never alias an input. Rules as in kernels.h. */
#ifndef PYDL_GEMM_KERNELS_H
#define PYDL_GEMM_KERNELS_H

#include <stddef.h>

/* flags: add to C; relu at the end; B's panels may be read behind column n (pack_b's may) */
enum { PYDL_GEMM_ACCUMULATE = 1, PYDL_GEMM_RELU = 2, PYDL_GEMM_PADDED = 4 };

#define PYDL_GEMM(X) X(block) X(pack_b) X(pack_a) X(store_transposed) X(gemv_dot) X(gemv_sum)

typedef struct pydl_gemm {
    /* register tile mr × nr; block sizes for the caches: kc (k per accumulator chain), mc (rows of packed A in L2), nc (columns) */
    ptrdiff_t mr, nr, kc, mc, nc;
    /* C[m × n] = relu(C + Σ_b A_b[m × k]·B_b[k × n] + bias[n]); C, bias (may be NULL) and relu as flags say; unit column stride in
       B and C. A_b = a + b·a_block: element (i, p) at i·a_row + p·a_col, or (a_tile != 0) tiles of pack_a, a_tile apart, a_col = mr,
       a_row = 1. B_b = b + b·b_block: row p of the panel of columns [j·nr, (j + 1)·nr) at j·b_panel + p·b_row. Zero m, n or k allowed */
    void (*block)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t n_blocks, const void *a, ptrdiff_t a_row, ptrdiff_t a_col,
                  ptrdiff_t a_tile, ptrdiff_t a_block, const void *b, ptrdiff_t b_row, ptrdiff_t b_panel, ptrdiff_t b_block, void *c,
                  ptrdiff_t c_row, const void *bias, int flags);
    /* panels [ceil(n/nr)][k][nr] of B, zeros behind column n: b_row = nr, b_panel = k·nr, PYDL_GEMM_PADDED */
    void (*pack_b)(ptrdiff_t k, ptrdiff_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_col, void *panels);
    /* tiles [ceil(m/mr)][k][mr] of A for block of the same m; writes up to 16 elements behind the last one */
    void (*pack_a)(ptrdiff_t m, ptrdiff_t k, const void *a, ptrdiff_t a_row, ptrdiff_t a_col, void *tiles);
    /* C[i][j] = relu(C[i][j] + ct[j][i] + bias[j]), i < m, j < n, as flags say */
    void (*store_transposed)(ptrdiff_t m, ptrdiff_t n, const void *ct, ptrdiff_t ct_row, void *c, ptrdiff_t c_row, const void *bias,
                             int flags);
    /* y[i·sy] = relu(y + W[i]·x + bias[i·sb]), i < n; rows of W and x (k elements) contiguous */
    void (*gemv_dot)(ptrdiff_t n, ptrdiff_t k, const void *w, ptrdiff_t w_row, const void *x, void *y, ptrdiff_t sy, const void *bias,
                     ptrdiff_t sb, int flags);
    /* y[i·sy] = relu(y + Σ_p x[p·sx]·B[p][i] + bias[i·sb]), i < n; rows of B contiguous */
    void (*gemv_sum)(ptrdiff_t n, ptrdiff_t k, const void *x, ptrdiff_t sx, const void *b, ptrdiff_t b_row, void *y, ptrdiff_t sy,
                     const void *bias, ptrdiff_t sb, int flags);
} pydl_gemm;

#endif
