# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a network that reads images: curves, test images with what it read, and what its first layer does."""

from __future__ import annotations

from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl.cli.plots import RIGHT, TRAIN, WRONG, curves, new_figure, write
from pydl.cli.results import Result
from pydl.cli.tasks.image_files import Images
from pydl.cli.tasks.images import ImageTask
from pydl.models import SequenceClassifier

__all__ = ["save"]

COLUMNS, ALL_ROWS, MAX_WRONG_ROWS = 8, 6, 2
PITCH_X, GAP = 1.15, 0.15  # in widths of an image
PITCH_Y, HEADING = (1.36, 1.52), (0.33, 0.5)  # with captions of one line, of two
MAX_MAPS = 24
READ_BY_ROW = 4  # test images
TITLES = {"digits": "Handwritten digits", "mnist": "MNIST", "fashion": "Fashion-MNIST"}
Array = np.ndarray[Any, np.dtype[Any]]


def save(path: str, task: ImageTask, model: nn.Module, result: Result) -> None:
    """Draw the picture and write it as PNG."""
    images = task.images
    convolution = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    title = f"{TITLES[task.name]}, network {task.model_name()}: {100 * task.right:.2f} % of the test set right"
    recurrent = model if isinstance(model, SequenceClassifier) else None
    plain = convolution is None and recurrent is None
    figure = new_figure(13, 7.5 if plain else 9.9 if convolution is None else 10.2, title)
    upper = figure
    if not plain:
        upper, lower = figure.subfigures(2, 1, height_ratios=[7, 2.1 if convolution is None else 2.6], hspace=0.02)
        lower.set_facecolor("#f6f6f6")
    if convolution is not None:
        _first_convolution(lower, images, convolution)
    if recurrent is not None:
        _row_by_row(lower, images, recurrent)
    left, right = upper.subfigures(1, 2, width_ratios=[1, 1.15], wspace=0.03)
    curves(left, task, result.history)
    _samples(right.subplots(), images, task.predicted)
    write(path, figure)


def _samples(axes: Any, images: Images, predicted: Array) -> None:
    """The first test images as they come, and below them the ones that were read wrongly.

    All in one pair of axes, in widths of an image: 48 pairs of axes take a second to lay out.
    """
    true = images.test_y.numpy()
    wrong = np.flatnonzero(predicted != true)
    wrong_rows = min(MAX_WRONG_ROWS, max(1, -(-len(wrong) // COLUMNS)))
    rows, words = ALL_ROWS - wrong_rows, max(map(len, images.classes)) > 1
    pitch_y, heading = PITCH_Y[words], HEADING[words]
    shown, first = wrong[: wrong_rows * COLUMNS], np.arange(min(rows * COLUMNS, len(true)))
    which = "all" if len(shown) == len(wrong) else f"the first {len(shown)}"
    middle = COLUMNS * PITCH_X / 2 - (PITCH_X - 1) / 2
    title = {"fontsize": 13, "ha": "center", "va": "bottom"}
    what = "digits" if images.name == "digits" else "images"
    axes.text(middle, -heading, f"The first {len(first)} test {what}, with what the network read", **title)
    _tiles(axes, 0.0, pitch_y, images, predicted, first)
    below = rows * pitch_y + GAP + heading
    text = f"Read wrongly: {len(wrong)} of {len(true)}" + (f" ({which} shown)" if len(wrong) else "")
    axes.text(middle, below - heading, text, color=WRONG if len(wrong) else RIGHT, **title)
    _tiles(axes, below, pitch_y, images, predicted, shown)
    axes.set(xlim=(-0.12, COLUMNS * PITCH_X), ylim=(below + wrong_rows * pitch_y, -heading - 0.25), aspect="equal")
    axes.set_axis_off()


def _tiles(axes: Any, top: float, pitch_y: float, images: Images, predicted: Array, which: Array) -> None:
    grays, true = images.gray(images.test_x[pydl.from_numpy(which.astype(np.int64))]), images.test_y.numpy()
    words = max(map(len, images.classes)) > 1
    for k, i in enumerate(which):
        x, y, right = (k % COLUMNS) * PITCH_X, top + (k // COLUMNS) * pitch_y, true[i] == predicted[i]
        color = RIGHT if right else WRONG
        axes.imshow(grays[k], cmap="gray_r", vmin=0, vmax=1, extent=(x, x + 1, y + 1, y))
        edge = {"color": "#bbbbbb", "linewidth": 0.8} if right else {"color": WRONG, "linewidth": 2.5}
        axes.plot([x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], **edge)
        read, is_ = images.classes[predicted[i]], images.classes[true[i]]
        text = read if right else f"{read},{chr(10) if words else ' '}is {is_}"
        font = {"fontsize": 8 if words else 11, "fontweight": "normal" if right else "bold", "linespacing": 0.95}
        axes.text(x + 0.5, y - 0.05, text, color=color, ha="center", va="bottom", **font)


# ---- the first convolution -----------------------------------------------------------------------------------------


def _first_convolution(figure: Any, images: Images, convolution: nn.Conv2d) -> None:
    """Its filters, and what each makes of the first test image."""
    weight = convolution.weight.detach().numpy()[:MAX_MAPS, 0]
    side = images.side
    with pydl.no_grad():
        maps = convolution(images.test_x[:1].view(1, 1, side, side)).relu().numpy()[0, :MAX_MAPS]
    columns = 8 if len(weight) > 8 else -(-len(weight) // 2)
    left, middle, right = figure.subfigures(1, 3, width_ratios=[4, 1.7, 4])
    top = abs(weight).max()
    size = "×".join(map(str, weight.shape[1:]))
    _grid(
        left.subplots(), weight, columns, f"Filters {size} of the first convolution", cmap="RdBu_r", vmin=-top, vmax=top
    )
    name = images.classes[int(images.test_y[0])]
    _grid(middle.subplots(), images.gray(images.test_x[:1]), 1, f"Test image: {name}", cmap="gray_r", vmin=0, vmax=1)
    _grid(right.subplots(), maps, columns, "What they make of it (after relu)", cmap="viridis", vmin=0, vmax=maps.max())
    for part in (left, middle, right):
        part.set_facecolor("#f6f6f6")


def _grid(axes: Any, pictures: Array, columns: int, title: str, **colors: Any) -> None:
    """Pictures in rows of `columns`, in one pair of axes."""
    for k, picture in enumerate(pictures):
        x, y = (k % columns) * 1.12, (k // columns) * 1.12
        axes.imshow(picture, extent=(x, x + 1, y + 1, y), interpolation="nearest", **colors)
        axes.plot([x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], color="#999999", linewidth=0.6)
    rows = -(-len(pictures) // columns)
    axes.set(xlim=(-0.06, columns * 1.12 - 0.06), ylim=(rows * 1.12 - 0.06, -0.06), aspect="equal")
    axes.set_title(title, fontsize=12)
    axes.set_axis_off()


# ---- what a recurrent network knows after each row -----------------------------------------------------------------


def _row_by_row(figure: Any, images: Images, model: SequenceClassifier) -> None:
    """The first test images, and beside each what the network makes of it when it has read so many rows."""
    side, classes = images.side, images.classes
    x = images.test_x[:READ_BY_ROW]
    with pydl.no_grad():
        states, _ = model.rnn(x.view(-1, side, side))
        shares = model.fc(states).softmax(2).numpy()
    figure.suptitle("Read row by row: how sure the network is of each digit after each row", fontsize=13)
    ratios = [1.0, 1.25] * len(x)
    axes = figure.subplots(1, 2 * len(x), width_ratios=ratios)
    for k, gray in enumerate(images.gray(x)):
        picture, table = axes[2 * k : 2 * k + 2]
        picture.imshow(gray, cmap="gray_r", vmin=0, vmax=1)
        picture.set_axis_off()
        table.imshow(shares[k], cmap="Blues", vmin=0, vmax=1)
        table.set_xticks(range(len(classes)), classes, fontsize=9)
        table.set_yticks([])
        table.tick_params(length=0)
        for label in table.get_xticklabels():
            if label.get_text() == classes[int(images.test_y[k])]:
                right = int(shares[k, -1].argmax()) == int(images.test_y[k])
                label.set(color=TRAIN if right else WRONG, weight="bold", size=12)
