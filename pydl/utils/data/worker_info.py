# SPDX-License-Identifier: BSD-3-Clause
"""What a worker process of a loader knows about itself."""

from __future__ import annotations

from typing import Any

__all__ = ["WorkerInfo", "get_worker_info"]


class WorkerInfo:
    """What a worker process knows about itself: `id`, `num_workers`, `seed`, and its copy of `dataset`."""

    __slots__ = ("dataset", "id", "num_workers", "seed")

    def __init__(self, id: int, num_workers: int, seed: int, dataset: Any) -> None:
        self.id = id
        self.num_workers = num_workers
        self.seed = seed
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, dataset={self.dataset})"


current: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker process its `WorkerInfo`, in the main process None. Source: torch.utils.data.get_worker_info.

    Example:
        >>> from pydl.utils.data import get_worker_info
        >>> get_worker_info() is None
        True
    """
    return current
