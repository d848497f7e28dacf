# SPDX-License-Identifier: BSD-3-Clause
"""Integers as indicator vectors and as counts."""

from __future__ import annotations

import numpy as np

from pydl._core.errors import IndexRangeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import wrap
from pydl.ops._arrays import Array, dense
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite

__all__ = ["bincount", "one_hot"]


@composite(differentiable=False)
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """y[…, c] = 1 where x[…] = c, else 0.

    Shapes: x (…) int64 → (…, num_classes) int64; without `num_classes` the largest value decides. Gradient: none,
    integers. Errors: IndexError (also a RuntimeError) naming a value outside of [0, num_classes). Source: F.one_hot.

    Example:
        >>> import pydl
        >>> pydl.nn.functional.one_hot(pydl.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    tensor_arg(tensor, "one_hot", "tensor")
    values: Array = tensor.array
    if values.dtype != np.int64:
        raise RuntimeError(f"one_hot: is only applicable to index tensor of type int64, not {tensor.dtype}")
    if num_classes == 0 or (num_classes == -1 and values.size == 0):
        raise RuntimeError("one_hot: the number of classes cannot be told from an empty tensor; give num_classes")
    if num_classes < -1:
        raise RuntimeError(f"one_hot: num_classes must be positive, not {num_classes}")
    count = int(values.max()) + 1 if num_classes == -1 else num_classes
    bad = values[(values < 0) | (values >= count)]
    if bad.size:
        raise IndexRangeError(f"one_hot: class value {bad.flat[0]} must be in [0, {max(count, 0)})")
    y = np.zeros((values.size, count), np.int64)
    y[np.arange(values.size), values.reshape(-1)] = 1
    return wrap(y.reshape(*values.shape, count))


@composite(differentiable=False)
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, … occurs, or the sum of the weights there.

    Shapes: (n,) integers → (max(largest + 1, minlength),) int64, or the type of the weights. Gradient: none.
    Errors: RuntimeError for negative values or other shapes. Source: torch.bincount.

    Example:
        >>> import pydl
        >>> pydl.bincount(pydl.tensor([0, 2, 2]))
        tensor([1, 0, 2])
    """
    tensor_arg(input, "bincount", "input")
    values: Array = input.array
    if values.ndim != 1 or values.dtype.kind not in "iu" or (values.size and values.min() < 0):
        raise RuntimeError(
            f"bincount: only supports 1-d non-negative integral inputs, not {values.shape} {input.dtype}"
            + (f" with {values.min()}" if values.size else "")
        )
    if weights is None:
        return dense(np.bincount(values, minlength=minlength).astype(np.int64))
    tensor_arg(weights, "bincount", "weights")
    if weights.array.shape != values.shape:
        raise RuntimeError(f"bincount: weights {weights.array.shape} must have the length of input {values.shape}")
    sums = np.bincount(values, weights.array, minlength)
    return dense(sums.astype(weights.array.dtype if weights.array.dtype.kind == "f" else np.float64))
