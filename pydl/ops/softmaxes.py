# SPDX-License-Identifier: BSD-3-Clause
"""Softmax and its logarithm along a dimension."""

from __future__ import annotations

import warnings
from typing import Any

from pydl._core import softmax as core
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import dim_arg, tensor_arg
from pydl.ops._declare import op

__all__ = ["log_softmax", "log_softmax_backward", "softmax", "softmax_backward"]


def _arguments(input: Tensor, dim: int | None, dtype: Any, op_name: str) -> tuple[Tensor, int]:
    tensor_arg(input, op_name, "input")
    if dtype is not None:
        input = input.to(dtype)
    if input.array.dtype.kind != "f":
        raise NotImplementedError(f"{op_name}: not implemented for {input.dtype}")
    ndim = input.array.ndim
    if dim is None:
        dim = 0 if ndim in (0, 1, 3) else 1
        warnings.warn(
            f"Implicit dimension choice for {op_name} has been deprecated. Change the call to include dim={dim}.",
            UserWarning,
            stacklevel=4,
        )
    return input, dim_arg(dim, ndim, op_name)


@op
class softmax:
    """y_i = exp x_i / Σ_j exp x_j along `dim`.

    Shapes: those of x. Gradient: dx = y (dy − Σ_j y_j dy_j).
    Errors: IndexError; NotImplementedError for integers without `dtype`. Source: torch.softmax, F.softmax.

    Example:
        >>> import pydl
        >>> pydl.softmax(pydl.tensor([0., 0.]), dim=0)
        tensor([0.5000, 0.5000])
    """

    def check(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> tuple[Any, ...]:
        return _arguments(input, dim, dtype, "softmax")

    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        y = core.softmax_fwd(x, dim)
        ctx.save(y)
        ctx.dim = dim
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (y,) = ctx.saved
        return softmax_backward(dy, y, ctx.dim)


@op
class softmax_backward:
    """dx = y (dy − Σ_j y_j dy_j) along `dim`, the backward of softmax from its output y.

    Shapes: dy and y equal. Gradient: in both. Errors: ShapeError if the shapes or types of dy and y differ.
    Source: aten::_softmax_backward_data.

    Example:
        >>> import pydl
        >>> pydl.ops.softmax_backward(pydl.tensor([1., 0.]), pydl.tensor([0.5, 0.5]), 0)
        tensor([ 0.2500, -0.2500])
    """

    def check(grad_output: Tensor, output: Tensor, dim: int) -> tuple[Any, ...]:
        return grad_output, output, dim

    def forward(ctx: Any, dy: Tensor, y: Tensor, dim: int) -> Tensor:
        ctx.save(dy, y)
        ctx.dim = dim
        return core.softmax_bwd(dy, y, dim)

    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dy, y = ctx.saved
        d_dy = softmax_backward(g, y, ctx.dim) if ctx.needs[0] else None
        d_y = None
        if ctx.needs[1]:
            d_y = g * (dy - (y * dy).sum(ctx.dim, keepdim=True)) - dy * (g * y).sum(ctx.dim, keepdim=True)
        return d_dy, d_y


@op
class log_softmax:
    """y_i = x_i − log Σ_j exp x_j along `dim`.

    Shapes: those of x. Gradient: dx = dy − exp(y) Σ_j dy_j.
    Errors: IndexError; NotImplementedError for integers without `dtype`. Source: torch.log_softmax, F.log_softmax.

    Example:
        >>> import pydl
        >>> pydl.log_softmax(pydl.tensor([0., 0.]), dim=0)
        tensor([-0.6931, -0.6931])
    """

    def check(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> tuple[Any, ...]:
        return _arguments(input, dim, dtype, "log_softmax")

    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        y = core.log_softmax_fwd(x, dim)
        ctx.save(y)
        ctx.dim = dim
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (y,) = ctx.saved
        return log_softmax_backward(dy, y, ctx.dim)


@op
class log_softmax_backward:
    """dx = dy − exp(y) Σ_j dy_j along `dim`, the backward of log_softmax from its output y.

    Shapes: dy and y equal. Gradient: in both. Errors: ShapeError if the shapes or types of dy and y differ.
    Source: aten::_log_softmax_backward_data.

    Example:
        >>> import pydl
        >>> pydl.ops.log_softmax_backward(pydl.tensor([1., 0.]), pydl.tensor([0., 0.]), 0)
        tensor([ 0., -1.])
    """

    def check(grad_output: Tensor, output: Tensor, dim: int) -> tuple[Any, ...]:
        return grad_output, output, dim

    def forward(ctx: Any, dy: Tensor, y: Tensor, dim: int) -> Tensor:
        ctx.save(dy, y)
        ctx.dim = dim
        return core.log_softmax_bwd(dy, y, dim)

    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dy, y = ctx.saved
        p = y.exp()
        d_dy = g - (p * g).sum(ctx.dim, keepdim=True) if ctx.needs[0] else None
        d_y = -g * p * dy.sum(ctx.dim, keepdim=True) if ctx.needs[1] else None
        return d_dy, d_y
