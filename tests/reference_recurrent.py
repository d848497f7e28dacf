# SPDX-License-Identifier: BSD-3-Clause
"""What RNN, LSTM and GRU are, one sequence and one step at a time; for NumPy arrays or another library's tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Numpy:
    """The functions that the formulas take, for arrays of any precision."""

    tanh = staticmethod(np.tanh)
    stack = staticmethod(np.stack)

    @staticmethod
    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    @staticmethod
    def relu(x: Any) -> Any:
        return np.where(x > 0, x, 0 * x)


def _sequences(
    T: Any, step: Callable[..., Any], x: Any, sizes: Any, initial: tuple[Any, ...], reverse: bool
) -> list[Any]:
    """[y, last states ...] where the rows of x lie step after step, sizes[t] of them."""
    first = [sum(sizes[:t]) for t in range(len(sizes))]
    rows: dict[int, Any] = {}
    finals = []
    for b in range(sizes[0]):
        steps = [t for t in range(len(sizes)) if sizes[t] > b]
        state = tuple(s[b] for s in initial)
        for t in reversed(steps) if reverse else steps:
            state = step(x[first[t] + b], *state)
            rows[first[t] + b] = state[0]
        finals.append(state)
    if not rows:
        return [initial[0], *initial]
    y = T.stack([rows[i] for i in range(len(rows))])
    return [y, *(T.stack([f[k] for f in finals]) for k in range(len(initial)))]


def _biased(product: Any, bias: Any) -> Any:
    return product if bias is None else product + bias


def rnn(
    x: Any, sizes: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, nonlinearity: str = "tanh",
    reverse: bool = False, checkpoint: bool = False, T: Any = Numpy,
) -> list[Any]:  # fmt: skip
    """[y, h_n]."""

    def step(row: Any, h: Any) -> Any:
        pre = _biased(w_ih @ row, b_ih) + _biased(w_hh @ h, b_hh)
        return ({"tanh": T.tanh, "relu": T.relu}[nonlinearity](pre),)

    return _sequences(T, step, x, sizes, (h0,), reverse)


def lstm(
    x: Any, sizes: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, w_hr: Any = None,
    reverse: bool = False, checkpoint: bool = False, T: Any = Numpy,
) -> list[Any]:  # fmt: skip
    """[y, h_n, c_n]."""
    n = w_ih.shape[0] // 4

    def step(row: Any, h: Any, c: Any) -> Any:
        pre = _biased(w_ih @ row, b_ih) + _biased(w_hh @ h, b_hh)
        i, f, o = T.sigmoid(pre[:n]), T.sigmoid(pre[n : 2 * n]), T.sigmoid(pre[3 * n :])
        c = f * c + i * T.tanh(pre[2 * n : 3 * n])
        h = o * T.tanh(c)
        return (h if w_hr is None else w_hr @ h, c)

    return _sequences(T, step, x, sizes, (h0, c0), reverse)


def gru(
    x: Any, sizes: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None, reset_after: bool = True,
    reverse: bool = False, checkpoint: bool = False, T: Any = Numpy,
) -> list[Any]:  # fmt: skip
    """[y, h_n]."""
    n = w_ih.shape[0] // 3

    def step(row: Any, h: Any) -> Any:
        of_x, of_h = _biased(w_ih @ row, b_ih), _biased(w_hh[: 2 * n] @ h, None if b_hh is None else b_hh[: 2 * n])
        r, z = T.sigmoid(of_x[:n] + of_h[:n]), T.sigmoid(of_x[n : 2 * n] + of_h[n:])
        last = None if b_hh is None else b_hh[2 * n :]
        if reset_after:
            new = T.tanh(of_x[2 * n :] + r * _biased(w_hh[2 * n :] @ h, last))
        else:
            new = T.tanh(of_x[2 * n :] + _biased(w_hh[2 * n :] @ (r * h), last))
        return ((1 - z) * new + z * h,)

    return _sequences(T, step, x, sizes, (h0,), reverse)
