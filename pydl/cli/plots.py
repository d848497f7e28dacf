# SPDX-License-Identifier: BSD-3-Clause
"""What the pictures of `pydl train` share: a figure without a display, curves, the table of confusions, writing."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pydl.cli.results import Epoch
from pydl.cli.tasks.task import Task
from pydl.io.atomic import write_atomically

__all__ = ["RIGHT", "TEST", "TRAIN", "WRONG", "confusions", "curves", "new_figure", "tidy", "write"]

TRAIN, TEST, RIGHT, WRONG = "#1f6fb4", "#e07b1a", "#333333", "#c4161c"
Array = np.ndarray[Any, np.dtype[Any]]


def new_figure(width: float, height: float, title: str) -> Any:
    """A figure of that many inches, which needs no display and leaves pyplot's state alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=16)
    return figure


def write(path: str, figure: Any) -> None:
    """The figure as PNG, whole or not at all."""
    with warnings.catch_warnings():
        # Characters of a text that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", r"Glyph \d+", UserWarning)
        write_atomically(path, lambda file: figure.savefig(file, format="png"))


def tidy(axes: Any) -> None:
    """A light grid, and no frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def curves(figure: Any, task: Task, history: list[Epoch], loss_name: str = "cross-entropy, as trained (nats)") -> None:
    """Loss and score over the epochs, of the training data and of the data that is held out."""
    metric = task.metric
    loss, score = figure.subplots(2, 1, sharex=True)
    epochs = np.arange(1, len(history) + 1)
    style: dict[str, Any] = {"marker": "o" if len(history) == 1 else None, "linewidth": 2}
    loss.plot(epochs, [e.loss for e in history], color=TRAIN, label="training (mean over the epoch)", **style)
    loss.plot(epochs, [e.held_loss for e in history], color=TEST, label=task.held, **style)
    loss.set_title("Loss", fontsize=13)
    loss.set_ylabel(loss_name, fontsize=11)
    train = [e.train_score for e in history]
    if None not in train:
        score.plot(epochs, metric.factor * np.array(train, float), color=TRAIN, label="training", **style)
    held = metric.factor * np.array([e.held_score for e in history])
    score.plot(epochs, held, color=TEST, label=task.held, **style)
    score.set_title(metric.name[0].upper() + metric.name[1:], fontsize=13)
    score.set_ylabel(metric.axis or f"{metric.name} ({metric.unit})", fontsize=11)
    score.set_xlabel("epoch", fontsize=11)
    score.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    for axes in (loss, score):
        tidy(axes)
        axes.legend(fontsize=11, frameon=False)


def confusions(axes: Any, predicted: Array, true: Array, classes: tuple[str, ...]) -> None:
    """How often each class was read as each, as a table in colors: blue where it is right, red where it is wrong."""
    n = len(classes)
    counts = np.zeros((n, n), np.int64)
    np.add.at(counts, (true, predicted), 1)
    share = counts / np.maximum(1, counts.sum(1, keepdims=True))
    shade = np.where(np.eye(n, dtype=bool), -0.75 * share, np.minimum(0.9, 3 * share))
    axes.imshow(shade, cmap="RdBu_r", vmin=-1, vmax=1)
    for i, j in zip(*np.nonzero(counts), strict=True):
        color = "white" if abs(shade[i, j]) > 0.5 else RIGHT
        axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=12, color=color)
    axes.set_xticks(range(n), classes, fontsize=11)
    axes.set_yticks(range(n), classes, fontsize=11)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
