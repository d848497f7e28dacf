# SPDX-License-Identifier: BSD-3-Clause
"""Max pooling over windows of one to three dimensions: the operation, its gradient, and the functions of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core import pool
from pydl._core.pool import Winners
from pydl._core.pool_windows import Geometry
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops import _pool_geometry as geometries
from pydl.ops._declare import composite, op
from pydl.ops._pool_geometry import IntOrInts, Sizes, batched

__all__ = [
    "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "max_pool",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d",
    "max_pool3d_with_indices", "max_pool_backward", "max_pool_take",
]  # fmt: skip


@op
class max_pool:
    """y = the largest element of each window of a Geometry, and with `return_indices` its place (d·H + h)·W + w.

    Shapes: x (N, C, D, H, W), (N, C, H, W) or (N, C, L); y (N, C, ...).
    NaN wins, of several the last; of equal ones the first.
    Gradient: dy at the largest element. Errors: ShapeError if x does not fit. Source: what max_pool1d, 2d and 3d share.

    Example:
        >>> import pydl
        >>> from pydl._core.pool_windows import Geometry
        >>> pairs = Geometry((4,), (2,), (2,), (2,), (0,), (1,))
        >>> pydl.ops.max_pool(pydl.tensor([[[1., 3., 5., 4.]]]), pairs)
        tensor([[[3., 5.]]])
    """

    def check(input: Tensor, geometry: Geometry, return_indices: bool = False) -> tuple[Any, ...]:
        return input, geometry, return_indices

    def forward(ctx: Any, x: Tensor, geometry: Geometry, return_indices: bool) -> Any:
        y, winners = pool.max_fwd(x, geometry, return_indices or ctx.needs[0])
        if ctx.needs[0]:
            ctx.winners = winners
        return (y, winners.places()) if return_indices else y

    def backward(ctx: Any, dy: Tensor, _: None = None) -> Tensor:
        return max_pool_backward(dy, ctx.winners)


@op
class max_pool_backward:
    """dx = each dy at the largest element of its window, those that meet added in the order of the windows.

    Shapes: dy (N, C, ...) of the output, dx of the input. Gradient: dy's is max_pool_take.
    Errors: ShapeError if dy is not of the output's shape and type. Source: aten::max_pool2d_with_indices_backward.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[[1., 3., 5., 4.]]], requires_grad=True)
        >>> pydl.nn.functional.max_pool1d(x, 2).sum().backward()
        >>> x.grad
        tensor([[[0., 1., 1., 0.]]])
    """

    def check(grad_output: Tensor, winners: Winners) -> tuple[Any, ...]:
        return grad_output, winners

    def forward(ctx: Any, dy: Tensor, winners: Winners) -> Tensor:
        ctx.winners = winners
        return pool.max_bwd(dy, winners)

    def backward(ctx: Any, g: Tensor) -> Tensor:
        return max_pool_take(g, ctx.winners)


@op
class max_pool_take:
    """y = the elements of x that were the largest of their windows in an earlier max pooling.

    Shapes: x as the pooled tensor, y as its result. Gradient: dx is max_pool_backward of dy.
    Errors: ShapeError if x is not of the pooled tensor's shape and type. Source: the gradient of max_pool2d's gradient.

    Example:
        >>> import pydl
        >>> x = pydl.tensor([[[1., 3., 5., 4.]]], requires_grad=True)
        >>> dy = pydl.ones(1, 1, 2, requires_grad=True)
        >>> (dx,) = pydl.autograd.grad(pydl.nn.functional.max_pool1d(x, 2), x, dy, create_graph=True)
        >>> pydl.autograd.grad(dx, dy, pydl.tensor([[[1., 2., 3., 4.]]]))
        (tensor([[[2., 3.]]]),)
    """

    def check(input: Tensor, winners: Winners) -> tuple[Any, ...]:
        return input, winners

    def forward(ctx: Any, x: Tensor, winners: Winners) -> Tensor:
        ctx.winners = winners
        return pool.max_take(x, winners)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return max_pool_backward(dy, ctx.winners)


# --- PyTorch's functions ------------------------------------------------------------------------------------------


def _integer_max_pool(x: Any, windows: tuple[Sizes, Sizes, Sizes, Sizes], ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """(y, places) of integers: NumPy's work."""
    fill = np.iinfo(x.dtype).min
    values, places = geometries.integer_windows(x, windows, ceil_mode, fill)
    largest = values.max(-1, keepdims=True)
    first = np.argmax((values == largest) & (places >= 0), axis=-1)[..., None]
    found = np.take_along_axis(np.broadcast_to(places, values.shape), first, -1)[..., 0]
    return wrap(np.ascontiguousarray(largest[..., 0])), wrap(np.ascontiguousarray(found))


def _max_pool(
    name: str,
    n: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    want: bool,
) -> Any:
    windows = geometries.window_args(name, n, kernel_size, stride, padding, dilation)
    geometries.images_arg(input, n, name)
    x, kind = batched(input, n), input.dtype
    geometry = geometries.regular(name, tuple(x.shape[2:]), windows, ceil_mode)
    if kind.is_floating_point:
        out = max_pool(x, geometry, want)
    else:
        if kind.np == np.bool_ or (n == 1 and not want):
            raise NotImplementedError(f"{name}: not implemented for {kind}")
        both = _integer_max_pool(x.array, windows, ceil_mode)
        out = both if want else both[0]
    if x is input:
        return out
    return tuple(t.squeeze(0) for t in out) if want else out.squeeze(0)


@composite
def max_pool1d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """y_l = max_k x_{l·stride − padding + k·dilation}, k < kernel_size; with `return_indices` (y, their places).

    Shapes: x (N, C, L) or (C, L); y the same with ⌊(L + 2p − d(k − 1) − 1) / s⌋ + 1 (`ceil_mode`: ⌈⌉; a window
    that would begin behind the input is left out). What is padded never wins; NaN does, the last of several; of equal
    ones the first.
    Gradient: dy at the maximum. Errors: ShapeError, RuntimeError, NotImplementedError for integers without indices.
    Source: torch.nn.functional.max_pool1d.

    Example:
        >>> import pydl
        >>> pydl.max_pool1d(pydl.tensor([[1., 3., 5., 4.]]), 2)
        tensor([[3., 5.]])
    """
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite
def max_pool2d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of an image; with `return_indices` (y, places h·W + w of the maxima).

    Shapes: x (N, C, H, W) or (C, H, W). Rules, gradient, errors: as `max_pool1d`; integers work too.
    Source: torch.nn.functional.max_pool2d.

    Example:
        >>> import pydl
        >>> pydl.max_pool2d(pydl.arange(16.).view(1, 4, 4), 2)
        tensor([[[ 5.,  7.],
                 [13., 15.]]])
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composite
def max_pool3d(
    input: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a volume; with `return_indices` (y, places (d·H + h)·W + w of the maxima).

    Shapes: x (N, C, D, H, W) or (C, D, H, W). Rules, gradient, errors: as `max_pool1d`; integers work too.
    Source: torch.nn.functional.max_pool3d.

    Example:
        >>> import pydl
        >>> pydl.max_pool3d(pydl.arange(8.).view(1, 2, 2, 2), 2)
        tensor([[[[7.]]]])
    """
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _with_indices(n: int) -> Any:
    def function(
        input: Tensor,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: IntOrInts = 0,
        dilation: IntOrInts = 1,
        ceil_mode: bool = False,
        return_indices: bool = True,
    ) -> tuple[Tensor, Tensor]:
        pooled: tuple[Tensor, Tensor] = _max_pool(
            f"max_pool{n}d", n, input, kernel_size, stride, padding, dilation, ceil_mode, True
        )
        return pooled

    return _named(function, f"max_pool{n}d_with_indices", f"max_pool{n}d", "y, places = F.{}(pydl.rand(1, {}), 2)", n)


def _named(function: Any, name: str, plain: str, example: str, n: int) -> Any:
    """The function under its name, with a text and an example of its own."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    sizes = ", ".join("4" * (n + 1))
    function.__doc__ = f"""`{plain}` with return_indices=True: (y, places of the maxima in their planes).

    Shapes, gradient, errors: as there. Source: torch.nn.functional.{name}.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> {example.format(name, sizes)}
        >>> y.shape == places.shape
        True
    """
    return composite(function)


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (_with_indices(n) for n in (1, 2, 3))


def _adaptive_max_pool(name: str, n: int, input: Tensor, output_size: Any, want: bool) -> Any:
    geometries.images_arg(input, n, name)
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{name}: not implemented for {input.dtype}")
    in_sizes = tuple(input.shape[-n:])
    sizes = geometries.adaptive_sizes(name, n, output_size, in_sizes)
    x = batched(input, n)
    out = max_pool(x, geometries.adaptive(in_sizes, sizes), want)
    if x is input:
        return out
    return tuple(t.squeeze(0) for t in out) if want else out.squeeze(0)


@composite
def adaptive_max_pool1d(input: Tensor, output_size: IntOrInts, return_indices: bool = False) -> Any:
    """y_o = the largest of x from ⌊o·L/out⌋ to ⌈(o + 1)·L/out⌉; with `return_indices` (y, places of the maxima).

    Shapes: x (N, C, L) or (C, L); y the same with output_size. Gradient: dy at the maximum. Errors: as `max_pool1d`.
    Source: torch.nn.functional.adaptive_max_pool1d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.adaptive_max_pool1d(pydl.tensor([[1., 3., 5., 4., 2.]]), 2)
        tensor([[5., 5.]])
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


@composite
def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of output_size windows of an image, `adaptive_max_pool1d` in both dimensions.

    Shapes: x (N, C, H, W) or (C, H, W); a None in output_size keeps that size. Gradient, errors: as `max_pool1d`.
    Source: torch.nn.functional.adaptive_max_pool2d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.adaptive_max_pool2d(pydl.arange(16.).view(1, 4, 4), (1, None))
        tensor([[[12., 13., 14., 15.]]])
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


@composite
def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of output_size windows of a volume, `adaptive_max_pool1d` in all three dimensions.

    Shapes: x (N, C, D, H, W) or (C, D, H, W); a None in output_size keeps that size. Gradient, errors: as `max_pool1d`.
    Source: torch.nn.functional.adaptive_max_pool3d.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.adaptive_max_pool3d(pydl.arange(8.).view(1, 2, 2, 2), 1)
        tensor([[[[7.]]]])
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _adaptive_with_indices(n: int) -> Any:
    def function(input: Tensor, output_size: Any, return_indices: bool = True) -> tuple[Tensor, Tensor]:
        pooled: tuple[Tensor, Tensor] = _adaptive_max_pool(f"adaptive_max_pool{n}d", n, input, output_size, True)
        return pooled

    plain = f"adaptive_max_pool{n}d"
    return _named(function, f"{plain}_with_indices", plain, "y, places = F.{}(pydl.rand(1, {}), 2)", n)


adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = (
    _adaptive_with_indices(n) for n in (1, 2, 3)
)
