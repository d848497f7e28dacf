# SPDX-License-Identifier: BSD-3-Clause
"""Joining tensors and cutting them into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import index as as_int
from typing import Any

import numpy as np

from pydl._core import dtypes
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import empty
from pydl.ops._arrays import along
from pydl.ops._checks import dim_arg, ints_arg, tensor_arg
from pydl.ops._declare import composite, op

__all__ = [
    "cat", "chunk", "concat", "concatenate", "dstack", "hstack", "narrow", "select", "split", "split_with_sizes",
    "stack", "tensor_split", "unbind", "vstack",
]  # fmt: skip

Tensors = Sequence["Tensor"]


def _tensors_arg(tensors: Any, op_name: str) -> tuple[Tensor, ...]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, Sequence):
        raise TypeError(f"{op_name}: tensors must be a tuple or list of Tensors, not {type(tensors).__name__}")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{op_name}: expected Tensor as element {i}, but got {type(t).__name__}")
    if not tensors:
        raise ShapeError(f"{op_name}: expected a non-empty list of Tensors")
    return tuple(tensors)


def _common_type(tensors: tuple[Tensor, ...]) -> np.dtype[Any]:
    return dtypes.promote([(t.array.dtype, t.array.ndim, False) for t in tensors])


@op(numpy_backed=True)
class cat:
    """y = [x₀, x₁, …]: the tensors one after the other along `dim`.

    Shapes: all sizes agree but that of `dim`, which add up; tensors of shape (0,) are skipped, as in PyTorch.
    The types are promoted. Gradient: each x gets its own part of dy.
    Errors: ShapeError naming the tensor that does not fit; TypeError for what is no list of tensors.
    Source: torch.cat.

    Example:
        >>> import pydl
        >>> pydl.cat((pydl.ones(1, 2), pydl.zeros(2, 2)))
        tensor([[1., 1.],
                [0., 0.],
                [0., 0.]])
    """

    def check(tensors: Tensors, dim: int = 0) -> tuple[Any, ...]:
        parts = _tensors_arg(tensors, "cat")
        first = parts[0].array
        if first.ndim and all(t.array.shape == first.shape and t.array.dtype == first.dtype for t in parts):
            return (dim_arg(dim, first.ndim, "cat"), first.dtype, *parts)
        return (*_check_unequal(parts, dim), *parts)

    def forward(ctx: Any, dim: int, np_dtype: np.dtype[Any], *tensors: Tensor) -> Tensor:
        arrays = [t.array for t in tensors if t.array.shape != (0,)] or [tensors[0].array]
        ctx.dim = dim
        ctx.sizes = [None if t.array.shape == (0,) else t.array.shape[dim] for t in tensors]
        ctx.dtypes = [t.dtype for t in tensors]
        shape = list(arrays[0].shape)
        shape[dim] = sum(a.shape[dim] for a in arrays)
        y = empty(tuple(shape), np_dtype)
        np.concatenate(arrays, axis=dim, out=y.array, casting="unsafe")
        return y

    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        grads: list[Tensor | None] = []
        start = 0
        for size, dtype, needed in zip(ctx.sizes, ctx.dtypes, ctx.needs[2:], strict=True):
            part = None
            if needed:
                part = dy.new_zeros((0,)) if size is None else narrow(dy, ctx.dim, start, size)
                part = part if part.dtype == dtype else part.to(dtype)
            grads.append(part)
            start += size or 0
        return None, None, *grads


def _check_unequal(parts: tuple[Tensor, ...], dim: int) -> tuple[int, np.dtype[Any]]:
    """The dim and the common type of tensors that differ in shape or type."""
    for i, t in enumerate(parts):
        if t.array.ndim == 0:
            raise RuntimeError(f"cat: zero-dimensional tensor (at position {i}) cannot be concatenated")
    kept = [t for t in parts if t.array.shape != (0,)]
    first = (kept or parts)[0].array
    dim = dim_arg(dim, first.ndim, "cat")
    expected = first.shape
    for i, t in enumerate(parts):
        shape = t.array.shape
        fits = len(shape) == len(expected) and all(
            n == m for d, (n, m) in enumerate(zip(shape, expected, strict=True)) if d != dim
        )
        if not fits and shape != (0,):
            raise ShapeError(
                f"cat: Sizes of tensors must match except in dimension {dim}: tensor {i} has shape {shape}, "
                f"the first one {expected}"
            )
    return dim, _common_type(parts)


@composite
def concat(tensors: Tensors, dim: int = 0) -> Tensor:
    """`cat` by its longer name. Shapes, gradient, errors: as `cat`. Source: torch.concat.

    Example:
        >>> import pydl
        >>> pydl.concat((pydl.ones(1), pydl.zeros(2)))
        tensor([1., 0., 0.])
    """
    return cat(tensors, dim)


@composite
def concatenate(tensors: Tensors, dim: int = 0) -> Tensor:
    """`cat` by NumPy's name. Shapes, gradient, errors: as `cat`. Source: torch.concatenate.

    Example:
        >>> import pydl
        >>> pydl.concatenate((pydl.ones(1), pydl.zeros(2)))
        tensor([1., 0., 0.])
    """
    return cat(tensors, dim)


@composite
def stack(tensors: Tensors, dim: int = 0) -> Tensor:
    """y[i] = xᵢ: tensors of one shape along a new dimension `dim`.

    Shapes: (A, B) n times → (n, A, B), or with dim=2 (A, B, n). Gradient: each x gets its own slice of dy.
    Errors: ShapeError if the shapes differ. Source: torch.stack.

    Example:
        >>> import pydl
        >>> pydl.stack((pydl.ones(2), pydl.zeros(2)), dim=1)
        tensor([[1., 0.],
                [1., 0.]])
    """
    parts = _tensors_arg(tensors, "stack")
    dim = dim_arg(dim, parts[0].array.ndim + 1, "stack")
    for i, t in enumerate(parts):
        if t.array.shape != parts[0].array.shape:
            raise ShapeError(
                f"stack: stack expects each tensor to be equal size, but got {list(parts[0].array.shape)} at entry 0 "
                f"and {list(t.array.shape)} at entry {i}"
            )
    return cat([t.unsqueeze(dim) for t in parts], dim)


def _at_least(t: Tensor, ndim: int) -> Tensor:
    """As NumPy's atleast_1d, _2d, _3d: new dimensions in front, but the third at the end."""
    if t.array.ndim == 0:
        return t.reshape((1,) * ndim)
    if t.array.ndim == 1 and ndim > 1:
        t = t.unsqueeze(0)
    return t.unsqueeze(-1) if ndim == 3 and t.array.ndim == 2 else t


@composite
def hstack(tensors: Tensors) -> Tensor:
    """The tensors side by side: `cat` along dim 1, or along dim 0 for 1-d ones.

    Shapes, gradient, errors: as `cat`; 0-d tensors count as 1-d. Source: torch.hstack.

    Example:
        >>> import pydl
        >>> pydl.hstack((pydl.ones(2), pydl.zeros(1)))
        tensor([1., 1., 0.])
    """
    parts = [_at_least(t, 1) for t in _tensors_arg(tensors, "hstack")]
    return cat(parts, 0 if parts[0].array.ndim == 1 else 1)


@composite
def vstack(tensors: Tensors) -> Tensor:
    """The tensors one above the other: 1-d ones become rows.

    Shapes, gradient, errors: as `cat` along dim 0, of at least 2-d tensors. Source: torch.vstack.

    Example:
        >>> import pydl
        >>> pydl.vstack((pydl.ones(2), pydl.zeros(2)))
        tensor([[1., 1.],
                [0., 0.]])
    """
    return cat([_at_least(t, 2) for t in _tensors_arg(tensors, "vstack")], 0)


@composite
def dstack(tensors: Tensors) -> Tensor:
    """The tensors behind one another, along dim 2.

    Shapes, gradient, errors: as `cat`, of at least 3-d tensors. Source: torch.dstack.

    Example:
        >>> import pydl
        >>> pydl.dstack((pydl.ones(2), pydl.zeros(2))).shape
        pydl.Size([1, 2, 2])
    """
    return cat([_at_least(t, 3) for t in _tensors_arg(tensors, "dstack")], 2)


@composite
def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """The view of `length` slices of `dim` from `start` on.

    Shapes: those of x with `length` in `dim`. Gradient: dx = dy in that part, else 0. Errors: IndexError, RuntimeError
    for a part outside of x. Source: torch.narrow.

    Example:
        >>> import pydl
        >>> pydl.arange(5).narrow(0, 1, 3)
        tensor([1, 2, 3])
    """
    tensor_arg(input, "narrow", "input")
    if input.array.ndim == 0:
        raise RuntimeError("narrow: cannot be applied to a 0-dim tensor")
    dim = dim_arg(dim, input.array.ndim, "narrow")
    n, start = input.array.shape[dim], as_int(start)
    if not -n <= start <= n:
        raise IndexError(f"narrow: start {start} is out of bounds for dimension {dim} with size {n}")
    start = start + n if start < 0 else start
    if length < 0 or start + length > n:
        raise RuntimeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({n})")
    return input[along(input.array.ndim, dim, slice(start, start + length))]


@composite
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The view x[…, index, …] of one slice of `dim`. Gradient: dx = dy there, else 0. Errors: IndexError.

    Shapes: those of x without `dim`. Source: torch.select.

    Example:
        >>> import pydl
        >>> pydl.tensor([[1, 2], [3, 4]]).select(1, 0)
        tensor([1, 3])
    """
    tensor_arg(input, "select", "input")
    if input.array.ndim == 0:
        raise IndexError("select: cannot be applied to a 0-dim tensor")
    dim = dim_arg(dim, input.array.ndim, "select")
    return input[along(input.array.ndim, dim, as_int(index))]


@composite
def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: all of one size (the last may be smaller), or of the sizes in a list.

    Shapes: those of x with the size of each part in `dim`. Gradient: each part's dy at its place. Errors: RuntimeError
    if the sizes do not add up. Source: torch.split.

    Example:
        >>> import pydl
        >>> pydl.arange(5).split(2)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    tensor_arg(tensor, "split", "tensor")
    if tensor.array.ndim == 0:
        raise RuntimeError("split: expects at least a 1-dimensional tensor")
    dim = dim_arg(dim, tensor.array.ndim, "split")
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    n, size = tensor.array.shape[dim], split_size_or_sections
    if size < 0 or (size == 0 and n):
        raise RuntimeError(f"split: expects split_size to be positive, but got {size} for dimension size {n}")
    starts = range(0, n, size) if n else [0]
    return tuple(narrow(tensor, dim, s, min(size, n - s)) for s in starts)


@composite
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of the given sizes, which must add up to that of `dim`.

    Shapes: those of x with these sizes in `dim`. Gradient: each part's dy at its place. Errors: RuntimeError if they do
    not. Source: torch.split_with_sizes.

    Example:
        >>> import pydl
        >>> pydl.split_with_sizes(pydl.arange(5), [2, 3])
        (tensor([0, 1]), tensor([2, 3, 4]))
    """
    tensor_arg(input, "split_with_sizes", "input")
    dim = dim_arg(dim, input.array.ndim, "split_with_sizes")
    n, sizes = input.array.shape[dim], ints_arg(split_sizes, "split_with_sizes", "split_sizes")
    if sum(sizes) != n or min(sizes, default=0) < 0:
        raise RuntimeError(f"split_with_sizes: sizes must sum exactly to {n} (dimension {dim}), but are {sizes}")
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(narrow(input, dim, start, size) for start, size in zip(starts, sizes, strict=False))


@composite
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most `chunks` parts of equal size (the last may be smaller).

    Shapes: those of x with the size of each part in `dim`. Gradient: each part's dy at its place. Errors: RuntimeError
    unless chunks > 0. Source: torch.chunk.

    Example:
        >>> import pydl
        >>> pydl.arange(5).chunk(3)
        (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    tensor_arg(input, "chunk", "input")
    if input.array.ndim == 0:
        raise RuntimeError("chunk: expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk: expects `chunks` to be greater than 0, got: {chunks}")
    dim = dim_arg(dim, input.array.ndim, "chunk")
    n = input.array.shape[dim]
    if n == 0:
        return split_with_sizes(input, [0] * chunks, dim)
    return split(input, -(-n // chunks), dim)


@composite
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of `sections` parts whose sizes differ by one at most, or cut at the given indices.

    Shapes: those of x with the size of each part in `dim`. Gradient: each part's dy at its place. Errors: RuntimeError
    unless sections > 0; IndexError. Source: torch.tensor_split.

    Example:
        >>> import pydl
        >>> pydl.arange(5).tensor_split(2)
        (tensor([0, 1, 2]), tensor([3, 4]))
    """
    tensor_arg(input, "tensor_split", "input")
    dim = dim_arg(dim, input.array.ndim, "tensor_split")
    n = input.array.shape[dim]
    if isinstance(indices_or_sections, int):
        sections = indices_or_sections
        if sections <= 0:
            raise RuntimeError(f"tensor_split: number of sections must be larger than 0, got {sections}")
        sizes = [n // sections + (i < n % sections) for i in range(sections)]
        return split_with_sizes(input, sizes, dim)
    cuts = [0, *indices_or_sections, n]
    whole = (slice(None),) * dim
    return tuple(input[(*whole, slice(a, b))] for a, b in pairwise(cuts))


@composite
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices of `dim`, without that dimension.

    Shapes: those of x without `dim`. Gradient: each slice's dy at its place. Errors: IndexError. Source: torch.unbind.

    Example:
        >>> import pydl
        >>> pydl.tensor([[1, 2], [3, 4]]).unbind()
        (tensor([1, 2]), tensor([3, 4]))
    """
    tensor_arg(input, "unbind", "input")
    if input.array.ndim == 0:
        raise IndexError("unbind: Dimension specified as 0 but tensor has no dimensions")
    dim = dim_arg(dim, input.array.ndim, "unbind")
    return tuple(select(input, dim, i) for i in range(input.array.shape[dim]))
