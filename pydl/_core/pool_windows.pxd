# SPDX-License-Identifier: BSD-3-Clause
"""The geometry that the pooling kernels take."""

cdef extern from "pool_kernels.h" nogil:
    ctypedef struct pydl_windows:
        ptrdiff_t n_in, n_out, kernel, dilation, stride, full_lo, full_hi, even_lo, even_hi
        const ptrdiff_t* first
        const ptrdiff_t* lo
        const ptrdiff_t* hi
        const ptrdiff_t* count
        const ptrdiff_t* out_lo
        const ptrdiff_t* out_hi
    ctypedef struct pydl_pool_geometry:
        pydl_windows d, h, w
        ptrdiff_t channels, index_bytes
        const ptrdiff_t* offset
        double divisor


cdef class Geometry:
    cdef pydl_pool_geometry g
    cdef ptrdiff_t* tables
    cdef readonly tuple in_sizes, out_sizes, kernel     # of the spatial dimensions
    cdef readonly Py_ssize_t n_elements                 # of a window
