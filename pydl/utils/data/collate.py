# SPDX-License-Identifier: BSD-3-Clause
"""How samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from pydl import ops
from pydl._core import dtypes, tape
from pydl.tensor import Tensor

__all__ = ["default_collate", "default_convert"]


def default_convert(data: Any) -> Any:
    """NumPy arrays and scalars in `data` as tensors, through dicts, tuples and lists; all else stays as it is.

    Source: torch.utils.data.default_convert.

    Example:
        >>> import numpy as np
        >>> from pydl.utils.data import default_convert
        >>> default_convert({"x": np.array([0, 1]), "name": "a"})
        {'x': tensor([0, 1]), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else tape.wrap(np.asarray(data))
    if isinstance(data, Mapping):
        return _rebuilt_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt_sequence(data, [default_convert(value) for value in data])
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """One batch of the samples in `batch`: tensors, arrays and numbers get a new first dimension; dicts, tuples and
    lists are combined entry by entry; strings stay as they are.

    Errors: RuntimeError for tensors or sequences of different size; TypeError for other types.
    Source: torch.utils.data.default_collate.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import default_collate
        >>> default_collate([{"x": pydl.tensor([1.0]), "y": 0}, {"x": pydl.tensor([2.0]), "y": 1}])
        {'x': tensor([[1.],
                [2.]]), 'y': tensor([0, 1])}
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.stack(list(batch), 0)
    if isinstance(first, (np.ndarray, np.generic, float, int)):
        return _collate_numbers(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return _rebuilt_mapping(first, {key: default_collate([sample[key] for sample in batch]) for key in first})
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("default_collate: each element in list of batch should be of equal size")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        if isinstance(first, tuple):
            return type(first)(*columns) if hasattr(first, "_fields") else columns
        return _rebuilt_sequence(first, columns)
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}"
    )


def _collate_numbers(batch: Sequence[Any]) -> Tensor:
    first = batch[0]
    if isinstance(first, (np.ndarray, np.generic)):
        if first.dtype.kind in "SUO":
            raise TypeError(
                f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
                f"found {first.dtype}"
            )
        try:
            return tape.wrap(np.stack(batch))
        except ValueError as error:
            shapes = sorted({np.shape(sample) for sample in batch})
            raise RuntimeError(f"default_collate: arrays of different shapes {shapes}") from error
    if isinstance(first, float):
        return tape.wrap(np.array(batch, dtype=np.float64))
    numbers = np.array(batch)
    if numbers.dtype.kind == "f":  # an int first, a float later
        return tape.wrap(numbers.astype(dtypes.as_np(dtypes.get_default_dtype())))
    return tape.wrap(numbers)


def _rebuilt_mapping(original: Any, values: dict[Any, Any]) -> Any:
    """A mapping of the type of `original`, with these values; a dict if that type cannot be built so."""
    try:
        if hasattr(original, "update"):
            clone = copy(original)
            clone.update(values)
            return clone
        return type(original)(values)
    except TypeError:
        return values


def _rebuilt_sequence(original: Any, values: list[Any]) -> Any:
    try:
        return type(original)(values)
    except TypeError:  # range, for one
        return values
