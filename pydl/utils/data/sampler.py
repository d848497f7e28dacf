# SPDX-License-Identifier: BSD-3-Clause
"""Samplers: the order in which a loader visits samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from pydl._core import dtypes, tape
from pydl.random import Generator, rand, randint, randperm

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip

T = TypeVar("T", covariant=True)


class Sampler(Generic[T]):
    """An order of indices (or lists of indices): a subclass defines `__iter__` and, mostly, `__len__`.

    Source: torch.utils.data.Sampler.

    Example:
        >>> from pydl.utils.data import Sampler
        >>> class Reverse(Sampler):
        ...     def __init__(self, data):
        ...         self.data = data
        ...     def __iter__(self):
        ...         return iter(range(len(self.data) - 1, -1, -1))
        >>> list(Reverse("abc"))
        [2, 1, 0]
    """

    def __iter__(self) -> Iterator[T]:
        raise NotImplementedError(f"{type(self).__name__}: Subclasses of Sampler should implement __iter__.")


class SequentialSampler(Sampler[int]):
    """0, 1, …, n − 1. Source: torch.utils.data.SequentialSampler.

    Example:
        >>> from pydl.utils.data import SequentialSampler
        >>> list(SequentialSampler("abc"))
        [0, 1, 2]
    """

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The indices in random order, a new one in each pass; with `replacement`, independent draws.

    `num_samples` (all by default) may exceed their number: then several permutations follow each other.
    Errors: TypeError for a `replacement` that is no bool; ValueError unless `num_samples` is a positive int.
    Source: torch.utils.data.RandomSampler.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import RandomSampler
        >>> sorted(RandomSampler("abc", generator=pydl.Generator().manual_seed(0)))
        [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"RandomSampler: replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(
                f"RandomSampler: num_samples should be a positive integer value, but got num_samples={num_samples}"
            )

    @property
    def num_samples(self) -> int:
        """How many indices a pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def order(self) -> np.ndarray:
        """The indices of one pass, as an array of int64."""
        n, wanted = len(self.data_source), self.num_samples
        if self.replacement and wanted:
            return randint(0, n, (wanted,), generator=self.generator).numpy()
        parts = []
        for start in range(0, wanted, n or 1):
            parts.append(randperm(n, generator=self.generator).numpy()[: wanted - start])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Given indices in random order. Source: torch.utils.data.SubsetRandomSampler.

    Example:
        >>> from pydl.utils.data import SubsetRandomSampler
        >>> sorted(SubsetRandomSampler([5, 7, 9]))
        [5, 7, 9]
    """

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Draws index i with probability w_i / Σ w; without `replacement`, in turn among those that are left.

    Errors: ValueError for weights that are no vector, or (without replacement) too few; TypeError for a `replacement`
    that is no bool. Source: torch.utils.data.WeightedRandomSampler; Efraimidis, Spirakis 2006.

    Example:
        >>> from pydl.utils.data import WeightedRandomSampler
        >>> list(WeightedRandomSampler([0.0, 1.0, 0.0], 4))
        [1, 1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                "WeightedRandomSampler: num_samples should be a positive integer value, but got "
                f"num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"WeightedRandomSampler: replacement should be a boolean value, but got replacement={replacement}"
            )
        values = np.array(weights, dtype=np.float64)
        if values.ndim != 1:
            raise ValueError(
                f"WeightedRandomSampler: weights should be a 1d sequence but given weights have shape {values.shape}"
            )
        if not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
            raise ValueError("WeightedRandomSampler: weights should be finite, not negative, and not all zero")
        if not replacement and num_samples > np.count_nonzero(values):
            raise ValueError(
                f"WeightedRandomSampler: {num_samples} samples without replacement need as many positive weights"
            )
        self.weights = tape.wrap(values)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights = self.weights.numpy()
        n = self.num_samples if self.replacement else len(weights)
        u = rand(n, dtype=dtypes.float64, generator=self.generator).numpy()
        if self.replacement:
            edges = np.cumsum(weights)
            # side="right" never picks a zero weight; rounding of u · Σw up to Σw would leave the range.
            picked = np.searchsorted(edges, u * edges[-1], side="right")
            return iter(np.minimum(picked, np.flatnonzero(weights)[-1]).tolist())
        with np.errstate(divide="ignore"):
            keys = np.where(weights > 0, -np.log1p(-u) / weights, np.inf)  # exponential arrival times of rate w
        return iter(np.argsort(keys, kind="stable")[: self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` successive indices of another sampler; the last may be shorter, or is dropped.

    Errors: ValueError for a bad `batch_size` or `drop_last`. Source: torch.utils.data.BatchSampler.

    Example:
        >>> from pydl.utils.data import BatchSampler, SequentialSampler
        >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    sampler: Any

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                f"BatchSampler: batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"BatchSampler: drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
