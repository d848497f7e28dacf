# SPDX-License-Identifier: BSD-3-Clause
"""The kernels of the normalisations against NumPy in long double, on every instruction set."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tests.kernel_calls import EACH, EACH_IDS, Array, Call, Out, lanes
from tests.kernel_calls_norm import wide

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
SHAPES = [(1, 1), (3, 2), (5, 9), (4, 33), (70, 65), (3, 1000), (250, 3), (2, 10_007)]
WIDE = np.longdouble


def matrix(shape: tuple[int, int], dtype: Any, seed: int = 0, scale: float = 1.0, mean: float = 0.0) -> Any:
    """Memory whose rows are one longer than the n columns seen; and the view of these."""
    rows, n = shape
    memory = (np.random.default_rng(seed).standard_normal((rows, n + 1)) * scale + mean).astype(dtype)
    return memory, memory[:, :n]


def moments(name: str, isa: str, dtype: Any, memory: Array, n: int) -> list[Array]:
    size = 1 if name.endswith("runs") else n
    return Call(f"norm.{name}", (memory, n + 1, len(memory), n, wide(size), wide(size))).run(isa, dtype)


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (3.0, 2.0), (1e4, 1e-2)])
def test_moments(isa: str, dtype: Any, shape: tuple[int, int], mean: float, scale: float) -> None:
    """Each sum rounds once per addition of a chain; the second pass is about a mean off by eps |mean| at most."""
    memory, x = matrix(shape, dtype, scale=scale, mean=mean)
    eps = float(np.finfo(dtype).eps)
    for name, axis, count in (("moments_runs", None, x.size), ("moments_cols", 0, len(x))):
        got_mean, got_m2 = moments(name, isa, dtype, memory, shape[1])
        exact = x.astype(WIDE)
        want = np.atleast_1d(exact.mean(axis))
        want_m2 = np.atleast_1d(np.square(exact - exact.mean(axis, keepdims=axis is not None)).sum(axis))
        spread = np.sqrt(want_m2 / count)
        off = np.abs(want) * eps * math.sqrt(count)  # of the first pass's mean
        bound = 4 * eps * math.sqrt(count) * (spread + off) + np.finfo(float).eps * 4 * abs(want)
        assert (np.abs(got_mean - want) <= bound).all()
        assert (np.abs(got_m2 - want_m2) <= 4 * eps * math.sqrt(count) * (want_m2 + count * off * off)).all()


@each
def test_a_channel_does_not_depend_on_its_place(isa: str, dtype: Any) -> None:
    """Sums of a column, and what is applied to an element: the same bits in any vector, tail or row."""
    rows, n = 37, 4 * lanes(isa, dtype) + 2 * lanes(isa, dtype) + 3
    memory, x = matrix((rows, n), dtype)
    other, dy = matrix((rows, n), dtype, seed=1)
    coefs = [np.random.default_rng(i).standard_normal(n).astype(dtype) for i in range(4)]
    together = moments("moments_cols", isa, dtype, memory, n)
    sums = Call("norm.grad_sums_cols", (other, memory, n + 1, rows, n, coefs[0], wide(n), wide(n))).run(isa, dtype)
    (affine,) = Call("norm.affine_cols", (memory, Out(memory * 0), n + 1, rows, n, *coefs[:3])).run(isa, dtype)
    (grad,) = Call("norm.grad_cols", (other, memory, Out(memory * 0), n + 1, rows, n, *coefs)).run(isa, dtype)
    for j in range(n):
        column, dcolumn = (np.ascontiguousarray(a[:, j]) for a in (x, dy))
        one = [c[j : j + 1].copy() for c in coefs]
        alone = Call("norm.moments_cols", (column, 1, rows, 1, wide(1), wide(1))).run(isa, dtype)
        assert [a[0] for a in alone] == [a[j] for a in together]
        alone = Call("norm.grad_sums_cols", (dcolumn, column, 1, rows, 1, one[0], wide(1), wide(1))).run(isa, dtype)
        assert [a[0] for a in alone] == [a[j] for a in sums]
        (run,) = Call("norm.affine_runs", (column, Out(column * 0), rows, 1, rows, *one[:3])).run(isa, dtype)
        assert run.tobytes() == np.ascontiguousarray(affine[:, j]).tobytes()
        (run,) = Call("norm.grad_runs", (dcolumn, column, Out(column * 0), rows, 1, rows, *one)).run(isa, dtype)
        assert run.tobytes() == np.ascontiguousarray(grad[:, j]).tobytes()


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradient_sums(isa: str, dtype: Any, shape: tuple[int, int]) -> None:
    rows, n = shape
    memory, x = matrix(shape, dtype)
    other, dy = matrix(shape, dtype, seed=1)
    shift = np.random.default_rng(2).standard_normal(n).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    for kind, axis, by, size in (("runs", None, shift[:1].copy(), 1), ("cols", 0, shift, n)):
        args = (other, memory, n + 1, rows, n, by, wide(size), wide(size))
        s1, s2 = Call(f"norm.grad_sums_{kind}", args).run(isa, dtype)
        g, d = dy.astype(WIDE), x.astype(WIDE) - by
        length = math.sqrt(x.size if axis is None else rows)
        assert (np.abs(s1 - g.sum(axis)) <= 4 * eps * length * np.sqrt(np.square(g).sum(axis))).all()
        assert (np.abs(s2 - (g * d).sum(axis)) <= 4 * eps * length * np.sqrt(np.square(g * d).sum(axis))).all()


@each
def test_folding_parts_gives_the_moments_of_the_whole(isa: str, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((4, 100)) * 1e-2 + 1e4
    cuts = [0, 1, 40, 41, 100]
    parts = [x[:, a:b] for a, b in itertools.pairwise(cuts)]
    count = np.diff(cuts).astype(float)
    mean = np.array([p.astype(WIDE).mean(1) for p in parts]).astype(float)
    m2 = np.array([(p.astype(WIDE).var(1) * p.shape[1]) for p in parts]).astype(float)
    want, want_m2 = x.astype(WIDE).mean(1), np.square(x.astype(WIDE) - x.astype(WIDE).mean(1, keepdims=True)).sum(1)
    for a, b, strides in ((mean, m2, (4, 1)), (mean.T.copy(), m2.T.copy(), (1, 4))):
        got, got_m2 = Call("norm.fold_moments", (4, strides[0], 4, strides[1], count, a, b, wide(4), wide(4))).run(
            isa, dtype
        )
        np.testing.assert_allclose(got, want.astype(float), rtol=1e-15)
        np.testing.assert_allclose(got_m2, want_m2.astype(float), rtol=1e-9)
    (total,) = Call("norm.fold_sums", (4, 4, 4, mean, wide(4))).run(isa, dtype)
    np.testing.assert_allclose(total, mean.sum(0), rtol=1e-15)


@each
def test_statistics_split_the_mean(isa: str, dtype: Any) -> None:
    """hi + lo is the mean beyond the element type; running statistics move by their share."""
    mean, m2 = np.array([1e4 + 1e-5, -0.3, 0.0]), np.array([8.0, 2.0, 0.0])
    outs = [Out(np.zeros(3, dtype)) for _ in range(3)]
    hi, lo, rstd = Call("norm.statistics", (3, 2.0, 1e-5, mean, m2, *outs)).run(isa, dtype)
    np.testing.assert_allclose(hi.astype(WIDE) + lo, mean, rtol=float(np.finfo(dtype).eps) ** 2 * 4, atol=0)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(m2 / 2 + 1e-5), rtol=float(np.finfo(dtype).eps))
    (running,) = Call("norm.running", (3, mean, 0.5, 0.25, Out(np.array([1, 2, 3], dtype)))).run(isa, dtype)
    np.testing.assert_allclose(running, 0.75 * np.array([1, 2, 3]) + 0.125 * mean, rtol=float(np.finfo(dtype).eps))


@each
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("centered", [1, 0])
def test_layer_rows(isa: str, dtype: Any, shape: tuple[int, int], centered: int) -> None:
    rows, n = shape
    memory, x = matrix(shape, dtype, mean=1.0)
    other, dy = matrix(shape, dtype, seed=1)
    rng = np.random.default_rng(2)
    w, b = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    per_row = [Out(np.zeros(rows, dtype)) for _ in range(3)]
    saved = per_row if centered else [None, None, per_row[2]]
    out = Out(np.full_like(memory, 7))
    y, *stats = Call(
        "norm.layer_rows", (memory, out, n + 1, rows, n, w, b if centered else None, 1e-3, centered, *saved)
    ).run(isa, dtype)
    exact = x.astype(WIDE)
    d = exact - exact.mean(1, keepdims=True) * centered
    rstd = 1 / np.sqrt(np.square(d).mean(1, keepdims=True) + WIDE(1e-3))
    h, eps = d * rstd, float(np.finfo(dtype).eps)
    bound = eps * math.sqrt(n) * 4
    assert (np.abs(y[:, :n] - (h * w + (b if centered else 0))) <= bound * (1 + np.abs(h * w).max())).all()
    assert (y[:, n:] == 7).all()
    given = stats if centered else [None, None, stats[0]]
    sums = Out(np.ones(n, dtype)), Out(np.ones(n, dtype))
    dx, dw, db = Call("norm.layer_rows_bwd", (other, memory, out, n + 1, rows, n, w, *given, centered, *sums)).run(
        isa, dtype
    )
    g = dy.astype(WIDE) * w
    want = rstd * (g - g.mean(1, keepdims=True) * centered - h * (g * h).mean(1, keepdims=True))
    assert (np.abs(dx[:, :n] - want) <= bound * (1 + np.abs(rstd * g).max())).all()
    assert (dx[:, n:] == 7).all()
    assert (np.abs(dw - 1 - (dy * h).sum(0)) <= bound * (2 + math.sqrt(rows) * np.abs(dy * h).max())).all()
    assert (np.abs(db - 1 - dy.astype(WIDE).sum(0)) <= bound * (2 + math.sqrt(rows) * np.abs(dy).max())).all()


@each
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_special_values_at_every_position(isa: str, dtype: Any, special: float) -> None:
    """NaN spreads over its channel or row and no further; an infinity gives an infinite mean and the variance NaN."""
    for n in (*range(1, 3 * lanes(isa, dtype) + 2),):
        for at in range(n):
            x = np.ones((1, n + 1), dtype)
            x[0, at] = special
            mean, m2 = moments("moments_runs", isa, dtype, x, n)
            np.testing.assert_array_equal(mean, [special])
            assert np.isnan(m2).all()
            mean, m2 = moments("moments_cols", isa, dtype, x, n)
            np.testing.assert_array_equal(mean, x[0, :n])
            assert np.isnan(m2[at]) and np.count_nonzero(np.isnan(m2)) == 1
            rows = np.concatenate([x, np.ones((1, n + 1), dtype)])
            outs = [Out(np.zeros(2, dtype)) for _ in range(3)]
            args = (rows, Out(np.zeros_like(rows)), n + 1, 2, n, None, None, 1e-5, 1)
            y = Call("norm.layer_rows", (*args, *outs)).run(isa, dtype)[0][:, :n]
            assert np.isnan(y[0]).all() and (y[1] == 0).all()


@each
def test_window_sum(isa: str, dtype: Any) -> None:
    x = np.random.default_rng(0).standard_normal((6, 37)).astype(dtype)
    for below, above in ((0, 0), (1, 2), (9, 0), (9, 9)):
        (y,) = Call("norm.window_sum", (x, Out(x * 0), 6, 37, below, above)).run(isa, dtype)
        want = np.array([x[max(0, c - below) : c + above + 1].astype(WIDE).sum(0) for c in range(6)])
        assert np.abs(y - want).max() <= 8 * np.finfo(dtype).eps * np.abs(x).max() * 6
