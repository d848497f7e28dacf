# SPDX-License-Identifier: BSD-3-Clause
"""Tokens drawn from a network's scores: temperature, the k most probable ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pydl
from pydl._generator import Generator
from pydl.tensor import Tensor
from pydl.text.search import Hypothesis, Step, check_start, log_probabilities, take_step

__all__ = ["sample", "sample_token"]


def _drawn_from(scores: Tensor, temperature: float, top_k: int | None, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    """The probabilities (N, V) that a token is drawn with, in float64."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"{name}: temperature must be 0 or more, not {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"{name}: top_k must be 1 or more, not {top_k}")
    log_p = log_probabilities(scores, np.ones(len(scores), np.bool_), name)
    n_kept = log_p.shape[1] if top_k is None else min(top_k, log_p.shape[1])
    if temperature == 0:
        n_kept, temperature = 1, 1.0
    # Of equal scores the lowest numbers stay, so that exactly k do.
    order = np.argsort(-log_p, axis=1, kind="stable")[:, :n_kept]
    kept = np.full(log_p.shape, -np.inf)
    np.put_along_axis(kept, order, np.take_along_axis(log_p, order, 1), 1)
    # The largest is subtracted before the division: −∞ for what a small temperature leaves no chance, never NaN.
    with np.errstate(over="ignore"):
        weights: np.ndarray[Any, np.dtype[Any]] = np.exp((kept - kept.max(1, keepdims=True)) / temperature)
    return weights


@pydl.no_grad()
def sample_token(
    scores: Tensor, temperature: float = 1.0, top_k: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """A token for each row, drawn with p_i ∝ exp(s_i / temperature), among the top_k most probable ones where given.

    A temperature below 1 prefers the probable tokens, above 1 the improbable ones; 0 takes the most probable one.
    Shapes: scores (N, V) or (V), logits or log-probabilities; tokens (N) or (), int64. Gradient: none.
    Errors: ValueError for a negative temperature, top_k below 1, scores with NaN or +∞.
    Source: torch.multinomial of torch.softmax(scores / temperature).

    Example:
        >>> import pydl
        >>> from pydl.text import sample_token
        >>> scores = pydl.tensor([[0., 1., 3.]]).expand(1000, 3)
        >>> [(sample_token(scores, t) == 2).sum().item() > 950 for t in (1.0, 0.5)]
        [False, True]
        >>> sample_token(pydl.tensor([0., 1., 3.]), top_k=1)
        tensor(2)
    """
    rows = scores.unsqueeze(0) if scores.ndim == 1 else scores
    if rows.ndim != 2 or rows.shape[1] < 1 or not rows.dtype.is_floating_point:
        found = f"{tuple(scores.shape)}, {scores.dtype}"
        raise ValueError(f"sample_token: scores must be (N, V) or (V) floating-point numbers, not {found}")
    weights = _drawn_from(rows, temperature, top_k, "sample_token")
    if len(weights) == 0:
        return pydl.zeros(0, dtype=pydl.int64)
    tokens: Tensor = pydl.multinomial(pydl.from_numpy(weights), 1, generator=generator).squeeze(1)
    return tokens[0] if scores.ndim == 1 else tokens


@pydl.no_grad()
def sample(
    step: Step,
    start: Tensor,
    state: Any = None,
    *,
    end: int | None,
    max_length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: Generator | None = None,
) -> list[Hypothesis]:
    """A sequence for each row of the batch, token by token as sample_token draws them, until the end or max_length.

    `step` is as for greedy_search. The `log_prob` of a hypothesis is that of the network itself, whatever the
    temperature. Shapes: start (N). Errors: as greedy_search and sample_token. Source: torch has none.

    Example:
        >>> import pydl
        >>> from pydl.text import sample
        >>> after = pydl.tensor([[0., 0., 0.], [0., 9., 9.], [9., 0., 0.]])
        >>> g = pydl.Generator().manual_seed(0)
        >>> found = sample(lambda t, s: (after[t], s), pydl.tensor([1] * 50), end=0, max_length=90, generator=g)
        >>> all(set(h.tokens) <= {1, 2} for h in found if len(h.tokens) > 1 and h.log_prob > -20)
        True
    """
    check_start(start, end, max_length, "sample")
    tokens = start.numpy().astype(np.int64)
    rows, going = np.arange(len(tokens)), np.ones(len(tokens), bool)
    drawn: list[np.ndarray[Any, np.dtype[Any]]] = []
    total, n_drawn = np.zeros(len(tokens)), np.zeros(len(tokens), np.int64)
    while going.any() and len(drawn) < max_length:
        scores, state = take_step(step, tokens, state, end, "sample")
        ended: Any = pydl.from_numpy(~going).unsqueeze(1)
        scores = pydl.where(ended, 0.0, scores)  # whatever the network says after the end
        tokens = sample_token(scores, temperature, top_k, generator=generator).numpy()
        total += np.where(going, log_probabilities(scores, going, "sample")[rows, tokens], 0)
        n_drawn += going
        drawn.append(tokens)
        if end is not None:
            going &= tokens != end
    found = []
    for row in rows:
        whole = [int(t[row]) for t in drawn[: n_drawn[row]]]
        finished = bool(whole) and whole[-1] == end
        taken = tuple(whole[:-1] if finished else whole)
        found.append(Hypothesis(taken, float(total[row]), float(total[row]), finished))
    return found
