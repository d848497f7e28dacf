# SPDX-License-Identifier: BSD-3-Clause
"""What an inference plan lets follow a product or a convolution, while a block of results is in the cache."""

ctypedef void (*plain_fn)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t) noexcept nogil
ctypedef void (*parameter_fn)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const double*) noexcept nogil
ctypedef void (*clamp_fn)(const void*, ptrdiff_t, double, double, void*, ptrdiff_t, ptrdiff_t) noexcept nogil

cdef enum EpilogueKind:
    IN_KERNEL, PLAIN, PARAMETERS, LIMITS     # relu is the product's own

cdef struct Epilogue:
    EpilogueKind kind
    void* fn
    double p[3]


cdef inline void finish_run(const Epilogue* e, char* y, ptrdiff_t n) noexcept nogil:
    if e.kind == PLAIN:
        (<plain_fn>e.fn)(y, 1, y, 1, n)
    elif e.kind == PARAMETERS:
        (<parameter_fn>e.fn)(y, 1, y, 1, n, e.p)
    else:
        (<clamp_fn>e.fn)(y, 1, e.p[0], e.p[1], y, 1, n)


cdef inline void finish(const Epilogue* e, char* y, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t ld, ptrdiff_t size) noexcept nogil:
    """y = f(y) for rows × n elements, rows ld elements apart."""
    cdef ptrdiff_t i
    if e.kind == IN_KERNEL:
        return
    if ld == n:
        finish_run(e, y, rows * n)
        return
    for i in range(rows):
        finish_run(e, y + i * ld * size, n)
