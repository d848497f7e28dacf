# SPDX-License-Identifier: BSD-3-Clause
"""The recurrent language model: against PyTorch's layers, part by part, token by token."""

from __future__ import annotations

import numpy as np
import pytest

import pydl
from pydl.models import LanguageModel
from pydl.text import beam_search, greedy_search, sample

V, E, H, N, T = 11, 5, 6, 3, 8
KINDS = [("lstm", 1), ("lstm", 2), ("gru", 2)]


def made(rnn="lstm", layers=1):
    pydl.manual_seed(0)
    return LanguageModel(V, E, H, layers, rnn).double()


def tokens(*shape):
    return pydl.from_numpy(np.random.default_rng(0).integers(1, V, shape))


@pytest.mark.parity
@pytest.mark.parametrize(("rnn", "layers"), KINDS)
def test_scores_are_those_of_pytorchs_layers(rnn, layers):
    import torch

    model, ids = made(rnn, layers), tokens(N, T)
    state = {name: torch.from_numpy(t.numpy()) for name, t in model.state_dict().items()}
    cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[rnn](E, H, layers, batch_first=True).double()
    cell.load_state_dict({k.removeprefix("rnn."): v for k, v in state.items() if k.startswith("rnn.")})
    with torch.no_grad():
        h, _ = cell(state["embedding.weight"][torch.from_numpy(ids.numpy())])
        wanted = h @ state["output.weight"].T + state["output.bias"]
    np.testing.assert_allclose(model(ids)[0].detach().numpy(), wanted.numpy(), atol=1e-13)


@pytest.mark.parametrize(("rnn", "layers"), KINDS)
def test_token_by_token(rnn, layers):
    model, ids = made(rnn, layers), tokens(N, T)
    whole, state = model(ids)[0], model.start(N)
    for t in range(T):
        scores, state = model.step(ids[:, t], state)
        np.testing.assert_allclose(scores.detach().numpy(), whole[:, t].detach().numpy(), atol=1e-14)


def test_a_text_in_parts_is_the_whole():
    """Scores and, with states that are not detached, gradients."""
    model, ids = made("lstm", 2), tokens(N, T)
    whole, states = model(ids)
    first, carried = model(ids[:, :3])
    rest, last = model(ids[:, 3:], carried)
    np.testing.assert_allclose(pydl.cat([first, rest], 1).detach().numpy(), whole.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(last[1].detach().numpy(), states[1].detach().numpy(), atol=1e-14)
    grads = [
        pydl.autograd.grad(x.square().sum(), list(model.parameters())) for x in (whole, pydl.cat([first, rest], 1))
    ]
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-12)


@pytest.mark.parametrize(("rnn", "layers"), KINDS)
def test_searches(rnn, layers):
    """The log-probability of what is found is that of the scores of the whole text."""
    model, start = made(rnn, layers), pydl.tensor([1, 2])
    found = [
        greedy_search(model.step, start, model.start(2), end=None, max_length=5),
        [best for (best,) in beam_search(model.step, start, model.start(2), end=None, max_length=5, beam_size=3)],
        sample(model.step, start, model.start(2), end=None, max_length=5),
    ]
    for hypotheses in found:
        for first, hypothesis in zip((1, 2), hypotheses, strict=True):
            ids = [first, *hypothesis.tokens]
            log_p = model(pydl.tensor([ids[:-1]]))[0][0].log_softmax(1)
            total = sum(log_p[t, token].item() for t, token in enumerate(ids[1:]))
            assert abs(total - hypothesis.log_prob) < 1e-12


def test_errors():
    with pytest.raises(ValueError, match="one of lstm, gru, not 'elman'"):
        LanguageModel(5, rnn="elman")
    with pytest.raises(IndexError, match="11"):
        made()(pydl.tensor([[11]]))
