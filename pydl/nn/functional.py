# SPDX-License-Identifier: BSD-3-Clause
"""The operations of networks as functions; they are declared, each with its gradient, in `pydl.ops`.

Which they are follows from the `__all__` of their families. What type checkers read, functional.pyi, is written by
`python -m tests.stubs`.
"""

from __future__ import annotations

from pydl._core.errors import ShapeError
from pydl.ops import of_networks
from pydl.tensor import Tensor

_OPERATIONS = of_networks()
__all__ = sorted([*_OPERATIONS, "bilinear"])
globals().update(_OPERATIONS)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_k = x1ᵀ W_k x2 + b_k.

    Shapes: x1 (..., I), x2 (..., J), W (K, I, J), b (K), y (..., K). Gradient: by composition of products.
    Errors: ShapeError if the shapes do not fit. Source: torch.nn.functional.bilinear.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.bilinear(pydl.ones(4, 2), pydl.ones(4, 3), pydl.ones(5, 2, 3)).shape == (4, 5)
        True
    """
    k, i, j = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or input1.shape[-1] != i or input2.shape[-1] != j:
        raise ShapeError(
            f"bilinear: input1 {tuple(input1.shape)} and input2 {tuple(input2.shape)} do not fit weight "
            f"{tuple(weight.shape)}: (..., I) and (..., J) with (K, I, J)"
        )
    lead = tuple(input1.shape[:-1])
    # Σ_i x1_i W_kij for all k and j is one product; the sum over j is a batch of small ones.
    left = input1.reshape(-1, i) @ weight.permute(1, 0, 2).reshape(i, k * j)
    y = (left.reshape(-1, k, j) @ input2.reshape(-1, j, 1)).reshape(*lead, k)
    return y if bias is None else y + bias
