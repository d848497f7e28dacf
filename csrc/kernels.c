/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled once per ISA and element type; the build defines PYDL_ISA_*, PYDL_F64 and PYDL_SUFFIX. The table of the families' tables. */
#include "kernels.h"
#include "simd.h"
#include "peak.h"

#if defined(PYDL_ISA_AVX512)
#define ISA_NAME "avx512"
#elif defined(PYDL_ISA_AVX2)
#define ISA_NAME "avx2"
#elif defined(__aarch64__)
#define ISA_NAME "neon"
#else
#define ISA_NAME "base"
#endif

#define EXTERN_FAMILY(field, list) extern const struct pydl_##field PYDL_OWN(pydl_##field);
PYDL_FAMILIES(EXTERN_FAMILY)
#define ENTRY_FAMILY(field, list) .field = &PYDL_OWN(pydl_##field),

const pydl_kernels PYDL_OWN(pydl_kernels) = {
    .isa = ISA_NAME,
    .lanes = LANES,
    .fma_chains = fma_chains,
    PYDL_FAMILIES(ENTRY_FAMILY)
};
