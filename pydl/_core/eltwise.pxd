# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise operations, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase unary(int code, TensorBase x)
cdef object binary(int code, object a, object b)
cdef TensorBase binary_float(int code, TensorBase a, TensorBase b)
cdef object compare(int code, object a, object b)
cdef TensorBase cast(TensorBase x, int typenum)
cdef TensorBase clone(TensorBase x)
cdef TensorBase copy_(TensorBase x, TensorBase source)
cdef TensorBase contiguous(TensorBase x)
cdef TensorBase number(double value, int typenum)      # a 0-d tensor
cdef TensorBase fit(TensorBase g, object shape)        # g summed to the shape of an operand that was broadcast; None: as it is
