# SPDX-License-Identifier: BSD-3-Clause
"""Correlations as blocks of matrix products, for conv."""

from pydl._core.correlation cimport pydl_conv, pydl_conv_weight, pydl_correlation
from pydl._core.epilogue cimport Epilogue
from pydl._core.kernels cimport pydl_kernels

cdef struct Job:
    const pydl_kernels* t
    const pydl_conv* v
    pydl_correlation g
    pydl_conv_weight weight
    ptrdiff_t size                        # bytes of an element
    ptrdiff_t groups, n, k, n_pixels      # columns and rows of a group's weights, outputs of the grid
    const char* x
    ptrdiff_t n_x
    const char* w                         # of group 0, tap (0, 0, 0)
    ptrdiff_t w_group
    const char* bias
    char* y                               # dy for the weights' gradient
    char* panels                          # packed weights, or sums of the weights' gradient
    ptrdiff_t kc, ld, rows, n_blocks, n_cuts, cut
    bint in_place, scattered
    bint packed                           # panels are given
    bint adds                             # to y
    const Epilogue* then                  # what becomes of y, or NULL

# y = the correlation, over all groups. To be set: t, v, g, weight's strides, size, groups, n, n_pixels, x, n_x, w, w_group, bias, y,
# packed (with panels in place of w), adds and then.
cdef int correlate(Job* p) except -1
# Their size in bytes, and the packed weights themselves; x, n_x, n_pixels and y need not be set.
cdef ptrdiff_t panel_bytes(Job* p) noexcept nogil
cdef void pack_panels(Job* p, char* panels) noexcept nogil
# dw from x and y = dy; there is at least one pixel, channel and tap.
cdef int correlate_weight(Job* p, char* dw, ptrdiff_t dw_group) except -1
