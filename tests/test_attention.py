# SPDX-License-Identifier: BSD-3-Clause
"""Attention: what the Cases do not show. Additive and dot-product modules against their formulas, masks, dropout."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl.autograd import gradcheck, gradcheck_module
from pydl.ops.attention import masked_softmax
from tests.reference_attention import softmax_where

N, L, S, Q, K, V, A = 3, 4, 6, 5, 7, 2, 8
LENGTHS = np.array([6, 3, 1])
MASK = np.arange(S) < LENGTHS[:, None]
EPS = np.finfo(np.float64).eps


def normal(*shape, seed=0, grad=False):
    x = pydl.from_numpy(np.random.default_rng([seed, *shape]).standard_normal(shape))
    return x.requires_grad_() if grad else x


def made(kind):
    pydl.manual_seed(0)
    if kind == "additive":
        return nn.AdditiveAttention(Q, K, A).double()
    return nn.DotProductAttention(Q, K if kind == "general" else None, score=kind).double()


KINDS = ("additive", "dot", "scaled", "general")


def scores_of(attention, q, k):
    """e (N, L, S) by the formulas."""
    if isinstance(attention, nn.AdditiveAttention):
        w_q, w_k, w = (
            layer.weight.detach().numpy()
            for layer in (attention.query_layer, attention.key_layer, attention.score_layer)
        )
        return np.tanh((q @ w_q.T)[:, :, None] + (k @ w_k.T)[:, None]) @ w[0]
    if attention.score == "general":
        k = k @ attention.key_layer.weight.detach().numpy().T
    return np.einsum("nlq,nsq->nls", q, k) / (math.sqrt(Q) if attention.score == "scaled" else 1)


# ---- scaled dot product ------------------------------------------------------------------------------------------


def test_dropout_drops_weights():
    """Each weight is 0 or doubled, whatever else is given; with dropout 0 nothing is drawn."""
    q, k = normal(2, 3, L, Q), normal(2, 3, 50, Q)
    value = pydl.eye(50, dtype=pydl.float64)  # shows the weights
    plain = F.scaled_dot_product_attention(q, k, value)
    pydl.manual_seed(1)
    dropped = F.scaled_dot_product_attention(q, k, value, dropout_p=0.5)
    kept = dropped != 0
    assert 0.4 < kept.double().mean().item() < 0.6
    np.testing.assert_allclose(dropped[kept].numpy(), 2 * plain[kept].numpy(), rtol=4 * EPS)
    pydl.manual_seed(1)
    assert pydl.equal(F.scaled_dot_product_attention(q, k, value, dropout_p=0.5), dropped)
    before = pydl.get_rng_state()
    F.scaled_dot_product_attention(q, k, value, dropout_p=0.0)
    assert pydl.equal(pydl.get_rng_state(), before)
    assert not F.scaled_dot_product_attention(q, k, value, dropout_p=1.0).any()


def test_what_is_masked_does_not_matter():
    """Not even Inf and NaN there, in the scores; the gradient is exactly 0 there."""
    q, k, v = normal(N, L, Q, grad=True), normal(N, S, Q), normal(N, S, V)
    mask = pydl.from_numpy(MASK).unsqueeze(1)
    k.numpy()[~MASK] = [np.nan, np.inf, -np.inf, 1e300, 0]
    wild, still = k.clone().requires_grad_(), k.masked_fill(~mask.transpose(1, 2), 0.0).requires_grad_()
    grads = []
    for key in (wild, still):
        y = F.scaled_dot_product_attention(q, key, v, mask)
        grads.append((y, *pydl.autograd.grad(y.square().sum(), (q, key))))
    for a, b in zip(*grads, strict=True):
        if a is not grads[0][1]:  # dq = ds k, in which 0 meets the Inf
            assert pydl.equal(a, b)
    assert not grads[0][2].numpy()[~MASK].any() and grads[0][2].numpy()[0].all()


@pytest.mark.parametrize("numbers", [False, True])
def test_a_query_that_may_look_nowhere(numbers):
    q, k, v = normal(2, L, Q, grad=True), normal(2, S, Q, grad=True), normal(2, S, V, grad=True)
    allowed = np.ones((L, S), bool)
    allowed[1] = False
    mask = pydl.from_numpy(np.where(allowed, 0.0, -np.inf) if numbers else allowed)
    y = F.scaled_dot_product_attention(q, k, v, mask)
    assert not y[:, 1].any() and y[:, 0].detach().numpy().all()
    y.sum().backward()
    assert not q.grad[:, 1].any() and all(np.isfinite(x.grad.numpy()).all() for x in (q, k, v))


def test_causal_means_the_past():
    q, k, v = normal(2, S, Q), normal(2, S, Q), normal(2, S, V)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    for t in range(S):
        past = F.scaled_dot_product_attention(q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1])
        np.testing.assert_allclose(y[:, t : t + 1].numpy(), past.numpy(), atol=8 * EPS)


def test_a_mask_of_float32_beside_float64():
    q, k, v = normal(N, L, Q), normal(N, S, Q), normal(N, S, V)
    mask = pydl.from_numpy(np.random.default_rng(0).standard_normal((L, S)).astype(np.float32))
    y = F.scaled_dot_product_attention(q, k, v, mask)
    assert y.dtype is pydl.float64 and pydl.equal(y, F.scaled_dot_product_attention(q, k, v, mask.double()))


# ---- softmax over positions ----------------------------------------------------------------------------------------


def test_masked_softmax():
    scores = normal(N, L, S) * 300
    for mask in (MASK[:, None], np.zeros((L, S), bool), np.ones(S, bool), np.array(True), np.array(False)):
        p = masked_softmax(scores, pydl.from_numpy(mask))
        wanted = softmax_where(scores.numpy(), mask)
        np.testing.assert_allclose(p.numpy(), wanted, atol=1e-13)
        assert not p.numpy()[np.broadcast_to(~mask, p.shape)].any()
    assert pydl.equal(masked_softmax(scores, None), scores.softmax(-1))
    assert gradcheck(lambda x: masked_softmax(x, pydl.from_numpy(MASK)), (normal(N, S, grad=True),))


@pytest.mark.parametrize(
    ("mask", "kind", "text"),
    [
        (np.ones((N, S)), RuntimeError, "bool mask, but got .*float64"),
        (np.ones((N, S + 1), bool), ValueError, r"\(3, 7\) does not broadcast to the scores \(3, 6\)"),
        (np.ones((2, N, S), bool), ValueError, r"\(2, 3, 6\) does not broadcast"),
    ],
)
def test_masks_that_do_not_fit(mask, kind, text):
    with pytest.raises(kind, match=text):
        masked_softmax(normal(N, S), pydl.from_numpy(mask))


# ---- the modules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("one", [False, True])
def test_modules_compute_their_formula(kind, one):
    attention = made(kind)
    keys, values = normal(N, S, K if kind in ("additive", "general") else Q), normal(N, S, V)
    query = normal(N, L, Q)
    context, weights = attention(query[:, 0] if one else query, keys, values, pydl.from_numpy(MASK))
    p = softmax_where(scores_of(attention, query.numpy(), keys.numpy()), MASK[:, None])
    c = np.einsum("nls,nsv->nlv", p, values.numpy())
    if one:
        p, c = p[:, 0], c[:, 0]
    assert weights.shape == p.shape and context.shape == c.shape
    np.testing.assert_allclose(weights.detach().numpy(), p, atol=16 * EPS)
    np.testing.assert_allclose(context.detach().numpy(), c, atol=64 * EPS)
    np.testing.assert_allclose(weights.detach().numpy().sum(-1), 1, atol=8 * EPS)


@pytest.mark.parametrize("kind", KINDS)
def test_padded_positions_have_weight_and_gradient_zero(kind):
    """Exactly; and results equal those of the sequence alone, without padding."""
    attention = made(kind)
    size = K if kind in ("additive", "general") else Q
    query, keys, values = normal(N, L, Q, grad=True), normal(N, S, size, grad=True), normal(N, S, V, grad=True)
    context, weights = attention(query, keys, values, pydl.from_numpy(MASK))
    (context * normal(N, L, V, seed=1)).sum().backward()
    padded = ~MASK
    assert not weights.detach().numpy().transpose(0, 2, 1)[padded].any()
    assert not keys.grad.numpy()[padded].any() and not values.grad.numpy()[padded].any()
    assert values.grad.numpy()[MASK].all() and keys.grad.numpy()[0].all()
    for n, length in enumerate(LENGTHS):
        alone, p = attention(query[n : n + 1], keys[n : n + 1, :length], values[n : n + 1, :length])
        np.testing.assert_allclose(alone.detach().numpy(), context[n : n + 1].detach().numpy(), atol=64 * EPS)
        np.testing.assert_allclose(p.detach().numpy(), weights[n : n + 1, :, :length].detach().numpy(), atol=16 * EPS)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_modules(kind):
    attention = made(kind)
    size = K if kind in ("additive", "general") else Q
    mask = pydl.from_numpy(MASK)
    inputs = normal(N, 2, Q, grad=True), normal(N, S, size, grad=True), normal(N, S, V, grad=True)
    assert gradcheck(lambda *x: attention(*x, mask), inputs, fast_mode=True)
    if list(attention.parameters()):
        assert gradcheck_module(attention, *(x.detach() for x in inputs), mask).ok


@pytest.mark.parametrize("kind", KINDS)
def test_projected_keys_spare_the_projection(kind):
    attention = made(kind)
    query, keys = normal(N, Q), normal(N, S, K if kind in ("additive", "general") else Q)
    whole = attention(query, keys)
    parts = attention(query, keys, projected_keys=attention.project_keys(keys))
    assert all(pydl.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_a_mask_for_each_query():
    attention = made("additive")
    query, keys = normal(N, L, Q), normal(N, S, K)
    mask = np.random.default_rng(0).integers(0, 2, (N, L, S)).astype(bool)
    _, weights = attention(query, keys, mask=pydl.from_numpy(mask))
    assert not weights.detach().numpy()[~mask].any() and weights.detach().numpy()[mask].all()


def test_an_empty_source_gives_zeros():
    context, weights = made("additive")(normal(N, Q), normal(N, 0, K))
    assert context.shape == (N, K) and not context.any() and weights.shape == (N, 0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((normal(N, Q + 1), normal(N, S, K)), r"AdditiveAttention: query has 6 features instead of 5 .*\(3, 6\)"),
        ((normal(N, Q), normal(N, S, Q)), "keys has 5 features instead of 7"),
        ((normal(N, Q), normal(2, S, K)), "batches of .* differ"),
        ((normal(N, Q), normal(N, S, K), normal(N, S + 1, V)), "different positions"),
        ((normal(Q), normal(N, S, K)), r"takes query \(N, Q\) or \(N, L, Q\)"),
        ((normal(N, Q), normal(N, S, K), None, pydl.ones(N, S + 1, dtype=pydl.bool)), r"mask \(3, 1, 7\)"),
    ],
)
def test_errors(arguments, text):
    with pytest.raises(ValueError, match=text):
        made("additive")(*arguments)


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="one of dot, scaled, general, not 'cosine'"):
        nn.DotProductAttention(Q, score="cosine")
    with pytest.raises(ValueError, match="needs equal sizes, not query_size 5 and key_size 7"):
        nn.DotProductAttention(Q, K, score="dot")
    assert "query_size=5, key_size=7, hidden_size=8" in repr(made("additive"))
    assert repr(made("general")).startswith("DotProductAttention(\n  5, 7, score='general'")
