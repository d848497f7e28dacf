# SPDX-License-Identifier: BSD-3-Clause
"""Norms of lists of tensors, and scaling or clamping such lists in place: one pass, threaded over all tensors together.

The parts of a norm are chunks of a fixed length, folded in order, so the bits do not depend on the number of threads.
"""

from libc.math cimport INFINITY, sqrt

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, is_channels_last
from pydl._core.inplace cimport check_inplace
from pydl._core.kernels cimport PYDL_B_mul, pydl_kernels, run_pieces, table
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, swap_grad_enabled
from pydl._core.update cimport pydl_norm_fn, pydl_update

cnp.import_array()

cdef enum:
    CHUNK = 16384         # elements that one thread takes at a time
    NORM, SCALE, CLAMP    # what is done

cdef double NS_PER_ELEMENT = 0.15


cdef struct Part:
    const pydl_kernels* k
    pydl_norm_fn* norm
    char* x
    ptrdiff_t n, itemsize, first_chunk


cdef struct Work:
    int kind
    Part* parts
    ptrdiff_t n_parts, n_chunks, n_elements
    double* norms             # of the chunks
    double low, high          # bounds
    float factor_f32          # the factor in both element types: the kernel reads it by a pointer
    double factor_f64


cdef void run_chunk(const void* job, ptrdiff_t chunk) noexcept nogil:
    cdef const Work* w = <const Work*>job
    cdef ptrdiff_t low = 0, high = w.n_parts - 1, middle, at, n
    cdef const Part* part
    cdef char* x
    while low < high:                     # the last part that starts at or before this chunk
        middle = (low + high + 1) // 2
        if w.parts[middle].first_chunk <= chunk:
            low = middle
        else:
            high = middle - 1
    part = w.parts + low
    at = (chunk - part.first_chunk) * CHUNK
    n = min(<ptrdiff_t>CHUNK, part.n - at)
    x = part.x + at * part.itemsize
    if w.kind == NORM:
        w.norms[chunk] = part.norm(x, n)
    elif w.kind == SCALE:
        part.k.eltwise.binary[PYDL_B_mul](x, 1, <const void*>&w.factor_f64 if part.itemsize == 8 else <const void*>&w.factor_f32, 0, x, 1,
                                          n)
    else:
        part.k.eltwise.clamp(x, 1, w.low, w.high, x, 1, n)


cdef void run_all(const Work* w) noexcept:
    run_pieces(run_chunk, w, w.n_chunks, w.n_elements * NS_PER_ELEMENT)


cdef list dense(list tensors, str name, bint written, list copies):
    """The tensors in gapless memory, in whatever order; copies of the others, noted in `copies` as (tensor, copy)."""
    cdef TensorBase x, y
    cdef list result = []
    cdef bint grad_mode = swap_grad_enabled(False)
    try:
        for t in tensors:
            if not isinstance(t, TensorBase):
                raise TypeError(f"{name}: tensors are needed, not {type(t).__name__}")
            x = <TensorBase>t
            if not is_float(x):
                raise TypeError(f"{name}: tensors must be float32 or float64, not {x.a.dtype}")
            if written:
                check_inplace(x, name)
            y = x if is_contiguous(x) or is_channels_last(x) else contiguous_memory(x)
            if y is not x:
                copies.append((x, y))
            result.append(y)
    finally:
        swap_grad_enabled(grad_mode)
    return result


cdef double fold_all(Work* w, double power) noexcept:
    cdef double total = 0
    cdef ptrdiff_t i
    for i in range(w.n_chunks):
        if power != INFINITY:
            total += w.norms[i]
        elif not w.norms[i] <= total and total == total:     # NaN wins
            total = w.norms[i]
    return sqrt(total) if power == 2 else total


cdef double work_on(list tensors, Work* w, double power) except? -1:
    """Does w.kind to gapless tensors; the norm of the given power, or 0."""
    cdef ptrdiff_t i, n = len(tensors)
    cdef TensorBase x
    cdef const pydl_update* k
    cdef double total = 0
    if n == 0:
        return 0
    w.parts = <Part*>scratch(n * sizeof(Part))
    w.n_parts = n
    w.n_chunks = w.n_elements = 0
    for i in range(n):
        x = <TensorBase>tensors[i]
        w.parts[i].k = table(is_f64(x))
        k = <const pydl_update*>w.parts[i].k.update
        w.parts[i].norm = k.max_abs if power == INFINITY else k.sum_squares if power == 2 else k.sum_abs
        w.parts[i].x = cnp.PyArray_BYTES(x.a)
        w.parts[i].n, w.parts[i].itemsize = cnp.PyArray_SIZE(x.a), cnp.PyArray_ITEMSIZE(x.a)
        w.parts[i].first_chunk = w.n_chunks
        w.n_chunks += (w.parts[i].n + CHUNK - 1) // CHUNK
        w.n_elements += w.parts[i].n
    try:
        if w.kind == NORM and w.n_chunks:
            w.norms = <double*>scratch(w.n_chunks * sizeof(double))
        if w.n_chunks:
            run_all(w)
        if w.kind == NORM and w.n_chunks:
            total = fold_all(w, power)
            scratch_free(w.norms, w.n_chunks * sizeof(double))
    finally:
        scratch_free(w.parts, n * sizeof(Part))
    return total


cdef int change(list tensors, str name, Work* w) except -1:
    cdef list copies = []
    work_on(dense(tensors, name, True, copies), w, 0)
    for target, copy in copies:
        np.copyto((<TensorBase>target).a, (<TensorBase>copy).a)
    for t in tensors:
        (<TensorBase>t).s.version += 1
    return 0


def total_norm(list tensors, double power) -> float:
    """(sum of |x|^power over all elements)^(1/power) for the powers 1, 2 and infinity."""
    cdef Work w
    if power not in (1, 2, INFINITY):
        raise ValueError(f"total_norm: the power must be 1, 2 or inf, not {power}")
    w.kind = NORM
    return work_on(dense(tensors, "get_total_norm", False, []), &w, power)


def scale(list tensors, double factor) -> None:
    """x = factor x for all tensors, in place."""
    cdef Work w
    w.kind, w.factor_f32, w.factor_f64 = SCALE, <float>factor, factor
    change(tensors, "clip_grad_norm_", &w)


def clamp(list tensors, double low, double high) -> None:
    """x = min(max(x, low), high) for all tensors, in place; NaN stays."""
    cdef Work w
    w.kind, w.low, w.high = CLAMP, low, high
    change(tensors, "clip_grad_value_", &w)
