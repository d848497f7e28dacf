# SPDX-License-Identifier: BSD-3-Clause
"""From indices to a batch, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from pydl.utils.data.dataset import IterableDataset


def fetcher_of(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    """A function from what the sampler gives (an index or a list of them) to a batch; StopIteration ends a stream."""
    if isinstance(dataset, IterableDataset):
        return _from_stream(dataset, batched, collate, drop_last)
    if not batched:
        return lambda index: collate(dataset[index])
    many = getattr(dataset, "__getitems__", None)
    if callable(many):
        return lambda indices: collate(many(indices))
    return lambda indices: collate([dataset[index] for index in indices])


def _from_stream(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Callable[[Any], Any]:
    samples = iter(dataset)

    def fetch(indices: Any) -> Any:
        if not batched:
            return collate(next(samples))
        batch = list(islice(samples, len(indices)))
        if not batch or (drop_last and len(batch) < len(indices)):
            raise StopIteration
        return collate(batch)

    return fetch
