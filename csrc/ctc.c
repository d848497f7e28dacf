/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type: the table of the kernels of connectionist temporal classification. */
#include "kernels.h"
#include "ctc_kernels.h"
#include "simd.h"
#include "vmath.h"
#include "ctc.h"

#define ENTRY(name) .name = ctc_##name,
const pydl_ctc PYDL_OWN(pydl_ctc) = {PYDL_CTC(ENTRY)};
