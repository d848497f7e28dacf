# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and its relatives as modules."""

from __future__ import annotations

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["LogSoftmax", "Softmax", "Softmax2d", "Softmin"]


class Softmax(Module):
    """y_i = e^(x_i) / Σ_j e^(x_j) along `dim`.

    Shapes: any. Gradient: y (dy − Σ y dy). Before `CrossEntropyLoss` it is a mistake: that loss takes logits.
    Errors: as `nn.functional.softmax`. Source: torch.nn.Softmax.

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

    Shapes: any. Gradient: dy − e^y Σ dy. Errors: as `nn.functional.log_softmax`. Source: torch.nn.LogSoftmax.

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


class Softmin(Module):
    """y_i = e^(−x_i) / Σ_j e^(−x_j) along `dim`.

    Shapes: any. Gradient: −y (dy − Σ y dy). Errors: as `nn.functional.softmin`. Source: torch.nn.Softmin.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softmin(dim=0)(pydl.zeros(2))
        tensor([0.5000, 0.5000])
    """

    dim: int | None

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim, _stacklevel=5)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels at each place of an image.

    Shapes: (N, C, H, W) or (C, H, W). Gradient: y (dy − Σ_c y dy). Errors: ValueError for other shapes.
    Source: torch.nn.Softmax2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softmax2d()(pydl.zeros(2, 1, 1)).flatten()
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3, _stacklevel=5)
