# SPDX-License-Identifier: BSD-3-Clause
"""Connectionist temporal classification, forward and backward. Nothing is recorded.

A sequence is one thread's: the bits do not depend on how many there are. Every number is checked before a kernel runs.
"""

from libc.math cimport isfinite
from libc.stddef cimport size_t
from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory
from pydl._core.kernels cimport pydl_kernels, run_uneven_pieces, table
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64, is_float, new

from pydl._core.errors import IndexRangeError, ShapeError

cdef extern from "ctc_kernels.h" nogil:
    ctypedef struct pydl_ctc:
        double (*forward)(const void*, ptrdiff_t, ptrdiff_t, const int64_t*, ptrdiff_t, int64_t, void*, int, void*) noexcept nogil
        void (*backward)(const void*, ptrdiff_t, ptrdiff_t, const int64_t*, ptrdiff_t, int64_t, const void*, double, void*, ptrdiff_t,
                         void*) noexcept nogil

cnp.import_array()

cdef enum:
    ROOM = 8                  # elements of scratch for every state of a kind, more than either pass needs

cdef double NS_PER_STATE = 3.0


cdef struct Batch:
    const pydl_ctc* k
    void (*fill)(void*, ptrdiff_t, double, ptrdiff_t) noexcept nogil
    const char* lp                  # (T, N, C), contiguous
    ptrdiff_t T, N, C, itemsize
    const int64_t* labels           # sequence i has counts[i] of them from starts[i] on, and steps[i] steps
    const int64_t* starts
    const int64_t* counts
    const int64_t* steps
    int64_t blank
    int64_t* room_at                # where its scratch begins, and its rows, in elements
    int64_t* rows_at
    char* room
    char* rows                      # NULL: not kept
    double* log_likelihood
    const double* g                 # NULL in the forward pass; where log_likelihood is not finite: what dlp is filled with
    char* dlp
    double work


cdef void run_one(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Batch* p = <const Batch*>job
    cdef const char* lp = p.lp + i * p.C * p.itemsize
    cdef const int64_t* labels = p.labels + p.starts[i]
    cdef char* room = p.room + p.room_at[i] * p.itemsize
    cdef char* rows = room + p.itemsize * (ROOM // 2) * (p.counts[i] + 1)
    cdef char* d
    cdef ptrdiff_t t
    if p.rows != NULL:
        rows = p.rows + p.rows_at[i] * p.itemsize
    if p.g == NULL:
        p.log_likelihood[i] = p.k.forward(lp, p.N * p.C, p.steps[i], labels, p.counts[i], p.blank, rows, p.rows != NULL, room)
        return
    d = p.dlp + i * p.C * p.itemsize
    for t in range(p.T):
        memset(d + t * p.N * p.C * p.itemsize, 0, p.C * p.itemsize)
    if isfinite(p.log_likelihood[i]):
        if p.steps[i]:
            p.k.backward(lp, p.N * p.C, p.steps[i], labels, p.counts[i], p.blank, rows, p.g[i], d, p.N * p.C, room)
    else:
        for t in range(p.steps[i]):
            p.fill(d + t * p.N * p.C * p.itemsize, 1, p.g[i], p.C)


cdef const int64_t* numbers(str name, cnp.ndarray a, ptrdiff_t n) except NULL:
    """The data of n numbers (-1: any count)."""
    if cnp.PyArray_TYPE(a) != cnp.NPY_INT64 or cnp.PyArray_NDIM(a) != 1 or not cnp.PyArray_IS_C_CONTIGUOUS(a) or (
            n >= 0 and cnp.PyArray_SIZE(a) != n):
        raise ShapeError(f"ctc_loss: {name} must be a contiguous vector of int64, one for each of {n} sequences, not "
                         f"{(<object>a).shape} {a.dtype}")
    return <const int64_t*>cnp.PyArray_DATA(a)


cdef double* doubles(cnp.ndarray a, ptrdiff_t n) except NULL:
    if cnp.PyArray_TYPE(a) != cnp.NPY_DOUBLE or cnp.PyArray_NDIM(a) != 1 or not cnp.PyArray_IS_C_CONTIGUOUS(a) or cnp.PyArray_SIZE(a) != n:
        raise ShapeError(f"ctc_loss: a vector of {n} numbers in float64 is needed, not {(<object>a).shape} {a.dtype}")
    return <double*>cnp.PyArray_DATA(a)


cdef int check_sequences(const Batch* p, const pydl_kernels* k, ptrdiff_t n_labels) except -1:
    cdef ptrdiff_t i, bad
    if not 0 <= p.blank < p.C:
        raise IndexRangeError(f"ctc_loss: blank {p.blank} is out of range: there are {p.C} classes")
    for i in range(p.N):
        if not 0 <= p.steps[i] <= p.T:
            raise IndexRangeError(f"ctc_loss: input length {p.steps[i]} of sequence {i} is out of range: there are {p.T} steps")
        if p.counts[i] < 0 or p.starts[i] < 0 or p.starts[i] > n_labels or p.counts[i] > n_labels - p.starts[i]:
            raise IndexRangeError(f"ctc_loss: {p.counts[i]} labels of sequence {i} from {p.starts[i]} on are out of range: there are "
                                  f"{n_labels}")
        bad = k.softmax.target_check(p.labels + p.starts[i], 1, p.counts[i], p.C, p.blank)
        if bad >= 0:
            raise IndexRangeError(f"ctc_loss: Target {p.labels[p.starts[i] + bad]} is out of bounds: label {bad} of sequence {i}, "
                                  f"{p.C} classes")
    return 0


cdef TensorBase start_batch(Batch* p, TensorBase lp, cnp.ndarray labels, cnp.ndarray starts, cnp.ndarray counts, cnp.ndarray steps,
                            int64_t blank):
    """Fills everything but rows, room and results; returns the tensor whose memory p.lp is."""
    cdef TensorBase dense
    if not is_float(lp):
        raise NotImplementedError(f"ctc_loss: not implemented for {lp.a.dtype}")
    if cnp.PyArray_NDIM(lp.a) != 3 or cnp.PyArray_SIZE(lp.a) == 0:
        raise ShapeError(f"ctc_loss: log_probs must be (T, N, C) and not empty, not {(<object>lp.a).shape}")
    dense = contiguous_memory(lp)
    memset(p, 0, sizeof(Batch))
    p.T, p.N, p.C = cnp.PyArray_DIMS(lp.a)[0], cnp.PyArray_DIMS(lp.a)[1], cnp.PyArray_DIMS(lp.a)[2]
    p.k, p.fill = <const pydl_ctc*>table(is_f64(lp)).ctc, table(is_f64(lp)).eltwise.fill
    p.itemsize = cnp.PyArray_ITEMSIZE(lp.a)
    p.lp = cnp.PyArray_BYTES(dense.a)
    p.labels = numbers("labels", labels, -1)
    p.starts, p.counts, p.steps = numbers("starts", starts, p.N), numbers("counts", counts, p.N), numbers("steps", steps, p.N)
    p.blank = blank
    check_sequences(p, table(is_f64(lp)), cnp.PyArray_SIZE(labels))
    return dense


cdef cnp.ndarray places(Batch* p):
    """(2, N + 1): where the scratch and the rows of each sequence begin, and behind the last one how much there is."""
    cdef cnp.npy_intp shape[2]
    cdef cnp.ndarray at
    cdef double states = 0
    cdef ptrdiff_t i
    shape[0], shape[1] = 2, p.N + 1
    at = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INT64, 0)
    p.room_at = <int64_t*>cnp.PyArray_DATA(at)
    p.rows_at = p.room_at + p.N + 1
    p.room_at[0] = p.rows_at[0] = 0
    for i in range(p.N):
        states += 2.0 * (<double>p.counts[i] + 1) * <double>(p.steps[i] + ROOM)
        if states > 1e17:
            raise MemoryError(f"ctc_loss: about {states:.1e} states of {p.N} sequences are too many")
        p.room_at[i + 1] = p.room_at[i] + ROOM * (p.counts[i] + 1)
        p.rows_at[i + 1] = p.rows_at[i] + 2 * (p.counts[i] + 1) * p.steps[i]
    p.work = states * NS_PER_STATE
    return at


def ctc_fwd(TensorBase lp not None, cnp.ndarray labels not None, cnp.ndarray starts not None, cnp.ndarray counts not None,
            cnp.ndarray steps not None, int64_t blank, bint keep) -> tuple:
    """(log-likelihoods (N,) in float64, rows for the backward pass or None) of log-probabilities (T, N, C).

    Sequence i has the labels[starts[i]:starts[i] + counts[i]] and steps[i] steps. IndexError names what is out of range."""
    cdef Batch p
    cdef TensorBase _dense = start_batch(&p, lp, labels, starts, counts, steps, blank), rows = None
    cdef cnp.ndarray _at = places(&p), result
    cdef cnp.npy_intp size = p.rows_at[p.N], n = p.N
    cdef size_t n_bytes = p.room_at[p.N] * p.itemsize
    result = cnp.PyArray_EMPTY(1, &n, cnp.NPY_DOUBLE, 0)
    p.log_likelihood = <double*>cnp.PyArray_DATA(result)
    if keep:
        rows = new(1, &size, cnp.PyArray_TYPE(lp.a))
        p.rows = cnp.PyArray_BYTES(rows.a)
    p.room = <char*>scratch(n_bytes)
    run_uneven_pieces(run_one, &p, p.N, p.work)      # sequences differ in length
    scratch_free(p.room, n_bytes)
    return result, rows


def ctc_bwd(TensorBase lp not None, TensorBase rows not None, cnp.ndarray log_likelihood not None, cnp.ndarray labels not None,
            cnp.ndarray starts not None, cnp.ndarray counts not None, cnp.ndarray steps not None, int64_t blank,
            cnp.ndarray g not None) -> TensorBase:
    """dlp (T, N, C) = -g[i] * (probability that a path of sequence i is in a state of the class); 0 behind its last step.

    Where the log-likelihood is not finite, g[i] itself in all classes."""
    cdef Batch p
    cdef TensorBase _dense = start_batch(&p, lp, labels, starts, counts, steps, blank), dlp
    cdef cnp.ndarray _at = places(&p)
    cdef size_t n_bytes = p.room_at[p.N] * p.itemsize
    if cnp.PyArray_TYPE(rows.a) != cnp.PyArray_TYPE(lp.a) or cnp.PyArray_SIZE(rows.a) != p.rows_at[p.N]:
        raise ShapeError(f"ctc_loss: rows {(<object>rows.a).shape} {rows.a.dtype} are not those of a forward pass of these sequences")
    dlp = new(3, cnp.PyArray_DIMS(lp.a), cnp.PyArray_TYPE(lp.a))
    p.rows, p.dlp = cnp.PyArray_BYTES(rows.a), cnp.PyArray_BYTES(dlp.a)
    p.log_likelihood, p.g = doubles(log_likelihood, p.N), doubles(g, p.N)
    p.room = <char*>scratch(n_bytes)
    run_uneven_pieces(run_one, &p, p.N, p.work)      # sequences differ in length
    scratch_free(p.room, n_bytes)
    return dlp
