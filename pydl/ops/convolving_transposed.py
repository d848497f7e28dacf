# SPDX-License-Identifier: BSD-3-Clause
"""Transposed convolution of 1 to 3 spatial dimensions."""

from __future__ import annotations

from typing import Any

from pydl._core.tape import TensorBase as Tensor
from pydl.ops._conv_checks import Sizes, check_tensors
from pydl.ops._declare import composite
from pydl.ops.convolving import convolution
from pydl.ops.native import squeeze, unsqueeze

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _conv_transpose(
    n: int,
    x: Tensor,
    w: Tensor,
    b: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """What the three do."""
    batched = check_tensors(f"conv_transpose{n}d", n, unbatched=True, input=x, weight=w, bias=b)
    if batched:
        return convolution(x, w, b, stride, padding, dilation, True, output_padding, groups)
    return squeeze(convolution(unsqueeze(x, 0), w, b, stride, padding, dilation, True, output_padding, groups), 0)


@composite
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """y[n, k, p·stride + r·dilation − padding] += Σ_c x[n,c,p] w[c,k,r], plus b[k]: the gradient of conv1d in x.

    Shapes: x (N, C, W) or (C, W), w (C, K/groups, S), b (K), y (N, K, Q).
    Sizes, gradient, errors: as conv_transpose2d. Source: torch.nn.functional.conv_transpose1d.

    Example:
        >>> import pydl
        >>> pydl.conv_transpose1d(pydl.tensor([[1., 2.]]), pydl.tensor([[[1., 1., 1.]]]), stride=2)
        tensor([[1., 1., 3., 2., 2.]])
    """
    y: Tensor = _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return y


@composite
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """The gradient of conv2d in its input, as an operation: every pixel of x adds its multiple of the kernel to y.

    `padding` cuts the result on both sides; `output_padding` adds rows after its end, since a strided convolution
    makes the same size of several ones.
    Shapes: x (N, C, H, W) or (C, H, W), w (C, K/groups, R, S), b (K), y (N, K, P, Q) with
    P = (H − 1) stride − 2 padding + dilation (R − 1) + output_padding + 1.
    Gradient: dx is the convolution of dy with w, dw is conv_bwd_weight(x, dy), db the sum of dy.
    Errors: ShapeError where channels, groups or sizes do not fit, or output_padding reaches both stride and dilation.
    Source: torch.nn.functional.conv_transpose2d.

    Example:
        >>> import pydl
        >>> pydl.conv_transpose2d(pydl.ones(1, 1, 2, 2), pydl.ones(1, 1, 2, 2))
        tensor([[[[1., 2., 1.],
                  [2., 4., 2.],
                  [1., 2., 1.]]]])
    """
    y: Tensor = _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return y


@composite
def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """The gradient of conv3d in its input, as conv_transpose2d with one more dimension.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), w (C, K/groups, T, R, S), b (K), y (N, K, O, P, Q).
    Sizes, gradient, errors: as conv_transpose2d. Source: torch.nn.functional.conv_transpose3d.

    Example:
        >>> import pydl
        >>> pydl.conv_transpose3d(pydl.ones(1, 1, 1, 1), pydl.ones(1, 2, 1, 1, 2)).shape
        pydl.Size([2, 1, 1, 2])
    """
    y: Tensor = _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return y
