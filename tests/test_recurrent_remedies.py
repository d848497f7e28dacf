# SPDX-License-Identifier: BSD-3-Clause
"""Vanishing and exploding gradients, and every remedy: initial values, activations, skips, forget bias, clipping,
schedulers.

Each claim has a figure: how much of a gradient arrives (gradient_flow), or what a small task makes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl.inspect import gradient_flow

f64 = pydl.float64
init = nn.init
SEEDS = (0, 1, 2)


def through_depth(activation: Any, start: Callable[[Any], Any], seed: int) -> float:
    """‖∂L/∂output‖ of the first of 30 layers of 64 units, over that of the last."""
    pydl.manual_seed(seed)
    layers: list[Any] = []
    for _ in range(30):
        line = nn.Linear(64, 64, dtype=f64)
        start(line.weight)
        init.zeros_(line.bias)
        layers += [line, activation()]
    flow = gradient_flow(nn.Sequential(*layers), pydl.randn(32, 64, dtype=f64), lambda y: y.square().mean())
    norms = [layer.output for layer in flow.layers if layer.kind == "Linear"]
    assert norms[0] is not None and norms[-1] is not None
    return norms[0] / norms[-1]


@pytest.mark.parametrize("seed", SEEDS)
def test_initial_values_and_activations_in_depth(seed: int) -> None:
    """What arrives after 30 layers. tanh: 4e-32 of N(0, 0.01²), 1e9 of N(0, 1), 0.3 of Xavier's; relu: 2e-4 of
    Xavier's, 2 to 5 of Kaiming's; sigmoid 3e-19 even of Xavier's.
    """

    def normal(std: float) -> Callable[[Any], Any]:
        return lambda w: init.normal_(w, 0, std)

    assert through_depth(nn.Tanh, normal(0.01), seed) < 1e-25
    assert through_depth(nn.Tanh, normal(1.0), seed) > 1e6
    assert 0.1 < through_depth(nn.Tanh, init.xavier_uniform_, seed) < 2
    assert 0.1 < through_depth(nn.Tanh, init.xavier_normal_, seed) < 2
    assert through_depth(nn.ReLU, init.xavier_uniform_, seed) < 1e-2
    assert 0.5 < through_depth(nn.ReLU, lambda w: init.kaiming_uniform_(w, nonlinearity="relu"), seed) < 20
    assert 0.5 < through_depth(nn.ReLU, lambda w: init.kaiming_normal_(w, nonlinearity="relu"), seed) < 20
    assert 0.01 < through_depth(nn.Tanh, init.orthogonal_, seed) < 1
    assert through_depth(nn.Sigmoid, init.xavier_uniform_, seed) < 1e-15


def zero_biases(layer: Any) -> Any:
    for name, p in layer.named_parameters():
        if name.startswith("bias"):
            init.zeros_(p)
    return layer


def identity(i: int, h: int, **kind: Any) -> Any:
    """A relu layer that starts by adding its inputs up (Le, Jaitly, Hinton 2015)."""
    layer = zero_biases(nn.RNN(i, h, nonlinearity="relu", **kind))
    init.eye_(layer.weight_hh_l0)
    init.normal_(layer.weight_ih_l0, 0, 0.1)
    return layer


def orthogonal(i: int, h: int, **kind: Any) -> Any:
    layer = zero_biases(nn.RNN(i, h, **kind))
    init.orthogonal_(layer.weight_hh_l0)
    return layer


@pytest.mark.parametrize("seed", SEEDS)
def test_initial_values_over_time(seed: int) -> None:
    """What arrives after 100 steps: 1e-20 of the usual values, 0.2 of orthogonal, 0.3 to 1 of identity with relu."""
    ratios = []
    for make in (nn.RNN, orthogonal, identity):
        pydl.manual_seed(seed)
        x = pydl.randn(100, 16, 8, dtype=f64) * 0.1
        flow = gradient_flow(make(8, 64, dtype=f64), x, lambda result: result[0][-1].square().sum())
        ratios.append(flow.steps[0].ratio)
    assert ratios[0] < 1e-15 and ratios[1] > 0.05 and ratios[2] > 0.05, ratios


def recall(make: Callable[[], Any], seed: int, steps: int, updates: int, lr: float, clip: bool) -> float:
    """A class is shown at the first step, then comes noise; the share of 500 new sequences whose class the last state
    tells.
    """
    pydl.manual_seed(seed)
    rng = np.random.default_rng(seed)
    layer, out = make(), nn.Linear(32, 4)
    parameters = [*layer.parameters(), *out.parameters()]
    optimizer = pydl.optim.Adam(parameters, lr=lr)

    def draw(n: int) -> tuple[Any, Any]:
        shown, x = rng.integers(0, 4, n), 0.2 * rng.standard_normal((steps, n, 6)).astype(np.float32)
        x[0, np.arange(n), shown] += 2
        return pydl.from_numpy(x), pydl.from_numpy(shown)

    for _ in range(updates):
        x, shown = draw(32)
        loss = F.cross_entropy(out(layer(x)[0][-1]), shown)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    x, shown = draw(500)
    with pydl.no_grad():
        return (out(layer(x)[0][-1]).argmax(1) == shown).float().mean().item()


def median_recall(make: Callable[[], Any], steps: int, updates: int, lr: float, clip: bool) -> float:
    """Of three seeds: training jumps, and where it is after so many updates depends on the last bits."""
    return sorted(recall(make, seed, steps, updates, lr, clip) for seed in SEEDS)[1]


@pytest.mark.slow
def test_a_forget_bias_lets_an_lstm_remember() -> None:
    """Over 30 steps after 150 updates: 100 % with bias 3, chance (25 %) without."""
    plain = median_recall(lambda: nn.LSTM(6, 32), 30, 150, 0.02, False)
    biased = median_recall(lambda: nn.LSTM(6, 32, forget_bias=3.0), 30, 150, 0.02, False)
    assert plain < 0.45 and biased > 0.95, (plain, biased)


@pytest.mark.slow
def test_orthogonal_and_identity_weights_let_a_plain_layer_remember() -> None:
    """Over 100 steps after 300 updates: 98 to 100 %; the usual initial values stay at chance (24 to 29 %)."""
    makers = (partial(make, 6, 32) for make in (nn.RNN, orthogonal, identity))
    found = [median_recall(make, 100, 300, 0.003, True) for make in makers]
    assert found[0] < 0.45 and min(found[1:]) > 0.9, found


def unstable(seed: int, clip: Callable[[Any], Any]) -> list[float]:
    """Losses of a relu layer with 1.8 × orthogonal weights that learns the mean of 40 numbers by plain gradient
    descent.
    """
    pydl.manual_seed(seed)
    layer, out = nn.RNN(4, 32, nonlinearity="relu", dtype=f64), nn.Linear(32, 1, dtype=f64)
    init.orthogonal_(layer.weight_hh_l0, gain=1.8)
    parameters = [*layer.parameters(), *out.parameters()]
    optimizer = pydl.optim.SGD(parameters, lr=0.05)
    x = pydl.randn(40, 32, 4, dtype=f64) * 0.5
    target, losses = x[:, :, :1].mean(0), []
    for _ in range(60):
        loss = F.mse_loss(out(layer(x)[0][-1]), target)
        optimizer.zero_grad()
        loss.backward()
        clip(parameters)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("seed", SEEDS)
def test_clipping_stops_an_explosion(seed: int) -> None:
    """Losses of 1.5e7, 9.6e7 and 38 become nan without, 0.003 to 0.2 with clipping by norm (1) or by value (0.05)."""
    assert not math.isfinite(unstable(seed, lambda p: None)[-1])
    for clip in (lambda p: nn.utils.clip_grad_norm_(p, 1.0), lambda p: nn.utils.clip_grad_value_(p, 0.05)):
        losses = unstable(seed, clip)
        assert losses[0] > 30 and losses[-1] < 1, (losses[0], losses[-1])


# --- on handwritten digits --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[Any, ...]:
    datasets = pytest.importorskip("sklearn.datasets", reason="reads scikit-learn's digits")
    raw, order = datasets.load_digits(), np.random.RandomState(0).permutation(1797)
    x, y = (
        pydl.from_numpy((raw.data[order] / 16).astype(np.float32)),
        pydl.from_numpy(raw.target[order].astype(np.int64)),
    )
    return x[:1400], y[:1400], x[1400:], y[1400:]


def train(model: Any, data: tuple[Any, ...], epochs: int, optimizer: Any, batch: int = 70, after: Any = None) -> float:
    """Cross-entropy over epochs; the share of test digits that are right."""
    x, y, test_x, test_y = data
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(y)), len(y) // batch):
            chosen = pydl.from_numpy(rows)
            optimizer.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        if after is not None:
            after.step()
    with pydl.no_grad():
        return (model(test_x).argmax(1) == test_y).float().mean().item()


class Block(nn.Linear):
    """relu(W x + b), or x plus that."""

    skip = False

    def forward(self, x: Any) -> Any:
        y = super().forward(x).relu()
        return x + y if self.skip else y


@pytest.mark.parametrize("seed", SEEDS)
def test_skips_make_forty_layers_trainable(seed: int, digits: tuple[Any, ...]) -> None:
    """After 6 epochs 8 % of the test digits without (one class), 89 to 95 % with skips."""
    scores = []
    for skip in (False, True):
        pydl.manual_seed(seed)
        blocks = [Block(32, 32) for _ in range(40)]
        for block in blocks:
            block.skip = skip
            if skip:
                init.normal_(block.weight, 0, math.sqrt(2 / 32 / 40))  # so that 40 sums keep the size of one
        model = nn.Sequential(nn.Linear(64, 32), *blocks, nn.Linear(32, 10))
        scores.append(train(model, digits, 6, pydl.optim.Adam(model.parameters(), lr=0.003)))
    assert scores[0] < 0.2 and scores[1] > 0.8, scores


@pytest.mark.parametrize("seed", SEEDS)
def test_leaky_relu_learns_where_relu_is_dead(seed: int, digits: tuple[Any, ...]) -> None:
    """Biases of −20 at the start: no unit of relu ever speaks, its weights' gradient is exactly 0 (8 % right); leaky:
    90 %.
    """
    scores = []
    for activation in (nn.ReLU(), nn.LeakyReLU(0.1)):
        pydl.manual_seed(seed)
        line = nn.Linear(64, 32)
        init.constant_(line.bias, -20.0)
        model = nn.Sequential(line, activation, nn.Linear(32, 10))
        scores.append(train(model, digits, 10, pydl.optim.Adam(model.parameters(), lr=0.01)))
        assert line.weight.grad is not None and (line.weight.grad == 0).all() == isinstance(activation, nn.ReLU)
    assert scores[0] < 0.2 and scores[1] > 0.85, scores


@pytest.mark.parametrize("seed", SEEDS)
def test_a_falling_learning_rate_ends_lower(seed: int, digits: tuple[Any, ...]) -> None:
    """Losses at the end: 5.6, 6.9, 6.7 with a rate of 2 throughout; falling by a quarter each epoch 0.43, 1.8, 0.30."""
    x, y = digits[:2]
    losses = []
    for decay in (1.0, 0.75):
        pydl.manual_seed(seed)
        model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
        optimizer = pydl.optim.SGD(model.parameters(), lr=2.0)
        train(model, digits, 12, optimizer, 20, pydl.optim.lr_scheduler.ExponentialLR(optimizer, decay))
        losses.append(F.cross_entropy(model(x), y).item())
    assert losses[1] < 0.5 * losses[0], losses
