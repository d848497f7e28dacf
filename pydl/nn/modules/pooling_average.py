# SPDX-License-Identifier: BSD-3-Clause
"""Pooling by averages as modules: fixed and adaptive windows, and averages of powers."""

from __future__ import annotations

from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.nn.modules.pooling import Size, as_tuple
from pydl.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
    "LPPool1d", "LPPool2d", "LPPool3d",
]  # fmt: skip


class _AvgPool(Module):
    ceil_mode: bool
    count_include_pad: bool

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _pooled(self, function: Any, input: Tensor) -> Any:
        how = self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override
        return function(input, *how)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """y_l = the average of window l. Shapes, gradient, errors: `nn.functional.avg_pool1d`. Source: torch.nn.AvgPool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AvgPool1d(3, stride=2)(pydl.tensor([[[1., 2., 3., 4., 5., 6., 7.]]]))
        tensor([[[2., 4., 6.]]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        step = None if stride is None else as_tuple(stride, 1)
        super().__init__(as_tuple(kernel_size, 1), step, as_tuple(padding, 1), ceil_mode, count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """y = the average of each window. Shapes, gradient, errors: `nn.functional.avg_pool2d`. Source: torch.nn.AvgPool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AvgPool2d(3, stride=2)(pydl.rand(2, 16, 50, 32)).shape
        pydl.Size([2, 16, 24, 15])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.avg_pool2d, input)


class AvgPool3d(_AvgPool):
    """y = the average of each window. Shapes, gradient, errors: `nn.functional.avg_pool3d`. Source: torch.nn.AvgPool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AvgPool3d(2)(pydl.rand(2, 3, 4, 6, 8)).shape
        pydl.Size([2, 3, 2, 3, 4])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.avg_pool3d, input)


class _AdaptiveAvgPool(Module):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """y = the averages of output_size windows. Details: `nn.functional.adaptive_avg_pool1d`.

    Source: torch.nn.AdaptiveAvgPool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveAvgPool1d(5)(pydl.rand(1, 64, 8)).shape
        pydl.Size([1, 64, 5])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """y = the averages of output_size windows; 1: global pooling. Details: `nn.functional.adaptive_avg_pool2d`.

    Source: torch.nn.AdaptiveAvgPool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveAvgPool2d(1)(pydl.rand(1, 64, 8, 9)).shape
        pydl.Size([1, 64, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """y = the averages of output_size windows. Details: `nn.functional.adaptive_avg_pool3d`.

    Source: torch.nn.AdaptiveAvgPool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveAvgPool3d((5, 7, None))(pydl.rand(1, 4, 8, 9, 10)).shape
        pydl.Size([1, 4, 5, 7, 10])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _LPPool(Module):
    norm_type: float
    ceil_mode: bool

    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        sizes = f"kernel_size={self.kernel_size}, stride={self.stride}"
        return f"norm_type={self.norm_type}, {sizes}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """y_l = (Σ x^p)^(1/p) over window l, p = norm_type. Details: `nn.functional.lp_pool1d`. Source: torch.nn.LPPool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LPPool1d(2, 2)(pydl.tensor([[3., 4.]]))
        tensor([[5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """y = (Σ x^p)^(1/p) over each window, p = norm_type. Details: `nn.functional.lp_pool2d`. Source: torch.nn.LPPool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LPPool2d(2, 2)(pydl.ones(1, 2, 2))
        tensor([[[2.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """y = (Σ x^p)^(1/p) over each window, p = norm_type. Details: `nn.functional.lp_pool3d`. Source: torch.nn.LPPool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LPPool3d(1, 2)(pydl.ones(1, 2, 2, 2))
        tensor([[[[8.]]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
