# SPDX-License-Identifier: BSD-3-Clause
"""Training takes no fresh memory from the third step on: exact counters of the pool, and the system's page faults."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl._core import storage
from pydl.models import LeNet5
from pydl.nn import functional as F

resource = pytest.importorskip("resource", reason="page faults are counted by POSIX systems")

FIRST, LAST = 3, 9
# In all steps but one: a thread may begin to work, and take its stack, late on a busy machine. Python's own objects
# take a page now and then; one array of 128 KB that NumPy would make and drop in each step makes 32 faults a step.
ALLOWED_FAULTS = 3 * (LAST - FIRST)


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut without weights: every second pixel, and zeros as new channels."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.stride, self.pad = stride, (n_out - n_in) // 2

    def forward(self, x: pydl.Tensor) -> pydl.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


class ResNet20(nn.Sequential):
    """The residual network of 20 layers for 32×32 pixels."""

    def __init__(self) -> None:
        blocks = [Block(i, o, s) for i, o, s in [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2]
        blocks += [Block(i, o, s) for i, o, s in [(32, 64, 2), (64, 64, 1), (64, 64, 1)]]
        first = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        super().__init__(*first, *blocks, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10))


class LastState(nn.Module):
    """An LSTM and a linear layer on its last state."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(n_in, n_hidden, batch_first=True), nn.Linear(n_hidden, 10)

    def forward(self, x: pydl.Tensor) -> pydl.Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (mlp, (64, 784)),
    "LeNet-5": (lambda: LeNet5(activation="relu", pool="max"), (64, 1, 28, 28)),
    "ResNet-20": (ResNet20, (32, 3, 32, 32)),
    "LSTM": (lambda: LastState(128, 256), (32, 100, 128)),
}
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: pydl.optim.SGD(p, lr=1e-3, momentum=0.9),
    "Adam": lambda p: pydl.optim.Adam(p, lr=1e-3),
}


class Run:
    """A model in training, on batches of any size."""

    def __init__(self, model: nn.Module, optimizer: str) -> None:
        self.model, self.optimizer = model, OPTIMIZERS[optimizer](model.parameters())

    def step(self, x: pydl.Tensor) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(x), pydl.zeros(len(x), dtype=pydl.int64)).backward()
        self.optimizer.step()

    def evaluate(self, x: pydl.Tensor) -> None:
        self.model.eval()
        with pydl.no_grad():
            self.model(x)
        self.model.train()


def spent(work: Callable[[], object]) -> tuple[int, int]:
    """Pool misses and page faults of some work."""
    misses, faults = storage.stats()["misses"], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return storage.stats()["misses"] - misses, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults


def steady_faults(each: list[tuple[int, int]]) -> int:
    """The faults of all steps but the one with the most."""
    return sum(sorted(faults for _, faults in each)[:-1])


@pytest.fixture(autouse=True)
def empty_pool(threads: None) -> Iterator[None]:
    """Nothing cached before, by this library's other tests; the pool's settings as they were after."""
    before = storage.is_pooling()
    storage.set_pooling(True)
    storage.empty_cache()
    pydl.manual_seed(0)
    try:
        yield
    finally:
        storage.set_cap(None)
        storage.set_pooling(before)


@pytest.mark.long
@pytest.mark.parametrize("n_threads", [1, 2], ids="{}T".format)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_no_fresh_memory_from_the_third_step_on(name: str, optimizer: str, n_threads: int) -> None:
    pydl.set_num_threads(n_threads)
    make, shape = MODELS[name]
    run, x = Run(make(), optimizer), pydl.randn(*shape)
    for _ in range(1, FIRST):
        run.step(x)
    each = [spent(lambda: run.step(x)) for _ in range(FIRST, LAST)]
    assert [misses for misses, _ in each] == [0] * len(each)
    assert steady_faults(each) <= ALLOWED_FAULTS, each


@pytest.mark.parametrize("name", ["MLP", "LeNet-5"])
def test_without_a_cache_every_step_takes_fresh_memory(name: str) -> None:
    """So the counters above would see it."""
    make, shape = MODELS[name]
    run, x = Run(make(), "SGD"), pydl.randn(*shape)
    storage.set_cap(0)
    for _ in range(1, FIRST):
        run.step(x)
    each = [spent(lambda: run.step(x)) for _ in range(FIRST, LAST)]
    assert min(misses for misses, _ in each) > 0
    assert steady_faults(each) > ALLOWED_FAULTS, each


def reserved() -> int:
    return pydl.memory.memory_reserved()


@pytest.mark.long
def test_a_last_smaller_batch_and_an_evaluation_between_epochs() -> None:
    run, sizes = Run(LeNet5(), "Adam"), [64, 64, 64, 17]

    def epoch() -> None:
        for n in sizes:
            run.step(pydl.randn(n, 1, 28, 28))
        run.evaluate(pydl.randn(100, 1, 28, 28))

    for _ in range(3):
        epoch()
    held = reserved()
    assert [spent(epoch)[0] for _ in range(3)] == [0, 0, 0]
    assert reserved() == held


@pytest.mark.long
def test_sequences_of_all_lengths_share_the_memory_of_the_longest() -> None:
    """A list of free blocks for each size would hold about 4 times as much; each change of length would miss."""
    run, rng = Run(LastState(64, 128), "SGD"), np.random.default_rng(0)
    for _ in range(3):
        run.step(pydl.randn(16, 120, 64))
    longest = reserved()
    for n in rng.integers(10, 120, 60):
        run.step(pydl.randn(16, int(n), 64))
    assert reserved() <= 1.25 * longest + 2**21
    late = 0
    for n in rng.integers(10, 120, 60):
        x = pydl.randn(16, int(n), 64)
        late += spent(functools.partial(run.step, x))[0]
    assert late <= 12  # of some 2000 allocations
