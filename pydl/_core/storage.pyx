# SPDX-License-Identifier: BSD-3-Clause
"""The caching pool and the Storage class.

A fresh 32 MB block costs 15 ms in page faults, a used one nothing, so blocks are kept. Small ones are rounded up to four classes an
octave (at most 25 % lost), with a list of free blocks each; large ones are cut from segments on huge pages (arena). Everything here
runs under the interpreter lock, so a block may be freed by another thread than the one that took it.
"""

import os

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport SIZE_MAX

cimport numpy as cnp

cnp.import_array()

from pydl._core.arena cimport (
    N_CLASSES, SMALLEST, chunk_bytes, class_of, free_bytes, give_chunk, mapped_bytes, owns, release_chunks, take_chunk,
)

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(_WIN32)
    #include <malloc.h>
    static void *pydl_aligned(size_t align, size_t n) { return _aligned_malloc(n, align); }
    static void pydl_aligned_free(void *p) { _aligned_free(p); }
    #else
    static void *pydl_aligned(size_t align, size_t n) { void *p; return posix_memalign(&p, align, n) ? NULL : p; }
    static void pydl_aligned_free(void *p) { free(p); }
    #endif
    #if defined(__GLIBC__)
    #include <malloc.h>
    #define PYDL_TRIM() malloc_trim(0)    /* or what was freed stays the process's below the first block that is in use */
    #else
    #define PYDL_TRIM() ((void)0)
    #endif
    """
    void* pydl_aligned(size_t align, size_t n) nogil
    void pydl_aligned_free(void* p) nogil
    void PYDL_TRIM() nogil

cdef extern from *:
    """
    #define pydl_array_base(a) PyArray_BASE(a)
    #define pydl_has_weakrefs(a) (((PyArrayObject_fields *)(a))->weakreflist != NULL)
    """
    PyObject* pydl_array_base(cnp.ndarray a) noexcept
    bint pydl_has_weakrefs(cnp.ndarray a) noexcept

cdef enum:
    FOREIGN = -1
    LARGE = 32768           # bytes from which a block is the arena's
    ARENA = 240             # the class of those

cdef struct FreeBlock:
    FreeBlock* next

cdef FreeBlock* free_blocks[N_CLASSES]
cdef size_t in_use = 0, cached = 0, cap = SIZE_MAX, live = 0
cdef size_t n_hits = 0, n_misses = 0, n_allocations = 0, fail_at = 0
cdef bint pooling = True


cdef inline size_t class_bytes(int size_class) noexcept nogil:
    return (<size_t>SMALLEST << (size_class >> 2)) + (size_class & 3) * (<size_t>(SMALLEST >> 2) << (size_class >> 2))


cdef inline bint may_keep(size_t size) noexcept:
    """Whether the cap lets so many bytes more be cached."""
    return cap == SIZE_MAX or cached + free_bytes() + size <= cap


cdef inline int count_allocation(size_t n_bytes) except -1:
    global n_allocations
    n_allocations += 1
    if fail_at and n_allocations == fail_at:
        raise MemoryError(f"allocation {n_allocations} of {n_bytes} bytes was told to fail")
    return 0


cdef void* fresh_block(size_t n_bytes, size_t size, int* size_class, bint* reused) noexcept:
    """From the arena or, small or without the pool, from the C library; NULL if there is no memory."""
    size_class[0] = class_of(n_bytes)
    reused[0] = False
    if n_bytes < LARGE or not pooling:
        return pydl_aligned(64, size)
    size_class[0] = ARENA
    return take_chunk(n_bytes, reused)


cdef void* take(size_t n_bytes, int* size_class) except NULL:
    """A block of at least n_bytes and its class."""
    global n_hits, n_misses, in_use, cached, live
    cdef int c
    cdef size_t size
    cdef bint reused = True
    cdef void* block
    count_allocation(n_bytes)
    if n_bytes > SIZE_MAX // 4:
        raise MemoryError(f"cannot allocate {n_bytes} bytes")
    c = class_of(n_bytes)
    size = class_bytes(c)
    block = free_blocks[c]
    if block != NULL:
        free_blocks[c] = (<FreeBlock*>block).next
        cached -= size
    else:
        block = fresh_block(n_bytes, size, &c, &reused)
        if block == NULL and cached + free_bytes():
            empty_cache()
            block = fresh_block(n_bytes, size, &c, &reused)
        if block == NULL:
            raise MemoryError(f"cannot allocate {n_bytes} bytes ({in_use} in use by pydl)")
        if c == ARENA:
            size = chunk_bytes(block)
    n_hits += reused
    n_misses += not reused
    in_use += size
    live += 1
    size_class[0] = c
    return block


cdef void give(void* block, int size_class) noexcept:
    global in_use, cached, live
    cdef size_t size = chunk_bytes(block) if size_class == ARENA else class_bytes(size_class)
    cdef bint keep = pooling and may_keep(size)
    in_use -= size
    live -= 1
    if size_class == ARENA:
        give_chunk(block, keep)
    elif keep and size <= LARGE:
        (<FreeBlock*>block).next = free_blocks[size_class]
        free_blocks[size_class] = <FreeBlock*>block
        cached += size
    else:
        pydl_aligned_free(block)


cdef void* scratch(size_t n_bytes) except NULL:
    cdef int c
    return take(n_bytes, &c)


cdef void scratch_free(void* block, size_t n_bytes) noexcept:
    # The pool may have been switched on or off since, so a large block is asked where it comes from.
    give(block, ARENA if n_bytes >= LARGE and owns(block) else class_of(n_bytes))


@cython.final
@cython.no_gc
@cython.freelist(256)
cdef class Storage:
    """A block of memory, its owner and a version counter that every in-place change raises."""

    def __dealloc__(self):
        if self.size_class >= 0 and self.data != NULL:    # NULL: made by hand, or the allocation failed
            give(self.data, self.size_class)


cdef size_t size_of_type(int typenum):
    return cnp.PyDataType_ELSIZE(cnp.PyArray_DescrFromType(typenum))


# Small arrays are kept whole, block, storage and ndarray, by shape: making the three anew costs 700 instructions, ten times as
# much as adding 16 numbers. One place has arrays of one shape; another shape with the same number drives them out.
cdef enum:
    N_PLACES = 64
    PLACE_ROOM = 8
    MAX_KEPT_BYTES = 4096
    MAX_KEPT_NDIM = 4

cdef struct Place:
    int n, ndim, typenum
    cnp.npy_intp shape[MAX_KEPT_NDIM]
    PyObject* arrays[PLACE_ROOM]

cdef Place places[N_PLACES]


cdef inline Place* place_of(int ndim, const cnp.npy_intp* shape, int typenum) noexcept:
    cdef size_t h = <size_t>(typenum + 8 * ndim)
    cdef int i
    for i in range(ndim):
        h = 31 * h + <size_t>shape[i]
    return &places[h % N_PLACES]


cdef inline bint fits(const Place* place, int ndim, const cnp.npy_intp* shape, int typenum) noexcept:
    cdef int i
    if place.ndim != ndim or place.typenum != typenum:
        return False
    for i in range(ndim):
        if place.shape[i] != shape[i]:
            return False
    return True


cdef void empty_place(Place* place) noexcept:
    """Drops the arrays; their blocks go back to the lists of free blocks."""
    global in_use, cached, live
    cdef size_t size
    while place.n:
        place.n -= 1
        size = class_bytes((<Storage>cnp.get_array_base(<cnp.ndarray>place.arrays[place.n])).size_class)
        cached -= size
        in_use += size
        live += 1
        Py_DECREF(<object>place.arrays[place.n])


cdef void keep_array(cnp.ndarray a, Storage s) noexcept:
    global in_use, cached, live
    cdef Place* place
    cdef size_t size
    cdef int ndim = cnp.PyArray_NDIM(a), typenum = cnp.PyArray_TYPE(a), i
    if (s.size_class < 0 or s.n_bytes > MAX_KEPT_BYTES or ndim > MAX_KEPT_NDIM or <size_t>cnp.PyArray_NBYTES(a) != s.n_bytes
            or cnp.PyArray_DATA(a) != s.data or (cnp.PyArray_FLAGS(a) & cnp.NPY_ARRAY_CARRAY) != cnp.NPY_ARRAY_CARRAY
            or pydl_array_base(a) != <PyObject*>s or s.owner is not None or pydl_has_weakrefs(a) or not pooling):
        return
    size = class_bytes(s.size_class)
    if not may_keep(size):
        return
    place = place_of(ndim, cnp.PyArray_DIMS(a), typenum)
    if not fits(place, ndim, cnp.PyArray_DIMS(a), typenum):
        empty_place(place)
        place.ndim = ndim
        place.typenum = typenum
        for i in range(ndim):
            place.shape[i] = cnp.PyArray_DIMS(a)[i]
    if place.n == PLACE_ROOM:
        return
    Py_INCREF(a)
    place.arrays[place.n] = <PyObject*>a
    place.n += 1
    in_use -= size
    cached += size
    live -= 1


cdef inline cnp.ndarray kept_array(int ndim, const cnp.npy_intp* shape, int typenum):
    """One that was kept, or None."""
    global in_use, cached, live, n_hits, n_allocations
    cdef Place* place = place_of(ndim, shape, typenum)
    cdef cnp.ndarray a
    cdef Storage s
    cdef size_t size
    if place.n == 0 or not fits(place, ndim, shape, typenum):
        return None
    count_allocation(0)
    place.n -= 1
    a = <cnp.ndarray>place.arrays[place.n]
    Py_DECREF(a)
    s = <Storage>cnp.get_array_base(a)
    s.version = 0
    size = class_bytes(s.size_class)
    in_use += size
    cached -= size
    live += 1
    n_hits += 1
    return a


cdef cnp.ndarray new_array(int ndim, const cnp.npy_intp* shape, int typenum):
    cdef size_t n_bytes = 4 if typenum == cnp.NPY_FLOAT else 8 if typenum == cnp.NPY_DOUBLE else size_of_type(typenum)
    cdef bint empty = False
    cdef int i
    cdef Storage s
    cdef cnp.ndarray a
    if ndim <= MAX_KEPT_NDIM:
        a = kept_array(ndim, shape, typenum)
        if a is not None:
            return a
    for i in range(ndim):
        if shape[i] < 0:
            raise ValueError(f"negative size {shape[i]} in dimension {i}")
        if shape[i] == 0:
            empty = True
        elif n_bytes > (SIZE_MAX >> 2) // <size_t>shape[i]:
            raise MemoryError(f"a tensor of shape {tuple([shape[i] for i in range(ndim)])} does not fit the address space")
        else:
            n_bytes *= shape[i]
    s = Storage.__new__(Storage)
    s.size_class = FOREIGN
    s.data = take(0 if empty else n_bytes, &s.size_class)
    s.n_bytes = 0 if empty else n_bytes
    a = cnp.PyArray_SimpleNewFromData(ndim, <cnp.npy_intp*>shape, typenum, s.data)
    cnp.set_array_base(a, s)
    return a


cdef Storage storage_of(cnp.ndarray a):
    cdef object base = a
    cdef Storage s
    while isinstance(base, cnp.ndarray):
        a = <cnp.ndarray>base
        base = cnp.get_array_base(a)
    if isinstance(base, Storage):
        return <Storage>base
    s = Storage.__new__(Storage)
    s.size_class = FOREIGN
    s.data = cnp.PyArray_DATA(a)
    s.n_bytes = cnp.PyArray_NBYTES(a)
    s.owner = a
    return s


def empty_cache() -> None:
    """Gives all cached blocks back to the operating system."""
    global cached
    cdef FreeBlock* block
    cdef int c
    for c in range(N_PLACES):
        empty_place(&places[c])
    for c in range(N_CLASSES):
        while free_blocks[c] != NULL:
            block = free_blocks[c]
            free_blocks[c] = block.next
            cached -= class_bytes(c)
            pydl_aligned_free(block)
    release_chunks()
    PYDL_TRIM()


def stats() -> dict[str, int]:
    """Counters of the pool: bytes in use, cached, and mapped for large blocks with what was never touched; live blocks; hits, and
    misses, which took memory that had not been in use, since the start."""
    return {"bytes_in_use": in_use, "bytes_cached": cached + free_bytes(), "bytes_mapped": mapped_bytes(), "blocks_live": live,
            "hits": n_hits, "misses": n_misses, "allocations": n_allocations}


def set_cap(n_bytes: int | None) -> None:
    """Bounds the cached bytes (None: no bound); what is cached already above it is given back."""
    global cap
    if n_bytes is not None and n_bytes < 0:
        raise ValueError(f"set_cap: n_bytes must not be negative, not {n_bytes}")
    cap = SIZE_MAX if n_bytes is None else <size_t>n_bytes
    if cached + free_bytes() > cap:
        empty_cache()


def set_pooling(on: bool) -> None:
    """Switches the cache on or off (off: every block is freed at once, for sanitizers)."""
    global pooling
    pooling = on
    if not on:
        empty_cache()


def is_pooling() -> bool:
    """Whether freed blocks are kept."""
    return pooling


def fail_allocation_at(n: int) -> None:
    """Lets the n-th allocation from now on raise MemoryError (0: none), for tests of failure."""
    global fail_at
    if n < 0:
        raise ValueError(f"fail_allocation_at: n must not be negative, not {n}")
    fail_at = n_allocations + <size_t>n if n else 0


def _configure():
    set_pooling(os.environ.get("PYDL_POOL", "1") != "0")
    at = os.environ.get("PYDL_FAIL_ALLOC_AT", "0")
    if not at.isdecimal():
        raise ValueError(f"PYDL_FAIL_ALLOC_AT={at}: expected a whole number")
    fail_allocation_at(int(at))
    bound = os.environ.get("PYDL_POOL_CAP", "")
    if bound:
        if not bound.isdecimal():
            raise ValueError(f"PYDL_POOL_CAP={bound}: expected a number of bytes")
        set_cap(int(bound))


_configure()
