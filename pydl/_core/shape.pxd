# SPDX-License-Identifier: BSD-3-Clause
"""Views, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase reshape(TensorBase x, tuple shape)
cdef TensorBase view(TensorBase x, tuple shape)
cdef TensorBase permute(TensorBase x, tuple dims)
cdef TensorBase swap_last(TensorBase x)                        # the last two dimensions swapped
cdef TensorBase expand(TensorBase x, tuple shape)
cdef tuple shape_of(TensorBase x)
cdef Py_ssize_t wrap_dim(Py_ssize_t dim, int ndim, str name) except -1
cdef TensorBase squeeze(TensorBase x, tuple dims)
cdef TensorBase unsqueeze(TensorBase x, Py_ssize_t dim)
cdef TensorBase swap(TensorBase x, Py_ssize_t dim0, Py_ssize_t dim1, str name)
