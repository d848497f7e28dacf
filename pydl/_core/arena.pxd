# SPDX-License-Identifier: BSD-3-Clause
"""Large blocks, for storage: cut to measure from segments, and grown together again when they are given back."""

cdef enum:
    SMALLEST = 64
    N_CLASSES = 240

# A block of at least n_bytes at a multiple of 64, or NULL. `reused`: whether all of it is memory that has been in use before.
cdef void* take_chunk(size_t n_bytes, bint* reused) noexcept
# Takes it back; what is not to be kept goes to the operating system.
cdef void give_chunk(void* block, bint keep) noexcept

# Gives all that is free to the operating system.
cdef void release_chunks() noexcept

cdef bint owns(const void* block) noexcept
cdef size_t chunk_bytes(const void* block) noexcept
cdef size_t free_bytes() noexcept
# Of all segments, with what has never been touched.
cdef size_t mapped_bytes() noexcept


cdef inline int class_of(size_t n_bytes) noexcept nogil:
    """Four classes an octave: 64, 80, 96, 112, 128, 160, ... bytes."""
    cdef int octave = 0
    cdef size_t top = n_bytes - 1 if n_bytes > SMALLEST else SMALLEST - 1
    while (top >> octave) > 127:
        octave += 1
    cdef size_t quarter = <size_t>SMALLEST << octave
    if n_bytes <= SMALLEST:
        return 0
    return 4 * octave + <int>((n_bytes - quarter + (quarter >> 2) - 1) // (quarter >> 2))
