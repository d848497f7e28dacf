# SPDX-License-Identifier: BSD-3-Clause
"""The forms in which recurrent layers take batches of sequences, and the rows that their operations work on.

The operations take rows step after step, the longest sequence first. A `Layout` says how the rows of an input lie and
brings results back into the input's form and order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import wrap
from pydl.nn.utils import _packing as packing
from pydl.nn.utils.rnn import PackedSequence, packed_orders, packed_sizes
from pydl.tensor import Tensor

__all__ = ["Layout", "layout_of"]


class Layout:
    """`sizes`: the number of rows of each step. `order`: the sequence that each row of the first step belongs to, or
    None if they come in their own order; `inverse` is its inverse permutation."""

    sizes: tuple[int, ...]
    order: packing.Array | None = None
    inverse: packing.Array | None = None

    def rows(self) -> Tensor:
        """The rows of the input (N, I), step after step."""
        raise NotImplementedError

    def restore(self, y: Tensor) -> Any:
        """Rows (N, F) in the form of the input."""
        raise NotImplementedError

    @property
    def n_sequences(self) -> int:
        return self.sizes[0]

    def first_states(self, h: Tensor) -> list[Tensor]:
        """The states (B, H) of each layer and direction, from those of all (layers, B, H) in the order of the input."""
        h = h if self.order is None else _reordered(h, self.order)
        return [h[i] for i in range(h.shape[0])]

    def last_states(self, states: list[Tensor]) -> Tensor:
        """The inverse of first_states."""
        h = states[0].unsqueeze(0) if len(states) == 1 else packing.cat([s.unsqueeze(0) for s in states])
        return h if self.inverse is None else _reordered(h, self.inverse)

    def state_shape(self, n_states: int, width: int) -> tuple[int, ...]:
        """The shape that given states must have."""
        return n_states, self.n_sequences, width


def _reordered(h: Tensor, order: packing.Array) -> Tensor:
    """h[:, order] as rows."""
    n_states, n_sequences, width = h.shape
    numbers: Any = wrap((np.arange(n_states)[:, None] * n_sequences + order).reshape(-1))
    rows = packing.take_rows(h.reshape(n_states * n_sequences, width), numbers)
    return rows.reshape(n_states, n_sequences, width)


class _OneSequence(Layout):
    """(T, I): a single sequence, whose states have no dimension for the batch."""

    def __init__(self, x: Tensor) -> None:
        self._x = x
        self.sizes = (1,) * x.shape[0]

    def rows(self) -> Tensor:
        return self._x

    def restore(self, y: Tensor) -> Tensor:
        return y

    def first_states(self, h: Tensor) -> list[Tensor]:
        return [h[i : i + 1] for i in range(h.shape[0])]

    def last_states(self, states: list[Tensor]) -> Tensor:
        h: Tensor = states[0] if len(states) == 1 else packing.cat(states)
        return h

    def state_shape(self, n_states: int, width: int) -> tuple[int, ...]:
        return n_states, width


class _Padded(Layout):
    """(T, B, I) or (B, T, I): sequences of one length."""

    def __init__(self, x: Tensor, batch_first: bool) -> None:
        self._x = x.transpose(0, 1) if batch_first else x
        self._batch_first = batch_first
        self.sizes = (x.shape[0 if batch_first else 1],) * x.shape[1 if batch_first else 0]

    def rows(self) -> Tensor:
        n_steps, n_sequences, width = self._x.shape
        return self._x.reshape(n_steps * n_sequences, width)

    def restore(self, y: Tensor) -> Tensor:
        y = y.reshape(len(self.sizes), self.sizes[0], y.shape[1])
        return y.transpose(0, 1) if self._batch_first else y


class _Ragged(Layout):
    """(T, B, I) or (B, T, I) with the length of each sequence: what lies behind it is neither read nor computed."""

    def __init__(self, x: Tensor, batch_first: bool, lengths: packing.Array) -> None:
        self._x = x
        n_steps, n_sequences = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
        order = packing.falling_order(lengths)
        steps, sequences, sizes = packing.packed_places(lengths[order])
        self.sizes = tuple(sizes.tolist())
        self._numbers = packing.row_numbers(steps, order[sequences], n_steps, n_sequences, batch_first)
        if not packing.is_falling(lengths):
            self.order, self.inverse = order, np.argsort(order)

    def rows(self) -> Tensor:
        a, b, width = self._x.shape
        return packing.take_rows(self._x.reshape(a * b, width), self._numbers)

    def restore(self, y: Tensor) -> Tensor:
        a, b = self._x.shape[:2]
        return packing.put_rows(y, self._numbers, a * b).reshape(a, b, y.shape[1])


class _PackedRows(Layout):
    """A PackedSequence."""

    def __init__(self, x: PackedSequence, name: str) -> None:
        self._x = x
        self.sizes = packed_sizes(x, name)
        orders = packed_orders(x, self.sizes[0], name)
        if orders is not None:
            self.order, self.inverse = orders

    def rows(self) -> Tensor:
        return self._x.data

    def restore(self, y: Tensor) -> PackedSequence:
        return PackedSequence(y, *self._x[1:])


def layout_of(input: Any, lengths: Any, batch_first: bool, name: str) -> Layout:
    """How the sequences of an input lie; raises for an input that is none, has no step, or does not fit its lengths."""
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise ValueError(f"{name}: lengths belongs to a padded batch; a PackedSequence knows its own")
        packed = _PackedRows(input, name)
        if input.data.ndim != 2:
            raise ShapeError(
                f"{name}: the data of a PackedSequence must be 2-D (rows, features), not {_shape(input.data)}"
            )
        return packed
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input must be a Tensor or a PackedSequence, not {type(input).__name__}")
    if input.ndim not in (2, 3):
        raise ShapeError(f"{name}: input must be 2-D (one sequence) or 3-D (a batch), not {_shape(input)}")
    n_steps = input.shape[1 if batch_first and input.ndim == 3 else 0]
    if n_steps == 0:
        raise ShapeError(f"{name}: expected a sequence length larger than 0, input has the shape {_shape(input)}")
    if input.ndim == 2:
        if lengths is not None:
            raise ShapeError(f"{name}: lengths belongs to a batch, but input {_shape(input)} is one sequence")
        return _OneSequence(input)
    if lengths is None:
        return _Padded(input, batch_first)
    values = packing.lengths_arg(lengths, input.shape[0 if batch_first else 1], n_steps, input.shape, name)
    return _Ragged(input, batch_first, values) if (values < n_steps).any() else _Padded(input, batch_first)


def _shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
