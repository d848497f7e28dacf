# SPDX-License-Identifier: BSD-3-Clause
"""Encoder and decoder: against PyTorch, step by step, padding, teacher forcing, searches, what they learn."""

from __future__ import annotations

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn, optim
from pydl.autograd import gradcheck_module
from pydl.models import Decoder, Encoder, EncoderDecoder
from pydl.models.encoder_decoder import ATTENTIONS, length_mask

N_SOURCE, N_TARGET, E, H = 9, 7, 5, 6
LENGTHS = [3, 5, 1, 4]
BEGIN, END = 1, 2


def numbers(high, *shape, seed=0):
    return pydl.from_numpy(np.random.default_rng([seed, high, *shape]).integers(1, high, shape))


def made(attention="general", rnn="lstm", layers=1, bidirectional=True, **settings):
    pydl.manual_seed(0)
    model = EncoderDecoder(N_SOURCE, N_TARGET, E, H, layers, rnn, attention, bidirectional, **settings)
    return model.double()


def batch():
    source = numbers(N_SOURCE, 4, 5)
    return source.masked_fill(~length_mask(LENGTHS, 5), 0), numbers(N_TARGET, 4, 6)


EVERY = [(a, r, n, b) for a in ATTENTIONS for r, n, b in (("lstm", 1, True), ("gru", 2, True), ("lstm", 2, False))]


# ---- against PyTorch -----------------------------------------------------------------------------------------------


def torchs_scores(torch, model, source, target, kind, rnn, layers, bidirectional):
    """One source without padding, with PyTorch's layers and the network's weights."""
    state = {name: torch.from_numpy(t.numpy()) for name, t in model.state_dict().items()}

    def part(prefix, module):
        module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        return module.double()

    cell = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[rnn]
    encoder = part(
        "encoder.rnn.", cell(E, H // (1 + bidirectional), layers, batch_first=True, bidirectional=bidirectional)
    )
    decoder = part("decoder.rnn.", cell(E, H, layers, batch_first=True))
    memory, states = encoder(state["encoder.embedding.weight"][source])

    def joined(s):
        if not bidirectional:
            return s
        return torch.stack([torch.cat([s[2 * i], s[2 * i + 1]], 1) for i in range(layers)])

    states = tuple(map(joined, states)) if rnn == "lstm" else joined(states)
    h, _ = decoder(state["decoder.embedding.weight"][target], states)
    if kind is not None:
        if kind == "additive":
            query = h @ state["decoder.attention.query_layer.weight"].T
            key = memory @ state["decoder.attention.key_layer.weight"].T
            e = (query[:, :, None] + key[:, None]).tanh() @ state["decoder.attention.score_layer.weight"][0]
        else:
            key = memory @ state["decoder.attention.key_layer.weight"].T if kind == "general" else memory
            e = h @ key.transpose(1, 2) / (H**0.5 if kind == "scaled" else 1)
        both = torch.cat([e.softmax(-1) @ memory, h], 2)
        h = (both @ state["decoder.combine.weight"].T + state["decoder.combine.bias"]).tanh()
    return h @ state["decoder.output.weight"].T + state["decoder.output.bias"]


@pytest.mark.parity
@pytest.mark.parametrize(("attention", "rnn", "layers", "bidirectional"), EVERY)
def test_scores_are_those_of_pytorchs_layers(attention, rnn, layers, bidirectional):
    """Each row of a padded batch as PyTorch computes it alone; the gradients of all weights are those of their sum."""
    import torch

    model = made(attention, rnn, layers, bidirectional)
    source, target = batch()
    scores = model(source, LENGTHS, target)
    for row, length in enumerate(LENGTHS):
        alone = [torch.from_numpy(x.numpy()[row : row + 1]) for x in (source[:, :length], target)]
        with torch.no_grad():
            wanted = torchs_scores(torch, model, *alone, attention, rnn, layers, bidirectional)
        np.testing.assert_allclose(scores[row].detach().numpy(), wanted[0].numpy(), atol=1e-13)


# ---- padding, steps, gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attention", "rnn", "layers", "bidirectional"), EVERY)
def test_what_is_padded_does_not_matter(attention, rnn, layers, bidirectional):
    """The padded positions' numbers change nothing, and the embedding's row for padding gets no gradient."""
    model = made(attention, rnn, layers, bidirectional)
    source, target = batch()
    other = source.masked_fill(~length_mask(LENGTHS, 5), 3)
    scores = model(source, LENGTHS, target)
    assert pydl.equal(scores, model(other, LENGTHS, target))
    scores.sum().backward()
    assert not model.encoder.embedding.weight.grad[0].any()
    whole = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    for row, length in enumerate(LENGTHS):
        model(source[row : row + 1, :length], None, target[row : row + 1]).sum().backward()
    for a, p in zip(whole, model.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), p.grad.numpy(), atol=1e-11)


def test_lengths_of_the_target():
    """Positions behind the end of a target cost nothing and do not change the others."""
    model = made()
    source, target = batch()
    target_lengths = [6, 2, 4, 1]
    inside = length_mask(target_lengths, 6)
    some, all_ = (model(source, LENGTHS, target, given) for given in (target_lengths, None))
    np.testing.assert_allclose(some[inside].detach().numpy(), all_[inside].detach().numpy(), atol=1e-14)
    labels = target.masked_fill(~inside, 0)
    losses = [F.cross_entropy(s.reshape(-1, N_TARGET), labels.reshape(-1), ignore_index=0) for s in (some, all_)]
    grads = [pydl.autograd.grad(loss, list(model.parameters())) for loss in losses]
    for a, b in zip(*grads, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-14)


@pytest.mark.parametrize(("attention", "rnn", "layers", "bidirectional"), EVERY)
def test_token_by_token_gives_the_scores_of_the_whole(attention, rnn, layers, bidirectional):
    model = made(attention, rnn, layers, bidirectional)
    source, target = batch()
    whole, state = model(source, LENGTHS, target), model.start(source, LENGTHS)
    for t in range(target.shape[1]):
        scores, state = model.step(target[:, t], state)
        np.testing.assert_allclose(scores.detach().numpy(), whole[:, t].detach().numpy(), atol=1e-14)


@pytest.mark.parametrize("attention", ["additive", "general", None])
def test_gradients(attention):
    model = made(attention, "gru")
    source, target = batch()
    assert gradcheck_module(model, source, pydl.tensor(LENGTHS), target, max_elements=32, verbose=False).ok


def test_attention_weights():
    model = made("additive")
    source, target = batch()
    weights = model.attention_weights(source, LENGTHS, target)
    assert weights.shape == (4, 6, 5)
    outside = ~length_mask(LENGTHS, 5).unsqueeze(1).expand(4, 6, 5)
    assert not weights[outside].any() and weights[~outside].detach().numpy().all()
    np.testing.assert_allclose(weights.sum(2).detach().numpy(), 1, atol=1e-14)


# ---- teacher forcing -----------------------------------------------------------------------------------------------


def test_without_teacher_the_network_reads_its_own_tokens():
    model = made()
    source, target = batch()
    target[:, 0] = BEGIN
    own = model(source, LENGTHS, target, teacher_forcing=0.0)
    found = model.greedy(source, LENGTHS, begin=BEGIN, end=None, max_length=6)
    assert own.argmax(2).tolist() == [list(h.tokens) for h in found]
    other = target.clone()
    other[:, 1:] = 3
    assert pydl.equal(own, model(source, LENGTHS, other, teacher_forcing=0.0))


def test_teacher_forcing_draws_from_the_generator():
    model = made()
    source, target = batch()
    taught = model(source, LENGTHS, target)
    draws = [
        model(source, LENGTHS, target, teacher_forcing=0.5, generator=pydl.Generator().manual_seed(seed)).detach()
        for seed in (1, 1, 2)
    ]
    assert pydl.equal(draws[0], draws[1]) and not pydl.equal(draws[0], draws[2])
    np.testing.assert_allclose(draws[0][:, 0].numpy(), taught[:, 0].detach().numpy(), atol=1e-14)
    almost = model(source, LENGTHS, target, teacher_forcing=1 - 1e-12)
    np.testing.assert_allclose(almost.detach().numpy(), taught.detach().numpy(), atol=1e-14)
    almost.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


# ---- searches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attention", "rnn", "layers", "bidirectional"), EVERY)
def test_searches_of_a_batch_are_those_of_each_source_alone(attention, rnn, layers, bidirectional):
    model = made(attention, rnn, layers, bidirectional)
    source, _ = batch()
    settings = {"begin": BEGIN, "end": END, "max_length": 6}
    greedy = model.greedy(source, LENGTHS, **settings)
    beams = model.beam(source, LENGTHS, beam_size=3, n_best=2, **settings)
    for row, length in enumerate(LENGTHS):
        alone = source[row : row + 1, :length]
        assert model.greedy(alone, **settings)[0].tokens == greedy[row].tokens
        found = model.beam(alone, beam_size=3, n_best=2, **settings)[0]
        assert [h.tokens for h in found] == [h.tokens for h in beams[row]]
        np.testing.assert_allclose([h.score for h in found], [h.score for h in beams[row]], rtol=1e-12)
    one = model.beam(source, LENGTHS, beam_size=1, length_penalty=0.0, **settings)
    assert [h.tokens for (h,) in one] == [h.tokens for h in greedy]


def test_the_log_probability_is_that_of_the_scores():
    model = made()
    source, _ = batch()
    for row, (found,) in enumerate(model.beam(source, LENGTHS, begin=BEGIN, end=END, max_length=5, beam_size=4)):
        labels = [*found.tokens, END] if found.finished else list(found.tokens)
        target = pydl.tensor([[BEGIN, *labels[:-1]]])
        scores = model(source[row : row + 1], LENGTHS[row : row + 1], target)[0].log_softmax(1)
        total = sum(scores[t, label].item() for t, label in enumerate(labels))
        assert abs(total - found.log_prob) < 1e-12 and abs(found.score - total / len(labels)) < 1e-12


# ---- learning ------------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("attention", ["additive", "general"])
def test_it_learns_to_write_backwards(attention):
    """400 steps; nine of ten words that it has not seen, by either search."""
    pydl.manual_seed(1)
    model = EncoderDecoder(8, 8, 16, 32, rnn="gru", attention=attention)
    optimizer = optim.Adam(model.parameters(), 0.01)
    rng = np.random.default_rng(0)

    def pairs(n):
        words = rng.integers(3, 8, (n, 4))
        lengths = rng.integers(2, 5, n)
        inside = np.arange(4) < lengths[:, None]
        turned = np.zeros((n, 6), np.int64)
        turned[:, 0] = BEGIN
        for row, length in enumerate(lengths):
            turned[row, 1 : length + 1] = words[row, :length][::-1]
            turned[row, length + 1] = END
        return pydl.from_numpy(np.where(inside, words, 0)), lengths.tolist(), pydl.from_numpy(turned)

    for _ in range(400):
        source, lengths, target = pairs(32)
        scores = model(source, lengths, target[:, :-1])
        loss = F.cross_entropy(scores.reshape(-1, 8), target[:, 1:].reshape(-1), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    source, lengths, target = pairs(50)
    settings = {"begin": BEGIN, "end": END, "max_length": 8}
    wanted = [tuple(row[1 : n + 1]) for row, n in zip(target.tolist(), lengths, strict=True)]
    right = [h.tokens == w for h, w in zip(model.greedy(source, lengths, **settings), wanted, strict=True)]
    assert sum(right) >= 45
    best = [h[0].tokens == w for h, w in zip(model.beam(source, lengths, **settings), wanted, strict=True)]
    assert sum(best) >= 45


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m, s, t: m(s[0], [3], t), r"source must be a tensor \(N, T\) .* not \(5,\), .*int64"),
        (lambda m, s, t: m(s.double(), LENGTHS, t), "float64"),
        (lambda m, s, t: m(s, LENGTHS, [1]), "target must be .* not list"),
        (lambda m, s, t: m(s, LENGTHS, t, teacher_forcing=1.5), "teacher_forcing must be from 0 to 1, not 1.5"),
        (lambda m, s, t: Encoder(9, 4, 5), "hidden_size equally, which 5 does not allow"),
        (lambda m, s, t: Encoder(9, 4, 6, rnn="elman"), "Encoder: rnn must be one of lstm, gru, not 'elman'"),
        (lambda m, s, t: Decoder(9, 4, 6, attention="hard"), "one of None, additive, dot, scaled, general, not 'hard'"),
        (lambda m, s, t: m.decoder(t, m.encoder(s)[1]), "attention needs memory"),
        (lambda m, s, t: made(None).attention_weights(s, LENGTHS, t), "this one has no attention"),
        (lambda m, s, t: m.greedy(s, LENGTHS, begin=BEGIN, end=7, max_length=3), "end is 7"),
        (lambda m, s, t: m(s, [3, 5, 1], t), "lengths|3"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call(made(), *batch())


def test_a_number_outside_of_the_table():
    with pytest.raises(IndexError, match="9"):
        made()(pydl.full((1, 2), 9, dtype=pydl.int64), None, pydl.ones(1, 1, dtype=pydl.int64))


def test_one_direction_and_other_memory():
    decoder = Decoder(9, 4, 6, attention="general", memory_size=10)
    scores, _, weights = decoder(numbers(9, 2, 3), None, pydl.randn(2, 5, 10))
    assert scores.shape == (2, 3, 9) and weights.shape == (2, 3, 5)
    memory, states = Encoder(9, 4, 7, bidirectional=False, rnn="gru")(numbers(9, 2, 3))
    assert memory.shape == (2, 3, 7) and states.shape == (1, 2, 7)
    assert isinstance(Decoder(9, 4, 6, attention=None).attention, type(None))
    assert isinstance(decoder.attention, nn.DotProductAttention)
