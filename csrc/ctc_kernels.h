/* SPDX-License-Identifier: BSD-3-Clause */
/* Kernels of connectionist temporal classification (ctc.h). Rules as in kernels.h; nothing overlaps.
 *
 * One sequence: log-probabilities lp[t*ldt + class] of t < steps, labels[n] (each a class, and may be the blank one). A path is in one
 * of 2n + 1 states, blank 0, label 0, blank 1, ..., blank n; it stays, goes on by one, or from a label to the next one if they differ.
 * A row of 2 (n + 1) elements holds the states of one step: the n + 1 blanks, then n labels and one element that stands for no state,
 * which comes before the labels in the forward pass and after them in the backward pass. Log-probabilities below half of CTC_DEAD
 * (-1e37, in float64 -1e300) count as -inf. NaN in what a state reads gives NaN.
 */
#ifndef PYDL_CTC_KERNELS_H
#define PYDL_CTC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define PYDL_CTC(X) X(forward) X(backward)

typedef struct pydl_ctc {
    /* The log of the summed probabilities of all paths from blank 0 or label 0 to label n - 1 or blank n; -inf where there is none.
       rows: with keep, those of all steps, for `backward` (unspecified where the result is not finite); else two. Each row has an
       offset of its own, added up in double, so that long sequences lose nothing. scratch: 4 (n + 1) elements */
    double (*forward)(const void *lp, ptrdiff_t ldt, ptrdiff_t steps, const int64_t *labels, ptrdiff_t n, int64_t blank, void *rows,
                      int keep, void *scratch);
    /* dlp[t*lddt + class] -= g * (probability that a path is in a state of that class at step t); rows of a `forward` with a finite
       result. scratch: 8 (n + 1) elements */
    void (*backward)(const void *lp, ptrdiff_t ldt, ptrdiff_t steps, const int64_t *labels, ptrdiff_t n, int64_t blank,
                     const void *rows, double g, void *dlp, ptrdiff_t lddt, void *scratch);
} pydl_ctc;

#endif
