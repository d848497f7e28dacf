# SPDX-License-Identifier: BSD-3-Clause
"""What `pydl train` prints and saves beside the epochs: heading, confusions, times, weights."""

from __future__ import annotations

from typing import Any

import numpy as np

import pydl
from pydl.cli.recipes import MOMENTUM, SCHEDULES, WEIGHT_DECAY
from pydl.cli.results import Clock
from pydl.cli.training import Run
from pydl.io import safetensors

__all__ = ["confusion", "heading", "save_weights", "stopping", "times"]

Array = np.ndarray[Any, np.dtype[Any]]


def heading(run: Run) -> str:
    """What is trained, on what, and how."""
    options, task = run.options, run.task
    n_weights = sum(p.numel() for p in run.model.parameters())
    how = {"sgd": f"SGD with Nesterov momentum {MOMENTUM}", "adam": "Adam", "adamw": "AdamW"}[options.optimizer]
    smoothing = f" label smoothing {task.recipe.smoothing:g}," if task.recipe.smoothing else ""
    limit = "" if options.time_limit is None else f", at most {options.time_limit:g} minutes"
    return "\n".join([
        f"pydl {pydl.__version__}: {task.model_name()} ({n_weights:,} weights), {task.amounts()}",
        f"{how}, weight decay {WEIGHT_DECAY[options.optimizer]:g},{smoothing}"
        f" lr {options.lr:g} {SCHEDULES[options.scheduler]}, batch {options.batch}, seed {options.seed},"
        f" threads {pydl.get_num_threads()}{limit}",
        *task.notes(),
        *([f"resumed after {run.steps_done} steps"] if run.steps_done else []),
    ])  # fmt: skip


def stopping(run: Run) -> str | None:
    """Which epoch's weights were kept, and why training ended; None where all epochs were done and the last kept."""
    options, result = run.options, run.result
    n, best, done = len(result.history), result.epoch, run.steps_done == run.n_steps
    if done and not options.patience:
        return None
    why = f"no lower {run.task.held} loss for {options.patience} epochs"
    if done:
        why = "all epochs done"
    elif not options.patience or n - result.chosen < options.patience:
        why = f"the time limit of {options.time_limit:g} minutes"
        if run.scheduler is not None:
            why += f", {run.steps_done} of the {run.n_steps} steps over which the learning rate takes its course"
    kept = f"kept the weights of epoch {result.chosen}, {run.task.held} loss {best.held_loss:.4f}"
    return f"stopped after epoch {n} ({why}); {kept}"


def confusion(predicted: Array, true: Array, classes: tuple[str, ...]) -> str:
    """How often each class was read as each: a table, what share of each was right, and the mistakes by frequency."""
    n = len(classes)
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (true, predicted), 1)
    wide = max(4, 2 + len(str(counts.max())))
    margin = max(4, max(map(len, classes)))
    head = "".join(f"{name[: wide - 1]:>{wide}}" for name in classes)
    lines = ["", "test set: rows are the true classes, columns what the network read", f"{'':{margin}}  {head}"]
    for i, row in enumerate(counts):
        cells = "".join(f"{k:{wide}}" if k else f"{'.':>{wide}}" for k in row)
        lines.append(f"{classes[i]:>{margin}}  {cells}   {100 * row[i] / max(1, row.sum()):6.1f} % right")
    wrong = [(int(counts[t, p]), t, p) for t in range(n) for p in range(n) if t != p and counts[t, p]]
    wrong.sort(key=lambda w: (-w[0], w[1], w[2]))
    shown = [f"{classes[t]} read as {classes[p]}" + (f" ({k} times)" if k > 1 else "") for k, t, p in wrong[:8]]
    more = f", and {len(wrong) - 8} other kinds" if len(wrong) > 8 else ""
    lines.append(f"{int(np.trace(counts))} of {len(true)} right; mistakes: {', '.join(shown) or 'none'}{more}")
    return "\n".join(lines)


def times(clock: Clock) -> str:
    """Where the time went: each part of the training, and what share of it was spent inside compiled kernels."""
    lines = ["", "part           time   share   in compiled kernels"]
    total = max(1, sum(clock.wall_ns.values()))
    rows = [(part, ns, clock.kernels_ns[part]) for part, ns in clock.wall_ns.items()]
    for part, ns, kernels_ns in [*rows, ("all", total, sum(clock.kernels_ns.values()))]:
        lines.append(f"{part:10} {ns / 1e9:6.2f} s  {100 * ns / total:4.0f} %   {100 * kernels_ns / max(1, ns):4.0f} %")
    return "\n".join([*lines, ""])


def save_weights(path: str, run: Run) -> None:
    """The network's state_dict, with what made it in the metadata."""
    options = run.options
    metadata = {
        "model": run.task.model_name(),
        **run.task.metadata(),
        "seed": str(options.seed),
        "epochs": str(run.result.chosen),
        "batch": str(options.batch),
        "lr": repr(options.lr),
        "optimizer": options.optimizer,
        "scheduler": options.scheduler,
        "pydl": pydl.__version__,
    }
    safetensors.save_file(run.model.state_dict(), path, metadata)
