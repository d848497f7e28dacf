# SPDX-License-Identifier: BSD-3-Clause
"""Recurrent layers over whole sequences: forward, training, and batches whose sequences differ in length."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal

Array = np.ndarray
# From what a step needs (pre-activations of x and of h, state) to (state, what its gradient needs), and back: from the
# gradient of the state to those of the two pre-activations, and what reaches the state before past them.
Forward = Callable[[Array, Array, tuple[Array, ...]], tuple[tuple[Array, ...], tuple[Array, ...]]]
Backward = Callable[[tuple[Array, ...], tuple[Array, ...]], tuple[Array, Array, tuple[Array, ...]]]
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _rnn(of_x: Array, of_h: Array, state: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    h = np.tanh(of_x + of_h)
    return (h,), (h,)


def _rnn_back(d: tuple[Array, ...], kept: tuple[Array, ...]) -> tuple[Array, Array, tuple[Array, ...]]:
    pre = d[0] * (1 - kept[0] ** 2)
    return pre, pre, (0 * pre,)


def _gru(of_x: Array, of_h: Array, state: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    (xr, xz, xn), (hr, hz, hn) = np.split(of_x, 3, 1), np.split(of_h, 3, 1)
    r, z = _sigmoid(xr + hr), _sigmoid(xz + hz)
    n = np.tanh(xn + r * hn)
    return (n + z * (state[0] - n),), (r, z, n, hn, state[0])


def _gru_back(d: tuple[Array, ...], kept: tuple[Array, ...]) -> tuple[Array, Array, tuple[Array, ...]]:
    r, z, n, hn, h = kept
    dn = d[0] * (1 - z) * (1 - n * n)
    dz = d[0] * (h - n) * z * (1 - z)
    dr = dn * hn * r * (1 - r)
    return np.hstack([dr, dz, dn]), np.hstack([dr, dz, dn * r]), (d[0] * z,)


def _lstm(of_x: Array, of_h: Array, state: tuple[Array, ...]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    i, f, g, o = np.split(of_x + of_h, 4, 1)
    i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
    c = f * state[1] + i * g
    t = np.tanh(c)
    return (o * t, c), (i, f, g, o, t, state[1])


def _lstm_back(d: tuple[Array, ...], kept: tuple[Array, ...]) -> tuple[Array, Array, tuple[Array, ...]]:
    i, f, g, o, t, c = kept
    dc = d[1] + d[0] * o * (1 - t * t)
    pre = np.hstack([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), d[0] * t * o * (1 - o)])
    return pre, pre, (0 * dc, dc * f)


CELLS: dict[str, tuple[Forward, Backward]] = {
    "RNN": (_rnn, _rnn_back), "GRU": (_gru, _gru_back), "LSTM": (_lstm, _lstm_back),
}  # fmt: skip


def _plain(
    kind: str, train: bool, x: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, dy: Array, lengths: Array
) -> tuple[Array, ...]:
    """y (T, B, H), zero behind a sequence's end; in training also the gradients of x, the weights and the biases."""
    forward, backward = CELLS[kind]
    state = tuple(np.zeros((x.shape[1], w_hh.shape[1])) for _ in range(2 if kind == "LSTM" else 1))
    y, kept = np.zeros(dy.shape), []
    for t in range(len(x)):
        new, saved = forward(x[t] @ w_ih.T + b_ih, state[0] @ w_hh.T + b_hh, state)
        runs = (lengths > t)[:, None]
        kept.append((state[0], saved, runs))
        state = tuple(np.where(runs, n, s) for n, s in zip(new, state, strict=True))
        y[t] = np.where(runs, new[0], 0)
    if not train:
        return (y,)
    dx, sums = np.zeros(x.shape), [np.zeros(w.shape) for w in (w_ih, w_hh, b_ih, b_hh)]
    d = tuple(np.zeros(s.shape) for s in state)
    for t in reversed(range(len(x))):
        h, saved, runs = kept[t]
        own = tuple(np.where(runs, g + (dy[t] if i == 0 else 0), 0) for i, g in enumerate(d))
        of_x, of_h, past = backward(own, saved)
        dx[t] = of_x @ w_ih
        for total, part in zip(sums, (of_x.T @ x[t], of_h.T @ h, of_x.sum(0), of_h.sum(0)), strict=True):
            total += part
        through = (past[0] + of_h @ w_hh, *past[1:])
        d = tuple(np.where(runs, p, g) for p, g in zip(through, d, strict=True))
    return y, dx, *sums


def _torch_way(kind: str, train: bool, packed: bool) -> Way:
    def way(torch: Any, x: Array, w_ih: Array, w_hh: Array, b_ih: Array, b_hh: Array, dy: Array, lengths: Array) -> Way:
        layer = getattr(torch.nn, kind)(w_ih.shape[1], w_hh.shape[1])
        with torch.no_grad():
            for p, value in zip(layer.parameters(), (w_ih, w_hh, b_ih, b_hh), strict=True):
                p.copy_(torch.from_numpy(value))
        tx, tdy, sizes = torch.from_numpy(x), torch.from_numpy(dy), torch.from_numpy(lengths)
        rnn = torch.nn.utils.rnn

        def forward() -> Any:
            if not packed:
                return layer(tx)[0]
            out = layer(rnn.pack_padded_sequence(tx, sizes))[0]
            return rnn.pad_packed_sequence(out)[0]

        def inference() -> Any:
            with torch.no_grad():
                return forward()

        def step() -> tuple[Any, ...]:
            tx.grad = None
            for p in layer.parameters():
                p.grad = None
            y = forward()
            y.backward(tdy)
            return y, tx.grad, *(p.grad for p in layer.parameters())

        tx.requires_grad_(train)
        return step if train else inference

    return way


def layer(
    kind: str, steps: int, batch: int, n_in: int, hidden: int, train: bool, goal: float, useful: float = 1.0
) -> Row:
    """One layer, PyTorch's nn module; with useful < 1 a packed batch whose lengths fall evenly to that mean share."""
    rows, packed = GATES[kind] * hidden, useful < 1

    def data(rng: np.random.Generator) -> Data:
        bound = hidden**-0.5
        shapes = {"w_ih": (rows, n_in), "w_hh": (rows, hidden), "b_ih": (rows,), "b_hh": (rows,)}
        weights = {name: rng.uniform(-bound, bound, shape).astype(np.float32) for name, shape in shapes.items()}
        shares = 1 - 2 * (1 - useful) * np.arange(batch) / max(batch - 1, 1)
        lengths = np.maximum(1, np.round(steps * shares)).astype(np.int64)
        dy = normal(rng, (steps, batch, hidden))
        return {"x": normal(rng, (steps, batch, n_in)), **weights, "dy": dy, "lengths": lengths}

    words = [kind, f"{useful:.0%} useful" if packed else "", "fwd+bwd" if train else "fwd"]
    passes = 3.0 if train else 1.0
    return Row(
        f"{' '.join(w for w in words if w)} T{steps} B{batch} I{n_in} H{hidden}",
        data,
        lambda **d: _plain(kind, train, **d),
        {"torch": _torch_way(kind, train, packed)},
        tolerance=4e-6,
        flops=passes * 2 * steps * batch * useful * rows * (n_in + hidden),
        goal={1: goal, 2: goal},
    )


SIZES = ((100, 32, 128, 256), (50, 64, 256, 512), (200, 1, 64, 128))


def rows() -> list[Row]:
    """Return the recurrent layers' rows; goals are for the best peer, in training and forward by size."""
    training = {"LSTM": (1.4, 1.25, 1.5), "GRU": (1.4, 1.25, 1.5), "RNN": (1.3, 1.25, 1.2)}
    found = []
    for kind, goals in training.items():
        for size, goal, forward in zip(SIZES, goals, (1.0, 1.0, 1.2), strict=True):
            found += [layer(kind, *size, False, forward), layer(kind, *size, True, goal)]
    return [*found, layer("LSTM", 234, 32, 128, 128, True, 8.0, useful=0.51)]
