# SPDX-License-Identifier: BSD-3-Clause
"""What `pydl train` prints and saves beside the epochs: heading, confusions, times, weights."""

from __future__ import annotations

import argparse
from itertools import pairwise
from typing import Any

import numpy as np

import pydl
from pydl.cli.digits import CLASSES, Digits
from pydl.cli.training import LABEL_SMOOTHING, MOMENTUM, SIZES, WEIGHT_DECAY, Clock, Result
from pydl.io import safetensors

__all__ = ["confusion", "heading", "save_weights", "times"]

Array = np.ndarray[Any, np.dtype[Any]]


def heading(options: argparse.Namespace, digits: Digits) -> str:
    """What is trained, on what, and how."""
    n_weights = sum(a * b + b for a, b in pairwise(SIZES))
    return (
        f"pydl {pydl.__version__}: {options.model} {'-'.join(map(str, SIZES))} ({n_weights:,} weights),"
        f" {len(digits.train_x)} digits to train on, {len(digits.test_x)} to test on\n"
        f"SGD with Nesterov momentum {MOMENTUM}, weight decay {WEIGHT_DECAY}, label smoothing {LABEL_SMOOTHING},"
        f" lr {options.lr:g} falling to 0, batch {options.batch}, seed {options.seed}, threads {pydl.get_num_threads()}"
    )


def confusion(predicted: Array, true: Array) -> str:
    """How often each digit was read as each: a table, what share of each was right, and the mistakes by frequency."""
    counts = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(counts, (true, predicted), 1)
    head = "".join(f"{d:4}" for d in range(CLASSES))
    lines = ["", "test set: rows are the true digits, columns what the network read", f"      {head}"]
    for digit, row in enumerate(counts):
        cells = "".join(f"{n:4}" if n else "   ." for n in row)
        lines.append(f"{digit:4}  {cells}   {100 * row[digit] / max(1, row.sum()):6.1f} % right")
    wrong = [(int(counts[t, p]), t, p) for t in range(CLASSES) for p in range(CLASSES) if t != p and counts[t, p]]
    wrong.sort(key=lambda w: (-w[0], w[1], w[2]))
    right = int(np.trace(counts))
    mistakes = ", ".join(f"{t} read as {p}" + (f" ({n} times)" if n > 1 else "") for n, t, p in wrong) or "none"
    lines.append(f"{right} of {len(true)} right; mistakes: {mistakes}")
    return "\n".join(lines)


def times(clock: Clock) -> str:
    """Where the time went: each part of the training, and what share of it was spent inside compiled kernels."""
    lines = ["", "part           time   share   in compiled kernels"]
    total = sum(clock.wall_ns.values())
    rows = [(part, ns, clock.kernels_ns[part]) for part, ns in clock.wall_ns.items()]
    for part, ns, kernels_ns in [*rows, ("all", total, sum(clock.kernels_ns.values()))]:
        lines.append(f"{part:10} {ns / 1e9:6.2f} s  {100 * ns / total:4.0f} %   {100 * kernels_ns / max(1, ns):4.0f} %")
    return "\n".join([*lines, ""])


def save_weights(path: str, result: Result, options: argparse.Namespace) -> None:
    """The network's state_dict, with what made it in the metadata."""
    metadata = {
        "model": f"{options.model} {'-'.join(map(str, SIZES))}",
        "data": "scikit-learn load_digits, pixels / 16",
        "seed": str(options.seed),
        "epochs": str(options.epochs),
        "batch": str(options.batch),
        "lr": repr(options.lr),
        "test_accuracy": f"{result.history[-1].test_accuracy:.6f}",
        "pydl": pydl.__version__,
    }
    safetensors.save_file(result.model.state_dict(), path, metadata)
