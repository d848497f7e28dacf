# SPDX-License-Identifier: BSD-3-Clause
"""The windows of pooling: where each begins, which of its elements exist, which windows hold an input element."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stddef cimport size_t


cdef class Geometry:
    """The windows of a pooling over one to three spatial dimensions: where each begins and which of its elements exist."""

    def __cinit__(self):
        self.tables = NULL

    def __init__(self, tuple in_sizes not None, tuple out_sizes not None, tuple kernel, tuple stride, tuple padding, tuple dilation,
                 bint include_pad=True, double divisor=0):
        """kernel None: adaptive windows, window o from floor(o·in/out) to ceil((o + 1)·in/out)."""
        cdef Py_ssize_t missing = 3 - len(in_sizes), i
        cdef ptrdiff_t* room
        cdef pydl_windows* windows[3]
        if self.tables != NULL or not 1 <= len(in_sizes) <= 3 or len(out_sizes) != len(in_sizes):
            raise ValueError(f"pooling: {in_sizes} to {out_sizes}: one to three sizes of each are needed")
        for sizes, least in ((in_sizes, 1), (out_sizes, 0), (kernel, 1), (stride, 1), (padding, 0), (dilation, 1)):
            if sizes is not None and (len(sizes) != len(in_sizes) or min(sizes) < least):
                raise ValueError(f"pooling: {sizes} must be {len(in_sizes)} numbers of at least {least}")
        self.in_sizes, self.out_sizes = in_sizes, out_sizes
        ins, outs = (1,) * missing + in_sizes, (1,) * missing + out_sizes
        if kernel is None:
            self.kernel = tuple([longest_window(n, m) for n, m in zip(in_sizes, out_sizes)])
        else:
            self.kernel = kernel
        kernels = (1,) * missing + self.kernel
        n_elements = kernels[0] * kernels[1] * kernels[2]
        n_words = n_elements + sum([2 * n + 4 * m for n, m in zip(ins, outs)])
        if n_elements >= 2**31 or n_words >= 2**40:
            raise MemoryError(f"pooling: windows {tuple(self.kernel)} over {in_sizes} are too large")
        self.n_elements = n_elements
        self.tables = <ptrdiff_t*>PyMem_Malloc(<size_t>n_words * sizeof(ptrdiff_t))
        if self.tables == NULL:
            raise MemoryError()
        room = self.tables
        windows[0], windows[1], windows[2] = &self.g.d, &self.g.h, &self.g.w
        for i in range(3):
            j = i - missing
            windows[i].n_in, windows[i].n_out, windows[i].kernel = ins[i], outs[i], kernels[i]
            windows[i].dilation, windows[i].stride = 1, 1
            if kernel is None or j < 0:
                room = fill_adaptive(windows[i], room)
            else:
                windows[i].stride, windows[i].dilation = stride[j], dilation[j]
                room = fill_regular(windows[i], room, padding[j], include_pad)
        fill_offsets(&self.g, room)
        self.g.offset = room
        self.g.divisor = divisor
        self.g.index_bytes = 1 if n_elements <= 256 else 2 if n_elements <= 32768 else 4

    def __dealloc__(self):
        PyMem_Free(self.tables)

    def __repr__(self) -> str:
        return f"<pooling of {self.in_sizes} to {self.out_sizes} by windows of up to {self.kernel}>"


cdef object longest_window(object n, object m):
    """No adaptive window of m over n elements is longer; exact where m divides n."""
    if m == 0:
        return 1
    if n * m >= 2**62:
        raise MemoryError(f"pooling: {m} windows over {n} elements are too many")
    return n // m if n % m == 0 else min(n, -(-n // m) + 1)


cdef ptrdiff_t* fill_ends(pydl_windows* w, ptrdiff_t* room, const ptrdiff_t* first, const ptrdiff_t* lo, const ptrdiff_t* hi,
                          bint regular) noexcept:
    """out_lo and out_hi of every input element, and the ranges of whole windows and of equal counts; the next free word."""
    cdef ptrdiff_t* out_lo = room
    cdef ptrdiff_t* out_hi = room + w.n_in
    cdef ptrdiff_t i, ended = 0, begun = 0, o
    for i in range(w.n_in):
        while ended < w.n_out and first[ended] + ((w.kernel - 1) * w.dilation + 1 if regular else hi[ended]) <= i:
            ended += 1
        while begun < w.n_out and first[begun] <= i:
            begun += 1
        out_lo[i], out_hi[i] = ended, begun
    w.full_lo, w.full_hi, w.even_lo, w.even_hi = 0, 0, 0, 0
    for o in range(w.n_out):
        if w.count[o] == w.kernel:
            if w.even_hi == 0:
                w.even_lo = o
            w.even_hi = o + 1
        if lo[o] == 0 and hi[o] == w.kernel:
            if w.full_hi == 0:
                w.full_lo = o
            w.full_hi = o + 1
    w.first, w.lo, w.hi, w.out_lo, w.out_hi = first, lo, hi, out_lo, out_hi
    return room + 2 * w.n_in


cdef ptrdiff_t* fill_regular(pydl_windows* w, ptrdiff_t* room, ptrdiff_t padding, bint include_pad) noexcept:
    cdef ptrdiff_t* first = room
    cdef ptrdiff_t* lo = first + w.n_out
    cdef ptrdiff_t* hi = lo + w.n_out
    cdef ptrdiff_t* count = hi + w.n_out
    cdef ptrdiff_t o, left
    for o in range(w.n_out):
        first[o] = o * w.stride - padding
        left = w.n_in - first[o]                # elements from here to the end of the input
        lo[o] = (-first[o] + w.dilation - 1) // w.dilation if first[o] < 0 else 0
        hi[o] = min(w.kernel, (left + w.dilation - 1) // w.dilation if left > 0 else 0)
        count[o] = min(w.kernel, left + padding) if include_pad else max(hi[o] - lo[o], <ptrdiff_t>0)
    w.count = count
    return fill_ends(w, count + w.n_out, first, lo, hi, True)


cdef ptrdiff_t* fill_adaptive(pydl_windows* w, ptrdiff_t* room) noexcept:
    cdef ptrdiff_t* first = room
    cdef ptrdiff_t* lo = first + w.n_out
    cdef ptrdiff_t* hi = lo + w.n_out
    cdef ptrdiff_t* count = hi + w.n_out
    cdef ptrdiff_t o
    for o in range(w.n_out):
        first[o] = o * w.n_in // w.n_out
        lo[o] = 0
        hi[o] = count[o] = ((o + 1) * w.n_in + w.n_out - 1) // w.n_out - first[o]
    w.count = count
    w.stride = w.n_in // w.n_out if w.n_out and w.n_in % w.n_out == 0 else 0
    return fill_ends(w, count + w.n_out, first, lo, hi, False)


cdef void fill_offsets(pydl_pool_geometry* g, ptrdiff_t* offset) noexcept:
    cdef ptrdiff_t kd, kh, kw, k = 0
    for kd in range(g.d.kernel):
        for kh in range(g.h.kernel):
            for kw in range(g.w.kernel):
                offset[k] = (kd * g.d.dilation * g.h.n_in + kh * g.h.dilation) * g.w.n_in + kw * g.w.dilation
                k += 1
