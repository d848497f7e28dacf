/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type; the build defines PYDL_ISA_*, PYDL_F64 and PYDL_SUFFIX. Fills one table. */
#include "kernels.h"
#include "simd.h"
#include "vmath.h"
#include "eltwise.h"
#include "reduce.h"
#include "softmax.h"
#include "brgemm.h"
#include "pack.h"
#include "gemv.h"
#include "peak.h"

#if defined(PYDL_ISA_AVX512)
#define ISA_NAME "avx512"
#elif defined(PYDL_ISA_AVX2)
#define ISA_NAME "avx2"
#elif defined(__aarch64__)
#define ISA_NAME "neon"
#else
#define ISA_NAME "base"
#endif

#define ENTRY_UNARY(name) unary_##name,
#define ENTRY_BINARY(name) binary_##name,
#define ENTRY_COMPARE(name) compare_##name,

#define EXTERN_FAMILY(field, list) extern const struct pydl_##field PYDL_OWN(pydl_##field);
PYDL_FAMILIES(EXTERN_FAMILY)
#define ENTRY_FAMILY(field, list) .field = &PYDL_OWN(pydl_##field),

const pydl_kernels PYDL_OWN(pydl_kernels) = {
    .isa = ISA_NAME,
    .lanes = LANES,
    .unary = {PYDL_UNARY(ENTRY_UNARY)},
    .binary = {PYDL_BINARY(ENTRY_BINARY)},
    .compare = {PYDL_COMPARE(ENTRY_COMPARE)},
    .add_scaled = add_scaled,
    .clamp = clamp,
    .where = where,
    .fill = fill,
    .sum_rows = sum_each_row,
    .sum_cols = sum_each_column,
    .max_rows = max_rows,
    .min_rows = min_rows,
    .max_cols = max_cols,
    .min_cols = min_cols,
    .softmax_rows = softmax_rows,
    .log_softmax_rows = log_softmax_rows,
    .softmax_rows_bwd = softmax_rows_bwd,
    .log_softmax_rows_bwd = log_softmax_rows_bwd,
    .target_check = target_check,
    .cross_entropy_rows = cross_entropy_rows,
    .cross_entropy_rows_bwd = cross_entropy_rows_bwd,
    .gemm_mr = MR,
    .gemm_nr = NR,
    .gemm_kc = KC,
    .gemm_mc = MC,
    .gemm_nc = NC,
    .gemm_block = gemm_block,
    .pack_b = pack_b,
    .pack_a = pack_a,
    .gemm_store_transposed = gemm_store_transposed,
    .gemv_dot = gemv_dot,
    .gemv_sum = gemv_sum,
    .fma_chains = fma_chains,
    PYDL_FAMILIES(ENTRY_FAMILY)
};
