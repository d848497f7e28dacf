# SPDX-License-Identifier: BSD-3-Clause
"""Average pooling over windows of one to three spatial dimensions, and pooling by a power."""

from __future__ import annotations

from functools import reduce
from math import inf, prod
from typing import Any

import numpy as np

from pydl._core import pool
from pydl._core.errors import ShapeError
from pydl._core.pool_windows import Geometry
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops import _pool_geometry as geometries
from pydl.ops import pooling
from pydl.ops._checks import per_dim_arg
from pydl.ops._declare import composite, op
from pydl.ops._pool_geometry import Array, IntOrInts, Sizes, batched

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "avg_pool_backward", "lp_pool1d", "lp_pool2d", "lp_pool3d",
]  # fmt: skip


@op
class avg_pool:
    """y = the sum of each window of a Geometry divided by the number that the Geometry states.

    Shapes: x (N, C, D, H, W), (N, C, H, W) or (N, C, L); y (N, C, ...). Gradient: dy shared evenly within the window.
    Errors: ShapeError if x does not fit. Source: what avg_pool1d, 2d, 3d and the adaptive ones share.

    Example:
        >>> import pydl
        >>> from pydl._core.pool_windows import Geometry
        >>> pairs = Geometry((4,), (2,), (2,), (2,), (0,), (1,))
        >>> pydl.ops.avg_pool(pydl.tensor([[[1., 3., 5., 4.]]]), pairs)
        tensor([[[2.0000, 4.5000]]])
    """

    def check(input: Tensor, geometry: Geometry) -> tuple[Any, ...]:
        return input, geometry

    def forward(ctx: Any, x: Tensor, geometry: Geometry) -> Tensor:
        y, ctx.planes = pool.avg_fwd(x, geometry)
        ctx.geometry = geometry
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return avg_pool_backward(dy, ctx.geometry, ctx.planes)


@op
class avg_pool_backward:
    """dx = Σ dy / divisor over the windows that hold the element, in their order.

    Shapes: dy (N, C, ...) of the output, dx of the input. `planes`: that memory in C order was pooled as it is.
    Gradient: dy's is avg_pool. Errors: ShapeError if dy is not of the output's shape.
    Source: aten::avg_pool2d_backward.

    Example:
        >>> import pydl
        >>> x = pydl.zeros(1, 1, 4, requires_grad=True)
        >>> pydl.avg_pool1d(x, 2).backward(pydl.tensor([[[2., 4.]]]))
        >>> x.grad
        tensor([[[1., 1., 2., 2.]]])
    """

    def check(grad_output: Tensor, geometry: Geometry, planes: bool) -> tuple[Any, ...]:
        return grad_output, geometry, planes

    def forward(ctx: Any, dy: Tensor, geometry: Geometry, planes: bool) -> Tensor:
        ctx.geometry = geometry
        return pool.avg_bwd(dy, geometry, planes)

    def backward(ctx: Any, g: Tensor) -> Tensor:
        return avg_pool(g, ctx.geometry)


# --- PyTorch's functions ------------------------------------------------------------------------------------------


def _counts(n_in: int, n_out: int, kernel: int, stride: int, padding: int) -> Array:
    """Elements of each window along a dimension, padding included, but not what `ceil_mode` adds behind it."""
    first = np.arange(n_out) * stride - padding
    return np.minimum(first + kernel, n_in + padding) - first


def _integer_avg_pool(
    x: Array, windows: tuple[Sizes, Sizes, Sizes, Sizes], ceil_mode: bool, include_pad: bool, divisor: int
) -> Tensor:
    """Averages of int64, rounded toward zero; sums wrap. NumPy's work."""
    values, places = geometries.integer_windows(x, windows, ceil_mode, 0)
    total = values.sum(-1)
    if divisor:
        count: Any = divisor
    elif include_pad:
        sizes = zip(x.shape[2:], total.shape[2:], *windows[:3], strict=True)
        count = reduce(np.multiply.outer, [_counts(*s) for s in sizes])
    else:
        count = (places >= 0).sum(-1)
    down = total // count
    return wrap(np.ascontiguousarray(down + ((down < 0) & (down * count != total))))


def _avg_pool(
    name: str,
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Tensor:
    windows = geometries.window_args(name, n, kernel_size, stride, padding, 1)
    geometries.images_arg(input, n, name)
    if divisor_override == 0:
        raise RuntimeError(f"{name}: divisor_override must not be zero")
    x, divisor = batched(input, n), divisor_override or 0
    if n == 3 and any(size < k for size, k in zip(x.shape[2:], windows[0], strict=True)):  # as PyTorch, padded or not
        raise ShapeError(f"{name}: x {tuple(input.shape)} is smaller than the windows {windows[0]}")
    geometry = geometries.regular(name, tuple(x.shape[2:]), windows, ceil_mode, count_include_pad, divisor)
    if x.dtype.is_floating_point:
        y: Tensor = avg_pool(x, geometry)
    elif x.dtype.np == np.int64:
        y = _integer_avg_pool(x.array, windows, ceil_mode, count_include_pad, divisor)
    else:
        raise NotImplementedError(f"{name}: not implemented for {x.dtype}")
    return y if x is input else y.squeeze(0)


@composite
def avg_pool1d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """y_l = Σ_k x_{l·stride − padding + k} / kernel_size, k < kernel_size; what is padded counts as 0.

    Shapes: x (N, C, L) or (C, L); y the same with ⌊(L + 2p − k) / s⌋ + 1 (`ceil_mode`: ⌈⌉; a window that would
    begin behind the input is left out, and what one has behind the padding does not count).
    Without `count_include_pad` the sum is divided by the number of real elements.
    Gradient: dy / divisor at each element of the window.
    Errors: ShapeError, RuntimeError; NotImplementedError for integers but int64, which is rounded toward zero.
    Source: torch.nn.functional.avg_pool1d.

    Example:
        >>> import pydl
        >>> pydl.avg_pool1d(pydl.tensor([[1., 3., 5., 4.]]), 2)
        tensor([[2.0000, 4.5000]])
    """
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite
def avg_pool2d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of an image; `divisor_override` in place of the number of its elements.

    Shapes: x (N, C, H, W) or (C, H, W). Rules, gradient, errors: as `avg_pool1d`.
    Source: torch.nn.functional.avg_pool2d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.avg_pool2d(pydl.arange(16.).view(1, 4, 4), 2)
        tensor([[[ 2.5000,  4.5000],
                 [10.5000, 12.5000]]])
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@composite
def avg_pool3d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The average of each window of a volume; `divisor_override` in place of the number of its elements.

    Shapes: x (N, C, D, H, W) or (C, D, H, W). Rules, gradient, errors: as `avg_pool1d`.
    Source: torch.nn.functional.avg_pool3d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.avg_pool3d(pydl.arange(8.).view(1, 2, 2, 2), 2)
        tensor([[[[3.5000]]]])
    """
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive_avg_pool(name: str, n: int, input: Tensor, output_size: Any) -> Tensor:
    geometries.images_arg(input, n, name, empty_channels=True)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{name}: not implemented for {input.dtype}")
    in_sizes = tuple(input.shape[-n:])
    sizes = geometries.adaptive_sizes(name, n, output_size, in_sizes)
    x = batched(input, n)
    y: Tensor = avg_pool(x, geometries.adaptive(in_sizes, sizes))
    return y if x is input else y.squeeze(0)


@composite
def adaptive_avg_pool1d(input: Tensor, output_size: IntOrInts) -> Tensor:
    """y_o = the average of x from ⌊o·L/out⌋ to ⌈(o + 1)·L/out⌉.

    Shapes: x (N, C, L) or (C, L); y the same with output_size. Gradient: dy / window at each of its elements.
    Errors: ShapeError, RuntimeError, NotImplementedError for integers. Source: torch.nn.functional.adaptive_avg_pool1d.

    Example:
        >>> import pydl
        >>> pydl.adaptive_avg_pool1d(pydl.tensor([[1., 3., 5., 4.]]), 1)
        tensor([[3.2500]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@composite
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The averages of output_size windows of an image, `adaptive_avg_pool1d` in both dimensions; 1 is global pooling.

    Shapes: x (N, C, H, W) or (C, H, W); a None in output_size keeps that size.
    Gradient, errors: as `adaptive_avg_pool1d`.
    Source: torch.nn.functional.adaptive_avg_pool2d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.adaptive_avg_pool2d(pydl.arange(16.).view(1, 4, 4), (1, None))
        tensor([[[6., 7., 8., 9.]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@composite
def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The averages of output_size windows of a volume, `adaptive_avg_pool1d` in all three dimensions.

    Shapes: x (N, C, D, H, W) or (C, D, H, W); a None in output_size keeps that size.
    Gradient, errors: as `adaptive_avg_pool1d`.
    Source: torch.nn.functional.adaptive_avg_pool3d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.adaptive_avg_pool3d(pydl.arange(8.).view(1, 2, 2, 2), 1)
        tensor([[[[3.5000]]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


# --- pooling by a power -------------------------------------------------------------------------------------------


def _lp_pool(
    name: str, n: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Tensor:
    """As PyTorch: average of powers times the size of the kernel; a negative sum gives 0 under even roots, else NaN."""
    if norm_type in (inf, -inf):
        sign = 1 if norm_type > 0 else -1
        y: Tensor = pooling._max_pool(name, n, input.abs() * sign, kernel_size, stride, 0, 1, ceil_mode, False)
        return y * sign
    kernel = per_dim_arg(kernel_size, n, name, "kernel_size")
    geometries.images_arg(input, n, name)
    mean: Any = _avg_pool(name, n, input.pow(norm_type), kernel, stride, 0, ceil_mode, True)
    total = (mean.sign() * mean.abs().relu()) * prod(kernel)
    return total.pow(1.0 / norm_type)


@composite
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: IntOrInts, stride: IntOrInts | None = None, ceil_mode: bool = False
) -> Tensor:
    """y_l = (Σ_k x_{l·stride + k}^p)^(1/p), p = norm_type; p = ±∞: the largest or smallest |x|.

    Shapes: x (N, C, L) or (C, L). Gradient: dy (x / y)^(p − 1); undefined where the sum is 0. Errors: as `avg_pool1d`.
    Source: torch.nn.functional.lp_pool1d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.lp_pool1d(pydl.tensor([[3., 4., 5., 12.]]), 2, 2)
        tensor([[ 5., 13.]])
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


@composite
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: IntOrInts, stride: IntOrInts | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool1d` over the windows of an image.

    Shapes: x (N, C, H, W) or (C, H, W). Gradient, errors: as `lp_pool1d`. Source: torch.nn.functional.lp_pool2d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.lp_pool2d(pydl.tensor([[[1., 1.], [1., 1.]]]), 2, 2)
        tensor([[[2.]]])
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


@composite
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: IntOrInts, stride: IntOrInts | None = None, ceil_mode: bool = False
) -> Tensor:
    """`lp_pool1d` over the windows of a volume.

    Shapes: x (N, C, D, H, W) or (C, D, H, W). Gradient, errors: as `lp_pool1d`. Source: torch.nn.functional.lp_pool3d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.lp_pool3d(pydl.ones(1, 1, 2, 2), 2, (1, 2, 2))
        tensor([[[[2.]]]])
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)
