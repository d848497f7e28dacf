# SPDX-License-Identifier: BSD-3-Clause
"""The training loop of `pydl train`, with a clock on its parts."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

import pydl
from pydl import nn, optim
from pydl._core import kernels
from pydl.cli.digits import CLASSES, Digits
from pydl.models import MLP
from pydl.tensor import Tensor
from pydl.utils.data import DataLoader, TensorDataset

__all__ = ["Clock", "Diverged", "Epoch", "Result", "train"]

HIDDEN = (512, 256)
MOMENTUM, WEIGHT_DECAY, LABEL_SMOOTHING = 0.9, 5e-4, 0.2
SIZES = (64, *HIDDEN, CLASSES)


class Diverged(Exception):
    """The loss is no number any more."""


class Clock:
    """Wall time and time inside compiled kernels, in ns, of each named part."""

    def __init__(self) -> None:
        self.wall_ns: dict[str, int] = {}
        self.kernels_ns: dict[str, int] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        before, start = kernels.kernel_clock(), time.perf_counter_ns()
        yield
        self.wall_ns[part] = self.wall_ns.get(part, 0) + time.perf_counter_ns() - start
        self.kernels_ns[part] = self.kernels_ns.get(part, 0) + kernels.kernel_clock() - before


@dataclass(frozen=True)
class Epoch:
    """What one time through the training set gave. The losses include the label smoothing that is trained with."""

    loss: float
    test_loss: float
    train_accuracy: float
    test_accuracy: float
    samples_per_s: float

    def line(self, number: int, of: int) -> str:
        """The epoch in one line."""
        return (
            f"epoch {number:{len(str(of))}}/{of}  loss {self.loss:.4f}  train {100 * self.train_accuracy:6.2f} %"
            f"  test {100 * self.test_accuracy:6.2f} %  {self.samples_per_s:9,.0f} samples/s"
        )


@dataclass
class Result:
    """The trained network, its course, its predictions for the test set (evaluated last), and where the time went."""

    model: nn.Module
    history: list[Epoch] = field(default_factory=list)
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clock: Clock = field(default_factory=Clock)


class Run:
    """One training run: the network, the optimizer and the batches, all made from the seed."""

    def __init__(self, digits: Digits, options: argparse.Namespace) -> None:
        pydl.manual_seed(options.seed)
        self.digits, self.lr = digits, options.lr
        self.result = Result(MLP(*SIZES))
        self.loader = DataLoader(
            TensorDataset(digits.train_x, digits.train_y),
            batch_size=options.batch,
            shuffle=True,
            generator=pydl.Generator().manual_seed(options.seed),
        )
        self.optimizer = optim.SGD(
            self.result.model.parameters(), lr=options.lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
        )
        self.criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
        self.step, self.n_steps = 0, options.epochs * len(self.loader)

    def epoch(self, tick: Callable[[], object]) -> Epoch:
        """Go once through the training set, calling `tick` after each step, then test."""
        clock, total = self.result.clock, 0.0
        start = time.perf_counter()
        batches = iter(self.loader)
        while True:
            with clock("data"):
                batch = next(batches, None)
            if batch is None:
                break
            total += self._train_step(*batch) * len(batch[0])
            tick()
        n, seconds = len(self.digits.train_x), time.perf_counter() - start
        with clock("evaluation"), pydl.no_grad():
            _, train_accuracy = self._evaluate(self.digits.train_x, self.digits.train_y)
            test_loss, test_accuracy = self._evaluate(self.digits.test_x, self.digits.test_y)
        return Epoch(total / n, test_loss, train_accuracy, test_accuracy, n / seconds)

    def _train_step(self, x: Tensor, y: Tensor) -> float:
        clock = self.result.clock
        self.optimizer.param_groups[0]["lr"] = self.lr * (1 + math.cos(math.pi * self.step / self.n_steps)) / 2
        self.step += 1
        with clock("forward"):
            loss = self.criterion(self.result.model(x), y)
        with clock("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with clock("step"):
            self.optimizer.step()
        return loss.item()

    def _evaluate(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        scores = self.result.model(x)
        self.result.predicted = scores.argmax(1).numpy()
        return self.criterion(scores, y).item(), float(np.mean(self.result.predicted == y.numpy()))


def train(digits: Digits, options: argparse.Namespace) -> Result:
    """Train for all the epochs asked for (there is no early stopping) and return the last state."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    run = Run(digits, options)
    kernels.set_kernel_clock(True)
    try:
        # disable=None: no bar where stderr is no terminal.
        with tqdm(total=run.n_steps, desc="training", unit="step", disable=None, leave=False) as bar:
            for number in range(1, options.epochs + 1):
                epoch = run.epoch(bar.update)
                run.result.history.append(epoch)
                bar.write(epoch.line(number, options.epochs))
                if not math.isfinite(epoch.loss):
                    raise Diverged(f"the loss is {epoch.loss} in epoch {number}: try an --lr below {options.lr:g}")
    finally:
        kernels.set_kernel_clock(False)
    return run.result
