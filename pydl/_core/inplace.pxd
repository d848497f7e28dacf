# SPDX-License-Identifier: BSD-3-Clause
"""Changes in place, for the other compiled modules."""

from pydl._core.tape cimport Node, TensorBase

cdef int check_inplace(TensorBase x, str name) except -1         # raises if x may not be changed in place by operation `name`
cdef int finish_inplace(TensorBase x, Node node) except -1       # `node`, whose edges are set, is the history of x from now on
cdef TensorBase unary_(int code, TensorBase x)
cdef object binary_(int code, TensorBase x, object other)
cdef TensorBase copy_(TensorBase x, TensorBase source)
