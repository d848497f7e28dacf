/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of kernels: a table of function pointers per ISA and element type. The families at its end have lists of their own,
 * <family>_kernels.h, each compiled from <family>.c, so that work on one rebuilds only what uses it.
 *
 * Rules for every kernel: no allocation, no threads, no failure; sizes and strides are ptrdiff_t, strides count elements;
 * pointers are void because the table is the same for f32 and f64 (the table's own element type is meant);
 * scratch comes from the caller. Outputs may alias an input only where the comment says so.
 */
#ifndef PYDL_KERNELS_H
#define PYDL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* y[i] = f(x[i]). */
#define PYDL_UNARY(X) X(copy) X(neg) X(abs) X(square) X(reciprocal) X(sqrt) X(exp) X(log) X(tanh) X(sigmoid) X(relu)

/* c[i] = f(a[i], b[i]); the *_bwd entries take a = dy and b = the saved output y. */
#define PYDL_BINARY(X) \
    X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(tanh_bwd) X(sigmoid_bwd) X(relu_bwd)

/* c[i] = a[i] <op> b[i] as 0 or 1 in a byte. */
#define PYDL_COMPARE(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)

#define PYDL_ENUM_UNARY(name) PYDL_U_##name,
#define PYDL_ENUM_BINARY(name) PYDL_B_##name,
#define PYDL_ENUM_COMPARE(name) PYDL_C_##name,
enum { PYDL_UNARY(PYDL_ENUM_UNARY) PYDL_N_UNARY };
enum { PYDL_BINARY(PYDL_ENUM_BINARY) PYDL_N_BINARY };
enum { PYDL_COMPARE(PYDL_ENUM_COMPARE) PYDL_N_COMPARE };

typedef void pydl_unary_fn(const void *x, ptrdiff_t sx, void *y, ptrdiff_t sy, ptrdiff_t n);
typedef void pydl_binary_fn(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *c, ptrdiff_t sc, ptrdiff_t n);
typedef void pydl_compare_fn(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, uint8_t *c, ptrdiff_t sc, ptrdiff_t n);
typedef void pydl_extreme_fn(const void *x, ptrdiff_t ldx, ptrdiff_t a, ptrdiff_t b, void *values, int64_t *indices);

/* The entries that are not in the arrays above, by field name; each field of the table stands here, so that a test can find it. */
#define PYDL_SINGLE(X) X(add_scaled) X(clamp) X(where) X(fill) X(fma_chains) \
    X(sum_rows) X(sum_cols) X(max_rows) X(min_rows) X(max_cols) X(min_cols) X(softmax_rows) X(log_softmax_rows) \
    X(softmax_rows_bwd) X(log_softmax_rows_bwd) X(target_check) X(cross_entropy_rows) X(cross_entropy_rows_bwd) \
    X(gemm_block) X(pack_b) X(pack_a) X(gemm_store_transposed) X(gemv_dot) X(gemv_sum)

/* flags of the GEMM kernels: add to C; relu at the end; B's panels may be read behind column n (pack_b's may) */
enum { PYDL_GEMM_ACCUMULATE = 1, PYDL_GEMM_RELU = 2, PYDL_GEMM_PADDED = 4 };

/* The families: field of the table, and name of its list PYDL_<...> in <field>_kernels.h. */
#define PYDL_FAMILIES(X) \
    X(activation, ACTIVATION) X(conv, CONV) X(ctc, CTC) X(gather, GATHER) X(update, UPDATE) X(layout, LAYOUT) X(pool, POOL) \
    X(norm, NORM) X(recurrent, RECURRENT)
#define PYDL_DECLARE_FAMILY(field, list) struct pydl_##field;
PYDL_FAMILIES(PYDL_DECLARE_FAMILY)

/* The table of the ISA and element type being compiled: PYDL_OWN(pydl_kernels) is pydl_kernels_avx2_f32. */
#define PYDL_PASTE(stem, suffix) stem##_##suffix
#define PYDL_PASTE_EXPANDED(stem, suffix) PYDL_PASTE(stem, suffix)
#define PYDL_OWN(stem) PYDL_PASTE_EXPANDED(stem, PYDL_SUFFIX)

typedef struct pydl_kernels {
    const char *isa;      /* "base", "avx2", "avx512", "neon" */
    ptrdiff_t lanes;      /* elements in a vector */

    /* elementwise (eltwise.h): any strides incl. 0 and negative; the output may be exactly an input (same pointer and stride);
       the result of an element does not depend on its position or on the strides */
    pydl_unary_fn *unary[PYDL_N_UNARY];
    pydl_binary_fn *binary[PYDL_N_BINARY];
    pydl_compare_fn *compare[PYDL_N_COMPARE];
    /* c = a + alpha * b */
    void (*add_scaled)(const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, double alpha, void *c, ptrdiff_t sc, ptrdiff_t n);
    /* y = min(max(x, lo), hi); NaN stays NaN; lo or hi may be infinite */
    void (*clamp)(const void *x, ptrdiff_t sx, double lo, double hi, void *y, ptrdiff_t sy, ptrdiff_t n);
    /* c = m ? a : b with byte masks */
    void (*where)(const uint8_t *m, ptrdiff_t sm, const void *a, ptrdiff_t sa, const void *b, ptrdiff_t sb, void *c, ptrdiff_t sc,
                  ptrdiff_t n);
    void (*fill)(void *y, ptrdiff_t sy, double value, ptrdiff_t n);

    /* reductions (reduce.h) of rows × n or n × cols elements, rows ldx apart; outputs contiguous, never aliasing x.
       y[r] = Σ_i x[r][i]; y[j] = Σ_i x[i][j]; the order of additions depends on n alone, the error grows with log n */
    void (*sum_rows)(const void *x, ptrdiff_t ldx, ptrdiff_t rows, ptrdiff_t n, void *y);
    void (*sum_cols)(const void *x, ptrdiff_t ldx, ptrdiff_t n, ptrdiff_t cols, void *y);
    /* (x, ldx, rows, n, …) and (x, ldx, n, cols, …), n ≥ 1: values and (unless NULL) first indices; NaN wins */
    pydl_extreme_fn *max_rows, *min_rows, *max_cols, *min_cols;

    /* softmax and cross-entropy (softmax.h) over rows of n ≥ 1 contiguous elements; y may be exactly x, dx exactly dy, y or e */
    void (*softmax_rows)(const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n);
    void (*log_softmax_rows)(const void *x, ptrdiff_t ldx, void *y, ptrdiff_t ldy, ptrdiff_t rows, ptrdiff_t n);
    void (*softmax_rows_bwd)(const void *dy, ptrdiff_t lddy, const void *y, ptrdiff_t ldy, void *dx, ptrdiff_t lddx, ptrdiff_t rows,
                             ptrdiff_t n);
    void (*log_softmax_rows_bwd)(const void *dy, ptrdiff_t lddy, const void *y, ptrdiff_t ldy, void *dx, ptrdiff_t lddx,
                                 ptrdiff_t rows, ptrdiff_t n);
    /* first r < rows whose target[r·st] is neither `ignore` nor in [0, classes), else -1; to be asked before the next two */
    ptrdiff_t (*target_check)(const int64_t *target, ptrdiff_t st, ptrdiff_t rows, int64_t classes, int64_t ignore);
    /* loss[rows]; row_weight[rows]: weight[target], 1 if weight is NULL, 0 where ignored; for the backward pass (each may be NULL)
       e[r·lde + c] = exp(x − max of the row) and its sum[rows]. weight[n] or NULL; 0 ≤ smoothing ≤ 1 */
    void (*cross_entropy_rows)(const void *x, ptrdiff_t ldx, const int64_t *target, ptrdiff_t st, ptrdiff_t rows, ptrdiff_t n,
                               const void *weight, int64_t ignore, double smoothing, void *loss, void *row_weight, void *e,
                               ptrdiff_t lde, void *sum);
    /* dx = ∂loss[r]/∂x · g[r·sg]; rows ignored become 0 */
    void (*cross_entropy_rows_bwd)(const void *e, ptrdiff_t lde, const void *sum, const int64_t *target, ptrdiff_t st, ptrdiff_t rows,
                                   ptrdiff_t n, const void *weight, int64_t ignore, double smoothing, const void *g, ptrdiff_t sg,
                                   void *dx, ptrdiff_t lddx);

    /* batch-reduce GEMM micro-kernels and packing (brgemm.h, pack.h, gemv.h); outputs never alias an input.
       Register tile mr × nr; block sizes for the caches: kc (k per accumulator chain), mc (rows of packed A in L2), nc (columns) */
    ptrdiff_t gemm_mr, gemm_nr, gemm_kc, gemm_mc, gemm_nc;
    /* C[m × n] = relu(C + Σ_b A_b[m × k]·B_b[k × n] + bias[n]); C, bias (may be NULL) and relu as flags say; unit column stride in
       B and C. A_b = a + b·a_block: element (i, p) at i·a_row + p·a_col, or (a_tile != 0) tiles of pack_a, a_tile apart, a_col = mr,
       a_row = 1. B_b = b + b·b_block: row p of the panel of columns [j·nr, (j + 1)·nr) at j·b_panel + p·b_row. Zero m, n or k allowed */
    void (*gemm_block)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, ptrdiff_t n_blocks, const void *a, ptrdiff_t a_row, ptrdiff_t a_col,
                       ptrdiff_t a_tile, ptrdiff_t a_block, const void *b, ptrdiff_t b_row, ptrdiff_t b_panel, ptrdiff_t b_block,
                       void *c, ptrdiff_t c_row, const void *bias, int flags);
    /* panels [ceil(n/nr)][k][nr] of B, zeros behind column n: b_row = nr, b_panel = k·nr, PYDL_GEMM_PADDED */
    void (*pack_b)(ptrdiff_t k, ptrdiff_t n, const void *b, ptrdiff_t b_row, ptrdiff_t b_col, void *panels);
    /* tiles [ceil(m/mr)][k][mr] of A for gemm_block of the same m; writes up to 16 elements behind the last one */
    void (*pack_a)(ptrdiff_t m, ptrdiff_t k, const void *a, ptrdiff_t a_row, ptrdiff_t a_col, void *tiles);
    /* C[i][j] = relu(C[i][j] + ct[j][i] + bias[j]), i < m, j < n, as flags say */
    void (*gemm_store_transposed)(ptrdiff_t m, ptrdiff_t n, const void *ct, ptrdiff_t ct_row, void *c, ptrdiff_t c_row,
                                  const void *bias, int flags);
    /* y[i·sy] = relu(y + W[i]·x + bias[i·sb]), i < n; rows of W and x (k elements) contiguous */
    void (*gemv_dot)(ptrdiff_t n, ptrdiff_t k, const void *w, ptrdiff_t w_row, const void *x, void *y, ptrdiff_t sy, const void *bias,
                     ptrdiff_t sb, int flags);
    /* y[i·sy] = relu(y + Σ_p x[p·sx]·B[p][i] + bias[i·sb]), i < n; rows of B contiguous */
    void (*gemv_sum)(ptrdiff_t n, ptrdiff_t k, const void *x, ptrdiff_t sx, const void *b, ptrdiff_t b_row, void *y, ptrdiff_t sy,
                     const void *bias, ptrdiff_t sb, int flags);

    /* runs n independent vector FMA chains; returns the FLOPs done (for the roofline) */
    double (*fma_chains)(ptrdiff_t n, void *out);

#define PYDL_FAMILY_FIELD(field, list) const struct pydl_##field *field;
    PYDL_FAMILIES(PYDL_FAMILY_FIELD)
} pydl_kernels;

/* dispatch.c. dtype: 0 = f32, 1 = f64. */
const pydl_kernels *pydl_table(const char *isa, int f64); /* NULL when the ISA is unknown, not compiled in or not on this CPU */
const char *pydl_best_isa(void);                          /* the widest one this CPU and operating system can run */
const char *pydl_isas(void);                              /* those that can run here, narrowest first, separated by spaces */

#endif
