/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the softmax and cross-entropy kernels. */
#include "kernels.h"
#include "softmax_kernels.h"
#include "simd.h"
#include "vmath.h"
#include "softmax.h"

const pydl_softmax PYDL_OWN(pydl_softmax) = {
    .rows = softmax_rows,
    .log_rows = log_softmax_rows,
    .rows_bwd = softmax_rows_bwd,
    .log_rows_bwd = log_softmax_rows_bwd,
    .target_check = target_check,
    .cross_entropy = cross_entropy_rows,
    .cross_entropy_bwd = cross_entropy_rows_bwd,
};
