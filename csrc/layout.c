/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the layout kernels. */
#include "kernels.h"
#include "layout_kernels.h"
#include "simd.h"
#include "pack.h"
#include "layout.h"

const pydl_layout PYDL_OWN(pydl_layout) = {
    .transpose = transpose_matrix,
};
