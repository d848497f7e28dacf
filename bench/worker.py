# SPDX-License-Identifier: BSD-3-Clause
"""The process in which one library lives: reads requests as JSON lines, answers in JSON lines.

Started as `python -P bench/worker.py <library> <threads> <compiled> <folder>`. The repository root comes last on the
path, so that an installed pydl is measured where there is one, and the source tree's in-place build otherwise.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import timeit
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench.machine import Limits
from bench.peers import load
from bench.row import Row, Statement, as_arrays, relative_error
from bench.rows import chosen

SAMPLE_S = 0.001  # a sample is as many calls as fill this time: short for the scheduler, long for the clock


class LibraryWorker:
    """Prepares, checks and times rows with one library."""

    def __init__(self, library: str, threads: int, compiled: bool, folder: Path):
        self.package, self.compiled, self.folder = library, compiled, folder
        self.module: Any = load(library, threads)
        self.timer: Callable[[int], float]
        self.n = 1
        self.sample_s = 0.0

    def about(self) -> dict[str, Any]:
        """Return versions, and for pydl the instruction set in use."""
        name = {"pydl": "pydl-nn"}.get(self.package, self.package)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = getattr(self.module, "__version__", "source tree")
        reply = {"version": version, "python": platform.python_version()}
        if self.package == "pydl":
            kernels = import_module("pydl._core.kernels")
            reply["isa"] = kernels.isa()
            reply["openmp"] = kernels.openmp_version()
        return reply

    def prepare(self, row: Row) -> dict[str, Any]:
        """Set the row up, check its value against the reference and find how many calls fill a sample."""
        way = row.way(self.package)
        if way is None:
            return {"absent": True}
        step = way(self.module, **row.make_data())
        if isinstance(step, Statement):
            value = eval(step.code, dict(step.names))
            self.timer = _statement_timer(step)
        else:
            if self.compiled:
                step = self.module.compile(step)
            value = [as_arrays(step()) for _ in range(row.calls)]
            self.timer = timeit.Timer(step).timeit
        error = relative_error(value, _reference(row, self.folder))
        self.n = 1
        while (t := _elapsed(self.timer, self.n)) < SAMPLE_S:
            self.n = max(2 * self.n, min(10 * self.n, int(self.n * SAMPLE_S / t)))
        self.sample_s = t
        return {"error": error, "n": self.n}

    def turn(self, row: Row, seconds: float) -> dict[str, Any]:
        """Time the row for about `seconds` and return the median of the samples.

        One sample before wakes threads and caches, unless a sample is so long that waking does not show.
        """
        if self.sample_s < seconds:
            self.timer(self.n)
        samples: list[float] = []
        end = timeit.default_timer() + seconds
        while not samples or timeit.default_timer() < end:
            samples.append(self.timer(self.n) / self.n)
        return {"seconds": statistics.median(samples), "samples": len(samples)}


def _reference(row: Row, folder: Path) -> list[np.ndarray]:
    """Return the row's answer, worked out by the first process that needs it: some take seconds."""
    path = folder / f"{hashlib.sha256(row.name.encode()).hexdigest()[:16]}.npz"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, *row.answer())
        part.replace(path)
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def _elapsed(timer: Callable[[int], float], n: int) -> float:
    start = timeit.default_timer()
    timer(n)
    return timeit.default_timer() - start


def _statement_timer(step: Statement) -> Callable[[int], float]:
    names = dict(step.names)
    first = timeit.Timer(step.code, globals=names)
    if step.minus is None:
        return first.timeit
    second = timeit.Timer(step.minus, globals=names)
    return lambda n: first.timeit(n) - second.timeit(n)


class MachineWorker:
    """Measures what the machine can do, in turn with the libraries."""

    def __init__(self, threads: int, folder: str):
        self.limits = Limits(Path(folder), threads)

    def about(self) -> dict[str, Any]:
        """Return peaks and bandwidths."""
        return self.limits.summary()

    def prepare(self, row: Row) -> dict[str, Any]:
        """Say whether the row has a limit."""
        return {"error": 0.0, "n": 1} if row.flops or row.n_bytes else {"absent": True}

    def turn(self, row: Row, seconds: float) -> dict[str, Any]:
        """Return the time the row's work takes at the measured FMA peak or copy bandwidth, whichever is longer."""
        compute = row.flops / self.limits.peak(row.dtype, seconds / 2) if row.flops else 0.0
        memory = row.n_bytes / self.limits.bandwidth("copy", int(row.n_bytes), seconds / 2) if row.n_bytes else 0.0
        return {"seconds": max(compute, memory), "samples": 1}


def find(name: str) -> Row:
    """Return the row of that name."""
    return next(row for row in chosen([" ".join(name.split(" ")[:2]), name]) if row.name == name)


def main() -> None:
    """Answer requests until the input ends. The answers get a descriptor of their own: libraries print to stdout."""
    library, threads, compiled, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1", sys.argv[4]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    rows: dict[str, Row] = {}
    try:
        if library == "machine":
            worker: Any = MachineWorker(threads, folder)
        else:
            worker = LibraryWorker(library, threads, compiled, Path(folder))
        print(json.dumps(worker.about()), file=answers)
    except (ImportError, RuntimeError) as e:
        print(json.dumps({"failed": f"{type(e).__name__}: {e}"}), file=answers)
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["row"] not in rows:
                rows[request["row"]] = find(request["row"])
            row = rows[request["row"]]
            reply = worker.turn(row, request["seconds"]) if "seconds" in request else worker.prepare(row)
        except Exception as e:  # a library may fail in any way; the run goes on and reports it
            reply = {"failed": f"{type(e).__name__}: {e}"}
        print(json.dumps(reply), file=answers)


if __name__ == "__main__":
    main()
