# SPDX-License-Identifier: BSD-3-Clause
"""A benchmark row of every case that has a `bench` sample: `python -m tests.bench_rows [names]`.

The result is checked against the reference first. Printed: time, GFLOP/s where the case counts them, GB/s of the
bytes that have to move, all of the forward call.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

import pydl
from tests.cases import CASES
from tests.harness import Draw, bind, check_close, expected, leaves, rounded, run, tensors, tolerance


@dataclass(frozen=True)
class Row:
    """One operation on one number of threads, in float32."""

    name: str
    n_threads: int
    t_ns: float
    flops: float | None
    n_bytes: float

    def __str__(self) -> str:
        rate = f"{self.flops / self.t_ns:8.2f} GFLOP/s" if self.flops else " " * 16
        return (
            f"{self.name:<34}{self.n_threads} T {self.t_ns / 1e3:10.1f} us {rate} {self.n_bytes / self.t_ns:7.2f} GB/s"
        )


def row(name: str, n_threads: int, seconds: float = 0.2) -> Row:
    """The median of the calls that fit into the time, five at least."""
    case = CASES[name]
    if case.bench is None:
        raise ValueError(f"{name} has no bench sample")
    sample = rounded(case.bench(Draw(name)), np.float32)
    before = pydl.get_num_threads()
    pydl.set_num_threads(n_threads)
    try:
        values, _ = run(pydl, name, case, sample)
        for value, exact in zip(values, expected(case, sample), strict=True):
            bound = tolerance(case, sample, value.dtype) if value.dtype.kind == "f" else 0.0
            check_close(value, exact, bound, case.length(*sample.args, **sample.kwargs) > 1, name)
        given, _ = tensors(pydl, sample)
        call = bind(pydl, name, case)
        times: list[int] = []
        while len(times) < 5 or sum(times) < seconds * 1e9:
            start = time.perf_counter_ns()
            call(*given.args, **given.kwargs)
            times.append(time.perf_counter_ns() - start)
    finally:
        pydl.set_num_threads(before)
    moved = [a for a in (*leaves(sample.args), *values) if isinstance(a, np.ndarray)]
    n_bytes = sum(a.nbytes for a in moved) if case.bytes is None else case.bytes(*sample.args, **sample.kwargs)
    flops = None if case.flops is None else case.flops(*sample.args, **sample.kwargs)
    return Row(name, n_threads, float(np.median(times)), flops, n_bytes)


def main(names: list[str]) -> None:
    for name in names or [name for name, case in CASES.items() if case.bench]:
        for n_threads in (1, 2):
            print(row(name, n_threads), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
