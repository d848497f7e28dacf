# SPDX-License-Identifier: BSD-3-Clause
"""Batches of sequences of unequal length: padded to one length, or packed without the padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index as as_int
from typing import Any, NamedTuple

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.tape import wrap
from pydl.nn.utils import _packing as packing
from pydl.ops._checks import check_range, index_values
from pydl.tensor import Tensor

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences without padding: step after step the rows of the sequences that have this step, the longest first.

    `pack_padded_sequence` and `pack_sequence` make them; recurrent layers take and return them. data (N, …) holds the
    rows, batch_sizes (T) int64 how many each step has. sorted_indices (B) says which sequence each row of the first
    step belongs to, unsorted_indices is its inverse; both are None if the sequences were in falling order.
    Source: torch.nn.utils.rnn.PackedSequence.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pack_sequence
        >>> pack_sequence([pydl.tensor([1., 2.]), pydl.tensor([3., 4., 5.])], enforce_sorted=False)
        PackedSequence(data=tensor([3., 1., 4., 2., 5.]), batch_sizes=tensor([2, 2, 1]), \
sorted_indices=tensor([1, 0]), unsorted_indices=tensor([1, 0]))
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, list | tuple) or len(data) != 2:
                raise AssertionError("PackedSequence: without batch_sizes, data must be a pair (data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor) -> PackedSequence:
        return self if data is self.data else type(self)(data, *self[1:])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """data in another type; itself if it has it already. Source: torch.nn.utils.rnn.PackedSequence.to."""
        return self._with(self.data.to(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Itself: there is one device."""
        return self._with(self.data.cpu(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Raises as Tensor.cuda does: there is one device."""
        return self._with(self.data.cuda(*args, **kwargs))

    def double(self) -> PackedSequence:
        """data as float64."""
        return self._with(self.data.double())

    def float(self) -> PackedSequence:
        """data as float32."""
        return self._with(self.data.float())

    def half(self) -> PackedSequence:
        """Raises as Tensor.half does: there is no float16."""
        return self._with(self.data.half())

    def long(self) -> PackedSequence:
        """data as int64."""
        return self._with(self.data.long())

    def int(self) -> PackedSequence:
        """data as int32."""
        return self._with(self.data.int())

    def short(self) -> PackedSequence:
        """data as int16."""
        return self._with(self.data.short())

    def char(self) -> PackedSequence:
        """data as int8."""
        return self._with(self.data.char())

    def byte(self) -> PackedSequence:
        """data as uint8."""
        return self._with(self.data.byte())

    def pin_memory(self) -> PackedSequence:
        """As Tensor.pin_memory."""
        return self._with(self.data.pin_memory())

    @property
    def is_cuda(self) -> bool:
        """False: there is one device."""
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        """False: there is no pinned memory."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """q with q[p[i]] = i; None for None.

    Shapes: p and q (B), int64 or int32. Errors: IndexError for a number outside of [0, B); ShapeError if one is there
    twice; RuntimeError for another type.
    Source: torch.nn.utils.rnn.invert_permutation.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import invert_permutation
        >>> invert_permutation(pydl.tensor([2, 0, 1]))
        tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    values = index_values(permutation, "invert_permutation", "permutation")
    check_range(values, values.size, 0, "invert_permutation")
    if values.ndim != 1 or np.bincount(values, minlength=values.size).max(initial=1) > 1:
        raise ShapeError(f"invert_permutation: {permutation.tolist()} names a number twice or is not a vector")
    inverse = np.empty_like(values)
    inverse[values] = np.arange(inverse.size, dtype=inverse.dtype)
    made: Any = wrap(inverse)
    return made


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The rows of a padded batch without the padding, step after step, the longest sequence first.

    lengths: a list or 1-D tensor of integers. Unless enforce_sorted they may come in any order.
    Shapes: input (T, B, …) or (B, T, …) of any type, data (Σ lengths, …).
    Gradient: dinput = d(data) at its places, exactly 0 in the padding.
    Errors: TypeError for lengths that are not integers; ShapeError for a length outside of [1, T], for a number of
    lengths that is not B, for lengths that do not fall with enforce_sorted.
    Source: torch.nn.utils.rnn.pack_padded_sequence; PyTorch cuts off fractions of lengths.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pack_padded_sequence
        >>> x = pydl.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
        >>> packed = pack_padded_sequence(x, [2, 1, 3], batch_first=True, enforce_sorted=False)
        >>> packed.data, packed.batch_sizes
        (tensor([4, 1, 3, 5, 2, 6]), tensor([3, 2, 1]))
    """
    name = "pack_padded_sequence"
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}: input must be a Tensor, not {type(input).__name__}")
    if input.ndim < 2:
        raise IndexError(f"{name}: Dimension out of range: input must have at least 2, not {tuple(input.shape)}")
    n_steps, n_sequences = input.shape[:2] if not batch_first else (input.shape[1], input.shape[0])
    if input.numel() == 0:
        raise ShapeError(f"{name}: cannot pack an empty tensor, input has the shape {tuple(input.shape)}")
    values = packing.lengths_arg(lengths, n_sequences, n_steps, input.shape, name)
    order = _order(values, enforce_sorted, name)
    steps, sequences, sizes = packing.packed_places(values if order is None else values[order])
    places = sequences if order is None else order[sequences]
    numbers = packing.row_numbers(steps, places, n_steps, n_sequences, batch_first)
    data = packing.take_rows(input.reshape(n_steps * n_sequences, *input.shape[2:]), numbers)
    return _with_order(data, sizes, order)


def _order(lengths: packing.Array, enforce_sorted: bool, name: str) -> packing.Array | None:
    """The falling order, or None after checking that the lengths fall."""
    if not enforce_sorted:
        return packing.falling_order(lengths)
    if not packing.is_falling(lengths):
        raise ShapeError(
            f"{name}: lengths must be sorted in decreasing order when enforce_sorted is True, not {lengths.tolist()}; "
            "pass enforce_sorted=False to have them sorted"
        )
    return None


def _with_order(data: Tensor, sizes: packing.Array, order: packing.Array | None) -> PackedSequence:
    batch_sizes: Any = wrap(sizes)
    sorted_indices: Any = None if order is None else wrap(order)
    return PackedSequence(data, batch_sizes, sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """(padded batch, lengths): the inverse of pack_padded_sequence, in the original order of the sequences.

    Shapes: data (N, …) to (T, B, …) or (B, T, …), T the longest length or total_length; lengths (B) int64.
    Gradient: d(data) = d(padded) at its places. Errors: TypeError for what is not packed; ValueError if total_length is
    too short. Source: torch.nn.utils.rnn.pad_packed_sequence.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> packed = pack_sequence([pydl.tensor([1., 2.]), pydl.tensor([3.])])
        >>> pad_packed_sequence(packed, batch_first=True, padding_value=-1.0)
        (tensor([[ 1.,  2.],
                [ 3., -1.]]), tensor([2, 1]))
    """
    name = "pad_packed_sequence"
    _check_packed(sequence, name)
    data, sizes = sequence.data, sequence.batch_sizes.array
    n_steps, n_sequences = sizes.size, int(sizes[0]) if sizes.size else 0
    if total_length is not None:
        total_length = as_int(total_length)
        if total_length < n_steps:
            raise ShapeError(
                f"{name}: total_length must be at least the length of the longest sequence, "
                f"but is {total_length} and the longest has {n_steps}"
            )
        n_steps = total_length
    lengths = packing.lengths_of(sizes)
    steps, sequences, _ = packing.packed_places(lengths)
    orders = packed_orders(sequence, n_sequences, name)
    if orders is not None:
        sequences, lengths = orders[0][sequences], lengths[orders[1]]
    numbers = packing.row_numbers(steps, sequences, n_steps, n_sequences, batch_first)
    padded = packing.put_rows(data, numbers, n_steps * n_sequences, padding_value)
    lead = (n_sequences, n_steps) if batch_first else (n_steps, n_sequences)
    result: Any = padded.reshape(*lead, *data.shape[1:]), wrap(lengths)
    return result


def _check_packed(sequence: Any, name: str) -> None:
    if not isinstance(sequence, PackedSequence):
        raise TypeError(f"{name}: takes a PackedSequence, not {type(sequence).__name__}")
    packed_sizes(sequence, name)


def packed_sizes(sequence: PackedSequence, name: str) -> tuple[int, ...]:
    """The number of rows of each step; raises unless they do not rise and name every row of data once."""
    for field, value in zip(sequence._fields, sequence, strict=True):
        if not isinstance(value, Tensor) and (value is not None or field in ("data", "batch_sizes")):
            raise TypeError(f"{name}: {field} of a PackedSequence must be a Tensor, not {type(value).__name__}")
    sizes = sequence.batch_sizes.array
    if sizes.dtype.kind not in "iu" or sizes.ndim != 1:
        raise TypeError(
            f"{name}: batch_sizes must be a vector of int64, not {sequence.batch_sizes.dtype} {sizes.shape}"
        )
    if sizes.size == 0 or sizes.min() < 1 or not packing.is_falling(sizes) or sizes.sum() != len(sequence.data):
        raise ShapeError(
            f"{name}: batch_sizes must be positive, not rise, and add up to the rows of data "
            f"{tuple(sequence.data.shape)}, but is {sizes.tolist()}"
        )
    return tuple(sizes.tolist())


def packed_orders(sequence: PackedSequence, n_sequences: int, name: str) -> tuple[packing.Array, packing.Array] | None:
    """sorted_indices and unsorted_indices, None without; raises unless the one is the inverse of the other."""
    if sequence.sorted_indices is None and sequence.unsorted_indices is None:
        return None
    order = index_values(sequence.sorted_indices, name, "sorted_indices")
    inverse = index_values(sequence.unsorted_indices, name, "unsorted_indices")
    if order.shape != (n_sequences,) or inverse.shape != order.shape:
        raise ShapeError(
            f"{name}: sorted_indices {order.shape} and unsorted_indices {inverse.shape} must have one number for each "
            f"of the {n_sequences} sequences"
        )
    check_range(order, n_sequences, 0, name)
    check_range(inverse, n_sequences, 0, name)
    if (order[inverse] != np.arange(n_sequences)).any():
        raise ShapeError(
            f"{name}: unsorted_indices {inverse.tolist()} is not the inverse of sorted_indices {order.tolist()}"
        )
    return order, inverse


def _sequences_arg(sequences: Any, name: str) -> list[Tensor]:
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"{name}: expected a list of tensors, not {type(sequences).__name__}")
    tensors = list(sequences)
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected Tensor as element {i}, but got {type(t).__name__}")
        if t.ndim == 0 or t.shape[1:] != tensors[0].shape[1:]:
            raise ShapeError(
                f"{name}: sequences may differ in their first dimension only, but number {i} has the shape "
                f"{tuple(t.shape)} and the first one {tuple(tensors[0].shape)}"
            )
    if not tensors:
        raise ShapeError(f"{name}: received an empty list of sequences")
    first = tensors[0].dtype
    return [t if t.dtype == first else t.to(first) for t in tensors]


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    joined: Tensor = packing.cat([t for t in tensors if len(t)] or tensors[:1])
    return joined


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences of unequal length as one batch, filled up to the longest with padding_value.

    Shapes: B tensors (length, …) to (T, B, …) or (B, T, …). Types are converted to the first one's.
    Gradient: each sequence gets its own part. Errors: RuntimeError for an empty list or an unknown padding_side;
    ShapeError for trailing dimensions that differ; TypeError. Source: torch.nn.utils.rnn.pad_sequence.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pad_sequence
        >>> pad_sequence([pydl.tensor([1, 2, 3]), pydl.tensor([4])], batch_first=True, padding_side="left")
        tensor([[1, 2, 3],
                [0, 0, 4]])
    """
    tensors = _sequences_arg(sequences, "pad_sequence")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"pad_sequence: padding_side must be left or right, not {padding_side!r}")
    lengths = np.array([len(t) for t in tensors])
    n_steps, n_sequences = int(lengths.max()), lengths.size
    places = np.repeat(np.arange(n_sequences), lengths)
    steps = np.arange(places.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    if padding_side == "left":
        steps += np.repeat(n_steps - lengths, lengths)
    numbers = packing.row_numbers(steps, places, n_steps, n_sequences, batch_first)
    padded = packing.put_rows(_joined(tensors), numbers, n_steps * n_sequences, padding_value)
    lead = (n_sequences, n_steps) if batch_first else (n_steps, n_sequences)
    return padded.reshape(*lead, *tensors[0].shape[1:])


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The first `length` steps of each sequence of a padded batch, as a list of tensors of their own.

    Shapes: (T, B, …) or (B, T, …) and lengths (B) to B tensors (length, …). Gradient: at its place, 0 in the padding.
    Errors: ShapeError if there is not one length for each sequence or one is longer than T; TypeError.
    Source: torch.nn.utils.rnn.unpad_sequence, which takes lengths above T for T.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import unpad_sequence
        >>> unpad_sequence(pydl.tensor([[1, 2], [3, 0]]), [2, 1])
        [tensor([1, 3]), tensor([2])]
    """
    if not isinstance(padded_sequences, Tensor):
        raise TypeError(f"unpad_sequence: padded_sequences must be a Tensor, not {type(padded_sequences).__name__}")
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    values = packing.lengths_arg(lengths, x.shape[0], x.shape[1], padded_sequences.shape, "unpad_sequence", 0)
    return [x[i, :n].clone() for i, n in enumerate(values.tolist())]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """The sequences of a list as a PackedSequence: pack_padded_sequence of pad_sequence, without the padded batch.

    Shapes: B tensors (length, …) to data (Σ lengths, …). Gradient: each sequence gets its own rows.
    Errors: as pad_sequence and pack_padded_sequence. Source: torch.nn.utils.rnn.pack_sequence.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pack_sequence
        >>> pack_sequence([pydl.tensor([1, 2, 3]), pydl.tensor([4, 5])]).data
        tensor([1, 4, 2, 5, 3])
    """
    tensors = _sequences_arg(sequences, "pack_sequence")
    counts = [len(t) for t in tensors]
    lengths = packing.lengths_arg(counts, len(tensors), None, (len(tensors),), "pack_sequence")
    order = _order(lengths, enforce_sorted, "pack_sequence")
    steps, places, sizes = packing.packed_places(lengths if order is None else lengths[order])
    starts = (np.cumsum(lengths) - lengths)[places if order is None else order[places]]
    numbers: Any = wrap(starts + steps)
    return _with_order(packing.take_rows(_joined(tensors), numbers), sizes, order)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a PackedSequence as a list: the inverse of pack_sequence.

    Shapes: data (N, …) to B tensors (length, …). Gradient: at its rows. Errors: TypeError for what is not packed.
    Source: torch.nn.utils.rnn.unpack_sequence.

    Example:
        >>> import pydl
        >>> from pydl.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> unpack_sequence(pack_sequence([pydl.tensor([1, 2, 3]), pydl.tensor([4, 5])]))
        [tensor([1, 2, 3]), tensor([4, 5])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
