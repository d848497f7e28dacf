# SPDX-License-Identifier: BSD-3-Clause
"""Fills tensors with random numbers. Every function returns how many counters it used: the next call's offset is that much higher.

An element depends on key, offset and its index alone; threads take pieces that begin at a counter, so the numbers do not depend on
the cut.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np
cimport numpy as cnp

from pydl._core.inplace cimport check_inplace
from pydl._core.kernels cimport run_pieces, tick, tock
from pydl._core.tape cimport TensorBase, is_contiguous, new, new_contiguous, swap_grad_enabled

cnp.import_array()

cdef extern from "random.h" nogil:
    enum:
        PYDL_RANDOM_F32, PYDL_RANDOM_F64, PYDL_RANDOM_I64, PYDL_RANDOM_MASK
    void pydl_philox(const uint32_t* counter, const uint32_t* key, uint32_t* out)
    void pydl_random_uniform_f32(float* out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high)
    void pydl_random_uniform_f64(double* out, ptrdiff_t n, uint64_t key, uint64_t offset, double low, double high)
    void pydl_random_normal_f32(float* out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std)
    void pydl_random_normal_f64(double* out, ptrdiff_t n, uint64_t key, uint64_t offset, double mean, double std)
    void pydl_random_integers(int64_t* out, ptrdiff_t n, uint64_t key, uint64_t offset, int64_t low, int64_t high)
    void pydl_random_mask(uint8_t* out, ptrdiff_t n, uint64_t key, uint64_t offset, double p)
    void pydl_random_permutation(int64_t* out, ptrdiff_t n, uint64_t key, uint64_t offset)

cdef enum:
    CHUNK = 8192          # elements that one thread takes at a time; a multiple of the elements a counter gives

cdef double NS_UNIFORM = 2.0
cdef double NS_NORMAL = 8.0

cdef enum Law:
    UNIFORM, NORMAL, INTEGERS, MASK


cdef struct Draw:
    Law law
    bint f64
    char* out
    ptrdiff_t n, itemsize, per_counter
    uint64_t key, offset
    double a, b               # low and high, mean and std, or the probability
    int64_t low, high


cdef void draw_piece(const void* job, ptrdiff_t piece) noexcept nogil:
    cdef const Draw* d = <const Draw*>job
    cdef ptrdiff_t at = piece * CHUNK, n = min(<ptrdiff_t>CHUNK, d.n - piece * CHUNK)
    cdef void* out = d.out + at * d.itemsize
    cdef uint64_t offset = d.offset + <uint64_t>(at // d.per_counter)
    if d.law == UNIFORM and d.f64:
        pydl_random_uniform_f64(<double*>out, n, d.key, offset, d.a, d.b)
    elif d.law == UNIFORM:
        pydl_random_uniform_f32(<float*>out, n, d.key, offset, d.a, d.b)
    elif d.law == NORMAL and d.f64:
        pydl_random_normal_f64(<double*>out, n, d.key, offset, d.a, d.b)
    elif d.law == NORMAL:
        pydl_random_normal_f32(<float*>out, n, d.key, offset, d.a, d.b)
    elif d.law == INTEGERS:
        pydl_random_integers(<int64_t*>out, n, d.key, offset, d.low, d.high)
    else:
        pydl_random_mask(<uint8_t*>out, n, d.key, offset, d.a)


cdef object fill(str name, Draw* d, TensorBase out, object key, object offset, ptrdiff_t per_counter, double ns):
    """Draws into out, any strides; returns the number of counters used."""
    cdef TensorBase target = out
    cdef bint grad = swap_grad_enabled(False)
    try:
        check_inplace(out, name)
    finally:
        swap_grad_enabled(grad)
    if not is_contiguous(out):
        target = new_contiguous(out)
    d.f64 = cnp.PyArray_TYPE(out.a) == cnp.NPY_DOUBLE
    d.out = cnp.PyArray_BYTES(target.a)
    d.n = cnp.PyArray_SIZE(target.a)
    d.itemsize = cnp.PyArray_ITEMSIZE(target.a)
    d.per_counter = per_counter
    d.key = key
    d.offset = offset
    run_pieces(draw_piece, d, (d.n + CHUNK - 1) // CHUNK, d.n * ns)
    if target is not out:
        np.copyto(out.a, target.a)
    out.s.version += 1
    return (d.n + per_counter - 1) // per_counter


cdef ptrdiff_t elements_per_counter(str name, TensorBase out) except -1:
    cdef int typenum = cnp.PyArray_TYPE(out.a)
    if typenum == cnp.NPY_FLOAT:
        return PYDL_RANDOM_F32
    if typenum == cnp.NPY_DOUBLE:
        return PYDL_RANDOM_F64
    raise TypeError(f"{name}: float32 or float64 is needed, not {out.a.dtype}")


def philox(tuple counter not None, tuple key not None) -> tuple[int, int, int, int]:
    """Philox4x32-10 of a counter of four words and a key of two."""
    cdef uint32_t c[4]
    cdef uint32_t k[2]
    cdef uint32_t out[4]
    c[0], c[1], c[2], c[3] = counter
    k[0], k[1] = key
    pydl_philox(c, k, out)
    return out[0], out[1], out[2], out[3]


def philox_uniform(TensorBase out not None, key, offset, double low, double high) -> int:
    """Uniform numbers of [low, high): 24 random bits in float32, 53 in float64."""
    cdef Draw d
    d.law, d.a, d.b = UNIFORM, low, high
    return fill("uniform_", &d, out, key, offset, elements_per_counter("uniform_", out), NS_UNIFORM)


def philox_normal(TensorBase out not None, key, offset, double mean, double std) -> int:
    """mean + std z with standard normal z."""
    cdef Draw d
    d.law, d.a, d.b = NORMAL, mean, std
    return fill("normal_", &d, out, key, offset, elements_per_counter("normal_", out), NS_NORMAL)


def philox_randint(TensorBase out not None, key, offset, int64_t low, int64_t high) -> int:
    """Integers of [low, high), each equally likely, into an int64 tensor."""
    cdef Draw d
    if cnp.PyArray_TYPE(out.a) != cnp.NPY_INT64:
        raise TypeError(f"randint: int64 is needed, not {out.a.dtype}")
    if low >= high:
        raise ValueError(f"randint: low must be below high, not {low} and {high}")
    d.law, d.low, d.high = INTEGERS, low, high
    return fill("randint", &d, out, key, offset, PYDL_RANDOM_I64, NS_UNIFORM)


def philox_mask(TensorBase out not None, key, offset, double p) -> int:
    """1 with probability p, else 0, into a bool or uint8 tensor."""
    cdef Draw d
    if cnp.PyArray_TYPE(out.a) != cnp.NPY_BOOL and cnp.PyArray_TYPE(out.a) != cnp.NPY_UINT8:
        raise TypeError(f"mask: bool or uint8 is needed, not {out.a.dtype}")
    if not 0 <= p <= 1:
        raise ValueError(f"mask: p must be between 0 and 1, not {p}")
    d.law, d.a = MASK, p
    return fill("mask", &d, out, key, offset, PYDL_RANDOM_MASK, NS_UNIFORM)


def philox_permutation(cnp.npy_intp n, key, offset) -> tuple[TensorBase, int]:
    """A random permutation of 0 ... n - 1 (int64) and the number of counters used."""
    cdef TensorBase out
    cdef uint64_t k = key, at = offset
    cdef int64_t* data
    cdef int64_t start
    if n < 0:
        raise ValueError(f"randperm: n must not be negative, not {n}")
    out = new(1, &n, cnp.NPY_INT64)
    data = <int64_t*>cnp.PyArray_DATA(out.a)
    start = tick()
    with nogil:
        pydl_random_permutation(data, n, k, at)
    tock(start)
    return out, n // 2
