# SPDX-License-Identifier: BSD-3-Clause
"""Batches of tensor data sets gathered at once, one indexed read per tensor, instead of stacked sample by sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pydl._core import tape
from pydl.tensor import Tensor
from pydl.utils.data.collate import default_collate
from pydl.utils.data.dataset import Subset, TensorDataset
from pydl.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["Gatherer", "index_arrays"]


class Gatherer:
    """Makes batches of a TensorDataset, or of a Subset of one, equal to collating their samples."""

    def __init__(self, tensors: tuple[Tensor, ...], rows: np.ndarray | None) -> None:
        self.tensors = tensors
        self.rows = rows  # those that the subset shows, or None for all

    @classmethod
    def of(cls, dataset: Any, collate: Any) -> Gatherer | None:
        """The one for this data set and collation, or None where gathering would not give the same."""
        if collate is not default_collate:
            return None
        if type(dataset) is TensorDataset:
            return cls(dataset.tensors, None) if dataset.tensors else None
        inner = cls.of(dataset.dataset, collate) if type(dataset) is Subset else None
        rows = None if inner is None else inner.valid(list(dataset.indices))
        if inner is None or rows is None:
            return None
        return cls(inner.tensors, rows if inner.rows is None else inner.rows[rows])

    def __len__(self) -> int:
        return len(self.tensors[0]) if self.rows is None else len(self.rows)

    def valid(self, batch: Any) -> np.ndarray | None:
        """A list of indices as an array, from 0 on; None if it holds anything that is no index."""
        indices = np.asarray(batch) if isinstance(batch, (list, tuple)) and batch else None
        if indices is None or indices.dtype.kind not in "iu" or indices.ndim != 1:
            return None
        n, lowest = len(self), indices.min()
        if lowest < -n or indices.max() >= n:
            return None
        return indices.astype(np.int64, copy=False) if lowest >= 0 else indices % n

    def __call__(self, indices: np.ndarray) -> list[Tensor]:
        """The batch of these valid indices."""
        rows = indices if self.rows is None else self.rows.take(indices)
        return [_take(tensor, rows) for tensor in self.tensors]


def _take(tensor: Tensor, rows: np.ndarray) -> Tensor:
    if tensor.requires_grad:
        return tensor[tape.wrap(rows)]
    source = tensor.array
    batch = tape.empty((len(rows), *source.shape[1:]), source.dtype)
    # Rows are known to be valid; with mode="raise" NumPy would first write into a copy of the batch.
    source.take(rows, axis=0, out=batch.array, mode="clip")
    return batch


def index_arrays(sampler: Any) -> Iterator[np.ndarray] | None:
    """The batches of indices of a loader's own sampler as arrays, without a Python number for each sample; or None."""
    if type(sampler) is not BatchSampler or type(sampler.sampler) not in (RandomSampler, SequentialSampler):
        return None
    return _slices(sampler)


def _slices(sampler: BatchSampler) -> Iterator[np.ndarray]:
    order = sampler.sampler.order() if type(sampler.sampler) is RandomSampler else np.arange(len(sampler.sampler))
    n, size = len(order), sampler.batch_size
    for start in range(0, n - n % size if sampler.drop_last else n, size):
        yield order[start : start + size]
