# SPDX-License-Identifier: BSD-3-Clause
"""Pooling: the kernels cut into rows of images. Nothing is recorded.

Channels-last memory is pooled as it is. Memory in C order is pooled as N·C images of one channel where a vector can hold
neighboring windows of a row, else it is put into channels-last order first. An element's bits are the same either way.
"""

from libc.stdint cimport int64_t
from libc.string cimport memset

cimport numpy as cnp

from pydl._core.formats cimport channels_last, contiguous_memory, is_channels_last, new_channels_last, wants_public
from pydl._core.kernels cimport run_pieces, table
from pydl._core.loops cimport MAX_DIMS
from pydl._core.pool_windows cimport Geometry, pydl_pool_geometry, pydl_windows
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, new

from pydl._core.errors import IndexRangeError, ShapeError

cnp.import_array()

cdef extern from "pool_kernels.h" nogil:
    ctypedef struct pydl_pool:
        void (*max_fwd)(const pydl_pool_geometry*, const void*, ptrdiff_t, void*, void*) noexcept nogil
        void (*max_bwd)(const pydl_pool_geometry*, const void*, const void*, ptrdiff_t, void*) noexcept nogil
        void (*max_scatter)(const pydl_pool_geometry*, const void*, const void*, void*) noexcept nogil
        void (*max_take)(const pydl_pool_geometry*, const void*, const void*, ptrdiff_t, void*) noexcept nogil
        void (*max_places)(const pydl_pool_geometry*, const void*, ptrdiff_t, int64_t*) noexcept nogil
        void (*max_whole)(const pydl_pool_geometry*, const void*, ptrdiff_t, void*, void*) noexcept nogil
        void (*avg_fwd)(const pydl_pool_geometry*, const void*, ptrdiff_t, void*) noexcept nogil
        void (*avg_bwd)(const pydl_pool_geometry*, const void*, ptrdiff_t, void*) noexcept nogil
        void (*avg_scatter)(const pydl_pool_geometry*, const void*, void*) noexcept nogil
        void (*avg_whole)(const pydl_pool_geometry*, const void*, ptrdiff_t, void*) noexcept nogil
        ptrdiff_t (*place_check)(const int64_t*, ptrdiff_t, int64_t) noexcept nogil
        void (*place_store)(const void*, const int64_t*, ptrdiff_t, void*) noexcept nogil
        void (*place_add)(const void*, const int64_t*, ptrdiff_t, void*) noexcept nogil
        void (*place_take)(const void*, const int64_t*, ptrdiff_t, void*) noexcept nogil

cdef enum:
    MAX_FWD, MAX_BWD, MAX_SCATTER, MAX_TAKE, MAX_PLACES, MAX_WHOLE, AVG_FWD, AVG_BWD, AVG_SCATTER, AVG_WHOLE
    PLANES = 64           # that one task takes of those pooled whole

cdef double NS_PER_ELEMENT = 0.25     # of input and output together


# --- running ------------------------------------------------------------------------------------------------------

cdef struct Work:
    const pydl_pool* k
    pydl_pool_geometry g
    int kind
    ptrdiff_t n_images, n_rows   # tasks are rows of images
    const char* a                # x or dy
    char* index                  # NULL where none is wanted
    char* out
    ptrdiff_t a_image, index_image, out_image     # bytes of one image of each


cdef void run_planes_whole(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Work* p = <const Work*>job
    cdef ptrdiff_t first = i * PLANES, n = min(<ptrdiff_t>PLANES, p.n_images - first)
    cdef char* index = p.index + first * p.index_image if p.index != NULL else NULL
    if p.kind == MAX_WHOLE:
        p.k.max_whole(&p.g, p.a + first * p.a_image, n, p.out + first * p.out_image, index)
    else:
        p.k.avg_whole(&p.g, p.a + first * p.a_image, n, p.out + first * p.out_image)


cdef void run_row(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Work* p = <const Work*>job
    cdef ptrdiff_t image = i // p.n_rows, row = i % p.n_rows
    cdef const char* a = p.a + image * p.a_image
    cdef char* out = p.out + image * p.out_image
    cdef char* index = p.index + image * p.index_image if p.index != NULL else NULL
    if p.kind == MAX_FWD:
        p.k.max_fwd(&p.g, a, row, out, index)
    elif p.kind == MAX_BWD:
        p.k.max_bwd(&p.g, a, index, row, out)
    elif p.kind == MAX_SCATTER:
        p.k.max_scatter(&p.g, a, index, out)
    elif p.kind == MAX_TAKE:
        p.k.max_take(&p.g, a, index, row, out)
    elif p.kind == MAX_PLACES:
        p.k.max_places(&p.g, index, row, <int64_t*>out)
    elif p.kind == AVG_FWD:
        p.k.avg_fwd(&p.g, a, row, out)
    elif p.kind == AVG_BWD:
        p.k.avg_bwd(&p.g, a, row, out)
    else:
        p.k.avg_scatter(&p.g, a, out)


cdef void choose_kind(Work* p, bint f64) noexcept:
    """Kernels of one channel where they are better, and the rows of an image."""
    cdef const pydl_windows* w = &p.g.w
    cdef bint one = p.g.channels == 1, forward = p.kind == MAX_FWD or p.kind == AVG_FWD
    if p.kind == MAX_BWD or p.kind == AVG_BWD:
        p.n_rows = p.g.d.n_in * p.g.h.n_in
        if one and not (p.kind == AVG_BWD and rows_hold_vectors(w, table(f64).lanes)):
            p.kind = MAX_SCATTER if p.kind == MAX_BWD else AVG_SCATTER
            p.n_rows = 1             # a scatter runs over a whole plane
    else:
        p.n_rows = p.g.d.n_out * p.g.h.n_out
    if one and forward and is_whole(&p.g):
        p.kind = MAX_WHOLE if p.kind == MAX_FWD else AVG_WHOLE


cdef bint rows_hold_vectors(const pydl_windows* w, ptrdiff_t lanes) noexcept:
    """Whether a row of the input has a vector of elements in neighboring whole windows."""
    if not 1 <= w.stride <= 2 or w.dilation != 1 or w.kernel < w.stride:
        return False
    return w.full_hi - w.full_lo - (w.kernel + w.stride - 1) // w.stride + 1 >= lanes


cdef bint is_whole(const pydl_pool_geometry* g) noexcept:
    """Whether the only window is the whole image."""
    return spans(&g.d) and spans(&g.h) and spans(&g.w)


cdef bint spans(const pydl_windows* w) noexcept:
    return w.n_out == 1 and w.full_hi == 1 and w.kernel == w.n_in and w.dilation == 1


cdef void run(Work* p, TensorBase a, TensorBase index, TensorBase out, bint f64) noexcept:
    """Fills in what depends on the tensors, whose memory is in the order that set_work was told, and runs all rows."""
    cdef double work = <double>(cnp.PyArray_SIZE(a.a) + cnp.PyArray_SIZE(out.a)) * NS_PER_ELEMENT
    if p.n_images == 0 or cnp.PyArray_SIZE(out.a) == 0:
        return
    p.k = <const pydl_pool*>table(f64).pool
    p.a, p.a_image = cnp.PyArray_BYTES(a.a), cnp.PyArray_NBYTES(a.a) // p.n_images
    p.out, p.out_image = cnp.PyArray_BYTES(out.a), cnp.PyArray_NBYTES(out.a) // p.n_images
    p.index, p.index_image = NULL, 0
    if index is not None:
        p.index, p.index_image = cnp.PyArray_BYTES(index.a), cnp.PyArray_NBYTES(index.a) // p.n_images
    choose_kind(p, f64)
    if p.kind == MAX_WHOLE or p.kind == AVG_WHOLE:
        run_pieces(run_planes_whole, p, (p.n_images + PLANES - 1) // PLANES, work)
    else:
        run_pieces(run_row, p, p.n_images * p.n_rows, work)


cdef int check_images(str name, TensorBase x, tuple sizes) except -1:
    """x is (N, C, sizes...) of a floating-point type."""
    if not is_float(x):
        raise NotImplementedError(f"{name}: not implemented for {x.dtype}")
    if cnp.PyArray_NDIM(x.a) != len(sizes) + 2 or (<object>x.a).shape[2:] != sizes:
        raise ShapeError(f"{name}: x {(<object>x.a).shape} is not (N, C) + {sizes}")
    return 0


cdef bint pool_planes(TensorBase x, Geometry geometry) noexcept:
    """Whether to pool x as planes: it is in C order and vectors of windows, or of whole planes, can be computed there."""
    cdef const pydl_windows* w = &geometry.g.w
    if is_channels_last(x) or not is_contiguous(x):
        return False
    if is_whole(&geometry.g):
        return True
    return 1 <= w.stride <= 2 and w.full_hi - w.full_lo >= table(is_f64(x)).lanes


cdef TensorBase arranged(TensorBase x, bint planes):
    return contiguous_memory(x) if planes else channels_last(x)


cdef void set_work(Work* p, int kind, TensorBase x, Geometry geometry, bint planes) noexcept:
    """x gives N and C."""
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    p.kind, p.g, p.g.channels = kind, geometry.g, 1 if planes else shape[1]
    p.n_images = shape[0] * shape[1] if planes else shape[0]
    if shape[1] == 0:
        p.n_images = 0


cdef TensorBase new_images(TensorBase x, tuple sizes, int typenum, bint planes, bint own):
    """(N, C, sizes...) with x's N and C, in the order that `planes` says."""
    cdef cnp.npy_intp shape[MAX_DIMS]
    cdef int d, ndim = len(sizes) + 2
    shape[0], shape[1] = cnp.PyArray_DIMS(x.a)[0], cnp.PyArray_DIMS(x.a)[1]
    for d in range(2, ndim):
        shape[d] = sizes[d - 2]
    return new(ndim, shape, typenum) if planes else new_channels_last(ndim, shape, typenum, own)


# --- max ----------------------------------------------------------------------------------------------------------

cdef object maker = object()     # whoever has it may make Winners: kernels trust the numbers in them


cdef class Winners:
    """Which element of each window was the largest: what the backward pass of max pooling keeps. Only max_fwd makes one."""
    cdef TensorBase index        # numbers of elements in their windows, in the fewest bytes
    cdef Geometry geometry
    cdef bint planes, own, f64

    def __cinit__(self, object key=None):
        if key is not maker:
            raise TypeError("Winners: only max pooling makes them")

    @property
    def in_sizes(self) -> tuple:
        return self.geometry.in_sizes

    @property
    def out_sizes(self) -> tuple:
        return self.geometry.out_sizes

    def places(self) -> TensorBase:
        """The winners as int64 places in their planes, (d·H + h)·W + w."""
        cdef Work p
        cdef TensorBase out = new_images(self.index, self.geometry.out_sizes, cnp.NPY_INT64, self.planes, self.own)
        set_work(&p, MAX_PLACES, self.index, self.geometry, self.planes)
        run(&p, self.index, self.index, out, self.f64)
        return out


cdef int check_winners(str name, TensorBase x, Winners winners, tuple sizes) except -1:
    check_images(name, x, sizes)
    if (<object>x.a).shape[:2] != (<object>winners.index.a).shape[:2] or is_f64(x) != winners.f64:
        raise ShapeError(f"{name}: {(<object>x.a).shape} {x.a.dtype} does not belong to windows {(<object>winners.index.a).shape}")
    return 0


def max_fwd(TensorBase x not None, Geometry geometry not None, bint wants_winners) -> tuple:
    """(y, Winners or None): the largest elements of the windows of x (N, C, ...)."""
    cdef Work p
    cdef Winners winners = None
    cdef TensorBase y
    cdef bint planes, own = not wants_public(x)
    check_images("max_pool", x, geometry.in_sizes)
    planes = pool_planes(x, geometry)
    x = arranged(x, planes)
    y = new_images(x, geometry.out_sizes, cnp.PyArray_TYPE(x.a), planes, own)
    if wants_winners:
        winners = Winners.__new__(Winners, maker)
        winners.geometry, winners.planes, winners.own, winners.f64 = geometry, planes, own, is_f64(x)
        winners.index = new_images(x, geometry.out_sizes, {1: cnp.NPY_UINT8, 2: cnp.NPY_INT16, 4: cnp.NPY_INT32}[geometry.g.index_bytes],
                                   planes, True)
    set_work(&p, MAX_FWD, x, geometry, planes)
    run(&p, x, winners.index if winners is not None else None, y, is_f64(x))
    return y, winners


def max_bwd(TensorBase dy not None, Winners winners not None) -> TensorBase:
    """dx: each dy at the winner of its window, those that meet added."""
    cdef Work p
    cdef TensorBase dx
    cdef bint own = not wants_public(dy)
    check_winners("max_pool_backward", dy, winners, winners.geometry.out_sizes)
    dy = arranged(dy, winners.planes)
    dx = new_images(dy, winners.geometry.in_sizes, cnp.PyArray_TYPE(dy.a), winners.planes, own)
    set_work(&p, MAX_BWD, dy, winners.geometry, winners.planes)
    clear_if_unused(dx, dy)
    run(&p, dy, winners.index, dx, winners.f64)
    return dx


def max_take(TensorBase x not None, Winners winners not None) -> TensorBase:
    """y: the elements of x at the winners of the windows."""
    cdef Work p
    cdef TensorBase y
    cdef bint own = not wants_public(x)
    check_winners("max_pool_take", x, winners, winners.geometry.in_sizes)
    x = arranged(x, winners.planes)
    y = new_images(x, winners.geometry.out_sizes, cnp.PyArray_TYPE(x.a), winners.planes, own)
    set_work(&p, MAX_TAKE, x, winners.geometry, winners.planes)
    run(&p, x, winners.index, y, winners.f64)
    return y


cdef void clear_if_unused(TensorBase dx, TensorBase dy) noexcept:
    """Zeros where there is no window at all."""
    if cnp.PyArray_SIZE(dy.a) == 0:
        memset(cnp.PyArray_DATA(dx.a), 0, cnp.PyArray_NBYTES(dx.a))


# --- average ------------------------------------------------------------------------------------------------------

def avg_fwd(TensorBase x not None, Geometry geometry not None) -> tuple:
    """(y, planes): the averages over the windows of x (N, C, ...), and in which order they were computed (for avg_bwd)."""
    cdef TensorBase y
    cdef bint planes, own = not wants_public(x)
    check_images("avg_pool", x, geometry.in_sizes)
    planes = pool_planes(x, geometry)
    x = arranged(x, planes)
    y = new_images(x, geometry.out_sizes, cnp.PyArray_TYPE(x.a), planes, own)
    pool_into(x, geometry, y, True, planes)
    return y, planes


cdef int pool_into(TensorBase x, Geometry geometry, TensorBase y, bint averages, bint planes) except -1:
    cdef Work p
    set_work(&p, AVG_FWD if averages else MAX_FWD, x, geometry, planes)
    run(&p, x, None, y, is_f64(x))
    return 0


def avg_bwd(TensorBase dy not None, Geometry geometry not None, bint planes) -> TensorBase:
    """dx: each dy shared among the elements of its window."""
    cdef Work p
    cdef TensorBase dx
    cdef bint own = not wants_public(dy)
    check_images("avg_pool_backward", dy, geometry.out_sizes)
    dy = arranged(dy, planes)
    dx = new_images(dy, geometry.in_sizes, cnp.PyArray_TYPE(dy.a), planes, own)
    set_work(&p, AVG_BWD, dy, geometry, planes)
    clear_if_unused(dx, dy)
    run(&p, dy, None, dx, is_f64(dy))
    return dx


# --- places -------------------------------------------------------------------------------------------------------

ctypedef void (*place_fn)(const void*, const int64_t*, ptrdiff_t, void*) noexcept nogil


cdef struct Planes:
    place_fn f
    const char* x
    const int64_t* places
    char* y
    ptrdiff_t n, x_bytes, y_bytes     # of a plane: places, bytes


cdef void run_plane(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Planes* p = <const Planes*>job
    p.f(p.x + i * p.x_bytes, p.places + i * p.n, p.n, p.y + i * p.y_bytes)


cdef TensorBase at_places(str name, TensorBase x, TensorBase places, object sizes, bint take, bint add):
    """store/add: x and places (N, C, ...) into zeros (N, C, sizes...); take: x (N, C, sizes...) at the places."""
    cdef ptrdiff_t m, n_planes, bad
    cdef const pydl_pool* k = <const pydl_pool*>table(is_f64(x)).pool
    cdef TensorBase out
    cdef Planes p
    x, places = contiguous_memory(x), contiguous_memory(places)
    out = new_images(places, (<object>places.a).shape[2:] if take else sizes, cnp.PyArray_TYPE(x.a), True, False)
    n_planes = cnp.PyArray_DIMS(x.a)[0] * cnp.PyArray_DIMS(x.a)[1]
    if not take:
        memset(cnp.PyArray_DATA(out.a), 0, cnp.PyArray_NBYTES(out.a))
    if cnp.PyArray_SIZE(places.a) == 0:
        return out
    m = cnp.PyArray_SIZE(x.a if take else out.a) // n_planes
    p.f = k.place_take if take else k.place_add if add else k.place_store
    p.n, p.places = cnp.PyArray_SIZE(places.a) // n_planes, <const int64_t*>cnp.PyArray_DATA(places.a)
    bad = k.place_check(p.places, p.n * n_planes, m)
    if bad >= 0:
        raise IndexRangeError(f"{name}: Found an invalid max index: {p.places[bad]} (output volumes are of size {sizes})")
    p.x, p.x_bytes = cnp.PyArray_BYTES(x.a), cnp.PyArray_NBYTES(x.a) // n_planes
    p.y, p.y_bytes = cnp.PyArray_BYTES(out.a), cnp.PyArray_NBYTES(out.a) // n_planes
    run_pieces(run_plane, &p, n_planes, <double>(cnp.PyArray_SIZE(x.a) + cnp.PyArray_SIZE(out.a)) * NS_PER_ELEMENT)
    return out


cdef int check_places(str name, TensorBase x, TensorBase places, tuple sizes) except -1:
    check_images(name, x, sizes)
    if cnp.PyArray_TYPE(places.a) != cnp.NPY_INT64:
        raise RuntimeError(f"{name}: elements in indices should be type int64 but got: {places.dtype}")
    if cnp.PyArray_NDIM(places.a) != cnp.PyArray_NDIM(x.a) or (<object>places.a).shape[:2] != (<object>x.a).shape[:2]:
        raise ShapeError(f"{name}: indices {(<object>places.a).shape} do not belong to the planes of x {(<object>x.a).shape}")
    return 0


def unpool_fwd(TensorBase x not None, TensorBase places not None, tuple sizes not None) -> TensorBase:
    """Zeros (N, C, sizes...) with the elements of x at their places; where two meet, the later one."""
    check_places("max_unpool", x, places, (<object>places.a).shape[2:])
    return at_places("max_unpool", x, places, sizes, False, False)


def unpool_add(TensorBase x not None, TensorBase places not None, tuple sizes not None) -> TensorBase:
    """The same, those that meet added."""
    check_places("max_unpool", x, places, (<object>places.a).shape[2:])
    return at_places("max_unpool", x, places, sizes, False, True)


def unpool_take(TensorBase x not None, TensorBase places not None) -> TensorBase:
    """The elements of x (N, C, ...) at the places."""
    sizes = (<object>x.a).shape[2:]
    check_places("max_unpool", x, places, sizes)
    return at_places("max_unpool", x, places, sizes, True, False)
