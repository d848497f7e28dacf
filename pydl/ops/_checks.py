# SPDX-License-Identifier: BSD-3-Clause
"""What the checks of several operations have in common: arguments that are dims, indices, reductions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index as as_int
from typing import Any

import numpy as np

from pydl._core import dtypes
from pydl._core.errors import IndexRangeError, ShapeError
from pydl._core.tape import TensorBase, wrap

Array = np.ndarray[Any, Any]


def tensor_arg(value: object, op: str, name: str) -> None:
    """Raises TypeError unless `value` is a tensor."""
    if not isinstance(value, TensorBase):
        raise TypeError(f"{op}: {name} must be a Tensor, not {type(value).__name__}")


def float_arg(value: Any, op: str, name: str) -> None:
    """Raises unless `value` is a tensor of a floating-point type."""
    tensor_arg(value, op, name)
    if value.array.dtype.kind != "f":
        raise NotImplementedError(f"{op}: {name} must have a floating-point type, not {value.dtype}")


def dim_arg(dim: Any, ndim: int, op: str) -> int:
    """`dim` as a non-negative number; a 0-d tensor counts as having one dimension."""
    try:
        number = as_int(dim)
    except TypeError:
        raise TypeError(f"{op}: dim must be an int, not {type(dim).__name__}") from None
    size = max(ndim, 1)
    if not -size <= number < size:
        raise IndexError(
            f"{op}: Dimension out of range (expected to be in range of [{-size}, {size - 1}], but got {number})"
        )
    return number % size


def dims_arg(dim: int | Iterable[int] | None, ndim: int, op: str) -> tuple[int, ...]:
    """The dims as non-negative numbers in rising order; None and () mean all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = [dim_arg(d, ndim, op) for d in (dim if isinstance(dim, Iterable) else (dim,))]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"{op}: dim {d} appears multiple times in the list of dims")
    return tuple(sorted(dims)) if dims and ndim else tuple(range(ndim))


def ints_arg(value: Any, op: str, name: str) -> tuple[int, ...]:
    """One int or a sequence of them, as a tuple."""
    try:
        return tuple(map(as_int, value)) if isinstance(value, Iterable) else (as_int(value),)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int or a sequence of ints, not {value!r}") from None


def per_dim_arg(value: Any, n: int, op: str, name: str) -> tuple[int, ...]:
    """One int for all of the n spatial dimensions, or one for each, as a tuple."""
    if type(value) is int:
        return (value,) * n
    if type(value) is tuple and len(value) == n:
        for v in value:
            if type(v) is not int:
                break
        else:
            return value
    sizes = ints_arg(value, op, name)
    if len(sizes) == 1:
        sizes *= n
    if len(sizes) != n:
        raise ShapeError(f"{op}: {name} must be one number or {n}, not {sizes}")
    return sizes


def sizes_arg(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given one by one, `f(2, 3)`, or as one sequence, `f((2, 3))`."""
    if len(sizes) == 1 and isinstance(sizes[0], Sequence):
        sizes = tuple(sizes[0])
    return tuple(as_int(s) for s in sizes)


def reduction_arg(size_average: bool | None, reduce: bool | None, reduction: str, op: str) -> str:
    """One of none, mean, sum; the two deprecated flags win when given, as in PyTorch."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return "none"
        return "sum" if size_average is False else "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{op}: {reduction} is not a valid value for reduction; it is none, mean or sum")
    return reduction


def index_values(index: Any, op: str, name: str = "index") -> Array:
    """The array behind an index tensor, which must hold int64 or int32."""
    tensor_arg(index, op, name)
    values: Array = index.array
    if values.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{op}: Expected dtype int32/int64 for {name}, not {index.dtype}")
    return values


def check_range(values: Array, size: int, dim: int, op: str, *, negative: bool = False) -> None:
    """Raises IndexRangeError naming the first value outside of [0, size), or of [-size, size) if `negative`."""
    if values.size == 0:
        return
    low = -size if negative else 0
    if values.min() >= low and values.max() < size:
        return
    bad = values[(values < low) | (values >= size)].flat[0]
    raise IndexRangeError(f"{op}: index {bad} is out of bounds for dimension {dim} with size {size}")


def broadcast_shape(op: str, **named: Any) -> tuple[int, ...]:
    """The common shape of the named tensors, or a ShapeError that shows them."""
    try:
        return np.broadcast_shapes(*(t.shape for t in named.values()))
    except ValueError:
        shapes = " and ".join(f"{name} {tuple(t.shape)}" for name, t in named.items())
        raise ShapeError(f"{op}: the shapes of {shapes} do not broadcast together") from None


def pair_args(a: Any, b: Any, op: str) -> tuple[Any, Any]:
    """Both operands as tensors of the promoted type that broadcast together; one may be a number."""
    described: list[tuple[Any, int, bool]] = []
    for x in (a, b):
        if isinstance(x, TensorBase):
            described.append((x.dtype.np, x.ndim, False))
        elif isinstance(x, (bool, int, float, np.generic)):
            described.append((np.dtype(type(x)), 0, True))
        else:
            raise TypeError(f"{op}: takes tensors and numbers, not {type(x).__name__}")
    if described[0][2] and described[1][2]:
        raise TypeError(f"{op}: at least one operand must be a Tensor")
    common = dtypes.promote(described)
    x, y = (
        wrap(np.asarray(v, common)) if scalar else v if v.dtype.np == common else v.to(dtypes.from_np(common))
        for v, (_, _, scalar) in zip((a, b), described, strict=True)
    )
    broadcast_shape(op, input=x, other=y)
    return x, y
