# SPDX-License-Identifier: BSD-3-Clause
"""Passes over a tensor of images with one coefficient a channel: sums of parts, and the passes that apply.

The memory is [groups][rows][channels][inner], in C order or channels-last (inner = 1). The shape alone cuts it into tasks.
"""

from libc.string cimport memset

cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, is_channels_last
from pydl._core.kernels cimport run_pieces, table
from pydl._core.tape cimport TensorBase, is_contiguous, is_f64, is_float, new

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    MIN_ROWS = 64             # rows of a part in channels-last memory: enough to pay for its results ...
    MAX_ROWS = 256            # ... and few enough to be added one after the other
    COLUMNS = 256             # channels of a task there

cdef double NS_PER_ELEMENT = 0.3


cdef void cut(Grid* g, bint sums) noexcept:
    """Tasks of a pass that sums, or of one that applies; by the shape alone."""
    if g.inner == 1:
        g.channel_step = min(g.channels, <ptrdiff_t>COLUMNS)
        g.row_step = min(max(TASK // g.channel_step, <ptrdiff_t>MIN_ROWS), <ptrdiff_t>MAX_ROWS)
        g.piece = 1
    else:
        g.piece = min(g.inner, <ptrdiff_t>TASK)
        g.row_step = max(<ptrdiff_t>1, TASK // g.piece) if sums and g.inner <= TASK else 1
        g.row_step = min(g.row_step, g.rows)
        g.channel_step = min(g.channels, max(<ptrdiff_t>1, TASK // (g.piece * g.row_step)))
    g.n_pieces = (g.inner + g.piece - 1) // g.piece
    g.n_row_steps = (g.rows + g.row_step - 1) // g.row_step
    g.n_channel_steps = (g.channels + g.channel_step - 1) // g.channel_step
    g.n_parts = g.n_row_steps * g.n_pieces


cdef void run_task(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* j = <const Job*>job
    cdef const Grid* g = &j.grid
    cdef ptrdiff_t c = (i % g.n_channel_steps) * g.channel_step, n_channels = min(g.channel_step, g.channels - c)
    cdef ptrdiff_t part = (i // g.n_channel_steps) % g.n_parts, group = i // g.n_channel_steps // g.n_parts
    cdef ptrdiff_t s = (part % g.n_pieces) * g.piece, n = min(g.piece, g.inner - s)
    cdef ptrdiff_t row = (part // g.n_pieces) * g.row_step, n_rows = min(g.row_step, g.rows - row), r
    cdef ptrdiff_t stride = g.channels * g.inner        # of rows
    cdef ptrdiff_t at = (((group * g.rows + row) * g.channels + c) * g.inner + s) * j.itemsize
    cdef ptrdiff_t coef = ((0 if j.shared else group * g.channels) + c) * j.itemsize
    cdef ptrdiff_t result = (group * g.n_parts + part) * g.channels + c
    if j.what == MOMENTS or j.what == GRAD_SUMS:
        if g.inner == 1 and j.what == MOMENTS:
            j.k.moments_cols(j.x + at, stride, n_rows, n_channels, j.p + result, j.q + result)
        elif g.inner == 1:
            j.k.grad_sums_cols(j.dy + at, j.x + at, stride, n_rows, n_channels, j.shift + coef, j.p + result, j.q + result)
        else:
            for r in range(n_channels):
                sum_runs(j, at + r * g.inner * j.itemsize, stride, n_rows, n, coef + r * j.itemsize, result + r)
    elif g.inner == 1:
        if j.what == GRAD:
            j.k.grad_cols(j.dy + at, j.x + at, j.out + at, stride, n_rows, n_channels, j.shift + coef, j.scale + coef,
                          j.slope + coef, j.rest + coef)
        else:
            j.k.affine_cols(j.x + at, j.out + at, stride, n_rows, n_channels, j.shift + coef if j.what == AFFINE else NULL,
                            j.scale + coef, j.slope + coef if j.what == AFFINE else NULL)
    else:
        for r in range(n_rows):
            apply_runs(j, at + r * stride * j.itemsize, n_channels, n, coef)


cdef void sum_runs(const Job* j, ptrdiff_t at, ptrdiff_t stride, ptrdiff_t m, ptrdiff_t n, ptrdiff_t coef, ptrdiff_t result) noexcept nogil:
    if j.what == MOMENTS:
        j.k.moments_runs(j.x + at, stride, m, n, j.p + result, j.q + result)
    else:
        j.k.grad_sums_runs(j.dy + at, j.x + at, stride, m, n, j.shift + coef, j.p + result, j.q + result)


cdef void apply_runs(const Job* j, ptrdiff_t at, ptrdiff_t n_channels, ptrdiff_t n, ptrdiff_t coef) noexcept nogil:
    if j.what == GRAD:
        j.k.grad_runs(j.dy + at, j.x + at, j.out + at, j.grid.inner, n_channels, n, j.shift + coef, j.scale + coef, j.slope + coef,
                      j.rest + coef)
    else:
        j.k.affine_runs(j.x + at, j.out + at, j.grid.inner, n_channels, n, j.shift + coef if j.what == AFFINE else NULL,
                        j.scale + coef, j.slope + coef if j.what == AFFINE else NULL)


cdef void run(Job* j, Pass what) noexcept:
    """One pass over the tensors."""
    cdef Grid* g = &j.grid
    j.what = what
    cut(g, what == MOMENTS or what == GRAD_SUMS)
    run_pieces(run_task, j, g.groups * g.n_parts * g.n_channel_steps, <double>g.groups * g.rows * g.channels * g.inner * NS_PER_ELEMENT)


cdef TensorBase in_order(TensorBase x, bint* last):
    """x, or a copy in C order; whether it is channels-last."""
    last[0] = not is_contiguous(x) and (x.own_format or cnp.PyArray_NDIM(x.a) == 4) and is_channels_last(x)
    return x if last[0] else contiguous_memory(x)


cdef int start_job(Job* j, str name, TensorBase x, bint last, bint by_image) except -1:
    """The grid of x (in order) with statistics of the whole batch, or of each image."""
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(x.a)
    cdef ptrdiff_t n, area
    if not is_float(x):
        raise NotImplementedError(f"{name}: not implemented for {x.a.dtype}")
    if cnp.PyArray_NDIM(x.a) < 2:
        raise ShapeError(f"{name}: x must be (N, C, ...), not {(<object>x.a).shape}")
    memset(j, 0, sizeof(Job))
    n = shape[0]
    area = cnp.PyArray_SIZE(x.a) // (n * shape[1]) if cnp.PyArray_SIZE(x.a) else 0
    j.k = <const pydl_norm*>table(is_f64(x)).norm
    j.itemsize = cnp.PyArray_ITEMSIZE(x.a)
    j.x = cnp.PyArray_BYTES(x.a)
    j.shared = not by_image
    j.grid.groups, j.grid.channels = n if by_image else 1, shape[1]
    if last:
        j.grid.rows, j.grid.inner = area if by_image else n * area, 1
    elif shape[1] == 1 and not by_image:
        j.grid.rows, j.grid.inner = 1, n * area
    else:
        j.grid.rows, j.grid.inner = 1 if by_image else n, area
    return 0


# --- what all normalisations share --------------------------------------------------------------------------------

cdef const char* vector(str name, str what, object t, TensorBase x, ptrdiff_t n, list keep) except? NULL:
    """The n elements of t, contiguous; NULL for None. `keep` holds copies while they are read."""
    cdef TensorBase v
    if t is None:
        return NULL
    v = <TensorBase?>t
    if cnp.PyArray_SIZE(v.a) != n or cnp.PyArray_TYPE(v.a) != cnp.PyArray_TYPE(x.a):
        raise ShapeError(f"{name}: {what} must have {n} elements of {x.a.dtype}, not {(<object>v.a).shape} {v.a.dtype}")
    v = contiguous_memory(v)
    keep.append(v)
    return cnp.PyArray_BYTES(v.a)


cdef TensorBase zeros(ptrdiff_t n, int typenum):
    cdef cnp.npy_intp shape = n
    cdef TensorBase t = new(1, &shape, typenum)
    t.a.fill(0)
    return t


cdef TensorBase new_statistics(ptrdiff_t n, int typenum):
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = 3, n
    return new(2, shape, typenum)


cdef int check_backward(str name, TensorBase dy, TensorBase x, TensorBase stats, ptrdiff_t n_stats) except -1:
    if (<object>dy.a).shape != (<object>x.a).shape or cnp.PyArray_TYPE(dy.a) != cnp.PyArray_TYPE(x.a):
        raise ShapeError(f"{name}: dy {(<object>dy.a).shape} {dy.a.dtype} does not match x {(<object>x.a).shape} {x.a.dtype}")
    if (<object>stats.a).shape != (3, n_stats) or cnp.PyArray_TYPE(stats.a) != cnp.PyArray_TYPE(x.a) or not is_contiguous(stats):
        raise ShapeError(f"{name}: statistics (3, {n_stats}) {x.a.dtype} are needed, not {(<object>stats.a).shape} {stats.a.dtype}")
    return 0
