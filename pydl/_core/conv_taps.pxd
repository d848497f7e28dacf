# SPDX-License-Identifier: BSD-3-Clause
"""The gradient of the data of a convolution with few input channels, for conv."""

from pydl._core.conv_blocks cimport Job
from pydl._core.correlation cimport Sizes

# Whether there are fewer input channels than a panel has columns; not in three dimensions, for spread taps, or very long lines.
cdef bint has_few_channels(const Job* p, const Sizes* s) noexcept

# p.y = dx from p.x = dy, or False if the weights are not finite. To be set: t, v, size, x, y, w (tap (0, 0, 0)), and the weight's
# tap, channel (of dy) and column (of dx).
cdef int add_taps(Job* p, const Sizes* s) except -1
