# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise functions of 1,000,000 float32 numbers, result in new memory."""

from typing import Any

import numpy as np

from bench.row import Row, Way, normal

N = 1_000_000
NUMPY: dict[str, Way] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: np.tanh(x),
    "exp": lambda x: np.exp(x),
}


def eltwise(function: str) -> Row:
    """Return the row of one function."""

    def torch_way(torch: Any, x: np.ndarray) -> Way:
        tx, f = torch.from_numpy(x), getattr(torch, function)
        return lambda: f(tx)

    def jax_way(jax: Any, x: np.ndarray) -> Way:
        jx = jax.numpy.asarray(x)
        f = jax.jit(getattr(jax.nn if function in ("relu", "sigmoid") else jax.numpy, function))
        return lambda: f(jx).block_until_ready()

    return Row(
        f"{function} {N}",
        lambda rng: {"x": normal(rng, N)},
        NUMPY[function],
        {"torch": torch_way, "numpy": lambda np, x: lambda: NUMPY[function](x), "jax": jax_way},
        tolerance=2.5e-7,
        n_bytes=8.0 * N,
        goal={1: 1.0, 2: 1.0},
    )


def rows() -> list[Row]:
    """Return the elementwise rows."""
    return [eltwise(f) for f in NUMPY]
