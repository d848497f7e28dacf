# SPDX-License-Identifier: BSD-3-Clause
"""The training loop of `pydl train`, with a clock on its parts."""

from __future__ import annotations

import argparse
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl._core import kernels
from pydl.cli.train_checkpoint import write
from pydl.cli.train_data import Images
from pydl.cli.train_recipes import RECIPES, make_model, make_optimizer, make_scheduler, vary
from pydl.tensor import Tensor
from pydl.utils.data import DataLoader, TensorDataset

__all__ = ["Clock", "Diverged", "Epoch", "Result", "train"]

EVALUATED = 1000  # images in one batch of the evaluation
MAX_TRAIN_EVALUATED = 10_000  # the first training images stand for all in "train"


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
    """The trained network, its course, its predictions for the test set, and where the time went."""

    model: nn.Module
    history: list[Epoch] = field(default_factory=list)
    chosen: int = 0  # number of the epoch whose weights the network has
    predicted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clock: Clock = field(default_factory=Clock)


class Run:
    """One training run: the network, the optimizer and the batches, all made from the seed."""

    def __init__(self, images: Images, options: argparse.Namespace) -> None:
        pydl.manual_seed(options.seed)
        self.images, self.options = images, options
        self.recipe = RECIPES[images.name, options.model]
        self.result = Result(make_model(options.model, images.side, len(images.classes)))
        self.order, self.variation = (pydl.Generator().manual_seed(options.seed) for _ in range(2))
        self.loader = DataLoader(
            TensorDataset(self._shaped(images.train_x), images.train_y),
            batch_size=options.batch,
            shuffle=True,
            generator=self.order,
        )
        self.n_steps = options.epochs * len(self.loader)
        self.optimizer = make_optimizer(options, self.result.model)
        self.scheduler = make_scheduler(options, self.optimizer, self.n_steps)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=self.recipe.smoothing)
        self.batches, self.loss_sum = 0, 0.0  # of the epoch under way
        self.order_at_start = self.order.get_state()
        self.best: dict[str, Any] | None = None  # weights of the epoch with the lowest test loss
        self.steps_done, self.stop_asked = 0, False

    def _shaped(self, x: Tensor) -> Tensor:
        side = self.images.side
        return x if self.options.model == "mlp" else x.view(-1, 1, side, side)

    # ---- one epoch -----------------------------------------------------------------------------------------------

    def epoch(self, after_step: Callable[[], object]) -> Epoch:
        """Go once through the training set (or what is left of it), calling `after_step` after each step, then test."""
        clock, done_before = self.result.clock, self.batches
        start = time.perf_counter()
        self.result.model.train()
        batches = islice(iter(self.loader), self.batches, None)
        while True:
            with clock("data"):
                batch = next(batches, None)
                if batch is not None and (self.recipe.mirror or self.recipe.shift):
                    batch = [self._varied(batch[0]), batch[1]]
            if batch is None:
                break
            self.loss_sum += self._train_step(*batch) * len(batch[0])
            self.batches += 1
            after_step()
        n, seconds = len(self.images.train_x), time.perf_counter() - start
        n_done = n - done_before * self.options.batch
        loss, self.loss_sum, self.batches = self.loss_sum / n, 0.0, 0
        self.order_at_start = self.order.get_state()
        x, y = self.images.train_x[:MAX_TRAIN_EVALUATED], self.images.train_y[:MAX_TRAIN_EVALUATED]
        train_accuracy = self.evaluate(x, y)[1]
        test_loss, test_accuracy = self.evaluate(self.images.test_x, self.images.test_y)
        epoch = Epoch(loss, test_loss, train_accuracy, test_accuracy, n_done / seconds)
        self.result.history.append(epoch)
        self._keep_best()
        return epoch

    def _varied(self, x: Tensor) -> Tensor:
        side, blank = self.images.side, (0.0 - self.images.mean) / self.images.std
        varied: Tensor = vary(x.view(-1, 1, side, side), self.recipe, blank, self.variation)
        return varied.view(x.shape)

    def _train_step(self, x: Tensor, y: Tensor) -> float:
        clock = self.result.clock
        with clock("forward"):
            loss = self.criterion(self.result.model(x), y)
        with clock("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with clock("step"):
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        self.steps_done += 1
        return loss.item()

    def evaluate(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Mean loss and share of right answers; the predictions stay in the result."""
        self.result.model.eval()
        loss_sum, predicted, shaped = 0.0, [], self._shaped(x)
        with self.result.clock("evaluation"), pydl.no_grad():
            for i in range(0, len(x), EVALUATED):
                scores = self.result.model(shaped[i : i + EVALUATED])
                loss_sum += self.criterion(scores, y[i : i + EVALUATED]).item() * len(scores)
                predicted.append(scores.argmax(1).numpy())
        self.result.predicted = np.concatenate(predicted)
        return loss_sum / len(x), float(np.mean(self.result.predicted == y.numpy()))

    # ---- early stopping ------------------------------------------------------------------------------------------

    def _keep_best(self) -> None:
        """With --patience: notes the epoch with the lowest test loss so far, and its weights."""
        losses = [epoch.test_loss for epoch in self.result.history]
        if self.options.patience and losses[-1] == min(losses):
            self.result.chosen = len(losses)
            self.best = {name: t.detach().clone() for name, t in self.result.model.state_dict().items()}
        elif not self.options.patience:
            self.result.chosen = len(losses)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the test loss has not fallen for `patience` of them."""
        n = len(self.result.history)
        waited = bool(self.options.patience) and n - self.result.chosen >= self.options.patience
        return n >= self.options.epochs or waited

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that changes during a run, between two steps."""
        return {
            "model": self.result.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "batches": self.batches,
            "steps": self.steps_done,
            "loss_sum": self.loss_sum,
            "order": self.order_at_start,
            "variation": self.variation.get_state(),
            "random": pydl.get_rng_state(),
            "history": [asdict(epoch) for epoch in self.result.history],
            "chosen": self.result.chosen,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.result.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.batches, self.loss_sum = state["batches"], state["loss_sum"]
        self.steps_done = state["steps"]
        self.order_at_start = state["order"]
        self.order.set_state(state["order"])
        self.variation.set_state(state["variation"])
        pydl.set_rng_state(state["random"])
        self.result.history = [Epoch(**values) for values in state["history"]]
        self.result.chosen, self.best = state["chosen"], state["best"]

    def save(self, command: str) -> None:
        """Write the checkpoint, where one is asked for."""
        if self.options.checkpoint:
            write(self.options.checkpoint, self.options, self.state(), command)


@contextmanager
def _ctrl_c_after_the_step(run: Run) -> Iterator[None]:
    """With a checkpoint, Ctrl-C lets the step under way end: what is saved is whole. Without, it ends at once."""
    if not run.options.checkpoint or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(*_: object) -> None:
        run.stop_asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def train(images: Images, options: argparse.Namespace, state: dict[str, Any] | None, command: str) -> Result:
    """Train from the beginning or from `state` until the end, or until --patience says so."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    run = Run(images, options)
    if state is not None:
        run.restore(state)
    kernels.set_kernel_clock(True)
    try:
        # disable=None: no bar where stderr is no terminal.
        bar = tqdm(total=run.n_steps, initial=run.steps_done, desc="training", unit="step", disable=None, leave=False)
        with bar, _ctrl_c_after_the_step(run):

            def after_step() -> None:
                bar.update()
                if run.stop_asked or (options.checkpoint_steps and run.steps_done % options.checkpoint_steps == 0):
                    run.save(command)
                if run.stop_asked:
                    raise KeyboardInterrupt

            while not run.finished:
                epoch = run.epoch(after_step)
                bar.write(epoch.line(len(run.result.history), options.epochs))
                if not math.isfinite(epoch.loss):
                    number = len(run.result.history)
                    raise Diverged(f"the loss is {epoch.loss} in epoch {number}: try an --lr below {options.lr:g}")
                run.save(command)
    finally:
        kernels.set_kernel_clock(False)
    if run.best is not None:
        run.result.model.load_state_dict(run.best)
    run.evaluate(images.test_x, images.test_y)
    return run.result
