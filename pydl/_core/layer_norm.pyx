# SPDX-License-Identifier: BSD-3-Clause
"""Layer norm and RMS norm, whose statistics are those of contiguous rows, and the window over channels of local response norm.

Rows are cut among the threads in blocks whose size depends on the shape alone; a row is never split. Nothing is recorded.
"""

from libc.string cimport memset

cimport numpy as cnp

from pydl._core.formats cimport contiguous_memory, new_like
from pydl._core.kernels cimport run_pieces, table
from pydl._core.norm_passes cimport TASK, check_backward, new_statistics, pydl_norm, vector, zeros
from pydl._core.storage cimport scratch, scratch_free
from pydl._core.tape cimport TensorBase, is_f64, is_float

from pydl._core.errors import ShapeError

cnp.import_array()

cdef enum:
    LAYER_ROWS = 64           # rows whose gradients of weight and bias are added one after the other

cdef double NS_PER_ELEMENT = 0.3


cdef struct Rows:
    const pydl_norm* k
    ptrdiff_t rows, n, itemsize, per_task
    bint centered
    double eps
    const char* x
    const char* dy            # NULL in the forward pass
    char* out                 # y or dx; dx may be NULL
    const char* w
    const char* b
    char* stats               # hi, lo, rstd: `rows` of each
    char* parts               # per task: gradients of weight and bias, n of each; NULL if neither is needed
    bint dw, db


cdef void run_rows(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Rows* p = <const Rows*>job
    cdef ptrdiff_t row = i * p.per_task * p.itemsize, m = min(p.per_task, p.rows - i * p.per_task), at = row * p.n
    cdef char* part
    if p.dy == NULL:
        p.k.layer_rows(p.x + at, p.out + at, p.n, m, p.n, p.w, p.b, p.eps, p.centered, p.stats + row,
                       p.stats + p.rows * p.itemsize + row, p.stats + 2 * p.rows * p.itemsize + row)
    else:
        part = p.parts + 2 * i * p.n * p.itemsize if p.parts != NULL else NULL
        if part != NULL:
            memset(part, 0, 2 * p.n * p.itemsize)
        p.k.layer_rows_bwd(p.dy + at, p.x + at, p.out + at if p.out != NULL else NULL, p.n, m, p.n, p.w, p.stats + row,
                           p.stats + p.rows * p.itemsize + row, p.stats + 2 * p.rows * p.itemsize + row, p.centered,
                           part if p.dw else NULL, part + p.n * p.itemsize if p.db else NULL)


cdef void all_rows(const Rows* p) noexcept:
    run_pieces(run_rows, p, (p.rows + p.per_task - 1) // p.per_task, <double>p.rows * <double>p.n * NS_PER_ELEMENT)


cdef int start_rows(Rows* p, str name, TensorBase x, ptrdiff_t n, bint centered) except -1:
    if not is_float(x):
        raise NotImplementedError(f"{name}: not implemented for {x.a.dtype}")
    if n < 0 or (n == 0 and cnp.PyArray_SIZE(x.a)) or (n and cnp.PyArray_SIZE(x.a) % n):
        raise ShapeError(f"{name}: x {(<object>x.a).shape} has no rows of {n} elements")
    memset(p, 0, sizeof(Rows))
    p.k = <const pydl_norm*>table(is_f64(x)).norm
    p.n, p.rows = n, cnp.PyArray_SIZE(x.a) // n if n else 0
    p.itemsize = cnp.PyArray_ITEMSIZE(x.a)
    p.centered = centered
    p.x = cnp.PyArray_BYTES(x.a)
    # Whole rows; enough of them to pay for a task's own gradients of weight and bias.
    p.per_task = min(max(2 * TASK // max(n, <ptrdiff_t>1), <ptrdiff_t>LAYER_ROWS // 4), <ptrdiff_t>LAYER_ROWS)
    return 0


def layer_norm_fwd(TensorBase x not None, ptrdiff_t n, TensorBase weight, TensorBase bias, double eps, bint centered) -> tuple:
    """(y, statistics (3, rows)) of x as rows of n elements; not centered: RMS norm."""
    cdef Rows p
    cdef list keep = []
    cdef TensorBase y, stats
    x = contiguous_memory(x)
    start_rows(&p, "layer_norm", x, n, centered)
    p.w, p.b = vector("layer_norm", "weight", weight, x, n, keep), vector("layer_norm", "bias", bias, x, n, keep)
    p.eps = eps
    y = new_like(x)
    stats = new_statistics(p.rows, cnp.PyArray_TYPE(x.a))
    p.out, p.stats = cnp.PyArray_BYTES(y.a), cnp.PyArray_BYTES(stats.a)
    if p.rows:
        all_rows(&p)
    return y, stats


def layer_norm_bwd(TensorBase dy not None, TensorBase x not None, TensorBase stats not None, ptrdiff_t n, TensorBase weight,
                   bint centered, bint need_dx, bint need_dw, bint need_db) -> tuple:
    """(dx, dw, db), None for what is not needed; dw and db of n elements."""
    cdef Rows p
    cdef list keep = []
    cdef TensorBase dx = None, dw = None, db = None
    cdef ptrdiff_t n_tasks
    cdef size_t n_bytes
    x = contiguous_memory(x)
    start_rows(&p, "layer_norm", x, n, centered)
    check_backward("layer_norm", dy, x, stats, p.rows)
    dy = contiguous_memory(dy)
    p.w = vector("layer_norm", "weight", weight, x, n, keep)
    dx = new_like(x) if need_dx else None
    dw = zeros(n, cnp.PyArray_TYPE(x.a)) if need_dw else None
    db = zeros(n, cnp.PyArray_TYPE(x.a)) if need_db else None
    if p.rows == 0:
        return dx, dw, db
    p.dy, p.stats = cnp.PyArray_BYTES(dy.a), cnp.PyArray_BYTES(stats.a)
    p.out = cnp.PyArray_BYTES(dx.a) if need_dx else NULL
    p.dw, p.db = need_dw, need_db
    n_tasks = (p.rows + p.per_task - 1) // p.per_task
    n_bytes = n_tasks * 2 * n * p.itemsize
    if need_dw or need_db:
        p.parts = <char*>scratch(n_bytes)
    all_rows(&p)
    if need_dw:
        table(is_f64(x)).reduce.sum_cols(p.parts, 2 * n, n_tasks, n, cnp.PyArray_DATA(dw.a))
    if need_db:
        table(is_f64(x)).reduce.sum_cols(p.parts + n * p.itemsize, 2 * n, n_tasks, n, cnp.PyArray_DATA(db.a))
    if p.parts != NULL:
        scratch_free(p.parts, n_bytes)
    return dx, dw, db


# --- local response norm ------------------------------------------------------------------------------------------

cdef struct Windows:
    const pydl_norm* k
    const char* x
    char* y
    ptrdiff_t channels, n, n_bytes, below, above     # n_bytes: of an image


cdef void run_image(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Windows* p = <const Windows*>job
    p.k.window_sum(p.x + i * p.n_bytes, p.y + i * p.n_bytes, p.channels, p.n, p.below, p.above)


def window_sum(TensorBase x not None, ptrdiff_t below, ptrdiff_t above) -> TensorBase:
    """y[n, c] = sum of x[n, d] over the channels d from c - below to c + above that exist; below, above >= 0."""
    cdef TensorBase y
    cdef Windows p
    cdef ptrdiff_t n_images
    if not is_float(x):
        raise NotImplementedError(f"window_sum: not implemented for {x.a.dtype}")
    if cnp.PyArray_NDIM(x.a) < 2 or below < 0 or above < 0:
        raise ShapeError(f"window_sum: x must be (N, C, ...), the window not negative: {(<object>x.a).shape}, {below}, {above}")
    x = contiguous_memory(x)
    y = new_like(x)
    if cnp.PyArray_SIZE(x.a) == 0:
        return y
    p.k = <const pydl_norm*>table(is_f64(x)).norm
    p.x, p.y, p.below, p.above = cnp.PyArray_BYTES(x.a), cnp.PyArray_BYTES(y.a), below, above
    n_images, p.channels = cnp.PyArray_DIMS(x.a)[0], cnp.PyArray_DIMS(x.a)[1]
    p.n = cnp.PyArray_SIZE(x.a) // n_images // p.channels
    p.n_bytes = p.channels * p.n * cnp.PyArray_ITEMSIZE(x.a)
    run_pieces(run_image, &p, n_images, <double>cnp.PyArray_SIZE(x.a) * <double>min(p.channels, below + above + 1) * NS_PER_ELEMENT)
    return y
