# SPDX-License-Identifier: BSD-3-Clause
"""The training loop of `pydl train`, the same for all tasks: seeded, resumable to the same bits, with a clock."""

from __future__ import annotations

import argparse
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any

import pydl
from pydl import nn
from pydl._core import kernels
from pydl.cli.recipes import make_optimizer, make_scheduler
from pydl.cli.results import Epoch, Result
from pydl.cli.tasks.task import Task
from pydl.cli.train_checkpoint import write

__all__ = ["Diverged", "Run", "train"]


class Diverged(Exception):
    """The loss is no number any more."""


class Run:
    """One training run: the network, the optimizer and the batches, all made from the seed."""

    def __init__(self, task: Task, options: argparse.Namespace) -> None:
        pydl.manual_seed(options.seed)
        self.task, self.options = task, options
        self.model, self.result = task.make_model(), Result()
        self.order = pydl.Generator().manual_seed(options.seed)
        self.loader = task.batches(self.order)
        self.n_steps = options.epochs * len(self.loader)
        self.optimizer = make_optimizer(options, self.model)
        self.scheduler = make_scheduler(options, self.optimizer, self.n_steps)
        self.batches, self.loss_sum, self.n_samples = 0, 0.0, 0  # of the epoch under way
        self.order_at_start = self.order.get_state()
        self.best: dict[str, Any] | None = None  # weights of the epoch with the lowest held-out loss
        self.steps_done, self.stop_asked, self.evaluated = 0, False, False
        self.end = math.inf if options.time_limit is None else time.perf_counter() + 60 * options.time_limit

    # ---- one epoch -----------------------------------------------------------------------------------------------

    def epoch(self, after_step: Callable[[], object]) -> Epoch:
        """Go once through the training set (or what is left of it), calling `after_step` after each step, then test.

        The time limit ends it early.
        """
        clock, done_before, start = self.result.clock, self.n_samples, time.perf_counter()
        self.model.train()
        batches = islice(iter(self.loader), self.batches, None)
        while not (self.batches and self.out_of_time):
            with clock("data"):
                batch = next(batches, None)
                if batch is not None:
                    batch = self.task.vary(batch)
            if batch is None:
                break
            self._train_step(batch)
            after_step()
        rate = (self.n_samples - done_before) / (time.perf_counter() - start)
        loss = self.loss_sum / self.n_samples
        self.batches, self.loss_sum, self.n_samples = 0, 0.0, 0
        self.order_at_start = self.order.get_state()
        scores = self.evaluate()
        epoch = Epoch(loss, scores.held_loss, scores.train, scores.held, rate)
        self.result.history.append(epoch)
        self._keep_best()
        return epoch

    def _train_step(self, batch: Any) -> None:
        clock = self.result.clock
        with clock("forward"):
            loss, n = self.task.loss(self.model, batch)
        with clock("backward"):
            self.optimizer.zero_grad()
            loss.backward()
        with clock("step"):
            if self.task.clip is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.task.clip)
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
        self.steps_done, self.batches = self.steps_done + 1, self.batches + 1
        self.loss_sum, self.n_samples = self.loss_sum + loss.item() * n, self.n_samples + n

    def evaluate(self) -> Any:
        """The task's scores of the network as it is now."""
        self.model.eval()
        self.evaluated = True
        with self.result.clock("evaluation"), pydl.no_grad():
            return self.task.evaluate(self.model)

    def line(self, epoch: Epoch) -> str:
        """An epoch in one line: the last one of the history."""
        task, of, number = self.task, self.options.epochs, len(self.result.history)
        train = "" if epoch.train_score is None else f"  train {task.metric.text(epoch.train_score, 6)}"
        return (
            f"epoch {number:{len(str(of))}}/{of}  loss {epoch.loss:.4f}{train}"
            f"  {task.held} {task.metric.text(epoch.held_score, 6)}  {epoch.samples_per_s:9,.0f} {task.counted}/s"
        )

    # ---- stopping early ------------------------------------------------------------------------------------------

    def _keep_best(self) -> None:
        """With --patience: notes the epoch with the lowest held-out loss so far, and its weights."""
        losses = [epoch.held_loss for epoch in self.result.history]
        if self.options.patience and losses[-1] == min(losses):
            self.result.chosen = len(losses)
            self.best = {name: t.detach().clone() for name, t in self.model.state_dict().items()}
        elif not self.options.patience:
            self.result.chosen = len(losses)

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit is reached."""
        return time.perf_counter() >= self.end

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, the time is over, or the held-out loss has not fallen for `patience` epochs."""
        n = len(self.result.history)
        waited = bool(self.options.patience) and n - self.result.chosen >= self.options.patience
        return n >= self.options.epochs or waited or (n > 0 and self.out_of_time)

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that changes during a run, between two steps."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "batches": self.batches,
            "steps": self.steps_done,
            "loss_sum": self.loss_sum,
            "samples": self.n_samples,
            "order": self.order_at_start,
            "task": self.task.state(),
            "random": pydl.get_rng_state(),
            "history": [asdict(epoch) for epoch in self.result.history],
            "chosen": self.result.chosen,
            "best": self.best,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.batches, self.loss_sum, self.n_samples = state["batches"], state["loss_sum"], state["samples"]
        self.steps_done = state["steps"]
        self.order_at_start = state["order"]
        self.order.set_state(state["order"])
        self.task.restore(state["task"])
        pydl.set_rng_state(state["random"])
        self.result.history = [Epoch(**values) for values in state["history"]]
        self.result.chosen, self.best = state["chosen"], state["best"]

    @property
    def learns(self) -> str:
        """Which network learns from how much data."""
        return f"{self.task.model_name()}, {self.task.amounts()}"

    def save(self, command: str) -> None:
        """Write the checkpoint, where one is asked for."""
        if self.options.checkpoint:
            write(self.options.checkpoint, self.options, self.learns, self.state(), command)


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


def train(run: Run, command: str) -> None:
    """Train until the end: all epochs done, or as --patience or --time-limit say.

    The state that --checkpoint keeps is always one between two steps of an uninterrupted run, so that a resumed run
    ends with the same bits: of an epoch that the time limit cuts short, it is the state before its early end.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    options, cut_short = run.options, False
    kernels.set_kernel_clock(True)
    try:
        # disable=None: no bar where stderr is no terminal.
        bar = tqdm(total=run.n_steps, initial=run.steps_done, desc="training", unit="step", disable=None, leave=False)
        with bar, _ctrl_c_after_the_step(run):

            def after_step() -> None:
                nonlocal cut_short
                bar.update()
                cut_short = run.out_of_time and run.batches < len(run.loader)
                due = options.checkpoint_steps and run.steps_done % options.checkpoint_steps == 0
                if run.stop_asked or cut_short or due:
                    run.save(command)
                if run.stop_asked:
                    raise KeyboardInterrupt

            while not run.finished:
                epoch = run.epoch(after_step)
                bar.write(run.line(epoch))
                bad = next((loss for loss in (epoch.loss, epoch.held_loss) if not math.isfinite(loss)), None)
                if bad is not None:
                    number = len(run.result.history)
                    raise Diverged(f"the loss is {bad} in epoch {number}: try an --lr below {options.lr:g}")
                if not cut_short:
                    run.save(command)
        if run.best is not None:
            run.model.load_state_dict(run.best)
        if run.best is not None or not run.evaluated:  # other weights than the last epoch's, or nothing was left to do
            run.evaluate()
    finally:
        kernels.set_kernel_clock(False)
