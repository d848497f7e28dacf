# SPDX-License-Identifier: BSD-3-Clause
"""Matrix products with gradients, for the other compiled modules."""

from pydl._core.tape cimport TensorBase

cdef TensorBase matmul(TensorBase a, TensorBase b)
cdef TensorBase linear(TensorBase x, TensorBase w, TensorBase b)
