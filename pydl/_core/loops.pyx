# SPDX-License-Identifier: BSD-3-Clause
"""Merging of dimensions and broadcasting for elementwise loops."""

cimport numpy as cnp

from pydl._core.errors import ShapeError

cnp.import_array()


cdef int loop_init(Loop* loop, int n_operands, int ndim, const cnp.npy_intp* shape) except -1:
    cdef int d
    if ndim > MAX_DIMS:
        raise ValueError(f"at most {MAX_DIMS} dimensions are supported, not {ndim}")
    loop.n_operands = n_operands
    loop.ndim = ndim
    for d in range(ndim):
        loop.shape[d] = shape[d]
    return 0


cdef void loop_operand(Loop* loop, int i, cnp.ndarray a, int ndim) noexcept:
    """Operand i is `a`, broadcast to the loop's shape (which it fits: see broadcast_shape)."""
    cdef int d, own = cnp.PyArray_NDIM(a), lead = ndim - own
    loop.data[i] = cnp.PyArray_BYTES(a)
    for d in range(ndim):
        if d < lead or cnp.PyArray_DIMS(a)[d - lead] == 1:
            loop.strides[i][d] = 0
        else:
            loop.strides[i][d] = cnp.PyArray_STRIDES(a)[d - lead]


cdef void loop_merge(Loop* loop) noexcept:
    """Drops dimensions of size 1, merges neighbors that are one run in every operand, and takes the last one as the run."""
    cdef int d, i, last = -1
    cdef bint merges
    loop.n_runs = 1
    for d in range(loop.ndim):
        if loop.shape[d] == 1:
            continue
        merges = last >= 0
        if merges:
            for i in range(loop.n_operands):
                if loop.strides[i][last] != loop.strides[i][d] * loop.shape[d]:
                    merges = False
                    break
        if merges:
            loop.shape[last] *= loop.shape[d]
        else:
            last += 1
            loop.shape[last] = loop.shape[d]
        for i in range(loop.n_operands):
            loop.strides[i][last] = loop.strides[i][d]
    if last < 0:
        loop.ndim = 0
        loop.run = 1
        for i in range(loop.n_operands):
            loop.run_strides[i] = 0
        return
    loop.ndim = last
    loop.run = loop.shape[last]
    for i in range(loop.n_operands):
        loop.run_strides[i] = loop.strides[i][last]
    for d in range(last):
        loop.n_runs *= loop.shape[d]


cdef int broadcast_shape(str name, tuple arrays, cnp.npy_intp* shape) except -1:
    cdef int ndim = 0, d, lead
    cdef cnp.npy_intp size
    cdef cnp.ndarray a
    for a in arrays:
        ndim = max(ndim, cnp.PyArray_NDIM(a))
    if ndim > MAX_DIMS:
        raise ValueError(f"{name}: at most {MAX_DIMS} dimensions are supported, not {ndim}")
    for d in range(ndim):
        shape[d] = 1
    for a in arrays:
        lead = ndim - cnp.PyArray_NDIM(a)
        for d in range(lead, ndim):
            size = cnp.PyArray_DIMS(a)[d - lead]
            if size == shape[d] or size == 1:
                continue
            if shape[d] != 1:
                shapes = " and ".join([str((<object>x).shape) for x in arrays])
                raise ShapeError(f"{name}: shapes {shapes} do not broadcast: sizes {shape[d]} and {size} in dimension {d}")
            shape[d] = size
    return ndim
