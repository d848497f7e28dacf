# SPDX-License-Identifier: BSD-3-Clause
"""`DataLoader`: batches from a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import Any

from pydl.random import Generator
from pydl.utils.data.collate import default_collate, default_convert
from pydl.utils.data.dataset import IterableDataset
from pydl.utils.data.fetch import EndOfStream, fetcher_of
from pydl.utils.data.gather import Gatherer, index_arrays
from pydl.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader"]

_FROZEN = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class DataLoader:
    """Batches of the samples of a data set: `for batch in loader`.

    `shuffle` visits them in a new random order each time; `sampler` or `batch_sampler` give the order instead;
    `collate_fn` makes a batch of a list of samples (`default_collate`); `batch_size=None` gives single samples;
    `drop_last` leaves out a last batch that is not full. `pin_memory` is accepted without effect.
    `num_workers` processes prepare `prefetch_factor` batches each ahead (in order, unless `in_order=False`); they are
    seeded differently, run `worker_init_fn(id)` first, and with `persistent_workers` live as long as the loader. An
    exception in a worker is raised here with the worker's traceback.
    Batches of a `TensorDataset` (or a `Subset` of one) with the default `collate_fn` are gathered at once, with the
    same result.

    Errors: ValueError for options that exclude each other. Source: torch.utils.data.DataLoader.

    Example:
        >>> import pydl
        >>> from pydl.utils.data import DataLoader, TensorDataset
        >>> loader = DataLoader(TensorDataset(pydl.zeros(5, 2), pydl.tensor([0, 1, 2, 3, 4])), batch_size=2)
        >>> [y.tolist() for x, y in loader], len(loader)
        ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        # Longer than 40 lines because of its 17 arguments.
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.generator = generator
        self.persistent_workers = persistent_workers
        _check_order(dataset, batch_size, shuffle, sampler, batch_sampler, drop_last)
        order: Any = _default_sampler(dataset, shuffle, generator) if sampler is None else sampler
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        elif batch_size is not None:
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = order
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._pool: Any = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FROZEN and "_initialized" in self.__dict__:
            raise ValueError(
                f"DataLoader: {name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _batches(self)
        from pydl.utils.data.parallel import WorkerPool  # multiprocessing takes 10 ms to import

        if not self.persistent_workers:
            return WorkerPool(self).batches(self._index_sampler, last=True)
        if self._pool is None or self._pool.closed:
            self._pool = WorkerPool(self)
        return self._pool.batches(self._index_sampler)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None}

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        n = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return n
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


def _default_sampler(dataset: Any, shuffle: bool | None, generator: Generator | None) -> Sampler[Any]:
    if isinstance(dataset, IterableDataset):
        return _Endless()
    return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)


class _Endless(Sampler[None]):
    """The sampler of a stream, whose samples have no indices: None without end."""

    def __iter__(self) -> Iterator[None]:
        return repeat(None)


def _batches(loader: DataLoader) -> Iterator[Any]:
    """The batches, made one by one in this process."""
    fetch = fetcher_of(loader.dataset, loader.batch_sampler is not None, loader.collate_fn, loader.drop_last)
    indices: Any = None
    if Gatherer.of(loader.dataset, loader.collate_fn) is not None:
        indices = index_arrays(loader.batch_sampler)
    for index in loader._index_sampler if indices is None else indices:
        try:
            batch = fetch(index)
        except EndOfStream:
            return
        yield batch


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError(
            f"DataLoader: num_workers option should be non-negative, not {num_workers}; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError(f"DataLoader: timeout option should be non-negative, not {timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "DataLoader: prefetch_factor option could only be specified in multiprocessing: it needs num_workers > 0"
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(f"DataLoader: prefetch_factor option should be non-negative, not {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("DataLoader: persistent_workers option needs num_workers > 0")


def _check_order(
    dataset: Any, batch_size: int | None, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    if isinstance(dataset, IterableDataset):
        for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("DataLoader: sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "DataLoader: batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and "
                "drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "DataLoader: batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )
