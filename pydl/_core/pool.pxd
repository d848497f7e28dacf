# SPDX-License-Identifier: BSD-3-Clause
"""Pooling into given memory, for inference plans."""

from pydl._core.pool_windows cimport Geometry
from pydl._core.tape cimport TensorBase

# y = the largest elements, or the averages, of the windows of x: both channels-last or, as planes, in C order, of the right shapes.
cdef int pool_into(TensorBase x, Geometry geometry, TensorBase y, bint averages, bint planes) except -1
