# SPDX-License-Identifier: BSD-3-Clause
"""Recurrent layers: RNN, LSTM and GRU, stacked and in both directions, over batches of sequences of any lengths."""

from __future__ import annotations

from typing import Any

from pydl.autograd import no_grad
from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules import _recurrent_options as options
from pydl.nn.modules._sequence_layout import Layout, layout_of
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.nn.utils._packing import cat
from pydl.ops import recurrent as operations
from pydl.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

States = list[list[Tensor]]
# Declared operations are typed as classes in their own files.
rnn_sequence: Any = operations.rnn_sequence
lstm_sequence: Any = operations.lstm_sequence
gru_sequence: Any = operations.gru_sequence
_GATES = {"LSTM": ("input", "forget", "cell", "output"), "GRU": ("reset", "update", "new")}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, the forms of input and state, layers, directions, dropout.

    mode is RNN_TANH, RNN_RELU, LSTM or GRU; the arguments are those of the layers, to which a stacked layer adds names
    weight_ih_l1, … and a second direction weight_ih_l0_reverse, …. Shapes, gradient and errors: see `LSTM`.
    Source: torch.nn.RNNBase.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.RNNBase("GRU", 2, 3, bidirectional=True)
        >>> [name for name, _ in m.named_parameters()][3:5]
        ['bias_hh_l0', 'weight_ih_l0_reverse']
    """

    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        bias_mode: str = "double",
        forget_bias: float | None = None,
        reset_after: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        n_gates = options.check(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size, bias_mode, forget_bias,
            checkpoint,
        )  # fmt: skip
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.bias_mode = bias_mode
        self.forget_bias = forget_bias
        self.reset_after = reset_after
        self.checkpoint = checkpoint
        self._all_weights: list[list[str]] = []
        self._add_parameters(n_gates * hidden_size, device, dtype)
        self.reset_parameters()

    def _add_parameters(self, n_rows: int, device: Any, dtype: Any) -> None:
        width = self.proj_size or self.hidden_size
        n_directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            n_inputs = width * n_directions if layer else self.input_size
            for suffix in (f"_l{layer}", f"_l{layer}_reverse")[:n_directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (n_rows, n_inputs), "weight_hh": (n_rows, width)}
                if self.bias:
                    shapes["bias_ih"] = (n_rows,)
                    if self.bias_mode == "double":
                        shapes["bias_hh"] = (n_rows,)
                if self.proj_size:
                    shapes["weight_hr"] = (width, self.hidden_size)
                for name, shape in shapes.items():
                    self.register_parameter(name + suffix, new_parameter(*shape, dtype=dtype, device=device))
                self._all_weights.append([name + suffix for name in shapes])

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction. Source: torch.nn.RNNBase.all_weights."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Nothing: the weights are packed by each call. Source: torch.nn.RNNBase.flatten_parameters."""

    def reset_parameters(self) -> None:
        """Draws new values: all uniform in ±1/√hidden_size; the forget gate's biases as forget_bias says."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)
        if self.forget_bias is not None:
            with no_grad():
                for name in self._flat_weights_names:
                    if name.startswith("bias"):
                        value = self.forget_bias if name.startswith("bias_ih") else 0.0
                        getattr(self, name)[self.hidden_size : 2 * self.hidden_size] = value

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, usual in options.SHOWN.items():
            value = getattr(self, name)
            if value != usual:
                parts.append(f"{name}={value}")
        return ", ".join(parts)

    # ---- the computation ---------------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None, *, lengths: Any = None, return_gates: bool = False) -> Any:
        name = self.mode.partition("_")[0]
        if return_gates and name == "RNN":
            raise ValueError("RNN: return_gates=True, but a plain recurrent layer has no gates")
        layout = layout_of(input, lengths, self.batch_first, name)
        options.check_input(input, self.input_size, getattr(self, self._all_weights[0][0]), name)
        initial = self._initial(hx, layout, input, name)
        y, last, gates = self._layers(layout.rows(), layout.sizes, initial, return_gates)
        states = tuple(layout.last_states(s) for s in last)
        output, hidden = layout.restore(y), states if len(states) == 2 else states[0]
        return (output, hidden, self._named(gates, layout)) if return_gates else (output, hidden)

    def _initial(self, hx: Any, layout: Layout, input: Any, name: str) -> States:
        """The states h (and c) before the first step, of each layer and direction."""
        widths = [self.proj_size or self.hidden_size]
        if name == "LSTM":
            widths.append(self.hidden_size)
        n = len(self._all_weights)
        if hx is None:
            x = input if isinstance(input, Tensor) else input.data
            zeros = {width: x.new_zeros((layout.n_sequences, width)) for width in set(widths)}
            return [[zeros[width]] * n for width in widths]
        given = options.states_arg(hx, len(widths), name)
        for i, (h, width) in enumerate(zip(given, widths, strict=True)):
            options.check_state(h, layout.state_shape(n, width), input, name, f"hx[{i}]" if name == "LSTM" else "hx")
        return [layout.first_states(h) for h in given]

    def _layers(
        self, x: Tensor, sizes: tuple[int, ...], initial: States, return_gates: bool
    ) -> tuple[Tensor, States, list[Any]]:
        """(rows that the last layer gives, last states by kind, gates by layer and direction)."""
        n_directions = 2 if self.bidirectional else 1
        last: States = [[] for _ in initial]
        gates = []
        for first in range(0, len(self._all_weights), n_directions):
            if first and self.dropout and self.training:
                x = F.dropout(x, self.dropout, True)
            outputs = []
            for i in range(first, first + n_directions):
                y, states, g = self._sequence(x, sizes, [s[i] for s in initial], i, i > first, return_gates)
                outputs.append(y)
                gates.append(g)
                for kind, state in zip(last, states, strict=True):
                    kind.append(state)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 1)
        return x, last, gates

    def _weights(self, i: int) -> list[Any]:
        """w_ih, w_hh, b_ih, b_hh, w_hr of one layer and direction; None for what it has not."""
        names = self._all_weights[i]
        found = [getattr(self, name) for name in names]
        projection = found.pop() if self.proj_size else None
        return [*found, *[None] * (4 - len(found)), projection]

    def _sequence(
        self, x: Tensor, sizes: tuple[int, ...], states: list[Tensor], i: int, reverse: bool, return_gates: bool
    ) -> tuple[Tensor, tuple[Tensor, ...], Any]:
        """(outputs, last states, gates or None) of one layer in one direction."""
        *weights, w_hr = self._weights(i)
        if self.mode == "LSTM":
            h0, c0 = states
            y, h, c, gates = lstm_sequence(
                x, sizes, h0, c0, *weights, w_hr, reverse, self.checkpoint, return_gates=return_gates
            )
            return y, (h, c), gates
        if self.mode == "GRU":
            y, h, gates = gru_sequence(
                x, sizes, states[0], *weights, self.reset_after, reverse, self.checkpoint, return_gates=return_gates
            )
            return y, (h,), gates
        y, h = rnn_sequence(
            x, sizes, states[0], *weights, "relu" if self.mode == "RNN_RELU" else "tanh", reverse, self.checkpoint
        )
        return y, (h,), None

    def _named(self, gates: list[Tensor], layout: Layout) -> dict[str, dict[str, Any]]:
        """The gates by layer and direction ("l0", "l0_reverse", …) and name, each in the form of the output."""
        size = self.hidden_size
        return {
            names[0].removeprefix("weight_ih_"): {
                gate: layout.restore(g[:, k * size : (k + 1) * size]) for k, gate in enumerate(_GATES[self.mode])
            }
            for names, g in zip(self._all_weights, gates, strict=True)
        }


class RNN(RNNBase):
    """h_t = f(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh) with f tanh or relu (`nonlinearity`), for all steps t.

    Shapes, further arguments, extensions, gradient, initial values, errors: as LSTM, with one state: `hx` is h_0, the
    result (output, h_n). There is no projection, and there are no gates.
    Source: Elman 1990; torch.nn.RNN. bias_mode, checkpoint, lengths are additions.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.RNN(10, 20, 2, nonlinearity="relu")
        >>> output, h_n = m(pydl.randn(5, 3, 10), pydl.zeros(2, 3, 20))
        >>> output.shape, h_n.shape
        (pydl.Size([5, 3, 20]), pydl.Size([2, 3, 20]))
        >>> sum(p.numel() for p in nn.RNN(3, 4, bias_mode="single").parameters())
        32
    """

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
        bias_mode: str = "double",
        checkpoint: bool = False,
    ) -> None:
        mode = options.rnn_mode(nonlinearity)
        options.refuse_projection("RNN", proj_size)
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            bias_mode=bias_mode, checkpoint=checkpoint,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory: for all steps t, σ the sigmoid and ⊙ the product of elements,

        i, f, o = σ(W_i x_t + U_i h_{t−1} + b_i), σ(W_f … ), σ(W_o … );  g = tanh(W_g x_t + U_g h_{t−1} + b_g)
        c_t = f ⊙ c_{t−1} + i ⊙ g,  h_t = o ⊙ tanh c_t, or with proj_size P: h_t = W_hr (o ⊙ tanh c_t).

    Layer l > 0 reads the outputs of layer l − 1, in training with `dropout`; `bidirectional` adds a layer that reads
    from the end, whose outputs stand behind those of the first.
    Shapes: input (T, B, I), with batch_first (B, T, I), one sequence (T, I), or a PackedSequence; hx (h_0, c_0), zeros
    if absent: h (layers · D, B, P or H) and c (layers · D, B, H) with D directions, without B for one sequence. Result
    (output, (h_n, c_n)), output (T, B, D · (P or H)) in the input's form; the states are those after each sequence's
    last step (backwards: its first). weight_ih_l0 (4H, I), weight_hh_l0 (4H, P or H), bias_ih_l0 and bias_hh_l0 (4H),
    weight_hr_l0 (P, H), gates in the order i, f, g, o; all start uniform in ±1/√H.

    Additions: forward(…, lengths=) takes the length of each sequence of a padded batch, in any order: steps behind it
    are neither read nor computed, output and gradients there are exactly 0, and the rest is what each sequence alone
    gives, within rounding. return_gates=True adds a dict, gates["l0"] or gates["l0_reverse"] with "input", "forget",
    "cell", "output", each (T, B, H) in the form of output, without gradient. bias_mode="single": one bias (bias_ih)
    instead of two. forget_bias: b_ih + b_hh of the forget gate at the start. checkpoint=True: the backward pass
    computes the gates again instead of keeping them.

    Gradient: to input, hx and the parameters, through time. Errors: ShapeError for an input of other dimensions or size
    or without a step, for hx of another shape, for lengths that do not fit; ValueError for an input of another type
    than the weights, RuntimeError for such an hx; TypeError; all before anything is computed.
    Source: Hochreiter and Schmidhuber 1997, Gers et al. 2000; Jozefowicz et al. 2015 for forget_bias; torch.nn.LSTM.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.LSTM(10, 20, 2)
        >>> output, (h_n, c_n) = m(pydl.randn(5, 3, 10))
        >>> output.shape, h_n.shape, c_n.shape
        (pydl.Size([5, 3, 20]), pydl.Size([2, 3, 20]), pydl.Size([2, 3, 20]))
        >>> output, _ = m(pydl.randn(5, 3, 10), lengths=[2, 5, 1])
        >>> bool((output[2:, 0] == 0).all())
        True
        >>> m
        LSTM(10, 20, num_layers=2)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        bias_mode: str = "double",
        forget_bias: float | None = None,
        checkpoint: bool = False,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype, bias_mode=bias_mode, forget_bias=forget_bias, checkpoint=checkpoint,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent unit: for all steps t, σ the sigmoid and ⊙ the product of elements,

        r, z = σ(W_r x_t + b_ir + U_r h_{t−1} + b_hr), σ(W_z …);  n = tanh(W_n x_t + b_in + r ⊙ (U_n h_{t−1} + b_hn))
        h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}.

    reset_after=False resets before the product, as the unit was first written:
    n = tanh(W_n x_t + b_in + U_n (r ⊙ h_{t−1}) + b_hn).

    Shapes, further arguments, extensions, gradient, initial values, errors: as LSTM, with one state: `hx` is h_0, the
    result (output, h_n); weights (3H, …) in the order r, z, n; gates "reset", "update", "new".
    Source: Cho et al. 2014; torch.nn.GRU. bias_mode, reset_after, checkpoint, lengths, return_gates are additions.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.GRU(10, 20, bidirectional=True, batch_first=True)
        >>> output, h_n, gates = m(pydl.randn(3, 5, 10), return_gates=True)
        >>> output.shape, h_n.shape, gates["l0_reverse"]["update"].shape
        (pydl.Size([3, 5, 40]), pydl.Size([2, 3, 20]), pydl.Size([3, 5, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
        bias_mode: str = "double",
        reset_after: bool = True,
        checkpoint: bool = False,
    ) -> None:
        options.refuse_projection("GRU", proj_size)
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            bias_mode=bias_mode, reset_after=reset_after, checkpoint=checkpoint,
        )  # fmt: skip
