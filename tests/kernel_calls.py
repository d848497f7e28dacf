# SPDX-License-Identifier: BSD-3-Clause
"""Calls of single kernels through their addresses: what each takes, and where its arrays lie."""

from __future__ import annotations

import ctypes
import functools
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pydl._core import kernels

Array = np.ndarray[Any, np.dtype[Any]]

# p: pointer, n: ptrdiff_t, l: int64_t, d: double, i: int
SIGNATURES = {
    "unary": "pnpnn",
    "binary": "pnpnpnn",
    "compare": "pnpnpnn",
    "eltwise.add_scaled": "pnpndpnn",
    "eltwise.clamp": "pnddpnn",
    "eltwise.where": "pnpnpnpnn",
    "eltwise.fill": "pndn",
    "reduce.sum_rows": "pnnnp",
    "reduce.sum_cols": "pnnnp",
    "reduce.max_rows": "pnnnpp",
    "reduce.min_rows": "pnnnpp",
    "reduce.max_cols": "pnnnpp",
    "reduce.min_cols": "pnnnpp",
    "softmax.rows": "pnpnnn",
    "softmax.log_rows": "pnpnnn",
    "softmax.rows_bwd": "pnpnpnnn",
    "softmax.log_rows_bwd": "pnpnpnnn",
    "softmax.target_check": "pnnll",
    "softmax.cross_entropy": "pnpnnnpldpppnp",
    "softmax.cross_entropy_bwd": "pnppnnnpldpnpn",
    "activation_fwd": "pnpnnp",
    "activation_bwd": "pnpnpnnp",
    "activation.prelu": "pnpnpnn",
    "activation.prelu_bwd": "pnpnpnpnn",
    "activation.glu": "pnpnpnn",
    "activation.glu_bwd": "pnpnpnpnn",
    "activation.dropout": "pppnllld",
    "activation.dropout_mask": "pnlll",
    "activation.mask_scale": "pnpnpnnp",
    "activation.mask_affine": "pnpnpnnp",
    "conv.pack": "ppp",
    "conv.unpack": "ppnp",
    "conv.pack_taps": "ppp",
    "conv.add_taps": "ppnnnnpn",
    "conv.gather": "ppnnnnnpn",
    "conv.lines": "ppnnnnpn",
    "conv.pack_pixels": "nnpnnpn",
    "conv.scatter": "pnnnppn",
    "conv.repeat": "nnnpp",
    "conv.fold": "nnnpp",
    "conv.depthwise": "ppppnnp",
    "conv.depthwise_weight": "pppnnp",
    "gather.copy": "pnppnnppn",
    "gather.combine": "pnpppnnpn",
    "gather.order": "pnnpp",
    "layout.transpose": "nnpnpn",
    "pool.max_fwd": "ppnpp",
    "pool.max_bwd": "pppnp",
    "pool.max_scatter": "pppp",
    "pool.max_take": "pppnp",
    "pool.max_places": "ppnp",
    "pool.max_whole": "ppnpp",
    "pool.avg_fwd": "ppnp",
    "pool.avg_bwd": "ppnp",
    "pool.avg_scatter": "ppp",
    "pool.avg_whole": "ppnp",
    "pool.place_check": "pnl",
    "pool.place_store": "ppnp",
    "pool.place_add": "ppnp",
    "pool.place_take": "ppnp",
    "update": "ppppppn",
    "update.sum_squares": "pn",
    "update.sum_abs": "pn",
    "update.max_abs": "pn",
    "fma_chains": "np",
}
TYPES = {"p": ctypes.c_void_p, "n": ctypes.c_ssize_t, "l": ctypes.c_int64, "d": ctypes.c_double, "i": ctypes.c_int}
RESULTS = {
    "softmax.target_check": ctypes.c_ssize_t, "fma_chains": ctypes.c_double, "update.sum_squares": ctypes.c_double,
    "pool.place_check": ctypes.c_ssize_t,
    "update.sum_abs": ctypes.c_double, "update.max_abs": ctypes.c_double,
}  # fmt: skip

DTYPES = [np.float32, np.float64]
EACH = [(isa, dtype) for isa in kernels.isas() for dtype in DTYPES]  # what every test of a kernel runs through
EACH_IDS = [f"{isa}-{np.dtype(dtype)}" for isa, dtype in EACH]


def lanes(isa: str, dtype: Any) -> int:
    """Elements in a vector."""
    return {"avx512": 64, "avx2": 32}.get(isa, 16) // np.dtype(dtype).itemsize


def signature(name: str) -> str:
    """Of the kernel, or of all those of its list: unary, binary, compare, activation."""
    return SIGNATURES[name if name in SIGNATURES else name.partition(".")[0]]


@functools.cache
def function(isa: str, dtype: Any, name: str) -> Any:
    """The kernel as a callable that takes addresses and numbers."""
    kind = ctypes.CFUNCTYPE(RESULTS.get(name), *(TYPES[c] for c in signature(name)))
    return kind(kernels.address(isa, np.dtype(dtype) == np.float64, name))


@dataclass
class Out:
    """An array that a kernel writes; `start` is what is in it before."""

    start: Array


@dataclass
class Call:
    """One call: arguments are arrays that are read, Outs, numbers and None."""

    name: str
    args: tuple[Any, ...]

    def run(self, isa: str, dtype: Any, place: Any = None) -> list[Array]:
        """Calls the kernel on copies of the arrays made by `place`; returns those it wrote."""
        place = place or (lambda a: a.copy())
        outs, values, keep = [], [], []
        for arg in self.args:
            if isinstance(arg, Out):
                a = place(arg.start)
                outs.append(a)
                values.append(a.ctypes.data)
            elif isinstance(arg, np.ndarray):
                keep.append(place(arg))
                values.append(keep[-1].ctypes.data)
            elif isinstance(arg, ctypes.Structure):
                values.append(ctypes.addressof(arg))
            else:
                values.append(arg)
        result = function(isa, dtype, self.name)(*values)
        return [*outs, np.asarray(result)] if result is not None else outs


CANARY = 0xA5


class Guard:
    """Memory between two pages that must not be touched. Arrays lie flush against the one behind or in front."""

    def __init__(self, at_end: bool, n_bytes: int) -> None:
        page = mmap.PAGESIZE
        self.at_end = at_end
        self.size = -(-n_bytes // page) * page
        self.map = mmap.mmap(-1, self.size + 2 * page)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self.map)) + page
        libc = ctypes.CDLL(None, use_errno=True)
        for at in (self.start - page, self.start + self.size):
            if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(page), 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = np.ctypeslib.as_array((ctypes.c_ubyte * self.size).from_address(self.start))
        self.used = slice(0, 0)

    def put(self, a: Array) -> Array:
        """A copy of `a` (contiguous) in place, the rest filled with a pattern."""
        self.bytes[:] = CANARY
        self.used = slice(self.size - a.nbytes, self.size) if self.at_end else slice(0, a.nbytes)
        inside = self.bytes[self.used].view(a.dtype).reshape(a.shape)
        inside[...] = a
        return inside

    def intact(self) -> bool:
        """Whether nothing outside of the array was written."""
        return bool((self.bytes[: self.used.start] == CANARY).all() and (self.bytes[self.used.stop :] == CANARY).all())


class Guards:
    """`place` for Call.run: every array of the call between guard pages of its own."""

    def __init__(self, at_end: bool, n_arrays: int = 14, n_bytes: int = mmap.PAGESIZE) -> None:
        self.all = [Guard(at_end, n_bytes) for _ in range(n_arrays)]
        self.n_used = 0

    def __call__(self, a: Array) -> Array:
        self.n_used += 1
        return self.all[self.n_used - 1].put(np.ascontiguousarray(a))

    def reset(self) -> bool:
        """Forgets the arrays; whether nothing outside of them was written."""
        used, self.n_used = self.all[: self.n_used], 0
        return all(guard.intact() for guard in used)


def elementwise_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every elementwise kernel on n elements with the strides 0, 1 and 2."""
    names = kernels.entries()
    for sx, sy in ((1, 1), (0, 1), (2, 1), (1, 2), (2, 2)):
        x, other = (strided(rng, n, s, dtype) for s in (sx, 1))
        y = Out(np.zeros(max(1, n * sy) if n else 0, dtype))
        mask, byte_y = (rng.random(max(n, 1)) < 0.5).astype(np.uint8), Out(np.zeros(y.start.size, np.uint8))
        for name in names:
            kind = name.partition(".")[0]
            if kind == "unary":
                yield Call(name, (x, sx, y, sy, n))
            elif kind == "binary":
                yield Call(name, (x, sx, other, 1, y, sy, n))
                yield Call(name, (other, 1, x, sx, y, sy, n))
            elif kind == "compare":
                yield Call(name, (x, sx, other, 1, byte_y, sy, n))
        yield Call("eltwise.add_scaled", (x, sx, other, 1, 0.3, y, sy, n))
        yield Call("eltwise.clamp", (x, sx, -0.5, 0.5, y, sy, n))
        yield Call("eltwise.where", (mask, 1, x, sx, other, 1, y, sy, n))
        yield Call("eltwise.fill", (y, sy, 1.5, n))


def strided(rng: np.random.Generator, n: int, stride: int, dtype: Any) -> Array:
    """Memory for n elements `stride` apart; the last one is the last of the memory."""
    size = 0 if n == 0 else (n - 1) * stride + 1
    return (rng.random(size) * 3 + 0.1).astype(dtype)


def row_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Reductions, softmax and cross-entropy on rows and columns of n elements; rows end where the memory ends."""
    rows, ld = 3, n + 1
    x, dy = (rng.standard_normal((rows - 1) * ld + n).astype(dtype) for _ in range(2))
    square, per_row = Out(np.zeros(x.size, dtype)), Out(np.zeros(rows, dtype))
    for name in ("reduce.sum_rows", "reduce.sum_cols"):
        yield Call(name, (x, ld, rows, n, per_row if name == "reduce.sum_rows" else Out(np.zeros(n, dtype))))
    yield Call("reduce.sum_cols", (x[: (n - 1) * 2 + 1 if n else 0], 2, n, 1, Out(np.zeros(1, dtype))))
    yield Call("softmax.target_check", (rng.integers(0, 9, n), 1, n, 9, -100))
    transposed = Out(np.zeros((n - 1) * (rows + 1) + rows if n else 0, dtype))
    yield Call("layout.transpose", (rows, n, x, ld, transposed, rows + 1))
    if n == 0:
        return
    for name in ("reduce.max_rows", "reduce.min_rows", "reduce.max_cols", "reduce.min_cols"):
        for want in (False, True):
            m = rows if name.endswith("rows") else n
            yield Call(name, (x, ld, rows, n, Out(np.zeros(m, dtype)), Out(np.zeros(m, np.int64)) if want else None))
    for name in ("softmax.rows", "softmax.log_rows"):
        yield Call(name, (x, ld, square, ld, rows, n))
        yield Call(f"{name}_bwd", (dy, ld, x, ld, square, ld, rows, n))
    target, weight = rng.integers(0, n, rows), rng.random(n).astype(dtype)
    target[1] = -100
    for w in (None, weight):
        for smoothing in (0.0, 0.1):
            for saved in (square, None):
                sums = Out(np.zeros(rows, dtype)) if saved else None
                outs = (per_row, Out(np.zeros(rows, dtype)), saved, ld, sums)
                yield Call("softmax.cross_entropy", (x, ld, target, 1, rows, n, w, -100, smoothing, *outs))
            sums = rng.random(rows).astype(dtype) + 1
            outs = (rng.random(rows).astype(dtype), 1, square, ld)
            yield Call("softmax.cross_entropy_bwd", (x, ld, sums, target, 1, rows, n, w, -100, smoothing, *outs))
