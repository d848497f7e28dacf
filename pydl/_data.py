# SPDX-License-Identifier: BSD-3-Clause
"""From numbers, nested lists, arrays and tensors to a NumPy array of the element type that PyTorch would choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pydl._core import dtypes
from pydl._core.tape import TensorBase

__all__ = ["as_array", "new_shape"]

Array = np.ndarray[Any, Any]


def _plain(data: Any) -> Any:
    """A nested list with every tensor in it replaced by its array."""
    if isinstance(data, TensorBase):
        if data.ndim and data.array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return data.array.reshape(())
    return [_plain(item) for item in data] if isinstance(data, Sequence) else data


def _first_leaf(data: Any) -> Any:
    while isinstance(data, Sequence) and not isinstance(data, str) and len(data):
        data = data[0]
    return data


def _check_numbers(a: Array, data: Any) -> None:
    """Raises for what NumPy makes of things that are no numbers."""
    leaf = _first_leaf(data)
    if a.dtype.kind in "US":
        error = TypeError if a.ndim == 0 else ValueError
        raise error(f"tensor: invalid data type {type(leaf).__name__!r}")
    if isinstance(leaf, int) and a.dtype.kind in "uO":
        raise ValueError("tensor: an integer does not fit into int64")
    if a.dtype.kind == "O":
        raise RuntimeError(f"tensor: Could not infer dtype of {type(leaf).__name__}")


def as_array(data: Any, np_dtype: np.dtype[Any] | None = None) -> Array:
    """The data as an array, of the given type or of PyTorch's choice; the memory is shared where that is possible.

    Arrays and tensors keep their type. Python's numbers give bool, int64 or the default type.
    """
    if isinstance(data, TensorBase):
        a: Array = data.array
    elif isinstance(data, np.ndarray):
        a = data
        dtypes.from_np(a.dtype)
    else:
        leaf = _first_leaf(data)
        try:
            a = np.asarray(_plain(data) if isinstance(leaf, TensorBase) else data)
        except ValueError as error:
            raise ValueError(f"tensor: the nested lists do not form a box: {error}") from None
        except OverflowError:
            raise ValueError("tensor: an integer does not fit into int64") from None
        _check_numbers(a, data)
        if a.dtype.kind == "f" and np_dtype is None and not isinstance(leaf, (np.generic, np.ndarray, TensorBase)):
            a = a.astype(dtypes.default_np())
        dtypes.from_np(a.dtype)
    if np_dtype is None or a.dtype == np_dtype:
        return a
    with np.errstate(invalid="ignore", over="ignore"):
        return a.astype(np_dtype)


def new_shape(size: tuple[Any, ...], op: str) -> tuple[int, ...]:
    """The shape given as f(2, 3) or f((2, 3)), checked."""
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        if not isinstance(size[0], Sequence):
            raise TypeError(f"{op}: the size must be ints or a sequence of ints, not {type(size[0]).__name__}")
        size = tuple(size[0])
    try:
        shape = tuple(n.__index__() for n in size)
    except (AttributeError, TypeError):
        raise TypeError(f"{op}: the size must be ints, not {size}") from None
    for n in shape:
        if n < 0:
            raise RuntimeError(f"{op}: Trying to create tensor with negative dimension {n}: {list(shape)}")
    return shape
