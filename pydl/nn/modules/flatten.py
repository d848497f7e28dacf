# SPDX-License-Identifier: BSD-3-Clause
"""Merging and splitting dimensions."""

from __future__ import annotations

from typing import Any

from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Merges the dimensions `start_dim` to `end_dim` (included) into one; by default all but the batch.

    Shapes: x (N, *) → y (N, Π *). Gradient: dy in the shape of x. Errors: IndexError for a bad dimension.
    Source: torch.nn.Flatten.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Flatten()(pydl.ones(32, 1, 5, 5)).shape == (32, 25)
        True
    """

    start_dim: int
    end_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into `unflattened_size`; one entry may be −1.

    Shapes: x (..., Π s, ...) → y (..., s₁, s₂, ..., ...). Gradient: dy in the shape of x.
    Errors: TypeError for sizes that are not integers; NotImplementedError for named dimensions.
    Source: torch.nn.Unflatten.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.Unflatten(1, (2, -1))(pydl.ones(2, 50)).shape == (2, 2, 25)
        True
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        if isinstance(dim, str):
            raise NotImplementedError("Unflatten: named dimensions are not covered; give the dimension's number")
        if not isinstance(dim, int):
            raise TypeError(
                f"Unflatten: invalid argument type for dim parameter: it must be an int, not {type(dim).__name__}"
            )
        _check_sizes(unflattened_size)
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        dim = self.dim + input.ndim if self.dim < 0 else self.dim
        if not 0 <= dim < max(input.ndim, 1):
            raise IndexError(f"Unflatten: dim {self.dim} is out of range for an input of {input.ndim} dimensions")
        shape = tuple(input.shape)
        return input.reshape(*shape[:dim], *_sizes(shape[dim], self.unflattened_size, shape), *shape[dim + 1 :])

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _check_sizes(sizes: Any) -> None:
    if not isinstance(sizes, (tuple, list)):
        raise TypeError(f"Unflatten: unflattened_size must be a tuple of ints, but found type {type(sizes).__name__}")
    for position, size in enumerate(sizes):
        if not isinstance(size, int):
            raise TypeError(
                f"Unflatten: unflattened_size must be tuple of ints, but found element of type {type(size).__name__} "
                f"at pos {position}"
            )


def _sizes(n: int, sizes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """`sizes` with a −1 among them replaced, so that their product is n."""
    known = 1
    for size in sizes:
        known *= 1 if size == -1 else size
    holes = list(sizes).count(-1)
    fits = known == n if holes == 0 else holes == 1 and known > 0 and n % known == 0
    if not fits:
        raise RuntimeError(f"Unflatten: x has {n} features in that dimension (x {shape}), but sizes are {tuple(sizes)}")
    return tuple(n // known if size == -1 else size for size in sizes)
