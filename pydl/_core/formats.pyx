# SPDX-License-Identifier: BSD-3-Clause
"""The order in which the elements of a tensor lie: new tensors in the order of another, and changes of an image tensor's order.

The kernels of image layers work on channels-last memory. Where the user did not ask for it, it is the library's own affair
(TensorBase.own_format): the first look at strides, and the first view or alias, puts the memory into C order. It happens once
and while no other tensor that a user holds shares the memory, since what makes one settles the format before.
"""

from libc.string cimport memset

import numpy as np
cimport numpy as cnp

from pydl._core.kernels cimport kernels_run, run_pieces, table
from pydl._core.tape cimport TensorBase, adopt, array_on, is_contiguous, is_f64, is_float, make, new, new_contiguous, slots

from pydl._core.errors import ShapeError

cnp.import_array()

cdef extern from "layout_kernels.h" nogil:
    ctypedef struct pydl_layout:
        void (*transpose)(ptrdiff_t, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t) noexcept nogil

cdef enum:
    PIECE_BYTES = 65536        # of the source, that one thread takes at a time

cdef double NS_PER_BYTE = 0.1


# --- new tensors --------------------------------------------------------------------------------------------------

cdef TensorBase new_like(TensorBase x):
    if is_contiguous(x) or not (x.own_format or (cnp.PyArray_NDIM(x.a) == 4 and is_channels_last(x))):
        return new_contiguous(x)
    return new_channels_last(cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), cnp.PyArray_TYPE(x.a), x.own_format)


cdef TensorBase new_channels_last(int ndim, const cnp.npy_intp* shape, int typenum, bint own):
    """(N, C, spatial...) on memory in the order N, spatial, C; plain C order where the two are the same."""
    cdef TensorBase room = new(ndim, shape, typenum), out
    cdef cnp.npy_intp strides[64]
    if ndim < 3 or shape[1] == 1 or cnp.PyArray_SIZE(room.a) in (0, shape[0] * shape[1]):
        return room
    channels_last_strides(ndim, shape, cnp.PyArray_ITEMSIZE(room.a), strides)
    out = make(array_on(room, ndim, shape, strides, cnp.PyArray_BYTES(room.a)), room.s)
    out.own_format = own
    return out


cdef void channels_last_strides(int ndim, const cnp.npy_intp* shape, cnp.npy_intp itemsize, cnp.npy_intp* strides) noexcept:
    cdef int d
    strides[1] = itemsize
    itemsize *= shape[1]
    for d in range(ndim - 1, 1, -1):
        strides[d] = itemsize
        itemsize *= shape[d]
    strides[0] = itemsize


cdef bint is_channels_last(TensorBase x) noexcept:
    """Whether the memory is dense in the order N, spatial, C (true of C order too where the two are the same)."""
    cdef int d, ndim = cnp.PyArray_NDIM(x.a)
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    cdef cnp.npy_intp strides[64]
    if ndim < 3:
        return False
    channels_last_strides(ndim, shape, cnp.PyArray_ITEMSIZE(x.a), strides)
    for d in range(ndim):
        if shape[d] != 1 and cnp.PyArray_STRIDES(x.a)[d] != strides[d]:
            return cnp.PyArray_SIZE(x.a) == 0
    return True


cdef TensorBase zeros_laid_out_like(TensorBase x):
    """Zeros with the shape and strides of x, gaps included."""
    cdef ptrdiff_t low, high, itemsize = cnp.PyArray_ITEMSIZE(x.a)
    cdef cnp.npy_intp n
    cdef TensorBase room
    if is_contiguous(x) or cnp.PyArray_SIZE(x.a) == 0:
        return adopt(np.zeros_like(x.a, order="C"))
    extent(x, &low, &high)
    n = (high - low) // itemsize + 1
    room = new(1, &n, cnp.PyArray_TYPE(x.a))
    memset(cnp.PyArray_DATA(room.a), 0, cnp.PyArray_NBYTES(room.a))
    return make(array_on(room, cnp.PyArray_NDIM(x.a), cnp.PyArray_DIMS(x.a), cnp.PyArray_STRIDES(x.a),
                         cnp.PyArray_BYTES(room.a) - low), room.s)


cdef int extent(TensorBase x, ptrdiff_t* low, ptrdiff_t* high) except -1:
    """Where the lowest and the highest element of x lie, in bytes from its first element."""
    cdef int d
    cdef double reach = 0
    cdef ptrdiff_t step
    low[0] = high[0] = 0
    for d in range(cnp.PyArray_NDIM(x.a)):
        if cnp.PyArray_DIMS(x.a)[d] < 2:
            continue
        reach += abs(<double>(cnp.PyArray_DIMS(x.a)[d] - 1) * <double>cnp.PyArray_STRIDES(x.a)[d])
        if reach > 4e18:
            raise ValueError(f"strides {(<object>x.a).strides} of {(<object>x.a).shape} leave the address space")
        step = (cnp.PyArray_DIMS(x.a)[d] - 1) * cnp.PyArray_STRIDES(x.a)[d]
        if step < 0:
            low[0] += step
        else:
            high[0] += step
    return 0


# --- copies in another order --------------------------------------------------------------------------------------

cdef struct Swap:
    const pydl_layout* k
    const char* x
    char* y
    ptrdiff_t n_images, m, n, itemsize     # each image of x is m rows of n elements, of y n rows of m
    ptrdiff_t rows_in_piece, n_pieces      # pieces of an image: rows of the longer side


cdef void swap_piece(const void* job, ptrdiff_t i) noexcept nogil:
    """Rows of the image's longer side, `rows_in_piece` of them."""
    cdef const Swap* s = <const Swap*>job
    cdef ptrdiff_t image = (i // s.n_pieces) * s.m * s.n, first = (i % s.n_pieces) * s.rows_in_piece
    cdef ptrdiff_t rows = min(s.rows_in_piece, max(s.m, s.n) - first)
    if s.m >= s.n:
        s.k.transpose(rows, s.n, s.x + (image + first * s.n) * s.itemsize, s.n, s.y + (image + first) * s.itemsize, s.m)
    else:
        s.k.transpose(s.m, rows, s.x + (image + first) * s.itemsize, s.n, s.y + (image + first * s.m) * s.itemsize, s.m)


cdef void swap_axes(TensorBase x, TensorBase out, ptrdiff_t n_images, ptrdiff_t m, ptrdiff_t n):
    """out = every m x n image of x transposed; both dense."""
    cdef Swap s
    if cnp.PyArray_SIZE(x.a) == 0:
        return
    s.k = <const pydl_layout*>table(is_f64(x)).layout
    s.x, s.y = cnp.PyArray_BYTES(x.a), cnp.PyArray_BYTES(out.a)
    s.n_images, s.m, s.n, s.itemsize = n_images, m, n, cnp.PyArray_ITEMSIZE(x.a)
    # Whole cache lines of the side that is written: two threads never write to one.
    s.rows_in_piece = max(<ptrdiff_t>64, PIECE_BYTES // (min(m, n) * s.itemsize) // 64 * 64)
    s.n_pieces = (max(m, n) + s.rows_in_piece - 1) // s.rows_in_piece
    run_pieces(swap_piece, &s, s.n_images * s.n_pieces, <double>cnp.PyArray_NBYTES(x.a) * NS_PER_BYTE)


cdef TensorBase channels_last(TensorBase x):
    cdef TensorBase out
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    cdef cnp.npy_intp images
    if is_channels_last(x):
        return x
    out = new_channels_last(cnp.PyArray_NDIM(x.a), shape, cnp.PyArray_TYPE(x.a), True)
    if is_float(x) and is_contiguous(x):
        images = shape[0] * shape[1]
        swap_axes(x, out, shape[0], shape[1], cnp.PyArray_SIZE(x.a) // images if images else 0)
    else:
        np.copyto(out.a, x.a)
    return out


cdef TensorBase contiguous_memory(TensorBase x):
    cdef TensorBase out
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    cdef cnp.npy_intp images
    if is_contiguous(x):
        return x
    out = new_contiguous(x)
    if is_float(x) and is_channels_last(x):
        images = shape[0] * shape[1]
        swap_axes(x, out, shape[0], cnp.PyArray_SIZE(x.a) // images if images else 0, shape[1])
    else:
        np.copyto(out.a, x.a)
    return out


cdef int rearrange(TensorBase x, TensorBase out) except -1:
    """out = x, of one floating-point type and shape."""
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    cdef cnp.npy_intp images = shape[0] * shape[1] if cnp.PyArray_NDIM(x.a) > 2 else 0
    if images and is_float(x) and is_contiguous(x) and is_channels_last(out):
        swap_axes(x, out, shape[0], shape[1], cnp.PyArray_SIZE(x.a) // images)
    elif images and is_float(x) and is_channels_last(x) and is_contiguous(out):
        swap_axes(x, out, shape[0], cnp.PyArray_SIZE(x.a) // images, shape[1])
    else:
        np.copyto(out.a, x.a)
    return 0


cdef bint wants_public(TensorBase x) noexcept:
    return cnp.PyArray_NDIM(x.a) == 4 and not x.own_format and not is_contiguous(x) and is_channels_last(x)


cdef int settle(TensorBase x) except -1:
    """Puts memory of the library's own order into C order; the version goes along.

    A kernel of another thread may be reading the old memory: then it lives as long as the new one."""
    cdef cnp.ndarray old = x.a
    cdef TensorBase plain = contiguous_memory(x)
    if not x.own_format:        # another thread was faster, and may have made a view already
        return 0
    plain.s.version = x.s.version
    if kernels_run():
        plain.s.owner = old
    x.a = plain.a
    x.s = plain.s
    x.own_format = False
    return 0


def in_own_format(TensorBase x not None) -> TensorBase:
    """The values of x, without history, in channels-last memory that nobody may see; x itself if it is channels-last."""
    if cnp.PyArray_NDIM(x.a) < 3:
        raise ShapeError(f"in_own_format: an image (N, C, ...) is needed, not {(<object>x.a).shape}")
    return channels_last(x)


def has_own_format(TensorBase x not None) -> bool:
    """Whether the memory of x is in an order of the library's own choice, which the first look at its strides ends."""
    return x.own_format


slots.settle = settle
