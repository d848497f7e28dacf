# SPDX-License-Identifier: BSD-3-Clause
"""Dropout: masks drawn by a counter-based generator, and their products, recorded.

Element i of a tensor, counted in the logical (C) order of its shape whatever the order of its memory, is kept by word i of the
generator's stream: the same mask for any number of threads, any memory format and any strides.
"""

from libc.math cimport sqrt
from libc.stdint cimport uint8_t, uint64_t

cimport cython

cimport numpy as cnp

from pydl._core.formats cimport new_like
from pydl._core.inplace cimport check_inplace, finish_inplace
from pydl._core.kernels cimport run_pieces, table
from pydl._core.loops cimport PICOSECONDS_PLAIN, apply_parameters
from pydl._core.recorder cimport begins, ends
from pydl._core.tape cimport (
    Node, TensorBase, attach, edge_of, grad_enabled, is_contiguous, is_f64, is_float, new, raise_released,
    requires_grad, slots,
)

cnp.import_array()

cdef extern from "activation_kernels.h" nogil:
    ctypedef struct pydl_activation:
        void (*dropout)(const void*, void*, uint8_t*, ptrdiff_t, uint64_t, uint64_t, uint64_t, double) noexcept nogil
        void (*dropout_mask)(uint8_t*, ptrdiff_t, uint64_t, uint64_t, uint64_t) noexcept nogil
        void* mask_scale
        void* mask_affine

cdef enum:
    CHUNK = 16384         # elements that one thread takes at a time
    PER_COUNTER = 4       # elements that one counter of the generator gives

cdef double NS_PER_ELEMENT = 0.5
cdef double ALPHA = 1.7580993408473766     # minus the limit of selu at -inf

cdef object generator = None


def set_generator(default) -> None:
    """The generator whose stream the masks come from: it has draw(kernel, out, ...)."""
    global generator
    generator = default


cdef struct Draw:
    const pydl_activation* k
    const char* x             # NULL: only the mask is drawn
    char* y
    uint8_t* mask
    ptrdiff_t n, itemsize
    uint64_t key, offset, keep
    double scale


cdef void draw_piece(const void* job, ptrdiff_t piece) noexcept nogil:
    cdef const Draw* d = <const Draw*>job
    cdef ptrdiff_t at = piece * CHUNK, n = min(<ptrdiff_t>CHUNK, d.n - piece * CHUNK)
    cdef uint64_t offset = d.offset + <uint64_t>(at // PER_COUNTER)
    if d.x == NULL:
        d.k.dropout_mask(d.mask + at, n, d.key, offset, d.keep)
    else:
        d.k.dropout(d.x + at * d.itemsize, d.y + at * d.itemsize, d.mask + at, n, d.key, offset, d.keep, d.scale)


def draw_mask(TensorBase mask not None, key, offset, double p, TensorBase x, TensorBase y) -> int:
    """1 with probability 1 - p (to 2^-32), else 0, into a contiguous mask; with x and y, both contiguous, y = x mask / (1 - p) too.

    Returns the number of counters used."""
    cdef Draw d
    d.n = cnp.PyArray_SIZE(mask.a)
    if not is_contiguous(mask) or cnp.PyArray_ITEMSIZE(mask.a) != 1:
        raise TypeError(f"draw_mask: a contiguous mask of bytes is needed, not {mask.a.dtype}")
    if not 0 <= p < 1:
        raise ValueError(f"draw_mask: p must be at least 0 and below 1, not {p}")
    if (x is None) != (y is None):
        raise ValueError("draw_mask: x and y go together")
    if x is not None and not (is_contiguous(x) and is_contiguous(y) and cnp.PyArray_SIZE(x.a) == d.n == cnp.PyArray_SIZE(y.a)
                              and is_float(x) and cnp.PyArray_TYPE(x.a) == cnp.PyArray_TYPE(y.a)):
        raise ValueError("draw_mask: x and y must be contiguous, of one floating-point type and as large as the mask")
    d.k = <const pydl_activation*>table(x is not None and is_f64(x)).activation
    d.x = cnp.PyArray_BYTES(x.a) if x is not None else NULL
    d.y = cnp.PyArray_BYTES(y.a) if x is not None else NULL
    d.mask = <uint8_t*>cnp.PyArray_DATA(mask.a)
    d.itemsize = cnp.PyArray_ITEMSIZE(x.a) if x is not None else 0
    d.key, d.offset = key, offset
    d.keep = <uint64_t>((1 - p) * 4294967296.0 + 0.5)
    d.scale = 1 / (1 - p)
    run_pieces(draw_piece, &d, (d.n + CHUNK - 1) // CHUNK, d.n * NS_PER_ELEMENT)
    return (d.n + PER_COUNTER - 1) // PER_COUNTER


cdef TensorBase empty_mask(TensorBase x, bint features):
    """For one number an element, or one for each of the first two dimensions."""
    cdef cnp.npy_intp shape[64]
    cdef int i, ndim = cnp.PyArray_NDIM(x.a)
    for i in range(ndim):
        shape[i] = cnp.PyArray_DIMS(x.a)[i] if i < 2 or not features else 1
    return new(ndim, shape, cnp.NPY_BOOL)


cdef TensorBase masked(TensorBase x, TensorBase mask, const double* p, bint affine, TensorBase out):
    """out = x p[0] or 0, or with `affine` p[0] x + p[1] or 0 x + p[2], by the mask (broadcast); out may be x."""
    cdef const pydl_activation* k = <const pydl_activation*>table(is_f64(x)).activation
    apply_parameters(k.mask_affine if affine else k.mask_scale, out, x, mask, p, PICOSECONDS_PLAIN)
    return out


cdef int record(TensorBase out, TensorBase x, TensorBase mask, double scale, bint inplace) except -1:
    cdef MaskNode node
    if grad_enabled() and requires_grad(x):
        node = MaskNode.__new__(MaskNode)
        node.mask = mask
        node.scale = scale
        node.e0 = edge_of(x)
        if inplace:
            finish_inplace(x, node)
        else:
            attach(out, node)
    return 0


@cython.final
@cython.no_gc
cdef class MaskNode(Node):
    """dx = dy scale where the mask is 1, dy 0 elsewhere; itself recorded."""
    cdef TensorBase mask
    cdef double scale

    cdef object call(self, TensorBase dy):
        cdef double p[3]
        cdef TensorBase dx = new_like(dy), mask = self.mask     # kept: without the interpreter lock another thread may release the node
        p[0], p[1], p[2] = self.scale, 0, 0
        if mask is None:
            raise_released(self)
        masked(dy, mask, p, False, dx)
        record(dx, dy, mask, self.scale, False)
        return dx

    cdef int release(self) except -1:
        self.mask = None
        self.released = True
        return 0

    def name(self) -> str:
        return "DropoutBackward0"


def drop(str name not None, TensorBase x not None, double p, bint features, bint alpha, bint inplace) -> TensorBase:
    """Each element, or with `features` each channel, is dropped with probability p > 0.

    Kept ones are divided by 1 - p, dropped ones 0 x. `alpha`: dropped ones become selu's limit, then all are scaled and moved so that
    mean 0 and variance 1 stay."""
    cdef double q[3]
    cdef TensorBase out = x, mask
    if slots.recording and begins():
        out = drop(name, x, p, features, alpha, inplace)
        ends("drop_" if inplace else "drop", (x, name), out)
        return out
    if cnp.PyArray_SIZE(x.a) == 0:
        return x
    if not is_float(x):
        raise RuntimeError(f"{name}: result type Float can't be cast to the desired output type {x.dtype}")
    if inplace:
        check_inplace(x, name + "_")
    if not inplace:
        out = new_like(x)
    mask = empty_mask(x, features)
    q[0], q[1], q[2] = 1 / (1 - p) if p < 1 else 0, 0, 0
    if alpha and p < 1:
        q[0] = 1 / sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
        q[1] = ALPHA * q[0] * p
        q[2] = q[1] - ALPHA * q[0]
    if p == 1:
        mask.a.fill(0)
        masked(x, mask, q, False, out)
    elif not alpha and not features and is_contiguous(x) and is_contiguous(out):
        generator.draw(draw_mask, mask, p, x, out)
    else:
        generator.draw(draw_mask, mask, p, None, None)
        masked(x, mask, q, alpha, out)
    if inplace:
        x.s.version += 1
    record(out, x, mask, q[0], inplace)
    return out
