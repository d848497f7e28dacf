# SPDX-License-Identifier: BSD-3-Clause
"""Steps of the optimizers over a list of tensors with given gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal

Arrays = list[np.ndarray]
N_STEPS = 3  # of which the checked value consists


def data(n_tensors: int, size: int) -> Callable[[np.random.Generator], Data]:
    """Return what draws the parameters and their gradients."""
    return lambda rng: {name: [normal(rng, size) for _ in range(n_tensors)] for name in ("p", "g")}


def torch_way(make: Callable[[Any, list[Any]], Any]) -> Way:
    """Return PyTorch's way: make(torch, parameters) is the optimizer."""

    def way(torch: Any, p: Arrays, g: Arrays) -> Way:
        parameters = [torch.nn.Parameter(torch.from_numpy(v)) for v in p]
        for parameter, gradient in zip(parameters, g, strict=True):
            parameter.grad = torch.from_numpy(gradient)
        optimizer = make(torch, parameters)

        def step() -> list[Any]:
            optimizer.step()
            return parameters

        return step

    return way


def reference(plain: Way) -> Callable[..., list[Arrays]]:
    """Return the parameters after each of the steps, from NumPy's way."""

    def answer(p: Arrays, g: Arrays) -> list[Arrays]:
        step = plain(np, p, g)
        return [[v.copy() for v in step()] for _ in range(N_STEPS)]

    return answer


def sgd_plain(np: Any, p: Arrays, g: Arrays) -> Way:
    """NumPy's step of SGD with momentum."""
    velocities = [np.zeros_like(v) for v in p]

    def step() -> Arrays:
        for v, gradient, parameter in zip(velocities, g, p, strict=True):
            v *= 0.9
            v += gradient
            parameter -= 1e-4 * v
        return p

    return step


def sgd_jax(jax: Any, p: Arrays, g: Arrays) -> Way:
    """JAX's step of SGD with momentum."""
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


def sgd_momentum(n_tensors: int, size: int) -> Row:
    """One step of SGD with momentum: v ← 0.9 v + g, p ← p − 1e-4 v."""

    def make(torch: Any, parameters: list[Any]) -> Any:
        return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=True)

    return Row(
        f"SGD momentum step {n_tensors}x{size}",
        data(n_tensors, size),
        reference(sgd_plain),
        {"torch": torch_way(make), "numpy": sgd_plain, "jax": sgd_jax},
        tolerance=3e-7,
        calls=N_STEPS,
        n_bytes=20.0 * n_tensors * size,
        goal={1: 1.2, 2: 1.2},
    )


def adam_plain(np: Any, p: Arrays, g: Arrays) -> Way:
    """NumPy's step of Adam."""
    moments = [(np.zeros_like(v), np.zeros_like(v)) for v in p]
    n_steps = 0

    def step() -> Arrays:
        nonlocal n_steps
        n_steps += 1
        for (m, v), gradient, parameter in zip(moments, g, p, strict=True):
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient * gradient - v)
            root = np.sqrt(v / (1 - 0.999**n_steps)) + 1e-8
            parameter -= 1e-4 / (1 - 0.9**n_steps) * m / root
        return p

    return step


def adam(n_tensors: int, size: int) -> Row:
    """One step of Adam, lr 1e-4, β 0.9 and 0.999, ε 1e-8."""

    def make(torch: Any, parameters: list[Any]) -> Any:
        return torch.optim.Adam(parameters, lr=1e-4, fused=True)

    return Row(
        f"Adam step {n_tensors}x{size}",
        data(n_tensors, size),
        reference(adam_plain),
        {"torch": torch_way(make), "numpy": adam_plain},
        tolerance=3e-7,
        calls=N_STEPS,
        n_bytes=28.0 * n_tensors * size,
        goal={1: 1.5, 2: 1.5},
    )


def rows() -> list[Row]:
    """Return the optimizers' rows."""
    return [sgd_momentum(20, 50_000), adam(20, 50_000), sgd_momentum(20, 16), adam(20, 16)]
