# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise functions that are not hot: rounding, trigonometry, relatives of exp and log."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import as_float, dense
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite, op

__all__ = [
    "ceil", "cos", "cosh", "exp2", "floor", "frac", "log10", "log2", "round", "rsqrt", "sign", "sin", "sinh", "tan",
    "trunc",
]  # fmt: skip


def _stepwise(ctx: Any, x: Tensor, function: Any) -> Tensor:
    """A function that is constant between its steps; integers and bools stay as they are."""
    a = x.array
    return dense(function(a) if a.dtype.kind == "f" else a.copy())


def _flat(dy: Tensor) -> Tensor:
    return wrap(np.zeros_like(dy.array))


def _checked(input: Tensor, op_name: str) -> tuple[Tensor]:
    tensor_arg(input, op_name, "input")
    return (input,)


@op(numpy_backed=True, inplace=True)
class floor:
    """y = ⌊x⌋. Shapes: those of x. Gradient: 0. Errors: TypeError unless x is a Tensor. Source: torch.floor.

    Example:
        >>> import pydl
        >>> pydl.floor(pydl.tensor([1.5, -1.5]))
        tensor([ 1., -2.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "floor")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _stepwise(ctx, x, np.floor)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _flat(dy)


@op(numpy_backed=True, inplace=True)
class ceil:
    """y = ⌈x⌉. Shapes: those of x. Gradient: 0. Errors: TypeError unless x is a Tensor. Source: torch.ceil.

    Example:
        >>> import pydl
        >>> pydl.ceil(pydl.tensor([1.5, -1.5]))
        tensor([ 2., -1.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "ceil")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _stepwise(ctx, x, np.ceil)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _flat(dy)


@op(numpy_backed=True, inplace=True)
class trunc:
    """y = x without its fraction.

    Shapes: those of x. Gradient: 0. Errors: TypeError unless x is a Tensor. Source: torch.trunc, torch.fix.

    Example:
        >>> import pydl
        >>> pydl.trunc(pydl.tensor([1.5, -1.5]))
        tensor([ 1., -1.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "trunc")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _stepwise(ctx, x, np.trunc)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _flat(dy)


@op(numpy_backed=True, inplace=True)
class round:
    """y = the nearest multiple of 10^−decimals, ties to the even one.

    Shapes: those of x. Gradient: 0. Errors: TypeError unless x is a Tensor. Source: torch.round.

    Example:
        >>> import pydl
        >>> pydl.round(pydl.tensor([0.5, 1.5, 2.6]))
        tensor([0., 2., 3.])
    """

    def check(input: Tensor, *, decimals: int = 0) -> tuple[Any, ...]:
        return (*_checked(input, "round"), decimals)

    def forward(ctx: Any, x: Tensor, decimals: int) -> Tensor:
        return _stepwise(ctx, x, lambda a: np.round(a, decimals))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _flat(dy)


@op(numpy_backed=True, inplace=True)
class sign:
    """y = −1, 0 or 1; 0 for NaN.

    Shapes and type: those of x. Gradient: 0. Errors: TypeError unless x is a Tensor. Source: torch.sign.

    Example:
        >>> import pydl
        >>> pydl.sign(pydl.tensor([-2., 0., 3.]))
        tensor([-1.,  0.,  1.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "sign")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        a = x.array
        return dense(a.copy() if a.dtype == np.bool_ else (a > 0).astype(a.dtype) - (a < 0).astype(a.dtype))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return _flat(dy)


@composite
def frac(input: Tensor) -> Tensor:
    """y = x − trunc(x): the fraction, with the sign of x.

    Shapes: those of x. Gradient: dx = dy. Errors: TypeError unless x is a Tensor. Source: torch.frac.

    Example:
        >>> import pydl
        >>> pydl.frac(pydl.tensor([1.5, -1.5]))
        tensor([ 0.5000, -0.5000])
    """
    tensor_arg(input, "frac", "input")
    return input - trunc(input)


def _smooth(ctx: Any, x: Tensor, function: Any) -> Tensor:
    """A differentiable function of floats; integers are converted to the default type."""
    ctx.save(x)
    with np.errstate(all="ignore"):
        return dense(function(as_float(x)))


@op(numpy_backed=True, inplace=True)
class sin:
    """y = sin x.

    Shapes: those of x. Gradient: dx = dy · cos x. Errors: TypeError unless x is a Tensor. Source: torch.sin.

    Example:
        >>> import pydl
        >>> pydl.sin(pydl.tensor([0.0]))
        tensor([0.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "sin")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.sin)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy * cos(ctx.saved[0])


@op(numpy_backed=True, inplace=True)
class cos:
    """y = cos x.

    Shapes: those of x. Gradient: dx = −dy · sin x. Errors: TypeError unless x is a Tensor. Source: torch.cos.

    Example:
        >>> import pydl
        >>> pydl.cos(pydl.tensor([0.0]))
        tensor([1.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "cos")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.cos)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return -dy * sin(ctx.saved[0])


@op(numpy_backed=True, inplace=True)
class tan:
    """y = tan x.

    Shapes: those of x. Gradient: dx = dy · (1 + y²). Errors: TypeError unless x is a Tensor. Source: torch.tan.

    Example:
        >>> import pydl
        >>> pydl.tan(pydl.tensor([0., 1.]))
        tensor([0.0000, 1.5574])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "tan")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = dense(np.tan(as_float(x)))
        ctx.save(y)
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (y,) = ctx.saved
        return dy * (1 + y * y)


@op(numpy_backed=True, inplace=True)
class sinh:
    """y = (eˣ − e⁻ˣ)/2.

    Shapes: those of x. Gradient: dx = dy · cosh x. Errors: TypeError unless x is a Tensor. Source: torch.sinh.

    Example:
        >>> import pydl
        >>> pydl.sinh(pydl.tensor([0., 1.]))
        tensor([0.0000, 1.1752])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "sinh")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.sinh)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy * cosh(ctx.saved[0])


@op(numpy_backed=True, inplace=True)
class cosh:
    """y = (eˣ + e⁻ˣ)/2.

    Shapes: those of x. Gradient: dx = dy · sinh x. Errors: TypeError unless x is a Tensor. Source: torch.cosh.

    Example:
        >>> import pydl
        >>> pydl.cosh(pydl.tensor([0., 1.]))
        tensor([1.0000, 1.5431])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "cosh")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.cosh)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy * sinh(ctx.saved[0])


@op(numpy_backed=True, inplace=True)
class exp2:
    """y = 2ˣ.

    Shapes: those of x. Gradient: dx = dy · y · ln 2. Errors: TypeError unless x is a Tensor. Source: torch.exp2.

    Example:
        >>> import pydl
        >>> pydl.exp2(pydl.tensor([0., 3.]))
        tensor([1., 8.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "exp2")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        with np.errstate(all="ignore"):
            y = dense(np.exp2(as_float(x)))
        ctx.save(y)
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy * ctx.saved[0] * math.log(2)


@op(numpy_backed=True, inplace=True)
class log2:
    """y = log₂ x; −∞ at 0, NaN below.

    Shapes: those of x. Gradient: dx = dy / (x ln 2). Errors: TypeError unless x is a Tensor. Source: torch.log2.

    Example:
        >>> import pydl
        >>> pydl.log2(pydl.tensor([1., 8.]))
        tensor([0., 3.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "log2")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.log2)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy / (ctx.saved[0] * math.log(2))


@op(numpy_backed=True, inplace=True)
class log10:
    """y = log₁₀ x; −∞ at 0, NaN below.

    Shapes: those of x. Gradient: dx = dy / (x ln 10). Errors: TypeError unless x is a Tensor. Source: torch.log10.

    Example:
        >>> import pydl
        >>> pydl.log10(pydl.tensor([1., 100.]))
        tensor([0., 2.])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "log10")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _smooth(ctx, x, np.log10)

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return dy / (ctx.saved[0] * math.log(10))


@op(numpy_backed=True, inplace=True)
class rsqrt:
    """y = 1/√x; ∞ at 0, NaN below.

    Shapes: those of x. Gradient: dx = −dy · y³ / 2. Errors: TypeError unless x is a Tensor. Source: torch.rsqrt.

    Example:
        >>> import pydl
        >>> pydl.rsqrt(pydl.tensor([4.0]))
        tensor([0.5000])
    """

    def check(input: Tensor) -> tuple[Any, ...]:
        return _checked(input, "rsqrt")

    def forward(ctx: Any, x: Tensor) -> Tensor:
        a = as_float(x)
        with np.errstate(all="ignore"):
            y = dense(np.reciprocal(np.sqrt(a)))
        ctx.save(y)
        return y

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (y,) = ctx.saved
        return dy * (y * y * y) * -0.5
