# SPDX-License-Identifier: BSD-3-Clause
"""Tokens (words, characters, phonemes) as numbers from 1; 0 is padding."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import pydl
from pydl.io.atomic import write_atomically
from pydl.tensor import Tensor

__all__ = ["Vocabulary"]

FORMAT = "pydl vocabulary, version 1"
MAX_FILE_BYTES = 1 << 30
Array = np.ndarray[Any, np.dtype[Any]]


class Vocabulary:
    """A table of tokens: 0 is padding, 1 … are the special tokens that there are, then the others as given.

    `unknown` stands for every token that is not in the table (None: such a token is an error), `begin` and `end` for
    the two ends (None: there are none). `Vocabulary.build` takes the tokens from data, the frequent first.
    Errors: ValueError for a token given twice; TypeError for tokens that are no strings. Source: the integer encoding
    of the course; as torchtext's vocab and Keras' TextVectorization.

    Example:
        >>> from pydl.text import Vocabulary
        >>> words = Vocabulary.build([["to", "be", "or", "not", "to", "be"], ["be", "here"]], min_count=2)
        >>> words.tokens, len(words)
        (('<pad>', '<unk>', 'be', 'to'), 4)
        >>> words.encode(["to", "be", "glad"]), words.decode([3, 2, 1, 0])
        ([3, 2, 1], ['to', 'be', '<unk>'])
        >>> "".join(Vocabulary.build(["abba"]).decode([2, 3, 3, 2]))  # a string is a sequence of characters
        'abba'
    """

    __slots__ = ("_ids", "_tokens", "begin", "end", "padding", "unknown")

    def __init__(
        self,
        tokens: Iterable[str],
        *,
        unknown: str | None = "<unk>",
        begin: str | None = None,
        end: str | None = None,
        padding: str = "<pad>",
    ) -> None:
        self.padding, self.unknown, self.begin, self.end = padding, unknown, begin, end
        special = [padding, *(t for t in (unknown, begin, end) if t is not None)]
        self._tokens = (*special, *tokens)
        self._ids: dict[str, int] = {}
        for number, token in enumerate(self._tokens):
            if not isinstance(token, str):
                raise TypeError(f"Vocabulary: tokens must be strings, not {type(token).__name__} (token {number})")
            if token in self._ids:
                which = "a special token and " if number >= len(special) > self._ids[token] else ""
                raise ValueError(f"Vocabulary: {token!r} is {which}given twice ({self._ids[token]} and {number})")
            self._ids[token] = number

    @classmethod
    def build(
        cls,
        sequences: Iterable[Iterable[str]],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        unknown: str | None = "<unk>",
        begin: str | None = None,
        end: str | None = None,
        padding: str = "<pad>",
    ) -> Vocabulary:
        """The tokens of the sequences, the frequent first, equally frequent ones in the order of their characters.

        min_count: rarer tokens stay out. max_size: at most so many in all, padding and special tokens included; the
        frequent ones stay. A string is a sequence of characters; for words, give lists of words.
        Errors: ValueError for a max_size without room for the special tokens, a min_count below 1, or a token of the
        data that is a special one; TypeError for one string in place of sequences.
        """
        if isinstance(sequences, str):
            raise TypeError("Vocabulary.build: takes sequences of tokens, not one string: give [text] for characters")
        n_special = 1 + sum(t is not None for t in (unknown, begin, end))
        if min_count < 1:
            raise ValueError(f"Vocabulary.build: min_count must be 1 or more, not {min_count}")
        if max_size is not None and max_size < n_special:
            raise ValueError(f"Vocabulary.build: max_size {max_size} has no room for {n_special} special tokens")
        counts: Counter[str] = Counter()
        for sequence in sequences:
            counts.update(sequence)
        return cls(
            _frequent(counts, min_count, None if max_size is None else max_size - n_special),
            unknown=unknown,
            begin=begin,
            end=end,
            padding=padding,
        )

    # ---- the table -----------------------------------------------------------------------------------------------

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens by number: padding, the special ones, the others."""
        return self._tokens

    def __len__(self) -> int:
        """How many numbers there are, 0 included: the `num_embeddings` of an Embedding."""
        return len(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._tokens)

    def __getitem__(self, token: str) -> int:
        """The number of a token; that of `unknown` for one that is not in the table. Errors: KeyError without one."""
        found = self._ids.get(token)
        if found is not None:
            return found
        if not isinstance(token, str):
            raise TypeError(f"Vocabulary: tokens are strings, not {type(token).__name__}")
        if self.unknown is None:
            raise KeyError(f"Vocabulary: {token!r} is not one of the {len(self)} tokens, and there is none for unknown")
        return self._ids[self.unknown]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._content() == other._content()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self._tokens[:8])) + (", …" if len(self) > 8 else "")
        return f"Vocabulary({len(self)} tokens: {shown})"

    @property
    def begin_id(self) -> int:
        """The number of the token that begins a sequence. Errors: ValueError where there is none."""
        return self._special("begin")

    @property
    def end_id(self) -> int:
        """The number of the token that ends a sequence. Errors: ValueError where there is none."""
        return self._special("end")

    def _special(self, name: str) -> int:
        token = getattr(self, name)
        if token is None:
            raise ValueError(f"Vocabulary: there is no {name} token; make it with {name}='<{name}>'")
        return self._ids[token]

    # ---- tokens to numbers and back ------------------------------------------------------------------------------

    def encode(self, tokens: Iterable[str], *, begin: bool = False, end: bool = False) -> list[int]:
        """The numbers of the tokens, between those of the begin and end tokens where asked for.

        Errors: KeyError naming a token that is not in the table, where there is none for unknown.
        """
        ids = [self._special("begin")] if begin else []
        known = self._ids.get
        ids += [self[token] if (found := known(token)) is None else found for token in tokens]
        if end:
            ids.append(self._special("end"))
        return ids

    def decode(self, ids: Iterable[int] | Tensor | Array, *, skip_special: bool = True) -> list[str]:
        """The tokens of the numbers; without padding, begin and end tokens unless skip_special is False.

        Errors: IndexError naming a number outside of the table; TypeError for what is no whole number.
        """
        if isinstance(ids, (Tensor, np.ndarray)):
            if ids.ndim != 1:
                raise ValueError(f"Vocabulary.decode: takes one sequence of numbers, not the shape {tuple(ids.shape)}")
            ids = ids.tolist()
        skipped = {self.padding, self.begin, self.end} if skip_special else set()
        found = []
        for number in ids:
            if not hasattr(number, "__index__"):
                raise TypeError(f"Vocabulary.decode: takes whole numbers, not {type(number).__name__}")
            if not 0 <= number < len(self._tokens):
                raise IndexError(f"Vocabulary.decode: {number} is not one of the numbers 0 … {len(self) - 1}")
            token = self._tokens[number]
            if token not in skipped:
                found.append(token)
        return found

    def encode_batch(
        self, sequences: Sequence[Iterable[str]], *, begin: bool = False, end: bool = False
    ) -> tuple[Tensor, Tensor]:
        """The sequences as rows of one tensor, filled up with padding (0), and their lengths.

        Shapes: (N, T) and (N), int64, T the length of the longest. Errors: as encode.
        """
        rows = [self.encode(sequence, begin=begin, end=end) for sequence in sequences]
        ids = np.zeros((len(rows), max(map(len, rows), default=0)), np.int64)
        for row, numbers in zip(ids, rows, strict=True):
            row[: len(numbers)] = numbers
        return pydl.from_numpy(ids), pydl.tensor([len(row) for row in rows], dtype=pydl.int64)

    # ---- files ---------------------------------------------------------------------------------------------------

    def _content(self) -> dict[str, Any]:
        special = {"padding": self.padding, "unknown": self.unknown, "begin": self.begin, "end": self.end}
        n_special = sum(token is not None for token in special.values())
        return {"format": FORMAT, **special, "tokens": list(self._tokens[n_special:])}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON (UTF-8), whole or not at all. Errors: OSError."""
        text = json.dumps(self._content(), ensure_ascii=True, indent=0)
        write_atomically(path, lambda file: file.write(text.encode() + b"\n"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Vocabulary:
        """Read what `save` wrote. Errors: OSError; ValueError saying what is wrong with the file."""
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"{os.fspath(path)} is no vocabulary: it is larger than {MAX_FILE_BYTES} bytes")
        try:
            return cls._from_content(json.loads(data))
        except RecursionError:
            raise ValueError(f"{os.fspath(path)} is no vocabulary: nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is no vocabulary: {error}") from None

    @classmethod
    def _from_content(cls, content: Any) -> Vocabulary:
        keys = {"format", "padding", "unknown", "begin", "end", "tokens"}
        if not isinstance(content, Mapping) or set(content) != keys:
            raise ValueError(f"it must be an object with the keys {', '.join(sorted(keys))}")
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT!r}")
        if not isinstance(content["tokens"], list):
            raise ValueError("its tokens must be a list")
        special = {name: content[name] for name in ("padding", "unknown", "begin", "end")}
        for name, token in special.items():
            if not isinstance(token, str) and (token is not None or name == "padding"):
                raise ValueError(f"its {name} token must be a string, not {token!r}")
        return cls(content["tokens"], **special)


def _frequent(counts: Mapping[str, int], min_count: int, most: int | None) -> list[str]:
    """The tokens that occur often enough, by falling count, then by their characters."""
    for token in counts:
        if not isinstance(token, str):
            raise TypeError(f"Vocabulary.build: tokens must be strings, not {type(token).__name__}")
    kept = sorted((token for token, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))
    return kept[:most]
