# SPDX-License-Identifier: BSD-3-Clause
"""Sums and means with gradients, for the other compiled modules."""

cimport numpy as cnp

from pydl._core.tape cimport TensorBase

# An array seen as (outer, n, inner) with the middle reduced; contiguous, a copy if need be.
cdef struct Blocks:
    ptrdiff_t outer, n, inner

# reduced[d] for every dimension: whether it is among dims. IndexError for one that does not exist.
cdef int mark_dims(tuple dims, int ndim, bint* reduced) except -1
cdef cnp.ndarray blocks_of(cnp.ndarray a, const bint* reduced, Blocks* blocks)
cdef tuple all_dims(int ndim)
cdef TensorBase sum_dims(TensorBase x, tuple dims, bint keepdim, bint mean)
cdef TensorBase sum_to(TensorBase g, object shape)
