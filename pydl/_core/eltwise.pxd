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
cdef TensorBase unary_(int code, TensorBase x)
cdef object binary_(int code, TensorBase x, object other)
cdef TensorBase select(TensorBase mask, TensorBase a, TensorBase b)
cdef TensorBase clamp_numbers(TensorBase x, double lo, double hi)
cdef object promoted(object a, object b, bint to_float)     # the NumPy type of an operation on a and b, None if there is none
cdef TensorBase as_tensor(object v, object np_dtype)
