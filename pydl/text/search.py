# SPDX-License-Identifier: BSD-3-Clause
"""The most probable sequences of tokens under a network that scores the next one: greedy and beam search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pydl
from pydl.tensor import Tensor

__all__ = ["Hypothesis", "Reorder", "Step", "beam_search", "greedy_search"]

Array = np.ndarray[Any, np.dtype[Any]]
Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
Reorder = Callable[[Any, Tensor], Any]


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that a search found: its tokens without begin and end, its log-probability, what it is ranked by.

    `log_prob` is Σ ln p of the tokens and of the end token; `score` is log_prob / length^length_penalty. `finished`
    says that the end token came within the largest length.
    """

    tokens: tuple[int, ...]
    log_prob: float
    score: float
    finished: bool


def select_rows(state: Any, rows: Tensor) -> Any:
    """The state of these rows of the batch: of every tensor in nested tuples, lists and dicts, along dimension 0."""
    if isinstance(state, Tensor):
        whole: Any = state
        return whole.index_select(0, rows)
    if isinstance(state, dict):
        return {key: select_rows(part, rows) for key, part in state.items()}
    if isinstance(state, (tuple, list)):
        parts = [select_rows(part, rows) for part in state]
        made: Any = type(state)
        return made(*parts) if hasattr(state, "_fields") else made(parts)
    return state


def check_start(start: Any, end: Any, max_length: int, name: str) -> None:
    """What all searches ask of their arguments."""
    if not isinstance(start, Tensor) or start.ndim != 1 or start.dtype.is_floating_point:
        found = f"shape {tuple(start.shape)}, {start.dtype}" if isinstance(start, Tensor) else type(start).__name__
        raise ValueError(f"{name}: start must be a tensor (N) of the numbers of the first tokens, not {found}")
    if max_length < 1:
        raise ValueError(f"{name}: max_length must be 1 or more, not {max_length}")
    if end is not None and end < 0:
        raise ValueError(f"{name}: end must be the number of a token or None, not {end}")


def take_step(step: Step, tokens: Array, state: Any, end: int | None, name: str) -> tuple[Tensor, Any]:
    """The scores (N, V) of the next token, checked, and the new state."""
    scores, state = step(pydl.from_numpy(tokens), state)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(tokens) or scores.shape[1] < 1:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"{name}: step must return scores ({len(tokens)}, V) of the next token, not {found}")
    if end is not None and end >= scores.shape[1]:
        raise ValueError(f"{name}: end is {end} but step scores the tokens 0 … {scores.shape[1] - 1}")
    return scores, state


def log_probabilities(scores: Tensor, live: Array, name: str) -> Array:
    """log_softmax along the tokens, in float64; a token with the score −∞ cannot come. 0 for rows that are not live."""
    found: Array = scores.double().log_softmax(1).numpy()
    if not live.all():
        found[~live] = 0
    if np.isnan(found).any():
        raise ValueError(f"{name}: the scores of step hold NaN or +∞, or allow no token at all")
    return found


@pydl.no_grad()
def greedy_search(
    step: Step, start: Tensor, state: Any = None, *, end: int | None, max_length: int
) -> list[Hypothesis]:
    """The most probable token at each step, for every row of the batch, until the end token or max_length tokens.

    `step(tokens, state)` takes the last tokens (N) int64 and returns the scores (N, V) of the next ones (logits or
    log-probabilities) and the new state. Of equal scores the token with the lowest number wins.
    Shapes: start (N), one hypothesis for each. Errors: ValueError saying what of `step`'s result or of the arguments is
    wrong. Source: torch has none; the decoder's default in all toolkits.

    Example:
        >>> import pydl
        >>> from pydl.text import greedy_search
        >>> after = pydl.tensor([[0., 5., 1.], [0., 1., 5.], [5., 0., 0.]])  # 0 → 1 → 2 → 0
        >>> found, = greedy_search(lambda tokens, state: (after[tokens], state), pydl.tensor([0]), end=0, max_length=9)
        >>> found.tokens, found.finished
        ((1, 2), True)
    """
    check_start(start, end, max_length, "greedy_search")
    tokens = start.numpy().astype(np.int64)
    rows = np.arange(len(tokens))
    chosen: list[Array] = []
    total, n_taken = np.zeros(len(tokens)), np.zeros(len(tokens), np.int64)
    going = np.ones(len(tokens), bool)
    while going.any() and len(chosen) < max_length:
        scores, state = take_step(step, tokens, state, end, "greedy_search")
        log_p = log_probabilities(scores, going, "greedy_search")
        tokens = log_p.argmax(1).astype(np.int64)
        total += np.where(going, log_p[rows, tokens], 0)
        n_taken += going
        chosen.append(tokens)
        if end is not None:
            going &= tokens != end
    return [
        _hypothesis([int(step_tokens[row]) for step_tokens in chosen[: n_taken[row]]], float(total[row]), end, 0.0)
        for row in rows
    ]


def _hypothesis(tokens: list[int], log_prob: float, end: int | None, length_penalty: float) -> Hypothesis:
    finished = bool(tokens) and tokens[-1] == end
    score = log_prob / len(tokens) ** length_penalty if tokens else log_prob
    return Hypothesis(tuple(tokens[:-1] if finished else tokens), log_prob, score, finished)


# ---- beam search -----------------------------------------------------------------------------------------------------


@pydl.no_grad()
def beam_search(
    step: Step,
    start: Tensor,
    state: Any = None,
    *,
    end: int | None,
    max_length: int,
    beam_size: int = 4,
    length_penalty: float = 1.0,
    n_best: int = 1,
    reorder: Reorder = select_rows,
) -> list[list[Hypothesis]]:
    """The best sequences among those that stay within the `beam_size` most probable beginnings at each step.

    Ranked by log p / length^length_penalty, the length with the end token: 0 ranks by probability alone, which favors
    short sequences. What max_length cuts off is ranked like the rest. A row is searched until no beginning can come
    before the best n_best ends that are found. `step` is as for greedy_search, called with N · beam_size rows;
    `reorder(state, rows)` returns the state of these rows, by default of tensors whose dimension 0 is the batch, in
    nested tuples, lists and dicts. Of equal log-probabilities the earlier beginning, then the token with the lower
    number is kept; of equal scores the one that was found first.
    Shapes: start (N); N lists of up to n_best hypotheses, the best first. Errors: as greedy_search; ValueError for
    n_best above beam_size or a negative length_penalty. Source: Graves 2012; the normalization by length is that of
    Wu et al. 2016 without its constant.

    Example:
        >>> import pydl
        >>> from pydl.text import beam_search
        >>> after = pydl.tensor([[.0, .5, .5], [.4, .3, .3], [.9, .0, .1]]).log()
        >>> step = lambda tokens, state: (after[tokens], state)
        >>> (found,) = beam_search(step, pydl.tensor([0]), end=0, max_length=5, beam_size=2)
        >>> found[0].tokens, round(found[0].log_prob, 3)
        ((2,), -0.799)
    """
    name = "beam_search"
    check_start(start, end, max_length, name)
    if not 1 <= n_best <= beam_size:
        raise ValueError(f"{name}: n_best must be from 1 to beam_size ({beam_size}), not {n_best}")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(f"{name}: length_penalty must be 0 or more, not {length_penalty}")
    if len(start) == 0:
        return []
    beams = [_Beams(beam_size, n_best, end, max_length, length_penalty) for _ in range(len(start))]
    tokens = np.repeat(start.numpy().astype(np.int64), beam_size)
    state = reorder(state, pydl.from_numpy(np.repeat(np.arange(len(start)), beam_size)))
    for length in range(1, max_length + 1):
        scores, state = take_step(step, tokens, state, end, name)
        live = np.concatenate([beam.log_probs for beam in beams]) > -np.inf
        log_p = log_probabilities(scores, live, name).reshape(len(beams), beam_size, -1)
        for beam, ahead in zip(beams, log_p, strict=True):
            if not beam.done:
                beam.advance(ahead, length)
        if all(beam.done for beam in beams):
            break
        tokens = np.concatenate([beam.tokens for beam in beams])
        rows = np.concatenate([i * beam_size + beam.origins for i, beam in enumerate(beams)])
        state = reorder(state, pydl.from_numpy(rows))
    return [beam.best() for beam in beams]


class _Beams:
    """The beginnings that are kept for one row of the batch, and what is finished."""

    def __init__(self, size: int, n_best: int, end: int | None, max_length: int, length_penalty: float) -> None:
        self.size, self.n_best, self.end = size, n_best, end
        self.max_length, self.length_penalty = max_length, length_penalty
        self.begun: list[tuple[int, ...]] = [()] * size
        self.log_probs = np.full(size, -np.inf)
        self.log_probs[0] = 0.0  # all begin equal: one of them is enough
        self.tokens, self.origins = np.zeros(size, np.int64), np.arange(size)
        self.found: list[Hypothesis] = []
        self.done = False

    def advance(self, ahead: Array, length: int) -> None:
        """Go on by one token; `ahead` (size, V) are the log-probabilities of the next token after each beginning."""
        total = self.log_probs[:, None] + ahead
        n_tokens = total.shape[1]
        # Of the first 2 · size candidates at most `size` can be ends: enough are left to go on with.
        order = _largest(total.reshape(-1), 2 * self.size)
        kept: list[tuple[int, int]] = []
        for rank, place in enumerate(order.tolist()):
            origin, token = divmod(place, n_tokens)
            if token == self.end:
                if rank < self.size:
                    self._finish(self.begun[origin] + (token,), float(total[origin, token]))
            elif len(kept) < self.size:
                kept.append((origin, token))
        self.begun = [self.begun[origin] + (token,) for origin, token in kept]
        log_probs = [total[origin, token] for origin, token in kept]
        if length == self.max_length:
            for tokens, log_prob in zip(self.begun, log_probs, strict=True):
                self._finish(tokens, float(log_prob))
        self._fill(kept, log_probs)
        self.done = length == self.max_length or self._decided()
        if self.done:
            self.log_probs[:] = -np.inf

    def _fill(self, kept: list[tuple[int, int]], log_probs: list[float]) -> None:
        """Note what goes on; where fewer are left than fit, the rest cannot come."""
        n_absent = self.size - len(kept)
        self.begun += [()] * n_absent
        self.log_probs = np.array(log_probs + [-np.inf] * n_absent)
        self.origins = np.array([origin for origin, _ in kept] + [0] * n_absent, np.int64)
        self.tokens = np.array([token for _, token in kept] + [0] * n_absent, np.int64)

    def _finish(self, tokens: tuple[int, ...], log_prob: float) -> None:
        self.found.append(_hypothesis(list(tokens), log_prob, self.end, self.length_penalty))

    def _decided(self) -> bool:
        """Whether nothing that is still under way can come before the best n_best that are found."""
        best = self.log_probs.max()
        if best == -np.inf:
            return True
        if len(self.found) < self.n_best:
            return False
        # A log-probability only falls from here on, and at the largest length the most is divided away.
        reachable = best / self.max_length**self.length_penalty
        return bool(sorted((h.score for h in self.found), reverse=True)[self.n_best - 1] >= reachable)

    def best(self) -> list[Hypothesis]:
        """The first n_best by score, equal ones in the order of finding."""
        return sorted(self.found, key=lambda h: -h.score)[: self.n_best]


def _largest(values: Array, n: int) -> Array:
    """The places of the n largest that are above −∞, largest first, of equal ones the first place first."""
    if n < len(values):
        bound = np.partition(values, len(values) - n)[len(values) - n]
        places = np.flatnonzero(values >= bound)
    else:
        places = np.arange(len(values))
    places = places[np.argsort(-values[places], kind="stable")][:n]
    return places[values[places] > -np.inf]
