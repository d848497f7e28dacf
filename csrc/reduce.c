/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the reducing kernels. */
#include "kernels.h"
#include "reduce_kernels.h"
#include "simd.h"
#include "reduce.h"

const pydl_reduce PYDL_OWN(pydl_reduce) = {
    .sum_rows = sum_each_row,
    .sum_cols = sum_each_column,
    .max_rows = max_rows,
    .min_rows = min_rows,
    .max_cols = max_cols,
    .min_cols = min_cols,
};
