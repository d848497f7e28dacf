/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the normalisations' kernels. */
#include "kernels.h"
#include "norm_kernels.h"
#include "simd.h"
#include "norm.h"
#include "norm_rows.h"

#define ENTRY(name) .name = name,
const pydl_norm PYDL_OWN(pydl_norm) = {PYDL_NORM(ENTRY)};
