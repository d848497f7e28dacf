# SPDX-License-Identifier: BSD-3-Clause
"""Pooling by the largest element as modules: fixed and adaptive windows, and the way back."""

from __future__ import annotations

from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = [
    "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d",
    "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "Size", "as_tuple",
]  # fmt: skip

Size = int | tuple[int, ...]


def as_tuple(value: Any, n: int) -> tuple[Any, ...]:
    """A size for each of n dimensions, from one for all of them or one for each."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * n


class _MaxPool(Module):
    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _pooled(self, function: Any, input: Tensor) -> Any:
        return function(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
            f", dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """y_l = the largest x of window l. Shapes, gradient, errors: `nn.functional.max_pool1d`.

    Source: torch.nn.MaxPool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MaxPool1d(3, stride=2)(pydl.rand(20, 16, 50)).shape
        pydl.Size([20, 16, 24])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool1d, input)


class MaxPool2d(_MaxPool):
    """y = the largest x of each window. Shapes, gradient, errors: `nn.functional.max_pool2d`.

    Source: torch.nn.MaxPool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MaxPool2d(2)(pydl.rand(1, 6, 28, 28)).shape
        pydl.Size([1, 6, 14, 14])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool2d, input)


class MaxPool3d(_MaxPool):
    """y = the largest x of each window. Shapes, gradient, errors: `nn.functional.max_pool3d`.

    Source: torch.nn.MaxPool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MaxPool3d((3, 2, 2), stride=(2, 1, 2))(pydl.rand(2, 3, 9, 4, 6)).shape
        pydl.Size([2, 3, 4, 3, 3])
    """

    def forward(self, input: Tensor) -> Any:
        return self._pooled(F.max_pool3d, input)


class _AdaptiveMaxPool(Module):
    return_indices: bool

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """y = the largest x of output_size windows. Details: `nn.functional.adaptive_max_pool1d`.

    Source: torch.nn.AdaptiveMaxPool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveMaxPool1d(5)(pydl.rand(1, 64, 8)).shape
        pydl.Size([1, 64, 5])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """y = the largest x of output_size windows. Details: `nn.functional.adaptive_max_pool2d`.

    Source: torch.nn.AdaptiveMaxPool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveMaxPool2d((None, 7))(pydl.rand(1, 64, 10, 9)).shape
        pydl.Size([1, 64, 10, 7])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """y = the largest x of output_size windows. Details: `nn.functional.adaptive_max_pool3d`.

    Source: torch.nn.AdaptiveMaxPool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.AdaptiveMaxPool3d((7, None, None))(pydl.rand(1, 4, 10, 9, 8)).shape
        pydl.Size([1, 4, 7, 9, 8])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _MaxUnpool(Module):
    n: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size = as_tuple(kernel_size, self.n)
        self.stride = as_tuple(kernel_size if stride is None else stride, self.n)
        self.padding = as_tuple(padding, self.n)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Zeros with x at its indices. Shapes, gradient, errors: `nn.functional.max_unpool1d`.

    Source: torch.nn.MaxUnpool1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> y, places = nn.MaxPool1d(2, return_indices=True)(pydl.tensor([[1., 3., 5., 4.]]))
        >>> nn.MaxUnpool1d(2)(y, places)
        tensor([[0., 3., 5., 0.]])
    """

    n = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """Zeros with x at its indices. Shapes, gradient, errors: `nn.functional.max_unpool2d`.

    Source: torch.nn.MaxUnpool2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MaxUnpool2d(2)(pydl.tensor([[[7.]]]), pydl.tensor([[[3]]]))
        tensor([[[0., 0.],
                 [0., 7.]]])
    """

    n = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Zeros with x at its indices. Shapes, gradient, errors: `nn.functional.max_unpool3d`.

    Source: torch.nn.MaxUnpool3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MaxUnpool3d((1, 1, 2))(pydl.tensor([[[[7.]]]]), pydl.tensor([[[[1]]]]))
        tensor([[[[0., 7.]]]])
    """

    n = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)
