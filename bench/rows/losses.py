# SPDX-License-Identifier: BSD-3-Clause
"""Connectionist temporal classification behind its log-softmax, forward and backward."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


def _answer(np: Any, x: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean loss, its gradient in the logits x (T, N, C)) for targets (N, S): sums over paths, forward and backward."""
    steps, n, _ = x.shape
    p = np.exp(x - x.max(2, keepdims=True))
    p /= p.sum(2, keepdims=True)
    states = np.zeros((n, 2 * targets.shape[1] + 1), np.int64)
    states[:, 1::2] = targets
    skip = np.zeros(states.shape)
    skip[:, 2:] = states[:, 2:] != states[:, :-2]
    emitted = np.take_along_axis(p, np.broadcast_to(states, (steps, *states.shape)), 2)

    def shifted(a: np.ndarray, by: int) -> np.ndarray:
        return np.pad(a, ((0, 0), (by, 0)))[:, : a.shape[1]]

    def run(emitted: np.ndarray, skip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the states after each step, and the logarithm of the product of their sums."""
        a = np.zeros(states.shape)
        a[:, 0] = 1
        rows, log = [], np.zeros(n)
        for t in range(steps):
            a = (a + shifted(a, 1) + skip * shifted(a, 2)) * emitted[t]
            total = a.sum(1, keepdims=True)
            a /= total
            log += np.log(total[:, 0])
            rows.append(a)
        return np.stack(rows), log

    forward, log = run(emitted, skip)
    backward, _ = run(emitted[::-1, :, ::-1], np.pad(skip[:, 2:], ((0, 0), (0, 2)))[:, ::-1])
    log += np.log(forward[-1, :, -2:].sum(1))
    share = forward * backward[::-1, :, ::-1] / emitted
    share /= share.sum(2, keepdims=True)
    dx = p.copy()
    for s in range(states.shape[1]):
        dx[:, np.arange(n), states[:, s]] -= share[:, :, s]
    scale = 1.0 / (n * targets.shape[1])
    return -log.sum() * scale, dx * scale


def ctc(steps: int, n: int, classes: int, length: int) -> Row:
    """Logits (steps, n, classes), targets of `length` labels each, the mean loss."""

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, (steps, n, classes)), "targets": rng.integers(1, classes, (n, length))}

    def torch_way(torch: Any, x: np.ndarray, targets: np.ndarray) -> Way:
        tx, labels = torch.from_numpy(x).requires_grad_(), torch.from_numpy(targets)
        functional, lengths = torch.nn.functional, ((steps,) * n, (length,) * n)

        def step() -> tuple[Any, ...]:
            tx.grad = None
            loss = functional.ctc_loss(functional.log_softmax(tx, 2), labels, *lengths)
            loss.backward()
            return loss, tx.grad

        return step

    return Row(
        f"CTC fwd+bwd T{steps} B{n} C{classes} S{length}",
        data,
        lambda **d: _answer(np, **d),
        {"torch": torch_way, "numpy": lambda np, **d: lambda: _answer(np, **d)},
        tolerance=5e-4,  # PyTorch is off by 2.1e-4: logarithms near −500 in float32; pydl by 2.9e-6
    )


def rows() -> list[Row]:
    """All losses of the benchmark."""
    return [ctc(150, 32, 40, 30)]
