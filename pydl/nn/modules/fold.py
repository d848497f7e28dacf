# SPDX-License-Identifier: BSD-3-Clause
"""Windows of images as columns and back, as modules."""

from __future__ import annotations

from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["Fold", "Unfold"]


class Unfold(Module):
    """The windows of an image as columns: element (i, j) of window l in channel c is y[n, (c·R + i)·S + j, l].

    Shapes: (N, C, H, W) → (N, C·R·S, L). Gradient: dy folded. Errors: ShapeError where no window fits.
    A convolution is one matrix product with these columns. Source: torch.nn.Unfold.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Unfold((2, 3))(pydl.ones(2, 5, 3, 4)).shape == (2, 30, 4)
        True
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Adds columns that are windows (see Unfold) into an image of `output_size`; windows may overlap.

    Shapes: (N, C·R·S, L) → (N, C, H, W). Gradient: dy unfolded. Errors: ShapeError where the sizes do not fit.
    Source: torch.nn.Fold.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Fold(output_size=(4, 5), kernel_size=(2, 2))(pydl.ones(1, 12, 12)).shape == (1, 3, 4, 5)
        True
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
