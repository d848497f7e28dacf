# SPDX-License-Identifier: BSD-3-Clause
"""A linear layer, the classification loss and the optimizer, forward and backward."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


def linear(n: int, i: int, o: int) -> Row:
    """relu(x Wᵀ + b) and its gradients: x (n, i), W (o, i), b (o); loss Σ y · dy."""

    def data(rng: np.random.Generator) -> Data:
        shapes = {"x": (n, i), "w": (o, i), "b": (o,), "dy": (n, o)}
        return {name: normal(rng, shape) for name, shape in shapes.items()}

    def torch_way(torch: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray) -> Way:
        tx, tw, tb = (torch.from_numpy(v).requires_grad_() for v in (x, w, b))
        tdy = torch.from_numpy(dy)
        functional = torch.nn.functional

        def step() -> tuple[Any, ...]:
            tx.grad = tw.grad = tb.grad = None
            functional.relu(functional.linear(tx, tw, tb)).backward(tdy)
            return tx.grad, tw.grad, tb.grad

        return step

    def plain(np: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...]:
        delta = dy * (x @ w.T + b > 0)
        return delta @ w, delta.T @ x, delta.sum(0)

    def jax_way(jax: Any, **arrays: np.ndarray) -> Way:
        jnp = jax.numpy
        x, w, b, dy = (jnp.asarray(arrays[k]) for k in ("x", "w", "b", "dy"))

        @jax.jit
        def grads(x: Any, w: Any, b: Any) -> Any:
            return jax.vjp(lambda x, w, b: jax.nn.relu(x @ w.T + b), x, w, b)[1](dy)

        return lambda: jax.block_until_ready(grads(x, w, b))

    ways: dict[str, Way] = {"torch": torch_way, "numpy": lambda np, **d: lambda: plain(np, **d), "jax": jax_way}
    return Row(
        f"linear+relu fwd+bwd {n}x{i}x{o}",
        data,
        lambda **d: plain(np, **d),
        ways,
        tolerance=2e-6,
        flops=6.0 * n * i * o,
        goal={1: 1.2, 2: 1.2},
    )


def softmax_ce(n: int, k: int, goal: float) -> Row:
    """Mean cross-entropy of softmax(x) with class numbers, and its gradient (ŷ − y)/N: x (n, k)."""

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, (n, k)), "target": rng.integers(0, k, n)}

    def torch_way(torch: Any, x: np.ndarray, target: np.ndarray) -> Way:
        tx, tt = torch.from_numpy(x).requires_grad_(), torch.from_numpy(target)
        cross_entropy = torch.nn.functional.cross_entropy

        def step() -> tuple[Any, ...]:
            tx.grad = None
            loss = cross_entropy(tx, tt)
            loss.backward()
            return loss, tx.grad

        return step

    def plain(np: Any, x: np.ndarray, target: np.ndarray) -> tuple[Any, np.ndarray]:
        rows = np.arange(len(x))
        z = x - x.max(1, keepdims=True)
        e = np.exp(z)
        total = e.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - z[rows, target]).mean()
        e /= total
        e[rows, target] -= 1
        e /= len(x)
        return loss, e

    def jax_way(jax: Any, x: np.ndarray, target: np.ndarray) -> Way:
        jnp = jax.numpy
        jx, jt = jnp.asarray(x), jnp.asarray(target)

        def loss(x: Any) -> Any:
            return -jnp.take_along_axis(jax.nn.log_softmax(x), jt[:, None], 1).mean()

        both = jax.jit(jax.value_and_grad(loss))
        return lambda: jax.block_until_ready(both(jx))

    ways: dict[str, Way] = {"torch": torch_way, "numpy": lambda np, **d: lambda: plain(np, **d), "jax": jax_way}
    return Row(
        f"softmax-CE fwd+bwd {n}x{k}",
        data,
        lambda **d: plain(np, **d),
        ways,
        tolerance=2e-6,
        goal={1: goal, 2: goal},
    )


def sgd_momentum(n_tensors: int, size: int) -> Row:
    """One step of SGD with momentum over a list of tensors with given gradients: v ← 0.9 v + g, p ← p − 1e-4 v."""

    def data(rng: np.random.Generator) -> Data:
        return {name: [normal(rng, size) for _ in range(n_tensors)] for name in ("p", "g")}

    def torch_way(torch: Any, p: list[np.ndarray], g: list[np.ndarray]) -> Way:
        parameters = [torch.nn.Parameter(torch.from_numpy(v)) for v in p]
        for parameter, gradient in zip(parameters, g, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=True)

        def step() -> list[Any]:
            optimizer.step()
            return parameters

        return step

    def plain(np: Any, p: list[np.ndarray], g: list[np.ndarray]) -> Way:
        velocities = [np.zeros_like(v) for v in p]

        def step() -> list[np.ndarray]:
            for v, gradient, parameter in zip(velocities, g, p, strict=True):
                v *= 0.9
                v += gradient
                parameter -= 1e-4 * v
            return p

        return step

    def jax_way(jax: Any, p: list[np.ndarray], g: list[np.ndarray]) -> Way:
        jnp = jax.numpy
        state = [(jnp.asarray(v), jnp.zeros_like(v)) for v in p]
        gradients = [jnp.asarray(v) for v in g]

        @jax.jit
        def update(state: Any, gradients: Any) -> Any:
            moved = [(p, 0.9 * v + g) for (p, v), g in zip(state, gradients, strict=True)]
            return [(p - 1e-4 * v, v) for p, v in moved]

        def step() -> list[Any]:
            state[:] = jax.block_until_ready(update(state, gradients))
            return [p for p, _ in state]

        return step

    def reference(p: list[np.ndarray], g: list[np.ndarray]) -> list[list[np.ndarray]]:
        step = plain(np, p, g)
        return [[v.copy() for v in step()] for _ in range(3)]

    return Row(
        f"SGD momentum step {n_tensors}x{size}",
        data,
        reference,
        {"torch": torch_way, "numpy": plain, "jax": jax_way},
        tolerance=3e-7,
        calls=3,
        n_bytes=20.0 * n_tensors * size,
        goal={1: 1.2, 2: 1.2},
    )


def adam(n_tensors: int, size: int) -> Row:
    """One step of Adam over a list of tensors with given gradients, lr 1e-4, β 0.9 and 0.999, ε 1e-8."""

    def data(rng: np.random.Generator) -> Data:
        return {name: [normal(rng, size) for _ in range(n_tensors)] for name in ("p", "g")}

    def torch_way(torch: Any, p: list[np.ndarray], g: list[np.ndarray]) -> Way:
        parameters = [torch.nn.Parameter(torch.from_numpy(v)) for v in p]
        for parameter, gradient in zip(parameters, g, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=True)

        def step() -> list[Any]:
            optimizer.step()
            return parameters

        return step

    def plain(np: Any, p: list[np.ndarray], g: list[np.ndarray]) -> Way:
        moments = [(np.zeros_like(v), np.zeros_like(v)) for v in p]
        n_steps = 0

        def step() -> list[np.ndarray]:
            nonlocal n_steps
            n_steps += 1
            for (m, v), gradient, parameter in zip(moments, g, p, strict=True):
                m += 0.1 * (gradient - m)
                v += 0.001 * (gradient * gradient - v)
                root = np.sqrt(v / (1 - 0.999**n_steps)) + 1e-8
                parameter -= 1e-4 / (1 - 0.9**n_steps) * m / root
            return p

        return step

    def reference(p: list[np.ndarray], g: list[np.ndarray]) -> list[list[np.ndarray]]:
        step = plain(np, p, g)
        return [[v.copy() for v in step()] for _ in range(3)]

    return Row(
        f"Adam step {n_tensors}x{size}",
        data,
        reference,
        {"torch": torch_way, "numpy": plain},
        tolerance=3e-7,
        calls=3,
        n_bytes=28.0 * n_tensors * size,
        goal={1: 1.5, 2: 1.5},
    )


def rows() -> list[Row]:
    """Return the layers' rows."""
    return [
        linear(64, 784, 256),
        linear(256, 512, 512),
        softmax_ce(64, 10, 2.5),
        softmax_ce(256, 1000, 2.0),
        sgd_momentum(20, 50_000),
        adam(20, 50_000),
        adam(20, 16),
    ]
