# SPDX-License-Identifier: BSD-3-Clause
"""What normalisations promise beyond their Cases: accuracy, formats, running statistics, only the gradients wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl._core import formats
from pydl._core import norm as kernels
from tests import reference_norms as reference

Array = np.ndarray[Any, Any]
DTYPES = [np.float32, np.float64]
SHAPES = [
    (4, 3, 5), (2, 5, 7, 7), (2, 33, 13, 13), (1, 100, 7, 9), (3, 17, 2, 3, 4), (2, 3, 130, 70), (40, 8, 3, 3),
    (3, 1, 31, 31),
]  # fmt: skip


def normal(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def own_format(x: Array) -> Any:
    return formats.in_own_format(pydl.from_numpy(x.copy()))


def batch(x: Any, w: Any, b: Any) -> Any:
    return F.batch_norm(x, None, None, w, b, training=True)


def fixed(x: Any, w: Any, b: Any) -> Any:
    mean = pydl.from_numpy(np.linspace(-1, 1, x.shape[1]).astype(x.dtype.np))
    return F.batch_norm(x, mean, mean * mean + 0.5, w, b)


def instance(x: Any, w: Any, b: Any) -> Any:
    return F.instance_norm(x, None, None, w, b)


def group(x: Any, w: Any, b: Any) -> Any:
    return F.group_norm(x, next(g for g in (4, 3, 2, 1) if x.shape[1] % g == 0), w, b)


NORMS: list[Callable[[Any, Any, Any], Any]] = [batch, fixed, instance, group]
norms = pytest.mark.parametrize("norm", NORMS, ids=lambda f: f.__name__)


def run(norm: Any, x: Any, dy: Array, w: Array, b: Array) -> list[Array]:
    """y, dx, dw, db."""
    x, pw, pb = x.requires_grad_(), pydl.from_numpy(w).requires_grad_(), pydl.from_numpy(b).requires_grad_()
    y = norm(x, pw, pb)
    grads = pydl.autograd.grad(y, (x, pw, pb), pydl.from_numpy(dy))
    return [v.detach().numpy().copy() for v in (y, *grads)]


# --- memory formats -------------------------------------------------------------------------------------------------


@norms
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_memory_formats_give_the_same(norm: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    """Not the same bits: the format chooses the order of the additions."""
    x, dy = normal(shape, dtype) + dtype(2), normal(shape, dtype, 1)
    w, b = normal(shape[1:2], dtype, 2), normal(shape[1:2], dtype, 3)
    plain, last = run(norm, pydl.from_numpy(x.copy()), dy, w, b), run(norm, own_format(x), dy, w, b)
    bound = 8 * float(np.finfo(dtype).eps) * np.sqrt(x.size / shape[1])
    for a, c in zip(plain, last, strict=True):
        assert np.abs(a - c).max() <= bound * max(1, np.abs(a).max())


@norms
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 5, 4), (2, 3, 2, 5, 4)], ids=str)
def test_the_librarys_own_format_is_kept(norm: Any, shape: tuple[int, ...]) -> None:
    x, w = normal(shape, np.float32), normal((3,), np.float32)
    y = norm(own_format(x), pydl.from_numpy(w), None)
    assert formats.has_own_format(y)
    assert y.is_contiguous()
    assert y.view(2, -1).shape[1] == y.numel() // 2
    assert not formats.has_own_format(norm(pydl.from_numpy(x), pydl.from_numpy(w), None))


@norms
def test_channels_last_of_the_user_is_kept(norm: Any) -> None:
    x = pydl.from_numpy(normal((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    y = norm(x, None, None)
    assert y.stride() == x.stride()
    assert not formats.has_own_format(y)


@norms
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("last", [False, True])
def test_any_number_of_threads_gives_the_same_bits(norm: Any, dtype: Any, last: bool, threads: None) -> None:
    for shape in ((3, 20, 61, 57), (2, 300, 17, 19), (1, 1, 300, 301), (900, 7, 3, 5)):
        x, dy = normal(shape, dtype), normal(shape, dtype, 1)
        w, b = normal(shape[1:2], dtype, 2), normal(shape[1:2], dtype, 3)
        results = []
        for n in (1, 2, 3):
            pydl.set_num_threads(n)
            results.append(run(norm, own_format(x) if last else pydl.from_numpy(x.copy()), dy, w, b))
        for other in results[1:]:
            assert all(p.tobytes() == q.tobytes() for p, q in zip(results[0], other, strict=True))


# --- accuracy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("norm", [batch, instance, group], ids=lambda f: f.__name__)
def test_a_mean_a_million_times_the_deviation(norm: Any, last: bool) -> None:
    """float32 against float64 from the same rounded numbers; E[x²] − mean² would have no digit left."""
    x = (normal((8, 6, 16, 16), np.float64) * 1e-2 + 1e4).astype(np.float32)
    dy, w, b = normal(x.shape, np.float32, 1), normal((6,), np.float32, 2), normal((6,), np.float32, 3)
    got = run(norm, own_format(x) if last else pydl.from_numpy(x.copy()), dy, w, b)
    exact = run(norm, pydl.from_numpy(x.astype(np.float64)), *(v.astype(np.float64) for v in (dy, w, b)))
    for a, c in zip(got, exact, strict=True):
        assert np.abs(a - c).max() <= 4e-6 * max(1, np.abs(c).max())


def test_rows_with_a_mean_a_million_times_the_deviation() -> None:
    x = (normal((50, 300), np.float64) * 1e-2 + 1e4).astype(np.float32)
    y = F.layer_norm(pydl.from_numpy(x), (300,)).numpy()
    assert np.abs(y - reference.layer_norm(x.astype(np.longdouble), (300,))).max() <= 4e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_two_values_far_from_zero(dtype: Any) -> None:
    """dx is a difference of nearly equal numbers: its error is of the size of eps w/σ dy."""
    x, dy = np.array([[3.25], [2.0]], dtype), np.array([[1.0], [0.5]], dtype)
    y, dx, dw, db = run(batch, pydl.from_numpy(x.copy()), dy, np.array([2], dtype), np.array([1], dtype))
    exact = run(batch, pydl.from_numpy(x.astype(np.float64)), dy.astype(float), np.array([2.0]), np.array([1.0]))
    eps = float(np.finfo(dtype).eps)
    for a, c, size in zip((y, dx, dw, db), exact, (3, 4, 2, 2), strict=True):
        assert np.abs(a - c).max() <= 4 * eps * size


@norms
def test_nan_stays_where_its_statistics_reach(norm: Any) -> None:
    """In sample 1, channel 2: its channel, its channel of that sample, its group (channels 2 and 3), or itself."""
    want = np.zeros((2, 6, 5, 3), bool)
    want[{batch: np.s_[:, 2], instance: np.s_[1, 2], group: np.s_[1, 2:4], fixed: np.s_[1, 2, 4, 1]}[norm]] = True
    for last in (False, True):
        x = normal((2, 6, 5, 3), np.float32)
        x[1, 2, 4, 1] = np.nan
        y = norm(own_format(x) if last else pydl.from_numpy(x), None, None).numpy()
        np.testing.assert_array_equal(np.isnan(y), want)


# --- running statistics ---------------------------------------------------------------------------------------------


def test_running_statistics_change_in_place_and_count_a_version() -> None:
    x = normal((4, 3, 5), np.float64)
    for call in (F.batch_norm, F.instance_norm):
        mean, var = pydl.zeros(3, dtype=pydl.float64), pydl.ones(3, dtype=pydl.float64)
        addresses, versions = (mean.data_ptr(), var.data_ptr()), (mean._version, var._version)
        call(pydl.from_numpy(x), mean, var, None, None, True, 0.3)
        assert (mean.data_ptr(), var.data_ptr()) == addresses
        assert (mean._version, var._version) == (versions[0] + 1, versions[1] + 1)
        dims = (0, 2) if call is F.batch_norm else (2,)
        want_mean, want_var = x.mean(dims), x.var(dims, ddof=1)
        if call is F.instance_norm:
            want_mean, want_var = want_mean.mean(0), want_var.mean(0)
        np.testing.assert_allclose(mean.numpy(), 0.3 * want_mean, rtol=1e-13)
        np.testing.assert_allclose(var.numpy(), 0.7 + 0.3 * want_var, rtol=1e-13)


def test_evaluation_leaves_the_running_statistics() -> None:
    mean, var = pydl.zeros(3), pydl.ones(3)
    F.batch_norm(pydl.randn(4, 3), mean, var)
    F.instance_norm(pydl.randn(4, 3, 5), mean, var, use_input_stats=False)
    assert mean._version == var._version == 0
    assert mean.tolist() == [0, 0, 0]


def test_strided_running_statistics_are_written_where_they_are() -> None:
    room = np.zeros((3, 2), np.float32)
    mean, var = pydl.from_numpy(room)[:, 0], pydl.from_numpy(room)[:, 1]
    x = pydl.from_numpy(normal((4, 3), np.float32) + 1)
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    np.testing.assert_allclose(room[:, 0], x.numpy().mean(0), rtol=1e-6)
    np.testing.assert_allclose(room[:, 1], x.numpy().var(0, ddof=1), rtol=1e-5)


def test_nothing_changes_when_a_check_fails() -> None:
    m = pydl.nn.BatchNorm1d(3)
    before = {k: v.clone() for k, v in m.state_dict().items()}
    bad: list[tuple[type[Exception], Any]] = [
        (ValueError, pydl.randn(1, 3)), (ValueError, pydl.randn(2, 3, 4, 5)), (RuntimeError, pydl.randn(2, 4)),
        (RuntimeError, pydl.randn(2, 3, dtype=pydl.float64)), (NotImplementedError, pydl.ones(2, 3, dtype=pydl.int64)),
    ]  # fmt: skip
    for kind, x in bad:
        with pytest.raises(kind):
            m(x)
    for name, value in m.state_dict().items():
        assert value.tolist() == before[name].tolist(), name


def test_read_only_running_statistics_are_refused_before_anything_is_written() -> None:
    frozen = np.ones(3, np.float32)
    frozen.flags.writeable = False
    mean = pydl.zeros(3)
    with pytest.raises(RuntimeError, match="read-only"):
        F.batch_norm(pydl.randn(4, 3), mean, pydl.from_numpy(frozen), training=True)
    assert mean.tolist() == [0, 0, 0]


def test_cumulative_average_is_that_of_all_batches() -> None:
    m = pydl.nn.BatchNorm1d(3, momentum=None).double()
    batches = [normal((5, 3), np.float64, seed) + seed for seed in range(4)]
    for x in batches:
        m(pydl.from_numpy(x))
    assert m.num_batches_tracked.item() == 4
    np.testing.assert_allclose(m.running_mean.numpy(), np.mean([x.mean(0) for x in batches], 0), rtol=1e-12)
    np.testing.assert_allclose(m.running_var.numpy(), np.mean([x.var(0, ddof=1) for x in batches], 0), rtol=1e-12)


def test_changing_the_running_statistics_does_not_spoil_an_earlier_graph() -> None:
    x, mean, var = pydl.randn(4, 3).requires_grad_(), pydl.zeros(3), pydl.ones(3)
    y = F.batch_norm(x, mean, var, eps=0.0)
    F.batch_norm(pydl.randn(4, 3), mean, var, training=True)
    y.sum().backward()
    assert x.grad.tolist() == [[1.0] * 3] * 4


# --- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("needs", [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
def test_only_what_is_needed_is_computed(training: bool, needs: tuple[int, int, int]) -> None:
    x, dy, w = (pydl.from_numpy(normal(s, np.float32, i)) for i, s in enumerate(((4, 3, 5), (4, 3, 5), (3,))))
    mean = pydl.zeros(3)
    _, stats = kernels.batch_norm_fwd(x, mean, mean + 1, w, None, training, 0.1, 1e-5)
    full = kernels.batch_norm_bwd(dy, x, stats, w, training, True, True, True)
    some = kernels.batch_norm_bwd(dy, x, stats, w, training, *map(bool, needs))
    for need, a, b in zip(needs, some, full, strict=True):
        assert (a is None) == (not need)
        assert a is None or a.numpy().tobytes() == b.numpy().tobytes()


@norms
def test_frozen_parameters_get_no_gradient(norm: Any) -> None:
    x, w, b = pydl.randn(4, 4, 3).requires_grad_(), pydl.ones(4), pydl.zeros(4).requires_grad_()
    norm(x, w, b).square().sum().backward()
    assert w.grad is None and b.grad is not None and x.grad is not None
    w, x = w.requires_grad_(), x.detach()
    norm(x, w, None).square().sum().backward()
    assert w.grad is not None and x.grad is None


def test_a_bias_without_weight_in_group_norm() -> None:
    x, b = normal((2, 6, 5), np.float64), normal((6,), np.float64, 1)
    px, pb = pydl.from_numpy(x).requires_grad_(), pydl.from_numpy(b).requires_grad_()
    y = F.group_norm(px, 3, None, pb)
    np.testing.assert_allclose(y.detach().numpy(), reference.group_norm(x, 3, None, b), rtol=1e-12)
    assert pydl.autograd.gradcheck(lambda x, b: F.group_norm(x, 3, None, b), (px, pb))
    assert pydl.autograd.gradgradcheck(lambda x, b: F.group_norm(x, 3, None, b), (px, pb))


@norms
@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 4, 0), (2, 0, 4)], ids=str)
def test_nothing_in_nothing_out(norm: Any, shape: tuple[int, ...]) -> None:
    """An empty batch leaves the running statistics; the parameters' gradients are 0."""
    if norm is group and shape[1] == 0:
        pytest.skip("no number of groups divides no channels usefully")
    x, c = pydl.zeros(*shape).requires_grad_(), shape[1]
    w, b = pydl.ones(c).requires_grad_(), pydl.zeros(c).requires_grad_()
    norm(x, w, b).sum().backward()
    assert tuple(x.grad.shape) == shape
    assert w.grad.tolist() == b.grad.tolist() == [0.0] * c
    mean, var = pydl.zeros(c), pydl.ones(c)
    F.batch_norm(x, mean, var, training=True)
    assert var.tolist() == [1.0] * c


@norms
def test_double_backward_in_the_librarys_own_format(norm: Any) -> None:
    x = normal((2, 3, 2, 3), np.float64)
    w, b = (pydl.from_numpy(normal((3,), np.float64, i)).requires_grad_() for i in (1, 2))
    assert pydl.autograd.gradgradcheck(lambda x, w, b: norm(x * 1.0, w, b), (own_format(x).requires_grad_(), w, b))


def test_a_changed_input_is_noticed() -> None:
    x = pydl.randn(4, 3).requires_grad_()
    h = x * 1.0
    y = F.batch_norm(h, None, None, training=True)
    h.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
