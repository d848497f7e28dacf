# SPDX-License-Identifier: BSD-3-Clause
"""The order of an image tensor's memory: C order (N, C, spatial) or channels-last (N, spatial, C). Copies are not recorded."""

from pydl._core.tape cimport TensorBase, is_channels_last, new_channels_last

cdef TensorBase channels_last(TensorBase x)              # x itself if is_channels_last(x), else a copy
cdef TensorBase contiguous_memory(TensorBase x)          # x itself if it is in C order, else a copy
cdef bint wants_public(TensorBase x) noexcept            # the user made it channels-last, and so results are
