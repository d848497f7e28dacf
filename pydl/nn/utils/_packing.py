# SPDX-License-Identifier: BSD-3-Clause
"""Which rows of a padded batch lie where in a packed one, and the moving of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from operator import index as as_int
from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import wrap
from pydl.ops import gathering, joining, lookups, native
from pydl.tensor import Tensor

Array = np.ndarray[Any, Any]

# Declared operations are typed as classes in their own files.
cat: Any = joining.cat
_index_select: Any = gathering.index_select
_embedding: Any = lookups.embedding
_embedding_backward: Any = lookups.embedding_backward


def lengths_arg(lengths: Any, n_sequences: int, n_steps: int | None, shape: Any, op: str, least: int = 1) -> Array:
    """`lengths` as int64, one for each sequence, from `least` to n_steps (None: without limit).

    Errors: TypeError unless they are integers; ShapeError for a wrong count, number of dimensions or length.
    """
    if isinstance(lengths, Tensor | np.ndarray):
        values: Array = np.asarray(lengths.array if isinstance(lengths, Tensor) else lengths)
        if values.dtype.kind not in "iu":
            raise TypeError(f"{op}: lengths must be integers, not {lengths.dtype}")
        if values.ndim != 1:
            raise ShapeError(
                f"{op}: lengths must have 1 dimension, one number a sequence, not the shape {values.shape}"
            )
        if values.dtype == np.uint64:
            values = np.minimum(values, np.uint64(2**63 - 1))  # what is above would become negative
        values = values.astype(np.int64)
    else:
        if isinstance(lengths, str | Mapping | Set) or not isinstance(lengths, Iterable):
            raise TypeError(f"{op}: lengths must be a list or a 1-D tensor of integers, not {type(lengths).__name__}")
        values = np.array([_length(n, op) for n in lengths], np.int64)
    if values.size != n_sequences:
        raise ShapeError(
            f"{op}: lengths has {values.size} numbers, but input {tuple(shape)} has {n_sequences} sequences"
        )
    if values.size and values.min() < least:
        i = int(values.argmin())
        raise ShapeError(f"{op}: lengths must be greater than {least - 1}, but lengths[{i}] is {values[i]}")
    if n_steps is not None and values.size and values.max() > n_steps:
        i = int(values.argmax())
        raise ShapeError(f"{op}: lengths[{i}] is {values[i]}, but input {tuple(shape)} has {n_steps} steps")
    return values


def _length(value: Any, op: str) -> int:
    try:
        length = as_int(value)
    except TypeError:
        raise TypeError(f"{op}: lengths must be integers, but one is {value!r}") from None
    if not -(2**63) <= length < 2**63:
        raise ShapeError(f"{op}: lengths must fit the steps of the input, but one is {length}")
    return length


def falling_order(lengths: Array) -> Array:
    """The numbers of the sequences from the longest to the shortest, equal ones in their own order."""
    return np.argsort(-lengths, kind="stable")


def is_falling(lengths: Array) -> bool:
    return bool((lengths[1:] <= lengths[:-1]).all())


def packed_places(lengths: Array) -> tuple[Array, Array, Array]:
    """(step, sequence) of every row of a packed batch, and the number of rows of each step; lengths fall."""
    longest = int(lengths[0]) if lengths.size else 0
    present = np.arange(longest)[:, None] < lengths
    steps, sequences = np.nonzero(present)
    return steps, sequences, present.sum(1)


def lengths_of(batch_sizes: Array) -> Array:
    """The lengths of the sequences, falling, from the number of rows of each step."""
    n_sequences = int(batch_sizes[0]) if batch_sizes.size else 0
    return (np.arange(n_sequences)[:, None] < batch_sizes).sum(1)


def row_numbers(steps: Array, sequences: Array, n_steps: int, n_sequences: int, batch_first: bool) -> Tensor:
    """The number of each (step, sequence) among the rows of a padded batch (T, B) or, batch_first, (B, T)."""
    made: Any = wrap(sequences * n_steps + steps if batch_first else steps * n_sequences + sequences)
    return made


def take_rows(x: Tensor, numbers: Tensor) -> Tensor:
    """x[numbers]: the rows of x (R, …) that the numbers name, gathered by a compiled kernel if they are floating point.

    Gradient: dy is added to the rows it came from; the others get exactly 0.
    """
    if not x.dtype.is_floating_point:
        return _as_tensor(_index_select(x, 0, numbers))
    width = math.prod(x.shape[1:])
    return _as_tensor(_embedding(numbers, x.reshape(x.shape[0], width)).reshape(numbers.shape[0], *x.shape[1:]))


def put_rows(rows: Tensor, numbers: Tensor, n_rows: int, fill: float = 0.0) -> Tensor:
    """y (n_rows, …) with y[numbers] = rows and `fill` in every other row; no number repeats.

    Gradient: drows = dy[numbers].
    """
    rest = tuple(rows.shape[1:])
    if not rows.dtype.is_floating_point:
        out = np.full((n_rows, *rest), fill, rows.dtype.np)
        out[numbers.array] = rows.array
        return _as_tensor(wrap(out))
    y = _embedding_backward(rows.reshape(rows.shape[0], math.prod(rest)), numbers, n_rows)
    if fill != 0:
        present = np.zeros((n_rows, 1), bool)
        present[numbers.array] = True
        y = native.where(wrap(present), y, fill)
    return _as_tensor(y.reshape(n_rows, *rest))


def _as_tensor(y: Any) -> Tensor:
    """Operations are typed by the class of the core; all that they make is a Tensor."""
    made: Tensor = y
    return made
