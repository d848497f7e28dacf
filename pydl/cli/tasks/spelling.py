# SPDX-License-Identifier: BSD-3-Clause
"""From letters to phonemes without a network: letters aligned with phonemes, then the most frequent in a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["LetterRules", "edit_distances"]

Array = np.ndarray[Any, np.dtype[Any]]
MAX_CHUNK = 2  # phonemes that one letter stands for at most: x is K S
ROUNDS = 4
SMOOTHING = 0.1
EARLY = 1e-6  # of two equal letters, of which one is mute, it is always the second: else rounding would decide


def edit_distances(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]]) -> Array:
    """Levenshtein's distance of each pair: the least number of insertions, deletions and replacements."""
    (x, x_lengths), (y, y_lengths) = _padded(a), _padded(b)
    row: Array = np.tile(np.arange(y.shape[1] + 1), (len(x), 1))
    found = row[np.arange(len(x)), y_lengths]
    for i in range(x.shape[1]):
        above, row = row, np.empty_like(row)
        row[:, 0] = i + 1
        for j in range(y.shape[1]):
            replaced = above[:, j] + (x[:, i] != y[:, j])
            row[:, j + 1] = np.minimum(replaced, np.minimum(above[:, j + 1], row[:, j]) + 1)
        found = np.where(x_lengths == i + 1, row[np.arange(len(x)), y_lengths], found)
    return found


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    lengths = np.array([len(row) for row in rows], np.int64)
    padded = np.zeros((len(rows), int(lengths.max(initial=0))), np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded, lengths


class LetterRules:
    """What each letter stands for, 0 to 2 phonemes, by the letters around it.

    Letters and phonemes of the training pairs are aligned by hard expectation-maximization: in turn the best alignment
    of each pair, and p(phonemes | letter) from how often each was aligned. Then for every context of up to `reach`
    letters on each side the most frequent phonemes of its middle letter are kept; a context never seen is read as the
    next narrower one. Letters are numbers in [1, n_letters), phonemes in [1, n_phonemes).
    Source: the pair-based alignment of Damper et al. 2005; the narrowing contexts of Sejnowski and Rosenberg's windows.
    """

    def __init__(
        self, words: Sequence[Sequence[int]], sounds: Sequence[Sequence[int]], n_letters: int, n_phonemes: int,
        reach: int,
    ) -> None:  # fmt: skip
        self.n_letters, self.n_phonemes, self.reach = n_letters, n_phonemes, reach
        if n_letters ** (2 * reach + 1) * n_phonemes**MAX_CHUNK >= 2**63:
            raise ValueError(f"contexts of {2 * reach + 1} out of {n_letters} letters do not fit into 63 bits")
        pairs = [(w, s) for w, s in zip(words, sounds, strict=True) if len(w) and len(s) <= MAX_CHUNK * len(w)]
        groups: dict[int, list[tuple[Sequence[int], Sequence[int]]]] = {}
        for pair in pairs:
            groups.setdefault(len(pair[0]), []).append(pair)
        parts = [_Group(group, n_phonemes) for _, group in sorted(groups.items())]
        for part in parts:
            part.spread_evenly()
        for _ in range(ROUNDS):
            table = self._table(parts)
            for part in parts:
                part.align(table)
        self.rules = [self._most_frequent(parts, width) for width in range(reach + 1)]

    def _table(self, parts: list[_Group]) -> Array:
        """ln p(phonemes | letter), (n_letters, chunks)."""
        n_chunks = self.n_phonemes**MAX_CHUNK
        counts: Array = np.full((self.n_letters, n_chunks), SMOOTHING / n_chunks)
        for part in parts:
            seen = np.bincount((part.letters * n_chunks + part.chunks).ravel(), minlength=counts.size)
            counts += seen.reshape(counts.shape)
        table: Array = np.log(counts / counts.sum(1, keepdims=True))
        return table

    def _most_frequent(self, parts: list[_Group], width: int) -> tuple[Array, Array]:
        """(contexts in rising order, the phonemes most often aligned with the middle letter of each)."""
        n_chunks = self.n_phonemes**MAX_CHUNK
        codes = [_contexts(part.letters, width, self.n_letters) * n_chunks + part.chunks for part in parts]
        seen, counts = np.unique(np.concatenate([c.ravel() for c in codes]), return_counts=True)
        contexts = seen // n_chunks
        order = np.lexsort((-counts, contexts))  # stable: of equal counts the lowest number
        found, first = np.unique(contexts[order], return_index=True)
        return found, (seen % n_chunks)[order][first]

    def read(self, words: Sequence[Sequence[int]], width: int) -> list[list[int]]:
        """The phonemes of each word, from contexts of up to `width` letters on each side."""
        letters, lengths = _padded(words)
        chunks = np.zeros(letters.shape, np.int64)
        known = np.zeros(letters.shape, bool)
        for w in range(width, -1, -1):
            contexts, best = self.rules[w]
            codes = _contexts(letters, w, self.n_letters)
            places = np.minimum(np.searchsorted(contexts, codes), len(contexts) - 1)
            new = (contexts[places] == codes) & ~known
            chunks[new] = best[places[new]]
            known |= new
        found = []
        rows: Any = chunks.tolist()
        for row, length in zip(rows, lengths.tolist(), strict=True):
            both = [p for chunk in row[:length] for p in divmod(chunk, self.n_phonemes)]
            found.append([p for p in both if p])
        return found


def _contexts(letters: Array, width: int, n_letters: int) -> Array:
    """A number for the letters from `width` before to `width` behind each letter; outside of the word there is 0."""
    n = letters.shape[1]
    around = np.pad(letters, ((0, 0), (width, width)))
    codes = np.zeros(letters.shape, np.int64)
    for k in range(2 * width + 1):
        codes = codes * n_letters + around[:, k : k + n]
    return codes


class _Group:
    """Pairs whose words have the same number of letters, and the phonemes that each letter is aligned with.

    A chunk of phonemes is a number: 0 for none, p for one, p · n_phonemes + q for two.
    """

    def __init__(self, pairs: list[tuple[Sequence[int], Sequence[int]]], n_phonemes: int) -> None:
        self.letters = np.array([word for word, _ in pairs], np.int64)
        self.sounds, self.lengths = _padded([sound for _, sound in pairs])
        one = np.pad(self.sounds, ((0, 0), (0, MAX_CHUNK)))
        # The chunk of k phonemes that begins at each place.
        self.starting = [np.zeros_like(one[:, :-1]), one[:, :-1], one[:, :-1] * n_phonemes + one[:, 1:]]
        self.chunks = np.zeros_like(self.letters)

    def spread_evenly(self) -> None:
        """The first alignment: the phonemes in equal shares."""
        n_letters = self.letters.shape[1]
        ends = self.lengths[:, None] * np.arange(n_letters + 1) // n_letters
        self._take(ends[:, :-1], np.diff(ends, axis=1))

    def _take(self, begins: Array, sizes: Array) -> None:
        rows = np.arange(len(begins))[:, None]
        self.chunks = np.choose(sizes, [starting[rows, begins] for starting in self.starting])

    def align(self, table: Array) -> None:
        """The most probable alignment of each pair (Viterbi)."""
        n, n_letters = self.letters.shape
        width = self.sounds.shape[1] + 1
        best = np.full((n, width), -np.inf)
        best[:, 0] = 0
        came = np.zeros((n_letters, n, width), np.int8)
        for i in range(n_letters):
            here, best = best, np.full((n, width), -np.inf)
            for size, starting in enumerate(self.starting):
                reached = here[:, : width - size] + table[self.letters[:, i, None], starting[:, : width - size]]
                reached = reached - EARLY * size * i
                better = reached > best[:, size:]
                best[:, size:] = np.where(better, reached, best[:, size:])
                came[i, :, size:] = np.where(better, size, came[i, :, size:])
        ends = self.lengths.copy()
        begins, sizes = np.zeros_like(self.letters), np.zeros_like(self.letters)
        for i in range(n_letters - 1, -1, -1):
            sizes[:, i] = came[i, np.arange(n), ends]
            ends -= sizes[:, i]
            begins[:, i] = ends
        self._take(begins, sizes)
