# SPDX-License-Identifier: BSD-3-Clause
"""Changes in place, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase unary_(int code, TensorBase x)
cdef object binary_(int code, TensorBase x, object other)
cdef TensorBase copy_(TensorBase x, TensorBase source)
