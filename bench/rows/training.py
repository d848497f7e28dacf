# SPDX-License-Identifier: BSD-3-Clause
"""Whole training steps of fully connected classifiers: forward, loss, backward, update."""

from itertools import pairwise
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal

CHECKED_STEPS = 10


class PlainMLP:
    """Linear and relu layers, softmax cross-entropy and SGD with momentum, written in NumPy as the textbook does."""

    def __init__(self, x: np.ndarray, target: np.ndarray, weights: list[np.ndarray], lr: float, momentum: float):
        self.x, self.target, self.lr, self.momentum = x, target, lr, momentum
        self.parameters = [w.copy() for w in weights]
        self.velocities = [np.zeros_like(w) for w in weights]
        self.rows = np.arange(len(x))

    def step(self) -> Any:
        """Do one step and return the loss before it."""
        weights, biases = self.parameters[::2], self.parameters[1::2]
        activations = [self.x]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            activations.append(np.maximum(activations[-1] @ w.T + b, 0))
        z = activations[-1] @ weights[-1].T + biases[-1]
        e = np.exp(z - z.max(1, keepdims=True))
        probabilities = e / e.sum(1, keepdims=True)
        loss = -np.log(probabilities[self.rows, self.target]).mean()
        delta = probabilities
        delta[self.rows, self.target] -= 1
        delta /= len(self.x)
        gradients: list[np.ndarray] = []
        for layer in range(len(weights) - 1, -1, -1):
            gradients[:0] = [delta.T @ activations[layer], delta.sum(0)]
            if layer:
                delta = (delta @ weights[layer]) * (activations[layer] > 0)
        self._update(gradients)
        return loss

    def _update(self, gradients: list[np.ndarray]) -> None:
        if self.momentum == 0:
            for p, g in zip(self.parameters, gradients, strict=True):
                p -= self.lr * g
            return
        for p, v, g in zip(self.parameters, self.velocities, gradients, strict=True):
            v *= self.momentum
            v += g
            p -= self.lr * v


def _torch_way(
    torch: Any, x: np.ndarray, target: np.ndarray, weights: list[np.ndarray], lr: float, momentum: float
) -> Way:
    layers: list[Any] = []
    for w in weights[::2]:
        layers += [torch.nn.Linear(w.shape[1], w.shape[0], dtype=getattr(torch, str(w.dtype))), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, w in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(w))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    tx, tt = torch.from_numpy(x), torch.from_numpy(target)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(tx), tt)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _jax_way(
    jax: Any, x: np.ndarray, target: np.ndarray, weights: list[np.ndarray], lr: float, momentum: float
) -> Way:
    jnp = jax.numpy
    jx, jt = jnp.asarray(x), jnp.asarray(target)

    def loss_of(parameters: list[Any]) -> Any:
        h = jx
        for w, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = jax.nn.relu(h @ w.T + b)
        logits = h @ parameters[-2].T + parameters[-1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), jt[:, None], 1).mean()

    def update(parameters: list[Any], velocities: list[Any]) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters)
        velocities = [momentum * v + g for v, g in zip(velocities, gradients, strict=True)]
        return loss, [p - lr * v for p, v in zip(parameters, velocities, strict=True)], velocities

    jitted = jax.jit(update, donate_argnums=(0, 1))
    state = [[jnp.array(w) for w in weights], [jnp.zeros_like(w) for w in weights]]

    def step() -> Any:
        loss, *state[:] = jax.block_until_ready(jitted(*state))
        return loss

    return step


def mlp(
    name: str, sizes: tuple[int, ...], n: int, dtype: str, lr: float, momentum: float, goal: dict[int, float]
) -> Row:
    """The training step of a classifier with the given layer sizes on one batch of n rows."""

    def data(rng: np.random.Generator) -> Data:
        weights: list[np.ndarray] = []
        for i, o in pairwise(sizes):
            weights += [normal(rng, (o, i), dtype) / np.sqrt(i).astype(dtype), np.zeros(o, dtype)]
        x = normal(rng, (n, sizes[0]), dtype)
        return {"x": x, "target": rng.integers(0, sizes[-1], n), "weights": weights, "lr": lr, "momentum": momentum}

    def reference(**d: Any) -> list[Any]:
        model = PlainMLP(**d)
        return [model.step() for _ in range(CHECKED_STEPS)]

    products = [i * o for i, o in pairwise(sizes)]
    return Row(
        name,
        data,
        reference,
        {"torch": _torch_way, "numpy": lambda np, **d: PlainMLP(**d).step, "jax": _jax_way},
        tolerance={"float32": 3e-6, "float64": 1e-13}[dtype],
        dtype=dtype,
        calls=CHECKED_STEPS,
        flops=2.0 * n * (3 * sum(products) - products[0]),
        goal=goal,
    )


def rows() -> list[Row]:
    """Return the training steps."""
    return [
        mlp("train MLP 784-256-128-10 B64", (784, 256, 128, 10), 64, "float32", 1e-3, 0.9, {1: 1.25, 2: 2.0}),
        mlp("train course MLP 20-16-5 B64 f64", (20, 16, 5), 64, "float64", 0.1, 0.0, {1: 1.5}),
    ]
