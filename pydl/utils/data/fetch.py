# SPDX-License-Identifier: BSD-3-Clause
"""From indices to a batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from pydl.utils.data.dataset import IterableDataset
from pydl.utils.data.gather import Gatherer

__all__ = ["EndOfStream", "fetcher_of"]

Fetch = Callable[[Any], Any]


class EndOfStream(Exception):
    """A stream has no further sample."""


def fetcher_of(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Fetch:
    """A function from what the sampler gives (an index or a list of them) to a batch; EndOfStream ends a stream."""
    if isinstance(dataset, IterableDataset):
        return _from_stream(dataset, batched, collate, drop_last)
    if not batched:
        return lambda index: collate(dataset[index])
    gather = Gatherer.of(dataset, collate)
    if gather is not None:
        return _gathered(gather, dataset, collate)
    return lambda indices: collate(_samples(dataset, indices))


def _samples(dataset: Any, indices: Any) -> Any:
    many = getattr(dataset, "__getitems__", None)
    return many(indices) if callable(many) else [dataset[index] for index in indices]


def _gathered(gather: Gatherer, dataset: Any, collate: Callable[[Any], Any]) -> Fetch:
    def fetch(batch: Any) -> Any:
        indices = batch if isinstance(batch, np.ndarray) else gather.valid(batch)
        return collate(_samples(dataset, batch)) if indices is None else gather(indices)

    return fetch


def _from_stream(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Fetch:
    samples = iter(dataset)

    def fetch(indices: Any) -> Any:
        size = len(indices) if batched else 1
        batch = list(islice(samples, size))
        if not batch or (drop_last and len(batch) < size):
            raise EndOfStream
        return collate(batch if batched else batch[0])

    return fetch
