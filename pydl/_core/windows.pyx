# SPDX-License-Identifier: BSD-3-Clause
"""Windows of images as columns and back, and shuffles between channels and pixels. Nothing is recorded.

Shuffles keep channels-last memory; columns are in C order.
"""

from libc.stdint cimport int64_t

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory
from pydl._core.resample cimport (
    MAX_AXES, NS_PER_COPY, NS_PER_TERM, Lines, add_outer, keeps_channels_last, product, result, run_lines, start_lines, sums_of,
)
from pydl._core.tape cimport TensorBase, is_float, new

from pydl._core.errors import ShapeError

cnp.import_array()


cdef int check_factor(str name, TensorBase x, ptrdiff_t r) except -1:
    if cnp.PyArray_NDIM(x.a) < 3 or not 0 < r < 2**31:
        raise ShapeError(f"{name}: a (…, C, H, W) tensor and a factor from 1 to 2**31 - 1 are needed, not {(<object>x.a).shape}, {r}")
    return 0


cdef bint leading(TensorBase x, cnp.npy_intp* shape, ptrdiff_t* n) noexcept:
    """Shape and product of the dimensions in front of (C, H, W); whether memory in channels-last order stays so."""
    cdef int d, ndim = cnp.PyArray_NDIM(x.a)
    n[0] = 1
    for d in range(ndim - 3):
        shape[d] = cnp.PyArray_DIMS(x.a)[d]
        n[0] *= shape[d]
    return ndim == 4 and keeps_channels_last(x)


def pixel_shuffle(TensorBase x not None, ptrdiff_t r) -> TensorBase:
    """y[n, c, h·r + i, w·r + j] = x[n, (c·r + i)·r + j, h, w] of a (…, C·r², H, W) tensor."""
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef ptrdiff_t n, c, h, w
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    cdef bint last
    cdef TensorBase src, y
    cdef cnp.npy_intp* s = cnp.PyArray_DIMS(x.a) + ndim - 3
    cdef Lines p
    check_factor("pixel_shuffle", x, r)
    last = leading(x, shape, &n)
    src = x if last else contiguous_memory(x)
    c, h, w = s[0] // (r * r), s[1], s[2]
    shape[ndim - 3], shape[ndim - 2], shape[ndim - 1] = c, h * r, w * r
    start_lines(&p, src, "pixel_shuffle")
    y = result(x, last, ndim, shape)
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    if last:                                      # a line of y is one row: w, j, c
        add_outer(&p, n * h, w * c * r * r, NULL)
        add_outer(&p, r, r, NULL)
        index = rows_of(((w, c * r * r), (r, 1), (c, r * r)))
    else:
        add_outer(&p, n * c, r * r * h * w, NULL)
        add_outer(&p, h, w, NULL)
        add_outer(&p, r, r * h * w, NULL)
        index = rows_of(((w, 1), (r, h * w)))
    return copy_elements(&p, y, index)


def pixel_unshuffle(TensorBase x not None, ptrdiff_t r) -> TensorBase:
    """y[n, (c·r + i)·r + j, h, w] = x[n, c, h·r + i, w·r + j] of a (…, C, H·r, W·r) tensor."""
    cdef cnp.npy_intp shape[MAX_AXES]
    cdef ptrdiff_t n, c, h, w
    cdef int ndim = cnp.PyArray_NDIM(x.a)
    cdef bint last
    cdef TensorBase src, y
    cdef cnp.npy_intp* s = cnp.PyArray_DIMS(x.a) + ndim - 3
    cdef Lines p
    check_factor("pixel_unshuffle", x, r)
    last = leading(x, shape, &n)
    src = x if last else contiguous_memory(x)
    c, h, w = s[0], s[1] // r, s[2] // r
    shape[ndim - 3], shape[ndim - 2], shape[ndim - 1] = c * r * r, h, w
    start_lines(&p, src, "pixel_unshuffle")
    y = result(x, last, ndim, shape)
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    if last:                                      # a line of y is one row: w, c, i, j
        add_outer(&p, n * h, r * s[2] * c, NULL)
        index = rows_of(((w, r * c), (c, 1), (r, s[2] * c), (r, c)))
    else:
        add_outer(&p, n * c, s[1] * s[2], NULL)
        add_outer(&p, r, s[2], NULL)
        add_outer(&p, r, 1, NULL)
        add_outer(&p, h, r * s[2], NULL)
        index = rows_of(((w, r),))
    return copy_elements(&p, y, index)


cdef TensorBase check_window(str name, TensorBase x, int ndim, tuple kernel, tuple second, tuple third):
    """x; three pairs are needed, the first two of positive numbers, the third not negative."""
    if cnp.PyArray_NDIM(x.a) != ndim or not len(kernel) == len(second) == len(third) == 2 or min(kernel + second) < 1 or min(third) < 0:
        raise ShapeError(f"{name}: {(<object>x.a).shape} with {kernel}, {second}, {third}: pairs of positive sizes are needed")
    return x


def unfold_windows(TensorBase x not None, tuple kernel not None, tuple dilation not None, tuple stride not None) -> TensorBase:
    """y[n, (c·R + i)·S + j, p·Q + q] = x[n, c, p·s0 + i·d0, q·s1 + j·d1] of a (N, C, H, W) tensor; windows lie inside."""
    cdef TensorBase src = contiguous_memory(check_window("unfold", x, 4, kernel, stride, dilation)), y
    cdef cnp.npy_intp* s = cnp.PyArray_DIMS(x.a)
    cdef ptrdiff_t kh = kernel[0], kw = kernel[1], dh = dilation[0], dw = dilation[1], sh = stride[0], sw = stride[1]
    cdef ptrdiff_t oh = (s[2] - dh * (kh - 1) - 1) // sh + 1, ow = (s[3] - dw * (kw - 1) - 1) // sw + 1
    cdef cnp.npy_intp shape[3]
    cdef Lines p
    if oh < 1 or ow < 1:
        raise ShapeError(f"unfold: windows {kernel} do not lie inside of {(<object>x.a).shape}")
    shape[0], shape[1], shape[2] = s[0], s[1] * kh * kw, oh * ow
    start_lines(&p, src, "unfold")
    y = new(3, shape, cnp.PyArray_TYPE(x.a))
    if cnp.PyArray_SIZE(y.a) == 0:
        return y
    add_outer(&p, s[0] * s[1], s[2] * s[3], NULL)
    add_outer(&p, kh, dh * s[3], NULL)
    add_outer(&p, kw, dw, NULL)
    add_outer(&p, oh, sh * s[3], NULL)
    return copy_elements(&p, y, rows_of(((ow, sw),)))


cdef cnp.ndarray rows_of(tuple axes):
    """The offsets of the elements of a line of several axes (size, stride), the last one innermost."""
    offsets = np.zeros(1, np.int64)
    for size, stride in axes:
        offsets = (offsets[:, None] + np.arange(size) * stride).reshape(-1)
    return offsets


cdef TensorBase copy_elements(Lines* p, TensorBase y, cnp.ndarray index):
    """Single elements of every line."""
    p.index = <const int64_t*>cnp.PyArray_DATA(index)
    p.m, p.n, p.ldx, p.n_lines = cnp.PyArray_SIZE(index), 1, 1, product(p.sizes, p.n_outer)
    p.y = cnp.PyArray_BYTES(y.a)
    run_lines(p, NS_PER_COPY)
    return y


def fold_windows(TensorBase x not None, tuple kernel not None, tuple blocks not None, tuple size not None, tuple rows not None,
                 tuple columns not None) -> TensorBase:
    """The adjoint of unfold_windows: (N, C·R·S, P·Q) to (N, C, H, W), every element added where it came from.

    kernel (R, S), blocks (P, Q), size (H, W). columns: (start, index, None) into S·P·Q elements j·P·Q + q for each w;
    rows: into R·P rows for each h. Sums run over w first, then over h."""
    cdef TensorBase src = contiguous_memory(check_window("fold", x, 3, kernel, blocks, size)), part, y
    cdef ptrdiff_t kh = kernel[0], kw = kernel[1], oh = blocks[0], ow = blocks[1]
    cdef cnp.npy_intp n = cnp.PyArray_DIMS(x.a)[0], c = cnp.PyArray_DIMS(x.a)[1] // (kh * kw)
    cdef cnp.npy_intp shape[4]
    cdef Lines p
    if not is_float(x):
        raise TypeError(f"fold: compiled for float32 and float64 only, not {x.a.dtype}")
    start_lines(&p, src, "fold")
    shape[0], shape[1], shape[2], shape[3] = n * c * kh, 1, oh, size[1]
    part = new(4, shape, cnp.PyArray_TYPE(x.a))
    shape[0], shape[1], shape[2] = n, c, size[0]
    y = new(4, shape, cnp.PyArray_TYPE(x.a))
    sums_of(&p, x, columns, kw * oh * ow, "fold")
    if cnp.PyArray_SIZE(part.a) and cnp.PyArray_SIZE(y.a):
        add_outer(&p, n * c * kh, kw * oh * ow, NULL)
        add_outer(&p, oh, ow, NULL)
        p.n_lines, p.n, p.ldx = n * c * kh * oh, 1, 1
        p.y = cnp.PyArray_BYTES(part.a)
        run_lines(&p, NS_PER_TERM * (1 + <double>len(columns[1]) / p.m))
    start_lines(&p, part, "fold")
    sums_of(&p, x, rows, kh * oh, "fold")
    if cnp.PyArray_SIZE(y.a):
        add_outer(&p, n * c, kh * oh * shape[3], NULL)
        p.n_lines, p.n, p.ldx = n * c, shape[3], shape[3]
        p.y = cnp.PyArray_BYTES(y.a)
        run_lines(&p, NS_PER_TERM * (1 + <double>len(rows[1]) / p.m))
    return y
