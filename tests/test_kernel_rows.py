# SPDX-License-Identifier: BSD-3-Clause
"""Reductions, softmax, cross-entropy and optimizers of every instruction set against NumPy in higher precision."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.kernel_calls import EACH, EACH_IDS, Array, Call, Out, lanes

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
SHAPES = [(1, 1), (3, 2), (5, 9), (4, 33), (70, 65), (3, 1000), (1000, 3), (2, 10_007), (10_007, 2)]
WIDE = np.longdouble


def matrix(shape: tuple[int, int], dtype: Any, seed: int = 0, scale: float = 1.0) -> tuple[Array, Array, int]:
    """Memory, the rows × n view on it, and the distance of its rows, one more than n."""
    rows, n = shape
    memory = (np.random.default_rng(seed).standard_normal((rows, n + 1)) * scale).astype(dtype)
    return memory, memory[:, :n], n + 1


# --- sums -----------------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums(isa: str, dtype: Any, shape: tuple[int, int]) -> None:
    """The error is at most half a unit for each level of the tree and for each addition within a block."""
    memory, x, ld = matrix(shape, dtype)
    for name, axis in (("reduce.sum_rows", 1), ("reduce.sum_cols", 0)):
        (got,) = Call(name, (memory, ld, *shape, Out(np.full(shape[1 - axis], 7, dtype)))).run(isa, dtype)
        bound = np.finfo(dtype).eps * 6 * np.sqrt(np.square(x.astype(WIDE)).sum(axis)) * math.log2(shape[axis] + 1)
        assert (np.abs(got - x.astype(WIDE).sum(axis)) <= bound + np.finfo(dtype).tiny).all()


@each
def test_long_sums_stay_accurate(isa: str, dtype: Any) -> None:
    n = 3_000_001
    x = np.full(n, 0.1, dtype)
    for name, ld, sizes in (("reduce.sum_rows", n, (1, n)), ("reduce.sum_cols", 1, (n, 1))):
        (got,) = Call(name, (x, ld, *sizes, Out(np.zeros(1, dtype)))).run(isa, dtype)
        assert abs(float(got[0]) - n * float(x[0])) <= 8 * np.finfo(dtype).eps * n * 0.1, name


@each
def test_order_of_additions_depends_on_the_length_alone(isa: str, dtype: Any) -> None:
    for n in (5, 100, 3000):
        memory, x, ld = matrix((6, n), dtype)
        (together,) = Call("reduce.sum_rows", (memory, ld, 6, n, Out(np.zeros(6, dtype)))).run(isa, dtype)
        one = [Call("reduce.sum_rows", (row.copy(), n, 1, n, Out(np.zeros(1, dtype)))) for row in x]
        alone = [call.run(isa, dtype)[0] for call in one]
        assert together.tobytes() == np.concatenate(alone).tobytes()
        columns = np.ascontiguousarray(x.T)
        (wide,) = Call("reduce.sum_cols", (columns, 6, n, 6, Out(np.zeros(6, dtype)))).run(isa, dtype)
        one = [Call("reduce.sum_cols", (row.copy(), 1, n, 1, Out(np.zeros(1, dtype)))) for row in x]
        narrow = [call.run(isa, dtype)[0] for call in one]
        assert wide.tobytes() == np.concatenate(narrow).tobytes()


@each
def test_special_sums(isa: str, dtype: Any) -> None:
    for name in ("reduce.sum_rows", "reduce.sum_cols"):
        sizes = (2, 0) if name == "reduce.sum_rows" else (0, 2)
        (got,) = Call(name, (np.zeros(1, dtype), 1, *sizes, Out(np.full(2, 7, dtype)))).run(isa, dtype)
        assert got.tolist() == [0, 0]
    for n in range(1, 3 * lanes(isa, dtype) + 2):
        for at in range(n):
            x = np.ones(n, dtype)
            for value in (np.nan, np.inf, -np.inf):
                x[at] = value
                (got,) = Call("reduce.sum_rows", (x, n, 1, n, Out(np.zeros(1, dtype)))).run(isa, dtype)
                np.testing.assert_array_equal(got, [value])


# --- max and min ----------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("nans", [0, 3])
def test_extremes(isa: str, dtype: Any, shape: tuple[int, int], nans: int) -> None:
    memory, x, ld = matrix(shape, dtype, scale=2)
    np.round(memory, out=memory)  # many equal elements
    rng = np.random.default_rng(1)
    x[rng.integers(0, shape[0], nans), rng.integers(0, shape[1], nans)] = np.nan
    for which, axis in ((w, a) for w in ("max", "min") for a in (0, 1)):
        name, size = f"reduce.{which}_{('cols', 'rows')[axis]}", shape[1 - axis]
        outs = Out(np.full(size, 7, dtype)), Out(np.full(size, -1, np.int64))
        values, indices = Call(name, (memory, ld, *shape, *outs)).run(isa, dtype)
        np.testing.assert_array_equal(indices, getattr(np, f"arg{which}")(x, axis=axis))
        np.testing.assert_array_equal(values, getattr(np, which)(x, axis=axis))
        (values,) = Call(name, (memory, ld, *shape, outs[0], None)).run(isa, dtype)
        np.testing.assert_array_equal(values, getattr(np, which)(x, axis=axis))


@each
@pytest.mark.parametrize("which", ["max", "min"])
def test_extremes_at_every_position(isa: str, dtype: Any, which: str) -> None:
    sign = 1 if which == "max" else -1
    for n in range(1, 3 * lanes(isa, dtype) + 2):
        for at in range(n):
            for value, rest in (
                (np.nan, sign * np.inf),
                (sign * np.inf, 1),
                (0.0, -sign),
                (-sign * np.inf, -sign * np.inf),
            ):
                x = np.full(n, rest, dtype)
                x[at] = value
                for name, ld, sizes in ((f"reduce.{which}_rows", n, (1, n)), (f"reduce.{which}_cols", 1, (n, 1))):
                    outs = Out(np.zeros(1, dtype)), Out(np.zeros(1, np.int64))
                    values, indices = Call(name, (x, ld, *sizes, *outs)).run(isa, dtype)
                    np.testing.assert_array_equal(values, [value])
                    assert indices[0] == (0 if value == rest else at)


@each
def test_extremes_of_more_rows_than_a_block(isa: str, dtype: Any) -> None:
    n = 2 * (1 << 20) + 3
    for at, also in ((n - 1, n - 1), (1 << 20, n - 2), (5, 1 << 20)):
        x = np.zeros((n, 1), dtype)
        x[[at, also]] = 3
        outs = Out(np.zeros(1, dtype)), Out(np.zeros(1, np.int64))
        values, indices = Call("reduce.max_cols", (x, 1, n, 1, *outs)).run(isa, dtype)
        assert (values[0], indices[0]) == (3, at)


# --- softmax --------------------------------------------------------------------------------------------------------


def softmax(x: Array) -> tuple[Array, Array]:
    """softmax and its logarithm along the rows, in long double."""
    shifted = x.astype(WIDE) - x.max(1, keepdims=True)
    total = np.exp(shifted).sum(1, keepdims=True)
    return np.exp(shifted) / total, shifted - np.log(total)


def run_rows(name: str, isa: str, dtype: Any, *arrays: tuple[Array, int], n: int) -> Array:
    """A kernel from matrices (memory, distance of rows) to a matrix like the first one."""
    memory, ld = arrays[0]
    args = [v for pair in arrays for v in pair]
    (out,) = Call(name, (*args, Out(np.full_like(memory, 7)), ld, len(memory), n)).run(isa, dtype)
    assert (out[:, n:] == 7).all()
    return out[:, :n]


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("scale", [1.0, 10.0, 1e4])
def test_softmax(isa: str, dtype: Any, shape: tuple[int, int], scale: float) -> None:
    """x - max rounds once, which moves e^(x - max) by |x - max| eps/2; the sum has log n roundings, all else a few."""
    memory, x, ld = matrix(shape, dtype, scale=scale)
    eps, n = float(np.finfo(dtype).eps), shape[1]
    p, log_p = softmax(x)
    spread = np.abs(x - x.max(1, keepdims=True)).astype(WIDE)
    y = run_rows("softmax.rows", isa, dtype, (memory, ld), n=n)
    assert (np.abs(y - p) <= eps * (6 + spread) * p + np.finfo(dtype).smallest_subnormal * 2).all()
    log_y = run_rows("softmax.log_rows", isa, dtype, (memory, ld), n=n)
    assert (np.abs(log_y - log_p) <= eps * (3 * (1 + np.abs(log_p)) + math.log2(n) / 2)).all()

    dy_memory, dy, _ = matrix(shape, dtype, seed=1)
    y_memory = np.ascontiguousarray(np.pad(y, ((0, 0), (0, 1))))
    dx = run_rows("softmax.rows_bwd", isa, dtype, (dy_memory, ld), (y_memory, ld), n=n)
    wide_y, wide_dy = y.astype(WIDE), dy.astype(WIDE)
    dot = (wide_y * wide_dy).sum(1, keepdims=True)
    assert (
        np.abs(dx - wide_y * (wide_dy - dot)) <= eps * 8 * wide_y * (np.abs(wide_dy) + 3) + np.finfo(dtype).tiny
    ).all()
    log_memory = np.ascontiguousarray(np.pad(log_y, ((0, 0), (0, 1))))
    dx = run_rows("softmax.log_rows_bwd", isa, dtype, (dy_memory, ld), (log_memory, ld), n=n)
    total, q = wide_dy.sum(1, keepdims=True), np.exp(log_y.astype(WIDE))
    allowed = eps * (np.abs(wide_dy) + q * (4 * np.abs(total) + 6 * math.log2(n + 1) * math.sqrt(n)))
    assert (np.abs(dx - (wide_dy - q * total)) <= allowed).all()


@each
@pytest.mark.parametrize("n", [1, 5, 16, 37])
def test_special_rows(isa: str, dtype: Any, n: int) -> None:
    """NaN, +inf, or nothing but -inf: all NaN; a single -inf: probability 0; at every position."""
    rows = np.tile(np.arange(n) % 5, (n, 1)).astype(dtype)
    diagonal = np.arange(n)
    for value in (np.nan, np.inf, -np.inf):
        x = rows.copy()
        x[diagonal, diagonal] = value
        y = run_rows("softmax.rows", isa, dtype, (x, n), n=n)
        log_y = run_rows("softmax.log_rows", isa, dtype, (x, n), n=n)
        if value == -np.inf and n > 1:
            assert (y[diagonal, diagonal] == 0).all() and (log_y[diagonal, diagonal] == -np.inf).all()
            assert np.abs(y.sum(1) - 1).max() < 4 * np.finfo(dtype).eps
        else:
            assert np.isnan(y).all() and np.isnan(log_y).all()
    x = np.full((2, n), -np.inf, dtype)
    assert np.isnan(run_rows("softmax.rows", isa, dtype, (x, n), n=n)).all()


@each
def test_softmax_in_place(isa: str, dtype: Any) -> None:
    _, x, _ = matrix((4, 37), dtype)
    x = np.ascontiguousarray(x)
    for name in ("softmax.rows", "softmax.log_rows"):
        want, data = run_rows(name, isa, dtype, (x, 37), n=37), x.copy()
        Call(name, (data.ctypes.data, 37, data.ctypes.data, 37, 4, 37)).run(isa, dtype)
        assert data.tobytes() == want.tobytes()


# --- cross-entropy --------------------------------------------------------------------------------------------------


def cross_entropy(x: Array, target: Array, weight: Array | None, smoothing: float) -> tuple[Array, Array, Array]:
    """Losses, their derivatives and the rows' weights in long double; target -100 is ignored."""
    n, rows = x.shape[1], np.arange(len(x))
    p, log_p = softmax(x)
    w = np.ones(n, WIDE) if weight is None else weight.astype(WIDE)
    used = (target != -100).astype(WIDE)
    at = np.maximum(target, 0)
    a = WIDE(smoothing)
    row_weight = w[at] * used
    smooth = -(w * log_p).sum(1) * a / n if smoothing else 0
    loss = (1 - a) * row_weight * -log_p[rows, at] + smooth * used
    one_hot = np.zeros_like(p)
    one_hot[rows, at] = 1
    dx = (1 - a) * row_weight[:, None] * (p - one_hot) + a / n * (w.sum() * p - w) * used[:, None]
    return loss, dx, row_weight


@each
@pytest.mark.parametrize("shape", [(1, 1), (5, 2), (7, 10), (64, 33), (3, 5000)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cross_entropy(
    isa: str, dtype: Any, shape: tuple[int, int], weighted: bool, smoothing: float, scale: float
) -> None:
    rng = np.random.default_rng(2)
    memory, x, ld = matrix(shape, dtype, scale=scale)
    rows, n = shape
    target = rng.integers(0, n, rows)
    target[2::3] = -100
    weight = rng.uniform(0.5, 2, n).astype(dtype) if weighted else None
    g = rng.standard_normal(rows).astype(dtype)
    want, dwant, want_weight = cross_entropy(x, target, weight, dtype(smoothing))
    per_row = [Out(np.full(rows, 7, dtype)) for _ in range(3)]
    head = (memory, ld, target, 1, rows, n, weight, -100, smoothing, *per_row[:2])
    args = (*head, Out(np.full_like(memory, 7)), ld, per_row[2])
    loss, row_weight, e, sums = Call("softmax.cross_entropy", args).run(isa, dtype)
    eps = float(np.finfo(dtype).eps)
    spread = float(np.abs(x - x.max(1, keepdims=True)).max())
    assert (np.abs(loss - want) <= eps * (8 * np.abs(want) + 4 + spread)).all()
    np.testing.assert_array_equal(row_weight, want_weight.astype(dtype))
    same, _ = Call("softmax.cross_entropy", (*head, None, 0, None)).run(isa, dtype)
    assert same.tobytes() == loss.tobytes(), "the loss does not depend on whether the backward pass will come"

    data = e.copy()  # dx may be exactly e
    args = (data.ctypes.data, ld, sums, target, 1, rows, n, weight, -100, smoothing, g, 1, data.ctypes.data, ld)
    Call("softmax.cross_entropy_bwd", args).run(isa, dtype)
    p = softmax(x)[0]
    allowed = eps * np.abs(g)[:, None] * (np.abs(dwant) + p * 2 * (10 + np.minimum(spread, 100)) + 2)
    assert (np.abs(data[:, :n] - g[:, None].astype(WIDE) * dwant) <= allowed).all()
    assert (data[target == -100, :n] == 0).all() and (data[:, n:] == 7).all()


@each
def test_targets_are_checked(isa: str, dtype: Any) -> None:
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    for bad in (least, -101, -99, -1, 10, most):
        for at in (0, 3, 6):
            target = np.array([0, 9, -100, 5, 4, -100, 1])
            assert Call("softmax.target_check", (target, 1, 7, 10, -100)).run(isa, dtype)[0] == -1
            target[at] = bad
            assert Call("softmax.target_check", (target, 1, 7, 10, -100)).run(isa, dtype)[0] == at
            assert Call("softmax.target_check", (np.repeat(target, 2), 2, 7, 10, -100)).run(isa, dtype)[0] == at
    assert Call("softmax.target_check", (np.array([most]), 1, 1, 3, most)).run(isa, dtype)[0] == -1
