# SPDX-License-Identifier: BSD-3-Clause
"""Batches of sequences of similar length: the sampler, the collate function that pads, and what padding costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pydl._core import tape
from pydl.random import Generator, randperm
from pydl.tensor import Tensor
from pydl.utils.data.collate import default_collate
from pydl.utils.data.sampler import Sampler

__all__ = ["BucketBatchSampler", "PaddingReport", "pad_collate", "padding_report"]

BUCKET_BATCHES = 8  # batches in a bucket: in 8 of 32 sequences each, an epoch meets its samples in ever new company
SHOWN = 20  # lines of a report's table
Array = np.ndarray[Any, np.dtype[Any]]


def _as_lengths(lengths: Any, owner: str) -> Array:
    """The lengths as int64 (N,), each at least 1."""
    values = np.asarray(lengths.detach().numpy() if isinstance(lengths, Tensor) else lengths)
    if values.size == 0:
        values = values.astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise TypeError(f"{owner}: lengths must be a vector of integers, not {values.dtype} of shape {values.shape}")
    if values.size and values.min() < 1:
        where = int(values.argmin())
        raise ValueError(f"{owner}: a sequence has at least one step, but lengths[{where}] is {values[where]}")
    return values.astype(np.int64)


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"BucketBatchSampler: {name} should be a positive integer value, but got {name}={value}")
    return int(value)


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of indices whose sequences are about equally long, so that padding them costs little.

    The indices are sorted by length and cut into buckets of `bucket_size` (8 batches by default); each pass shuffles
    inside each bucket and among equal lengths, cuts the batches, and shuffles their order. A batch has `batch_size`
    sequences; with `max_tokens` it has only as many of them that, padded, they surely have at most that many steps (one
    sequence that is longer is a batch by itself). `drop_last` leaves out the sequences that would make a batch shorter
    than `batch_size`, other ones in each pass. `shuffle=False` gives the batches from short to long.
    The order depends on the state of `generator` before the pass alone: with that and the number of batches done, a
    pass can be resumed. The number of batches is the same in each pass.

    Shapes: lengths (N,) integers ≥ 1: a list, array or tensor.
    Errors: TypeError for lengths that are no vector of integers; ValueError for a length below 1, for sizes below 1,
    and for `drop_last` together with `max_tokens`, where batches differ in size anyway.
    Source: ours; PyTorch has none.

    Example:
        >>> from pydl.utils.data import BucketBatchSampler
        >>> list(BucketBatchSampler([9, 2, 8, 3, 7, 1], batch_size=2, shuffle=False))
        [[5, 1], [3, 4], [2, 0]]
        >>> list(BucketBatchSampler([9, 2, 8, 3, 7, 1], batch_size=4, max_tokens=9, bucket_size=1, shuffle=False))
        [[5, 1, 3], [4], [2], [0]]
    """

    def __init__(
        self,
        lengths: Any,
        batch_size: int,
        drop_last: bool = False,
        *,
        max_tokens: int | None = None,
        bucket_size: int | None = None,
        shuffle: bool = True,
        generator: Generator | None = None,
    ) -> None:
        for name, value in (("drop_last", drop_last), ("shuffle", shuffle)):
            if not isinstance(value, bool):
                raise ValueError(f"BucketBatchSampler: {name} should be a boolean value, but got {name}={value}")
        self.lengths = _as_lengths(lengths, "BucketBatchSampler")
        self.batch_size = _positive(batch_size, "batch_size")
        self.max_tokens = None if max_tokens is None else _positive(max_tokens, "max_tokens")
        default = min(BUCKET_BATCHES * self.batch_size, max(1, len(self.lengths)))
        self.bucket_size = default if bucket_size is None else _positive(bucket_size, "bucket_size")
        if drop_last and self.max_tokens is not None:
            raise ValueError("BucketBatchSampler: drop_last is mutually exclusive with max_tokens")
        self.drop_last, self.shuffle, self.generator = drop_last, shuffle, generator
        self._cuts = self._cut(len(self.lengths))

    def _cut(self, n: int) -> Array:
        """Where batches begin, and the end, in the order of lengths: the same for every shuffle inside the buckets."""
        if self.max_tokens is None:
            whole = n - n % self.batch_size if self.drop_last else n
            return np.append(np.arange(0, whole, self.batch_size), whole)
        ordered = np.sort(self.lengths)
        ends = np.minimum((np.arange(n) // self.bucket_size + 1) * self.bucket_size, n) - 1
        longest = ordered[ends].tolist()  # the longest that a shuffle can bring to each position
        cuts = [0]
        for i, length in enumerate(longest):
            size = i + 1 - cuts[-1]
            if size > self.batch_size or (size > 1 and size * length > self.max_tokens):
                cuts.append(i)
        return np.array([*cuts, n] if n else [0])

    def _order(self) -> Array:
        """The indices of a pass, from short to long but for the shuffle inside the buckets."""
        n = len(self.lengths)
        if not self.shuffle:
            return np.argsort(self.lengths, kind="stable")[: self._cuts[-1]]
        order = randperm(n, generator=self.generator).numpy()[: self._cuts[-1]]  # drop_last: the rest stays out
        order = order[np.argsort(self.lengths[order], kind="stable")]  # among equals, as shuffled
        mixed = randperm(len(order), generator=self.generator).numpy()
        return order[mixed[np.argsort(mixed // self.bucket_size, kind="stable")]]

    def __iter__(self) -> Iterator[list[int]]:
        order, cuts = self._order(), self._cuts
        n = len(self)
        batches = randperm(n, generator=self.generator).tolist() if self.shuffle else range(n)
        for k in batches:
            yield order[cuts[k] : cuts[k + 1]].tolist()

    def __len__(self) -> int:
        return len(self._cuts) - 1


def pad_collate(
    batch: Sequence[Any], *, padding_value: float = 0.0, batch_first: bool = True, fields: tuple[int, ...] = (0,)
) -> list[Any]:
    """A batch of sequences of any length: each padded at its end to the longest, and followed by the lengths.

    Of samples `(sequence, target)` it makes `[padded, lengths, targets]`: each entry in `fields` becomes two, the rest
    goes through `default_collate`. Samples that are no tuple or list count as the only entry.
    Shapes: sequences (T_i,) or (T_i, …), equal but for T_i; padded (N, T, …), or (T, N, …) with `batch_first=False`;
    lengths (N,) int64.
    Gradient: none; it copies values.
    Errors: ValueError for an empty batch and for an empty sequence; ShapeError for sequences that differ in more than
    their length; IndexError for a field that the samples do not have.
    Source: ours; as `torch.nn.utils.rnn.pad_sequence` for a DataLoader's `collate_fn`.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import pad_collate
        >>> padded, lengths, y = pad_collate([(pydl.tensor([1, 2, 3]), 0), (pydl.tensor([4]), 1)])
        >>> padded.tolist(), lengths.tolist(), y.tolist()
        ([[1, 2, 3], [4, 0, 0]], [3, 1], [0, 1])
    """
    if not len(batch):
        raise ValueError("pad_collate: the batch is empty")
    samples = [sample if isinstance(sample, (tuple, list)) else (sample,) for sample in batch]
    n = len(samples[0])
    if any(len(sample) != n for sample in samples):
        raise RuntimeError("pad_collate: each element in list of batch should be of equal size")
    wanted = {_field(field, n) for field in fields}
    collated: list[Any] = []
    for i, column in enumerate(zip(*samples, strict=True)):
        collated += _padded(column, padding_value, batch_first) if i in wanted else [default_collate(column)]
    return collated


def _field(field: int, n: int) -> int:
    if not -n <= field < n:
        raise IndexError(f"pad_collate: the samples have {n} entries, no entry {field}")
    return field % n


def _padded(column: Sequence[Any], value: float, batch_first: bool) -> list[Tensor]:
    from pydl._core.errors import ShapeError

    arrays = [np.asarray(item.detach().numpy() if isinstance(item, Tensor) else item) for item in column]
    for i, array in enumerate(arrays):
        if not array.ndim or array.shape[1:] != arrays[0].shape[1:] or array.dtype != arrays[0].dtype:
            raise ShapeError(
                f"pad_collate: sequences differ in length only, but number 0 is {arrays[0].dtype}"
                f" {arrays[0].shape}, number {i} {array.dtype} {array.shape}"
            )
        if not len(array):
            raise ValueError(f"pad_collate: sequence {i} of the batch is empty")
    lengths = np.array([len(array) for array in arrays], np.int64)
    padded = tape.empty((len(arrays), int(lengths.max()), *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(padded.array, arrays, strict=True):
        row[: len(array)] = array
        row[len(array) :] = value
    if not batch_first:
        padded = tape.wrap(np.ascontiguousarray(padded.array.swapaxes(0, 1)))
    return [padded, tape.wrap(lengths)]


@dataclass(frozen=True)
class PaddingReport:
    """Steps of a data set that are computed for nothing where all sequences of a batch are padded to its longest.

    `rows` has for each batch: sequences, longest, useful steps, padded steps (sequences · longest). `sorted_padded` is
    what the padded steps would be, were the same sequences sorted by length and cut into batches of the same sizes.
    """

    rows: tuple[tuple[int, int, int, int], ...]
    sorted_padded: int

    @property
    def useful(self) -> int:
        """Steps that are data."""
        return sum(row[2] for row in self.rows)

    @property
    def padded(self) -> int:
        """Steps with the padding."""
        return sum(row[3] for row in self.rows)

    @property
    def share(self) -> float:
        """useful / padded of all batches; 1 where there are none."""
        return self.useful / self.padded if self.padded else 1.0

    @property
    def shares(self) -> tuple[float, ...]:
        """useful / padded of each batch."""
        return tuple(row[2] / row[3] for row in self.rows)

    @property
    def bucketed_share(self) -> float:
        """The share that batches of equally long sequences would have."""
        return self.useful / self.sorted_padded if self.sorted_padded else 1.0

    @property
    def saving(self) -> float:
        """The share of the padded steps that bucketing would save."""
        return 1.0 - self.sorted_padded / self.padded if self.padded else 0.0

    def __str__(self) -> str:
        lines = ["batch  sequences  longest    useful    padded  useful share"]
        for i, (n, longest, useful, padded) in enumerate(self.rows[:SHOWN]):
            lines.append(f"{i:5}  {n:9}  {longest:7}  {useful:8}  {padded:8}  {100 * useful / padded:10.1f} %")
        if len(self.rows) > SHOWN:
            shares = self.shares[SHOWN:]
            lines.append(
                f"… and {len(shares)} more batches, of {100 * min(shares):.1f} to {100 * max(shares):.1f} % useful"
            )
        n = sum(row[0] for row in self.rows)
        longest = max((row[1] for row in self.rows), default=0)
        lines.append(f"  all  {n:9}  {longest:7}  {self.useful:8}  {self.padded:8}  {100 * self.share:10.1f} %")
        lines.append(
            f"batches of similar length: {100 * self.bucketed_share:.1f} % useful,"
            f" {100 * self.saving:.1f} % of the padded steps saved"
        )
        return "\n".join(lines)


def padding_report(lengths: Any, batches: Iterable[Sequence[int]]) -> PaddingReport:
    """What share of the steps in padded batches is data, share = Σ T_i / (n · max T_i), per batch and in all.

    Shapes: lengths (N,) integers ≥ 1; batches: lists of indices into them, as a batch sampler gives.
    Errors: TypeError, ValueError for lengths that are none; IndexError for an index out of range; ValueError for an
    empty batch.
    Source: ours; PyTorch has none.

    Example:
        >>> from pydl.utils.data import BatchSampler, SequentialSampler, padding_report
        >>> lengths = [9, 2, 8, 3]
        >>> print(padding_report(lengths, BatchSampler(SequentialSampler(lengths), 2, False)))
        batch  sequences  longest    useful    padded  useful share
            0          2        9        11        18        61.1 %
            1          2        8        11        16        68.8 %
          all          4        9        22        34        64.7 %
        batches of similar length: 91.7 % useful, 29.4 % of the padded steps saved
    """
    values = _as_lengths(lengths, "padding_report")
    rows, members = [], []
    for k, batch in enumerate(batches):
        indices = np.asarray(batch)
        if indices.ndim != 1 or not indices.size:
            raise ValueError(f"padding_report: batch {k} is no list of at least one index: {batch!r}")
        for i in (int(indices.min()), int(indices.max())):
            if not 0 <= i < len(values):
                raise IndexError(f"padding_report: batch {k} has the index {i}, but there are {len(values)} lengths")
        own = values[indices]
        members.append(own)
        rows.append((len(own), int(own.max()), int(own.sum()), int(len(own) * own.max())))
    return PaddingReport(tuple(rows), _sorted_padded(rows, members))


def _sorted_padded(rows: list[tuple[int, int, int, int]], members: list[Array]) -> int:
    """The padded steps of batches of the same sizes, cut from the sequences in the order of their lengths.

    The small batches may be those of the shortest or of the longest; what costs less counts, and never more than is.
    """
    if not rows:
        return 0
    ordered = np.sort(np.concatenate(members))
    ascending = np.sort([row[0] for row in rows])
    costs = [int((sizes * ordered[np.cumsum(sizes) - 1]).sum()) for sizes in (ascending, ascending[::-1])]
    return min(*costs, sum(row[3] for row in rows))
