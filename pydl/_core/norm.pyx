# SPDX-License-Identifier: BSD-3-Clause
"""Batch norm and group norm (instance norm among them) of floating-point tensors, forward and backward. Nothing is recorded.

They take C order or channels-last memory and return the same kind. Statistics come from parts that the shape alone cuts, folded in
order, so the bits do not depend on the threads; they do depend on the memory format.
"""

from libc.string cimport memset

import numpy as np
cimport numpy as cnp

from pydl._core.formats cimport channels_last, contiguous_memory, new_like
from pydl._core.norm_passes cimport (
    AFFINE, GRAD, GRAD_SUMS, MOMENTS, SCALE, Grid, Job, check_backward, cut, in_order, new_statistics, run, start_job, vector, zeros,
)
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase

from pydl._core.errors import ShapeError

cnp.import_array()


cdef void moments(Job* j, double* count, double* mean, double* m2) noexcept:
    """Of every (group, channel). p and q have room for the parts."""
    cdef Grid* g = &j.grid
    cdef ptrdiff_t i
    run(j, MOMENTS)
    for i in range(g.n_parts):
        count[i] = (<double>min(g.row_step, g.rows - (i // g.n_pieces) * g.row_step)
                    * <double>min(g.piece, g.inner - (i % g.n_pieces) * g.piece))
    for i in range(g.groups):
        j.k.fold_moments(g.n_parts, g.channels, g.channels, 1, count, j.p + i * g.n_parts * g.channels,
                         j.q + i * g.n_parts * g.channels, mean + i * g.channels, m2 + i * g.channels)


cdef void fold_gradients(Job* j, double* s1, double* s2) noexcept:
    cdef Grid* g = &j.grid
    cdef ptrdiff_t i, at
    run(j, GRAD_SUMS)
    for i in range(g.groups):
        at = i * g.n_parts * g.channels
        j.k.fold_sums(g.n_parts, g.channels, g.channels, j.p + at, s1 + i * g.channels)
        j.k.fold_sums(g.n_parts, g.channels, g.channels, j.q + at, s2 + i * g.channels)


cdef struct Room:
    # Scratch of a channel norm, one block.
    char* block
    size_t n_bytes
    double* count
    double* a                 # per (group, channel): mean or s1
    double* b                 # likewise m2 or s2
    double* a_total           # per channel or per image's group
    double* b_total
    char* coefs               # four arrays per (group, channel)


cdef int take_room(Room* room, Job* j) except -1:
    cdef Grid* g = &j.grid
    cdef size_t parts, channels, doubles
    cut(g, True)
    channels = g.groups * g.channels
    parts = channels * g.n_parts
    doubles = 2 * parts + g.n_parts + g.channels + 4 * channels
    room.n_bytes = doubles * sizeof(double) + 4 * channels * j.itemsize
    room.block = <char*>scratch(room.n_bytes)
    j.p = <double*>room.block
    j.q = j.p + parts
    room.a = j.q + parts
    room.b = room.a + channels
    room.a_total = room.b + channels
    room.b_total = room.a_total + channels
    room.count = room.b_total + channels
    room.coefs = room.block + doubles * sizeof(double)
    j.shift, j.scale = room.coefs, room.coefs + channels * j.itemsize
    j.slope, j.rest = room.coefs + 2 * channels * j.itemsize, room.coefs + 3 * channels * j.itemsize
    return 0


cdef int update_running(Job* j, TensorBase mean, TensorBase var, const double* means, const double* m2, double n_images, double count,
                        double momentum) except -1:
    """means and m2 are sums over n_images of `count` elements each. The variance is the unbiased one."""
    cdef double unbiased = 1 / (n_images * (count - 1)) if count > 1 else float("nan")
    cdef TensorBase m = contiguous_memory(mean), v = contiguous_memory(var)    # both before either is written
    j.k.running(j.grid.channels, means, 1 / n_images, momentum, cnp.PyArray_DATA(m.a))
    if m is not mean:
        np.copyto(mean.a, m.a)
    j.k.running(j.grid.channels, m2, unbiased, momentum, cnp.PyArray_DATA(v.a))
    if v is not var:
        np.copyto(var.a, v.a)
    mean.s.version += 1
    var.s.version += 1
    return 0


cdef void spread_coefs(Job* j, TensorBase stats, ptrdiff_t per_image, const char* w, const char* b) noexcept:
    """shift, scale and offset of every (group, channel) from the statistics, per_image of them a group of the grid."""
    cdef ptrdiff_t i, channels = j.grid.channels, n = cnp.PyArray_DIMS(stats.a)[1], at, size = j.itemsize
    cdef char* hi = cnp.PyArray_BYTES(stats.a)
    for i in range(1 if j.shared else j.grid.groups):
        at = i * per_image * size
        j.k.coefs_fwd(channels, channels // per_image, hi + at, hi + n * size + at, hi + 2 * n * size + at, w, b,
                      <char*>j.shift + i * channels * size, <char*>j.scale + i * channels * size, <char*>j.slope + i * channels * size)


cdef void batch_statistics(Job* j, Room* room, TensorBase stats, ptrdiff_t per_image, double eps) noexcept:
    """Fills stats from x; room.a and room.b keep the moments of every (group, channel)."""
    cdef ptrdiff_t i, channels = j.grid.channels, n = cnp.PyArray_DIMS(stats.a)[1], per_stat = channels // per_image
    cdef char* hi = cnp.PyArray_BYTES(stats.a)
    cdef double each = <double>j.grid.rows * <double>j.grid.inner
    cdef double* mean = room.a
    cdef double* m2 = room.b
    moments(j, room.count, mean, m2)
    if per_stat > 1:
        mean, m2 = room.a_total, room.b_total
        for i in range(per_stat):
            room.count[i] = each
        for i in range(j.grid.groups):
            j.k.fold_moments(per_stat, 1, per_image, per_stat, room.count, room.a + i * channels, room.b + i * channels,
                             mean + i * per_image, m2 + i * per_image)
    j.k.statistics(n, each * per_stat, eps, mean, m2, hi, hi + n * j.itemsize, hi + 2 * n * j.itemsize)


cdef tuple channel_norm_fwd(str name, TensorBase x, ptrdiff_t per_image, bint by_image, object running_mean, object running_var,
                            object weight, object bias, bint training, double momentum, double eps):
    cdef Job j
    cdef Room room
    cdef bint last
    cdef TensorBase y, stats
    cdef cnp.ndarray mean, var
    cdef list keep = []
    cdef const char* w
    cdef const char* b
    cdef char* hi
    cdef ptrdiff_t n
    x = in_order(x, &last)
    start_job(&j, name, x, last, by_image)
    w, b = vector(name, "weight", weight, x, j.grid.channels, keep), vector(name, "bias", bias, x, j.grid.channels, keep)
    vector(name, "running_mean", running_mean, x, j.grid.channels, keep)
    vector(name, "running_var", running_var, x, j.grid.channels, keep)
    y = new_like(x)
    n = j.grid.groups * per_image
    stats = new_statistics(n, cnp.PyArray_TYPE(x.a))
    if cnp.PyArray_SIZE(x.a) == 0:
        stats.a.fill(0)
        return y, stats
    if not training:
        mean = np.ascontiguousarray((<TensorBase>running_mean).a, np.float64)
        var = np.ascontiguousarray((<TensorBase>running_var).a, np.float64)
    take_room(&room, &j)
    try:
        hi = cnp.PyArray_BYTES(stats.a)
        if training:
            batch_statistics(&j, &room, stats, per_image, eps)
            if by_image and running_mean is not None:
                j.k.fold_sums(j.grid.groups, j.grid.channels, j.grid.channels, room.a, room.a_total)
                j.k.fold_sums(j.grid.groups, j.grid.channels, j.grid.channels, room.b, room.b_total)
                update_running(&j, running_mean, running_var, room.a_total, room.b_total, <double>j.grid.groups,
                               <double>j.grid.rows * <double>j.grid.inner, momentum)
            elif running_mean is not None:
                update_running(&j, running_mean, running_var, room.a, room.b, 1, <double>j.grid.rows * <double>j.grid.inner, momentum)
        else:
            j.k.statistics(n, 1, eps, <double*>cnp.PyArray_DATA(mean), <double*>cnp.PyArray_DATA(var), hi, hi + n * j.itemsize,
                           hi + 2 * n * j.itemsize)
        spread_coefs(&j, stats, per_image, w, b)
        j.out = cnp.PyArray_BYTES(y.a)
        run(&j, AFFINE)
    finally:
        scratch_free(room.block, room.n_bytes)
    return y, stats


cdef void spread_gradients(Job* j, Room* room, TensorBase stats, ptrdiff_t per_image, const char* w, bint dx, bint dw, bint db) noexcept:
    """k1, k2, k3 if dx, from the sums in room.a and room.b; dw and db in the first channels of a_total and b_total."""
    cdef ptrdiff_t i, channels = j.grid.channels, n = cnp.PyArray_DIMS(stats.a)[1], at, to, size = j.itemsize
    cdef char* hi = cnp.PyArray_BYTES(stats.a)
    cdef double count = <double>j.grid.rows * <double>j.grid.inner * (channels // per_image)
    memset(room.a_total, 0, channels * sizeof(double))
    memset(room.b_total, 0, channels * sizeof(double))
    for i in range(j.grid.groups):
        at, to = i * per_image * size, i * channels * size
        j.k.coefs_bwd(channels, channels // per_image, count, hi + at, hi + n * size + at, hi + 2 * n * size + at, w,
                      room.a + i * channels, room.b + i * channels, <char*>j.shift + to if dx else NULL,
                      <char*>j.scale + to if dx else NULL, <char*>j.slope + to if dx else NULL, <char*>j.rest + to if dx else NULL,
                      room.a_total if dw else NULL, room.b_total if db else NULL)


cdef tuple channel_norm_bwd(str name, TensorBase dy, TensorBase x, TensorBase stats, ptrdiff_t per_image, bint by_image, object weight,
                            bint training, bint need_dx, bint need_dw, bint need_db):
    cdef Job j
    cdef Room room
    cdef bint last
    cdef TensorBase dx = None, dw = None, db = None
    cdef list keep = []
    cdef const char* w
    cdef cnp.npy_intp channels
    x = in_order(x, &last)
    start_job(&j, name, x, last, by_image)
    channels = j.grid.channels
    check_backward(name, dy, x, stats, j.grid.groups * per_image)
    dy = channels_last(dy) if last else contiguous_memory(dy)
    w = vector(name, "weight", weight, x, channels, keep)
    dx = new_like(x) if need_dx else None
    dw = zeros(channels, cnp.PyArray_TYPE(x.a)) if need_dw else None
    db = zeros(channels, cnp.PyArray_TYPE(x.a)) if need_db else None
    if cnp.PyArray_SIZE(x.a) == 0:
        return dx, dw, db
    take_room(&room, &j)
    try:
        j.dy = cnp.PyArray_BYTES(dy.a)
        spread_coefs(&j, stats, per_image, w, NULL)
        if need_dw or need_db or (need_dx and training):
            fold_gradients(&j, room.a, room.b)
            spread_gradients(&j, &room, stats, per_image, w, need_dx and training, need_dw, need_db)
        if need_dw:
            j.k.narrow(channels, room.a_total, cnp.PyArray_DATA(dw.a))
        if need_db:
            j.k.narrow(channels, room.b_total, cnp.PyArray_DATA(db.a))
        if need_dx:
            j.out = cnp.PyArray_BYTES(dx.a)
            j.x = j.x if training else j.dy
            run(&j, GRAD if training else SCALE)
    finally:
        scratch_free(room.block, room.n_bytes)
    return dx, dw, db


def batch_norm_fwd(TensorBase x not None, TensorBase running_mean, TensorBase running_var, TensorBase weight, TensorBase bias,
                   bint training, double momentum, double eps) -> tuple:
    """(y, statistics (3, C)) of x (N, C, ...). In training the running statistics (or None) are updated, else they are used."""
    if (running_mean is None) != (running_var is None) or not (training or running_mean is not None):
        raise ValueError("batch_norm: running_mean and running_var must both be given in evaluation, and both or neither in training")
    return channel_norm_fwd("batch_norm", x, x.a.shape[1] if x.a.ndim > 1 else 1, False, running_mean, running_var, weight, bias,
                            training, momentum, eps)


def batch_norm_bwd(TensorBase dy not None, TensorBase x not None, TensorBase stats not None, TensorBase weight, bint training,
                   bint need_dx, bint need_dw, bint need_db) -> tuple:
    """(dx, dw, db), None for what is not needed, from the statistics of the forward pass."""
    return channel_norm_bwd("batch_norm", dy, x, stats, x.a.shape[1] if x.a.ndim > 1 else 1, False, weight, training, need_dx, need_dw,
                            need_db)


cdef int check_groups(TensorBase x, ptrdiff_t n_groups) except -1:
    cdef ptrdiff_t channels = cnp.PyArray_DIMS(x.a)[1] if cnp.PyArray_NDIM(x.a) > 1 else -1
    if channels < 0 or (channels > 0 and (n_groups < 1 or channels % n_groups)):
        raise ShapeError(f"group_norm: {n_groups} groups do not divide the channels of x {(<object>x.a).shape}")
    return 0


def group_norm_fwd(TensorBase x not None, ptrdiff_t n_groups, TensorBase running_mean, TensorBase running_var, TensorBase weight,
                   TensorBase bias, double momentum, double eps) -> tuple:
    """(y, statistics (3, N * n_groups)) of x (N, C, ...): each image's groups of channels apart. Running statistics: of single channels."""
    check_groups(x, n_groups)
    if (running_mean is None) != (running_var is None) or (running_mean is not None and n_groups != cnp.PyArray_DIMS(x.a)[1]):
        raise ValueError("group_norm: running_mean and running_var go together, and with groups of one channel")
    return channel_norm_fwd("group_norm", x, n_groups, True, running_mean, running_var, weight, bias, True, momentum, eps)


def group_norm_bwd(TensorBase dy not None, TensorBase x not None, TensorBase stats not None, ptrdiff_t n_groups, TensorBase weight,
                   bint need_dx, bint need_dw, bint need_db) -> tuple:
    """(dx, dw, db), None for what is not needed, from the statistics of the forward pass."""
    check_groups(x, n_groups)
    return channel_norm_bwd("group_norm", dy, x, stats, n_groups, True, weight, True, need_dx, need_dw, need_db)
