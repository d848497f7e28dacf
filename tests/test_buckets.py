# SPDX-License-Identifier: BSD-3-Clause
"""Batches of similar length: the sampler, the padding, and the report of what padding costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import ShapeError
from pydl.utils.data import (
    BatchSampler,
    BucketBatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    pad_collate,
    padding_report,
)


def seeded(seed=0):
    return pydl.Generator().manual_seed(seed)


def spread(lengths, batches):
    """Σ over the batches of longest − shortest."""
    return sum(max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches)


LENGTHS = st.lists(st.integers(1, 40), min_size=0, max_size=60)


# ---- the sampler -------------------------------------------------------------------------------------------------


@given(LENGTHS, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 20)), st.booleans(), st.integers(0, 5))
def test_every_index_once(lengths, batch_size, bucket_size, shuffle, seed):
    sampler = BucketBatchSampler(lengths, batch_size, bucket_size=bucket_size, shuffle=shuffle, generator=seeded(seed))
    batches = list(sampler)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    assert len(batches) == len(sampler) == -(-len(lengths) // batch_size)
    assert sorted(map(len, batches), reverse=True)[:-1] == [batch_size] * (len(batches) - 1) if batches else True


@given(LENGTHS, st.integers(1, 9), st.integers(1, 100), st.integers(1, 20), st.booleans())
def test_max_tokens_is_kept_by_every_batch_of_every_pass(lengths, batch_size, max_tokens, bucket_size, shuffle):
    sampler = BucketBatchSampler(
        lengths, batch_size, max_tokens=max_tokens, bucket_size=bucket_size, shuffle=shuffle, generator=seeded()
    )
    for _ in range(3):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
        for b in batches:
            longest = max(lengths[i] for i in b)
            assert len(b) <= batch_size and (len(b) == 1 or len(b) * longest <= max_tokens)


def test_max_tokens_gives_long_sequences_smaller_batches():
    lengths = [10] * 30 + [100] * 30
    sampler = BucketBatchSampler(lengths, 64, max_tokens=200, bucket_size=30, generator=seeded())
    sizes = {(len(b), lengths[b[0]]) for b in sampler}
    assert sizes == {(20, 10), (10, 10), (2, 100)}


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_drop_last_leaves_only_whole_batches(lengths, batch_size, seed):
    sampler = BucketBatchSampler(lengths, batch_size, True, generator=seeded(seed))
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(lengths) // batch_size
    assert all(len(b) == batch_size for b in batches)
    seen = [i for b in batches for i in b]
    assert len(seen) == len(set(seen))


def test_drop_last_leaves_out_other_sequences_in_each_pass():
    """Not always the longest: over some passes every sequence is seen."""
    lengths = list(range(1, 12))
    sampler = BucketBatchSampler(lengths, 4, True, generator=seeded())
    seen = [{i for b in sampler for i in b} for _ in range(20)]
    assert all(len(s) == 8 for s in seen) and set.union(*seen) == set(range(11))
    assert len({frozenset(s) for s in seen}) > 5


def test_batches_are_of_similar_length_and_differ_between_passes():
    lengths = np.random.RandomState(0).randint(7, 30, 270).tolist()
    plain = list(BatchSampler(RandomSampler(lengths, generator=seeded()), 30, False))
    sampler = BucketBatchSampler(lengths, 30, bucket_size=60, generator=seeded())
    passes = [list(sampler) for _ in range(5)]
    for batches in passes:
        assert spread(lengths, batches) < 0.3 * spread(lengths, plain)
    first = [frozenset(b) for batches in passes for b in batches]
    assert len(set(first)) > 0.9 * len(first)  # hardly a batch comes twice
    means = [np.mean([lengths[i] for i in b]) for b in passes[0]]
    assert means != sorted(means)  # nor do they come from short to long


def test_equal_lengths_are_shuffled_across_the_edges_of_buckets():
    sampler = BucketBatchSampler([5] * 12, 3, bucket_size=3, generator=seeded())
    assert len({frozenset(b) for _ in range(10) for b in sampler}) > 20


def test_bucket_of_one_is_the_sorted_order():
    lengths = [9, 2, 8, 3, 7, 1]
    batches = list(BucketBatchSampler(lengths, 2, bucket_size=1, generator=seeded()))
    assert sorted(map(sorted, batches)) == [[0, 2], [1, 5], [3, 4]]


def test_the_seed_and_its_state_make_the_order():
    lengths = np.random.RandomState(1).randint(1, 50, 100)
    a, b = (BucketBatchSampler(lengths, 8, generator=seeded(3)) for _ in range(2))
    passes = [list(a), list(a)]
    assert passes == [list(b), list(b)] and passes[0] != passes[1]
    assert list(BucketBatchSampler(lengths, 8, generator=seeded(4))) != passes[0]
    pydl.manual_seed(7)
    default = list(BucketBatchSampler(lengths, 8))
    pydl.manual_seed(7)
    assert list(BucketBatchSampler(lengths, 8)) == default


def test_a_pass_is_resumed_from_the_state_of_the_generator():
    lengths = np.random.RandomState(2).randint(1, 50, 100)
    generator = seeded(5)
    sampler = BucketBatchSampler(lengths, 8, generator=generator)
    list(sampler)
    state = generator.get_state()
    whole = list(sampler)
    following = list(sampler)
    other = seeded(99)
    other.set_state(state)
    resumed = BucketBatchSampler(lengths, 8, generator=other)
    assert list(resumed)[4:] == whole[4:] and list(resumed) == following


@pytest.mark.parametrize("make", [list, np.array, pydl.tensor, tuple], ids=["list", "array", "tensor", "tuple"])
def test_lengths_of_any_kind(make):
    sampler = BucketBatchSampler(make([3, 1, 2]), 2, shuffle=False)
    assert list(sampler) == [[1, 2], [0]]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.5, 2.0], 2), {}, TypeError, "lengths must be a vector of integers"),
        (([[1, 2]], 2), {}, TypeError, r"of shape \(1, 2\)"),
        (([True, False], 2), {}, TypeError, "lengths must be a vector of integers"),
        (([3, 0, 2], 2), {}, ValueError, r"lengths\[1\] is 0"),
        (([3, -7], 2), {}, ValueError, r"lengths\[1\] is -7"),
        (([3], 0), {}, ValueError, "batch_size should be a positive integer"),
        (([3], 2.0), {}, ValueError, "batch_size should be a positive integer"),
        (([3], True), {}, ValueError, "batch_size should be a positive integer"),
        (([3], 2), {"max_tokens": 0}, ValueError, "max_tokens should be a positive integer"),
        (([3], 2), {"bucket_size": -1}, ValueError, "bucket_size should be a positive integer"),
        (([3], 2), {"drop_last": 1}, ValueError, "drop_last should be a boolean"),
        (([3], 2), {"shuffle": None}, ValueError, "shuffle should be a boolean"),
        (([3], 2), {"drop_last": True, "max_tokens": 5}, ValueError, "mutually exclusive"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        BucketBatchSampler(*arguments, **options)


# ---- padding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("tail", [(), (3,), (2, 2)])
def test_pad_collate(batch_first, dtype, tail):
    rng = np.random.RandomState(0)
    sequences = [(10 * rng.rand(n, *tail)).astype(dtype) for n in (4, 1, 6)]
    samples = [(pydl.tensor(s), i) for i, s in enumerate(sequences)]
    padded, lengths, y = pad_collate(samples, padding_value=-1.0, batch_first=batch_first)
    a = padded.numpy() if batch_first else padded.numpy().swapaxes(0, 1)
    assert a.shape == (3, 6, *tail) and a.dtype == dtype and padded.is_contiguous()
    assert lengths.tolist() == [4, 1, 6] and lengths.dtype == pydl.int64 and y.tolist() == [0, 1, 2]
    for row, s in zip(a, sequences, strict=True):
        np.testing.assert_array_equal(row[: len(s)], s)
        assert (row[len(s) :] == -1).all()


def test_pad_collate_several_sequences_and_bare_ones():
    samples = [(np.arange(3), "a", np.arange(2.0)), (np.arange(1), "b", np.arange(5.0))]
    x, x_lengths, names, y, y_lengths = pad_collate(samples, fields=(0, -1))
    assert x.shape == (2, 3) and x_lengths.tolist() == [3, 1] and names == ("a", "b")
    assert y.shape == (2, 5) and y_lengths.tolist() == [2, 5]
    padded, lengths = pad_collate([pydl.tensor([1.0, 2.0]), pydl.tensor([3.0])])
    assert padded.tolist() == [[1.0, 2.0], [3.0, 0.0]] and lengths.tolist() == [2, 1]


def test_pad_collate_refuses():
    one, two = pydl.zeros(2, 3), pydl.zeros(2, 4)
    for batch, options, error, message in (
        ([], {}, ValueError, "empty"),
        ([(one, 0), (two, 0)], {}, ShapeError, r"number 1 float32 \(2, 4\)"),
        ([(one, 0), (one.double(), 0)], {}, ShapeError, "float64"),
        ([(pydl.tensor(1.0), 0)], {}, ShapeError, "sequences differ in length only"),
        ([(one, 0), (one[:0], 0)], {}, ValueError, "sequence 1 of the batch is empty"),
        ([(one, 0), (one,)], {}, RuntimeError, "equal size"),
        ([(one, 0)], {"fields": (2,)}, IndexError, "no entry 2"),
    ):
        with pytest.raises(error, match=message):
            pad_collate(batch, **options)


def test_with_the_loader():
    sequences = [(pydl.full((n, 2), float(n)), n) for n in (5, 2, 9, 3, 7)]
    lengths = [n for _, n in sequences]
    loader = DataLoader(
        sequences, batch_sampler=BucketBatchSampler(lengths, 2, generator=seeded()), collate_fn=pad_collate
    )
    seen = []
    for x, n, y in loader:
        assert n.tolist() == y.tolist() and x.shape == (len(y), max(y.tolist()), 2)
        np.testing.assert_array_equal(x.sum((1, 2)).numpy(), 2.0 * y.numpy() ** 2)
        seen += y.tolist()
    assert sorted(seen) == sorted(lengths) and len(loader) == 3


# ---- the report --------------------------------------------------------------------------------------------------


def test_padding_report_by_hand():
    report = padding_report([9, 2, 8, 3, 1], [[0, 1], [2, 3], [4]])
    assert report.rows == ((2, 9, 11, 18), (2, 8, 11, 16), (1, 1, 1, 1))
    assert (report.useful, report.padded, report.sorted_padded) == (23, 35, 1 + 2 * 3 + 2 * 9)
    assert report.share == 23 / 35 and report.shares == (11 / 18, 11 / 16, 1.0)
    assert report.bucketed_share == 23 / 25 and report.saving == pytest.approx(10 / 35)
    text = str(report)
    assert "61.1 %" in text and "65.7 %" in text and "92.0 % useful, 28.6 % of the padded steps saved" in text


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 4))
def test_no_order_is_better_than_the_sorted_one(lengths, batch_size, seed):
    batches = list(BatchSampler(RandomSampler(lengths, generator=seeded(seed)), batch_size, False))
    report = padding_report(lengths, batches)
    assert 0 <= report.saving < 1 and report.share <= report.bucketed_share <= 1
    assert report.useful == sum(lengths) and len(report.shares) == len(batches)
    ordered = list(BucketBatchSampler(lengths, batch_size, shuffle=False))
    if len(lengths) % batch_size == 0:
        assert padding_report(lengths, ordered).padded == report.sorted_padded


def test_padding_report_of_many_batches_and_of_none():
    lengths = list(range(1, 101))
    report = padding_report(pydl.tensor(lengths), BatchSampler(SequentialSampler(lengths), 2, False))
    assert "… and 30 more batches" in str(report) and len(str(report).splitlines()) == 24
    none = padding_report([], [])
    assert (none.share, none.bucketed_share, none.saving) == (1.0, 1.0, 0.0) and "all" in str(none)


@pytest.mark.parametrize(
    ("lengths", "batches", "error", "message"),
    [
        ([3, 2], [[0, 2]], IndexError, "batch 0 has the index 2, but there are 2 lengths"),
        ([3, 2], [[0], [-1]], IndexError, "batch 1 has the index -1"),
        ([3, 2], [[0], []], ValueError, "batch 1 is no list"),
        ([3, 0], [[0]], ValueError, r"lengths\[1\] is 0"),
        ([3.0], [[0]], TypeError, "vector of integers"),
    ],
)
def test_padding_report_refuses(lengths, batches, error, message):
    with pytest.raises(error, match=message):
        padding_report(lengths, batches)
