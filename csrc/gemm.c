/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the matrix product kernels. */
#include "kernels.h"
#include "gemm_kernels.h"
#include "simd.h"
#include "brgemm.h"
#include "pack.h"
#include "gemv.h"

const pydl_gemm PYDL_OWN(pydl_gemm) = {
    .mr = MR,
    .nr = NR,
    .kc = KC,
    .mc = MC,
    .nc = NC,
    .block = gemm_block,
    .pack_b = pack_b,
    .pack_a = pack_a,
    .store_transposed = gemm_store_transposed,
    .gemv_dot = gemv_dot,
    .gemv_sum = gemv_sum,
};
