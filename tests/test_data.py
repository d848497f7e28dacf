# SPDX-License-Identifier: BSD-3-Clause
"""Data sets, samplers, collation and the loader in one process."""

import collections
import math

import numpy as np
import pytest

import pydl
from pydl.utils import data
from pydl.utils.data import DataLoader, TensorDataset


def generator(seed=0):
    return pydl.Generator().manual_seed(seed)


class Squares(data.Dataset):
    def __init__(self, n=10):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not -self.n <= i < self.n:
            raise IndexError(i)
        return i * i


class Count(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


class Plain(data.Dataset):
    """A TensorDataset that the loader does not recognize: its samples are stacked one by one."""

    def __init__(self, *tensors):
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, i):
        return tuple(t[i] for t in self.tensors)


def tensors(n=11):
    x = np.arange(n * 6, dtype=np.float32).reshape(n, 2, 3)
    return pydl.tensor(x), pydl.tensor(np.arange(n)), pydl.tensor(x[:, 0, 0] > 5)


# ---- data sets -----------------------------------------------------------------------------------------------------


def test_tensor_dataset():
    x, y, _ = tensors()
    d = TensorDataset(x, y)
    assert len(d) == 11 and d[3][1].item() == 3 and d[3][0].shape == (2, 3) and d[-1][1].item() == 10
    with pytest.raises(AssertionError, match="Size mismatch"):
        TensorDataset(x, y[:5])


def test_concat_and_chain():
    d = Squares(3) + Squares(4)
    assert len(d) == 7 and [d[i] for i in range(-7, 7)] == [0, 1, 4, 0, 1, 4, 9] * 2
    assert d.cumulative_sizes == [3, 7]
    for i in (7, 100):
        with pytest.raises(IndexError):
            d[i]
    with pytest.raises(ValueError, match="should not exceed dataset length"):
        d[-8]
    with pytest.raises(AssertionError, match="empty iterable"):
        data.ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        data.ConcatDataset([Count(1)])
    chain = Count(2) + Count(3)
    assert list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(data.ChainDataset([Squares(1)]))


def test_stack():
    d = data.StackDataset(Squares(3), "abc")
    assert d[2] == (4, "c") and len(d) == 3
    with pytest.raises(ValueError, match="Size mismatch"):
        data.StackDataset(Squares(3), "ab")
    with pytest.raises(ValueError, match="At least one"):
        data.StackDataset()
    with pytest.raises(ValueError, match="not both"):
        data.StackDataset("a", x="b")


def test_subset_and_random_split():
    s = data.Subset(Squares(), [3, 1, 3])
    assert [s[i] for i in range(3)] == [9, 1, 9] and s.__getitems__([2, 0]) == [9, 9] and len(s) == 3
    parts = data.random_split(Squares(), [7, 3], generator=generator())
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10)) and len(parts[0]) == 7
    again = data.random_split(Squares(), [7, 3], generator=generator())
    assert parts[0].indices == again[0].indices
    assert [len(p) for p in data.random_split(Squares(), [0.5, 0.25, 0.25])] == [6, 2, 2]
    assert [len(p) for p in data.random_split(Squares(), [1 / 3] * 3)] == [4, 3, 3]
    with pytest.raises(ValueError, match="does not equal the length"):
        data.random_split(Squares(), [7, 4])
    with pytest.raises(ValueError, match="Fraction at index 0"):
        data.random_split(Squares(), [-0.5, 1.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(Squares(1), [0.9, 0.1])


def test_bare_classes():
    with pytest.raises(NotImplementedError):
        data.Dataset()[0]
    with pytest.raises(NotImplementedError):
        iter(data.Sampler())
    with pytest.raises(NotImplementedError):
        iter(data.IterableDataset())


# ---- samplers ------------------------------------------------------------------------------------------------------


def test_random_sampler():
    s = data.RandomSampler(range(50), generator=generator())
    first, second = list(s), list(s)
    assert sorted(first) == list(range(50)) == sorted(second) and first != second and len(s) == 50
    assert first == list(data.RandomSampler(range(50), generator=generator()))
    many = list(data.RandomSampler(range(4), num_samples=10, generator=generator()))
    assert sorted(many[:4]) == sorted(many[4:8]) == [0, 1, 2, 3] and len(set(many[8:])) == 2
    few = list(data.RandomSampler(range(40), num_samples=5, generator=generator()))
    assert len(set(few)) == 5
    drawn = list(data.RandomSampler(range(5), replacement=True, num_samples=4000, generator=generator()))
    # Each count is binomial of deviation √(4000 · 0.2 · 0.8) ≈ 25.
    assert len(drawn) == 4000 and all(abs(drawn.count(i) - 800) < 5 * 25.3 for i in range(5))
    assert list(data.RandomSampler([])) == []
    for bad in ({"replacement": 1}, {"num_samples": 0}, {"num_samples": 1.5}):
        with pytest.raises((TypeError, ValueError)):
            data.RandomSampler(range(3), **bad)
    pydl.manual_seed(3)
    a = list(data.RandomSampler(range(50)))
    pydl.manual_seed(3)
    assert a == list(data.RandomSampler(range(50)))


def test_permutations_are_uniform():
    g = generator()
    counts = collections.Counter(tuple(data.RandomSampler(range(3), generator=g)) for _ in range(3000))
    assert len(counts) == 6 and all(abs(n - 500) < 5 * math.sqrt(3000 / 6 * 5 / 6) for n in counts.values())


def test_subset_and_weighted_samplers():
    s = data.SubsetRandomSampler([5, 7, 9], generator=generator())
    assert sorted(s) == [5, 7, 9] and len(s) == 3
    w = [1.0, 0.0, 3.0, 4.0]
    drawn = list(data.WeightedRandomSampler(w, 8000, generator=generator()))
    for i, weight in enumerate(w):
        p = weight / 8
        assert abs(drawn.count(i) - 8000 * p) <= 5 * math.sqrt(8000 * p * (1 - p))
    firsts = [next(iter(data.WeightedRandomSampler(w, 3, False, generator(i)))) for i in range(2000)]
    assert abs(firsts.count(3) - 1000) < 5 * math.sqrt(500) and firsts.count(1) == 0
    assert all(sorted(data.WeightedRandomSampler(w, 3, False, generator(i))) == [0, 2, 3] for i in range(5))
    for args in (([1.0], 0), ([[1.0]], 1), ([1.0], 1, 3), ([1.0, 0.0], 2, False), ([-1.0], 1), ([0.0], 1)):
        with pytest.raises(ValueError):
            data.WeightedRandomSampler(*args)


def test_weighted_sampler_at_the_edges_of_the_unit_interval(monkeypatch):
    """A draw of exactly 0, or one that rounds up to the whole sum, never picks an index of weight 0."""
    from pydl.utils.data import sampler

    for u in (0.0, 1.0):
        monkeypatch.setattr(sampler, "rand", lambda n, u=u, **options: pydl.full((n,), u, dtype=pydl.float64))
        assert list(data.WeightedRandomSampler([0.0, 1.0, 0.0], 2)) == [1, 1]


def test_batch_sampler():
    s = data.BatchSampler(data.SequentialSampler(range(7)), 3, False)
    assert list(s) == [[0, 1, 2], [3, 4, 5], [6]] and len(s) == 3
    s = data.BatchSampler(range(7), 3, True)
    assert list(s) == [[0, 1, 2], [3, 4, 5]] and len(s) == 2
    for bad in ((range(3), 0, False), (range(3), 1.5, False), (range(3), True, False), (range(3), 1, 1)):
        with pytest.raises(ValueError):
            data.BatchSampler(*bad)


# ---- collation -----------------------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", "a b")


def test_default_collate():
    c = data.default_collate
    assert c([1, 2]).dtype == pydl.int64 and c([1.5, 2.5]).dtype == pydl.float64 and c([True, False]).dtype == pydl.bool
    assert c([1, 2.5]).tolist() == [1.0, 2.5] and c([1, 2.5]).dtype == pydl.float32 and c([True, 3]).tolist() == [1, 3]
    assert c(["a", "b"]) == ["a", "b"] and c([b"a"]) == [b"a"]
    assert c([np.float32(1), np.float32(2)]).dtype == pydl.float32 and c([np.ones(3, np.int32)] * 2).shape == (2, 3)
    assert c([pydl.ones(2), pydl.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    pair = c([Pair(1, "x"), Pair(2, "y")])
    assert isinstance(pair, Pair) and pair.a.tolist() == [1, 2] and pair.b == ("x", "y")
    got = c([{"a": (1, [2.0])}, {"a": (3, [4.0])}])
    assert type(got) is dict and got["a"][0].tolist() == [1, 3] and got["a"][1][0].tolist() == [2.0, 4.0]
    ordered = c([collections.OrderedDict(b=1, a=2)])
    assert type(ordered) is collections.OrderedDict and list(ordered) == ["b", "a"]
    for bad in ([(1,), (1, 2)], [np.ones(2), np.ones(3)], [pydl.ones(2), pydl.ones(3)]):
        with pytest.raises(RuntimeError):
            c(bad)
    for bad in ([object()], [np.array(["a"])]):
        with pytest.raises(TypeError):
            c(bad)


def test_default_convert():
    c = data.default_convert
    x = np.arange(3)
    assert c(x).tolist() == [0, 1, 2] and c(x).data_ptr() == x.ctypes.data and c(np.float64(2)).shape == ()
    assert c("a") == "a" and c(3) == 3 and c([x, {"k": x}])[1]["k"].tolist() == [0, 1, 2]
    assert c(Pair(x, 1)).a.tolist() == [0, 1, 2] and c((x, 1))[1] == 1 and c(np.array(["a"])).tolist() == ["a"]


# ---- loader --------------------------------------------------------------------------------------------------------


def same(a, b):
    assert len(a) == len(b) > 0
    for left, right in zip(a, b, strict=True):
        assert type(left) is list and len(left) == len(right)
        for t, u in zip(left, right, strict=True):
            assert t.dtype == u.dtype and t.shape == u.shape and np.array_equal(t.numpy(), u.numpy())


@pytest.mark.parametrize("options", [
    {}, {"batch_size": 4}, {"batch_size": 4, "drop_last": True}, {"batch_size": 100}, {"shuffle": True},
    {"batch_size": 3, "shuffle": True}, {"batch_size": 3, "shuffle": True, "drop_last": True}, {"pin_memory": True},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_gathered_batches_equal_stacked_ones(options, depth):
    fast, slow = TensorDataset(*tensors()), Plain(*tensors())
    for rows in ([8, 3, 3, 0, 10, 7, 1], range(5, -1, -1))[:depth]:
        fast, slow = data.Subset(fast, rows), data.Subset(slow, rows)
    same(*([list(DataLoader(d, generator=generator(5), **options)) for _ in range(2)][1] for d in (fast, slow)))
    loader = DataLoader(fast, generator=generator(5), **options)
    assert len(loader) == len(list(loader))


def test_gathered_batches_with_samplers_and_negative_indices():
    fast, slow = (data.Subset(d(*tensors()), [-1, 2, -11]) for d in (TensorDataset, Plain))
    for make in (
        lambda d: DataLoader(d, 2, sampler=data.RandomSampler(d, True, 9, generator(1))),
        lambda d: DataLoader(d, 2, sampler=[2, 0, 1, 1]),
        lambda d: DataLoader(d, batch_sampler=[[0, 1], [2]]),
        lambda d: DataLoader(d, batch_sampler=data.BatchSampler(data.SequentialSampler(d), 2, True)),
    ):
        same(list(make(fast)), list(make(slow)))


@pytest.mark.parametrize("index", [11, -12, 2**40])
@pytest.mark.parametrize("kind", [TensorDataset, Plain])
def test_indices_out_of_range(index, kind):
    with pytest.raises(IndexError):
        list(DataLoader(kind(*tensors()), 2, sampler=[0, index]))
    with pytest.raises(IndexError):
        list(DataLoader(data.Subset(kind(*tensors()), [0, index]), 2))


def test_batches_do_not_share_memory_with_the_data():
    x, y, _ = tensors()
    for batch in DataLoader(TensorDataset(x, y), 4):
        batch[0].zero_()
    assert x[1:].numpy().all()


def test_gathered_batches_carry_gradients():
    x = pydl.ones(4, 2, requires_grad=True)
    for (batch,) in DataLoader(TensorDataset(x), 3):
        batch.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0]] * 4


def test_a_subclass_with_its_own_samples_is_respected():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return tuple(t * 2 for t in super().__getitem__(i))

    assert [b[0].tolist() for b in DataLoader(Doubled(pydl.tensor([1, 2, 3])), 2)] == [[2, 4], [6]]


def test_map_style():
    assert [b.tolist() for b in DataLoader(Squares(5), batch_size=2)] == [[0, 1], [4, 9], [16]]
    assert [b.tolist() for b in DataLoader(Squares(5), batch_size=2, drop_last=True)] == [[0, 1], [4, 9]]
    assert list(DataLoader(Squares(3), batch_size=None)) == [0, 1, 4]
    assert list(DataLoader(Squares(5), 2, collate_fn=sum)) == [1, 13, 16]
    assert [b.tolist() for b in DataLoader([np.float32(1), np.float32(2)], 2)] == [[1.0, 2.0]]
    assert [b.tolist() for b in DataLoader(Squares(4), sampler=[3, 1], batch_size=1)] == [[9], [1]]
    assert list(DataLoader(Squares(0), 2)) == [] and len(DataLoader(Squares(0), 2)) == 0


def test_whole_batches_from_the_data_set():
    class Fetches(Squares):
        def __getitems__(self, indices):
            return [(i, len(indices)) for i in indices]

    assert [b[1].tolist() for b in DataLoader(Fetches(3), 2)] == [[2, 2], [1]]


def test_streams():
    assert [b.tolist() for b in DataLoader(Count(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Count(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert [b.tolist() for b in DataLoader(Count(4), batch_size=2)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(3), batch_size=None)) == [0, 1, 2]
    assert len(DataLoader(Count(5), 2)) == 3 and len(DataLoader(Count(5), 2, drop_last=True)) == 2
    assert len(DataLoader(Count(5), None)) == 5


def test_iterating_twice_at_once():
    loader = DataLoader(TensorDataset(pydl.tensor(np.arange(6))), 2, shuffle=True, generator=generator())
    pairs = list(zip(loader, loader, strict=True))
    for side in (0, 1):
        assert sorted(v for pair in pairs for v in pair[side][0].tolist()) == list(range(6))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_workers": -1}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"prefetch_factor": 2}, ValueError),
        ({"num_workers": 1, "prefetch_factor": -2}, ValueError),
        ({"persistent_workers": True}, ValueError),
        ({"sampler": [0], "shuffle": True}, ValueError),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError),
        ({"batch_sampler": [[0]], "shuffle": True}, ValueError),
        ({"batch_sampler": [[0]], "sampler": [0]}, ValueError),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError),
        ({"batch_size": None, "drop_last": True}, ValueError),
        ({"batch_size": 0}, ValueError),
        ({"batch_size": 1.5}, ValueError),
        ({"drop_last": 1}, ValueError),
    ],
    ids=str,
)
def test_option_errors(options, error):
    with pytest.raises(error):
        DataLoader(Squares(), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}], ids=str)
def test_stream_option_errors(options):
    with pytest.raises(ValueError, match="DataLoader with IterableDataset"):
        DataLoader(Count(3), **options)


def test_what_cannot_be_changed_later():
    loader = DataLoader(Squares(), 2)
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match="should not be set after"):
            setattr(loader, name, None)
    loader.collate_fn = sum
    assert next(iter(loader)) == 1


def test_worker_info_outside_of_workers():
    assert data.get_worker_info() is None


@pytest.mark.parity
def test_batches_are_pytorchs():
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    peer = torch.utils.data
    for n, size, drop in ((7, 3, False), (7, 3, True), (6, 3, False), (0, 2, False)):
        ours = [b.tolist() for b in DataLoader(Squares(n), size, drop_last=drop)]
        assert ours == [b.tolist() for b in peer.DataLoader(Squares(n), size, drop_last=drop)]
    samples = [{"a": (1, 2.0), "b": [np.float32(3), "x"], "c": np.ones((2, 1), np.int16)} for _ in range(3)]
    got, want = data.default_collate(samples), peer.default_collate(samples)
    assert list(got) == list(want) and type(got["a"]) is type(want["a"]) and type(got["b"]) is type(want["b"])
    for mine, theirs in ((got["a"][0], want["a"][0]), (got["a"][1], want["a"][1]), (got["b"][0], want["b"][0]),
                         (got["c"], want["c"])):  # fmt: skip
        assert str(mine.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
        assert np.array_equal(mine.numpy(), theirs.numpy())
    assert got["b"][1] == want["b"][1]
