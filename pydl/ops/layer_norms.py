# SPDX-License-Identifier: BSD-3-Clause
"""Normalisation within a sample: layer norm, RMS norm, local response norm, and vectors of length 1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl._core import layer_norm as core
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl.ops import _norm_checks as checks
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.statistics import norm

__all__ = ["layer_norm", "local_response_norm", "normalize", "rms_norm", "window_sum"]


def _row_gradients(ctx: Any, dy: Any, *, centered: bool) -> checks.Triple:
    """(dx, dw, db) of layer norm or RMS norm."""
    x, w, stats = ctx.saved
    needs = (ctx.needs[0], ctx.needs[1], centered and ctx.needs[2])
    if is_grad_enabled():
        first = x.ndim - len(ctx.shape)
        dims = tuple(range(first, x.ndim))
        gradients = checks.differentiable_gradients(dy, x, w, tuple(x.shape), dims, ctx.eps, needs, centered=centered)
        lead = tuple(range(first))
        return gradients[0], checks.summed(gradients[1], lead), checks.summed(gradients[2], lead)
    dx, dw, db = core.layer_norm_bwd(dy, x, stats, math.prod(ctx.shape), w, centered, *needs)
    return dx, _shaped(dw, ctx.shape), _shaped(db, ctx.shape)


def _shaped(gradient: Any, shape: tuple[int, ...]) -> Any:
    return None if gradient is None else gradient.reshape(shape)


@op
class layer_norm:
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance over the last dimensions, `normalized_shape`.

    Shapes: x (..., *normalized_shape), weight and bias (*normalized_shape), each may be None; y as x. Gradient: dx
    = (w dy − mean(w dy) − h mean(w dy h))/σ with h = (x − mean)/σ, dw = Σ dy h, db = Σ dy. Of higher order by
    composition. Errors: ShapeError if x does not end in normalized_shape or weight or bias is of another shape;
    NotImplementedError for integers. Source: Ba et al. 2016; torch.nn.functional.layer_norm.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.layer_norm(pydl.tensor([[1., 3.], [7., 5.]]), (2,))
        tensor([[-1.0000,  1.0000],
                [ 1.0000, -1.0000]])
    """

    def check(
        input: Tensor,
        normalized_shape: Any,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> tuple[Any, ...]:
        checks.input_arg(input, "layer_norm")
        shape = checks.normalized_shape_arg(input, normalized_shape, "layer_norm")
        checks.parameter_arg(weight, input, shape, "layer_norm", "weight")
        checks.parameter_arg(bias, input, shape, "layer_norm", "bias")
        return input, weight, bias, shape, float(eps)

    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, shape: tuple[int, ...], eps: float) -> Tensor:
        y, stats = core.layer_norm_fwd(x, math.prod(shape), w, b, eps, True)
        ctx.save(x, w, stats)
        ctx.shape, ctx.eps = shape, eps
        return y

    def backward(ctx: Any, dy: Tensor) -> checks.Triple:
        return _row_gradients(ctx, dy, centered=True)


@op
class rms_norm:
    """y = x / √(mean x² + eps) · weight, with the mean over the last dimensions, `normalized_shape`.

    eps is the spacing of x's type at 1 by default. Shapes: x (..., *normalized_shape), weight (*normalized_shape)
    or None; y as x. Gradient: dx = (w dy − h mean(w dy h))/ρ with h = x/ρ, dw = Σ dy h. Of higher order by
    composition. Errors: ShapeError if x does not end in normalized_shape or weight is of another shape;
    NotImplementedError for integers. Source: Zhang and Sennrich 2019; torch.nn.functional.rms_norm.

    Example:
        >>> import pydl
        >>> pydl.rms_norm(pydl.tensor([1., 7.]), (2,))
        tensor([0.2000, 1.4000])
    """

    def check(
        input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
    ) -> tuple[Any, ...]:
        checks.input_arg(input, "rms_norm")
        shape = checks.normalized_shape_arg(input, normalized_shape, "rms_norm")
        checks.parameter_arg(weight, input, shape, "rms_norm", "weight")
        return input, weight, shape, float(np.finfo(input.dtype.np).eps if eps is None else eps)

    def forward(ctx: Any, x: Tensor, w: Tensor, shape: tuple[int, ...], eps: float) -> Tensor:
        y, stats = core.layer_norm_fwd(x, math.prod(shape), w, None, eps, False)
        ctx.save(x, w, stats)
        ctx.shape, ctx.eps = shape, eps
        return y

    def backward(ctx: Any, dy: Tensor) -> tuple[Any, Any]:
        return _row_gradients(ctx, dy, centered=False)[:2]


@op
class window_sum:
    """y_c = Σ x_d over the channels d from c − below to c + above that exist.

    Shapes: x (N, C, ...), y as x. Gradient: window_sum(dy, above, below).
    Errors: ShapeError for less than two dimensions or a negative number. Source: the sum in local_response_norm.

    Example:
        >>> import pydl
        >>> pydl.ops.window_sum(pydl.tensor([[1., 2., 4.]]), 1, 0)
        tensor([[1., 3., 6.]])
    """

    def check(input: Tensor, below: int, above: int) -> tuple[Any, ...]:
        checks.input_arg(input, "window_sum", 2)
        if below < 0 or above < 0:
            raise ShapeError(f"window_sum: below and above must not be negative, got {below} and {above}")
        return input, int(below), int(above)

    def forward(ctx: Any, x: Tensor, below: int, above: int) -> Tensor:
        ctx.below, ctx.above = below, above
        return core.window_sum(x, below, above)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return window_sum(dy, ctx.above, ctx.below)


@composite
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y_c = x_c / (k + α/size Σ x_d²)^β, the sum over the `size` channels around c, size // 2 of them before it.

    Shapes: x (N, C, ...) of three dimensions at least, y as x. Gradient: by composition.
    Errors: ValueError for fewer dimensions; RuntimeError if size is not positive; NotImplementedError for integers.
    Source: Krizhevsky et al. 2012; torch.nn.functional.local_response_norm.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.local_response_norm(pydl.tensor([[[1.], [2.]]]), 2, alpha=2.0, beta=1.0)
        tensor([[[0.5000],
                 [0.3333]]])
    """
    checks.input_arg(input, "local_response_norm", 0)
    if input.ndim < 3:
        raise ShapeError(
            f"local_response_norm: Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if size < 1:
        raise RuntimeError(f"local_response_norm: size should be greater than zero, but got {size}")
    squares = window_sum(input * input, size // 2, (size - 1) // 2)
    return input / (squares * (alpha / size) + k) ** beta


@composite
def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Tensor:
    """y = x / max(‖x‖_p, eps), the norm over `dim`, an int or several.

    Shapes: any, y as x. Gradient: by composition. Errors: RuntimeError for integers; IndexError.
    Source: torch.nn.functional.normalize.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.normalize(pydl.tensor([[3., 4.]]))
        tensor([[0.6000, 0.8000]])
    """
    tensor_arg(input, "normalize", "input")
    y = input / norm(input, p, dim, keepdim=True).clamp(min=eps)
    return y if out is None else out.copy_(y)
