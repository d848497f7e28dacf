# SPDX-License-Identifier: BSD-3-Clause
"""Merging of dimensions, broadcasting, and the run of an elementwise kernel over arrays of any strides."""

from libc.stdint cimport int64_t, uint8_t

cimport numpy as cnp

from pydl._core.kernels cimport pydl_binary_fn, pydl_unary_fn, run_pieces, tick, tock
from pydl._core.tape cimport TensorBase, is_contiguous

from pydl._core.errors import ShapeError

cnp.import_array()

ctypedef void (*activation_fn)(const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t, const double*) noexcept nogil
ctypedef void (*activation_bwd_fn)(const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t, ptrdiff_t,
                                   const double*) noexcept nogil
ctypedef void (*where_fn)(const uint8_t*, ptrdiff_t, const void*, ptrdiff_t, const void*, ptrdiff_t, void*, ptrdiff_t,
                          ptrdiff_t) noexcept nogil

ctypedef void (*clamp_fn)(const void*, ptrdiff_t, double, double, void*, ptrdiff_t, ptrdiff_t) noexcept nogil

cdef enum:
    CLAMP = 6            # kind of a kernel: one input and two limits
    CHUNK = 16384        # elements that one thread takes at a time from a long run


cdef int loop_init(Loop* loop, int n_operands, int ndim, const cnp.npy_intp* shape) except -1:
    cdef int d
    if ndim > MAX_DIMS:
        raise ValueError(f"at most {MAX_DIMS} dimensions are supported, not {ndim}")
    loop.n_operands = n_operands
    loop.ndim = ndim
    for d in range(ndim):
        loop.shape[d] = shape[d]
    return 0


cdef void loop_operand(Loop* loop, int i, cnp.ndarray a, int ndim) noexcept:
    """Operand i is `a`, broadcast to the loop's shape (which it fits: see broadcast_shape)."""
    cdef int d, own = cnp.PyArray_NDIM(a), lead = ndim - own
    loop.data[i] = cnp.PyArray_BYTES(a)
    for d in range(ndim):
        if d < lead or cnp.PyArray_DIMS(a)[d - lead] == 1:
            loop.strides[i][d] = 0
        else:
            loop.strides[i][d] = cnp.PyArray_STRIDES(a)[d - lead]


cdef void loop_order(Loop* loop) noexcept:
    """Puts the dimensions in falling order of the output's strides, so that the innermost runs over neighbors."""
    cdef int d, i, at, n = 0
    cdef ptrdiff_t size, key
    cdef ptrdiff_t strides[MAX_OPERANDS]
    for d in range(loop.ndim):
        if loop.shape[d] == 1:
            continue
        size = loop.shape[d]
        key = abs(loop.strides[0][d])
        for i in range(loop.n_operands):
            strides[i] = loop.strides[i][d]
        at = n
        while at > 0 and abs(loop.strides[0][at - 1]) < key:
            loop.shape[at] = loop.shape[at - 1]
            for i in range(loop.n_operands):
                loop.strides[i][at] = loop.strides[i][at - 1]
            at -= 1
        loop.shape[at] = size
        for i in range(loop.n_operands):
            loop.strides[i][at] = strides[i]
        n += 1
    loop.ndim = n


cdef void loop_merge(Loop* loop) noexcept:
    """Drops dimensions of size 1, merges neighbors that are one run in every operand, and takes the last one as the run."""
    cdef int d, i, last = -1
    cdef bint merges
    loop_order(loop)
    loop.n_runs = 1
    for d in range(loop.ndim):
        merges = last >= 0
        if merges:
            for i in range(loop.n_operands):
                if loop.strides[i][last] != loop.strides[i][d] * loop.shape[d]:
                    merges = False
                    break
        if merges:
            loop.shape[last] *= loop.shape[d]
        else:
            last += 1
            loop.shape[last] = loop.shape[d]
        for i in range(loop.n_operands):
            loop.strides[i][last] = loop.strides[i][d]
    if last < 0:
        loop.ndim = 0
        loop.run = 1
        for i in range(loop.n_operands):
            loop.run_strides[i] = 0
        return
    loop.ndim = last
    loop.run = loop.shape[last]
    for i in range(loop.n_operands):
        loop.run_strides[i] = loop.strides[i][last]
    for d in range(last):
        loop.n_runs *= loop.shape[d]


cdef int broadcast_shape(str name, tuple arrays, cnp.npy_intp* shape) except -1:
    cdef int ndim = 0, d, lead
    cdef cnp.npy_intp size
    cdef cnp.ndarray a
    for a in arrays:
        ndim = max(ndim, cnp.PyArray_NDIM(a))
    if ndim > MAX_DIMS:
        raise ValueError(f"{name}: at most {MAX_DIMS} dimensions are supported, not {ndim}")
    for d in range(ndim):
        shape[d] = 1
    for a in arrays:
        lead = ndim - cnp.PyArray_NDIM(a)
        for d in range(lead, ndim):
            size = cnp.PyArray_DIMS(a)[d - lead]
            if size == shape[d] or size == 1:
                continue
            if shape[d] != 1:
                shapes = " and ".join([str((<object>x).shape) for x in arrays])
                raise ShapeError(f"{name}: shapes {shapes} do not broadcast: sizes {shape[d]} and {size} in dimension {d}")
            shape[d] = size
    return ndim


cdef ptrdiff_t offset_of_run(const Loop* p, int operand, ptrdiff_t run) noexcept nogil:
    cdef int d = p.ndim - 1
    cdef ptrdiff_t offset = 0
    while d > 0:
        offset += (run % p.shape[d]) * p.strides[operand][d]
        run //= p.shape[d]
        d -= 1
    return offset + run * p.strides[operand][0]


cdef void call_kernel(int kind, void* fn, const Loop* p, const ptrdiff_t* size, ptrdiff_t run, ptrdiff_t first, ptrdiff_t n) noexcept nogil:
    """Elements first..first+n of one run. kind: number of inputs, + 3 with parameters, or CLAMP; size: bytes an element of each
    operand."""
    cdef char* data[4]
    cdef ptrdiff_t stride[4]
    cdef int i
    for i in range(p.n_operands):
        data[i] = p.data[i] + first * p.run_strides[i]
        if p.ndim:
            data[i] += offset_of_run(p, i, run)
        stride[i] = p.run_strides[i] // size[i]
    if kind == 1:
        (<pydl_unary_fn*>fn)(data[1], stride[1], data[0], stride[0], n)
    elif kind == 2:
        (<pydl_binary_fn*>fn)(data[1], stride[1], data[2], stride[2], data[0], stride[0], n)
    elif kind == 4:
        (<activation_fn>fn)(data[1], stride[1], data[0], stride[0], n, p.parameters)
    elif kind == CLAMP:
        (<clamp_fn>fn)(data[1], stride[1], p.parameters[0], p.parameters[1], data[0], stride[0], n)
    elif kind == 5:
        (<activation_bwd_fn>fn)(data[1], stride[1], data[2], stride[2], data[0], stride[0], n, p.parameters)
    else:
        (<where_fn>fn)(
            <const uint8_t*>data[1], stride[1], data[2], stride[2], data[3], stride[3], data[0], stride[0], n)


cdef struct Job:
    int kind
    void* fn
    const Loop* loop
    const ptrdiff_t* size
    ptrdiff_t pieces          # of a run


cdef void run_piece(const void* job, ptrdiff_t i) noexcept nogil:
    cdef const Job* j = <const Job*>job
    cdef ptrdiff_t first = (i % j.pieces) * CHUNK
    call_kernel(j.kind, j.fn, j.loop, j.size, i // j.pieces, first, min(<ptrdiff_t>CHUNK, j.loop.run - first))


cdef void run_loop(int kind, void* fn, Loop* p, const ptrdiff_t* size, int picoseconds) noexcept:
    """Runs an elementwise kernel over all operands."""
    cdef Job j
    j.kind, j.fn, j.loop, j.size, j.pieces = kind, fn, p, size, (p.run + CHUNK - 1) // CHUNK
    run_pieces(run_piece, &j, j.pieces * p.n_runs, <double>p.run * <double>p.n_runs * picoseconds * 1e-3)


cdef int apply1(void* fn, TensorBase out, TensorBase x, int picoseconds) except -1:
    """out[i] = fn(x[i]); x has the shape of out."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef int64_t start
    if n == 0:
        return 0
    if n < CHUNK and is_contiguous(out) and is_contiguous(x):
        start = tick()
        (<pydl_unary_fn*>fn)(cnp.PyArray_DATA(x.a), 1, cnp.PyArray_DATA(out.a), 1, n)
        tock(start)
        return 0
    loop_init(&p, 2, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, x.a, p.ndim)
    loop_merge(&p)
    size[0] = size[1] = cnp.PyArray_ITEMSIZE(out.a)
    run_loop(1, fn, &p, size, picoseconds)
    return 0


cdef int apply2(void* fn, TensorBase out, TensorBase a, TensorBase b, int picoseconds) except -1:
    """out[i] = fn(a[i], b[i]); a and b broadcast to the shape of out; out may be bytes (comparison)."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef int64_t start
    if n == 0:
        return 0
    if (n < CHUNK and is_contiguous(out) and is_contiguous(a) and is_contiguous(b) and cnp.PyArray_SIZE(a.a) == n
            and cnp.PyArray_SIZE(b.a) == n):
        start = tick()
        (<pydl_binary_fn*>fn)(cnp.PyArray_DATA(a.a), 1, cnp.PyArray_DATA(b.a), 1, cnp.PyArray_DATA(out.a), 1, n)
        tock(start)
        return 0
    loop_init(&p, 3, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, a.a, p.ndim)
    loop_operand(&p, 2, b.a, p.ndim)
    loop_merge(&p)
    size[0] = cnp.PyArray_ITEMSIZE(out.a)
    size[1] = size[2] = cnp.PyArray_ITEMSIZE(a.a)
    run_loop(2, fn, &p, size, picoseconds)
    return 0


cdef int apply_parameters(void* fn, TensorBase out, TensorBase a, TensorBase b, const double* parameters, int picoseconds) except -1:
    """out[i] = fn(a[i]; parameters), or fn(a[i], b[i]; parameters) if b is not None; b may be bytes."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef int64_t start
    if n == 0:
        return 0
    if n < CHUNK and is_contiguous(out) and is_contiguous(a) and (b is None or (is_contiguous(b) and cnp.PyArray_SIZE(b.a) == n)):
        start = tick()
        if b is None:
            (<activation_fn>fn)(cnp.PyArray_DATA(a.a), 1, cnp.PyArray_DATA(out.a), 1, n, parameters)
        else:
            (<activation_bwd_fn>fn)(cnp.PyArray_DATA(a.a), 1, cnp.PyArray_DATA(b.a), 1, cnp.PyArray_DATA(out.a), 1, n, parameters)
        tock(start)
        return 0
    loop_init(&p, 2 if b is None else 3, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, a.a, p.ndim)
    size[0] = size[1] = cnp.PyArray_ITEMSIZE(out.a)
    if b is not None:
        loop_operand(&p, 2, b.a, p.ndim)
        size[2] = cnp.PyArray_ITEMSIZE(b.a)
    loop_merge(&p)
    p.parameters = parameters
    run_loop(4 if b is None else 5, fn, &p, size, picoseconds)
    return 0


cdef int apply3(void* fn, TensorBase out, TensorBase a, TensorBase b, TensorBase c, int picoseconds) except -1:
    """out[i] = fn(a[i], b[i], c[i]); all broadcast to the shape of out; a may be bytes."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    if cnp.PyArray_SIZE(out.a) == 0:
        return 0
    loop_init(&p, 4, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, a.a, p.ndim)
    loop_operand(&p, 2, b.a, p.ndim)
    loop_operand(&p, 3, c.a, p.ndim)
    loop_merge(&p)
    size[0] = size[2] = size[3] = cnp.PyArray_ITEMSIZE(out.a)
    size[1] = cnp.PyArray_ITEMSIZE(a.a)
    run_loop(3, fn, &p, size, picoseconds)
    return 0


cdef int apply_number(void* fn, TensorBase out, TensorBase x, double value, bint swapped) except -1:
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef ptrdiff_t n = cnp.PyArray_SIZE(out.a)
    cdef float single = <float>value
    cdef void* operand = <void*>&value if cnp.PyArray_ITEMSIZE(x.a) == 8 else <void*>&single
    cdef int i_x = 2 if swapped else 1, i_number = 1 if swapped else 2, d
    cdef int64_t start
    if n == 0:
        return 0
    if n < CHUNK and is_contiguous(x):
        start = tick()
        if swapped:
            (<pydl_binary_fn*>fn)(operand, 0, cnp.PyArray_DATA(x.a), 1, cnp.PyArray_DATA(out.a), 1, n)
        else:
            (<pydl_binary_fn*>fn)(cnp.PyArray_DATA(x.a), 1, operand, 0, cnp.PyArray_DATA(out.a), 1, n)
        tock(start)
        return 0
    loop_init(&p, 3, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, i_x, x.a, p.ndim)
    p.data[i_number] = <char*>operand
    for d in range(p.ndim):
        p.strides[i_number][d] = 0
    loop_merge(&p)
    size[0] = size[1] = size[2] = cnp.PyArray_ITEMSIZE(out.a)
    run_loop(2, fn, &p, size, PICOSECONDS_PLAIN)
    return 0


cdef int apply_clamp(void* fn, TensorBase out, TensorBase x, double lo, double hi) except -1:
    """out[i] = min(max(x[i], lo), hi)."""
    cdef Loop p
    cdef ptrdiff_t size[4]
    cdef double limits[2]
    if cnp.PyArray_SIZE(out.a) == 0:
        return 0
    loop_init(&p, 2, cnp.PyArray_NDIM(out.a), cnp.PyArray_DIMS(out.a))
    loop_operand(&p, 0, out.a, p.ndim)
    loop_operand(&p, 1, x.a, p.ndim)
    loop_merge(&p)
    limits[0], limits[1] = lo, hi
    p.parameters = limits
    size[0] = size[1] = cnp.PyArray_ITEMSIZE(out.a)
    run_loop(CLAMP, fn, &p, size, PICOSECONDS_PLAIN)
    return 0
