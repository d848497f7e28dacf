# SPDX-License-Identifier: BSD-3-Clause
"""Which character comes next: a recurrent network reads Shakespeare, or any text, and then writes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import pydl
from pydl import nn
from pydl.cli.recipes import Recipe
from pydl.cli.results import Result
from pydl.cli.tasks import ngrams
from pydl.cli.tasks.task import Batches, Metric, Scores, Task
from pydl.cli.tasks.text_files import load_text
from pydl.models import LanguageModel
from pydl.tensor import Tensor
from pydl.text import Vocabulary, sample

__all__ = ["Chars"]

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 64  # characters through which the gradient goes back
EMBEDDING, HIDDEN = 64, 256
EVALUATED_ROWS, EVALUATED_STEPS = 64, 256
MAX_ORDER = 7
VALIDATION_SHARE = 0.1  # of the training text, with --patience
N_WRITTEN, TEMPERATURE = 500, 0.7


class Streams:
    """The text in `rows` parts that are read side by side, STEPS characters at a time: (x, y, whether it begins).

    Where the first part begins is drawn anew for each pass.
    """

    def __init__(self, ids: Array, rows: int, generator: pydl.Generator) -> None:
        self.ids, self.rows, self.generator = ids, rows, generator
        # One batch less than would fit: the room for the beginning to move in.
        self.n_batches = max(1, (len(ids) - 1) // (rows * STEPS) - 1)
        self.length = min(self.n_batches * STEPS, (len(ids) - 1) // rows)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, bool]]:
        spare = len(self.ids) - 1 - self.rows * self.length
        first = int(pydl.randint(0, spare + 1, (1,), generator=self.generator).item())
        used = self.ids[first : first + self.rows * self.length + 1]
        x, y = (used[k : k + self.rows * self.length].reshape(self.rows, -1) for k in (0, 1))
        for start in range(0, self.length, STEPS):
            part = slice(start, start + STEPS)
            yield _tensor(x[:, part]), _tensor(y[:, part]), start == 0


def _tensor(ids: Array) -> Tensor:
    return pydl.from_numpy(np.ascontiguousarray(ids).astype(np.int64))


class Chars(Task):
    """A network of characters, trained by truncated backpropagation through time with states that carry on."""

    name = "chars"
    held = "held out"
    counted = "characters"
    metric = Metric("bits per character", "bits", 1.0, 3)
    clip = 1.0
    recipes = {
        "lstm": Recipe(2, 32, "adam", "onecycle", {"sgd": 1.0, "adam": 6e-3, "adamw": 6e-3}),
        "gru": Recipe(2, 32, "adam", "onecycle", {"sgd": 1.0, "adam": 6e-3, "adamw": 6e-3}),
    }

    def __init__(self, options: argparse.Namespace, command: str) -> None:
        super().__init__(options, command)
        self.text = load_text(options.folder, command)
        self.vocabulary = Vocabulary.build([self.text.train])
        self.train, self.held_ids = (
            np.array(self.vocabulary.encode(t), np.int32) for t in (self.text.train, self.text.held)
        )
        n_validation = int(VALIDATION_SHARE * len(self.train)) if options.patience else 0
        self.read, self.judges = self.train, self.held_ids
        if n_validation:  # the end of the training text
            self.read, self.judges = self.train[:-n_validation], self.train[-n_validation:]
        self.states: Any = None
        self.course: list[float] = []  # bits per character of each step so far
        self.bits = math.nan
        self.ngrams: list[float] = []
        self.written = ""

    # ---- training --------------------------------------------------------------------------------------------------

    def make_model(self) -> LanguageModel:
        return LanguageModel(len(self.vocabulary), EMBEDDING, HIDDEN, 1, self.options.model)

    def batches(self, generator: pydl.Generator) -> Batches:
        self.streams = Streams(self.read, min(self.options.batch, len(self.read) // (2 * STEPS)), generator)
        return self.streams

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        x, y, begins = batch
        scores, states = model(x, None if begins else self.states)
        self.states = tuple(s.detach() for s in states) if isinstance(states, tuple) else states.detach()
        loss = nn.functional.cross_entropy(scores.reshape(-1, scores.shape[2]), y.reshape(-1))
        self.course.append(loss.item() / math.log(2))
        return loss, y.numel()

    def evaluate(self, model: nn.Module) -> Scores:
        loss = float(self.surprises(model, self.judges).mean())
        self.bits = loss / math.log(2)
        return Scores(loss, self.bits)

    def surprises(self, model: nn.Module, ids: Array) -> Array:
        """−ln p of each character but the first, read in EVALUATED_ROWS parts with states that carry on."""
        n = len(ids) - 1
        rows = min(EVALUATED_ROWS, max(1, n // EVALUATED_STEPS))
        length = -(-n // rows)
        padded = np.concatenate([ids, np.zeros(rows * length + 1 - len(ids), ids.dtype)])
        x, y = (padded[k : k + rows * length].reshape(rows, length) for k in (0, 1))
        states, found = None, []
        for start in range(0, length, EVALUATED_STEPS):
            part = slice(start, start + EVALUATED_STEPS)
            scores, states = model(_tensor(x[:, part]), states)
            flat = scores.reshape(-1, scores.shape[2])
            losses = nn.functional.cross_entropy(flat, _tensor(y[:, part]).reshape(-1), reduction="none")
            found.append(losses.numpy().reshape(rows, -1))
        whole: Array = np.concatenate(found, 1).reshape(-1)[:n].astype(np.float64)
        return whole

    def state(self) -> dict[str, Any]:
        return {"states": self.states, "course": self.course}

    def restore(self, state: dict[str, Any]) -> None:
        self.states, self.course = state["states"], list(state["course"])

    # ---- words and pictures ----------------------------------------------------------------------------------------

    def model_name(self) -> str:
        return f"{self.options.model.upper()} {HIDDEN} over {len(self.vocabulary) - 2} characters"

    def amounts(self) -> str:
        n, n_held = len(self.train), len(self.held_ids)
        return f"{n:,} characters to train on, {n_held:,} held out{self.chosen_by(len(self.judges))}"

    def notes(self) -> list[str]:
        return [
            f"text {self.text.source}; held out: {self.text.held_names}",
            f"the gradient goes back {STEPS} characters, the state carries on through the whole text",
        ]

    def report(self, model: nn.Module, result: Result) -> str:
        if self.judges is not self.held_ids:
            with pydl.no_grad():
                self.bits = float(self.surprises(model, self.held_ids).mean()) / math.log(2)
        n_tokens = len(self.vocabulary)
        order = min(MAX_ORDER, ngrams.longest(n_tokens))
        self.ngrams = ngrams.bits_per_token(self.train, self.held_ids, n_tokens, order)
        self.written = self.write(model)
        rows = [f"{n}-grams {bits:.3f}" for n, bits in enumerate(self.ngrams, 1)]
        return "\n".join([
            "",
            f"bits per character of the held-out text: {self.bits:.3f}",
            f"n-grams (modified Kneser-Ney) there: {', '.join(rows)}",
            "",
            f"what it writes (temperature {TEMPERATURE}):",
            *(f"    {line}".rstrip() for line in self.written.splitlines()),
        ])  # fmt: skip

    def write(self, model: Any) -> str:
        """A text that the network makes up, seeded."""
        model.eval()
        start = pydl.tensor(self.vocabulary.encode("\n"))
        generator = pydl.Generator().manual_seed(self.options.seed)
        (found,) = sample(
            model.step, start, model.start(1), end=None, max_length=N_WRITTEN, temperature=TEMPERATURE,
            generator=generator,
        )  # fmt: skip
        return "".join(self.vocabulary.decode(found.tokens))

    def draw(self, path: str, model: nn.Module, result: Result) -> None:
        from pydl.cli.tasks import text_plots

        text_plots.save_chars(path, self, model, result)

    def metadata(self) -> dict[str, str]:
        tokens = "".join(self.vocabulary.tokens[2:])
        return {"data": self.text.source, "characters": tokens, "held_out_bits_per_character": f"{self.bits:.6f}"}

    def closing(self) -> str:
        best = min(range(len(self.ngrams)), key=self.ngrams.__getitem__)
        return f"{self.bits:.3f} bits per character, {best + 1}-grams {self.ngrams[best]:.3f}"
