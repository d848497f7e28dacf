# SPDX-License-Identifier: BSD-3-Clause
"""Interpolation as modules."""

from __future__ import annotations

from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """y = x resampled to `size`, or by `scale_factor`, along each spatial dimension: F.interpolate as a module.

    Shapes: (N, C, spatial…) → (N, C, size…). mode: nearest, linear, bilinear, bicubic, trilinear.
    Gradient: the transposed map of dy. Errors: ValueError, NotImplementedError, ShapeError in forward.
    Source: torch.nn.Upsample.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Upsample(scale_factor=2, mode="linear")(pydl.tensor([[[0.0, 4.0]]]))
        tensor([[[0., 1., 3., 4.]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        what = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` of images by the nearest pixel.

    Shapes: (N, C, H, W) → (N, C, size…). Gradient: dy added to the pixel shown. Errors: as `nn.functional.interpolate`.
    Source: torch.nn.UpsamplingNearest2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.UpsamplingNearest2d(scale_factor=2)(pydl.ones(1, 1, 2, 2)).shape == (1, 1, 4, 4)
        True
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` of images by bilinear interpolation with aligned corners.

    Shapes: (N, C, H, W) → (N, C, size…). Gradient: the transposed map of dy. Errors: as `nn.functional.interpolate`.
    Source: torch.nn.UpsamplingBilinear2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.UpsamplingBilinear2d(size=3)(pydl.ones(1, 1, 2, 2)).shape == (1, 1, 3, 3)
        True
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
