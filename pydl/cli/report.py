# SPDX-License-Identifier: BSD-3-Clause
"""What `pydl train` prints and saves beside the epochs: heading, confusions, times, weights."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import pydl
from pydl.cli.train_data import Images
from pydl.cli.train_recipes import HIDDEN, MOMENTUM, RECIPES, WEIGHT_DECAY, make_model
from pydl.cli.training import Clock, Result
from pydl.io import safetensors

__all__ = ["confusion", "heading", "name_of", "save_weights", "stopping", "times"]

Array = np.ndarray[Any, np.dtype[Any]]
SCHEDULES = {
    "none": "constant", "cosine": "falling to 0", "step": "falling tenfold twice",
    "onecycle": "rising, then falling to 0",
}  # fmt: skip


def name_of(options: argparse.Namespace, images: Images) -> str:
    """The network's name, with the sizes of an MLP."""
    if options.model == "mlp":
        return "mlp " + "-".join(map(str, (images.side**2, *HIDDEN, len(images.classes))))
    return {"cnn": "CNN", "lenet": "LeNet-5"}[options.model]


def heading(options: argparse.Namespace, images: Images, n_steps_done: int) -> str:
    """What is trained, on what, and how."""
    state = pydl.get_rng_state()  # making a network to count its weights must not change the run's
    n_weights = sum(p.numel() for p in make_model(options.model, images.side, len(images.classes)).parameters())
    pydl.set_rng_state(state)
    what = "digits" if images.name == "digits" else "images"
    decay = WEIGHT_DECAY[options.optimizer]
    recipe = RECIPES[images.name, options.model]
    how = {"sgd": f"SGD with Nesterov momentum {MOMENTUM}", "adam": "Adam", "adamw": "AdamW"}[options.optimizer]
    varied = [" mirrored"] if recipe.mirror else []
    varied += [f" shifted by up to {recipe.shift} pixel"] if recipe.shift else []
    return (
        f"pydl {pydl.__version__}: {name_of(options, images)} ({n_weights:,} weights),"
        f" {len(images.train_x)} {what} to train on, {len(images.test_x)} to test on\n"
        f"{how}, weight decay {decay:g}, label smoothing {recipe.smoothing:g},"
        f" lr {options.lr:g} {SCHEDULES[options.scheduler]}, batch {options.batch}, seed {options.seed},"
        f" threads {pydl.get_num_threads()}"
        + (f"\ntraining images are{' and'.join(varied)} at random" if varied else "")
        + (f"\nresumed after {n_steps_done} steps" if n_steps_done else "")
    )


def stopping(result: Result, options: argparse.Namespace) -> str:
    """Which epoch's weights were kept, and why training ended."""
    n, best = len(result.history), result.history[result.chosen - 1]
    why = f"no lower test loss for {options.patience} epochs" if n < options.epochs else "all epochs done"
    return f"stopped after epoch {n} ({why}); kept the weights of epoch {result.chosen}, test loss {best.test_loss:.4f}"


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


def save_weights(path: str, result: Result, options: argparse.Namespace, images: Images) -> None:
    """The network's state_dict, with what made it in the metadata."""
    metadata = {
        "model": name_of(options, images),
        "data": images.source,
        "mean": repr(images.mean),
        "std": repr(images.std),
        "seed": str(options.seed),
        "epochs": str(result.chosen),
        "batch": str(options.batch),
        "lr": repr(options.lr),
        "optimizer": options.optimizer,
        "scheduler": options.scheduler,
        "test_accuracy": f"{result.history[result.chosen - 1].test_accuracy:.6f}",
        "pydl": pydl.__version__,
    }
    safetensors.save_file(result.model.state_dict(), path, metadata)
