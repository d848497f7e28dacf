# SPDX-License-Identifier: BSD-3-Clause
"""The picture of `pydl train`: curves on the left, test digits with what the network read on the right."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl.cli.digits import SIDE, Digits
from pydl.cli.training import SIZES, Epoch, Result
from pydl.io.atomic import write_atomically

__all__ = ["save"]

COLUMNS, ALL_ROWS, MAX_WRONG_ROWS = 8, 6, 2
PITCH_X, PITCH_Y, HEADING, GAP = 9.2, 10.9, 2.6, 1.2
TRAIN, TEST, RIGHT, WRONG = "#1f6fb4", "#e07b1a", "#333333", "#c4161c"
Array = np.ndarray[Any, np.dtype[Any]]


def save(path: str, digits: Digits, result: Result) -> None:
    """Draw the picture and write it as PNG, without a display and without touching pyplot's state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(13, 7.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    accuracy = 100 * result.history[-1].test_accuracy
    sizes = "-".join(map(str, SIZES))
    figure.suptitle(f"Handwritten digits, network {sizes}: {accuracy:.2f} % of the test set right", fontsize=16)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15], wspace=0.03)
    _curves(left, result.history)
    images, true = digits.test_x.numpy().reshape(-1, SIDE, SIDE), digits.test_y.numpy()
    _samples(right.subplots(), images, true, result.predicted)
    write_atomically(path, lambda file: figure.savefig(file, format="png"))


def _curves(figure: Any, history: list[Epoch]) -> None:
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    epochs = np.arange(1, len(history) + 1)
    marker = "o" if len(history) == 1 else None
    style: dict[str, Any] = {"marker": marker, "linewidth": 2}
    loss.plot(epochs, [e.loss for e in history], color=TRAIN, label="training (mean over the epoch)", **style)
    loss.plot(epochs, [e.test_loss for e in history], color=TEST, label="test", **style)
    loss.set_title("Loss", fontsize=13)
    loss.set_ylabel("cross-entropy, smoothed labels (nats)", fontsize=11)
    accuracy.plot(epochs, [100 * e.train_accuracy for e in history], color=TRAIN, label="training", **style)
    accuracy.plot(epochs, [100 * e.test_accuracy for e in history], color=TEST, label="test", **style)
    accuracy.set_title("Accuracy", fontsize=13)
    accuracy.set_ylabel("right (%)", fontsize=11)
    accuracy.set_xlabel("epoch", fontsize=11)
    accuracy.xaxis.get_major_locator().set_params(integer=True)
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=11, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)


def _samples(axes: Any, images: Array, true: Array, predicted: Array) -> None:
    """The first test digits as they come, and below them the ones that were read wrongly.

    All in one pair of axes, in units of pixels of the digits: 48 pairs of axes take a second to lay out.
    """
    wrong = np.flatnonzero(predicted != true)
    wrong_rows = min(MAX_WRONG_ROWS, max(1, -(-len(wrong) // COLUMNS)))
    rows = ALL_ROWS - wrong_rows
    shown, first = wrong[: wrong_rows * COLUMNS], np.arange(min(rows * COLUMNS, len(true)))
    which = "all" if len(shown) == len(wrong) else f"the first {len(shown)}"
    middle = COLUMNS * PITCH_X / 2 - (PITCH_X - SIDE) / 2
    title = {"fontsize": 13, "ha": "center", "va": "bottom"}
    axes.text(middle, -HEADING, f"The first {len(first)} test digits, with what the network read", **title)
    _tiles(axes, 0.0, images, true, predicted, first)
    below = rows * PITCH_Y + GAP + HEADING
    text = f"Read wrongly: {len(wrong)} of {len(true)}" + (f" ({which} shown)" if len(wrong) else "")
    axes.text(middle, below - HEADING, text, color=WRONG if len(wrong) else RIGHT, **title)
    _tiles(axes, below, images, true, predicted, shown)
    axes.set(xlim=(-1, COLUMNS * PITCH_X), ylim=(below + wrong_rows * PITCH_Y, -HEADING - 2), aspect="equal")
    axes.set_axis_off()


def _tiles(axes: Any, top: float, images: Array, true: Array, predicted: Array, which: Array) -> None:
    for k, i in enumerate(which):
        x, y, right = (k % COLUMNS) * PITCH_X, top + (k // COLUMNS) * PITCH_Y, true[i] == predicted[i]
        color = RIGHT if right else WRONG
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=1, extent=(x, x + SIDE, y + SIDE, y))
        edge = {"color": "#bbbbbb", "linewidth": 0.8} if right else {"color": WRONG, "linewidth": 2.5}
        axes.plot([x, x + SIDE, x + SIDE, x, x], [y, y, y + SIDE, y + SIDE, y], **edge)
        text = f"{predicted[i]}" if right else f"{predicted[i]}, is {true[i]}"
        weight = "normal" if right else "bold"
        axes.text(x + SIDE / 2, y - 0.4, text, color=color, fontsize=11, fontweight=weight, ha="center", va="bottom")
