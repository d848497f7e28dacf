# SPDX-License-Identifier: BSD-3-Clause
"""The compiled modules reduce and softmax: dims, layouts, threads, checks before writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pydl._core import cross_entropy, kernels, reduce, softmax
from pydl._core.errors import ShapeError
from pydl._core.tape import wrap

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = [np.float32, np.float64]
SHAPES = [(), (1,), (7,), (100_000,), (3, 4), (3, 70_000), (70_000, 3), (5, 1, 7), (2, 33, 100), (0, 3), (4, 0, 2)]


@pytest.fixture
def threads() -> Iterator[None]:
    before = kernels.get_num_threads()
    yield
    kernels.set_num_threads(before)


def array(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def layouts(a: Array) -> list[Array]:
    """The same values in other strides."""
    wide = np.zeros((*a.shape[:-1], a.shape[-1] * 2), a.dtype)
    wide[..., ::2] = a
    return [a, np.asfortranarray(a), wide[..., ::2], a[..., ::-1].copy()[..., ::-1]]


# --- extrema ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_extrema_along_each_dim(shape: tuple[int, ...], dtype: Any) -> None:
    x = np.round(array(shape, dtype) * 2)
    for dim in range(x.ndim):
        for keepdim in (False, True):
            for along, which in ((reduce.max_along, "max"), (reduce.min_along, "min")):
                if shape[dim] == 0 and x.size == 0 and np.delete(shape, dim).prod() != 0:
                    with pytest.raises(IndexError, match="no elements"):
                        along(wrap(x), dim, keepdim)
                    continue
                values, indices = along(wrap(x), dim, keepdim)
                if shape[dim] == 0:
                    assert values.array.size == 0 and indices.array.size == 0
                    continue
                np.testing.assert_array_equal(indices.array, getattr(np, f"arg{which}")(x, axis=dim, keepdims=keepdim))
                np.testing.assert_array_equal(values.array, getattr(x, which)(axis=dim, keepdims=keepdim))


@pytest.mark.parametrize("dtype", DTYPES)
def test_extrema_over_several_dims(dtype: Any) -> None:
    x = array((3, 4, 5, 6), dtype)
    for a in (*layouts(x), x.transpose(2, 0, 3, 1)):
        for dims in ((), (0,), (1, 2), (0, 3), (0, 1, 2, 3), (2, 0)):
            for keepdim in (False, True):
                np.testing.assert_array_equal(
                    reduce.amax(wrap(a), dims, keepdim).array, a.max(axis=dims, keepdims=keepdim)
                )
                np.testing.assert_array_equal(
                    reduce.amin(wrap(a), dims, keepdim).array, a.min(axis=dims, keepdims=keepdim)
                )
    number = wrap(np.array(3, dtype))
    assert reduce.amax(number, (), False).array == 3 and reduce.max_along(number, 0, False)[1].array == 0


def test_first_index_and_nan_across_chunks(threads: None) -> None:
    n = 200_000
    for n_threads in (1, 3):
        kernels.set_num_threads(n_threads)
        x = np.zeros(n, np.float32)
        x[[150_000, 40_000, 190_000]] = 5
        assert reduce.max_along(wrap(x), 0, False)[1].array == 40_000
        x[[180_000, 120_000]] = np.nan
        values, index = reduce.max_along(wrap(x), 0, False)
        assert index.array == 120_000 and np.isnan(values.array)


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match="float32"):
        reduce.amax(wrap(np.arange(3)), (0,), False)
    with pytest.raises(TypeError, match="float32"):
        softmax.softmax_fwd(wrap(np.arange(3)), 0)


# --- softmax ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax_along_each_dim(shape: tuple[int, ...], dtype: Any) -> None:
    x, dy = array(shape, dtype), array(shape, dtype, 1)
    eps = np.finfo(dtype).eps
    for dim in range(max(x.ndim, 1)):
        y = softmax.softmax_fwd(wrap(x), dim)
        log_y = softmax.log_softmax_fwd(wrap(x), dim)
        assert y.array.shape == log_y.array.shape == shape
        if x.size == 0:
            continue
        axis = dim if x.ndim else None
        e = np.exp(x.astype(np.longdouble) - x.max(axis=axis, keepdims=True))
        want = e / e.sum(axis=axis, keepdims=True)
        np.testing.assert_allclose(y.array, want, rtol=20 * eps)
        np.testing.assert_allclose(log_y.array, np.log(want), rtol=20 * eps, atol=20 * eps)
        dx = softmax.softmax_bwd(wrap(dy), y, dim).array
        wide_y, wide_dy = y.array.astype(np.longdouble), dy.astype(np.longdouble)
        np.testing.assert_allclose(
            dx, wide_y * (wide_dy - (wide_y * wide_dy).sum(axis, keepdims=True)), rtol=0, atol=20 * eps
        )
        dx = softmax.log_softmax_bwd(wrap(dy), log_y, dim).array
        total = wide_dy.sum(axis, keepdims=True)
        np.testing.assert_allclose(dx, wide_dy - want * total, rtol=20 * eps, atol=20 * eps * (1 + np.abs(total).max()))


def test_layouts_and_threads_give_the_same_bits(threads: None) -> None:
    x, dy = array((300, 700), np.float32), array((300, 700), np.float32, 1)
    seen = set()
    for n_threads in (1, 2, 3):
        kernels.set_num_threads(n_threads)
        for a in layouts(x):
            y = softmax.softmax_fwd(wrap(a), 1)
            parts = [
                y,
                softmax.softmax_bwd(wrap(dy), y, 1),
                softmax.log_softmax_fwd(wrap(a), 1),
                reduce.amax(wrap(a), (0,), False),
            ]
            seen.add(b"".join(np.ascontiguousarray(p.array).tobytes() for p in parts))
    assert len(seen) == 1


def test_softmax_checks() -> None:
    x = wrap(np.zeros((2, 3), np.float32))
    for dim in (-1, 2):
        with pytest.raises(IndexError):
            softmax.softmax_fwd(x, dim)
    with pytest.raises(ShapeError):
        softmax.softmax_bwd(x, wrap(np.zeros((3, 2), np.float32)), 0)
    with pytest.raises(ShapeError):
        softmax.softmax_bwd(x, wrap(np.zeros((2, 3))), 0)


# --- cross-entropy ----------------------------------------------------------------------------------------------------


def loss_of(
    x: Array, target: Array, reduction: str = "mean", weight: Array | None = None, smoothing: float = 0.0
) -> Any:
    return cross_entropy.cross_entropy_fwd(
        wrap(x), wrap(target), None if weight is None else wrap(weight), -100, smoothing, reduction, True
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_cross_entropy_reductions(dtype: Any, reduction: str, threads: None) -> None:
    rng = np.random.default_rng(0)
    x, target, weight = array((300, 200), dtype), rng.integers(0, 200, 300), rng.uniform(0.5, 2, 200).astype(dtype)
    target[::7] = -100
    results = []
    for n_threads in (1, 2, 3):
        kernels.set_num_threads(n_threads)
        for a, t in ((x, target), (np.asfortranarray(x), np.repeat(target, 2)[::2])):
            loss, exps, sums, total = loss_of(a, t, reduction, weight, 0.1)
            dy = np.full(loss.array.shape, 0.7, dtype)
            args = (exps, sums, wrap(t), wrap(weight), -100, 0.1, reduction, total)
            dx = cross_entropy.cross_entropy_bwd(wrap(dy), *args)
            results.append(loss.array.tobytes() + dx.array.tobytes())
    assert len(set(results)) == 1
    each = loss_of(x, target, "none", weight, 0.1)[0].array.astype(np.float64)
    weights = np.where(target == -100, 0, weight[np.maximum(target, 0)].astype(np.float64)).sum()
    want = {"none": each, "sum": each.sum(), "mean": each.sum() / weights}[reduction]
    np.testing.assert_allclose(loss.array, want, rtol=30 * np.finfo(dtype).eps)
    scale = 1 / weights if reduction == "mean" else 1
    alone = cross_entropy.cross_entropy_bwd(wrap(np.full(300, 0.7 * scale, dtype)), *args[:-2], "none", 0.0).array
    np.testing.assert_allclose(dx.array, alone, rtol=0, atol=4 * np.finfo(dtype).eps * np.abs(alone).max())


def test_nothing_to_average() -> None:
    ignored = np.full(3, -100)
    loss, exps, sums, total = loss_of(array((3, 4), np.float32), ignored)
    assert np.isnan(loss.array) and total == 0
    dx = cross_entropy.cross_entropy_bwd(
        wrap(np.float32(1).reshape(())), exps, sums, wrap(ignored), None, -100, 0.0, "mean", total
    )
    assert (dx.array == 0).all()
    assert loss_of(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), "sum")[0].array == 0
    assert loss_of(np.zeros((3, 0), np.float32), ignored, "none")[0].array.tolist() == [0, 0, 0]


@pytest.mark.parametrize("bad", [-1, 4, -101, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_bad_targets_forward_and_backward(bad: int) -> None:
    x, target = array((5, 4), np.float32), np.array([0, 3, -100, 1, 2])
    loss, exps, sums, total = loss_of(x, target)
    target[3] = bad
    with pytest.raises(IndexError, match=f"Target {bad} is out of bounds: position 3, 4 classes"):
        loss_of(x, target)
    with pytest.raises(IndexError, match=f"Target {bad} is out of bounds"):
        cross_entropy.cross_entropy_bwd(loss, exps, sums, wrap(target), None, -100, 0.0, "mean", total)


def test_cross_entropy_checks() -> None:
    x, target = array((5, 4), np.float32), np.zeros(5, np.int64)
    for bad_x, bad_target, weight, error in (
        (x[0], target, None, ShapeError),
        (x, target[:4], None, ShapeError),
        (x, target.astype(np.int32), None, TypeError),
        (x, target, np.ones(3, np.float32), ShapeError),
        (x, target, np.ones(4), ShapeError),
        (x.astype(np.int64), target, None, TypeError),
    ):
        with pytest.raises(error):
            loss_of(bad_x, bad_target, "mean", weight)
