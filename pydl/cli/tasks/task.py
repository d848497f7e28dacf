# SPDX-License-Identifier: BSD-3-Clause
"""What the runner of `pydl train` asks of a task: data, network, batches, loss, scores, and words and a picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

import pydl
from pydl import nn
from pydl.cli.recipes import Recipe
from pydl.cli.results import Result
from pydl.tensor import Tensor

__all__ = ["Batches", "Metric", "Scores", "Task", "parted"]

Array = np.ndarray[Any, np.dtype[Any]]
MAX_VALIDATION = 5000


def parted(n: int, patience: int | None) -> tuple[Array, Array]:
    """Which of n training samples are trained on, and by which of them --patience chooses the epoch.

    The latter are a tenth, at most 5,000, the same in every run; none without --patience. So the test set never has a
    say in which weights are kept.
    """
    if not patience:
        return np.arange(n), np.arange(0)
    order = np.random.RandomState(0).permutation(n)
    n_validation = max(1, min(n // 10, MAX_VALIDATION))
    return np.sort(order[n_validation:]), np.sort(order[:n_validation])


class Batches(Protocol):
    """What gives the batches of an epoch: a DataLoader, or anything like it."""

    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Metric:
    """What a score counts: its name, and how a number is written: `value * factor` with so many digits, and the unit.

    `axis` is what stands beside its curve, where that is not the name with the unit.
    """

    name: str = "accuracy"
    unit: str = "%"
    factor: float = 100.0
    digits: int = 2
    axis: str = ""

    def text(self, value: float, width: int = 0) -> str:
        """The value with its unit."""
        return f"{self.factor * value:{width}.{self.digits}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Scores:
    """What an epoch is judged by: loss and score on the data that is held out, score on the training data (or None)."""

    held_loss: float
    held: float
    train: float | None = None


class Task:
    """One thing that `pydl train` can learn. A task is made from the complete options and loads its data then.

    The runner makes the network (`make_model`), seeded; gets the batches of each epoch from `batches`, whose random
    order comes from the generator alone; trains by the gradient of `loss`; and calls `evaluate` after each epoch.
    `--patience` watches the held-out loss: with it, a task holds out a part of its training data in place of the test
    set, and tests in `report`. What else changes during a run belongs into `state` and `restore`.
    After training come `report`, `draw`, `metadata` of the weights and `closing`, in this order.
    """

    name: ClassVar[str]
    recipes: ClassVar[dict[str, Recipe]]
    needs: ClassVar[dict[str, str]] = {}  # distributions beside tqdm and matplotlib, and the modules they are known by
    held: str = "test"  # which data the held-out loss and score are of
    counted: ClassVar[str] = "samples"
    metric: ClassVar[Metric] = Metric(axis="right (%)")
    clip: float | None = None  # largest norm of the gradient of all weights

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        self.options = options
        self.recipe = self.recipes[options.model]
        if options.patience:
            self.held = "validation"

    def chosen_by(self, n: int) -> str:
        """The end of `amounts`: how many samples --patience holds out of the training."""
        return f", {n:,} of the former held out for --patience" if self.options.patience else ""

    # ---- training --------------------------------------------------------------------------------------------------

    def make_model(self) -> nn.Module:
        """A new network, with weights from the default generator."""
        raise NotImplementedError

    def batches(self, generator: pydl.Generator) -> Batches:
        """What an epoch goes through. Each pass over it is a new order."""
        raise NotImplementedError

    def vary(self, batch: Any) -> Any:
        """The batch as it is trained on."""
        return batch

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        """The mean loss of a batch, and of how many it is the mean."""
        raise NotImplementedError

    def evaluate(self, model: nn.Module) -> Scores:
        """The scores of a network in evaluation mode, without gradients."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What of the task changes during a run: goes into the checkpoint."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""

    # ---- words and pictures ----------------------------------------------------------------------------------------

    def model_name(self) -> str:
        """The network's name, with its sizes where the name alone does not tell."""
        raise NotImplementedError

    def amounts(self) -> str:
        """How much there is to train on and to test on."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Further lines of the heading."""
        return []

    def report(self, model: nn.Module, result: Result) -> str:
        """What the trained network does on the test set, and what simple methods do there."""
        raise NotImplementedError

    def draw(self, path: str, model: nn.Module, result: Result) -> None:
        """Write the picture."""
        raise NotImplementedError

    def metadata(self) -> dict[str, str]:
        """What the file of the weights should know about the data and the result."""
        raise NotImplementedError

    def closing(self) -> str:
        """The result in half a line, with that of the baseline."""
        raise NotImplementedError
