# SPDX-License-Identifier: BSD-3-Clause
"""Large blocks: segments of memory, cut to measure, that grow together again.

A list of free blocks for each size would keep what every size ever needed at once: with batches of many sizes 480 MB for a
ResNet-20 whose largest step needs 110. So the smallest free chunk that is large enough is cut, the lowest of these in memory; the
end of a segment, behind which memory may be that was never touched, only if no other chunk will do, the oldest segment's first;
and what is given back joins its free neighbors. So the place of a block follows from which chunks are in use, and from nothing
else: a training step that begins with the same ones in use as the step before it takes the same memory.
"""

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #define PYDL_HUGE_PAGE ((size_t)2097152)
    #if defined(_WIN32)
    #include <malloc.h>
    static void *pydl_map(size_t n) { return _aligned_malloc(n, PYDL_HUGE_PAGE); }
    static void pydl_unmap(void *p, size_t n) { (void)n; _aligned_free(p); }
    static int pydl_discard(char *p, size_t n) { (void)p; (void)n; return 0; }
    #else
    #include <sys/mman.h>
    #include <unistd.h>
    #ifndef MAP_ANONYMOUS
    #define MAP_ANONYMOUS MAP_ANON
    #endif
    static void *pydl_map(size_t n) {
        char *p = mmap(NULL, n + PYDL_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        size_t skip;
        if ((void *)p == MAP_FAILED) return NULL;
        skip = (size_t)(-(uintptr_t)p) & (PYDL_HUGE_PAGE - 1);
        if (skip) munmap(p, skip);
        munmap(p + skip + n, PYDL_HUGE_PAGE - skip);
    #if defined(MADV_HUGEPAGE)
        madvise(p + skip, n, MADV_HUGEPAGE);
    #endif
        return p + skip;
    }
    static void pydl_unmap(void *p, size_t n) { munmap(p, n); }
    /* Gives the whole pages of n bytes at p back; whether that can be done here. */
    static int pydl_discard(char *p, size_t n) {
    #if defined(__linux__)
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)p + page - 1) & ~(page - 1);
        uintptr_t to = ((uintptr_t)p + n) & ~(page - 1);
        return to <= from || madvise((void *)from, to - from, MADV_DONTNEED) == 0;
    #else
        (void)p; (void)n;
        return 0;
    #endif
    }
    #endif
    """
    void* pydl_map(size_t n) nogil
    void pydl_unmap(void* p, size_t n) nogil
    bint pydl_discard(char* p, size_t n) nogil

cdef enum:
    HUGE_PAGE = 2097152
    HEAD = 64         # before each block, and at the beginning of a segment
    SEGMENT = 33554432
    REST = 4096       # less than this is not worth a chunk

# What stands before a block, which begins HEAD bytes behind it.
cdef struct Chunk:
    size_t n_bytes      # with HEAD
    size_t n_fresh      # of a free one, counted at its end: never touched, or given back to the system
    Chunk* before       # the neighbors in memory; NULL at a segment's ends
    Chunk* after
    Chunk* smaller      # the neighbors in its list
    Chunk* larger
    Segment* segment
    bint is_free

# At the beginning of the memory it describes.
cdef struct Segment:
    Segment* newer
    Chunk* last
    size_t n_bytes

cdef Segment* segments = NULL         # the oldest first
cdef Chunk* lists[N_CLASSES]          # free chunks but the last of segments; the smallest first, the lowest in memory first
cdef size_t n_free = 0, n_mapped = 0  # n_free: without what is fresh


cdef void enter(Chunk* c) noexcept:
    """c is free."""
    global n_free
    cdef int size_class = class_of(c.n_bytes)
    cdef Chunk* smaller = NULL
    cdef Chunk* larger = lists[size_class]
    c.is_free = True
    n_free += c.n_bytes - c.n_fresh
    if c.after == NULL:
        return
    while larger != NULL and (larger.n_bytes < c.n_bytes or (larger.n_bytes == c.n_bytes and larger < c)):
        smaller = larger
        larger = larger.larger
    c.smaller, c.larger = smaller, larger
    if larger != NULL:
        larger.smaller = c
    if smaller != NULL:
        smaller.larger = c
    else:
        lists[size_class] = c


cdef void leave(Chunk* c) noexcept:
    """c is free no more."""
    global n_free
    c.is_free = False
    n_free -= c.n_bytes - c.n_fresh
    if c.after == NULL:
        return
    if c.larger != NULL:
        c.larger.smaller = c.smaller
    if c.smaller != NULL:
        c.smaller.larger = c.larger
    else:
        lists[class_of(c.n_bytes)] = c.larger


cdef void swallow_next(Chunk* c) noexcept:
    """The chunk behind c becomes a part of it; neither is entered."""
    cdef Chunk* next = c.after
    c.n_bytes += next.n_bytes
    c.n_fresh += next.n_fresh
    c.after = next.after
    if next.after != NULL:
        next.after.before = c
    else:
        c.segment.last = c


cdef Chunk* joined(Chunk* c) noexcept:
    """c, not entered, with its free neighbors."""
    cdef Chunk* before = c.before
    if c.after != NULL and c.after.is_free:
        leave(c.after)
        swallow_next(c)
    if before != NULL and before.is_free:
        leave(before)
        swallow_next(before)
        return before
    return c


cdef Chunk* best(size_t n_bytes) noexcept:
    """The free chunk that a block with its HEAD is cut from, or NULL."""
    cdef int size_class
    cdef Chunk* c
    cdef Segment* s = segments
    for size_class in range(class_of(n_bytes), N_CLASSES):
        c = lists[size_class]
        while c != NULL and c.n_bytes < n_bytes:
            c = c.larger
        if c != NULL:
            return c
    while s != NULL:
        if s.last.is_free and s.last.n_bytes >= n_bytes:
            return s.last
        s = s.newer
    return NULL


cdef Chunk* new_segment(size_t n_bytes) noexcept:
    """A fresh chunk of at least n_bytes, not entered, or NULL."""
    global segments, n_mapped
    cdef size_t least = (n_bytes + HEAD + HUGE_PAGE - 1) // HUGE_PAGE * HUGE_PAGE
    cdef size_t n = max(least, <size_t>SEGMENT, n_mapped // 2 // HUGE_PAGE * HUGE_PAGE)
    cdef Segment* s = <Segment*>pydl_map(n)
    cdef Segment* newest = segments
    cdef Chunk* c
    if s == NULL and n > least:
        n = least
        s = <Segment*>pydl_map(n)
    if s == NULL:
        return NULL
    if newest == NULL:
        segments = s
    else:
        while newest.newer != NULL:
            newest = newest.newer
        newest.newer = s
    n_mapped += n
    c = <Chunk*>(<char*>s + HEAD)
    s.newer, s.n_bytes, s.last = NULL, n, c
    c.n_bytes = c.n_fresh = n - HEAD
    c.before, c.after, c.segment, c.is_free = NULL, NULL, s, False
    return c


cdef void cut(Chunk* c, size_t n_bytes) noexcept:
    """What is behind the first n_bytes of c, if that is worth it, becomes a free chunk of its own."""
    cdef Chunk* rest = <Chunk*>(<char*>c + n_bytes)
    if c.n_bytes < n_bytes + REST:
        return
    rest.n_bytes, rest.before, rest.after, rest.segment = c.n_bytes - n_bytes, c, c.after, c.segment
    rest.n_fresh = min(c.n_fresh, rest.n_bytes)
    if c.after != NULL:
        c.after.before = rest
    else:
        c.segment.last = rest
    c.n_bytes, c.n_fresh, c.after = n_bytes, c.n_fresh - rest.n_fresh, rest
    enter(rest)


cdef void* take_chunk(size_t n_bytes, bint* reused) noexcept:
    cdef size_t n = (n_bytes + HEAD + 63) // 64 * 64
    cdef Chunk* c = best(n)
    if c != NULL:
        leave(c)
    else:
        c = new_segment(n)
        if c == NULL:
            return NULL
    cut(c, n)
    reused[0] = c.n_fresh == 0
    c.n_fresh = 0
    return <char*>c + HEAD


cdef void unmap(Segment* s) noexcept:
    global segments, n_mapped
    cdef Segment* older = segments
    if s == segments:
        segments = s.newer
    else:
        while older.newer != s:
            older = older.newer
        older.newer = s.newer
    n_mapped -= s.n_bytes
    pydl_unmap(s, s.n_bytes)


cdef void release(Chunk* c) noexcept:
    """Gives the memory of c, not entered and with no free neighbor, back to the system."""
    if c.before == NULL and c.after == NULL:
        unmap(c.segment)
        return
    if pydl_discard(<char*>c + HEAD, c.n_bytes - HEAD):
        c.n_fresh = c.n_bytes
    enter(c)


cdef void give_chunk(void* block, bint keep) noexcept:
    cdef Chunk* c = joined(<Chunk*>(<char*>block - HEAD))
    if keep:
        enter(c)
    else:
        release(c)


cdef void release_chunks() noexcept:
    cdef int size_class
    cdef Chunk* c
    cdef Chunk* all_free = NULL
    cdef Segment* s = segments
    for size_class in range(N_CLASSES):
        while lists[size_class] != NULL:
            c = lists[size_class]
            leave(c)
            c.larger = all_free
            all_free = c
    while s != NULL:
        if s.last.is_free:
            leave(s.last)
            s.last.larger = all_free
            all_free = s.last
        s = s.newer
    while all_free != NULL:
        c = all_free
        all_free = c.larger
        release(c)


cdef bint owns(const void* block) noexcept:
    cdef Segment* s = segments
    while s != NULL:
        if <char*>s <= <char*>block < <char*>s + s.n_bytes:
            return True
        s = s.newer
    return False


cdef size_t chunk_bytes(const void* block) noexcept:
    return (<Chunk*>(<char*>block - HEAD)).n_bytes


cdef size_t free_bytes() noexcept:
    return n_free


cdef size_t mapped_bytes() noexcept:
    return n_mapped
