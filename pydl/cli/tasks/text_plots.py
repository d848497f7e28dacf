# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of `pydl train chars` and `pydl train phonemes`."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

import pydl
from pydl.cli.plots import RIGHT, TEST, TRAIN, WRONG, new_figure, tidy, write
from pydl.cli.results import Result
from pydl.cli.tasks.chars import STEPS

if TYPE_CHECKING:
    from pydl.cli.tasks.chars import Chars
    from pydl.cli.tasks.phonemes import Phonemes

__all__ = ["save_chars", "save_phonemes"]

Array = np.ndarray[Any, np.dtype[Any]]
GRAY = "#777777"
POINTS = 200  # of the curve of the training
LINES, WIDTH = 14, 72  # of the text that is shown character by character
MAPS, LONG = 6, (6, 12)  # attention maps, of words of so many letters


def save_chars(path: str, task: Chars, model: Any, result: Result) -> None:
    """Bits per character over the training beside those of n-grams; the held-out text by how surprising it was."""
    title = f"{task.model_name()}: {task.bits:.3f} bits per character"
    figure = new_figure(14, 9.6, title)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.12], wspace=0.03)
    _course(left.subplots(), task, result)
    upper, lower = right.subplots(2, 1, height_ratios=[1.25, 1])
    _surprise(upper, task, model)
    lower.set_title("What it writes", fontsize=13)
    wrapped = [textwrap.wrap(line, WIDTH, subsequent_indent="  ") or [""] for line in task.written.splitlines()]
    lines = [line for part in wrapped for line in part][:LINES]
    lower.text(0, 1, "\n".join(lines), fontfamily="monospace", fontsize=10.5, va="top", linespacing=1.25, color=RIGHT,
               parse_math=False)  # fmt: skip
    lower.set_axis_off()
    write(path, figure)


def _course(axes: Any, task: Chars, result: Result) -> None:
    course, streams = np.array(task.course), task.streams
    size = max(1, len(course) // POINTS)
    whole = course[: len(course) // size * size].reshape(-1, size)
    x = (np.arange(len(whole)) + 0.5) * size * streams.rows * STEPS / 1e6
    axes.plot(x, whole.mean(1), color=TRAIN, linewidth=1.5, label="training, as it goes on")
    steps = np.minimum((np.arange(len(result.history)) + 1) * len(streams), len(course))  # the last epoch may be short
    ends = steps * streams.rows * STEPS / 1e6
    held = [epoch.held_score for epoch in result.history]
    axes.plot(ends, held, color=TEST, marker="o", markersize=8, linewidth=2, label=f"{task.held} text")
    top = max(whole[-1].mean(), min(5.0, max(task.ngrams[min(1, len(task.ngrams) - 1)], held[0]))) + 0.1
    lowest = min(held[-1], whole.mean(1).min(), *task.ngrams) - 0.12
    last = -math.inf
    for bits, n in sorted(zip(task.ngrams, range(1, len(task.ngrams) + 1), strict=True)):
        if last + 0.035 * (top - lowest) < bits < top:  # as many as can be told apart, from the best one on
            last = bits
            axes.axhline(bits, color=GRAY, linestyle="--", linewidth=1)
            axes.text(0.995, bits, f"{n}-grams {bits:.2f}", transform=axes.get_yaxis_transform(), ha="right",
                      va="bottom", color=GRAY, fontsize=11)  # fmt: skip
    axes.set_ylim(lowest, top)
    axes.set_xlim(left=0)
    axes.set_title("Bits per character", fontsize=13)
    axes.set_xlabel("characters read (millions)", fontsize=11)
    axes.set_ylabel("bits per character", fontsize=11)
    axes.legend(fontsize=11, framealpha=1, edgecolor="none", loc="upper center")
    tidy(axes)


def _surprise(axes: Any, task: Chars, model: Any) -> None:
    """A part of the held-out text, each character on a ground the darker, the less likely the network held it."""
    ids = task.held_ids
    start = max(1, len(ids) // 3)
    breaks = np.flatnonzero(ids[start:] == task.vocabulary["\n"])
    start += int(breaks[0]) + 1 if len(breaks) else 0
    part = ids[max(0, start - 1000) : start + LINES * WIDTH]
    with pydl.no_grad():
        scores, _ = model.eval()(pydl.from_numpy(part[:-1].astype(np.int64)[None]))
    log_p = scores[0].log_softmax(1).numpy()[np.arange(len(part) - 1), part[1:]]
    bits = np.concatenate([[0.0], -log_p / math.log(2)])[-(len(ids[start : start + LINES * WIDTH])) :]
    row = column = 0
    for token, surprise in zip(task.vocabulary.decode(ids[start : start + LINES * WIDTH]), bits, strict=True):
        if token == "\n":
            row, column = row + 1, 0
            continue
        if row >= LINES:
            break
        if column == WIDTH:  # the rest of the line is left out
            continue
        shade = min(1.0, surprise / 10)
        axes.fill([column, column + 1, column + 1, column], [row, row, row + 1, row + 1], color=WRONG,
                  alpha=0.85 * shade, linewidth=0)  # fmt: skip
        axes.text(column + 0.5, row + 0.5, token, ha="center", va="center", fontfamily="monospace", fontsize=9.5,
                  color="white" if shade > 0.6 else RIGHT, parse_math=False)  # fmt: skip
        column += 1
    axes.set(xlim=(0, WIDTH), ylim=(LINES, 0))
    axes.set_title("Held-out text: the redder a character, the less it was expected", fontsize=13)
    axes.set_axis_off()


def save_phonemes(path: str, task: Phonemes, model: Any, result: Result) -> None:
    """Errors over the training beside those of rules; where the decoder looks while it says some words."""
    rate, right = task.results["greedy"]
    title = f"{task.model_name()}: {100 * rate:.2f} % of phonemes wrong, {100 * right:.1f} % of words right"
    has_maps = model.decoder.attention is not None
    figure = new_figure(14, 8, title)
    left, maps = figure.subfigures(1, 2, width_ratios=[1, 1.5], wspace=0.03)
    _errors(left.subplots(), task, result)
    if has_maps:
        _maps(maps, task, model)
    else:
        _lengths(maps.subplots(), task)
    write(path, figure)


def _errors(axes: Any, task: Phonemes, result: Result) -> None:
    epochs = np.arange(1, len(result.history) + 1)
    rates = [100 * epoch.held_score for epoch in result.history]
    axes.plot(epochs, rates, color=TEST, marker="o", linewidth=2, label=f"network, {task.held} words")
    shown = [(name, 100 * value) for name, (value, _) in task.results.items() if name.startswith("rules")]
    top = max(rates[0], shown[-1][1]) * 1.25
    last = -math.inf
    for name, value in sorted(shown, key=lambda pair: pair[1]):
        if last + 0.035 * top < value < 0.95 * top:  # as many as can be told apart, from the best one on
            last = value
            axes.axhline(value, color=GRAY, linestyle="--", linewidth=1)
            axes.text(0.01, value, f"{name}: {value:.1f} %", transform=axes.get_yaxis_transform(), ha="left",
                      va="bottom", color=GRAY, fontsize=11)  # fmt: skip
    axes.set(ylim=(0, top))
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_title("Phoneme error rate", fontsize=13)
    axes.set_xlabel("epoch", fontsize=11)
    axes.set_ylabel("phonemes wrong (%)", fontsize=11)
    axes.legend(fontsize=11, frameon=False, loc="lower left")
    tidy(axes)


def _maps(figure: Any, task: Phonemes, model: Any) -> None:
    """Weights p of the letters (columns) at each phoneme (rows) that is said."""
    figure.suptitle("Where the decoder looks: letters across, the phonemes that it says downwards", fontsize=13)
    chosen = [i for i, (word, _) in enumerate(task.test) if LONG[0] <= len(word) <= LONG[1]][:MAPS]
    for axes, i in zip(figure.subplots(2, 3).flat, chosen, strict=False):
        word, sounds = task.test[i]
        spoken = task.spoken[i]
        before = pydl.tensor([[task.sounds.begin_id, *spoken]])
        letters, lengths = task.letters.encode_batch([word])
        with pydl.no_grad():
            weights = model.eval().attention_weights(letters, lengths, before)[0].numpy()
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        said = tuple(task.sounds.decode(spoken))
        axes.set_xticks(range(len(word)), list(word), fontsize=12)
        axes.set_yticks(range(len(said) + 1), [*said, "end"], fontsize=11)
        verdict = "" if said in sounds else f"\nis {' '.join(sounds[0])}"
        axes.set_title(word + verdict, fontsize=12, color=WRONG if verdict else RIGHT)
        axes.tick_params(length=0)


def _lengths(axes: Any, task: Phonemes) -> None:
    """Share of right words by their length: without attention, a long word must pass through one state."""
    lengths = np.array([len(word) for word, _ in task.test])
    right = np.array([
        tuple(task.sounds.decode(spoken)) in sounds for (_, sounds), spoken in zip(task.test, task.spoken, strict=True)
    ])  # fmt: skip
    groups = [n for n in range(1, int(lengths.max()) + 1) if np.count_nonzero(lengths == n) >= 10]
    axes.bar(groups, [100 * right[lengths == n].mean() for n in groups], color=TRAIN, width=0.7)
    axes.set_title("Words right, by their length", fontsize=13)
    axes.set_xlabel("letters", fontsize=11)
    axes.set_ylabel("right (%)", fontsize=11)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    tidy(axes)
