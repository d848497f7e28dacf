# SPDX-License-Identifier: BSD-3-Clause
"""What recurrent layers ask of their options, inputs and states."""

from __future__ import annotations

import math
import warnings
from typing import Any

from pydl._core.errors import ShapeError
from pydl.nn.utils.rnn import PackedSequence
from pydl.tensor import Tensor

_N_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}
# Options that a layer's text shows where they are not the usual ones, in this order.
SHOWN: dict[str, Any] = {
    "proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
    "bias_mode": "double", "forget_bias": None, "reset_after": True, "checkpoint": False,
}  # fmt: skip


def check_sizes(owner: str, input_size: Any, hidden_size: Any, num_layers: Any, proj_size: Any) -> None:
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers, "proj_size": proj_size}
    for name, value in sizes.items():
        if not isinstance(value, int):
            raise TypeError(f"{owner}: {name} should be of type int, got: {type(value).__name__}")
        if value <= 0 and name != "proj_size":
            raise ValueError(f"{owner}: {name} must be greater than zero, got {value}")
    if proj_size < 0:
        raise ValueError(
            f"{owner}: proj_size should be a positive integer, or zero to disable projections, got {proj_size}"
        )
    if proj_size >= hidden_size:
        raise ValueError(f"{owner}: proj_size has to be smaller than hidden_size, got {proj_size} and {hidden_size}")


def check_dropout(owner: str, dropout: Any, num_layers: int) -> None:
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise ValueError(
            f"{owner}: dropout should be a number in range [0, 1], the probability of an element being zeroed, got "
            f"{dropout!r}"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
            f"greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=5,
        )


def check(
    mode: str,
    input_size: Any,
    hidden_size: Any,
    num_layers: int,
    bias: Any,
    batch_first: Any,
    dropout: Any,
    proj_size: int,
    bias_mode: Any,
    forget_bias: Any,
    checkpoint: Any,
) -> int:
    """The number of gates of the mode, after checking every option."""
    owner = mode.partition("_")[0]
    check_dropout(owner, dropout, num_layers)
    for name, value in (("bias", bias), ("batch_first", batch_first), ("checkpoint", checkpoint)):
        if not isinstance(value, bool):
            raise TypeError(f"{owner}: {name} should be of type bool, got: {type(value).__name__}")
    check_sizes(owner, input_size, hidden_size, num_layers, proj_size)
    if mode not in _N_GATES:
        raise ValueError(f"RNNBase: Unrecognized RNN mode: {mode!r}; there are {', '.join(_N_GATES)}")
    if proj_size and mode != "LSTM":
        raise ValueError(f"{owner}: proj_size argument is only supported for LSTM, not RNN or GRU")
    if bias_mode not in ("double", "single"):
        raise ValueError(
            f"{owner}: bias_mode must be 'double' (bias_ih and bias_hh) or 'single' (bias_ih), got {bias_mode!r}"
        )
    if forget_bias is not None:
        if mode != "LSTM" or not bias:
            raise ValueError(f"{owner}: forget_bias belongs to an LSTM with bias, got mode {mode} and bias={bias}")
        if isinstance(forget_bias, bool) or not isinstance(forget_bias, int | float):
            raise TypeError(f"{owner}: forget_bias should be a number, got: {type(forget_bias).__name__}")
        if not math.isfinite(forget_bias):
            raise ValueError(f"{owner}: forget_bias should be finite, got {forget_bias}")
    return _N_GATES[mode]


def rnn_mode(nonlinearity: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"RNN: Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or 'relu'.")
    return f"RNN_{nonlinearity.upper()}"


def refuse_projection(owner: str, proj_size: int) -> None:
    if proj_size:
        raise ValueError(f"{owner}: proj_size argument is only supported for LSTM, not RNN or GRU")


def check_input(input: Any, input_size: int, weight: Tensor, name: str) -> None:
    """Raises unless the input has the layer's type and size."""
    x = input.data if isinstance(input, PackedSequence) else input
    if x.dtype != weight.dtype:
        raise ValueError(
            f"{name}: input has the type {x.dtype} but the weights have {weight.dtype}; convert the input by "
            f"input.to({weight.dtype}) or the layer by .to({x.dtype})"
        )
    if x.shape[-1] != input_size:
        raise ShapeError(
            f"{name}: input has {x.shape[-1]} features (input {tuple(x.shape)}) but input_size is {input_size} "
            f"(weight_ih_l0 {tuple(weight.shape)})"
        )


def states_arg(hx: Any, n_states: int, name: str) -> tuple[Tensor, ...]:
    """hx as a tuple: (h,), or (h, c) of an LSTM."""
    if n_states == 2:
        if not isinstance(hx, tuple | list) or len(hx) != 2 or not all(isinstance(h, Tensor) for h in hx):
            raise TypeError(f"{name}: hx must be a pair of Tensors (h_0, c_0), not {described(hx)}")
        return tuple(hx)
    if not isinstance(hx, Tensor):
        raise TypeError(f"{name}: hx must be a Tensor h_0, not {described(hx)}")
    return (hx,)


def described(value: Any) -> str:
    """The type of a value, with those of its elements."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}: {', '.join(type(v).__name__ for v in value)}"
    return type(value).__name__


def check_state(h: Tensor, expected: tuple[int, ...], input: Any, name: str, argument: str) -> None:
    """Raises unless a state has the type of the input and the expected shape."""
    x = input.data if isinstance(input, PackedSequence) else input
    if tuple(h.shape) != expected:
        raise ShapeError(
            f"{name}: {argument} has the shape {tuple(h.shape)} but must be {expected} for input {tuple(x.shape)}"
        )
    if h.dtype != x.dtype:
        raise RuntimeError(f"{name}: {argument} has the type {h.dtype} but input has {x.dtype}")
