/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of convolution (conv.h, conv_depthwise.h) on channels-last memory. Rules as in kernels.h. 1-d and 2-d are 3-d with sizes of 1.
 *
 * All of them work on a correlation of a grid of outputs with taps: tap (t, r, s) of output (d, h, w) is the input pixel
 * (d·step[0] + first[0] + t·apart[0], h·step[1] + …, w·step[2] + …), zero where that lies outside. The forward pass is one (step =
 * stride, first = −padding, apart = dilation), the gradient of the data one for each residue of the output modulo stride. Row k of
 * the matrices below is (tap t, r, s; channel c), c fastest: K = taps·channels rows.
 */
#ifndef PYDL_CONV_KERNELS_H
#define PYDL_CONV_KERNELS_H

#include <stddef.h>

#define PYDL_CONV(X) \
    X(pack) X(unpack) X(pack_taps) X(add_taps) X(gather) X(lines) X(pack_pixels) X(scatter) X(repeat) X(fold) X(depthwise) \
    X(depthwise_weight)

typedef struct pydl_correlation {
    ptrdiff_t in[3], out[3];   /* sizes of the input and of the grid of outputs; pixels are counted over (n, d, h, w) of the grid */
    ptrdiff_t taps[3];
    ptrdiff_t step[3], first[3], apart[3];
    ptrdiff_t full[3], at[3], every[3]; /* grid point o is pixel o·every + at of an output tensor with sizes `full` */
    ptrdiff_t channels;        /* read of each input pixel: those of the group */
    ptrdiff_t pixel;           /* elements from one input pixel to the next */
} pydl_correlation;

/* A weight tensor as the matrix of those rows: (t, r, s; c; n) at t·tap[0] + r·tap[1] + s·tap[2] + c·channel + n·column. */
typedef struct pydl_conv_weight {
    ptrdiff_t taps[3], tap[3];
    ptrdiff_t channels, channel, n, column;
} pydl_conv_weight;

typedef struct pydl_conv {
    /* panels [ceil(n/nr)][K][nr] of a weight matrix for gemm's block, zeros behind column n; w points to tap (0, 0, 0) */
    void (*pack)(const pydl_conv_weight *g, const void *w, void *panels);
    /* w from its transpose [n][ldm], whose row is a column of the matrix */
    void (*unpack)(const pydl_conv_weight *g, const void *matrix, ptrdiff_t ldm, void *w);
    /* panels [ceil(K/nr)][n][nr] of the transpose [n][K] for gemm's block, zeros behind column K */
    void (*pack_taps)(const pydl_conv_weight *g, const void *w, void *panels);
    /* acc += the products `columns` (row w: (r, s, c), ld apart) of output line h with its taps: row (w, r) to line
       h·step[1] + first[1] + r·apart[1] − h0 of acc if that is one of its `lines` lines (lda apart), from element w·step[2]·channels on.
       taps[0] = apart[2] = 1. Writes elements up to a vector behind a row's taps as they were, none of them −0: for each w in an order
       that follows from g alone */
    void (*add_taps)(const pydl_correlation *g, const void *columns, ptrdiff_t ld, ptrdiff_t h, ptrdiff_t h0, ptrdiff_t lines, void *acc,
                     ptrdiff_t lda);
    /* columns[i·ld + k − k0] = input of pixel i0 + i for row k, i < count, k0 ≤ k < k0 + kc. Writes up to a vector behind each row:
       ld ≥ kc + lanes − 1 and one vector behind the last row. Reads x[0 … n_readable) only */
    void (*gather)(const pydl_correlation *g, const void *x, ptrdiff_t n_readable, ptrdiff_t i0, ptrdiff_t count, ptrdiff_t k0, ptrdiff_t kc,
                   void *columns, ptrdiff_t ld);
    /* The input lines of grid rows row0 …, zeros around them: lines[row − row0][t][r][w][c] = pixel w + first[2] of the line that tap
       line (t, r) of the row reads, c < n ≤ ld; w runs from the first tap of output 0 to the last tap of the last output. Writes up
       to a vector behind each pixel: ld ≥ n + lanes − 1. Reads x[0 … n_readable) only */
    void (*lines)(const pydl_correlation *g, const void *x, ptrdiff_t n_readable, ptrdiff_t row0, ptrdiff_t rows, ptrdiff_t n, void *lines,
                  ptrdiff_t ld);
    /* the transpose of dy [m][n] (rows ldy apart) as tiles of A for gemm's block: n rows, tile t at t·tile ≥ m·mr + lanes, element
       (row, i) of it at i·mr + row. Reads dy[0 … n_readable) only */
    void (*pack_pixels)(ptrdiff_t m, ptrdiff_t n, const void *dy, ptrdiff_t ldy, ptrdiff_t n_readable, void *tiles, ptrdiff_t tile);
    /* rows [count][n] (contiguous) of the grid points i0 … to their pixels of y, which has ldy elements a pixel */
    void (*scatter)(const pydl_correlation *g, ptrdiff_t i0, ptrdiff_t count, ptrdiff_t n, const void *rows, void *y, ptrdiff_t ldy);
    /* y[i][c·times + j] = x[i][c]; and y[i][c] = Σ_j x[i][c·times + j] in order of j; i < count, c < n */
    void (*repeat)(ptrdiff_t count, ptrdiff_t n, ptrdiff_t times, const void *x, void *y);
    void (*fold)(ptrdiff_t count, ptrdiff_t n, ptrdiff_t times, const void *x, void *y);
    /* Grid rows (n, d, h) row0 … row0 + rows − 1: y[pixel][c] = Σ_tap x[tap][c]·w[tap][c] + bias[c] (bias may be NULL), c < channels;
       w [taps][channels], y with `channels` elements a pixel, x as in gather with pixel = channels */
    void (*depthwise)(const pydl_correlation *g, const void *x, const void *w, const void *bias, ptrdiff_t row0, ptrdiff_t rows, void *y);
    /* dw[tap][c] = Σ_pixels x[tap][c]·dy[pixel][c] over those grid rows (dy contiguous); every = 1, full = out */
    void (*depthwise_weight)(const pydl_correlation *g, const void *x, const void *dy, ptrdiff_t row0, ptrdiff_t rows, void *dw);
} pydl_conv;

#endif
