# SPDX-License-Identifier: BSD-3-Clause
"""Activations with parameters: their codes, and the one way to run them, recorded, in place or not."""

cdef extern from "activation_kernels.h" nogil:
    enum:
        PYDL_A_leaky_relu, PYDL_A_hardtanh, PYDL_A_threshold, PYDL_A_hardshrink, PYDL_A_softshrink, PYDL_A_hardsigmoid
        PYDL_A_hardswish, PYDL_A_elu, PYDL_A_softplus, PYDL_A_gelu, PYDL_A_gelu_tanh, PYDL_A_silu, PYDL_A_mish
        PYDL_A_logsigmoid, PYDL_A_softsign, PYDL_A_tanhshrink, PYDL_A_erf, PYDL_A_erfc, PYDL_A_expm1, PYDL_A_log1p
    ctypedef void pydl_activation_fn(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const double*) noexcept nogil
    ctypedef void pydl_activation_bwd_fn(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t,
                                         const double*) noexcept nogil
    ctypedef struct pydl_activation:
        pydl_activation_fn** fwd
        pydl_activation_bwd_fn** bwd
        void* prelu
        void* prelu_bwd
        void* glu
        void* glu_bwd

cdef object activate(str name, int code, object input, double a, double b, double c, bint inplace)
