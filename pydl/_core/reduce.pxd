# SPDX-License-Identifier: BSD-3-Clause
"""Largest and smallest elements, for the other compiled modules. Nothing is recorded."""

from pydl._core.tape cimport TensorBase

cpdef TensorBase amax(TensorBase x, tuple dims, bint keepdim)
cpdef TensorBase amin(TensorBase x, tuple dims, bint keepdim)
cpdef tuple max_along(TensorBase x, int dim, bint keepdim)
cpdef tuple min_along(TensorBase x, int dim, bint keepdim)
