# SPDX-License-Identifier: BSD-3-Clause
"""Batch norm in training, in either memory format, and layer norm; forward and backward."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


def _gradients(
    np: Any, x: np.ndarray, dy: np.ndarray, w: Any, b: Any, dims: tuple[int, ...], sums: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """(y, dx, dw, db) of a normalisation over `dims`; weight and bias are shaped to meet x and stand for `sums`."""
    d = x - x.mean(dims, keepdims=True)
    rstd = 1 / np.sqrt((d * d).mean(dims, keepdims=True) + 1e-5)
    h, g = d * rstd, dy * w
    dx = rstd * (g - g.mean(dims, keepdims=True) - h * (g * h).mean(dims, keepdims=True))
    return h * w + b, dx, (dy * h).sum(sums), dy.sum(sums)


def batch_norm(n: int, c: int, size: int, last: bool) -> Row:
    """Training step of batch norm: x (n, c, size, size), in C order or channels-last."""
    shape = (n, c, size, size)

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, shape), "dy": normal(rng, shape), "w": normal(rng, c), "b": normal(rng, c)}

    def torch_way(torch: Any, x: np.ndarray, dy: np.ndarray, w: np.ndarray, b: np.ndarray) -> Way:
        tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)
        if last:
            tx, tdy = (t.contiguous(memory_format=torch.channels_last) for t in (tx, tdy))
        tx, tw, tb = tx.requires_grad_(), torch.from_numpy(w).requires_grad_(), torch.from_numpy(b).requires_grad_()
        mean, var = torch.zeros(c), torch.ones(c)
        function = torch.nn.functional.batch_norm

        def step() -> tuple[Any, ...]:
            tx.grad = tw.grad = tb.grad = None
            y = function(tx, mean, var, tw, tb, training=True)
            y.backward(tdy)
            return y, tx.grad, tw.grad, tb.grad

        return step

    def plain(np: Any, x: np.ndarray, dy: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
        lead = (c, 1, 1)
        return _gradients(np, x, dy, w.reshape(lead), b.reshape(lead), (0, 2, 3), (0, 2, 3))

    return Row(
        f"batchnorm fwd+bwd {n}x{c}x{size}x{size}{' channels_last' if last else ''}",
        data,
        lambda **d: plain(np, **d),
        {"torch": torch_way, "numpy": lambda np, **d: lambda: plain(np, **d)},
        tolerance=1e-5,  # eps √n is 4e-5; PyTorch's sums of 100352 in channels-last memory are off by 6e-6
        n_bytes=4.0 * 8 * n * c * size * size,
        goal={1: 1.3, 2: 1.5},
    )


def layer_norm(rows: int, n: int) -> Row:
    """Layer norm of rows × n with weight and bias, and its gradients."""

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, (rows, n)), "dy": normal(rng, (rows, n)), "w": normal(rng, n), "b": normal(rng, n)}

    def torch_way(torch: Any, x: np.ndarray, dy: np.ndarray, w: np.ndarray, b: np.ndarray) -> Way:
        tx, tw, tb = (torch.from_numpy(v).requires_grad_() for v in (x, w, b))
        tdy = torch.from_numpy(dy)
        function = torch.nn.functional.layer_norm

        def step() -> tuple[Any, ...]:
            tx.grad = tw.grad = tb.grad = None
            y = function(tx, (n,), tw, tb)
            y.backward(tdy)
            return y, tx.grad, tw.grad, tb.grad

        return step

    def plain(np: Any, x: np.ndarray, dy: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
        return _gradients(np, x, dy, w, b, (1,), (0,))

    return Row(
        f"layernorm fwd+bwd {rows}x{n}",
        data,
        lambda **d: plain(np, **d),
        {"torch": torch_way, "numpy": lambda np, **d: lambda: plain(np, **d)},
        tolerance=4e-6,
        n_bytes=4.0 * 5 * rows * n,
        goal={1: 1.3, 2: 1.5},
    )


def rows() -> list[Row]:
    """Return the normalisations' rows."""
    return [batch_norm(32, 64, 56, False), batch_norm(32, 64, 56, True), layer_norm(3200, 512)]
