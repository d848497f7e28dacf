# SPDX-License-Identifier: BSD-3-Clause
"""Dropout layers: random zeros in training, the identity in evaluation."""

from __future__ import annotations

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training y_i = x_i m_i / (1 − p), m_i = 0 with probability p, else 1; in evaluation y = x.

    Shapes: any. Gradient: dx_i = dy_i m_i / (1 − p). Errors: ValueError for p outside of [0, 1].
    Source: torch.nn.Dropout.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Dropout(0.2).eval()(pydl.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Dropout of whole channels: in training y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, L) or (C, L). Gradient: dx_nc = dy_nc m_nc / (1 − p). Errors: ValueError for p outside of [0, 1].
    Source: torch.nn.Dropout1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> y = nn.Dropout1d()(pydl.ones(2, 3, 4))
        >>> bool((y == y[:, :, :1]).all())
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Dropout of whole channels: in training y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, H, W). Gradient: dx_nc = dy_nc m_nc / (1 − p). Errors: ValueError for p outside of [0, 1].
    Source: torch.nn.Dropout2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> y = nn.Dropout2d()(pydl.ones(2, 3, 4, 4))
        >>> bool((y == y[:, :, :1, :1]).all())
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """Dropout of whole channels: in training y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, D, H, W) or (C, D, H, W). Gradient: dx_nc = dy_nc m_nc / (1 − p).
    Errors: ValueError for p outside of [0, 1]. Source: torch.nn.Dropout3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> y = nn.Dropout3d()(pydl.ones(2, 3, 4, 4, 4))
        >>> bool((y == y[:, :, :1, :1, :1]).all())
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout to α′ = −1.758, the limit of selu at −∞, scaled and moved so that mean 0 and variance 1 stay.

    Shapes: any. Gradient: dx = a dy where kept, else 0. Errors: ValueError for p outside of [0, 1].
    Source: torch.nn.AlphaDropout.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AlphaDropout(0.2).eval()(pydl.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels.

    Shapes: (N, C, ...). Gradient: dx = a dy where kept, else 0. Errors: ValueError for p outside of [0, 1].
    Source: torch.nn.FeatureAlphaDropout.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.FeatureAlphaDropout(0.2).eval()(pydl.ones(1, 2))
        tensor([[1., 1.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
