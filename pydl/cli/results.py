# SPDX-License-Identifier: BSD-3-Clause
"""What a run of `pydl train` leaves behind: its course, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydl._core import kernels

__all__ = ["Clock", "Epoch", "Result"]


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
    """What one time through the training set gave: losses as they are trained with, and scores.

    `held` is of the data that is held out: the test set, or a validation set where the task has one.
    """

    loss: float
    held_loss: float
    train_score: float | None
    held_score: float
    samples_per_s: float


@dataclass
class Result:
    """The course of a run, the number of the epoch whose weights the network has, and where the time went."""

    history: list[Epoch] = field(default_factory=list)
    chosen: int = 0
    clock: Clock = field(default_factory=Clock)

    @property
    def epoch(self) -> Epoch:
        """The epoch whose weights the network has."""
        return self.history[self.chosen - 1]
