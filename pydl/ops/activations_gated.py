# SPDX-License-Identifier: BSD-3-Clause
"""Activations with a second tensor, a gate or chance: PReLU, GLU, randomized leaky ReLU, Gumbel softmax, softmin."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from pydl._core import activation as core
from pydl._core import tape
from pydl._core.activation_functions import leaky_relu
from pydl._core.binary_functions import where
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl._core.unary_functions import sigmoid
from pydl.ops._checks import dim_arg, tensor_arg
from pydl.ops._declare import composite, op
from pydl.ops.joining import cat
from pydl.ops.softmaxes import softmax

__all__ = ["glu", "gumbel_softmax", "prelu", "rrelu", "rrelu_", "softmin"]


def _float_arg(input: Any, op_name: str) -> None:
    tensor_arg(input, op_name, "input")
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"{op_name}: not implemented for {input.dtype}")


def _check_prelu(input: Any, weight: Any) -> None:
    tensor_arg(input, "prelu", "input")
    tensor_arg(weight, "prelu", "weight")
    if input.dtype is not weight.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    _float_arg(input, "prelu")
    if weight.ndim > 1:
        raise ShapeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: {tuple(weight.shape)}")
    if weight.ndim == 1 and tuple(weight.shape) != (1,):
        if input.ndim == 0:
            raise ShapeError(f"prelu: Not allow zero-dim input tensor with weight {tuple(weight.shape)}.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if weight.shape[0] != channels:
            raise ShapeError(
                f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.shape[0]} and channel size = {channels} (input {tuple(input.shape)})."
            )


def _sum_per_channel(g: Any, weight: Any) -> Any:
    """The sum of g over everything that shared an element of weight."""
    if weight.ndim == 0 or weight.shape[0] == 1:
        return g.sum().reshape(tuple(weight.shape))
    return g.sum([d for d in range(g.ndim) if d != 1]) if g.ndim > 2 else g.sum(0)


@op
class prelu:
    """y = x above 0, w_c x below, with one learnt w for all or one for each channel c (dimension 1).

    Shapes: x (N, C, ...), w (C), (1) or (). Gradient: dx = dy or w dy, dw = Σ x dy where x ≤ 0.
    Errors: ShapeError; RuntimeError for different types. Source: torch.nn.functional.prelu, torch.prelu.

    Example:
        >>> import pydl
        >>> pydl.prelu(pydl.tensor([-2., 3.]), pydl.tensor([0.25]))
        tensor([-0.5000,  3.0000])
    """

    def check(input: Tensor, weight: Tensor) -> tuple[Any, ...]:
        _check_prelu(input, weight)
        return input, weight

    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save(x, w)
        return core.prelu_fwd(x, w)

    def backward(ctx: Any, dy: Any) -> tuple[Any, Any]:
        x, w = ctx.saved
        dx = dw = None
        if ctx.needs[0]:
            if is_grad_enabled():
                shape = (1, -1, *[1] * (x.ndim - 2)) if w.ndim and w.shape[0] > 1 else ()
                dx = where(x > 0, dy, dy * w.reshape(shape))
            else:
                dx = core.prelu_bwd(dy, x, w)
        if ctx.needs[1]:
            dw = _sum_per_channel(dy * x.clamp(max=0), w)
        return dx, dw


@op
class glu:
    """y = a σ(b), where a and b are the two halves of x along `dim`: the gated linear unit.

    Shapes: size S along `dim` becomes S/2. Gradient: da = σ(b) dy, db = a σ(b) (1 − σ(b)) dy.
    Errors: RuntimeError for scalars and an odd size; IndexError. Source: torch.nn.functional.glu.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.glu(pydl.tensor([4., 0.]))
        tensor([2.])
    """

    def check(input: Tensor, dim: int = -1) -> tuple[Any, ...]:
        tensor_arg(input, "glu", "input")
        if input.ndim == 0:
            raise RuntimeError("glu: does not support scalars because halving size must be even")
        number = dim_arg(dim, input.ndim, "glu")
        if input.shape[number] % 2:
            raise ShapeError(
                f"glu: Halving dimension must be even, but dimension {number} is size {input.shape[number]} "
                f"(input {tuple(input.shape)})"
            )
        _float_arg(input, "glu")
        return input, number

    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.save(x)
        ctx.dim = dim
        return core.glu_fwd(x, dim)

    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        if not is_grad_enabled():
            return core.glu_bwd(dy, x, ctx.dim)
        a, b = x.chunk(2, ctx.dim)
        s: Any = sigmoid(b)
        return cat([dy * s, dy * a * (s * (1 - s))], ctx.dim)


def _random_slope(input: Any, lower: float, upper: float, training: bool) -> Any:
    """1 above 0, below a slope for each element, uniform in [lower, upper); None: their mean for all."""
    _float_arg(input, "rrelu")
    if lower > upper:
        raise RuntimeError(f"rrelu: Lower bound should be less than or equal to the upper bound, but {lower} > {upper}")
    if not training:
        return None
    detached = input.detach()
    noise: Any = tape.empty(tuple(input.shape), np.dtype(input.dtype.np))
    return where(detached > 0, 1.0, noise.uniform_(lower, upper))


@composite
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """y = x above 0, r x below: r uniform in [lower, upper) for each element in training, else their mean.

    Shapes: any. Gradient: dy or r dy. Errors: RuntimeError for lower > upper. Source: torch.nn.functional.rrelu.

    Example:
        >>> import pydl
        >>> pydl.rrelu(pydl.tensor([-2., 3.]), 0.1, 0.3)
        tensor([-0.4000,  3.0000])
    """
    slope = _random_slope(input, lower, upper, training)
    if slope is None:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    result: Any = input
    return result.mul_(slope) if inplace else result * slope


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """rrelu in place: x is overwritten with the result. Source: torch.nn.functional.rrelu_."""
    return rrelu(input, lower, upper, training, True)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """y = softmax((logits + g) / tau) with Gumbel noise g = −log(−log u): a differentiable draw of a category.

    hard: the value is the one-hot vector of the largest, the gradient still that of the softmax. `eps` has no effect.
    Shapes: those of logits. Gradient: the softmax's. Errors: RuntimeError for integers; IndexError.
    Source: torch.nn.functional.gumbel_softmax.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.gumbel_softmax(pydl.zeros(2, 3), hard=True).sum(1)
        tensor([1., 1.])
    """
    given: Any = logits
    tensor_arg(logits, "gumbel_softmax", "logits")
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    if not given.dtype.is_floating_point:
        raise RuntimeError(f"gumbel_softmax: dtype must be a floating point but you specified {given.dtype}")
    waiting: Any = tape.empty(tuple(given.shape), np.dtype(given.dtype.np))
    soft: Any = softmax((given - waiting.exponential_().log()) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    chosen: Any = tape.wrap(np.zeros(tuple(given.shape), given.dtype.np))
    return chosen.scatter_(dim, index, 1.0) - soft.detach() + soft


@composite
def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """y_i = exp(−x_i) / Σ_j exp(−x_j) along `dim`: the softmax of −x.

    Shapes: those of x. Gradient: dx = −y (dy − Σ_j y_j dy_j). Errors: as softmax. Source: torch.nn.functional.softmin.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.softmin(pydl.tensor([0., 0.]), dim=0)
        tensor([0.5000, 0.5000])
    """
    tensor_arg(input, "softmin", "input")
    negated: Any = -input
    return softmax(negated, dim, _stacklevel, dtype)
