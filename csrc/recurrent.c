/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the recurrent layers' kernels. */
#include "kernels.h"
#include "recurrent_kernels.h"
#include "simd.h"
#include "vmath.h"
#include "recurrent.h"
#include "recurrent_thin.h"

#define ENTRY(name) .name = name,
const pydl_recurrent PYDL_OWN(pydl_recurrent) = {PYDL_RECURRENT(ENTRY)};
