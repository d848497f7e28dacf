# SPDX-License-Identifier: BSD-3-Clause
"""Searches against the enumeration of all sequences, drawing against the law it promises."""

from __future__ import annotations

import itertools
import math
from collections import namedtuple

import numpy as np
import pytest

import pydl
from pydl.text import Hypothesis, beam_search, greedy_search, sample, sample_token

# ---- searches ----------------------------------------------------------------------------------------------------

V, END = 4, 0


class Chain:
    """Scores of the next token that depend on the row of the batch, the step and the last two tokens; counts calls."""

    def __init__(self, n_rows, seed=0, n_tokens=V, sharp=1.0):
        rng = np.random.default_rng([seed, n_rows])
        self.table = sharp * rng.standard_normal((n_rows, 6, n_tokens, n_tokens, n_tokens))
        self.n_calls = 0

    def start(self):
        n = len(self.table)
        state = {"row": pydl.arange(n), "last": (pydl.zeros(n, dtype=pydl.int64), [pydl.zeros(n, dtype=pydl.int64)])}
        return pydl.ones(n, dtype=pydl.int64), state

    def scores(self, row, t, before, last):
        return self.table[row, t % 6, before, last]

    def __call__(self, tokens, state):
        self.n_calls += 1
        last, (t,) = state["last"]
        found = self.scores(state["row"].numpy(), t.numpy(), last.numpy(), tokens.numpy())
        return pydl.from_numpy(found), {"row": state["row"], "last": (tokens, [t + 1])}

    def every(self, row, max_length, length_penalty):
        """All sequences with their scores, the best first."""
        table = self.table - np.log(np.exp(self.table).sum(-1, keepdims=True))
        found = []
        n_tokens = self.table.shape[-1]
        for length in range(1, max_length + 1):
            for tokens in itertools.product(range(1, n_tokens), repeat=length - 1):
                for last in range(n_tokens):
                    if last != END and length < max_length:
                        continue
                    whole = (*tokens, last)
                    beginning = (0, 1, *whole)
                    log_p = sum(table[row, t % 6][beginning[t : t + 3]] for t in range(length))
                    score = log_p / length**length_penalty
                    found.append(Hypothesis(whole[:-1] if last == END else whole, log_p, score, last == END))
        return sorted(found, key=lambda h: -h.score)


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0, 2.0])
def test_a_wide_beam_finds_the_best_of_all_sequences(length_penalty):
    """With as many beams as there are beginnings nothing is lost: the n best of the enumeration, scores included."""
    chain = Chain(3)
    start, state = chain.start()
    settings = {"end": END, "max_length": 4, "beam_size": (V - 1) ** 3 * V, "length_penalty": length_penalty}
    found = beam_search(chain, start, state, n_best=20, **settings)
    for row, hypotheses in enumerate(found):
        wanted = chain.every(row, 4, length_penalty)[:20]
        assert [h.tokens for h in hypotheses] == [h.tokens for h in wanted]
        np.testing.assert_allclose([h.score for h in hypotheses], [h.score for h in wanted], rtol=1e-12)
        np.testing.assert_allclose([h.log_prob for h in hypotheses], [h.log_prob for h in wanted], rtol=1e-12)
        assert [h.finished for h in hypotheses] == [h.finished for h in wanted]


@pytest.mark.parametrize("n_best", [1, 3])
def test_stopping_early_loses_nothing(n_best):
    """What is found does not depend on how much longer the search may go on."""
    for seed in range(20):
        chain = Chain(2, seed, sharp=3.0)
        start, state = chain.start()
        settings = {"end": END, "max_length": 12, "beam_size": 4, "length_penalty": 1.0}
        short = beam_search(chain, start, state, n_best=n_best, **settings)
        n_calls, chain.n_calls = chain.n_calls, 0
        whole = beam_search(chain, start, state, n_best=4, **settings)
        assert short == [hypotheses[:n_best] for hypotheses in whole]
        assert n_calls <= chain.n_calls <= 12


def test_the_rows_of_a_batch_are_searched_as_alone():
    chain = Chain(5, sharp=2.0)
    start, state = chain.start()
    settings = {"end": END, "max_length": 7, "beam_size": 3, "n_best": 2}
    together = beam_search(chain, start, state, **settings)
    greedy = greedy_search(chain, start, state, end=END, max_length=7)
    for row in range(5):
        alone = {"row": pydl.tensor([row]), "last": (pydl.tensor([0]), [pydl.tensor([0])])}
        assert beam_search(chain, start[:1], alone, **settings) == together[row : row + 1]
        assert greedy_search(chain, start[:1], alone, end=END, max_length=7) == greedy[row : row + 1]
        assert together[row][0].score >= together[row][1].score


def test_greedy_takes_the_best_token_at_each_step_and_so_does_one_beam():
    for seed in range(10):
        chain = Chain(4, seed)
        start, state = chain.start()
        greedy = greedy_search(chain, start, state, end=END, max_length=6)
        beam = beam_search(chain, start, state, end=END, max_length=6, beam_size=1, length_penalty=0.0)
        for row, found in enumerate(greedy):
            tokens = [0, 1]
            while len(tokens) < 8:
                tokens.append(int(chain.table[row, len(tokens) - 2, tokens[-2], tokens[-1]].argmax()))
                if tokens[-1] == END:
                    break
            assert found.tokens == tuple(t for t in tokens[2:] if t != END) == beam[row][0].tokens
            assert found.finished == (tokens[-1] == END) == beam[row][0].finished
            assert math.isclose(found.log_prob, beam[row][0].log_prob) and found.score == found.log_prob


def test_a_beam_finds_what_greedy_misses():
    """The first step's favorite leads to a flat distribution."""
    after = pydl.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.55, 0.45], [0.3, 0.2, 0.25, 0.25], [0.9, 0.0, 0.05, 0.05]])
    step = lambda tokens, state: (after[tokens].log(), state)  # noqa: E731
    settings = {"end": 0, "max_length": 5}
    (greedy,) = greedy_search(step, pydl.tensor([1]), **settings)
    ((beam,),) = beam_search(step, pydl.tensor([1]), beam_size=2, length_penalty=0.0, **settings)
    assert greedy.tokens == (2,) and beam.tokens == (3,) and beam.log_prob > greedy.log_prob
    assert math.isclose(beam.log_prob, math.log(0.45 * 0.9), rel_tol=1e-6)


def test_length_penalty_prefers_longer_sequences():
    after = pydl.tensor([[0.0, 0.0], [0.4, 0.6]])  # ends with 0.4 at each step
    step = lambda tokens, state: (after[tokens].log(), state)  # noqa: E731
    lengths = [
        len(beam_search(step, pydl.tensor([1]), end=0, max_length=9, beam_size=9, length_penalty=p)[0][0].tokens)
        for p in (0.0, 1.0)
    ]
    assert lengths == [0, 9]


def test_equal_scores_are_decided_by_the_lowest_numbers():
    step = lambda tokens, state: (pydl.zeros(len(tokens), 5), state)  # noqa: E731
    start = pydl.tensor([3, 4])
    assert [h.tokens for h in greedy_search(step, start, end=None, max_length=3)] == [(0, 0, 0)] * 2
    for hypotheses in beam_search(step, start, end=None, max_length=2, beam_size=7, n_best=7):
        assert [h.tokens for h in hypotheses] == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)]
    assert sample_token(pydl.zeros(2, 5), 0.0).tolist() == [0, 0]


def test_the_longest_length_cuts_off():
    step = lambda tokens, state: (pydl.tensor([[-50.0, 0.0, 1.0]]).expand(len(tokens), 3), state)  # noqa: E731
    start = pydl.tensor([1])
    (greedy,) = greedy_search(step, start, end=0, max_length=4)
    assert greedy.tokens == (2, 2, 2, 2) and not greedy.finished
    (found,) = beam_search(step, start, end=0, max_length=4, beam_size=3, n_best=3)
    assert [h.finished for h in found] == [False] * 3 and found[0].tokens == (2, 2, 2, 2)
    (drawn,) = sample(step, start, end=0, max_length=4, temperature=0.0)
    assert drawn.tokens == greedy.tokens and math.isclose(drawn.log_prob, greedy.log_prob)


def test_tokens_that_cannot_come():
    """−∞ forbids a token: fewer beginnings than beams are no problem, an end alone neither."""
    step = lambda tokens, state: (pydl.tensor([[-math.inf, 0.0, -math.inf]]).expand(len(tokens), 3), state)  # noqa: E731
    (found,) = beam_search(step, pydl.tensor([1]), end=0, max_length=3, beam_size=4, n_best=4)
    assert [(h.tokens, h.log_prob, h.finished) for h in found] == [((1, 1, 1), 0.0, False)]
    step = lambda tokens, state: (pydl.tensor([[0.0, -math.inf]]).expand(len(tokens), 2), state)  # noqa: E731
    (found,) = beam_search(step, pydl.tensor([1]), end=0, max_length=3, beam_size=4, n_best=2)
    assert [(h.tokens, h.log_prob, h.finished) for h in found] == [((), 0.0, True)]


def test_an_empty_batch():
    step = lambda tokens, state: (pydl.zeros(len(tokens), 3), state)  # noqa: E731
    start = pydl.zeros(0, dtype=pydl.int64)
    for search in (greedy_search, beam_search, sample):
        assert search(step, start, end=0, max_length=3) == []


def test_states_are_nests_of_tensors():
    Pair = namedtuple("Pair", "h c")
    seen = []

    def step(tokens, state):
        seen.append(state)
        assert state["lstm"].h.shape == (len(tokens), 2) and state["lstm"].c[0].shape == (len(tokens),)
        assert state["fixed"] == 7 and state["nothing"] is None
        return pydl.zeros(len(tokens), 3), state

    state = {"lstm": Pair(pydl.zeros(2, 2), [pydl.arange(2)]), "fixed": 7, "nothing": None}
    beam_search(step, pydl.tensor([1, 1]), state, end=0, max_length=3, beam_size=2)
    assert all(type(s["lstm"]) is Pair for s in seen)
    assert seen[0]["lstm"].c[0].tolist() == [0, 0, 1, 1]


def test_searches_record_nothing():
    weight = pydl.zeros(3, 3, requires_grad=True)

    def step(tokens, state):
        scores = weight[tokens]
        assert not scores.requires_grad
        return scores, scores

    for search in (greedy_search, beam_search, sample):
        search(step, pydl.tensor([1]), end=0, max_length=2)


@pytest.mark.parametrize("search", [greedy_search, beam_search, sample])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"start": [1]}, "start must be a tensor .* not list"),
        ({"start": pydl.tensor(1)}, r"not shape \(\)"),
        ({"start": pydl.tensor([1.0])}, r"not shape \(1,\), .*float32"),
        ({"max_length": 0}, "max_length must be 1 or more, not 0"),
        ({"end": -1}, "end must be the number of a token or None, not -1"),
        ({"end": 3}, "end is 3 but step scores the tokens 0 … 2"),
        ({"step": lambda t, s: (pydl.zeros(3), s)}, r"step must return scores \(\d, V\).*not \(3,\)"),
        ({"step": lambda t, s: (pydl.zeros(len(t), 0), s)}, r"V\).*not \(\d, 0\)"),
        ({"step": lambda t, s: (np.zeros((len(t), 3)), s)}, "not ndarray"),
        ({"step": lambda t, s: (pydl.full((len(t), 3), math.nan), s)}, "hold NaN"),
        ({"step": lambda t, s: (pydl.full((len(t), 3), math.inf), s)}, r"hold NaN or \+∞"),
        ({"step": lambda t, s: (pydl.full((len(t), 3), -math.inf), s)}, "allow no token at all"),
    ],
)
def test_what_searches_refuse(search, change, text):
    given = {"step": lambda t, s: (pydl.zeros(len(t), 3), s), "start": pydl.tensor([1]), "end": 0, "max_length": 3}
    with pytest.raises(ValueError, match=text) as caught:
        search(**{**given, **change})
    assert str(caught.value).startswith(search.__name__)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_best": 5, "beam_size": 4}, r"n_best must be from 1 to beam_size \(4\), not 5"),
        ({"n_best": 0}, "not 0"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more, not -1.0"),
        ({"length_penalty": math.nan}, "not nan"),
    ],
)
def test_what_beam_search_refuses(settings, text):
    with pytest.raises(ValueError, match=text):
        beam_search(lambda t, s: (pydl.zeros(len(t), 3), s), pydl.tensor([1]), end=0, max_length=2, **settings)


# ---- drawing -----------------------------------------------------------------------------------------------------

SCORES = np.array([0.3, -1.0, 2.0, 2.0, 0.0, -np.inf])


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (3.0, 4), (1.0, 2), (1.0, 100)])
def test_tokens_are_drawn_as_promised(temperature, top_k):
    """Frequencies within five standard deviations; what is cut off never comes."""
    n = 40_000
    scores = pydl.from_numpy(SCORES).expand(n, 6)
    tokens = sample_token(scores, temperature, top_k, generator=pydl.Generator().manual_seed(3))
    assert tokens.shape == (n,) and tokens.dtype is pydl.int64
    kept = np.argsort(-SCORES, kind="stable")[:top_k]
    p = np.zeros(6)
    p[kept] = np.exp(SCORES[kept] / temperature)
    p /= p.sum()
    counts = np.bincount(tokens.numpy(), minlength=6)
    assert np.all(np.abs(counts - n * p) <= 5 * np.sqrt(n * p * (1 - p)))


def test_a_generator_gives_the_same_tokens_again():
    scores = pydl.randn(50, 9)
    draws = [sample_token(scores, 1.3, 5, generator=pydl.Generator().manual_seed(s)).tolist() for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    before = pydl.get_rng_state()
    sample_token(scores, generator=pydl.Generator())
    assert pydl.equal(before, pydl.get_rng_state())  # the default generator is not touched
    sample_token(scores)
    assert not pydl.equal(before, pydl.get_rng_state())


@pytest.mark.parametrize("temperature", [0.0, 1e-320, 1e-8])
def test_cold_means_the_most_probable(temperature):
    scores = pydl.randn(30, 9) * 1e4
    assert pydl.equal(sample_token(scores, temperature), scores.argmax(1))


def test_sequences_are_drawn_with_the_networks_probability():
    chain = Chain(1)
    start, _ = chain.start()
    n, max_length = 4000, 3
    zeros = pydl.zeros(n, dtype=pydl.int64)
    g = pydl.Generator().manual_seed(1)
    drawn = sample(
        chain, start.expand(n), {"row": zeros, "last": (zeros, [zeros])}, end=END, max_length=max_length, generator=g
    )
    law = {(h.tokens, h.finished): h.log_prob for h in chain.every(0, max_length, 0.0)}
    assert math.isclose(sum(map(math.exp, law.values())), 1, rel_tol=1e-12)
    for h in drawn:
        assert math.isclose(h.log_prob, law[h.tokens, h.finished], rel_tol=1e-9)
    for (tokens, finished), log_p in law.items():
        p = math.exp(log_p)
        count = sum(h.tokens == tokens and h.finished == finished for h in drawn)
        assert abs(count - n * p) <= 5 * math.sqrt(n * p * (1 - p)) + 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sample_token(pydl.zeros(3), -1.0), "temperature must be 0 or more, not -1.0"),
        (lambda: sample_token(pydl.zeros(3), math.nan), "not nan"),
        (lambda: sample_token(pydl.zeros(3), 1.0, 0), "top_k must be 1 or more, not 0"),
        (lambda: sample_token(pydl.zeros(2, 2, 3)), r"not \(2, 2, 3\), .*float32"),
        (lambda: sample_token(pydl.zeros(3, dtype=pydl.int64)), "int64"),
        (lambda: sample_token(pydl.zeros(3, 0)), r"\(3, 0\)"),
        (lambda: sample_token(pydl.tensor([0.0, math.nan])), "NaN"),
    ],
)
def test_what_drawing_refuses(call, text):
    with pytest.raises(ValueError, match=text):
        call()
