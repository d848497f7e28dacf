# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the single steps of recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import pydl.ops.recurrent_cells  # noqa: F401  (declares them)
from tests.harness import Array, Case, Draw, Error, S, Sample

# Rows, inputs, hidden units.
SIZES = ((1, 1, 1), (0, 2, 3), (3, 2, 5), (2, 4, 3), (5, 3, 17))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def projected(x: Array, w: Array, b: Array | None) -> Array:
    y = x @ w.T
    return y if b is None else y + b


def rnn(f: Callable[[Array], Array]) -> Callable[..., Array]:
    def cell(x: Array, h: Array, w: Array, u: Array, b: Any = None, d: Any = None) -> Array:
        return f(projected(x, w, b) + projected(h, u, d))

    return cell


def lstm(x: Array, hx: Any, w: Array, u: Array, b: Any = None, d: Any = None) -> tuple[Array, Array]:
    i, f, g, o = np.split(projected(x, w, b) + projected(hx[0], u, d), 4, axis=1)
    c = sigmoid(f) * hx[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x: Array, h: Array, w: Array, u: Array, b: Any = None, d: Any = None) -> Array:
    (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(projected(x, w, b), 3, axis=1), np.split(projected(h, u, d), 3, axis=1)
    z = sigmoid(x_z + h_z)
    return np.asarray((1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h)


def samples(n_gates: int, n_states: int = 1) -> Callable[[Draw], Iterator[Sample]]:
    def draw(g: Draw) -> Iterator[Sample]:
        for rows, n_in, size in SIZES:
            states = [g.normal(rows, size) for _ in range(n_states)]
            args = (g.normal(rows, n_in), states if n_states > 1 else states[0], g.normal(n_gates * size, n_in))
            u, b, d = g.normal(n_gates * size, size), g.normal(n_gates * size), g.normal(n_gates * size)
            yield S(*args, u, b, d)
            yield S(*args, u)
        yield S(*args, u, b)
        yield S(*args, u, None, d)

    return draw


def errors(n_gates: int, n_states: int = 1) -> Callable[[Draw], Iterator[Error]]:
    def draw(g: Draw) -> Iterator[Error]:
        n, h = n_gates * 2, g.normal(4, 2)
        x, w, u, b = g.normal(4, 3), g.normal(n, 3), g.normal(n, 2), g.normal(n)

        def state(first: Any) -> Any:
            return [first, h] if n_states > 1 else first

        which = r"hx\[0\]" if n_states > 1 else "hx"
        yield Error(S(g.normal(2, 2, 3), state(h), w, u), RuntimeError, r"input must be 2-D .* not \(2, 2, 3\)")
        yield Error(S(g.normal(4, 5), state(h), w, u), RuntimeError, rf"w_ih has the shape \({n}, 3\) but must be")
        yield Error(S(x, state(g.normal(3, 2)), w, u), RuntimeError, rf"{which} has the shape \(3, 2\) but must be \(4")
        yield Error(S(x, state(h), w, g.normal(n, 3)), RuntimeError, r"w_hh|hx")
        yield Error(S(x, state(h), w, u, g.normal(n + 1)), RuntimeError, rf"b_ih has the shape \({n + 1},\)")
        yield Error(S(x, state(h), w, u, b, g.normal(n + 1)), RuntimeError, rf"b_hh has the shape \({n + 1},\)")
        yield Error(S(x, state(h.astype(np.float32)), w, u), RuntimeError, rf"{which} has the type pydl.float32")
        yield Error(S(x, state(None), w, u), TypeError, rf"{which} must be a Tensor")
        if n_states > 1:
            yield Error(S(x, h, w, u), TypeError, "hx must be a pair of Tensors")

    return draw


def length(x: Array, hx: Any, *rest: Any, **kwargs: Any) -> int:
    h = hx[0] if isinstance(hx, list) else hx
    return int(x.shape[1] + h.shape[1] + 2)


CASES = {
    "rnn_tanh_cell": Case(rnn(np.tanh), samples(1), errors(1), length=length, factor=4),
    "rnn_relu_cell": Case(rnn(lambda x: np.maximum(x, 0)), samples(1), errors(1), length=length, factor=4),
    "lstm_cell": Case(lstm, samples(4, 2), errors(4, 2), length=length, factor=4),
    "gru_cell": Case(gru, samples(3), errors(3), length=length, factor=4),
}
