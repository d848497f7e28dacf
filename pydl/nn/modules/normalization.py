# SPDX-License-Identifier: BSD-3-Clause
"""Normalisation within a sample: layer norm, RMS norm, group norm, local response norm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]

Shape = int | Iterable[int]


def _shape(normalized_shape: Shape) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def _reset(weight: Parameter | None, bias: Parameter | None) -> None:
    """Weight 1, bias 0."""
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)


class LayerNorm(Module):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance over the last dimensions, `normalized_shape`.

    Shapes: x (..., *normalized_shape), weight and bias (*normalized_shape), y as x. Weight starts at 1, bias at 0.
    Gradient: see `nn.functional.layer_norm`. Errors: ShapeError if x does not end in normalized_shape.
    Source: torch.nn.LayerNorm.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.LayerNorm(10)
        >>> m(pydl.randn(20, 5, 10)).shape
        pydl.Size([20, 5, 10])
        >>> m
        LayerNorm((10,), eps=1e-05, elementwise_affine=True, bias=True)
    """

    normalized_shape: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, present in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name, new_parameter(*shape, dtype=dtype, device=device) if present else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / √(mean x² + eps) · weight, the mean over the last dimensions, `normalized_shape`.

    Shapes: x (..., *normalized_shape), weight (*normalized_shape), y as x. Weight starts at 1; eps None is the
    spacing of x's type at 1. Gradient: see `nn.functional.rms_norm`. Errors: ShapeError if x does not end in
    normalized_shape. Source: torch.nn.RMSNorm.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.RMSNorm([2, 3])(pydl.randn(2, 2, 3)).shape
        pydl.Size([2, 2, 3])
    """

    normalized_shape: tuple[int, ...]
    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter(
            "weight", new_parameter(*shape, dtype=dtype, device=device) if elementwise_affine else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1."""
        _reset(self.weight, None)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance over a group of channels and all positions.

    Shapes: x (N, C, ...), weight and bias (C), y as x. Weight starts at 1, bias at 0.
    Gradient: see `nn.functional.group_norm`. Errors: ValueError if num_groups does not divide num_channels.
    Source: torch.nn.GroupNorm.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.GroupNorm(3, 6)
        >>> m(pydl.randn(20, 6, 10, 10)).shape
        pydl.Size([20, 6, 10, 10])
        >>> m
        GroupNorm(3, 6, eps=1e-05, affine=True, bias=True)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"GroupNorm: num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, present in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, new_parameter(num_channels, dtype=dtype, device=device) if present else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        _reset(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """y_c = x_c / (k + α/size Σ x_d²)^β, the sum over the `size` channels around c.

    Shapes: x (N, C, ...), y as x. Gradient: by composition. Errors: as `nn.functional.local_response_norm`.
    Source: torch.nn.LocalResponseNorm.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LocalResponseNorm(2)(pydl.randn(32, 5, 24, 24)).shape
        pydl.Size([32, 5, 24, 24])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
