# SPDX-License-Identifier: BSD-3-Clause
"""Batches of tensor data sets gathered at once, one indexed read per tensor, instead of stacked sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pydl._core import tape
from pydl.tensor import Tensor
from pydl.utils.data.collate import default_collate
from pydl.utils.data.dataset import Subset, TensorDataset
from pydl.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler

Gather = Callable[[np.ndarray], list[Tensor]]


def gatherer(dataset: Any, collate: Any) -> Gather | None:
    """A function from an array of indices to a batch, equal to collating the samples; None where that is not so."""
    source = _tensors(dataset) if collate is default_collate else None
    if source is None:
        return None
    tensors, rows = source

    def gather(indices: np.ndarray) -> list[Tensor]:
        index = tape.wrap(indices if rows is None else rows[indices])
        return [tensor[index] for tensor in tensors]

    return gather


def indices_of(batch: Any) -> np.ndarray | None:
    """A batch sampler's list of indices as an array, or None if it is something else."""
    indices = np.asarray(batch) if isinstance(batch, (list, tuple)) and batch else None
    if indices is None or indices.dtype.kind not in "iu" or indices.ndim != 1:
        return None
    return indices.astype(np.int64, copy=False)


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


def _tensors(dataset: Any) -> tuple[tuple[Tensor, ...], np.ndarray | None] | None:
    """The tensors under `dataset` and the rows of them that it shows (None: all)."""
    if type(dataset) is TensorDataset:
        return (dataset.tensors, None) if dataset.tensors else None
    if type(dataset) is Subset:
        inner = _tensors(dataset.dataset)
        rows = indices_of(list(dataset.indices))
        if inner is not None and rows is not None:
            return inner[0], rows if inner[1] is None else inner[1][rows]
    return None
