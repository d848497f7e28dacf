# SPDX-License-Identifier: BSD-3-Clause
"""Shuffles between channels and pixels as modules."""

from __future__ import annotations

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["ChannelShuffle", "PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """y[…, c, h·r + i, w·r + j] = x[…, (c·r + i)·r + j, h, w]: channels become pixels, r = upscale_factor.

    Shapes: (…, C·r², H, W) → (…, C, H·r, W·r). Gradient: dy unshuffled.
    Errors: ShapeError unless r² divides the channels. Source: torch.nn.PixelShuffle.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.PixelShuffle(3)(pydl.ones(1, 9, 4, 4)).shape == (1, 1, 12, 12)
        True
    """

    upscale_factor: int

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """y[…, (c·r + i)·r + j, h, w] = x[…, c, h·r + i, w·r + j]: pixels become channels, r = downscale_factor.

    Shapes: (…, C, H·r, W·r) → (…, C·r², H, W). Gradient: dy shuffled.
    Errors: ShapeError unless r divides height and width. Source: torch.nn.PixelUnshuffle.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.PixelUnshuffle(3)(pydl.ones(1, 1, 12, 12)).shape == (1, 9, 4, 4)
        True
    """

    downscale_factor: int

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """y[:, k·g + i] = x[:, i·(C/g) + k], g = groups: channel k of every group in turn.

    Shapes: (N, C, …) → the same. Gradient: dy shuffled back. Errors: ShapeError unless g divides C.
    Source: torch.nn.ChannelShuffle.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ChannelShuffle(2)(pydl.arange(4.0).reshape(1, 4, 1)).flatten()
        tensor([0., 2., 1., 3.])
    """

    groups: int

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
