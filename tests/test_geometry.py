# SPDX-License-Identifier: BSD-3-Clause
"""Random shapes with zeros and ones, random strides, random indices: pydl against NumPy, forward and backward."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydl

hypothesis = pytest.importorskip("hypothesis", reason="draws its geometries with hypothesis")
st = pytest.importorskip("hypothesis.strategies", reason="draws its geometries with hypothesis")
hnp = pytest.importorskip("hypothesis.extra.numpy", reason="draws its geometries with hypothesis")

settings = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def arrays(draw: Any, shape: tuple[int, ...]) -> Array:
    """Values of that shape in memory with gaps, in a random order of dimensions."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from((1, 1, 2, 3, -1))) for _ in shape]
    wide = [abs(steps[d]) * shape[d] for d in order]
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(size=wide)
    moved = np.transpose(values, np.argsort(order)) if shape else values
    return np.asarray(moved[tuple(slice(None, None, s) for s in steps)])


sizes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@settings
@hypothesis.given(st.data())
def test_broadcasting(data: Any) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=5)).input_shapes
    a, b = (data.draw(arrays(s)) for s in shapes)
    x, y = pydl.from_numpy(a).requires_grad_(), pydl.from_numpy(b).requires_grad_()
    z = x * y
    assert np.array_equal(z.detach().numpy(), a * b)
    z.sum().backward()
    for t, other in ((x, b), (y, a)):
        wanted = np.broadcast_to(other, np.broadcast_shapes(*shapes))
        lead = wanted.ndim - t.ndim
        ones = tuple(d for d in range(wanted.ndim) if d < lead or t.shape[d - lead] == 1)
        summed = wanted.sum(axis=ones, keepdims=True).reshape(t.shape)
        np.testing.assert_allclose(t.grad.numpy(), summed, rtol=1e-13, atol=1e-13)


@settings
@hypothesis.given(st.data())
def test_sums(data: Any) -> None:
    shape = data.draw(sizes)
    a = data.draw(arrays(shape))
    dims = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else ()
    keep = data.draw(st.booleans())
    x = pydl.from_numpy(a).requires_grad_()
    y = x.sum(dims, keepdim=keep) if dims else x.sum()
    wanted = a.sum(axis=dims or None, keepdims=keep and bool(dims))
    np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=1e-13, atol=1e-13)
    y.sum().backward()
    assert np.array_equal(x.grad.numpy(), np.ones(shape))


@settings
@hypothesis.given(st.data())
def test_products(data: Any) -> None:
    batch = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=3)).input_shapes
    m, k, n = (data.draw(st.integers(0, 20)) for _ in range(3))
    a, b = data.draw(arrays((*batch[0], m, k))), data.draw(arrays((*batch[1], k, n)))
    wanted = a.astype(np.longdouble) @ b.astype(np.longdouble)
    got = (pydl.from_numpy(a) @ pydl.from_numpy(b)).numpy()
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted.astype(float), rtol=0, atol=1e-14 * max(k, 1) * 10)


def _adjoint(shape: tuple[int, ...], index: Any, v: Array) -> Array:
    wanted = np.zeros(shape)
    np.add.at(wanted, index, v)
    return wanted


def _check_index(a: Array, index: Any, key: Any) -> None:
    x = pydl.from_numpy(a).requires_grad_()
    y, wanted = x[key], np.asarray(a[index])
    assert y.detach().numpy().shape == wanted.shape
    assert np.array_equal(y.detach().numpy(), wanted)
    v = np.random.default_rng(1).normal(size=wanted.shape)
    (y * pydl.from_numpy(np.asarray(v))).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), _adjoint(a.shape, index, v), rtol=1e-13, atol=1e-13)


@settings
@hypothesis.given(st.data())
def test_basic_indexing(data: Any) -> None:
    shape = data.draw(sizes)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    parts = index if isinstance(index, tuple) else (index,)
    hypothesis.assume(all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts))
    _check_index(data.draw(arrays(shape)), index, index)


@settings
@hypothesis.given(st.data())
def test_indexing_by_arrays(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=5))
    result = hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=4)
    index = data.draw(hnp.integer_array_indices(shape, result_shape=result))
    _check_index(data.draw(arrays(shape)), index, tuple(pydl.from_numpy(np.asarray(i)) for i in index))


@settings
@hypothesis.given(st.data())
def test_writing_by_index(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
    index = data.draw(hnp.basic_indices(shape, allow_ellipsis=True))
    parts = index if isinstance(index, tuple) else (index,)
    hypothesis.assume(all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts))
    a = np.array(data.draw(arrays(shape)))
    wanted = a.copy()
    value = np.random.default_rng(2).normal(size=np.asarray(a[index]).shape)
    wanted[index] = value
    x = pydl.from_numpy(a)
    x[index] = pydl.from_numpy(np.asarray(value))
    assert np.array_equal(a, wanted)


@settings
@hypothesis.given(st.data())
def test_view_never_copies_and_reshape_always_works(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    a = data.draw(arrays(shape))
    factors = [f for n in shape for f in ((2, 2) if n == 4 else (n,))]
    cut = sorted(data.draw(st.sets(st.integers(0, len(factors)))) | {0, len(factors)})
    new = tuple(math.prod(factors[i:j]) for i, j in pairwise(cut))
    x = pydl.from_numpy(a)
    wanted = a.reshape(new)
    assert np.array_equal(x.reshape(new).numpy(), wanted)
    if np.shares_memory(wanted, a):
        y = x.view(new)
        assert np.array_equal(y.numpy(), wanted) and y.data_ptr() == x.data_ptr()
    else:
        with pytest.raises(RuntimeError, match="view"):
            x.view(new)


@settings
@hypothesis.given(st.data())
def test_chains_of_views_have_the_right_gradient(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    order = data.draw(st.permutations(range(len(shape))))
    dim = data.draw(st.integers(0, len(shape) - 1))
    rows = data.draw(st.integers(1, 3))

    def views(t: Any, library: Any) -> Any:
        t = t.permute(*order) if library is pydl else t.transpose(order)
        t = t.unsqueeze(dim) if library is pydl else np.expand_dims(t, dim)
        wide = (*t.shape[:dim], rows, *t.shape[dim + 1 :])
        return t.expand(wide) if library is pydl else np.broadcast_to(t, wide)

    a = data.draw(arrays(shape))
    x = pydl.from_numpy(a).requires_grad_()
    y = views(x, pydl)
    assert np.array_equal(y.detach().numpy(), views(a, np))
    v = np.random.default_rng(3).normal(size=tuple(y.shape))
    (y * pydl.from_numpy(v)).sum().backward()
    wanted = np.transpose(v.sum(axis=dim), np.argsort(order))
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-13, atol=1e-13)


HUGE = (
    lambda: pydl.zeros(2**62, 4),
    lambda: pydl.zeros(2**31, 2**31, 2**31),
    lambda: pydl.ones(1).expand(2**62, 4),
    lambda: pydl.ones(1).expand(2**40, 2**40).reshape(-1),
    lambda: pydl.ones(1).repeat(2**62),
    lambda: pydl.zeros(2, 0).expand(2**62, 2, 0).reshape(2**62, -1),
    lambda: pydl.arange(0, 2**62),
    lambda: pydl.from_numpy(np.broadcast_to(np.zeros(1), (2**45,))) + 1,
    lambda: pydl.ones(3).view(2**63, -1),
    lambda: pydl.cat([pydl.from_numpy(np.broadcast_to(np.zeros(1), (2**45,)))] * 2),
)


@pytest.mark.parametrize("call", HUGE, ids=range(len(HUGE)))
def test_impossible_sizes_are_refused(call: Any) -> None:
    with pytest.raises((RuntimeError, ValueError, MemoryError, OverflowError, TypeError)):
        call()


@pytest.mark.parametrize("shift", [1, -1, 3])
def test_overlapping_input_and_output(shift: int) -> None:
    """A change of memory that is read in the same call: the result of separate memory, or an error; never a mix."""
    a = np.arange(50.0)
    wanted = a.copy()
    to, source = (slice(shift, None), slice(None, -shift)) if shift > 0 else (slice(None, shift), slice(-shift, None))
    wanted[to] += a[source].copy()
    x = pydl.from_numpy(a)
    try:
        x[to].add_(x[source])
    except RuntimeError:
        return
    assert np.array_equal(a, wanted)


def free_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


@pytest.mark.slow
def test_more_than_two_to_the_31_elements() -> None:
    """Sizes and offsets beyond 32 bits in compiled kernels: in place, a sum, a view at the end."""
    n = 2**31 + 9
    if free_bytes() < 5 * n:
        pytest.skip("needs 11 GB of memory")
    x = pydl.zeros(n)
    x[-3:] = -2.0
    x.abs_()
    assert x[2**31 + 6 :].tolist() == [2.0, 2.0, 2.0]
    assert x.sum().item() == 6.0
    assert x.argmax().item() == n - 3
