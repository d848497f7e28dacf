# SPDX-License-Identifier: BSD-3-Clause
"""Arithmetic on any operands, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef object binary(int code, object a, object b)      # NotImplemented unless both are tensors or numbers, at least one a tensor
cdef TensorBase with_number(int code, TensorBase x, double value, bint swapped)      # x op value, or value op x if swapped
cdef TensorBase clamp_numbers(TensorBase x, double lo, double hi)     # min(max(x, lo), hi)
