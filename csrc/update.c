/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the optimizers' kernels. */
#include "kernels.h"
#include "update_kernels.h"
#include "simd.h"
#include "update.h"
#include "update_adaptive.h"
#include "total_norm.h"

#define FILL(name) .name = name,
const pydl_update PYDL_OWN(pydl_update) = {PYDL_STEPS(FILL) PYDL_NORMS(FILL)};
