# SPDX-License-Identifier: BSD-3-Clause
"""Japanese vowels: nine men say /ae/, twelve numbers a frame, 7 to 29 frames; the files of the time-series archive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pydl.cli.refusal import Refusal
from pydl.cli.tasks.installed import find

__all__ = ["Recordings", "load", "read_ts"]

Array = np.ndarray[Any, np.dtype[Any]]
FILES = ("JapaneseVowels_TRAIN.ts", "JapaneseVowels_TEST.ts")
GET = "pip install --no-deps sktime (its files are read, it is not imported)"
MAX_CHANNELS = 1000


@dataclass(frozen=True)
class Recordings:
    """Sequences (T_i, channels) float32, standardized by the training part's mean and deviation, and their classes."""

    source: str
    classes: tuple[str, ...]
    train_x: list[Array]
    train_y: Array
    test_x: list[Array]
    test_y: Array


def load(folder: str | None, command: str) -> Recordings:
    """The recordings: from the folder, or from an installed sktime."""
    paths = find(FILES, folder, "sktime", "datasets/data/JapaneseVowels", command, "Japanese vowels", GET)
    try:
        (train_x, train_names), (test_x, test_names) = (read_ts(path) for path in paths)
        channels = {x.shape[1] for x in train_x + test_x}
        classes = tuple(sorted(set(train_names)))
        unknown = set(test_names) - set(classes)
        if len(channels) != 1 or unknown:
            what = f"classes {sorted(unknown)} are only in the test part" if unknown else f"{sorted(channels)} channels"
            raise ValueError(f"the two files do not belong together: {what}")
    except (OSError, ValueError) as error:
        raise Refusal(f"cannot read the Japanese vowels: {error}", command) from None
    frames = np.concatenate(train_x)
    mean, std = frames.mean(0), frames.std(0)
    train, test = ([((x - mean) / std).astype(np.float32) for x in part] for part in (train_x, test_x))
    train_y, test_y = (np.array([classes.index(n) for n in names], np.int64) for names in (train_names, test_names))
    return Recordings(f"JapaneseVowels, {paths[0]}", classes, train, train_y, test, test_y)


def read_ts(path: str) -> tuple[list[Array], list[str]]:
    """Sequences (T_i, channels) and names of classes of a .ts file: a line a sequence, `channel:channel:…:class`.

    ValueError, with the number of the line, where it is anything else.
    """
    sequences, names, in_data = [], [], False
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if not in_data:
                in_data = line.lower() == "@data"
                if not line.startswith("@"):
                    raise ValueError(f"{path}, line {number}: neither @… nor a comment before @data")
                continue
            try:
                x, name = _sequence(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            sequences.append(x)
            names.append(name)
    if not sequences:
        raise ValueError(f"{path} has no sequences")
    return sequences, names


def _sequence(line: str) -> tuple[Array, str]:
    *channels, name = line.split(":")
    if not 0 < len(channels) <= MAX_CHANNELS or not name.strip():
        raise ValueError(f"{len(channels)} channels and the class {name!r}")
    rows = [np.array(channel.split(","), np.float64) for channel in channels]
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"channels of different length, {sorted({len(row) for row in rows})}")
    x = np.stack(rows, 1)
    if not np.isfinite(x).all():
        raise ValueError("a number that is not finite")
    return x, name.strip()
