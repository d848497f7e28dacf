# SPDX-License-Identifier: BSD-3-Clause
"""The main process's side of a loader with worker processes."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import wait
from typing import Any

from pydl.random import randint
from pydl.utils.data.worker import End, Failure, Job, work

__all__ = ["WorkerPool"]


class _Worker:
    """A process and its two pipes."""

    def __init__(self, context: Any, job: Job) -> None:
        its_tasks, self.tasks = context.Pipe(duplex=False)
        self.results, its_results = context.Pipe(duplex=False)
        self.id = job.id
        self.ended = False
        self.process = context.Process(target=work, args=(job, its_tasks, its_results), daemon=True)
        with warnings.catch_warnings():
            # Of threads in the parent: those of NumPy's BLAS and of OpenMP, which both prepare themselves for a fork.
            warnings.filterwarnings("ignore", "(?s).*multi-threaded, use of fork", DeprecationWarning)
            self.process.start()
        its_tasks.close()
        its_results.close()


class WorkerPool:
    """Worker processes that make the batches of a loader, epoch after epoch.

    Batch k comes from worker k mod n, which sends its batches through a pipe of its own in the order of its tasks, so
    that waiting for the right worker is all that keeps the batches in order.
    """

    def __init__(self, loader: Any) -> None:
        context = loader.multiprocessing_context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        base_seed = int(randint(0, 2**62, (1,), generator=loader.generator).item())
        self.timeout = loader.timeout or None
        self.in_order = loader.in_order
        self.n_ahead = max(loader.prefetch_factor, 1)
        self.epoch = 0
        self.workers: list[_Worker] = []
        self._close = weakref.finalize(self, _close, self.workers)
        for i in range(loader.num_workers):
            job = Job(
                loader.dataset, loader.batch_sampler is not None, loader.collate_fn, loader.drop_last,
                i, loader.num_workers, base_seed, loader.worker_init_fn,
            )  # fmt: skip
            self.workers.append(_Worker(context, job))

    def close(self) -> None:
        """Ends the processes."""
        self._close()

    @property
    def closed(self) -> bool:
        """Whether the processes were ended."""
        return not self._close.alive

    def batches(self, sampler: Any, last: bool = False) -> Iterator[Any]:
        """The batches of one epoch, of which the first are begun at once. It makes the rest of the one before void.

        The processes end with it if it is the `last`.
        """
        self.epoch += 1
        for worker in self.workers:
            worker.ended = False
        epoch = _Epoch(self, sampler)
        for _ in range(self.n_ahead * len(self.workers)):
            epoch.assign()
        return epoch.batches(last)

    def send(self, worker: _Worker, task: Any) -> None:
        try:
            worker.tasks.send(task)
        except OSError:
            self._raise_dead(worker)

    def receive(self, worker: _Worker, epoch: int) -> Any:
        """The worker's next answer of this epoch; those of epochs that were not finished are thrown away."""
        while True:
            ready = wait([worker.results, worker.process.sentinel], self.timeout)
            if not ready:
                for late in self.workers:
                    late.process.terminate()
                self.close()
                raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
            if worker.results not in ready and not worker.results.poll():
                self._raise_dead(worker)
            try:
                answer_epoch, answer = worker.results.recv()
            except (EOFError, OSError):
                self._raise_dead(worker)
            if answer_epoch == epoch:
                return answer

    def first_ready(self, pending: deque[_Worker]) -> _Worker:
        ends = {end: worker for worker in pending for end in (worker.results, worker.process.sentinel)}
        ready = wait(list(ends), self.timeout)
        return ends[ready[0]] if ready else pending[0]

    def _raise_dead(self, worker: _Worker) -> None:
        worker.process.join(1.0)
        pid, code = worker.process.pid, worker.process.exitcode
        self.close()
        raise RuntimeError(f"DataLoader worker {worker.id} (pid {pid}) exited unexpectedly with exit code {code}")


class _Epoch:
    """One pass over a sampler: which worker has which task."""

    def __init__(self, pool: WorkerPool, sampler: Any) -> None:
        self.pool = pool
        self.number = pool.epoch
        self.indices = iter(sampler)
        self.pending: deque[_Worker] = deque()
        self.turns = itertools.cycle(pool.workers)

    def assign(self) -> None:
        """Gives the next task to the worker whose turn it is, unless all are done or no task is left."""
        worker = next((w for w in itertools.islice(self.turns, len(self.pool.workers)) if not w.ended), None)
        if worker is None:
            return
        try:
            index = next(self.indices)
        except StopIteration:
            return
        self.pool.send(worker, (self.number, index))
        self.pending.append(worker)

    def batches(self, last: bool) -> Iterator[Any]:
        pool = self.pool
        try:
            while self.pending:
                if self.number != pool.epoch:
                    raise RuntimeError("DataLoader: another iterator over the same persistent workers was started")
                worker = self.pending[0] if pool.in_order else pool.first_ready(self.pending)
                self.pending.remove(worker)
                answer = pool.receive(worker, self.number)
                worker.ended = worker.ended or isinstance(answer, End)
                self.assign()
                if isinstance(answer, Failure):
                    answer.reraise()
                if not isinstance(answer, End):
                    yield answer
        finally:
            if last:
                pool.close()


def _close(workers: list[_Worker]) -> None:
    """Tells the workers to end and waits for them; one that has not ended after 5 s is terminated."""
    for worker in workers:
        with contextlib.suppress(OSError):
            worker.tasks.send(None)
    deadline = time.monotonic() + 5.0
    for worker in workers:
        _drain(worker, deadline)
        if worker.process.is_alive():
            worker.process.terminate()
        worker.process.join()
        worker.tasks.close()
        worker.results.close()
    workers.clear()


def _drain(worker: _Worker, deadline: float) -> None:
    """Throws away what the worker still sends, so that it comes to its end."""
    while worker.process.is_alive() and (left := deadline - time.monotonic()) > 0:
        if worker.results in wait([worker.results, worker.process.sentinel], left):
            try:
                worker.results.recv_bytes()
            except (EOFError, OSError):
                worker.process.join(left)
