# SPDX-License-Identifier: BSD-3-Clause
"""Worker processes of a loader."""

from __future__ import annotations

from typing import Any


class WorkerInfo:
    """What a worker process knows about itself: `id`, `num_workers`, `seed`, and its copy of `dataset`."""

    __slots__ = ("dataset", "id", "num_workers", "seed")

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process its `WorkerInfo`, in the main process None. Source: torch.utils.data.get_worker_info.

    Example:
        >>> from pydl.utils.data import get_worker_info
        >>> get_worker_info() is None
        True
    """
    return _info
