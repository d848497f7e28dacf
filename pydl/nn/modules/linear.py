# SPDX-License-Identifier: BSD-3-Clause
"""Layers made of matrix products, and the identity."""

from __future__ import annotations

import math
from typing import Any

from pydl._core import dtypes, tape
from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["Bilinear", "Identity", "Linear", "new_parameter"]


def new_parameter(*shape: int, dtype: Any = None, device: Any = None) -> Parameter:
    """A parameter whose values are still to be set by `reset_parameters`."""
    if device is not None:
        dtypes.device(device)
    return Parameter(tape.empty(shape, dtypes.as_np(dtypes.get_default_dtype() if dtype is None else dtype)))


class Identity(Module):
    """y = x; takes and ignores any arguments at construction, so that it can stand where a layer was.

    Shapes: any. Gradient: dy. Errors: none; all arguments are taken. Source: torch.nn.Identity.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Identity(54, unused=True)(pydl.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """y = x Wᵀ + b.

    Shapes: x (..., in_features), W (out_features, in_features), b (out_features), y (..., out_features).
    Gradient: dx = dy W, dW = dyᵀ x, db = Σ dy over all but the last dimension.
    W and b start uniform in ±1/√in_features. Errors: ShapeError if x does not end in in_features.
    Source: torch.nn.Linear.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Linear(20, 30)
        >>> m(pydl.ones(128, 20)).shape == (128, 30)
        True
        >>> m
        Linear(in_features=20, out_features=30, bias=True)
    """

    in_features: int
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = new_parameter(out_features, in_features, dtype=dtype, device=device)
        self.register_parameter("bias", new_parameter(out_features, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values: both uniform in ±1/√in_features."""
        # Kaiming's uniform law with a = √5: the bound √(6/(1+5)/fan_in) is 1/√fan_in.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y_k = x1ᵀ W_k x2 + b_k.

    Shapes: x1 (..., in1), x2 (..., in2), W (out, in1, in2), b (out), y (..., out).
    Gradient: by composition of products. All start uniform in ±1/√in1.
    Errors: ValueError if in1 is not positive. Source: torch.nn.Bilinear.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Bilinear(20, 30, 40)
        >>> m(pydl.ones(128, 20), pydl.ones(128, 30)).shape == (128, 40)
        True
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"Bilinear: in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = new_parameter(out_features, in1_features, in2_features, dtype=dtype, device=device)
        self.register_parameter("bias", new_parameter(out_features, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new values: uniform in ±1/√in1."""
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
