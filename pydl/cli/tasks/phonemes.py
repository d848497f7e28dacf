# SPDX-License-Identifier: BSD-3-Clause
"""How a word is said: an encoder reads its letters, a decoder writes its phonemes, with and without attention."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl.cli.recipes import Recipe
from pydl.cli.results import Result
from pydl.cli.tasks.spelling import LetterRules, edit_distances
from pydl.cli.tasks.task import Batches, Metric, Scores, Task, parted
from pydl.cli.tasks.text_files import load_pronunciations
from pydl.models import EncoderDecoder
from pydl.tensor import Tensor
from pydl.text import Vocabulary
from pydl.utils.data import BucketBatchSampler

__all__ = ["Phonemes"]

Array = np.ndarray[Any, np.dtype[Any]]
Words = Sequence[tuple[str, tuple[tuple[str, ...], ...]]]
ATTENTION = {"attention": "general", "plain": None}
EMBEDDING, HIDDEN, DROPOUT = 64, 256, 0.1
EVALUATED = 500  # words in one batch of the evaluation
MAX_PHONEMES = 30
BEAM = 4
REACH = 4  # letters to each side that the rules look at
N_SHOWN = 12


class Pairs:
    """Batches of pairs of about equally long words: (letters, lengths, phonemes from begin, to end, lengths)."""

    def __init__(self, letters: list[list[int]], sounds: list[list[int]], batch: int, generator: Any) -> None:
        self.letters, self.n_letters = _padded(letters)
        self.sounds, self.n_sounds = _padded(sounds)
        self.sampler = BucketBatchSampler(self.n_letters, batch, generator=generator)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for rows in self.sampler:
            yield self.batch(rows)

    def batch(self, rows: Any) -> tuple[Tensor, ...]:
        """The pairs of these numbers, no longer than the longest of them."""
        n_letters, n_sounds = self.n_letters[rows], self.n_sounds[rows] - 1
        sounds = self.sounds[rows, : n_sounds.max() + 1]
        parts = self.letters[rows, : n_letters.max()], n_letters, sounds[:, :-1], sounds[:, 1:], n_sounds
        return tuple(pydl.from_numpy(np.ascontiguousarray(part)) for part in parts)


def _padded(rows: list[list[int]]) -> tuple[Array, Array]:
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.zeros((len(rows), lengths.max(initial=1)), np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded, lengths


def _rules_name(width: int) -> str:
    return "rules, each letter alone" if not width else f"rules, {width} letter{'s' * (width > 1)} on each side"


class Phonemes(Task):
    """Spelling to pronunciation on the CMU pronouncing dictionary, without stress."""

    name = "phonemes"
    counted = "phonemes"
    metric = Metric("phoneme error rate")
    clip = 1.0
    recipes = {
        "attention": Recipe(3, 64, "adam", "onecycle", {"sgd": 1.0, "adam": 4e-3, "adamw": 4e-3}),
        "plain": Recipe(3, 64, "adam", "onecycle", {"sgd": 1.0, "adam": 4e-3, "adamw": 4e-3}),
    }

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        super().__init__(options, command)
        data = load_pronunciations(options.folder, command)
        self.source, self.all_train, self.test = data.source, data.train, data.test
        trained, held = parted(len(data.train), options.patience)
        self.train = [data.train[i] for i in trained]
        self.judges = [data.train[i] for i in held] or self.test  # the words that an epoch is judged by
        self.letters = Vocabulary.build((word for word, _ in data.train))
        self.sounds = Vocabulary.build(
            (sound for _, sounds in data.train for sound in sounds), begin="<begin>", end="<end>"
        )
        self.spoken: list[list[int]] = []  # what was said for the test words, greedily
        self.results: dict[str, tuple[float, float]] = {}  # phoneme error rate and share of right words, by method

    # ---- training --------------------------------------------------------------------------------------------------

    def make_model(self) -> EncoderDecoder:
        return EncoderDecoder(
            len(self.letters), len(self.sounds), EMBEDDING, HIDDEN, attention=ATTENTION[self.options.model],
            dropout=DROPOUT,
        )  # fmt: skip

    def pairs(self, words: Words, generator: Any = None) -> Pairs:
        """Every pronunciation of every word."""
        both = [(word, sound) for word, sounds in words for sound in sounds]
        letters = [self.letters.encode(word) for word, _ in both]
        sounds = [self.sounds.encode(sound, begin=True, end=True) for _, sound in both]
        return Pairs(letters, sounds, self.options.batch, generator)

    def batches(self, generator: pydl.Generator) -> Batches:
        return self.pairs(self.train, generator)

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        letters, lengths, before, after, n_sounds = batch
        scores = model(letters, lengths, before, n_sounds)
        loss = nn.functional.cross_entropy(scores.reshape(-1, len(self.sounds)), after.reshape(-1), ignore_index=0)
        return loss, int(n_sounds.sum())

    def evaluate(self, model: Any) -> Scores:
        pairs, total, count = self.pairs(self.judges), 0.0, 0
        for start in range(0, len(pairs.letters), EVALUATED):
            loss, n = self.loss(model, pairs.batch(np.arange(start, min(start + EVALUATED, len(pairs.letters)))))
            total, count = total + loss.item() * n, count + n
        if not math.isfinite(total):  # no search among scores that are no numbers
            return Scores(total / count, math.nan)
        if self.judges is self.test:
            return Scores(total / count, self._test(model))
        spoken = self.say(model, [word for word, _ in self.judges])
        return Scores(total / count, self.rates(spoken, self.judges)[0])

    def _test(self, model: Any) -> float:
        """The phoneme error rate of the test words, said greedily; what was said and the results stay."""
        self.spoken = self.say(model, [word for word, _ in self.test])
        self.results["greedy"] = self.rates(self.spoken, self.test)
        return self.results["greedy"][0]

    def say(self, model: Any, words: Sequence[str], beam: int = 1) -> list[list[int]]:
        """The phonemes of each word: the most probable at each step, or the best sequence of a beam search."""
        settings = {"begin": self.sounds.begin_id, "end": self.sounds.end_id, "max_length": MAX_PHONEMES}
        order = sorted(range(len(words)), key=lambda i: len(words[i]))
        found: list[list[int]] = [[]] * len(words)
        for start in range(0, len(words), EVALUATED):
            rows = order[start : start + EVALUATED]
            letters, lengths = self.letters.encode_batch([words[i] for i in rows])
            if beam == 1:
                said = model.greedy(letters, lengths, **settings)
            else:
                said = [best[0] for best in model.beam(letters, lengths, beam_size=beam, **settings)]
            for i, hypothesis in zip(rows, said, strict=True):
                found[i] = list(hypothesis.tokens)
        return found

    def rates(self, spoken: list[list[int]], words: Words) -> tuple[float, float]:
        """(phonemes wrong per phoneme, words right): each word against the nearest of its pronunciations."""
        wanted = [(i, self.sounds.encode(sound)) for i, (_, sounds) in enumerate(words) for sound in sounds]
        distances = edit_distances([spoken[i] for i, _ in wanted], [sound for _, sound in wanted])
        least: dict[int, tuple[int, int]] = {}
        for (i, sound), distance in zip(wanted, distances.tolist(), strict=True):
            least[i] = min(least.get(i, (distance, len(sound))), (distance, len(sound)))
        errors, length = (sum(pair[k] for pair in least.values()) for k in (0, 1))
        right = sum(distance == 0 for distance, _ in least.values())
        return errors / length, right / len(words)

    # ---- words and pictures ----------------------------------------------------------------------------------------

    def model_name(self) -> str:
        how = "with attention" if self.options.model == "attention" else "without attention"
        return f"LSTM encoder-decoder {HIDDEN} {how}"

    def amounts(self) -> str:
        n, n_test = len(self.all_train), len(self.test)
        return f"{n:,} words to train on, {n_test:,} to test on{self.chosen_by(len(self.judges))}"

    def notes(self) -> list[str]:
        n_sounds = len(self.sounds) - 4
        return [f"{len(self.letters) - 2} letters, {n_sounds} phonemes without stress, from {self.source}"]

    def report(self, model: nn.Module, result: Result) -> str:
        if self.judges is not self.test:
            self._test(model)
        best = self.say(model, [word for word, _ in self.test], BEAM)
        self.results[f"beam of {BEAM}"] = self.rates(best, self.test)
        self.rules()
        lines = ["", f"{'test set':30}  phonemes wrong   words right"]
        for method, (rate, right) in self.results.items():
            lines.append(f"{method:30}  {100 * rate:12.2f} %  {100 * right:10.2f} %")
        lines += ["", "words it has not seen, and how it says them:"]
        for (word, sounds), spoken in list(zip(self.test, self.spoken, strict=True))[:N_SHOWN]:
            said = tuple(self.sounds.decode(spoken))
            verdict = "" if said in sounds else f"   (is {' '.join(sounds[0])})"
            lines.append(f"    {word:14} {' '.join(said)}{verdict}")
        return "\n".join(lines)

    def rules(self) -> None:
        """The baseline: the most frequent phonemes of each letter in its context."""
        both = [(self.letters.encode(w), self.sounds.encode(s)) for w, sounds in self.all_train for s in sounds]
        words, sounds = zip(*both, strict=True)
        rules = LetterRules(words, sounds, len(self.letters), len(self.sounds), REACH)
        test = [self.letters.encode(word) for word, _ in self.test]
        for width in range(REACH + 1):
            self.results[_rules_name(width)] = self.rates(rules.read(test, width), self.test)

    def draw(self, path: str, model: nn.Module, result: Result) -> None:
        from pydl.cli.tasks import text_plots

        text_plots.save_phonemes(path, self, model, result)

    def metadata(self) -> dict[str, str]:
        rate, right = self.results["greedy"]
        return {
            "data": self.source,
            "letters": " ".join(self.letters.tokens),
            "phonemes": " ".join(self.sounds.tokens),
            "test_phoneme_error_rate": f"{rate:.6f}",
            "test_word_accuracy": f"{right:.6f}",
        }

    def closing(self) -> str:
        rate, right = self.results[f"beam of {BEAM}"]
        rules, rules_right = min((v for k, v in self.results.items() if k.startswith("rules")), default=(math.nan,) * 2)
        return (
            f"phoneme error rate {100 * rate:.2f} %, words right {100 * right:.2f} %;"
            f" rules {100 * rules:.2f} %, {100 * rules_right:.2f} %"
        )
