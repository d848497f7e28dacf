# SPDX-License-Identifier: BSD-3-Clause
"""Max unpooling: elements put back to the places they were pooled from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl._core import pool
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops import _pool_geometry as geometries
from pydl.ops._checks import per_dim_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops._pool_geometry import IntOrInts, Sizes, batched

__all__ = ["max_unpool", "max_unpool1d", "max_unpool2d", "max_unpool3d", "max_unpool_add", "max_unpool_backward"]


@op
class max_unpool:
    """y = 0, but y[n, c, indices[n, c, ...]] = x[n, c, ...], planes of y counted flat; of equal places the last counts.

    Shapes: x and indices (N, C, ...) equal; y (N, C, sizes...). Gradient: dy at the indices.
    Errors: ShapeError; RuntimeError for indices that are not int64; IndexError for one outside of the plane.
    Source: aten::max_unpool2d and 3d.

    Example:
        >>> import pydl
        >>> pydl.ops.max_unpool(pydl.tensor([[[3., 5.]]]), pydl.tensor([[[1, 2]]]), (4,))
        tensor([[[0., 3., 5., 0.]]])
    """

    def check(input: Tensor, indices: Tensor, sizes: Sizes) -> tuple[Any, ...]:
        return input, indices, sizes

    def forward(ctx: Any, x: Tensor, indices: Tensor, sizes: Sizes) -> Tensor:
        ctx.save(indices)
        return pool.unpool_fwd(x, indices, sizes)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (indices,) = ctx.saved
        return max_unpool_backward(dy, indices)


@op
class max_unpool_backward:
    """dx[n, c, ...] = dy[n, c, indices[n, c, ...]], the planes of dy counted flat.

    Shapes: dy (N, C, sizes...), indices and dx (N, C, ...). Gradient: dy's is max_unpool_add. Errors: as `max_unpool`.
    Source: aten::max_unpool2d_backward.

    Example:
        >>> import pydl
        >>> pydl.ops.max_unpool_backward(pydl.tensor([[[0., 3., 5., 0.]]]), pydl.tensor([[[1, 2]]]))
        tensor([[[3., 5.]]])
    """

    def check(grad_output: Tensor, indices: Tensor) -> tuple[Any, ...]:
        return grad_output, indices

    def forward(ctx: Any, dy: Tensor, indices: Tensor) -> Tensor:
        ctx.save(indices)
        ctx.sizes = tuple(dy.shape[2:])
        return pool.unpool_take(dy, indices)

    def backward(ctx: Any, g: Tensor) -> Tensor:
        (indices,) = ctx.saved
        return max_unpool_add(g, indices, ctx.sizes)


@op
class max_unpool_add:
    """`max_unpool`, but elements with equal indices are added.

    Shapes: as there. Gradient: dy at the indices. Errors: as there. Source: the gradient of max_unpool's gradient.

    Example:
        >>> import pydl
        >>> pydl.ops.max_unpool_add(pydl.tensor([[[3., 5.]]]), pydl.tensor([[[2, 2]]]), (4,))
        tensor([[[0., 0., 8., 0.]]])
    """

    def check(input: Tensor, indices: Tensor, sizes: Sizes) -> tuple[Any, ...]:
        return input, indices, sizes

    def forward(ctx: Any, x: Tensor, indices: Tensor, sizes: Sizes) -> Tensor:
        ctx.save(indices)
        return pool.unpool_add(x, indices, sizes)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (indices,) = ctx.saved
        return max_unpool_backward(dy, indices)


def _output_sizes(op_name: str, in_sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, given: Any) -> Sizes:
    """(in − 1)·stride + kernel − 2·padding, or what is given, which may differ by less than a stride."""
    n = len(kernel)
    default = tuple((i - 1) * s + k - 2 * p for i, k, s, p in zip(in_sizes, kernel, stride, padding, strict=True))
    if given is None:
        sizes = default
    else:
        sizes = tuple(int(v) for v in (given if isinstance(given, Sequence) else (given,)))
        sizes = sizes[2:] if len(sizes) == n + 2 else sizes
        if len(sizes) != n:
            raise ValueError(f"{op_name}: output_size must have {n} or {n + 2} numbers, not {given}")
        for d, (size, middle, s) in enumerate(zip(sizes, default, stride, strict=True)):
            if not middle - s < size < middle + s:
                raise ValueError(
                    f"{op_name}: output_size {given}: dim {d} must be between {middle - s} and {middle + s}"
                )
    if min(sizes) < 0:
        raise ValueError(f"{op_name}: output sizes {sizes} must not be negative")
    return sizes


def _max_unpool(
    name: str, n: int, input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    kernel = per_dim_arg(kernel_size, n, name, "kernel_size")
    step = kernel if stride is None else per_dim_arg(stride, n, name, "stride")
    pad = per_dim_arg(padding, n, name, "padding")
    geometries.images_arg(input, n, name)
    tensor_arg(indices, name, "indices")
    if tuple(indices.shape) != tuple(input.shape):
        raise ShapeError(f"{name}: indices {tuple(indices.shape)} must have the shape of x {tuple(input.shape)}")
    sizes = _output_sizes(name, tuple(input.shape[-n:]), kernel, step, pad, output_size)
    y: Tensor = max_unpool(batched(input, n), batched(indices, n), sizes)
    return y if input.ndim == n + 2 else y.squeeze(0)


@composite
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Any = None,
) -> Tensor:
    """Zeros with the elements of x at their indices, as `max_pool1d` with return_indices gave them.

    Shapes: x and indices (N, C, L) or (C, L); y the same with (L − 1)·stride + kernel_size − 2·padding, or output_size,
    which differs by less than a stride. Gradient: dy at the indices. Errors: ValueError for output_size, ShapeError,
    IndexError for an index outside. Source: torch.nn.functional.max_unpool1d.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> y, places = F.max_pool1d(pydl.tensor([[1., 3., 5., 4.]]), 2, return_indices=True)
        >>> F.max_unpool1d(y, places, 2)
        tensor([[0., 3., 5., 0.]])
    """
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@composite
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Any = None,
) -> Tensor:
    """`max_unpool1d` for images.

    Shapes: x and indices (N, C, H, W) or (C, H, W). Rules, gradient, errors: as there.
    Source: torch.nn.functional.max_unpool2d.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.max_unpool2d(pydl.tensor([[[7.]]]), pydl.tensor([[[3]]]), 2)
        tensor([[[0., 0.],
                 [0., 7.]]])
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@composite
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    output_size: Any = None,
) -> Tensor:
    """`max_unpool1d` for volumes.

    Shapes: x and indices (N, C, D, H, W) or (C, D, H, W). Rules, gradient, errors: as there.
    Source: torch.nn.functional.max_unpool3d.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.max_unpool3d(pydl.tensor([[[[7.]]]]), pydl.tensor([[[[1]]]]), (1, 1, 2))
        tensor([[[[0., 7.]]]])
    """
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
