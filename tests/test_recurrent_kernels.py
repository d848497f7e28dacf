# SPDX-License-Identifier: BSD-3-Clause
"""The recurrent layers' kernels on every instruction set: gates against NumPy, one or two rows times panels."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from pydl._core import kernels
from tests.kernel_calls import EACH, EACH_IDS, TYPES, Array, Call, Guards, Out, lanes
from tests.kernel_calls_recurrent import Blocks, recurrent_calls

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
WIDE = np.longdouble


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def view(memory: Array, rows: int, n: int, step: int) -> Array:
    """The rows x n elements of memory whose rows are `step` apart, in long double."""
    return np.lib.stride_tricks.as_strided(memory, (rows, n), (step * memory.itemsize, memory.itemsize)).astype(WIDE)


def near(got: Array, want: Array, dtype: Any) -> None:
    bound = 8 * float(np.finfo(dtype).eps)
    assert np.abs(got - want).max() <= bound * max(1.0, float(np.abs(want).max()))


@each
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (2, 7), (3, 16), (5, 33)], ids=str)
def test_gates_of_the_lstm(isa: str, dtype: Any, rows: int, n: int) -> None:
    b = Blocks(rows, n, dtype, np.random.default_rng(n))
    pre, c_prev, ld, ldg = (b.gates(4) - 0.5).astype(dtype) * 8, b.units(), b.ld, 4 * b.gate
    outs = [Out(b.units()) for _ in range(3)]
    wrote = (outs[0], ld, outs[1], ld, outs[2], ld)
    g, *memory = Call("recurrent.lstm_fwd", (rows, n, Out(pre), ldg, b.gate, c_prev, ld, *wrote)).run(isa, dtype)
    c, tc, h = (view(m, rows, n, ld) for m in memory)
    i, f, z, o = (view(pre[k * b.gate :], rows, n, ldg) for k in range(4))
    i, f, z, o = sigmoid(i), sigmoid(f), np.tanh(z), sigmoid(o)
    for k, gate in enumerate((i, f, z, o)):
        near(view(g[k * b.gate :], rows, n, ldg), gate, dtype)
    cell = f * view(c_prev, rows, n, ld) + i * z
    near(c, cell, dtype)
    near(tc, np.tanh(cell), dtype)
    near(h, o * np.tanh(cell), dtype)


@each
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (3, 16), (4, 35)], ids=str)
def test_gates_of_the_gru(isa: str, dtype: Any, rows: int, n: int) -> None:
    b = Blocks(rows, n, dtype, np.random.default_rng(n))
    pre, hn, before, ld, ldg = (b.gates(3) - 0.5).astype(dtype) * 8, b.units(), b.units(), b.ld, 3 * b.gate
    args = (rows, n, Out(pre), ldg, b.gate, hn, ld, before, ld, Out(b.units()), ld)
    _, h = Call("recurrent.gru_fwd", args).run(isa, dtype)
    r, z, x = (view(pre[k * b.gate :], rows, n, ldg) for k in range(3))
    h_prev = view(before, rows, n, ld)
    new = np.tanh(x + sigmoid(r) * view(hn, rows, n, ld))
    near(view(h, rows, n, ld), new + sigmoid(z) * (h_prev - new), dtype)
    args = (rows, n, Out(pre), ldg, b.gate, before, ld, Out(b.units()), ld)
    half, rh = Call("recurrent.gru_reset", args).run(isa, dtype)
    near(view(rh, rows, n, ld), sigmoid(r) * h_prev, dtype)
    _, h = Call("recurrent.gru_update", (rows, n, Out(half), *args[3:])).run(isa, dtype)
    near(view(h, rows, n, ld), np.tanh(x) + sigmoid(z) * (h_prev - np.tanh(x)), dtype)


@each
def test_an_element_has_the_same_bits_in_any_place(isa: str, dtype: Any) -> None:
    """Of a vector or its tail: n units at once and one by one."""
    n = 3 * lanes(isa, dtype) + 1
    for call in recurrent_calls(n, dtype, np.random.default_rng(0)):
        if call.args[0] != 1:
            continue
        together = call.run(isa, dtype)

        def from_unit(u: int, value: Any) -> Any:
            if isinstance(value, Out):
                return Out(value.start[u:])
            return value[u:] if isinstance(value, np.ndarray) else value

        for u in (0, 1, lanes(isa, dtype), n - 1):
            args = [from_unit(u, a) for a in call.args]
            args[1] = 1
            for whole, alone in zip(together, Call(call.name, tuple(args)).run(isa, dtype), strict=True):
                assert whole[u : u + 1].tobytes() == alone[:1].tobytes(), call.name


def kernel(isa: str, dtype: Any, name: str, signature: str) -> Any:
    kind = ctypes.CFUNCTYPE(None, *(TYPES[c] for c in signature))
    return kind(kernels.address(isa, np.dtype(dtype) == np.float64, name))


@each
@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("at_end", [True, False])
def test_thin_products_have_the_bits_of_the_tiles(isa: str, dtype: Any, m: int, at_end: bool) -> None:
    nr = lanes(isa, dtype) * (3 if isa in ("base", "neon") else 2)
    thin = kernel(isa, dtype, "recurrent.thin", "nnnpnpnpnpi")
    tiles = kernel(isa, dtype, "gemm.block", "nnnnpnnnnpnnnpnpi")
    rng, place = np.random.default_rng(m), Guards(at_end, 8, 1 << 19)
    for n in (1, nr - 1, nr, nr + 1, 3 * nr, 4 * nr, 5 * nr + 3, 9 * nr):
        for k in (1, 3, 128, 129, 300):
            panels = -(-n // nr)
            a, b = (rng.standard_normal(s).astype(dtype) for s in ((m - 1) * (k + 2) + k, panels * k * nr))
            bias, c = (rng.standard_normal(s).astype(dtype) for s in (n, (m - 1) * (n + 1) + n))
            for flags, with_bias in ((0, False), (1, False), (0, True), (1, True)):
                arrays = [place(v) for v in (a, b, bias, c, c)]
                pa, pb, pbias, pc, pd = (v.ctypes.data for v in arrays)
                pbias = pbias if with_bias else None
                thin(m, n, k, pa, k + 2, pb, k * nr, pc, n + 1, pbias, flags)
                tiles(m, n, k, 1, pa, k + 2, 1, 0, 0, pb, nr, k * nr, 0, pd, n + 1, pbias, flags | 4)
                ours, wanted = arrays[3].copy(), arrays[4].copy()
                assert place.reset(), (n, k)
                assert ours.tobytes() == wanted.tobytes(), (n, k, flags)
                exact = (a[:k].astype(WIDE) @ b.reshape(panels, k, nr).astype(WIDE)).reshape(-1)[:n]
                exact = exact + (c[:n] if flags else 0) + (bias if with_bias else 0)
                scale = float(np.finfo(dtype).eps) * 8 * np.sqrt(k) * max(1.0, float(np.abs(exact).max()))
                assert np.abs(ours[:n] - exact).max() <= scale
