# SPDX-License-Identifier: BSD-3-Clause
"""Smooth activations as modules."""

from __future__ import annotations

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "LogSigmoid", "Mish", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh",
    "Tanhshrink",
]  # fmt: skip


class Tanh(Module):
    """y = tanh x.

    Shapes: any. Gradient: dy (1 − y²). Errors: as `nn.functional.tanh`. Source: torch.nn.Tanh.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Tanh()(pydl.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class Sigmoid(Module):
    """y = 1 / (1 + e^(−x)).

    Shapes: any. Gradient: dy y (1 − y). Errors: as `nn.functional.sigmoid`. Source: torch.nn.Sigmoid.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Sigmoid()(pydl.tensor([0.0, 1.0]))
        tensor([0.5000, 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class ELU(Module):
    """y = x above 0, alpha (eˣ − 1) below.

    Shapes: any. Gradient: dy, or alpha · eˣ · dy where x ≤ 0. Errors: as `nn.functional.elu`. Source: torch.nn.ELU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.ELU()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.8647,  0.0000,  3.0000])
    """

    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class SELU(Module):
    """y = 1.0507 (x above 0, 1.6733 (eˣ − 1) below): the elu that keeps mean 0 and variance 1.

    Shapes: any. Gradient: as ELU's. Errors: as `nn.functional.selu`. Source: torch.nn.SELU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.SELU()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.5202,  0.0000,  3.1521])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class CELU(Module):
    """y = x above 0, alpha (e^(x/alpha) − 1) below.

    Shapes: any. Gradient: dy, or e^(x/alpha) · dy where x ≤ 0. Errors: as `nn.functional.celu`. Source: torch.nn.CELU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.CELU(2.0)(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.2642,  0.0000,  3.0000])
    """

    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """y = x Φ(x), Φ the normal distribution, or its approximation by tanh (approximate="tanh").

    Shapes: any. Gradient: dy (Φ(x) + x φ(x)). Errors: as `nn.functional.gelu`. Source: torch.nn.GELU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.GELU()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.0455,  0.0000,  2.9960])
    """

    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """y = x σ(x), also known as swish.

    Shapes: any. Gradient: dy σ(x) (1 + x (1 − σ(x))). Errors: as `nn.functional.silu`. Source: torch.nn.SiLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.SiLU()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.2384,  0.0000,  2.8577])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Mish(Module):
    """y = x tanh(log(1 + eˣ)).

    Shapes: any. Gradient: dy (t + x (1 − t²) σ(x)), t = y / x. Errors: as `nn.functional.mish`. Source: torch.nn.Mish.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Mish()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.2525,  0.0000,  2.9865])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Softplus(Module):
    """y = log(1 + e^(beta x)) / beta, and x where beta x > threshold.

    Shapes: any. Gradient: dy σ(beta x). Errors: as `nn.functional.softplus`. Source: torch.nn.Softplus.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softplus()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([0.1269, 0.6931, 3.0486])
    """

    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """y = x / (1 + |x|).

    Shapes: any. Gradient: dy / (1 + |x|)². Errors: as `nn.functional.softsign`. Source: torch.nn.Softsign.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Softsign()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-0.6667,  0.0000,  0.7500])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x − tanh x.

    Shapes: any. Gradient: dy tanh² x. Errors: as `nn.functional.tanhshrink`. Source: torch.nn.Tanhshrink.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Tanhshrink()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-1.0360,  0.0000,  2.0049])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class LogSigmoid(Module):
    """y = log σ(x) = −log(1 + e⁻ˣ).

    Shapes: any. Gradient: dy σ(−x). Errors: as `nn.functional.logsigmoid`. Source: torch.nn.LogSigmoid.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.LogSigmoid()(pydl.tensor([-2.0, 0.0, 3.0]))
        tensor([-2.1269, -0.6931, -0.0486])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class GLU(Module):
    """y = a σ(b) with the two halves a, b of x along `dim`: the gated linear unit.

    Shapes: size S along `dim` becomes S/2. Gradient: da = σ(b) dy, db = a σ(b) (1 − σ(b)) dy. Errors: as
    `nn.functional.glu`. Source: torch.nn.GLU.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.GLU()(pydl.tensor([4.0, 0.0]))
        tensor([2.])
    """

    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
