# SPDX-License-Identifier: BSD-3-Clause
"""The kernels that read rows through an index, on every instruction set: values, order of additions, bits, NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernel_calls import EACH, EACH_IDS, Call, Out, lanes
from tests.kernel_calls_gather import ROWS, combine_call, combine_rows, copy_call, copy_rows, runs_of

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)


@each
def test_copy_moves_rows(isa: str, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    for n in (*range(1, 3 * lanes(isa, dtype) + 2), 130):
        for m in (0, 1, 2, 9, 40):
            for gap in (0, 2):
                call = copy_call(rng, m, n, gap, m % 2 == 0, dtype)
                (y,) = call.run(isa, dtype)
                assert y.tobytes() == copy_rows(*call.args).tobytes(), (n, m, gap)


@each
def test_copy_keeps_every_bit(isa: str, dtype: Any) -> None:
    """Payloads of NaN too: integers of the same width travel by this kernel."""
    kind = {4: np.int32, 8: np.int64}[np.dtype(dtype).itemsize]
    bits = np.random.default_rng(2).integers(np.iinfo(kind).min, np.iinfo(kind).max, 3 * 37, kind)
    bits[::5] = np.array([np.nan], dtype).view(kind)[0] | 5
    for n in (1, 2, 3, 37):
        index = np.array([2, -1, 0, 1])
        fill = np.array([-7], kind).view(dtype)
        rows = bits[: 3 * n].reshape(3, n)
        for runs in (None, runs_of(index)):
            args = (bits.view(dtype), n, index, runs, 4, n, fill, Out(np.zeros(4 * n, dtype)), n)
            (y,) = Call("gather.copy", args).run(isa, dtype)
            np.testing.assert_array_equal(y.view(kind).reshape(4, n), [rows[2], np.full(n, -7), rows[0], rows[1]])


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_combine_sums_rows(isa: str, dtype: Any, weighted: bool) -> None:
    rng, eps = np.random.default_rng(3), float(np.finfo(dtype).eps)
    for n in (*range(1, 3 * lanes(isa, dtype) + 2), 8 * lanes(isa, dtype) + 3):
        for lengths in ([], [0], [1], [3, 0, 2], [1, 129, 4], [500]):
            call = combine_call(rng, n, n % 3, lengths, weighted, dtype)
            (y,) = call.run(isa, dtype)
            exact = combine_rows(*call.args)
            bound = 2 * eps * np.sqrt(max([1, *lengths])) * max(1.0, float(np.abs(exact).max(initial=0)))
            assert np.abs(y - exact).max(initial=0) <= bound, (n, lengths)


@each
def test_an_element_has_the_same_bits_alone_and_in_a_row(isa: str, dtype: Any) -> None:
    rng = np.random.default_rng(4)
    n, lengths = 9 * lanes(isa, dtype) + 5, [1, 2, 4, 300, 0]
    for weighted in (False, True):
        call = combine_call(rng, n, 0, lengths, weighted, dtype)
        (whole,) = call.run(isa, dtype)
        x, ldx, start, index, weight, m, _, _, _ = call.args
        for k in (0, 1, 3, n // 2, n - 1):
            for wide in (1, 2, 3):
                if k + wide > n:
                    continue
                out = Out(np.zeros(m * wide, dtype))
                (y,) = Call("gather.combine", (x[k:].copy(), ldx, start, index, weight, m, wide, out, wide)).run(
                    isa, dtype
                )
                assert y.tobytes() == whole.reshape(m, n)[:, k : k + wide].tobytes()


@each
def test_long_sums_stay_accurate(isa: str, dtype: Any) -> None:
    """One million terms of 0.1: 6e-5 off in float32, where a plain chain is off by 1e-2."""
    n = 1_000_000
    x, start = np.full(ROWS, 0.1, dtype), np.array([0, n])
    for wide in (1, 3):
        args = (x, 1, start, np.zeros(n, np.int64), None, 1, wide, Out(np.zeros(wide, dtype)), wide)
        (y,) = Call("gather.combine", args).run(isa, dtype)
        exact = float(x[0]) * n
        assert abs(float(y[0]) - exact) <= exact * (1e-4 if dtype is np.float32 else 1e-12)


@each
def test_nan_and_infinity_spread(isa: str, dtype: Any) -> None:
    for n in range(1, 2 * lanes(isa, dtype) + 2):
        for k in range(n):
            x = np.ones((ROWS, n), dtype)
            x[1, k], x[2, k] = np.nan, np.inf
            start, index = np.array([0, 1, 3, 4]), np.array([0, 0, 2, 2])
            weight = np.array([1, 1, 0.5, 0], dtype)
            args = (x, n, start, index, weight, 3, n, Out(np.zeros(3 * n, dtype)), n)
            (y,) = Call("gather.combine", args).run(isa, dtype)
            y = y.reshape(3, n)
            assert y[0, k] == 1 and y[1, k] == np.inf and np.isnan(y[2, k])
            assert np.isfinite(np.delete(y, k, 1)).all()


@each
def test_order_is_a_stable_sort(isa: str, dtype: Any) -> None:
    rng = np.random.default_rng(5)
    for n in (0, 1, 2, 17, 1000):
        for rows in (1, 3, 50):
            index = rng.integers(0, rows, n)
            outs = Out(np.zeros(rows + 1, np.int64)), Out(np.zeros(n, np.int64))
            start, order = Call("gather.order", (index, n, rows, *outs)).run(isa, dtype)
            np.testing.assert_array_equal(order, np.argsort(index, kind="stable"))
            np.testing.assert_array_equal(start, np.searchsorted(np.sort(index), np.arange(rows + 1)))
