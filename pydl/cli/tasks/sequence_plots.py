# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of `pydl train vowels` and `pydl train sunspots`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl.cli.plots import RIGHT, TEST, TRAIN, confusions, curves, new_figure, tidy, write
from pydl.cli.results import Result
from pydl.cli.tasks.sunspots import HORIZON, MEMBERS, Sunspots
from pydl.cli.tasks.vowels import Vowels

__all__ = ["save_sunspots", "save_vowels"]

NAIVE, LAST, SHADE = "#3a923a", "#8d5bb0", "#eef3f9"
CYCLES = 11  # one eleven-year forecast is drawn every so many years


def save_vowels(path: str, task: Vowels, result: Result) -> None:
    """Curves, and which speaker was taken for which."""
    title = f"Japanese vowels, {task.model_name()}: {100 * task.right:.2f} % of the speakers right"
    figure = new_figure(13, 7.2, title)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.1], wspace=0.03)
    curves(left, task, result.history)
    axes = left.axes[1]
    for (name, share), style in zip(task.baselines.items(), ("--", ":"), strict=False):
        axes.axhline(100 * share, color="#777777", linestyle=style, linewidth=1.5, label=f"{name} (test)")
    axes.legend(fontsize=11, frameon=False)
    table = right.subplots()
    confusions(table, task.predicted, task.data.test_y, task.data.classes)
    wrong = int((task.predicted != task.data.test_y).sum())
    table.set_title(f"Test set: {wrong} of {len(task.predicted)} recordings given to another speaker", fontsize=13)
    table.set_xlabel("speaker that the network heard", fontsize=11)
    table.set_ylabel("speaker", fontsize=11)
    write(path, figure)


def save_sunspots(path: str, task: Sunspots, result: Result) -> None:
    """The forecasts beside what came, the errors by distance, the curves."""
    error, naive = (task.errors[name][-1] for name in ("networks' mean", "seasonal naive"))
    kind = task.options.model.upper()
    title = (
        f"Sunspots 1 to {HORIZON} years ahead, {MEMBERS} networks {kind}: error {error:.1f}, seasonal naive {naive:.1f}"
    )
    figure = new_figure(13, 9.4, title)
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.05], hspace=0.03)
    _forecasts(upper.subplots(), task)
    left, right = lower.subfigures(1, 2, width_ratios=[1, 1.1], wspace=0.03)
    curves(left, task, result.history, "square error, scaled")
    _errors(right.subplots(), task)
    write(path, figure)


def _forecasts(axes: Any, task: Sunspots) -> None:
    """The last years of the series, each year as forecast the year before, and forecasts of whole cycles."""
    years, origins = task.years, task.origins("test")
    start = task.parts["validation"][0]
    axes.axvspan(years[task.parts["test"][0]] - 0.5, years[-1] + 0.5, color=SHADE, zorder=0)
    axes.plot(years[start:], task.numbers[start:], color=RIGHT, linewidth=2, label="what came")
    mean = task.forecasts.mean(0)
    axes.plot(years[task.parts["test"][0] :], task.next_year, color=TRAIN, linewidth=1.8, label="forecast 1 year ahead")
    for k, i in enumerate(range(0, len(origins), CYCLES)):
        ahead = years[origins[i]] + np.arange(HORIZON + 1)
        line = np.append(task.numbers[origins[i]], mean[i])
        label = "forecasts 1 to 11 years ahead" if k == 0 else None
        axes.plot(ahead, line, color=TEST, linewidth=1.8, linestyle="--", label=label)
        axes.plot(ahead[0], line[0], color=TEST, marker="o", markersize=6)
    axes.set_title("Yearly sunspot number, test years shaded", fontsize=13)
    axes.set_ylabel("sunspots", fontsize=11)
    axes.set_xlim(years[start], years[-1] + 1)
    axes.set_ylim(bottom=0)
    tidy(axes)
    axes.legend(fontsize=11, frameon=False, loc="upper left", ncols=3)
    axes.set_ylim(top=1.15 * axes.get_ylim()[1])


def _errors(axes: Any, task: Sunspots) -> None:
    """Root mean square errors of the test years, by how far the forecast goes."""
    ahead = np.arange(1, HORIZON + 1)
    for k in range(MEMBERS):
        label = "each network" if k == 0 else None
        axes.plot(ahead, task.errors[f"network {k + 1}"][:-1], color=TRAIN, alpha=0.3, linewidth=1.2, label=label)
    drawn = (("networks' mean", TRAIN, "o"), ("seasonal naive", NAIVE, "s"), ("persistence", LAST, "^"))
    for name, color, marker in drawn:
        label = f"{name}, {task.errors[name][-1]:.1f} in all"
        axes.plot(ahead, task.errors[name][:-1], color=color, marker=marker, linewidth=2, label=label)
    axes.set_title("Error in the test years", fontsize=13)
    axes.set_xlabel("years ahead", fontsize=11)
    axes.set_ylabel("root mean square error (sunspots)", fontsize=11)
    axes.set_xticks(ahead)
    axes.set_ylim(bottom=0)
    tidy(axes)
    axes.legend(fontsize=11, frameon=False)
