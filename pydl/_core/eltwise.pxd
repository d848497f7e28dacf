# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise operations, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef tuple UNARY_NAMES, BINARY_NAMES

cdef TensorBase unary(int code, TensorBase x)
cdef TensorBase unary_other(int code, TensorBase x)
cdef TensorBase binary_float(int code, TensorBase a, TensorBase b)
cdef object compare(int code, object a, object b)
cdef TensorBase select(TensorBase mask, TensorBase a, TensorBase b)
cdef TensorBase clone(TensorBase x)
cdef TensorBase contiguous(TensorBase x)
cdef TensorBase fit(TensorBase g, object shape)      # g summed to the shape of an operand that was broadcast; None: as it is
cdef object shape_if_other(TensorBase x, TensorBase out)
cdef int record_unary(int code, TensorBase out, TensorBase x) except -1
cdef int record_binary(int code, TensorBase out, TensorBase a, TensorBase b) except -1
