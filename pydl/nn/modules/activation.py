# SPDX-License-Identifier: BSD-3-Clause
"""Activations as modules."""

from __future__ import annotations

from typing import Any

from pydl import ops
from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

_ops: Any = ops  # F.relu is a step further, for the sake of its argument `inplace`


class ReLU(Module):
    """y = max(x, 0), in place if asked.

    Shapes: any. Gradient: dy where x > 0, else 0. Source: torch.nn.ReLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReLU()(pydl.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return _ops.relu_(input) if self.inplace else _ops.relu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Tanh(Module):
    """y = tanh x.

    Shapes: any. Gradient: dy (1 − y²). Source: torch.nn.Tanh.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Tanh()(pydl.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """y = 1 / (1 + e^(−x)).

    Shapes: any. Gradient: dy y (1 − y). Source: torch.nn.Sigmoid.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Sigmoid()(pydl.tensor([0.0, 1.0]))
        tensor([0.5000, 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Softmax(Module):
    """y_i = e^(x_i) / Σ_j e^(x_j) along `dim`.

    Shapes: any. Gradient: y (dy − Σ y dy). Before `CrossEntropyLoss` it is a mistake: that loss takes logits.
    Source: torch.nn.Softmax.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softmax(dim=1)(pydl.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """y_i = x_i − log Σ_j e^(x_j) along `dim`.

    Shapes: any. Gradient: dy − e^y Σ dy. Source: torch.nn.LogSoftmax.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LogSoftmax(dim=1)(pydl.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
