/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the pooling kernels. */
#include "kernels.h"
#include "pool_kernels.h"
#include "simd.h"
#include "pool.h"
#include "pool_planes.h"

const pydl_pool PYDL_OWN(pydl_pool) = {
    .max_fwd = max_fwd,
    .max_bwd = max_bwd,
    .max_scatter = max_scatter,
    .max_take = max_take,
    .max_places = max_places,
    .max_whole = max_whole,
    .avg_fwd = avg_fwd,
    .avg_bwd = avg_bwd,
    .avg_scatter = avg_scatter,
    .avg_whole = avg_whole,
    .place_check = place_check,
    .place_store = place_store,
    .place_add = place_add,
    .place_take = place_take,
};
