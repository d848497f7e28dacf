# SPDX-License-Identifier: BSD-3-Clause
"""Views and sums, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase reshape(TensorBase x, tuple shape)
cdef TensorBase view(TensorBase x, tuple shape)
cdef TensorBase permute(TensorBase x, tuple dims)
cdef TensorBase swap_last(TensorBase x)                        # the last two dimensions swapped
cdef TensorBase expand(TensorBase x, tuple shape)
cdef TensorBase sum_to(TensorBase g, object shape)
cdef TensorBase sum_dims(TensorBase x, tuple dims, bint keepdim, bint mean)
cdef tuple shape_of(TensorBase x)
cdef Py_ssize_t wrap_dim(Py_ssize_t dim, int ndim, str name) except -1
