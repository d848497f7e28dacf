# SPDX-License-Identifier: BSD-3-Clause
"""The order of a tensor's memory; of an image: C order (N, C, spatial) or channels-last (N, spatial, C). Copies are not recorded."""

cimport numpy as cnp

from pydl._core.tape cimport TensorBase

cdef TensorBase new_like(TensorBase x)                   # channels-last if x is
cdef TensorBase new_channels_last(int ndim, const cnp.npy_intp* shape, int typenum, bint own)
cdef TensorBase zeros_laid_out_like(TensorBase x)
cdef int extent(TensorBase x, ptrdiff_t* low, ptrdiff_t* high) except -1
cdef bint is_channels_last(TensorBase x) noexcept
cdef TensorBase channels_last(TensorBase x)              # x itself if is_channels_last(x), else a copy
cdef TensorBase contiguous_memory(TensorBase x)          # x itself if it is in C order, else a copy
cdef int rearrange(TensorBase x, TensorBase out) except -1       # out = x, either of them in C order or channels-last
cdef bint wants_public(TensorBase x) noexcept            # the user made it channels-last, and so results are
