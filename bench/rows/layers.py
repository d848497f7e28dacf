# SPDX-License-Identifier: BSD-3-Clause
"""A linear layer and the classification loss, forward and backward."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


def linear_torch(torch: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray) -> Way:
    """PyTorch's linear layer with relu, and its gradients."""
    tx, tw, tb = (torch.from_numpy(v).requires_grad_() for v in (x, w, b))
    tdy = torch.from_numpy(dy)
    functional = torch.nn.functional

    def step() -> tuple[Any, ...]:
        tx.grad = tw.grad = tb.grad = None
        functional.relu(functional.linear(tx, tw, tb)).backward(tdy)
        return tx.grad, tw.grad, tb.grad

    return step


def linear_plain(np: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...]:
    """NumPy's gradients of it."""
    delta = dy * (x @ w.T + b > 0)
    return delta @ w, delta.T @ x, delta.sum(0)


def linear_jax(jax: Any, **arrays: np.ndarray) -> Way:
    """JAX's gradients of it."""
    jnp = jax.numpy
    x, w, b, dy = (jnp.asarray(arrays[k]) for k in ("x", "w", "b", "dy"))

    @jax.jit
    def grads(x: Any, w: Any, b: Any) -> Any:
        return jax.vjp(lambda x, w, b: jax.nn.relu(x @ w.T + b), x, w, b)[1](dy)

    return lambda: jax.block_until_ready(grads(x, w, b))


def linear(n: int, i: int, o: int) -> Row:
    """relu(x Wᵀ + b) and its gradients: x (n, i), W (o, i), b (o); loss Σ y · dy."""

    def data(rng: np.random.Generator) -> Data:
        shapes = {"x": (n, i), "w": (o, i), "b": (o,), "dy": (n, o)}
        return {name: normal(rng, shape) for name, shape in shapes.items()}

    return Row(
        f"linear+relu fwd+bwd {n}x{i}x{o}",
        data,
        lambda **d: linear_plain(np, **d),
        {"torch": linear_torch, "numpy": lambda np, **d: lambda: linear_plain(np, **d), "jax": linear_jax},
        tolerance=2e-6,
        flops=6.0 * n * i * o,
        goal={1: 1.2, 2: 1.2},
    )


def cross_entropy_torch(torch: Any, x: np.ndarray, target: np.ndarray) -> Way:
    """PyTorch's loss and gradient."""
    tx, tt = torch.from_numpy(x).requires_grad_(), torch.from_numpy(target)
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> tuple[Any, ...]:
        tx.grad = None
        loss = cross_entropy(tx, tt)
        loss.backward()
        return loss, tx.grad

    return step


def cross_entropy_plain(np: Any, x: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
    """NumPy's loss and gradient."""
    rows = np.arange(len(x))
    z = x - x.max(1, keepdims=True)
    e = np.exp(z)
    total = e.sum(1, keepdims=True)
    loss = (np.log(total[:, 0]) - z[rows, target]).mean()
    e /= total
    e[rows, target] -= 1
    e /= len(x)
    return loss, e


def cross_entropy_jax(jax: Any, x: np.ndarray, target: np.ndarray) -> Way:
    """JAX's loss and gradient."""
    jnp = jax.numpy
    jx, jt = jnp.asarray(x), jnp.asarray(target)

    def loss(x: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(x), jt[:, None], 1).mean()

    both = jax.jit(jax.value_and_grad(loss))
    return lambda: jax.block_until_ready(both(jx))


def cross_entropy(n: int, k: int, goal: float) -> Row:
    """Mean cross-entropy of softmax(x) with class numbers, and its gradient (ŷ − y)/N: x (n, k)."""

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, (n, k)), "target": rng.integers(0, k, n)}

    ways: dict[str, Way] = {
        "torch": cross_entropy_torch,
        "numpy": lambda np, **d: lambda: cross_entropy_plain(np, **d),
        "jax": cross_entropy_jax,
    }
    return Row(
        f"softmax-CE fwd+bwd {n}x{k}",
        data,
        lambda **d: cross_entropy_plain(np, **d),
        ways,
        tolerance=2e-6,
        goal={1: goal, 2: goal},
    )


def rows() -> list[Row]:
    """Return the layers' rows."""
    return [linear(64, 784, 256), linear(256, 512, 512), cross_entropy(64, 10, 2.5), cross_entropy(256, 1000, 2.0)]
