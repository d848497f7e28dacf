# SPDX-License-Identifier: BSD-3-Clause
"""The loader with worker processes: order, seeds, failures, shutdown."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pydl
from pydl.utils import data
from pydl.utils.data import DataLoader, TensorDataset, get_worker_info

pytestmark = pytest.mark.long  # starts processes


class Squares(data.Dataset):
    """Samples of which the early ones take longest."""

    def __init__(self, n=20, wait=0.0):
        self.n = n
        self.wait = wait

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i < 4:
            time.sleep(self.wait)
        return i * i


class Faulty(Squares):
    def __getitem__(self, i):
        if i == 5:
            {}["missing"]
        if i == 7:
            raise Picky("one", "two")
        return i


class Picky(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class Deadly(Squares):
    def __getitem__(self, i):
        if i == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


class Numbers(data.Dataset):
    """What each worker knows and draws."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        info = get_worker_info()
        return info.id, info.num_workers, info.seed, float(pydl.rand(1)), float(np.random.rand()), os.getpid()


class Shard(data.IterableDataset):
    """A stream that is shared between workers, in unequal parts."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            return iter(range(self.n))
        return iter(range(info.id, self.n, info.num_workers) if info.id else range(0))


class Unpicklable(Squares):
    def __getitem__(self, i):
        return lambda: i


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    gc.collect()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("prefetch", [None, 1, 5])
def test_same_batches_in_the_same_order(workers, prefetch):
    want = [b.tolist() for b in DataLoader(Squares(), 3)]
    loader = DataLoader(Squares(wait=0.01), 3, num_workers=workers, prefetch_factor=prefetch)
    assert [b.tolist() for b in loader] == want and [b.tolist() for b in loader] == want


def test_shuffled_tensors():
    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    for collate in (None, data.default_collate):
        one, two = (
            [b.tolist() for b, _ in DataLoader(
                TensorDataset(pydl.tensor(x), pydl.tensor(np.arange(20))), 6, True, num_workers=n, drop_last=True,
                collate_fn=collate, generator=pydl.Generator().manual_seed(1))]
            for n in (0, 2)
        )  # fmt: skip
        assert len(one) == len(two) == 3
    rows = {tuple(row) for batch in two for row in batch}
    assert len(rows) == 18 and rows <= {tuple(row) for row in x.tolist()}


def test_out_of_order_gives_what_is_ready():
    got = [b.item() for b in DataLoader(Squares(12, wait=0.3), 1, num_workers=2, in_order=False, prefetch_factor=1)]
    assert sorted(got) == [i * i for i in range(12)]


def test_large_batches_and_large_index_lists():
    x = pydl.tensor(np.arange(300_000, dtype=np.int64))
    loader = DataLoader(TensorDataset(x), 150_000, num_workers=1, shuffle=True, prefetch_factor=4)
    got = np.concatenate([b[0].numpy() for b in loader])
    assert np.array_equal(np.sort(got), np.arange(300_000))


def test_streams_end_one_worker_at_a_time():
    got = [b.tolist() for b in DataLoader(Shard(11), 2, num_workers=3)]
    assert sorted(v for b in got for v in b) == sorted([*range(1, 11, 3), *range(2, 11, 3)])
    assert [b.tolist() for b in DataLoader(Shard(3), 2, num_workers=1)] == []
    loader = DataLoader(Shard(11), 2, num_workers=3, persistent_workers=True)
    assert [b.tolist() for b in loader] == got == [b.tolist() for b in loader]


def test_each_worker_has_its_seed():
    def run(seed):
        loader = DataLoader(Numbers(), None, num_workers=2, generator=pydl.Generator().manual_seed(seed))
        return [sample[:5] for sample in loader]

    first = run(0)
    assert [s[0] for s in first] == [0, 1] * 4 and all(s[1] == 2 for s in first)
    assert len({s[2] for s in first}) == 2 and len({s[3] for s in first}) == 8 and len({s[4] for s in first}) == 8
    assert first == run(0) and first != run(1)


def set_up(worker):
    if worker == 1:
        raise ValueError("worker 1 cannot start")


def mark(worker):
    get_worker_info().dataset.n = 100 + worker


def test_worker_init():
    class Shows(Squares):
        def __getitem__(self, i):
            return self.n

    assert list(DataLoader(Shows(4), None, num_workers=2, worker_init_fn=mark)) == [100, 101, 100, 101]
    with pytest.raises(ValueError, match=r"Caught ValueError in DataLoader worker process 1\.") as info:
        list(DataLoader(Squares(), 2, num_workers=2, worker_init_fn=set_up))
    assert "worker 1 cannot start" in str(info.value) and "in set_up" in str(info.value)


def test_exceptions_come_with_the_workers_traceback():
    loader = DataLoader(Faulty(9), None, num_workers=2, persistent_workers=True)
    batches = iter(loader)
    assert [next(batches) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(KeyError) as info:
        next(batches)
    assert "Caught KeyError in DataLoader worker process 1.\nOriginal Traceback" in str(info.value)
    assert "in __getitem__" in str(info.value)
    batches = iter(loader)
    assert next(batches) == 0  # the workers live on
    with pytest.raises(RuntimeError, match="Caught Picky"):
        list(DataLoader(Faulty(9), None, sampler=[7], num_workers=1))


def test_what_cannot_be_sent():
    with pytest.raises(Exception, match=r"(?i)pickle"):
        list(DataLoader(Unpicklable(2), None, num_workers=1))


def test_a_killed_worker_is_noticed():
    with pytest.raises(RuntimeError, match=r"worker 0 \(pid \d+\) exited unexpectedly with exit code -9"):
        list(DataLoader(Deadly(), None, num_workers=2))


def test_timeout():
    """Of a worker that would never answer; it is ended, else this test would not."""
    with pytest.raises(RuntimeError, match=r"timed out after 0\.2 seconds"):
        list(DataLoader(Squares(4, wait=1e6), None, num_workers=1, timeout=0.2))
    assert multiprocessing.active_children() == []


def test_persistent_workers():
    loader = DataLoader(Numbers(), None, num_workers=2, persistent_workers=True)
    pids = [{sample[5] for sample in loader} for _ in range(2)]
    assert pids[0] == pids[1] and len(pids[0]) == 2
    partly = iter(loader)
    next(partly)
    assert len(list(loader)) == 8  # what was begun before does not appear
    with pytest.raises(RuntimeError, match="another iterator"):
        next(partly)
    fresh = DataLoader(Numbers(), None, num_workers=2)
    assert {s[5] for s in fresh}.isdisjoint({s[5] for s in fresh})


def test_stopping_early_ends_the_workers():
    for batch in DataLoader(Squares(1000), 2, num_workers=2):
        assert batch.tolist() == [0, 1]
        break
    assert multiprocessing.active_children() == []


def test_spawned_workers():
    got = [b.tolist() for b in DataLoader(Squares(), 8, num_workers=1, multiprocessing_context="spawn")]
    assert got == [b.tolist() for b in DataLoader(Squares(), 8)]


def test_after_parallel_kernels():
    """Processes are forked after the kernels' threads were started."""
    x = pydl.ones(600, 600)
    (x @ x).sum().item()

    class Products(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return float((pydl.ones(600, 600) @ pydl.ones(600, 600))[0, 0])

    assert list(DataLoader(Products(), None, num_workers=2, timeout=60)) == [600.0] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_the_main_process_is_killed(root):
    code = (
        "import os, pydl, signal\n"
        "from tests.test_data_workers import Numbers\n"
        "from pydl.utils.data import DataLoader\n"
        "it = iter(DataLoader(Numbers(), None, num_workers=2, sampler=[0, 1] * 500))\n"
        "pids = {next(it)[5] for _ in range(4)}\n"
        "print(*pids, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    pids = [int(pid) for pid in out.stdout.split()]
    assert len(pids) == 2, out.stderr
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_running(pid) for pid in pids)


def _running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
