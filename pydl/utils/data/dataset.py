# SPDX-License-Identifier: BSD-3-Clause
"""Data sets: collections of samples, and ways to combine and divide them."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from pydl.random import Generator, randperm
from pydl.tensor import Tensor

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset",
    "random_split",
]  # fmt: skip

T = TypeVar("T", covariant=True)


class Dataset(Generic[T]):
    """A collection of samples: a subclass defines `__getitem__(index)` and, mostly, `__len__()`.

    It may define `__getitems__(indices)`, which fetches the samples of a whole batch. Source: torch.utils.data.Dataset.

    Example:
        >>> from pydl.utils.data import Dataset
        >>> class Squares(Dataset):
        ...     def __len__(self):
        ...         return 4
        ...     def __getitem__(self, i):
        ...         return i * i
        >>> (Squares() + Squares())[5]
        1
    """

    def __getitem__(self, index: Any) -> T:
        raise NotImplementedError(f"{type(self).__name__}: Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T], Iterable[T]):
    """A stream of samples: a subclass defines `__iter__`. With worker processes each one iterates over a copy of its
    own; use `get_worker_info` to share the work. Source: torch.utils.data.IterableDataset.

    Example:
        >>> from pydl.utils.data import DataLoader, IterableDataset
        >>> class Count(IterableDataset):
        ...     def __iter__(self):
        ...         return iter(range(5))
        >>> [batch.tolist() for batch in DataLoader(Count(), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__}: Subclasses of IterableDataset should implement __iter__.")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of the same length; sample i is the tuple of their i-th rows.

    Errors: AssertionError for different lengths. Source: torch.utils.data.TensorDataset.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import TensorDataset
        >>> TensorDataset(pydl.tensor([[1.0, 2.0], [3.0, 4.0]]), pydl.tensor([0, 1]))[1]
        (tensor([3., 4.]), tensor(1))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if any(tensor.shape[0] != tensors[0].shape[0] for tensor in tensors):
            sizes = [tensor.shape[0] for tensor in tensors]
            raise AssertionError(f"TensorDataset: Size mismatch between tensors: their first dimensions are {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset[Any]):
    """Data sets of the same length side by side: sample i is the tuple (or, for named ones, the dict) of theirs.

    Errors: ValueError for different lengths, or none. Source: torch.utils.data.StackDataset.

    Example:
        >>> from pydl.utils.data import StackDataset
        >>> StackDataset(x=[1, 2], y=[3, 4])[1]
        {'x': 2, 'y': 4}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "StackDataset: give datasets as arguments (samples are tuples) or by name (dicts), not both"
            )
        parts = args or tuple(kwargs.values())
        if not parts:
            raise ValueError("StackDataset: At least one dataset should be passed")
        self._length = len(parts[0])
        if any(len(part) != self._length for part in parts):
            raise ValueError(f"StackDataset: Size mismatch between datasets: {[len(part) for part in parts]} samples")
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T]):
    """Data sets one after the other.

    Errors: AssertionError for none or a stream; ValueError for an index below −len.
    Source: torch.utils.data.ConcatDataset.

    Example:
        >>> from pydl.utils.data import ConcatDataset
        >>> d = ConcatDataset([[1, 2], [3]])
        >>> len(d), d[2], d[-3]
        (3, 3, 1)
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable")
        if any(isinstance(part, IterableDataset) for part in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(part) for part in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        if index < 0:
            if -index > len(self):
                raise ValueError(
                    f"ConcatDataset: absolute value of index should not exceed dataset length: {index} of {len(self)}"
                )
            index += len(self)
        part = bisect.bisect_right(self.cumulative_sizes, index)
        if part == len(self.datasets):
            raise IndexError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        before = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - before]


class ChainDataset(IterableDataset[Any]):
    """Streams one after the other.

    Errors: AssertionError for a part that is no stream. Source: torch.utils.data.ChainDataset.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise AssertionError(f"ChainDataset only supports IterableDataset, not {type(part).__name__}")
            yield from part

    def __len__(self) -> int:
        total = 0
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise AssertionError(f"ChainDataset only supports IterableDataset, not {type(part).__name__}")
            total += len(part)  # type: ignore[arg-type]
        return total


class Subset(Dataset[T]):
    """The samples of a data set at given indices. Source: torch.utils.data.Subset.

    Example:
        >>> from pydl.utils.data import Subset
        >>> s = Subset([10, 20, 30, 40], [3, 1])
        >>> len(s), s[0], s[1]
        (2, 40, 20)
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """The samples of a batch."""
        chosen = [self.indices[i] for i in indices]
        fetch = getattr(self.dataset, "__getitems__", None)
        return fetch(chosen) if callable(fetch) else [self.dataset[i] for i in chosen]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Divides a data set at random into parts of the given lengths, or of the given shares of the whole.

    Errors: ValueError if lengths do not add up to len(dataset), or shares exceed 1.
    Source: torch.utils.data.random_split.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import random_split
        >>> parts = random_split(range(10), [0.3, 0.7], pydl.Generator().manual_seed(42))
        >>> [len(part) for part in parts]
        [3, 7]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of_shares(lengths, len(dataset))
    if sum(lengths) != len(dataset):
        raise ValueError(
            "random_split: Sum of input lengths does not equal the length of the input dataset: "
            f"{sum(lengths)} and {len(dataset)}"
        )
    order = randperm(len(dataset), generator=generator).tolist()
    ends = list(itertools.accumulate(int(length) for length in lengths))
    return [Subset(dataset, order[end - int(length) : end]) for length, end in zip(lengths, ends, strict=True)]


def _lengths_of_shares(shares: Sequence[float], n: int) -> list[int]:
    """⌊share · n⌋ each; what is left over goes to the parts in turn, one each."""
    for i, share in enumerate(shares):
        if not 0 <= share <= 1:
            raise ValueError(f"random_split: Fraction at index {i} is not between 0 and 1: {share}")
    lengths = [math.floor(n * share) for share in shares]
    for i in range(n - sum(lengths)):
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=3)
    return lengths
