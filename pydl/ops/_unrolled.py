# SPDX-License-Identifier: BSD-3-Clause
"""Recurrent layers written out step by step with ordinary operations.

They define what the compiled sequence operations compute, serve as their reference, and are what a backward pass with
`create_graph` differentiates. Rows lie step after step: x (N, I), and `sizes` says how many rows each of the T steps
has, not increasing, so that step t holds the sizes[t] longest sequences in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from pydl._core.tape import TensorBase as Tensor
from pydl.ops.joining import cat
from pydl.ops.native import linear, relu, sigmoid, tanh

__all__ = ["gru_step", "gru_unrolled", "lstm_step", "lstm_unrolled", "rnn_step", "rnn_unrolled", "run_steps"]

States = tuple[Any, ...]
# (rows of step t of what was computed for all steps at once, state) -> (new state, gates of step t or nothing)
Step = Callable[[Any, States], tuple[States, Any]]


def _columns(x: Any, n_parts: int) -> list[Any]:
    """The n equal parts of the columns of x."""
    width = x.shape[1] // n_parts
    return [x[:, i * width : (i + 1) * width] for i in range(n_parts)]


def _joined(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else cat(parts)


def _shortened(state: States, n_rows: int, finished: list[States]) -> States:
    """The rows of the sequences that go on; those of the others are put to the finished ones."""
    if state[0].shape[0] == n_rows:
        return state
    finished.append(tuple(s[n_rows:] for s in state))
    return tuple(s[:n_rows] for s in state)


def _lengthened(state: States, n_rows: int, initial: States) -> States:
    """The rows of the running sequences followed by the initial ones of those that enter."""
    n_running = state[0].shape[0]
    if n_running == n_rows:
        return state
    return tuple(_joined([s, s0[n_running:n_rows]]) for s, s0 in zip(state, initial, strict=True))


def run_steps(step: Step, rows: Any, sizes: Sequence[int], initial: States, reverse: bool) -> tuple[Any, States, Any]:
    """(outputs of all rows, last states, gates of all rows): `step` over the steps in the order asked for."""
    ends = list(accumulate(sizes))
    steps = range(len(sizes))
    state = tuple(s[: sizes[-1]] for s in initial) if reverse else initial
    outputs: list[Any] = [None] * len(sizes)
    gates: list[Any] = [None] * len(sizes)
    finished: list[States] = []
    for t in reversed(steps) if reverse else steps:
        n_rows = sizes[t]
        state = _lengthened(state, n_rows, initial) if reverse else _shortened(state, n_rows, finished)
        state, gates[t] = step(rows[ends[t] - n_rows : ends[t]], state)
        outputs[t] = state[0]
    last = tuple(_joined([s, *(part[i] for part in reversed(finished))]) for i, s in enumerate(state))
    return _joined(outputs), last, None if gates[0] is None else _joined([g.detach() for g in gates])


def rnn_step(projected: Any, h: Any, w_hh: Any, b_hh: Any, nonlinearity: str) -> Any:
    """h' = f(projected + W_hh h + b_hh) with f tanh or relu; projected = W_ih x + b_ih."""
    pre = projected + linear(h, w_hh, b_hh)
    return tanh(pre) if nonlinearity == "tanh" else relu(pre)


def lstm_step(projected: Any, h: Any, c: Any, w_hh: Any, b_hh: Any, w_hr: Any = None) -> tuple[Any, Any, list[Any]]:
    """(h', c', [i, f, g, o]): c' = f c + i g, h' = o tanh c', or W_hr times that; projected = W_ih x + b_ih."""
    i, f, g, o = _columns(projected + linear(h, w_hh, b_hh), 4)
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    return h if w_hr is None else linear(h, w_hr), c, [i, f, g, o]


def gru_step(projected: Any, h: Any, w_hh: Any, b_hh: Any, reset_after: bool = True) -> tuple[Any, list[Any]]:
    """(h', [r, z, n]): h' = (1 − z) n + z h; projected = W_ih x + b_ih.

    n = tanh(projected_n + r (W_hn h + b_hn)) if reset_after, else tanh(projected_n + W_hn (r h) + b_hn).
    """
    x_r, x_z, x_n = _columns(projected, 3)
    if reset_after:
        h_r, h_z, h_n = _columns(linear(h, w_hh, b_hh), 3)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
    else:
        two = 2 * h.shape[1]
        b_rz, b_n = (None, None) if b_hh is None else (b_hh[:two], b_hh[two:])
        h_r, h_z = _columns(linear(h, w_hh[:two], b_rz), 2)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + linear(r * h, w_hh[two:], b_n))
    return n + z * (h - n), [r, z, n]


def rnn_unrolled(
    x: Tensor,
    sizes: Sequence[int],
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Any, Any]:
    """(y, h_n) of h_t = f(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), f tanh or relu.

    Shapes: x (N, I), h0 and h_n (B, H) with B = sizes[0], w_ih (H, I), w_hh (H, H), biases (H), y (N, H).
    """

    def step(rows: Any, state: States) -> tuple[States, Any]:
        return (rnn_step(rows, state[0], w_hh, b_hh, nonlinearity),), None

    y, (h_n,), _ = run_steps(step, linear(x, w_ih, b_ih), sizes, (h0,), reverse)
    return y, h_n


def lstm_unrolled(
    x: Tensor,
    sizes: Sequence[int],
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    w_hr: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Any, Any, Any, Any]:
    """(y, h_n, c_n, gates) of the long short-term memory, see `lstm_step`; gates i, f, g, o without gradient.

    Shapes: x (N, I), h0 and h_n (B, P), c0 and c_n (B, H) with B = sizes[0], w_ih (4H, I), w_hh (4H, P), biases (4H),
    w_hr (P, H) or None, where P = H; y (N, P), gates (N, 4H).
    """

    def step(rows: Any, state: States) -> tuple[States, Any]:
        h, c, gates = lstm_step(rows, *state, w_hh, b_hh, w_hr)
        return (h, c), cat([g.detach() for g in gates], 1)

    y, (h_n, c_n), gates = run_steps(step, linear(x, w_ih, b_ih), sizes, (h0, c0), reverse)
    return y, h_n, c_n, gates


def gru_unrolled(
    x: Tensor,
    sizes: Sequence[int],
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Any, Any, Any]:
    """(y, h_n, gates) of the gated recurrent unit, see `gru_step`; gates r, z, n without gradient.

    Shapes: x (N, I), h0 and h_n (B, H) with B = sizes[0], w_ih (3H, I), w_hh (3H, H), biases (3H), y (N, H),
    gates (N, 3H).
    """

    def step(rows: Any, state: States) -> tuple[States, Any]:
        h, gates = gru_step(rows, state[0], w_hh, b_hh, reset_after)
        return (h,), cat([g.detach() for g in gates], 1)

    y, (h_n,), gates = run_steps(step, linear(x, w_ih, b_ih), sizes, (h0,), reverse)
    return y, h_n, gates
