# SPDX-License-Identifier: BSD-3-Clause
"""Activations with parameters: their codes, and the one way to run them, recorded, in place or not."""

cdef extern from "activation_kernels.h" nogil:
    # Those that this module names itself; activation_functions declares the others.
    enum:
        PYDL_A_leaky_relu, PYDL_A_hardtanh, PYDL_A_threshold, PYDL_A_hardswish, PYDL_A_softsign, PYDL_N_ACTIVATION
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
