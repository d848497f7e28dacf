# SPDX-License-Identifier: BSD-3-Clause
"""Large blocks of the pool: cut, joined, bounded, given back, and passed between threads."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import pydl
from pydl import memory
from pydl._core import storage

MB = 2**20


@pytest.fixture(autouse=True)
def empty_pool() -> Iterator[None]:
    before = storage.is_pooling()
    storage.set_pooling(True)
    storage.empty_cache()
    try:
        yield
    finally:
        storage.set_cap(None)
        storage.set_pooling(before)


def block(n_bytes: int) -> pydl.Tensor:
    return pydl.empty(n_bytes, dtype=pydl.uint8)


def misses() -> int:
    return memory.memory_stats()["misses"]


def resident() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


@pytest.mark.parametrize("seed", range(4))
def test_blocks_never_overlap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    live: dict[int, tuple[pydl.Tensor, int]] = {}
    before = memory.memory_allocated()
    for i in range(1500):
        if live and rng.random() < 0.5:
            t, value = live.pop(list(live)[int(rng.integers(len(live)))])
            assert t.array.min() == value == t.array.max()
        n = int(2 ** rng.uniform(10, 20))
        t = block(n).fill_(i % 251)
        assert t.data_ptr() % 64 == 0
        live[i] = t, i % 251
        if i % 500 == 499:
            memory.empty_cache()
    assert all(t.array.min() == value == t.array.max() for t, value in live.values())
    assert memory.memory_allocated() - before >= sum(t.numel() for t, _ in live.values())
    del t
    live.clear()
    assert memory.memory_allocated() == before
    memory.empty_cache()
    assert memory.memory_reserved() == before


def test_neighbors_that_are_free_serve_a_larger_block() -> None:
    parts = [block(MB) for _ in range(8)]
    parts.clear()
    before = misses()
    whole = block(8 * MB)
    assert misses() == before and len(whole) == 8 * MB


def test_a_block_is_cut_to_measure() -> None:
    del (x := [block(16 * MB)])[:]
    before = misses()
    parts = [block(n * 10_000) for n in range(10, 50)]
    assert misses() == before and not x
    assert len({t.data_ptr() for t in parts}) == 40


def test_a_block_larger_than_a_segment() -> None:
    t = block(100 * MB)
    t[-1] = 7
    mapped = memory.memory_stats()["bytes_mapped"]
    del t
    memory.empty_cache()
    assert memory.memory_stats()["bytes_mapped"] <= mapped - 100 * MB


@pytest.mark.parametrize("cap", [0, 3 * MB, 20 * MB])
def test_the_cap_holds_after_every_drop(cap: int) -> None:
    memory.set_cap(cap)
    rng = np.random.default_rng(0)
    live = [block(int(n)).fill_(1) for n in rng.integers(1, 2 * MB, 60)]
    while live:
        del live[int(rng.integers(len(live)))]
        assert memory.memory_stats()["bytes_cached"] <= cap


def test_a_lower_cap_gives_back_what_is_above_it() -> None:
    del (x := [block(30 * MB).fill_(1)])[:]
    assert memory.memory_stats()["bytes_cached"] >= 30 * MB and not x
    memory.set_cap(MB)
    assert memory.memory_stats()["bytes_cached"] <= MB
    with pytest.raises(ValueError, match="must not be negative"):
        memory.set_cap(-1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; elsewhere only whole segments are given back")
@pytest.mark.parametrize("n_bytes", [10_000, 300_000, 5 * MB])
def test_what_is_given_back_leaves_the_process(n_bytes: int) -> None:
    """Though one block in the middle is still in use."""
    blocks = [block(n_bytes).fill_(1) for _ in range(120 * MB // n_bytes)]
    full = resident()
    middle = blocks[len(blocks) // 2]
    blocks.clear()
    memory.empty_cache()
    assert full - resident() > 105 * MB
    assert middle.array.min() == 1 == middle.array.max()
    again = block(n_bytes).fill_(2)
    assert middle.array.max() == 1 and again.array.min() == 2


def test_blocks_of_either_kind_go_back_where_they_came_from() -> None:
    """The pool may be switched while they live."""
    pooled = [block(n) for n in (1000, 40_000, 3 * MB)]
    storage.set_pooling(False)
    plain = [block(n) for n in (1000, 40_000, 3 * MB)]
    pooled.clear()
    assert memory.memory_stats()["bytes_cached"] == 0
    storage.set_pooling(True)
    before = memory.memory_allocated()
    plain.clear()
    assert memory.memory_allocated() < before - 3 * MB
    assert block(3 * MB).fill_(5).array.min() == 5


def test_blocks_are_freed_by_other_threads_than_took_them() -> None:
    before, wrong = memory.memory_stats(), []
    passed: queue.Queue[tuple[pydl.Tensor, int] | None] = queue.Queue(16)

    def make(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for i in range(300):
            value = (seed + 7 * i) % 251
            passed.put((block(int(2 ** rng.uniform(6, 21))).fill_(value), value))

    def drop() -> None:
        while (item := passed.get()) is not None:
            t, value = item
            if not t.array.min() == value == t.array.max():
                wrong.append(value)
            del t, item

    makers, droppers = (
        [threading.Thread(target=make, args=(s,)) for s in range(3)],
        [threading.Thread(target=drop) for _ in range(2)],
    )
    for thread in makers + droppers:
        thread.start()
    for thread in makers:
        thread.join()
    for _ in droppers:
        passed.put(None)
    for thread in droppers:
        thread.join()
    after = memory.memory_stats()
    assert not wrong
    assert after["allocations"] - before["allocations"] >= 900
    assert (after["bytes_in_use"], after["blocks_live"]) == (before["bytes_in_use"], before["blocks_live"])
    assert after["bytes_cached"] < 100 * MB  # 900 blocks have some 150 MB; no more than about 20 lived at once


@pytest.mark.parametrize(("value", "kept"), [("1000000", False), ("", True)])
def test_the_cap_can_be_set_from_outside(value: str, kept: bool) -> None:
    code = (
        "import pydl; x = pydl.ones(2_000_000); del x; print(pydl.memory.memory_stats()['bytes_cached'] >= 8_000_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYDL_POOL": "1", "PYDL_POOL_CAP": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(kept)
