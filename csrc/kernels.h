/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of kernels, one per ISA and element type: pointers to the tables of the families. Each family has a list of its own,
 * <family>_kernels.h, and is compiled from <family>.c, so that work on one rebuilds only that.
 *
 * Rules for every kernel: no allocation, no threads, no failure; sizes and strides are ptrdiff_t, strides count elements;
 * pointers are void because the table is the same for f32 and f64 (the table's own element type is meant);
 * scratch comes from the caller. Outputs may alias an input only where the comment says so.
 */
#ifndef PYDL_KERNELS_H
#define PYDL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* The families: field of the table, and name of its list PYDL_<...> in <field>_kernels.h. */
#define PYDL_FAMILIES(X) \
    X(eltwise, ELTWISE) X(reduce, REDUCE) X(softmax, SOFTMAX) X(gemm, GEMM) X(activation, ACTIVATION) X(conv, CONV) X(ctc, CTC) \
    X(gather, GATHER) X(update, UPDATE) X(layout, LAYOUT) X(pool, POOL) X(norm, NORM) X(recurrent, RECURRENT)
#define PYDL_DECLARE_FAMILY(field, list) struct pydl_##field;
PYDL_FAMILIES(PYDL_DECLARE_FAMILY)

/* The table of the ISA and element type being compiled: PYDL_OWN(pydl_kernels) is pydl_kernels_avx2_f32. */
#define PYDL_PASTE(stem, suffix) stem##_##suffix
#define PYDL_PASTE_EXPANDED(stem, suffix) PYDL_PASTE(stem, suffix)
#define PYDL_OWN(stem) PYDL_PASTE_EXPANDED(stem, PYDL_SUFFIX)

typedef struct pydl_kernels {
    const char *isa;      /* "base", "avx2", "avx512", "neon" */
    ptrdiff_t lanes;      /* elements in a vector */

    /* runs n independent vector FMA chains; returns the FLOPs done (for the roofline) */
    double (*fma_chains)(ptrdiff_t n, void *out);

#define PYDL_FAMILY_FIELD(field, list) const struct pydl_##field *field;
    PYDL_FAMILIES(PYDL_FAMILY_FIELD)
} pydl_kernels;

/* dispatch.c. dtype: 0 = f32, 1 = f64. */
const pydl_kernels *pydl_table(const char *isa, int f64); /* NULL when the ISA is unknown, not compiled in or not on this CPU */
const char *pydl_best_isa(void);                          /* the widest one this CPU and operating system can run */
const char *pydl_isas(void);                              /* those that can run here, narrowest first, separated by spaces */

#endif
