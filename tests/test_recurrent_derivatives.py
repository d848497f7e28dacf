# SPDX-License-Identifier: BSD-3-Clause
"""Gradients of recurrent layers against differences, of higher order, and over chunks with a carried state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from tests.recurrent_runs import NAMES, SETTINGS, B, H, I, T, drawn, flat, gradients, make


@pytest.mark.parametrize("lengths", [None, [2, 4]])
@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_gradcheck_of_layers(kind: str, options: dict[str, Any], lengths: list[int] | None) -> None:
    layer = make(kind, num_layers=2, bidirectional=True, **options)

    class WithLengths(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any, *states: Any) -> Any:
            return self.layer(x, states if kind == "LSTM" else states[0], lengths=lengths)

    states = [pydl.tensor(drawn(2, 4, 2, options.get("proj_size", H))), pydl.tensor(drawn(3, 4, 2, H))]
    result = pydl.autograd.gradcheck_module(
        WithLengths(),
        pydl.tensor(drawn(1, 4, 2, I)),
        *states[: 2 if kind == "LSTM" else 1],
        max_elements=8,
        verbose=False,
    )
    assert result.ok, str(result)
    assert {row.name for row in result.rows} >= {"layer.weight_hh_l1_reverse", "input 0", "input 1"}


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_second_derivatives(kind: str, options: dict[str, Any]) -> None:
    layer = make(kind, bidirectional=True, **options)
    x = pydl.tensor(drawn(1, 3, 2, I), requires_grad=True)
    packed = [layer(x)[0].sum(), (layer(x, lengths=[1, 3])[0] ** 2).sum()]
    for loss in packed:
        (dx,) = pydl.autograd.grad(loss, x, create_graph=True)
        (dx**2).sum().backward()
        for name, p in layer.named_parameters():
            if options.get("nonlinearity") != "relu" or "weight" in name:  # relu has no curvature in its biases
                assert p.grad is not None and (p.grad != 0).any(), name

    def f(x: Any, w: Any) -> Any:
        old = layer.weight_hh_l0
        del layer._parameters["weight_hh_l0"]
        layer.__dict__["weight_hh_l0"] = w
        try:
            return layer(x, lengths=[1, 3])[0]
        finally:
            del layer.__dict__["weight_hh_l0"]
            layer.weight_hh_l0 = old

    w = layer.weight_hh_l0.detach().clone().requires_grad_()
    assert pydl.autograd.gradcheck(f, (x, w))
    assert pydl.autograd.gradgradcheck(f, (x, w))


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_carrying_the_state_over_chunks(kind: str, options: dict[str, Any]) -> None:
    """A whole sequence equals its chunks; with the state detached the gradient is that of the chunks alone."""
    layer = make(kind, num_layers=2, **options)
    x = drawn(1, 9, B, I)
    whole = layer(pydl.tensor(x))
    outputs, state = [], None
    for chunk in (x[:4], x[4:5], x[5:]):
        y, state = layer(pydl.tensor(chunk), state)
        outputs.append(y)
    parts = (pydl.cat(outputs), state)
    parameters = list(layer.parameters())
    for a, b in zip(gradients(whole, *parameters), gradients(parts, *parameters), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * max(1, np.abs(a).max()))

    total = [np.zeros(tuple(p.shape)) for p in parameters]
    state = None
    for p in parameters:
        p.grad = None
    for chunk in (x[:4], x[4:]):
        start = None if state is None else tuple(s.detach() for s in state) if kind == "LSTM" else state.detach()
        y, state = layer(pydl.tensor(chunk), start)
        (y**2).sum().backward()  # accumulates, as truncated backpropagation does
        again, _ = layer(pydl.tensor(chunk), start)
        for sums, g in zip(total, pydl.autograd.grad((again**2).sum(), parameters), strict=True):
            sums += g.numpy()
    for p, sums in zip(parameters, total, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), sums, rtol=0, atol=1e-14 * max(1, np.abs(sums).max()))


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_a_graph_that_is_kept_gives_the_same_gradients_again(
    kind: str, options: dict[str, Any], checkpoint: bool
) -> None:
    """What a pass that frees the graph may overwrite must survive one that keeps it."""
    layer = make(kind, num_layers=2, bidirectional=True, checkpoint=checkpoint, **options)
    leaves = [pydl.tensor(drawn(1, T, B, I), requires_grad=True), *layer.parameters()]
    results = flat(layer(leaves[0], lengths=[3, 7, 5]))
    loss = sum((t * pydl.tensor(drawn(4, *t.shape))).sum() for t in results)
    kept = [g.numpy().copy() for g in pydl.autograd.grad(loss, leaves, retain_graph=True)]
    higher = [g.detach().numpy().copy() for g in pydl.autograd.grad(loss, leaves, create_graph=True)]
    again = [g.numpy().copy() for g in pydl.autograd.grad(loss, leaves)]
    for a, b, c in zip(kept, higher, again, strict=True):
        assert a.tobytes() == c.tobytes()
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1, np.abs(a).max()))
    with pytest.raises(RuntimeError, match="second time"):
        pydl.autograd.grad(loss, leaves)


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_gradients_of_a_part_are_those_of_the_whole(kind: str, options: dict[str, Any]) -> None:
    """Of each result alone, and for each leaf alone while the others need none."""
    layer = make(kind, **options)
    x = pydl.tensor(drawn(1, T, B, I), requires_grad=True)
    leaves = [x, *layer.parameters()]
    n_results = 3 if kind == "LSTM" else 2
    whole = gradients(layer(x), *leaves)
    total = [np.zeros_like(g) for g in whole]
    for i in range(n_results):
        result = flat(layer(x))[i]
        alone = (result * pydl.tensor(drawn(4, *result.shape))).sum()
        for sums, g in zip(total, pydl.autograd.grad(alone, leaves), strict=True):
            sums += g.numpy()
    for a, b in zip(whole, total, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13 * max(1, np.abs(a).max()))
    for leaf, expected in zip(leaves, whole, strict=True):
        for other in leaves:
            other.requires_grad_(other is leaf)
        (found,) = gradients(layer(x), leaf)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * max(1, np.abs(expected).max()))
    for leaf in leaves:
        leaf.requires_grad_(False)
    assert not any(t.requires_grad for t in flat(layer(x)))


@pytest.mark.parametrize("kind, options", SETTINGS, ids=NAMES)
def test_a_weight_changed_before_its_backward_pass_is_noticed(kind: str, options: dict[str, Any]) -> None:
    layer = make(kind, **options)
    y = layer(pydl.tensor(drawn(1, T, B, I)))[0]
    with pydl.no_grad():
        layer.weight_hh_l0.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
