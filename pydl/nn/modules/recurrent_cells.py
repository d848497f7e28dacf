# SPDX-License-Identifier: BSD-3-Clause
"""One step of a recurrent layer: the cells of RNN, LSTM and GRU."""

from __future__ import annotations

from typing import Any

from pydl._core.errors import ShapeError
from pydl.nn import init
from pydl.nn.modules import _recurrent_options as options
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.ops.recurrent_cells import gru_rows, lstm_rows, rnn_rows
from pydl.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the cells share: weight_ih (n H, I), weight_hh (n H, H), bias_ih and bias_hh (n H) of n = num_chunks gates.

    All start uniform in ±1/√H. Gradient, errors: see the cells. Source: torch.nn.RNNCellBase.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.RNNCellBase(2, 3, True, 4).weight_hh.shape
        pydl.Size([12, 3])
    """

    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        n_rows = num_chunks * hidden_size
        self.weight_ih = new_parameter(n_rows, input_size, dtype=dtype, device=device)
        self.weight_hh = new_parameter(n_rows, hidden_size, dtype=dtype, device=device)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new_parameter(n_rows, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values: all uniform in ±1/√hidden_size."""
        bound = self.hidden_size**-0.5 if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")

    def _rows(self, input: Any, hx: Any, n_states: int = 1) -> list[Tensor]:
        """The input and the states as batches, zeros for absent states; raises for another type or shape."""
        name = self._get_name()
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}: input must be a Tensor, not {options.described(input)}")
        if input.ndim not in (1, 2):
            raise ShapeError(f"{name}: input must be 1-D (one vector) or 2-D (a batch), not {tuple(input.shape)}")
        weight = self.weight_ih
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has {input.shape[-1]} features (input {tuple(input.shape)}) but input_size is "
                f"{self.input_size} (weight_ih {tuple(weight.shape)})"
            )
        if input.dtype != weight.dtype:
            raise RuntimeError(f"{name}: input has the type {input.dtype} but the weights have {weight.dtype}")
        expected = (*input.shape[:-1], self.hidden_size)
        if hx is None:
            states: tuple[Tensor, ...] = (input.new_zeros(expected),) * n_states
        else:
            states = options.states_arg(hx, n_states, name)
            for i, h in enumerate(states):
                options.check_state(h, expected, input, name, "hx" if n_states == 1 else f"hx[{i}]")
        return [t if t.ndim == 2 else t.unsqueeze(0) for t in (input, *states)]


class RNNCell(RNNCellBase):
    """h' = f(W_ih x + b_ih + W_hh h + b_hh) with f tanh or relu (`nonlinearity`).

    Shapes: x (B, I) or (I), h and h' (B, H) or (H), h zeros if absent; weight_ih (H, I), weight_hh (H, H), bias_ih and
    bias_hh (H), all at first uniform in ±1/√H.
    Gradient: to x, h and the parameters. Errors: ShapeError for other dimensions or sizes, RuntimeError for another
    type than the weights' or an unknown nonlinearity, before anything is computed. Source: torch.nn.RNNCell.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> cell, h = nn.RNNCell(10, 20), pydl.zeros(3, 20)
        >>> for x in pydl.randn(6, 3, 10):
        ...     h = cell(x, h)
        >>> h.shape
        pydl.Size([3, 20])
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, h = self._rows(input, hx)
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"RNNCell: Unknown nonlinearity: {self.nonlinearity}")
        y = rnn_rows(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.nonlinearity)
        made: Tensor = y if input.ndim == 2 else y.squeeze(0)
        return made


class LSTMCell(RNNCellBase):
    """(h', c') of one step of an LSTM: c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh c', the gates as in `LSTM`.

    Shapes: x (B, I) or (I); hx (h, c), each (B, H) or (H), zeros if absent; weight_ih (4H, I), weight_hh (4H, H),
    bias_ih and bias_hh (4H) in the order i, f, g, o, all at first uniform in ±1/√H.
    Gradient: to x, h, c and the parameters. Errors: as RNNCell; TypeError if hx is no pair. Source: torch.nn.LSTMCell.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> cell, state = nn.LSTMCell(10, 20), None
        >>> for x in pydl.randn(6, 3, 10):
        ...     state = cell(x, state)
        >>> state[0].shape, state[1].shape
        (pydl.Size([3, 20]), pydl.Size([3, 20]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        x, h, c = self._rows(input, hx, 2)
        h, c = lstm_rows(x, h, c, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if input.ndim == 2 else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """h' of one step of a GRU: h' = (1 − z) ⊙ n + z ⊙ h, the gates as in `GRU`.

    Shapes: x (B, I) or (I), h and h' (B, H) or (H), h zeros if absent; weight_ih (3H, I), weight_hh (3H, H), bias_ih
    and bias_hh (3H) in the order r, z, n, all at first uniform in ±1/√H.
    Gradient: to x, h and the parameters. Errors: as RNNCell. Source: torch.nn.GRUCell.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.GRUCell(10, 20)(pydl.randn(10)).shape
        pydl.Size([20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, h = self._rows(input, hx)
        y = gru_rows(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        made: Tensor = y if input.ndim == 2 else y.squeeze(0)
        return made
