# SPDX-License-Identifier: BSD-3-Clause
"""Element types and numbers as tensors, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase cast(TensorBase x, int typenum)             # x itself if it has that type; recorded
cdef TensorBase number(double value, int typenum)           # a 0-d tensor
cdef object promoted(object a, object b, bint to_float)     # the NumPy type of an operation on a and b, None if there is none
cdef TensorBase as_tensor(object v, object np_dtype)
