# SPDX-License-Identifier: BSD-3-Clause
"""Random numbers: the laws, the same numbers for a seed whatever the threads, generators and their states."""

from __future__ import annotations

import copy
import hashlib
import pickle
from typing import Any

import numpy as np
import pytest
from scipy import stats

import pydl

N = 100_000


@pytest.fixture(autouse=True)
def seeded() -> Any:
    state = pydl.get_rng_state()
    pydl.manual_seed(1234)
    yield
    pydl.set_rng_state(state)


def p_of(sample: pydl.Tensor, law: Any) -> float:
    """The p-value of the Kolmogorov-Smirnov test; the seed is fixed, so it is always the same."""
    return float(stats.kstest(sample.numpy().ravel(), law).pvalue)


# --- laws ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [pydl.float32, pydl.float64])
def test_uniform_numbers(dtype: Any) -> None:
    x = pydl.rand(N, dtype=dtype)
    assert x.dtype is dtype and x.min() >= 0 and x.max() < 1 and p_of(x, "uniform") > 0.01
    assert p_of(pydl.empty(N, dtype=dtype).uniform_(-2, 6), stats.uniform(-2, 8).cdf) > 0.01
    assert p_of(pydl.rand_like(x), "uniform") > 0.01


@pytest.mark.parametrize("dtype", [pydl.float32, pydl.float64])
def test_normal_numbers(dtype: Any) -> None:
    assert p_of(pydl.randn(N, dtype=dtype), "norm") > 0.01
    assert p_of(pydl.empty(N, dtype=dtype).normal_(3, 0.5), stats.norm(3, 0.5).cdf) > 0.01
    assert p_of(pydl.normal(3.0, 0.5, (N,), dtype=dtype), stats.norm(3, 0.5).cdf) > 0.01
    mean = pydl.full((N,), -1.0, dtype=dtype)
    assert p_of(pydl.normal(mean, 2.0), stats.norm(-1, 2).cdf) > 0.01
    assert p_of(pydl.normal(0.0, mean.abs() * 2), stats.norm(0, 2).cdf) > 0.01
    assert p_of(pydl.normal(mean, mean.abs()), stats.norm(-1, 1).cdf) > 0.01
    assert pydl.randn_like(mean).dtype is dtype


def test_integers() -> None:
    x = pydl.randint(-3, 4, (N,))
    counts = np.bincount(x.numpy() + 3, minlength=7)
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 0.01
    assert pydl.randint(5, (2, 3), dtype=pydl.uint8).dtype is pydl.uint8
    assert set(pydl.randint(2**40, 2**40 + 2, (50,)).tolist()) == {2**40, 2**40 + 1}
    assert pydl.randint(-(2**63), 2**63 - 1, (1000,)).double().mean().abs() < 1e18
    assert set(pydl.randint_like(x, 2).tolist()) == {0, 1}
    assert set(pydl.empty(100).random_(1, 3).tolist()) == {1.0, 2.0}
    assert pydl.empty(9, dtype=pydl.int8).random_(7).max() < 7


def test_permutations() -> None:
    x = pydl.randperm(1000)
    assert x.dtype is pydl.int64 and sorted(x.tolist()) == list(range(1000)) and x.tolist() != list(range(1000))
    assert pydl.randperm(0).shape == (0,) and pydl.randperm(3, dtype=pydl.int32).dtype is pydl.int32
    first = np.bincount([int(pydl.randperm(5)[0]) for _ in range(5000)], minlength=5)
    assert stats.chisquare(first).pvalue > 0.01


def test_coins() -> None:
    p = pydl.tensor([0.0, 0.25, 1.0]).repeat(N, 1)
    share = pydl.bernoulli(p).mean(0)
    assert share[0] == 0 and share[2] == 1 and abs(share[1] - 0.25) < 5 * (0.25 * 0.75 / N) ** 0.5
    assert pydl.bernoulli(p).dtype is p.dtype
    assert abs(pydl.empty(N).bernoulli_(0.3).mean() - 0.3) < 5 * (0.3 * 0.7 / N) ** 0.5
    assert pydl.empty(N, dtype=pydl.bool).bernoulli_().sum() > 0.49 * N


def test_waiting_times() -> None:
    assert p_of(pydl.empty(N, dtype=pydl.float64).exponential_(2.0), stats.expon(scale=0.5).cdf) > 0.01


def test_drawing_categories() -> None:
    weights = pydl.tensor([[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]])
    x = pydl.multinomial(weights, N, replacement=True)
    counts = np.bincount(x[0].numpy(), minlength=3)
    assert counts[1] == 0 and stats.chisquare(counts[[0, 2]], [N / 4, 3 * N / 4]).pvalue > 0.01
    assert x[1].unique().tolist() == [1]
    firsts = np.array([pydl.multinomial(pydl.tensor([1.0, 2.0, 5.0]), 2).tolist() for _ in range(4000)])
    assert (firsts[:, 0] != firsts[:, 1]).all()
    assert stats.chisquare(np.bincount(firsts[:, 0]), np.array([1, 2, 5]) / 8 * 4000).pvalue > 0.01
    assert sorted(pydl.multinomial(pydl.ones(6), 6).tolist()) == list(range(6))


# --- the same numbers ---------------------------------------------------------------------------------------------


def digest(threads: int) -> str:
    pydl.set_num_threads(threads)
    pydl.manual_seed(7)
    parts = [pydl.rand(333_333), pydl.randn(300_001, dtype=pydl.float64)]
    parts += [pydl.randint(1000, (250_000,)), pydl.randperm(9999)]
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in parts)).hexdigest()


def test_the_same_numbers_for_any_number_of_threads() -> None:
    before = pydl.get_num_threads()
    try:
        assert len({digest(threads) for threads in (1, 2, 3, 4)}) == 1
    finally:
        pydl.set_num_threads(before)


def test_layout_does_not_matter() -> None:
    x, y = pydl.empty(6, 5), pydl.empty(5, 6).t()
    assert pydl.equal(x.normal_(generator=pydl.Generator()), y.normal_(generator=pydl.Generator()))


def test_a_seed_gives_the_same_numbers_and_calls_go_on() -> None:
    pydl.manual_seed(0)
    a, b = pydl.rand(5), pydl.rand(5)
    pydl.manual_seed(0)
    assert pydl.equal(pydl.rand(5), a) and pydl.equal(pydl.rand(5), b) and not pydl.equal(a, b)
    pydl.manual_seed(-1)
    assert pydl.initial_seed() == 2**64 - 1
    with pytest.raises(RuntimeError, match="64 bits"):
        pydl.manual_seed(2**64)


def test_neighboring_seeds_are_unrelated() -> None:
    a, b = (pydl.randn(N, generator=pydl.Generator().manual_seed(s)).double().numpy() for s in (1, 2))
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / N**0.5


def test_generators_are_independent_of_the_default_one() -> None:
    g = pydl.Generator().manual_seed(1234)
    own = [pydl.rand(3, generator=g), pydl.randn(3, generator=g), pydl.randint(9, (3,), generator=g)]
    default = [pydl.rand(3), pydl.randn(3), pydl.randint(9, (3,))]
    assert all(pydl.equal(x, y) for x, y in zip(own, default, strict=True))
    assert pydl.randperm(9, generator=g).tolist() == pydl.randperm(9).tolist()
    assert g.device == pydl.device("cpu")
    with pytest.raises(TypeError, match=r"pydl\.Generator"):
        pydl.rand(3, generator=7)  # type: ignore[arg-type]


def test_a_fresh_generator_has_a_fixed_seed() -> None:
    assert pydl.Generator().initial_seed() == pydl.Generator().initial_seed()
    assert pydl.equal(pydl.rand(3, generator=pydl.Generator()), pydl.rand(3, generator=pydl.Generator()))
    g = pydl.Generator()
    assert g.seed() == g.initial_seed() != pydl.Generator().seed()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g)), lambda g: g.clone_state()])
def test_copies_go_on_where_the_original_stands(again: Any) -> None:
    g = pydl.Generator().manual_seed(3)
    pydl.rand(11, generator=g)
    h = again(g)
    assert pydl.equal(pydl.randn(4, generator=g), pydl.randn(4, generator=h)) and h.initial_seed() == 3


def test_states() -> None:
    pydl.rand(5)
    state = pydl.get_rng_state()
    a = pydl.randn(4)
    pydl.set_rng_state(state)
    assert pydl.equal(pydl.randn(4), a) and state.dtype is pydl.uint8
    with pytest.raises(TypeError):
        pydl.set_rng_state(pydl.zeros(16))
    with pytest.raises(RuntimeError, match="wrong size"):
        pydl.set_rng_state(pydl.zeros(8, dtype=pydl.uint8))


# --- errors and gradients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: pydl.rand(2, dtype=pydl.int64), lambda: pydl.randn(-1), lambda: pydl.randint(3, 3, (2,)),
        lambda: pydl.randint(0, 300, (2,), dtype=pydl.uint8), lambda: pydl.randperm(-1),
        lambda: pydl.normal(0.0, -1.0, (2,)), lambda: pydl.normal(pydl.zeros(2), pydl.tensor([1.0, -1.0])),
        lambda: pydl.bernoulli(pydl.tensor([1.5])), lambda: pydl.bernoulli(pydl.tensor([float("nan")])),
        lambda: pydl.empty(2).uniform_(1, 0), lambda: pydl.empty(2).normal_(0, -1),
        lambda: pydl.empty(2).exponential_(0.0), lambda: pydl.empty(2).random_(5, 5),
        lambda: pydl.multinomial(pydl.tensor([1.0, -1.0]), 1), lambda: pydl.multinomial(pydl.zeros(2), 1),
        lambda: pydl.multinomial(pydl.tensor([1.0, 0.0]), 2), lambda: pydl.multinomial(pydl.ones(2), 0),
        lambda: pydl.multinomial(pydl.tensor([float("inf")]), 1), lambda: pydl.multinomial(pydl.ones(1, 1, 1), 1),
        lambda: pydl.empty(2, dtype=pydl.int64).normal_(), lambda: pydl.zeros(1).expand(3).uniform_(),
        lambda: pydl.ones(2, requires_grad=True).uniform_(),
    ],
)  # fmt: skip
def test_wrong_arguments_raise(call: Any) -> None:
    with pytest.raises(RuntimeError):
        call()


def test_a_filled_tensor_forgets_its_history() -> None:
    x = pydl.ones(3, requires_grad=True)
    y = x * 2
    y.uniform_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    with pydl.no_grad():
        x.normal_()
    assert x.is_leaf and x.tolist() != [1, 1, 1]


def test_filling_counts_as_a_change() -> None:
    x = pydl.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    with pydl.no_grad():
        y.normal_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_empty_tensors() -> None:
    for t in (pydl.rand(0), pydl.randn(2, 0), pydl.randint(3, (0,)), pydl.bernoulli(pydl.zeros(0))):
        assert t.numel() == 0


@pytest.mark.parametrize("name", ["rand_like", "randn_like", "randint_like", "bernoulli", "empty_like", "full_like"])
def test_what_is_no_tensor_is_refused_by_name(name):
    with pytest.raises(TypeError, match=f"^{name}: input must be a Tensor, not int"):
        getattr(pydl, name)(3, 4) if name in ("randint_like", "full_like") else getattr(pydl, name)(3)
