# SPDX-License-Identifier: BSD-3-Clause
"""What runs in a worker process of a loader: it takes tasks from one pipe and sends batches into another."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import random
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from pydl import random as pydl_random
from pydl._core import kernels
from pydl.utils.data import worker_info
from pydl.utils.data.fetch import EndOfStream, fetcher_of
from pydl.utils.data.worker_info import WorkerInfo

__all__ = ["End", "Failure", "Job", "work"]


@dataclass
class Job:
    """All that a worker has to know, sent once when it starts."""

    dataset: Any
    batched: bool
    collate: Callable[[Any], Any]
    drop_last: bool
    id: int
    num_workers: int
    base_seed: int
    init: Callable[[int], None] | None


@dataclass
class Failure:
    """An exception on its way to the main process: its type, and the text of its traceback."""

    kind: type[BaseException]
    text: str

    def reraise(self) -> None:
        """Raises it again, with the worker's traceback as its message."""
        try:
            error = self.kind(self.text)
        except Exception:  # a type that takes other arguments
            error = RuntimeError(self.text)
        if isinstance(error, KeyError):  # whose text would be shown as one line with \n in it
            error = KeyError(_Verbatim(self.text))
        raise error


class _Verbatim(str):
    """Text that is shown as it is where a repr is asked for."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class End:
    """The message that a worker's stream has ended."""


def work(job: Job, tasks: Connection, results: Connection) -> None:
    """The life of a worker: (epoch, index) in, (epoch, batch) out, until the task None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    broken: Failure | None = None
    try:
        _prepare(job)
    except Exception as error:
        broken = _failure(error, job.id)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(tasks, inbox), daemon=True).start()
    epoch, fetch, ended = -1, None, False
    while (task := inbox.get()) is not None:
        task_epoch, index = task
        answer: Any = broken
        if broken is None:
            try:
                if task_epoch != epoch:
                    epoch, ended = task_epoch, False
                    fetch = fetcher_of(job.dataset, job.batched, job.collate, job.drop_last)
                answer = End() if ended or fetch is None else fetch(index)
            except EndOfStream:
                answer, ended = End(), True
            except Exception as error:
                answer = _failure(error, job.id)
        try:
            _send(results, (task_epoch, answer), job.id)
        except OSError:  # the main process has gone
            return


def _receive(tasks: Connection, inbox: queue.SimpleQueue[Any]) -> None:
    """Empties the task pipe at all times: were it full, main and worker could wait for each other for ever.

    None is the last task. If the main process dies, so does this one: it may be waiting for someone to read its batch.
    """
    parent = multiprocessing.parent_process()
    while True:
        if tasks not in wait([tasks, parent.sentinel] if parent else [tasks]):
            os._exit(1)
        try:
            task = tasks.recv()
        except (EOFError, OSError):
            task = None
        inbox.put(task)
        if task is None:
            return


def _prepare(job: Job) -> None:
    """One thread, seeds that differ between workers, and the user's own preparation."""
    kernels.set_num_threads(1)
    seed = job.base_seed + job.id
    random.seed(seed)
    pydl_random.manual_seed(seed)
    np.random.seed(np.random.SeedSequence([job.base_seed, job.id]).generate_state(4))
    worker_info.current = WorkerInfo(job.id, job.num_workers, seed, job.dataset)
    if job.init is not None:
        job.init(job.id)


def _failure(error: BaseException, worker: int) -> Failure:
    kind = type(error)
    head = f"Caught {kind.__name__} in DataLoader worker process {worker}.\nOriginal "
    return Failure(kind, head + "".join(traceback.format_exception(error)))


def _send(results: Connection, message: tuple[int, Any], worker: int) -> None:
    epoch, answer = message
    try:
        packed = ForkingPickler.dumps(message, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # the batch, or the type of an exception, cannot be pickled
        failed = Failure(RuntimeError, answer.text) if isinstance(answer, Failure) else _failure(error, worker)
        try:
            packed = ForkingPickler.dumps((epoch, failed), pickle.HIGHEST_PROTOCOL)
        except Exception:
            packed = ForkingPickler.dumps((epoch, Failure(RuntimeError, failed.text)), pickle.HIGHEST_PROTOCOL)
    results.send_bytes(packed)
