# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions and transposed convolutions of 1 to 3 spatial dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydl._core.errors import ShapeError
from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

_PADDINGS = ("same", "valid")
_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What convolutions of any number of dimensions have in common."""

    _n: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = self._tuple(kernel_size, "kernel_size"), self._tuple(stride, "stride")
        self.padding = padding if isinstance(padding, str) else self._tuple(padding, "padding")
        self.dilation = self._tuple(dilation, "dilation")
        self.transposed, self.output_padding = transposed, self._tuple(output_padding, "output_padding")
        self.padding_mode = padding_mode
        self._check()
        self._reversed_padding_repeated_twice = self._both_sides()
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = new_parameter(first, second // groups, *self.kernel_size, dtype=dtype, device=device)
        self.register_parameter("bias", new_parameter(out_channels, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def _tuple(self, value: Any, name: str) -> tuple[int, ...]:
        values = tuple(value) if isinstance(value, Sequence) else (value,) * self._n
        if len(values) != self._n:
            raise ShapeError(f"{type(self).__name__}: {name} must be one number or {self._n}, not {value}")
        return values

    def _check(self) -> None:
        name = type(self).__name__
        if self.groups <= 0:
            raise ValueError(f"{name}: groups must be a positive integer, not {self.groups}")
        for what, count in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            if count % self.groups:
                raise ValueError(f"{name}: {what}={count} must be divisible by groups={self.groups}")
        if isinstance(self.padding, str):
            if self.padding not in _PADDINGS:
                raise ValueError(f"{name}: invalid padding {self.padding!r}, it must be one of {_PADDINGS} or numbers")
            if self.padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"{name}: padding='same' is not supported with stride={self.stride}")
        if self.padding_mode not in _MODES:
            raise ValueError(f"{name}: padding_mode must be one of {_MODES}, not {self.padding_mode!r}")

    def _both_sides(self) -> list[int]:
        """The padding as F.pad takes it: before and after, the last dimension first."""
        sides: list[int] = []
        for i in reversed(range(self._n)):
            total = self.dilation[i] * (self.kernel_size[i] - 1) if self.padding == "same" else 0
            if isinstance(self.padding, str):
                sides += [total // 2, total - total // 2]
            else:
                sides += [self.padding[i]] * 2
        return sides

    def reset_parameters(self) -> None:
        """Draws new values: both uniform in ±1/√fan_in, where fan_in = weight.shape[1] · taps."""
        # Kaiming's uniform law with a = √5: the bound √(6/(1+5)/fan_in) is 1/√fan_in.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = (0,) * self._n
        y: Tensor = type(self)._function(input, weight, bias, self.stride, padding, self.dilation, self.groups)
        return y

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros, ones = (0,) * self._n, (1,) * self._n
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class _Conv(_ConvNd):
    """The signature of Conv1d, Conv2d and Conv3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] | str = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, False, 0, groups, bias, padding_mode,
            device, dtype,
        )  # fmt: skip


class Conv1d(_Conv):
    """y = w ⋆ x + b: cross-correlation of signals, see `nn.functional.conv1d`.

    Shapes: x (N, in_channels, W) or (in_channels, W), w (out_channels, in_channels/groups, S), b (out_channels),
    y (N, out_channels, Q) with Q = ⌊(W + 2 padding − dilation (S−1) − 1) / stride⌋ + 1.
    Gradient, `padding`, `padding_mode`, initial values, errors: as Conv2d. Source: torch.nn.Conv1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Conv1d(16, 33, 3, stride=2)(pydl.zeros(20, 16, 50)).shape
        pydl.Size([20, 33, 24])
    """

    _n = 1
    _function = F.conv1d


class Conv2d(_Conv):
    """y = w ⋆ x + b: cross-correlation of images, see `nn.functional.conv2d`.

    `padding` is a number, one for each dimension, "valid" (none) or "same" (keeps the size; stride 1 only);
    `padding_mode` says what stands there: "zeros", or "reflect", "replicate", "circular" as in `nn.functional.pad`.
    Shapes: x (N, in_channels, H, W) or (in_channels, H, W), w (out_channels, in_channels/groups, R, S),
    b (out_channels), y (N, out_channels, P, Q) with P = ⌊(H + 2 padding − dilation (R−1) − 1) / stride⌋ + 1.
    Gradient: to x, w and b, each a convolution again. w and b start uniform in ±1/√(in_channels/groups · R · S).
    Errors: ValueError if groups do not divide the channels; ShapeError if x does not fit. Source: torch.nn.Conv2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Conv2d(3, 16, 3, 1, 1)
        >>> m(pydl.zeros(1, 3, 32, 32)).shape, sum(p.numel() for p in m.parameters())
        (pydl.Size([1, 16, 32, 32]), 448)
        >>> m
        Conv2d(3, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
    """

    _n = 2
    _function = F.conv2d


class Conv3d(_Conv):
    """y = w ⋆ x + b: cross-correlation of volumes, see `nn.functional.conv3d`.

    Shapes: x (N, in_channels, D, H, W) or (in_channels, D, H, W), w (out_channels, in_channels/groups, T, R, S),
    b (out_channels), y (N, out_channels, O, P, Q).
    Gradient, `padding`, `padding_mode`, initial values, errors: as Conv2d. Source: torch.nn.Conv3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Conv3d(2, 3, (3, 5, 2), stride=(2, 1, 1), padding=(4, 2, 0))(pydl.zeros(4, 2, 10, 5, 6)).shape
        pydl.Size([4, 3, 8, 5, 5])
    """

    _n = 3
    _function = F.conv3d


class _ConvTransposeNd(_ConvNd):
    """The signature of the transposed convolutions, and how `output_size` becomes `output_padding`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f'{name}: only "zeros" padding mode is supported, not {padding_mode!r}')
        if isinstance(padding, str):
            raise TypeError(f"{name}: padding must be one number or {self._n}, not {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, True, output_padding, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding_for(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that gives this size, which may be given with or without batch and channels."""
        n, name = self._n, type(self).__name__
        wanted = tuple(output_size)
        if len(wanted) == input.ndim:
            wanted = wanted[input.ndim - n :]
        if len(wanted) != n:
            raise ShapeError(f"{name}: output_size must have {n} or {input.ndim} elements, not {len(output_size)}")
        sizes = tuple(input.shape)[input.ndim - n :]
        padding: Any = self.padding
        parts = zip(sizes, self.kernel_size, self.stride, padding, self.dilation, strict=True)
        smallest = [(w - 1) * s - 2 * p + d * (k - 1) + 1 for w, k, s, p, d in parts]
        largest = [m + s - 1 for m, s in zip(smallest, self.stride, strict=True)]
        if any(not a <= v <= b for a, v, b in zip(smallest, wanted, largest, strict=True)):
            raise ShapeError(
                f"{name}: output_size {wanted} is out of reach, valid sizes range from {tuple(smallest)} to "
                f"{tuple(largest)} for an input of {sizes}"
            )
        return tuple(v - m for v, m in zip(wanted, smallest, strict=True))

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        output_padding = self.output_padding
        if output_size is not None:
            output_padding = self._output_padding_for(input, output_size)
        y: Tensor = type(self)._function(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )
        return y


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d in its input, as a layer: see `nn.functional.conv_transpose1d`.

    Shapes: x (N, in_channels, W) or (in_channels, W), w (in_channels, out_channels/groups, S), b (out_channels),
    y (N, out_channels, Q). Sizes, `output_size`, gradient, initial values, errors: as ConvTranspose2d.
    Source: torch.nn.ConvTranspose1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ConvTranspose1d(2, 3, 3, stride=2)(pydl.zeros(1, 2, 5)).shape
        pydl.Size([1, 3, 11])
    """

    _n = 1
    _function = F.conv_transpose1d


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of Conv2d in its input, as a layer: see `nn.functional.conv_transpose2d`.

    `forward(x, output_size=None)`: with a stride several sizes are possible; output_size, the spatial sizes or the
    whole shape, chooses one.
    Shapes: x (N, in_channels, H, W) or (in_channels, H, W), w (in_channels, out_channels/groups, R, S),
    b (out_channels), y (N, out_channels, P, Q) with
    P = (H − 1) stride − 2 padding + dilation (R − 1) + output_padding + 1.
    Gradient: to x, w and b. w and b start uniform in ±1/√(out_channels/groups · R · S).
    Errors: ValueError if groups do not divide the channels; ShapeError if x or output_size does not fit.
    Source: torch.nn.ConvTranspose2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> down, up = nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1)
        >>> x = pydl.zeros(1, 4, 12, 12)
        >>> up(down(x)).shape, up(down(x), output_size=x.shape).shape
        (pydl.Size([1, 4, 11, 11]), pydl.Size([1, 4, 12, 12]))
    """

    _n = 2
    _function = F.conv_transpose2d


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of Conv3d in its input, as a layer: see `nn.functional.conv_transpose3d`.

    Shapes: x (N, in_channels, D, H, W) or (in_channels, D, H, W), w (in_channels, out_channels/groups, T, R, S),
    b (out_channels), y (N, out_channels, O, P, Q).
    Sizes, `output_size`, gradient, initial values, errors: as ConvTranspose2d. Source: torch.nn.ConvTranspose3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ConvTranspose3d(2, 3, 2, stride=2)(pydl.zeros(1, 2, 3, 4, 5)).shape
        pydl.Size([1, 3, 6, 8, 10])
    """

    _n = 3
    _function = F.conv_transpose3d
