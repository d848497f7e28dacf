# SPDX-License-Identifier: BSD-3-Clause
"""Convolution of each channel by itself; operands are checked and channels-last, dx is zero where no tap reaches."""

from pydl._core.correlation cimport Sizes
from pydl._core.tape cimport TensorBase

cdef inline bint is_depthwise(const Sizes* s) noexcept nogil:
    return s.groups > 1 and s.groups == s.c

cdef int depthwise_fwd(const Sizes* s, TensorBase x, TensorBase w, TensorBase b, TensorBase y) except -1
cdef int depthwise_bwd_data(const Sizes* s, TensorBase dy, TensorBase w, TensorBase dx) except -1
cdef int depthwise_bwd_weight(const Sizes* s, TensorBase dy, TensorBase x, TensorBase dw) except -1
