/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the kernels that read rows through an index. */
#include "kernels.h"
#include "gather_kernels.h"
#include "simd.h"
#include "gather.h"

const pydl_gather PYDL_OWN(pydl_gather) = {
    .copy = gather_copy,
    .combine = gather_combine,
    .order = gather_order,
};
