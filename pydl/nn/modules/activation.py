# SPDX-License-Identifier: BSD-3-Clause
"""Activations made of straight pieces, as modules; the smooth ones: activation_smooth.py."""

from __future__ import annotations

import warnings
from typing import Any

from pydl import ops
from pydl.nn import functional as F
from pydl.nn.init import constant_
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = [
    "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "PReLU", "RReLU", "ReLU", "ReLU6",
    "Softshrink", "Threshold",
]  # fmt: skip

_relu, _relu_ = ops.relu, ops.relu_  # found at once: a call is short work


class ReLU(Module):
    """y = max(x, 0), in place if asked.

    Shapes: any. Gradient: dy where x > 0, else 0. Errors: as `nn.functional.relu`. Source: torch.nn.ReLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReLU()(pydl.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return _relu_(input) if self.inplace else _relu(input)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val); min_value and max_value are older names of the bounds.

    Shapes: any. Gradient: dy strictly between the bounds, else 0. Errors: AssertionError unless min_val < max_val.
    Source: torch.nn.Hardtanh.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Hardtanh(-1.0, 2.0)(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.,  0.,  2.])
    """

    min_val: float
    max_val: float
    inplace: bool

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, new, value in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if value is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and rename to `{new}`", FutureWarning, stacklevel=2
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if not self.max_val > self.min_val:
            raise AssertionError(f"Hardtanh: max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        inplace = ", inplace=True" if self.inplace else ""
        return f"min_val={self.min_val}, max_val={self.max_val}{inplace}"


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6).

    Shapes: any. Gradient: dy where 0 < x < 6, else 0. Errors: as `nn.functional.relu6`. Source: torch.nn.ReLU6.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ReLU6()(pydl.tensor([-2.0, 3.0, 8.0]))
        tensor([0., 3., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class LeakyReLU(Module):
    """y = x above 0, negative_slope · x below.

    Shapes: any. Gradient: dy or negative_slope · dy. Errors: as `nn.functional.leaky_relu`. Source: torch.nn.LeakyReLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LeakyReLU(0.1)(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.2000,  0.0000,  3.0000])
    """

    negative_slope: float
    inplace: bool

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """y = x above 0, w_c x below, with one learnt w, or one for each channel c (dimension 1).

    Shapes: x (N, C, ...), w (num_parameters). Gradient: dx = dy or w dy, dw = Σ x dy where x ≤ 0. w starts as `init`;
    weight decay pulls it to 0, which makes it a relu. Errors: as `nn.functional.prelu`. Source: torch.nn.PReLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.PReLU()(pydl.tensor([-2.0, 0.0, 3.0])).tolist()
        [-0.5, 0.0, 3.0]
    """

    num_parameters: int
    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = new_parameter(num_parameters, dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets w to `init` again."""
        constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """y = x above 0, r x below: r uniform in [lower, upper) for each element in training, else their mean.

    Shapes: any. Gradient: dy or r dy. Errors: as `nn.functional.rrelu`. Source: torch.nn.RReLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.RReLU(0.1, 0.3).eval()(pydl.tensor([-2.0, 3.0]))
        tensor([-0.4000,  3.0000])
    """

    lower: float
    upper: float
    inplace: bool

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Threshold(Module):
    """y = x above the threshold, else value.

    Shapes: any. Gradient: dy above the threshold, else 0. Errors: as `nn.functional.threshold`.
    Source: torch.nn.Threshold.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Threshold(1.0, 20.0)(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([20., 20.,  3.])
    """

    threshold: float
    value: float
    inplace: bool

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardsigmoid(Module):
    """y = min(max(x + 3, 0), 6) / 6.

    Shapes: any. Gradient: dy / 6 where −3 < x < 3, else 0. Errors: as `nn.functional.hardsigmoid`.
    Source: torch.nn.Hardsigmoid.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Hardsigmoid()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([0.1667, 0.5000, 1.0000])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(Module):
    """y = x min(max(x + 3, 0), 6) / 6.

    Shapes: any. Gradient: dy (x/3 + 1/2) where −3 < x < 3, dy above, 0 below. Errors: as `nn.functional.hardswish`.
    Source: torch.nn.Hardswish.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Hardswish()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.3333,  0.0000,  3.0000])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Hardshrink(Module):
    """y = x, but 0 where |x| ≤ lambd.

    Shapes: any. Gradient: dy outside, 0 inside. Errors: as `nn.functional.hardshrink`. Source: torch.nn.Hardshrink.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Hardshrink()(pydl.tensor([-2.0, 0.3, 3.0]))
        tensor([-2.,  0.,  3.])
    """

    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Softshrink(Module):
    """y = x moved by lambd towards 0, and 0 where |x| ≤ lambd.

    Shapes: any. Gradient: dy outside, 0 inside. Errors: as `nn.functional.softshrink`. Source: torch.nn.Softshrink.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softshrink()(pydl.tensor([-2.0, 0.3, 3.0]))
        tensor([-1.5000,  0.0000,  2.5000])
    """

    lambd: float

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return f"{self.lambd}"
