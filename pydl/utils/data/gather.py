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


def gathering(loader: Any) -> Iterator[list[Tensor]] | None:
    """The loader's batches made by gathering, or None where its data set, collation or order is not of that kind."""
    sampler = loader.batch_sampler
    if loader.collate_fn is not default_collate or type(sampler) is not BatchSampler:
        return None
    source = _tensors(loader.dataset)
    if source is None:
        return None
    order = sampler.sampler
    if type(order) is SequentialSampler:
        return _gather(*source, np.arange(len(order)), sampler)
    if type(order) is RandomSampler:
        return _gather(*source, None, sampler)
    return None


def _tensors(dataset: Any) -> tuple[tuple[Tensor, ...], np.ndarray | None] | None:
    """The tensors under `dataset` and the rows of them that it shows (None: all)."""
    if type(dataset) is TensorDataset:
        return (dataset.tensors, None) if dataset.tensors else None
    if type(dataset) is Subset:
        inner = _tensors(dataset.dataset)
        if inner is not None:
            rows = np.asarray(dataset.indices)
            if rows.dtype.kind not in "iu" or rows.ndim != 1:
                return None
            return inner[0], rows if inner[1] is None else inner[1][rows]
    return None


def _gather(
    tensors: tuple[Tensor, ...], rows: np.ndarray | None, order: np.ndarray | None, sampler: BatchSampler
) -> Iterator[list[Tensor]]:
    if order is None:
        order = sampler.sampler.order()
    if rows is not None:
        order = rows[order]
    n, size = len(order), sampler.batch_size
    end = n - n % size if sampler.drop_last else n
    for start in range(0, end, size):
        index = tape.wrap(order[start : start + size])
        yield [tensor[index] for tensor in tensors]
