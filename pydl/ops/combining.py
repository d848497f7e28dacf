# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise combinations of several tensors, and movements of dimensions that other names stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import dim_arg, ints_arg, tensor_arg
from pydl.ops._declare import composite

__all__ = ["addcdiv", "addcmul", "broadcast_tensors", "broadcast_to", "lerp", "meshgrid", "movedim", "unflatten"]


@composite
def addcmul(input: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """y = x + value · a · b. Shapes: broadcast. Gradient: dx = dy, da = value b dy, db = value a dy.

    Errors: TypeError unless x is a Tensor; ShapeError if they do not broadcast. Source: torch.addcmul.

    Example:
        >>> import pydl
        >>> pydl.addcmul(pydl.ones(1), pydl.tensor([2.]), pydl.tensor([3.]), value=0.5)
        tensor([4.])
    """
    tensor_arg(input, "addcmul", "input")
    product = tensor1 * tensor2
    return input + (product if value == 1 else product * value)


@composite
def addcdiv(input: Tensor, tensor1: Any, tensor2: Any, *, value: float = 1) -> Tensor:
    """y = x + value · a / b. Shapes: broadcast. Gradient: dx = dy, da = value dy / b, db = −value a dy / b².

    Errors: RuntimeError for integers divided by integers. Source: torch.addcdiv.

    Example:
        >>> import pydl
        >>> pydl.addcdiv(pydl.ones(1), pydl.tensor([3.]), pydl.tensor([2.]))
        tensor([2.5000])
    """
    if not any(isinstance(t, Tensor) and t.dtype.is_floating_point for t in (tensor1, tensor2)):
        raise RuntimeError("addcdiv: integer division with addcdiv is not supported; convert to a floating-point type")
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else quotient * value)


@composite
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """y = x + weight · (end − x): linear interpolation. Shapes: broadcast; weight is a tensor or a number.

    Gradient: dx = (1 − weight) dy, dend = weight dy, dweight = (end − x) dy. Errors: RuntimeError if the types of x and
    end differ; ShapeError if they do not broadcast. Source: torch.lerp.

    Example:
        >>> import pydl
        >>> pydl.lerp(pydl.tensor([0.]), pydl.tensor([10.]), 0.25)
        tensor([2.5000])
    """
    tensor_arg(input, "lerp", "input")
    tensor_arg(end, "lerp", "end")
    if input.array.dtype != end.array.dtype:
        raise RuntimeError(f"lerp: expected one dtype for input and end, but got {input.dtype} and {end.dtype}")
    return input + weight * (end - input)


@composite
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """x with the source dims at the destination places, the others in their order; the same memory.

    Shapes: the sizes of x in the new order. Gradient: dy moved back. Errors: IndexError; RuntimeError if a dim occurs
    twice or the numbers differ. Source: torch.movedim.

    Example:
        >>> import pydl
        >>> pydl.movedim(pydl.ones(2, 3, 4), 0, -1).shape
        pydl.Size([3, 4, 2])
    """
    tensor_arg(input, "movedim", "input")
    ndim = input.array.ndim
    from_ = [dim_arg(d, ndim, "movedim") for d in ints_arg(source, "movedim", "source")]
    to = [dim_arg(d, ndim, "movedim") for d in ints_arg(destination, "movedim", "destination")]
    if len(from_) != len(to) or len(set(from_)) != len(from_) or len(set(to)) != len(to):
        raise RuntimeError(f"movedim: repeated dims, or another number of them, in {source} and {destination}")
    order = [d for d in range(ndim) if d not in from_]
    for place, d in sorted(zip(to, from_, strict=True)):
        order.insert(place, d)
    return input.permute(order) if ndim else input.clone()


@composite
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """x with one dimension cut into several; one size may be −1. Errors: IndexError; ShapeError.

    Shapes: those of x with `sizes` in place of `dim`. Gradient: dy in the shape of x. Source: torch.unflatten.

    Example:
        >>> import pydl
        >>> pydl.unflatten(pydl.ones(6, 2), 0, (2, -1)).shape
        pydl.Size([2, 3, 2])
    """
    tensor_arg(input, "unflatten", "input")
    shape = input.array.shape
    d = dim_arg(dim, len(shape), "unflatten")
    sizes = ints_arg(sizes, "unflatten", "sizes")
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = 1
    for n in sizes:
        known *= 1 if n == -1 else n
    if list(sizes).count(-1) > 1 or (known != shape[d] if -1 not in sizes else known == 0 or shape[d] % known):
        raise ShapeError(f"unflatten: sizes {sizes} do not multiply to {shape[d]}, the size of dimension {d}")
    full = [shape[d] // known if n == -1 else n for n in sizes]
    return input.reshape([*shape[:d], *full, *shape[d + 1 :]])


@composite
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """x.expand(size).

    Shapes: `size`. Gradient: dy summed over the repeated elements. Errors: ShapeError. Source: torch.broadcast_to.

    Example:
        >>> import pydl
        >>> pydl.broadcast_to(pydl.tensor([1, 2]), (2, 2))
        tensor([[1, 2],
                [1, 2]])
    """
    tensor_arg(input, "broadcast_to", "input")
    return input.expand(ints_arg(size, "broadcast_to", "size"))


@composite
def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All tensors expanded to their common shape.

    Shapes: the common one, for each. Gradient: each dy summed over the repeated elements. Errors: ShapeError.
    Source: torch.broadcast_tensors.

    Example:
        >>> import pydl
        >>> pydl.broadcast_tensors(pydl.tensor([[1], [2]]), pydl.tensor([3, 4]))[0]
        tensor([[1, 1],
                [2, 2]])
    """
    shape: tuple[int, ...] = ()
    for t in tensors:
        tensor_arg(t, "broadcast_tensors", "tensors")
        own = t.array.shape
        longer, shorter = (own, shape) if len(own) >= len(shape) else (shape, own)
        padded = (1,) * (len(longer) - len(shorter)) + tuple(shorter)
        if any(n != m and 1 not in (n, m) for n, m in zip(longer, padded, strict=True)):
            raise ShapeError(f"broadcast_tensors: {tuple(own)} does not broadcast with {shape}")
        shape = tuple(m if n == 1 else n for n, m in zip(longer, padded, strict=True))
    return tuple(t.expand(shape) for t in tensors)


@composite
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: y_k[i₀, i₁, …] = x_k[i_k]; with "xy" the first two dimensions are swapped.

    Shapes: 1-d (or 0-d) tensors. Gradient: each dy summed over the other dimensions. Errors: ShapeError; RuntimeError
    for another `indexing`. Source: torch.meshgrid.

    Example:
        >>> import pydl
        >>> pydl.meshgrid(pydl.tensor([1, 2]), pydl.tensor([3, 4]), indexing="ij")[0]
        tensor([[1, 1],
                [2, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', not {indexing!r}")
    for t in tensors:
        tensor_arg(t, "meshgrid", "tensors")
        if t.array.ndim > 1:
            raise ShapeError(f"meshgrid: Expected 0D or 1D tensor in the tensor list but got {t.array.shape}")
    shape = [max(t.array.size, 1) if t.array.ndim == 0 else t.array.size for t in tensors]
    grids = []
    for k, t in enumerate(tensors):
        grids.append(t.reshape([-1 if d == k else 1 for d in range(len(shape))]).expand(shape))
    if indexing == "xy" and len(grids) > 1:
        grids = [g.transpose(0, 1) for g in grids]
    return tuple(grids)
