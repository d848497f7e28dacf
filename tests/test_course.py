# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the course material: its NumPy MLP, the four equations, `mynet`, fused softmax and cross-entropy."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn import functional as F

PUBLISHED = {0: "1.6062", 400: "0.1889", 800: "0.0384", 1200: "0.0165", 1600: "0.0098"}
LAST = 0.006824158801543


def course_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Seed 1; in this order: 64 samples of 20 features, 5 classes, weights (in, out) of deviation 0.1."""
    rng = np.random.RandomState(1)
    return rng.randn(64, 20), rng.randint(0, 5, 64), rng.randn(20, 16) * 0.1, rng.randn(16, 5) * 0.1


def numpy_losses(steps: int) -> list[float]:
    """The MLP with its gradients by hand: relu, softmax, −log(p + 1e-12), full batch, lr 0.1."""
    x, labels, w1, w2 = course_data()
    b1, b2, y = np.zeros(16), np.zeros(5), np.eye(5)[labels]
    losses = []
    for _ in range(steps):
        z = x @ w1 + b1
        a = np.maximum(z, 0)
        s = a @ w2 + b2
        e = np.exp(s - s.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        losses.append(float(-np.log((p * y).sum(1) + 1e-12).mean()))
        ds = (p - y) / len(x)
        dz = ds @ w2.T * (z > 0)
        w2 -= 0.1 * a.T @ ds
        b2 -= 0.1 * ds.sum(0)
        w1 -= 0.1 * x.T @ dz
        b1 -= 0.1 * dz.sum(0)
    return losses


def pydl_losses(steps: int) -> list[float]:
    x, labels, w1, w2 = course_data()
    model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5)).double()
    with pydl.no_grad():
        for layer, w in ((model[0], w1), (model[2], w2)):
            layer.weight.copy_(pydl.from_numpy(w.T))
            layer.bias.zero_()
    inputs, onehot = pydl.from_numpy(x), pydl.from_numpy(np.eye(5)[labels])
    optimizer = pydl.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        p = model(inputs).softmax(1)
        loss = -((p * onehot).sum(1) + 1e-12).log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_numpy_recipe_is_the_published_one() -> None:
    losses = numpy_losses(2000)
    assert {k: f"{losses[k]:.4f}" for k in PUBLISHED} == PUBLISHED
    assert losses[-1] == pytest.approx(LAST, rel=1e-12)


def test_the_course_mlp() -> None:
    losses = pydl_losses(2000)
    assert {k: f"{losses[k]:.4f}" for k in PUBLISHED} == PUBLISHED
    assert losses[-1] == pytest.approx(LAST, rel=1e-11)
    np.testing.assert_allclose(losses, numpy_losses(2000), rtol=1e-10)


def test_four_deltas_by_hand() -> None:
    """δL = ∇aL ⊙ σ'(z), δl = (Wᵀδ) ⊙ σ'(z), ∂L/∂W = δ aᵀ, ∂L/∂b = δ, with W (out, in)."""
    rng = np.random.default_rng(0)
    sizes = (4, 5, 3, 2)
    W = [rng.normal(size=(o, i)) for i, o in pairwise(sizes)]
    b = [rng.normal(size=o) for o in sizes[1:]]
    x, target = rng.normal(size=4), rng.normal(size=2)

    def sigma(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    a, z = [x], []
    for w, c in zip(W, b, strict=True):
        z.append(w @ a[-1] + c)
        a.append(sigma(z[-1]))
    delta = (a[-1] - target) * a[-1] * (1 - a[-1])
    by_hand: list[tuple[np.ndarray, np.ndarray]] = []
    for layer in (2, 1, 0):
        by_hand.insert(0, (np.outer(delta, a[layer]), delta))
        delta = W[layer].T @ delta * (a[layer] * (1 - a[layer]))

    weights = [pydl.from_numpy(w).requires_grad_() for w in W]
    biases = [pydl.from_numpy(c).requires_grad_() for c in b]
    out = pydl.from_numpy(x)
    for w, c in zip(weights, biases, strict=True):
        out = F.linear(out, w, c).sigmoid()
    (0.5 * (out - pydl.from_numpy(target)) ** 2).sum().backward()
    for w, c, (dw, db) in zip(weights, biases, by_hand, strict=True):
        assert np.abs(w.grad.numpy() - dw).max() < 1e-12
        assert np.abs(c.grad.numpy() - db).max() < 1e-12


class MyNet(nn.Module):
    """600-60-40-10 on 1-D input."""

    def __init__(self) -> None:
        super().__init__()
        self.m0, self.m1, self.m2 = nn.Linear(600, 60), nn.Linear(60, 40), nn.Linear(40, 10)

    def forward(self, x: Any) -> Any:
        return self.m2(F.relu(self.m1(F.relu(self.m0(x.view(-1))))))


def test_mynet() -> None:
    model = MyNet()
    assert sum(p.numel() for p in model.parameters()) == 38_910
    out = model(pydl.randn(3, 10, 20))
    assert tuple(out.shape) == (10,)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())


def test_softmax_and_cross_entropy_fused() -> None:
    """The gradient of the mean loss is (ŷ − y)/N, and the fused route equals the one of two steps."""
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(16, 7)) * 3, rng.integers(0, 7, 16)
    x, t = pydl.from_numpy(logits).requires_grad_(), pydl.from_numpy(labels)
    F.cross_entropy(x, t).backward()
    e = np.exp(logits - logits.max(1, keepdims=True))
    wanted = (e / e.sum(1, keepdims=True) - np.eye(7)[labels]) / 16
    assert np.abs(x.grad.numpy() - wanted).max() < 1e-15
    two = pydl.from_numpy(logits.copy()).requires_grad_()
    F.nll_loss(two.softmax(1).log(), t).backward()
    np.testing.assert_allclose(two.grad.numpy(), x.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_cross_entropy_is_stable(size: float, dtype: Any) -> None:
    logits = np.zeros((2, 5), dtype)
    logits[:, 3] = size
    x = pydl.from_numpy(logits).requires_grad_()
    loss = F.cross_entropy(x, pydl.tensor([3, 0]), reduction="none")
    wanted = [0.0, 1e4] if size > 0 else [1e4 + np.log(4), np.log(4)]
    np.testing.assert_allclose(loss.detach().numpy(), wanted, rtol=4 * np.finfo(dtype).eps)
    loss.sum().backward()
    p = np.eye(5)[3] if size > 0 else np.array([0.25, 0.25, 0.25, 0, 0.25])
    np.testing.assert_allclose(
        x.grad.numpy(), np.stack([p - np.eye(5)[3], p - np.eye(5)[0]]), rtol=4 * np.finfo(dtype).eps
    )


def test_linear_layers_without_a_nonlinearity_collapse() -> None:
    pydl.manual_seed(0)
    one, two = nn.Linear(6, 5).double(), nn.Linear(5, 4).double()
    x = pydl.randn(3, 6, dtype=pydl.float64)
    w = two.weight @ one.weight
    c = two.weight @ one.bias + two.bias
    np.testing.assert_allclose(two(one(x)).detach().numpy(), F.linear(x, w, c).detach().numpy(), rtol=1e-13, atol=1e-14)


def test_mean_of_sample_gradients_is_the_batch_gradient() -> None:
    pydl.manual_seed(0)
    layer = nn.Linear(6, 3).double()
    x, t = pydl.randn(8, 6, dtype=pydl.float64), pydl.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    (batch,) = pydl.autograd.grad(F.cross_entropy(layer(x), t), [layer.weight])
    each = [
        pydl.autograd.grad(F.cross_entropy(layer(x[i : i + 1]), t[i : i + 1]), [layer.weight])[0].numpy()
        for i in range(8)
    ]
    np.testing.assert_allclose(np.mean(each, axis=0), batch.numpy(), rtol=1e-12, atol=1e-15)
