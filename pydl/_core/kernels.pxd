# SPDX-License-Identifier: BSD-3-Clause
"""The kernel tables, the thread counts and the kernel clock, for the other compiled modules."""

from libc.stdint cimport int64_t, uint8_t

# What nearly every module uses: the four families of products, elementwise functions, sums and softmax.
cdef extern from "eltwise_kernels.h" nogil:
    enum:
        PYDL_U_copy, PYDL_U_neg, PYDL_U_abs, PYDL_U_square, PYDL_U_reciprocal, PYDL_U_sqrt, PYDL_U_exp, PYDL_U_log
        PYDL_U_tanh, PYDL_U_sigmoid, PYDL_U_relu, PYDL_N_UNARY
        PYDL_B_add, PYDL_B_sub, PYDL_B_mul, PYDL_B_div, PYDL_B_pow, PYDL_B_maximum, PYDL_B_minimum
        PYDL_B_tanh_bwd, PYDL_B_sigmoid_bwd, PYDL_B_relu_bwd, PYDL_N_BINARY
        PYDL_C_eq, PYDL_C_ne, PYDL_C_lt, PYDL_C_le, PYDL_C_gt, PYDL_C_ge, PYDL_N_COMPARE
    ctypedef void pydl_unary_fn(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
    ctypedef void pydl_binary_fn(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
    ctypedef void pydl_compare_fn(const void*, ptrdiff_t, const void*, ptrdiff_t, uint8_t*, ptrdiff_t, ptrdiff_t) noexcept nogil
    ctypedef struct pydl_eltwise:
        pydl_unary_fn** unary
        pydl_binary_fn** binary
        pydl_compare_fn** compare
        void (*add_scaled)(const void*, ptrdiff_t, const void*, ptrdiff_t, double, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*clamp)(const void*, ptrdiff_t, double, double, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*where)(const uint8_t*, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*fill)(void*, ptrdiff_t, double, ptrdiff_t) noexcept nogil

cdef extern from "reduce_kernels.h" nogil:
    ctypedef void pydl_extreme_fn(const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*, int64_t*) noexcept nogil
    ctypedef struct pydl_reduce:
        void (*sum_rows)(const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*) noexcept nogil
        void (*sum_cols)(const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*) noexcept nogil
        pydl_extreme_fn* max_rows
        pydl_extreme_fn* min_rows
        pydl_extreme_fn* max_cols
        pydl_extreme_fn* min_cols

cdef extern from "softmax_kernels.h" nogil:
    ctypedef struct pydl_softmax:
        void (*rows)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*log_rows)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*rows_bwd)(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*log_rows_bwd)(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        ptrdiff_t (*target_check)(const int64_t*, ptrdiff_t, ptrdiff_t, int64_t, int64_t) noexcept nogil
        void (*cross_entropy)(const void*, ptrdiff_t, const int64_t*, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, int64_t,
                              double, void*, void*, void*, ptrdiff_t, void*) noexcept nogil
        void (*cross_entropy_bwd)(const void*, ptrdiff_t, const void*, const int64_t*, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                                  const void*, int64_t, double, const void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil

cdef extern from "gemm_kernels.h" nogil:
    enum:
        PYDL_GEMM_ACCUMULATE, PYDL_GEMM_RELU, PYDL_GEMM_PADDED
    ctypedef struct pydl_gemm:
        ptrdiff_t mr, nr, kc, mc, nc
        void (*block)(ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                      const void*, ptrdiff_t, ptrdiff_t, ptrdiff_t, void*, ptrdiff_t, const void*, int) noexcept nogil
        void (*pack_b)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, ptrdiff_t, void*) noexcept nogil
        void (*pack_a)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, ptrdiff_t, void*) noexcept nogil
        void (*store_transposed)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*, int) noexcept nogil
        void (*gemv_dot)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, void*, ptrdiff_t, const void*, ptrdiff_t,
                         int) noexcept nogil
        void (*gemv_sum)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, const void*,
                         ptrdiff_t, int) noexcept nogil

# The other families of kernels: a module that uses one declares its struct from <family>_kernels.h and casts the pointer.
cdef extern from "kernels.h" nogil:
    ctypedef struct pydl_kernels:
        const char* isa
        ptrdiff_t lanes
        const pydl_eltwise* eltwise
        const pydl_reduce* reduce
        const pydl_softmax* softmax
        const pydl_gemm* gemm
        double (*fma_chains)(ptrdiff_t, void*) noexcept nogil
        const void* activation
        const void* gather
        const void* layout
        const void* pool
        const void* norm
        const void* recurrent
        const void* conv
        const void* ctc
        const void* update

cdef const pydl_kernels* table(int f64) noexcept nogil

# Work below this many nanoseconds keeps the interpreter lock: releasing and taking it again costs about 100.
cdef enum:
    RELEASE_GIL_NS = 10000

# Every kernel that may take long is run by one of these. They decide whether the interpreter lock is given up and how many threads
# take part, by the nanoseconds that one core needs; and they keep the clock. The caller holds the lock.
ctypedef void (*piece_fn)(const void* job, ptrdiff_t i) noexcept nogil
ctypedef void (*team_fn)(const void* job, int threads) noexcept nogil
cdef void run_pieces(piece_fn f, const void* job, ptrdiff_t n, double work_ns) noexcept        # f(job, i) for each i < n
cdef void run_uneven_pieces(piece_fn f, const void* job, ptrdiff_t n, double work_ns) noexcept  # the same; pieces differ in length
cdef void run_team(team_fn f, const void* job, int threads, double work_ns) noexcept           # f(job, threads), which calls ...
cdef void each_piece(piece_fn f, const void* job, ptrdiff_t n, int threads) noexcept nogil     # ... f(job, i) for each i < n

# Number of threads for work that one core does in `work_ns`: 1 below the threshold, never more than the user's count, of which other
# Python threads that run kernels have their share. To be asked where scratch memory or the cut depends on it.
cdef int threads_for(double work_ns) noexcept
cdef bint kernels_run() noexcept         # in any thread

# What a core does in a nanosecond with each lane of a vector, in matrix products: about right is enough for the choice of threads.
cdef enum:
    FLOPS_PER_LANE_NS = 10

# tick()/tock(t) measure the time inside kernels when the clock is on, for kernels that are called directly.
cdef int64_t tick() noexcept nogil
cdef void tock(int64_t start) noexcept nogil
