# SPDX-License-Identifier: BSD-3-Clause
"""Memory: the caching pool, the Storage that owns a block, and arrays on top of it."""

from libc.stddef cimport size_t
cimport numpy as cnp

cdef class Storage:
    cdef void* data
    cdef size_t n_bytes
    cdef int size_class     # of the pool's block; FOREIGN when the memory is somebody else's
    cdef unsigned int version
    cdef object owner       # keeps other memory alive

# A fresh, uninitialised, C-contiguous array on a block of the pool. MemoryError; ValueError when the size overflows.
cdef cnp.ndarray new_array(int ndim, const cnp.npy_intp* shape, int typenum)

# Keeps a small array with its storage for the next new_array of its shape; nobody but a dying tensor may hold them.
cdef void keep_array(cnp.ndarray a, Storage s) noexcept

# The Storage behind an array: its own, or a new one that keeps foreign memory alive.
cdef Storage storage_of(cnp.ndarray a)

# Scratch memory for a kernel; both need the interpreter lock.
cdef void* scratch(size_t n_bytes) except NULL
cdef void scratch_free(void* block, size_t n_bytes) noexcept
