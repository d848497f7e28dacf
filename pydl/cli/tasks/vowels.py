# SPDX-License-Identifier: BSD-3-Clause
"""Who speaks: sequences of different lengths, in batches of similar length, padded steps left out of the work."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl.cli.recipes import Recipe
from pydl.cli.report import confusion
from pydl.cli.results import Result
from pydl.cli.tasks import baselines
from pydl.cli.tasks.task import Batches, Scores, Task, parted
from pydl.cli.tasks.vowels_files import load
from pydl.models import SequenceClassifier
from pydl.tensor import Tensor
from pydl.utils.data import BatchSampler, BucketBatchSampler, DataLoader, RandomSampler, pad_collate, padding_report

__all__ = ["Vowels"]

Array = np.ndarray[Any, np.dtype[Any]]
HIDDEN, DROPOUT = 64, 0.3
EVALUATED = 128  # recordings in one batch of the evaluation
BUCKETS_OF = 2  # batches: few, as there are but 270 recordings


class Vowels(Task):
    """Which of nine men says /ae/, by a network that reads twelve numbers a frame in both directions."""

    name = "vowels"
    counted = "recordings"
    clip = 1.0
    # Chosen by 5-fold cross-validation inside the training part; the test set was not looked at.
    recipes = {
        "lstm": Recipe(40, 16, "adamw", "onecycle", {"sgd": 0.2, "adam": 5e-3, "adamw": 5e-3}, 0.1),
        "gru": Recipe(40, 16, "adamw", "onecycle", {"sgd": 0.2, "adam": 5e-3, "adamw": 5e-3}, 0.1),
        "rnn": Recipe(40, 16, "adamw", "onecycle", {"sgd": 0.05, "adam": 2e-3, "adamw": 2e-3}, 0.1),
    }

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        super().__init__(options, command)
        self.data = load(options.folder, command)
        train_x, train_y = self.data.train_x, self.data.train_y
        trained, held = parted(len(train_x), options.patience)
        self.parts = {
            "train": ([train_x[i] for i in trained], train_y[trained]),
            "validation": ([train_x[i] for i in held], train_y[held]),
            "test": (self.data.test_x, self.data.test_y),
        }
        self.lengths = {part: [len(x) for x in sequences] for part, (sequences, _) in self.parts.items()}
        self.criterion = nn.CrossEntropyLoss(label_smoothing=self.recipe.smoothing)
        self.predicted = np.empty(0, np.int64)
        self.right = 0.0
        self.baselines: dict[str, float] = {}

    # ---- training --------------------------------------------------------------------------------------------------

    def make_model(self) -> nn.Module:
        channels = self.data.train_x[0].shape[1]
        return SequenceClassifier(
            channels,
            HIDDEN,
            len(self.data.classes),
            self.options.model,
            bidirectional=True,
            dropout=DROPOUT,
        )

    def batches(self, generator: pydl.Generator) -> Batches:
        batch = self.options.batch
        sampler = BucketBatchSampler(self.lengths["train"], batch, bucket_size=BUCKETS_OF * batch, generator=generator)
        x, y = self.parts["train"]
        samples = list(zip(x, y.tolist(), strict=True))
        return DataLoader(samples, batch_sampler=sampler, collate_fn=pad_collate)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        x, lengths, y = batch
        return self.criterion(model(x, lengths=lengths), y), len(y)

    def evaluate(self, model: nn.Module) -> Scores:
        train = self._tested(model, "train")[1]
        return Scores(*(self._tested(model, "validation") if self.options.patience else self._test(model)), train)

    def _test(self, model: nn.Module) -> tuple[float, float]:
        """Loss and share of right answers in the test set; both stay."""
        loss, self.right = self._tested(model, "test")
        return loss, self.right

    def _tested(self, model: nn.Module, part: str) -> tuple[float, float]:
        """Mean loss and share of right answers; the answers stay in `predicted`."""
        x, y = self.parts[part]
        loss_sum, self.predicted = 0.0, np.empty(len(y), np.int64)
        for which in BucketBatchSampler(self.lengths[part], EVALUATED, shuffle=False):
            padded, lengths, target = pad_collate([(x[i], int(y[i])) for i in which])
            scores = model(padded, lengths=lengths)
            loss_sum += self.criterion(scores, target).item() * len(which)
            self.predicted[which] = scores.argmax(1).numpy()
        return loss_sum / len(y), float(np.mean(self.predicted == y))

    # ---- words and pictures ----------------------------------------------------------------------------------------

    def model_name(self) -> str:
        return f"{self.options.model.upper()} {HIDDEN} in both directions"

    def amounts(self) -> str:
        data, every = self.data, [n for lengths in self.lengths.values() for n in lengths]
        return (
            f"{len(data.train_x)} recordings of {min(every)} to {max(every)} frames to train on,"
            f" {len(data.test_x)} to test on{self.chosen_by(len(self.lengths['validation']))}"
        )

    def notes(self) -> list[str]:
        """How much of the padded batches is data: in batches of similar length, and as they would come."""
        lengths, batch = self.lengths["train"], self.options.batch
        mixed, alike = (pydl.Generator().manual_seed(self.options.seed) for _ in range(2))
        random = BatchSampler(RandomSampler(lengths, generator=mixed), batch, False)
        similar = BucketBatchSampler(lengths, batch, bucket_size=BUCKETS_OF * batch, generator=alike)
        shares = [100 * padding_report(lengths, batches).share for batches in (similar, random)]
        return [
            f"{shares[0]:.0f} % of the steps of the padded batches are data"
            f" ({shares[1]:.0f} % without regard to length); no work is done on the others"
        ]

    def report(self, model: nn.Module, result: Result) -> str:
        data = self.data
        if self.options.patience:
            with pydl.no_grad():
                self._test(model)
        train, test = (np.stack([x.mean(0) for x in part]) for part in (data.train_x, data.test_x))
        self.baselines = baselines.accuracies(train, data.train_y, test, data.test_y)
        return "\n".join([
            confusion(self.predicted, data.test_y, data.classes),
            f"for comparison, by the mean of a recording's frames: {baselines.text(self.baselines)}",
        ])  # fmt: skip

    def draw(self, path: str, model: nn.Module, result: Result) -> None:
        from pydl.cli.tasks import sequence_plots

        sequence_plots.save_vowels(path, self, result)

    def metadata(self) -> dict[str, str]:
        return {"data": self.data.source, "test_accuracy": f"{self.right:.6f}"}

    def closing(self) -> str:
        return f"test accuracy {100 * self.right:.2f} %, {baselines.text(self.baselines)}"
