# SPDX-License-Identifier: BSD-3-Clause
"""One product or one cell of it on one thread."""

from pydl._core.kernels cimport pydl_kernels

cdef enum Path:
    AUTO, DIRECT, PACK_B, PACK_AB, SWAPPED, DOT, SUM

cdef enum:
    FLAT_BYTES = 262144          # chunk of A up to which every panel of B meets all rows: half of a small L2
    FLAT_PANELS = 4              # that many are packed together: B is then read four lines a row
    LINE = 64

cdef struct Product:
    const pydl_kernels* t
    ptrdiff_t size               # bytes of an element
    ptrdiff_t m, n, k, kc
    const char* a
    ptrdiff_t a_row, a_col
    const char* b
    ptrdiff_t b_row, b_col
    char* c
    ptrdiff_t c_row
    const char* bias
    int flags, path
    bint flat                    # packed paths: run_flat


cdef inline ptrdiff_t up(ptrdiff_t x, ptrdiff_t unit) noexcept nogil:
    return (x + unit - 1) // unit * unit


cdef inline ptrdiff_t even_block(ptrdiff_t n, ptrdiff_t largest, ptrdiff_t unit) noexcept nogil:
    """The size of nearly equal blocks that cover n, each at most `largest`, in multiples of `unit`."""
    if n <= largest:
        return n
    cdef ptrdiff_t blocks = (n + largest - 1) // largest
    return min(largest, up((n + blocks - 1) // blocks, unit))


cdef int choose(const Product* p) noexcept nogil
cdef ptrdiff_t work_bytes(const Product* p) noexcept nogil
cdef void run(const Product* p, char* work) noexcept nogil

# The parts of packed products, for threads that share what they pack.
cdef void run_rows(const Product* p, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t j, ptrdiff_t cols, ptrdiff_t k0, ptrdiff_t kc,
                   const char* panels, const char* tiles) noexcept nogil
cdef void pack_swapped(const Product* p, ptrdiff_t i, ptrdiff_t rows, ptrdiff_t k0, ptrdiff_t kc, char* panels) noexcept nogil
cdef void run_swapped_cols(const Product* p, const char* panels, char* work) noexcept nogil
cdef ptrdiff_t swapped_work(const Product* p) noexcept nogil
