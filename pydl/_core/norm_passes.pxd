# SPDX-License-Identifier: BSD-3-Clause
"""Passes over a tensor of images with one coefficient a channel, and what all normalisations share."""

cimport numpy as cnp

from pydl._core.tape cimport TensorBase

cdef extern from "norm_kernels.h" nogil:
    ctypedef struct pydl_norm:
        void (*moments_runs)(const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, double*, double*) noexcept nogil
        void (*moments_cols)(const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, double*, double*) noexcept nogil
        void (*fold_moments)(ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const double*, const double*, const double*, double*,
                             double*) noexcept nogil
        void (*grad_sums_runs)(const void*, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, double*, double*) noexcept nogil
        void (*grad_sums_cols)(const void*, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, double*, double*) noexcept nogil
        void (*fold_sums)(ptrdiff_t, ptrdiff_t, ptrdiff_t, const double*, double*) noexcept nogil
        void (*statistics)(ptrdiff_t, double, double, const double*, const double*, void*, void*, void*) noexcept nogil
        void (*running)(ptrdiff_t, const double*, double, double, void*) noexcept nogil
        void (*coefs_fwd)(ptrdiff_t, ptrdiff_t, const void*, const void*, const void*, const void*, const void*, void*, void*,
                          void*) noexcept nogil
        void (*coefs_bwd)(ptrdiff_t, ptrdiff_t, double, const void*, const void*, const void*, const void*, const double*,
                          const double*, void*, void*, void*, void*, double*, double*) noexcept nogil
        void (*narrow)(ptrdiff_t, const double*, void*) noexcept nogil
        void (*affine_runs)(const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, const void*) noexcept nogil
        void (*affine_cols)(const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, const void*) noexcept nogil
        void (*grad_runs)(const void*, const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, const void*,
                          const void*) noexcept nogil
        void (*grad_cols)(const void*, const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, const void*,
                          const void*) noexcept nogil
        void (*layer_rows)(const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, double, int, void*, void*,
                           void*) noexcept nogil
        void (*layer_rows_bwd)(const void*, const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, const void*, const void*,
                               const void*, int, void*, void*) noexcept nogil
        void (*window_sum)(const void*, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil

cdef enum:
    TASK = 8192               # elements that one task works on: 32 KB of float32 stay in the first cache

ctypedef enum Pass:
    MOMENTS, GRAD_SUMS, AFFINE, SCALE, GRAD


cdef struct Grid:
    ptrdiff_t groups          # that have statistics of their own
    ptrdiff_t rows, channels, inner      # inner == 1: channels are columns
    ptrdiff_t row_step, channel_step, piece                # of one task
    ptrdiff_t n_row_steps, n_channel_steps, n_pieces
    ptrdiff_t n_parts                    # per group and channel: n_row_steps * n_pieces


cdef struct Job:
    const pydl_norm* k
    Grid grid
    Pass what
    bint shared               # the groups share the coefficients
    ptrdiff_t itemsize
    const char* x
    const char* dy
    char* out
    const char* shift         # per (group, channel), as are the others
    const char* scale         # or k1
    const char* slope         # offset, or k2
    const char* rest          # k3
    double* p                 # results per (group, part, channel): mean and m2, or s1 and s2
    double* q

cdef void cut(Grid* g, bint sums) noexcept                         # tasks of a pass that sums, or of one that applies
cdef void run(Job* j, Pass what) noexcept                          # one pass over the tensors
cdef TensorBase in_order(TensorBase x, bint* last)                 # x or a copy in C order; whether it is channels-last
cdef int start_job(Job* j, str name, TensorBase x, bint last, bint by_image) except -1

# The n elements of t, contiguous; NULL for None. `keep` holds copies while they are read.
cdef const char* vector(str name, str what, object t, TensorBase x, ptrdiff_t n, list keep) except? NULL
cdef TensorBase zeros(ptrdiff_t n, int typenum)
cdef TensorBase new_statistics(ptrdiff_t n, int typenum)           # (3, n): mean, its rest, 1 / deviation
cdef int check_backward(str name, TensorBase dy, TensorBase x, TensorBase stats, ptrdiff_t n_stats) except -1
