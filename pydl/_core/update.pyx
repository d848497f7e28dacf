# SPDX-License-Identifier: BSD-3-Clause
"""Optimizer steps: one call for a whole list of parameters, everything checked before anything is written.

The work is cut into chunks of a fixed length over all tensors together, so that many small parameters and one large one are
threaded alike; every element is computed on its own, so the bits do not depend on the cut.
"""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.kernels cimport (
    RELEASE_GIL_NS, enter_kernel, leave_kernel, table, threads_for, tick, tock,
)
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, check_inplace, is_contiguous, is_f64, is_float, new_contiguous, swap_grad_enabled

from pydl._core.errors import ShapeError

cnp.import_array()

cdef extern from "update_kernels.h" nogil:
    ctypedef struct pydl_sgd:
        double lr, momentum, dampening, weight_decay
        int nesterov, maximize, first
    ctypedef struct pydl_update:
        void (*sgd)(void*, const void*, void*, const pydl_sgd*, ptrdiff_t) noexcept nogil

cdef enum:
    CHUNK = 16384         # elements that one thread takes at a time

cdef double NS_PER_ELEMENT = 0.3


cdef struct Part:
    const pydl_update* k
    char* p
    const char* g
    char* buf                 # NULL without momentum
    ptrdiff_t n, itemsize
    ptrdiff_t first_chunk     # number of its first chunk among those of all tensors
    bint first                # buf holds nothing yet


cdef int check_target(str name, object t) except -1:
    """A tensor that a step may write."""
    cdef bint grad
    if not isinstance(t, TensorBase):
        raise TypeError(f"{name}: tensors are needed, not {type(t).__name__}")
    if not is_float(<TensorBase>t):
        raise TypeError(f"{name}: parameters must be float32 or float64, not {(<TensorBase>t).a.dtype}")
    grad = swap_grad_enabled(False)     # leaves that require grad are what a step is for
    try:
        check_inplace(<TensorBase>t, name)
    finally:
        swap_grad_enabled(grad)
    return 0


cdef int check_same(str name, str what, TensorBase p, object t) except -1:
    if not isinstance(t, TensorBase):
        raise TypeError(f"{name}: {what} must be a tensor, not {type(t).__name__}")
    if (<object>p.a).shape != (<object>(<TensorBase>t).a).shape or cnp.PyArray_TYPE(p.a) != cnp.PyArray_TYPE((<TensorBase>t).a):
        raise ShapeError(f"{name}: {what} {(<object>(<TensorBase>t).a).shape} {(<TensorBase>t).a.dtype} does not fit the parameter "
                         f"{(<object>p.a).shape} {p.a.dtype}")
    return 0


cdef TensorBase dense(TensorBase t, list copies):
    """t, or a contiguous copy of it that is noted in `copies` as (t, copy)."""
    cdef TensorBase copy
    if is_contiguous(t):
        return t
    copy = new_contiguous(t)
    np.copyto(copy.a, t.a)
    copies.append((t, copy))
    return copy


cdef void run_chunk(const Part* parts, ptrdiff_t n_parts, ptrdiff_t chunk, const pydl_sgd* h) noexcept nogil:
    cdef ptrdiff_t low = 0, high = n_parts - 1, middle, at, offset
    while low < high:                     # the last part that starts at or before this chunk
        middle = (low + high + 1) // 2
        if parts[middle].first_chunk <= chunk:
            low = middle
        else:
            high = middle - 1
    at = (chunk - parts[low].first_chunk) * CHUNK
    offset = at * parts[low].itemsize
    parts[low].k.sgd(parts[low].p + offset, parts[low].g + offset, parts[low].buf + offset if parts[low].buf != NULL else NULL,
                     h + parts[low].first, min(<ptrdiff_t>CHUNK, parts[low].n - at))


cdef void run_chunks(const Part* parts, ptrdiff_t n_parts, ptrdiff_t n_chunks, const pydl_sgd* h, int threads) noexcept nogil:
    cdef ptrdiff_t i
    for i in prange(n_chunks, num_threads=threads, schedule="static"):
        run_chunk(parts, n_parts, i, h)


cdef void run_all(const Part* parts, ptrdiff_t n_parts, ptrdiff_t n_chunks, ptrdiff_t n_elements, const pydl_sgd* h) noexcept:
    cdef int threads
    cdef int64_t start = tick()
    if n_elements * NS_PER_ELEMENT < RELEASE_GIL_NS:
        run_chunks(parts, n_parts, n_chunks, h, 1)
    else:
        enter_kernel()
        threads = threads_for(n_elements * NS_PER_ELEMENT)
        with nogil:
            run_chunks(parts, n_parts, n_chunks, h, threads)
        leave_kernel()
    tock(start)


cdef list check_all(str name, list params, list grads, list bufs, list first, bint has_momentum, list written, list copies):
    """Contiguous (p, g, buf or None, first) for each tensor with elements; fills `written` (tensors that change) and `copies`."""
    cdef Py_ssize_t i
    cdef TensorBase p, g, buf
    result = []
    if len(grads) != len(params) or (has_momentum and (len(bufs) != len(params) or len(first) != len(params))):
        raise ValueError(f"{name}: {len(params)} parameters, {len(grads)} gradients, {len(bufs)} momentum buffers, {len(first)} flags")
    for i in range(len(params)):
        check_target(name, params[i])
        p = params[i]
        check_same(name, "gradient", p, grads[i])
        buf = None
        if has_momentum:
            check_target(name, bufs[i])
            check_same(name, "momentum buffer", p, bufs[i])
            buf = bufs[i]
            written.append(buf)
        written.append(p)
        if cnp.PyArray_SIZE(p.a):
            g = dense(grads[i], [])
            result.append((dense(p, copies), g, dense(buf, copies) if has_momentum else None, bool(first[i]) if has_momentum else False))
    return result


def sgd(list params, list grads, list bufs, double lr, double momentum, double dampening, double weight_decay, bint nesterov,
        bint maximize, list first):
    """One step for all parameters in place. `bufs` and `first` (whether a buffer holds nothing yet) are read only with momentum."""
    cdef bint has_momentum = momentum != 0
    cdef pydl_sgd h[2]
    cdef Part* parts
    cdef ptrdiff_t n_parts, n_chunks = 0, n_elements = 0, i
    cdef TensorBase t
    cdef list written = [], copies = []
    cdef list work = check_all("sgd", params, grads, bufs, first, has_momentum, written, copies)
    n_parts = len(work)
    if n_parts:
        parts = <Part*>scratch(n_parts * sizeof(Part))
        for i in range(n_parts):
            p, g, buf, is_first = work[i]
            t = p
            parts[i].k = <const pydl_update*>table(is_f64(t)).update
            parts[i].p = cnp.PyArray_BYTES(t.a)
            parts[i].n = cnp.PyArray_SIZE(t.a)
            parts[i].itemsize = cnp.PyArray_ITEMSIZE(t.a)
            parts[i].g = cnp.PyArray_BYTES((<TensorBase>g).a)
            parts[i].buf = cnp.PyArray_BYTES((<TensorBase>buf).a) if buf is not None else NULL
            parts[i].first = is_first
            parts[i].first_chunk = n_chunks
            n_chunks += (parts[i].n + CHUNK - 1) // CHUNK
            n_elements += parts[i].n
        for i in range(2):
            h[i] = pydl_sgd(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov,
                            maximize=maximize, first=i)
        run_all(parts, n_parts, n_chunks, n_elements, h)
        scratch_free(parts, n_parts * sizeof(Part))
    for target, copy in copies:
        np.copyto((<TensorBase>target).a, (<TensorBase>copy).a)
    for target in written:
        (<TensorBase>target).s.version += 1
