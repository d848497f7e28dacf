# SPDX-License-Identifier: BSD-3-Clause
"""What tensors take and what is kept for the next ones: numbers, a cap, and giving it back to the operating system.

Memory of dropped tensors is kept, because fresh memory costs more than most operations that fill it. Large blocks are
cut from segments on huge pages and grow together again, so that batches of many sizes share the same memory.
`PYDL_POOL_CAP` (bytes) sets the cap from outside, `PYDL_POOL=0` keeps nothing.
"""

from __future__ import annotations

from pydl._core import storage

__all__ = ["empty_cache", "memory_allocated", "memory_reserved", "memory_stats", "memory_summary", "set_cap"]


def empty_cache() -> None:
    """Give all memory that no tensor uses to the operating system. Source: torch.cuda.empty_cache.

    Example:
        >>> import pydl
        >>> x = pydl.ones(1000, 1000)
        >>> del x
        >>> pydl.memory.empty_cache()
        >>> pydl.memory.memory_stats()["bytes_cached"]
        0
    """
    storage.empty_cache()


def memory_allocated() -> int:
    """The bytes that tensors and running operations use. Source: torch.cuda.memory_allocated.

    Example:
        >>> import pydl
        >>> before = pydl.memory.memory_allocated()
        >>> x = pydl.ones(1000, 1000)
        >>> pydl.memory.memory_allocated() - before >= 4_000_000
        True
    """
    return storage.stats()["bytes_in_use"]


def memory_reserved() -> int:
    """The bytes in use and those kept for later. Source: torch.cuda.memory_reserved.

    Example:
        >>> import pydl
        >>> pydl.memory.memory_reserved() >= pydl.memory.memory_allocated()
        True
    """
    facts = storage.stats()
    return facts["bytes_in_use"] + facts["bytes_cached"]


def memory_stats() -> dict[str, int]:
    """The counters of the pool, by name. Source: torch.cuda.memory_stats, with names of its own.

    bytes_in_use, bytes_cached; bytes_mapped, the segments of large blocks with what was never touched; blocks_live;
    allocations since the start, of these hits (memory that had been in use) and misses (fresh memory).

    Example:
        >>> import pydl
        >>> sorted(pydl.memory.memory_stats())
        ['allocations', 'blocks_live', 'bytes_cached', 'bytes_in_use', 'bytes_mapped', 'hits', 'misses']
    """
    return storage.stats()


def memory_summary() -> str:
    """The counters in one line, for people. Source: torch.cuda.memory_summary.

    Example:
        >>> import pydl
        >>> "MB in use" in pydl.memory.memory_summary()
        True
    """
    facts = storage.stats()
    return (
        f"{facts['bytes_in_use'] / 1e6:.1f} MB in use, {facts['bytes_cached'] / 1e6:.1f} MB cached, "
        f"{facts['blocks_live']} blocks; {facts['allocations']} allocations, {facts['misses']} of fresh memory"
    )


def set_cap(n_bytes: int | None) -> None:
    """Bound the bytes that are kept for later; None, the default: no bound.

    Source: torch.cuda.set_per_process_memory_fraction, which bounds what is in use too.
    Errors: ValueError for a negative bound.

    Example:
        >>> import pydl
        >>> pydl.memory.set_cap(1_000_000)
        >>> x = pydl.ones(1000, 1000)
        >>> del x
        >>> pydl.memory.memory_stats()["bytes_cached"] <= 1_000_000
        True
        >>> pydl.memory.set_cap(None)
    """
    storage.set_cap(n_bytes)
