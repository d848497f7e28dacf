# SPDX-License-Identifier: BSD-3-Clause
"""One step of a recurrent layer as a function of its weights."""

from __future__ import annotations

from typing import Any

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import float_arg, tensor_arg
from pydl.ops._declare import composite
from pydl.ops._unrolled import rnn_step
from pydl.ops.native import linear
from pydl.ops.recurrent import gru_sequence, lstm_sequence

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]

_gru: Any = gru_sequence
_lstm: Any = lstm_sequence


def rnn_rows(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, nonlinearity: str) -> Any:
    """h' of one step. Two products and a function of their sum: less work than the start of a sequence of one step."""
    return rnn_step(linear(x, w_ih, b_ih), h, w_hh, b_hh, nonlinearity)


def lstm_rows(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """(h', c') of one step, as a sequence of one step."""
    return _lstm(x, (x.shape[0],), h, c, w_ih, w_hh, b_ih, b_hh)[1:3]


def gru_rows(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """h' of one step, as a sequence of one step."""
    return _gru(x, (x.shape[0],), h, w_ih, w_hh, b_ih, b_hh)[1]


def _check(op: str, n_gates: int, input: Any, states: dict[str, Any], weights: dict[str, Any]) -> None:
    """Raises unless input (B, I), states (B, H), w_ih (n H, I), w_hh (n H, H) and biases (n H) fit, of one type."""
    float_arg(input, op, "input")
    if input.ndim != 2:
        raise ShapeError(f"{op}: input must be 2-D (rows, features), not {tuple(input.shape)}")
    for name, tensor in (*states.items(), *weights.items()):
        if tensor is None and name in ("b_ih", "b_hh"):
            continue
        tensor_arg(tensor, op, name)
        if tensor.dtype != input.dtype:
            raise RuntimeError(f"{op}: {name} has the type {tensor.dtype} but input has {input.dtype}")
    w_hh = weights["w_hh"]
    if w_hh.ndim != 2 or w_hh.shape[0] != n_gates * w_hh.shape[1]:
        raise ShapeError(f"{op}: w_hh {tuple(w_hh.shape)} must have {n_gates} times as many rows as columns")
    n_rows, size = w_hh.shape
    expected: dict[str, tuple[int, ...]] = {name: (input.shape[0], size) for name in states}
    expected |= {"w_ih": (n_rows, input.shape[1]), "w_hh": (n_rows, size), "b_ih": (n_rows,), "b_hh": (n_rows,)}
    for name, tensor in (*states.items(), *weights.items()):
        if tensor is not None and tuple(tensor.shape) != expected[name]:
            raise ShapeError(
                f"{op}: {name} has the shape {tuple(tensor.shape)} but must be {expected[name]} for input "
                f"{tuple(input.shape)} and w_hh {tuple(w_hh.shape)}"
            )


def _rnn_cell(op: str, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    _check(op, 1, input, {"hx": hx}, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh})
    return rnn_rows(input, hx, w_ih, w_hh, b_ih, b_hh, op.split("_")[1])


@composite
def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Shapes: input (B, I), hx and h' (B, H), w_ih (H, I), w_hh (H, H), b_ih and b_hh (H) or None.
    Gradient: by composition. Errors: ShapeError if shapes do not fit, RuntimeError if types differ.
    Source: torch.rnn_tanh_cell.

    Example:
        >>> import pydl
        >>> pydl.rnn_tanh_cell(pydl.ones(1, 2), pydl.ones(1, 1), pydl.zeros(1, 2), pydl.ones(1, 1))
        tensor([[0.7616]])
    """
    return _rnn_cell("rnn_tanh_cell", input, hx, w_ih, w_hh, b_ih, b_hh)


@composite
def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """h' = max(0, W_ih x + b_ih + W_hh h + b_hh).

    Shapes, gradient, errors: as rnn_tanh_cell. Source: torch.rnn_relu_cell.

    Example:
        >>> import pydl
        >>> pydl.rnn_relu_cell(pydl.ones(1, 2), pydl.ones(1, 1), pydl.ones(1, 2), pydl.ones(1, 1))
        tensor([[3.]])
    """
    return _rnn_cell("rnn_relu_cell", input, hx, w_ih, w_hh, b_ih, b_hh)


@composite
def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """(h', c') of one step of an LSTM: c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh c'.

    i, f, o = σ(W x + b_ih + U h + b_hh), g = tanh(…), in the order i, f, g, o.
    Shapes: input (B, I), hx (h, c), each (B, H) as h' and c', w_ih (4H, I), w_hh (4H, H), b_ih and b_hh (4H) or None.
    Gradient: by composition. Errors: TypeError if hx is no pair, else as rnn_tanh_cell. Source: torch.lstm_cell.

    Example:
        >>> import pydl
        >>> w_ih, w_hh, b = pydl.zeros(4, 2), pydl.zeros(4, 1), pydl.ones(4)
        >>> pydl.lstm_cell(pydl.ones(1, 2), [pydl.zeros(1, 1)] * 2, w_ih, w_hh, b)
        (tensor([[0.3696]]), tensor([[0.5568]]))
    """
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise TypeError(f"lstm_cell: hx must be a pair of Tensors (h, c), not {type(hx).__name__}")
    states = {"hx[0]": hx[0], "hx[1]": hx[1]}
    _check("lstm_cell", 4, input, states, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh})
    return lstm_rows(input, hx[0], hx[1], w_ih, w_hh, b_ih, b_hh)


@composite
def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Any:
    """h' of one step of a GRU: h' = (1 − z) ⊙ n + z ⊙ h.

    r, z = σ(W x + b_ih + U h + b_hh), n = tanh(W_n x + b_in + r ⊙ (U_n h + b_hn)), in the order r, z, n.
    Shapes: input (B, I), hx and h' (B, H), w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H) or None.
    Gradient, errors: as rnn_tanh_cell. Source: torch.gru_cell.

    Example:
        >>> import pydl
        >>> pydl.gru_cell(pydl.ones(1, 2), pydl.ones(1, 1), pydl.zeros(3, 2), pydl.zeros(3, 1))
        tensor([[0.5000]])
    """
    _check("gru_cell", 3, input, {"hx": hx}, {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh})
    return gru_rows(input, hx, w_ih, w_hh, b_ih, b_hh)
