# SPDX-License-Identifier: BSD-3-Clause
"""The products of matrices and vectors that have a name of their own; the work is that of `matmul`."""

from __future__ import annotations

from typing import Any

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite
from pydl.ops.native import matmul

__all__ = ["addmm", "addmv", "baddbmm", "bmm", "dot", "mm", "mv", "outer"]


def _check(op_name: str, ranks: tuple[int, int], a: Tensor, b: Tensor, names: tuple[str, str]) -> None:
    """The ranks, the types and the inner sizes."""
    for value, name, rank in zip((a, b), names, ranks, strict=True):
        tensor_arg(value, op_name, name)
        if value.array.ndim != rank:
            raise ShapeError(f"{op_name}: {name} must have {rank} dimensions, not {value.array.shape}")
    if a.array.dtype != b.array.dtype:
        raise RuntimeError(f"{op_name}: {names[0]} {a.dtype} and {names[1]} {b.dtype} must have the same dtype")
    left, right = a.array.shape, b.array.shape
    if left[-1] != right[max(0, len(right) - 2)] or (len(left) == 3 and left[0] != right[0]):
        raise ShapeError(f"{op_name}: {names[0]} {left} and {names[1]} {right} cannot be multiplied")


@composite
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Y = A B for matrices. Shapes: (n, m), (m, p) → (n, p). Gradient: dA = dY Bᵀ, dB = Aᵀ dY.

    Errors: ShapeError for other ranks or sizes; RuntimeError if the types differ. Source: torch.mm.

    Example:
        >>> import pydl
        >>> pydl.mm(pydl.ones(1, 2), pydl.ones(2, 1))
        tensor([[2.]])
    """
    _check("mm", (2, 2), input, mat2, ("input", "mat2"))
    y: Tensor = matmul(input, mat2)
    return y


@composite
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Y_b = A_b B_b for batches of matrices. Shapes: (b, n, m), (b, m, p) → (b, n, p). Gradient: as `mm`.

    Errors: ShapeError, RuntimeError as `mm`. Source: torch.bmm.

    Example:
        >>> import pydl
        >>> pydl.bmm(pydl.ones(3, 1, 2), pydl.ones(3, 2, 1)).shape
        pydl.Size([3, 1, 1])
    """
    _check("bmm", (3, 3), input, mat2, ("input", "mat2"))
    y: Tensor = matmul(input, mat2)
    return y


@composite
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """y = A v. Shapes: (n, m), (m,) → (n,). Gradient: dA = dy vᵀ, dv = Aᵀ dy. Errors: as `mm`. Source: torch.mv.

    Example:
        >>> import pydl
        >>> pydl.mv(pydl.ones(2, 2), pydl.tensor([1., 2.]))
        tensor([3., 3.])
    """
    _check("mv", (2, 1), input, vec, ("input", "vec"))
    y: Tensor = matmul(input, vec)
    return y


@composite
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """y = Σ a_i b_i. Shapes: (n,), (n,) → (). Gradient: da = b dy, db = a dy. Errors: as `mm`. Source: torch.dot.

    Example:
        >>> import pydl
        >>> pydl.dot(pydl.tensor([1., 2.]), pydl.tensor([3., 4.]))
        tensor(11.)
    """
    _check("dot", (1, 1), input, tensor, ("input", "tensor"))
    y: Tensor = matmul(input, tensor)
    return y


@composite
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Y_ij = a_i b_j. Shapes: (n,), (m,) → (n, m). Gradient: da = dY b, db = dYᵀ a. Source: torch.outer.

    Errors: ShapeError for other ranks.

    Example:
        >>> import pydl
        >>> pydl.outer(pydl.tensor([1., 2.]), pydl.tensor([3., 4.]))
        tensor([[3., 4.],
                [6., 8.]])
    """
    for value, name in ((input, "input"), (vec2, "vec2")):
        tensor_arg(value, "outer", name)
        if value.array.ndim != 1:
            raise ShapeError(f"outer: {name} must have 1 dimension, not {value.array.ndim} {value.array.shape}")
    return input.unsqueeze(1) * vec2.unsqueeze(0)


def _plus(op_name: str, bias: Any, product: Tensor, beta: float, alpha: float) -> Tensor:
    tensor_arg(bias, op_name, "input")
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled  # the bias is ignored, NaN and all
    return scaled + (bias if beta == 1 else bias * beta)


@composite
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Y = β C + α A B; C broadcasts to the product.

    Shapes: A (M, K), B (K, N), Y (M, N). Gradient: dC = β dY, as `mm` for A and B. Source: torch.addmm.

    Errors: ShapeError, RuntimeError as `mm`.

    Example:
        >>> import pydl
        >>> pydl.addmm(pydl.ones(1), pydl.ones(1, 2), pydl.ones(2, 1), alpha=3)
        tensor([[7.]])
    """
    _check("addmm", (2, 2), mat1, mat2, ("mat1", "mat2"))
    return _plus("addmm", input, matmul(mat1, mat2), beta, alpha)


@composite
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """y = β c + α A v.

    Shapes: A (M, K), v (K), y (M); c broadcasts to y. Gradient: dc = β dy, as `mv` for A and v. Errors: as `mm`.
    Source: torch.addmv.

    Example:
        >>> import pydl
        >>> pydl.addmv(pydl.ones(1), pydl.ones(2, 2), pydl.ones(2), alpha=3)
        tensor([7., 7.])
    """
    _check("addmv", (2, 1), mat, vec, ("mat", "vec"))
    return _plus("addmv", input, matmul(mat, vec), beta, alpha)


@composite
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """Y_b = β C_b + α A_b B_b.

    Shapes: A (B, M, K), B (B, K, N), Y (B, M, N); C broadcasts to Y. Gradient: dC = β dY, as `bmm` for A and B.
    Errors: as `mm`. Source: torch.baddbmm.

    Example:
        >>> import pydl
        >>> pydl.baddbmm(pydl.ones(1), pydl.ones(1, 1, 2), pydl.ones(1, 2, 1))
        tensor([[[3.]]])
    """
    _check("baddbmm", (3, 3), batch1, batch2, ("batch1", "batch2"))
    return _plus("baddbmm", input, matmul(batch1, batch2), beta, alpha)
