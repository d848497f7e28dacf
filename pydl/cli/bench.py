# SPDX-License-Identifier: BSD-3-Clause
"""`pydl bench`: a short look at how fast this machine runs pydl, and how near that is to what its cores can do."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pydl
from pydl import nn, optim
from pydl._core import kernels
from pydl.cli.refusal import Commands, positive
from pydl.models import MLP
from pydl.nn import functional as F

__all__ = ["add"]

ROUND_S, MIN_ROUNDS = 1e-3, 7
GEMM_SIZES = (64, 128, 256, 512, 1024)
N_ELEMENTS = 1 << 20
MLP_SIZES, MLP_BATCH = (784, 256, 128, 10), 64


@dataclass(frozen=True)
class Row:
    """One piece of work: what to call, and what it takes: FLOP, bytes read and written, or neither (pure overhead)."""

    name: str
    call: Callable[[], object]
    flop: float = 0.0
    n_bytes: float = 0.0


def add(commands: Commands) -> None:
    """Declare the command and its options."""
    p = commands.add_parser(
        "bench",
        help="measure this machine's speed: matrix products, a few operations, overhead, a training step",
        description="Measures a few float32 operations through the public API on one thread and on all threads."
        " 'of peak' is the share of the machine's own fused multiply-add peak, measured in the same run on the same"
        " number of threads. Medians.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    p.add_argument("--seconds", type=positive, default=0.2, metavar="X", help="time given to each row")
    p.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Measure everything at one thread and at all threads, and print a table for each."""
    all_threads = pydl.get_num_threads()
    print(f"pydl {pydl.__version__}, kernels for {kernels.isa()}, float32")
    try:
        for n in sorted({1, all_threads}):
            pydl.set_num_threads(n)
            _table(n, options.seconds)
    finally:
        pydl.set_num_threads(all_threads)
    return 0


def _table(n_threads: int, seconds: float) -> None:
    peak = _peak(n_threads, seconds)
    print(f"\n{n_threads} thread{'s' if n_threads > 1 else ''}: peak {peak:.0f} GFLOP/s")
    print(f"{'work':44} {'time':>12} {'rate':>14} {'of peak':>9}")
    pydl.manual_seed(0)
    for row in [*_gemm(), *_elementwise(), *_overhead(), _mlp_step()]:
        print(_line(row, _median_s(row.call, seconds), peak), flush=True)


def _line(row: Row, t_s: float, peak: float) -> str:
    rate = share = ""
    if row.flop:
        rate = f"{row.flop / t_s / 1e9:.1f} GFLOP/s"
        share = f"{100 * row.flop / t_s / 1e9 / peak:.0f} %"
    elif row.n_bytes:
        rate = f"{row.n_bytes / t_s / 1e9:.1f} GB/s"
    return f"{row.name:44} {t_s * 1e6:9.2f} us {rate:>14} {share:>9}".rstrip()


def _median_s(call: Callable[[], object], seconds: float) -> float:
    """Median time of a call in seconds.

    Rounds of about a millisecond: long for the clock, short for the scheduler. On a busy machine most rounds then run
    undisturbed, and with them the median.
    """
    once = min(_time_s(call, 1) for _ in range(3))
    n = max(1, int(ROUND_S / once))
    rounds: list[float] = []
    end = time.perf_counter() + seconds
    while len(rounds) < MIN_ROUNDS or time.perf_counter() < end:
        rounds.append(_time_s(call, n) / n)
    return statistics.median(rounds)


def _time_s(call: Callable[[], object], n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        call()
    return max(time.perf_counter() - start, 1e-8)


def _peak(n_threads: int, seconds: float) -> float:
    """GFLOP/s of independent multiply-adds on so many threads at once."""
    found: list[float] = []
    barrier = threading.Barrier(n_threads)

    def measure() -> None:
        barrier.wait()
        found.append(kernels.measure_peak(False, seconds))

    workers = [threading.Thread(target=measure) for _ in range(n_threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(found)


def _gemm() -> list[Row]:
    rows = []
    for n in GEMM_SIZES:
        a, b = pydl.randn(n, n), pydl.randn(n, n)
        rows.append(Row(f"matrix product {n} x {n} x {n}", partial(pydl.matmul, a, b), flop=2.0 * n**3))
    return rows


def _elementwise() -> list[Row]:
    x, y = pydl.randn(N_ELEMENTS), pydl.randn(N_ELEMENTS)
    scores, target = pydl.randn(256, 1000), pydl.arange(256)
    mb = 4.0 * N_ELEMENTS
    return [
        Row("add, 1 M elements", lambda: x + y, n_bytes=3 * mb),
        Row("relu, 1 M elements", lambda: F.relu(x), n_bytes=2 * mb),
        Row("exp, 1 M elements", lambda: x.exp(), n_bytes=2 * mb),
        Row("tanh, 1 M elements", lambda: x.tanh(), n_bytes=2 * mb),
        Row("sum, 1 M elements", lambda: x.sum(), n_bytes=mb),
        Row("cross entropy 256 x 1000", lambda: F.cross_entropy(scores, target), n_bytes=4.0 * 256 * 1000),
    ]


def _overhead() -> list[Row]:
    x, y = pydl.randn(4, 4, requires_grad=True), pydl.randn(4, 4)
    layer = nn.Linear(4, 4)
    weight, bias = layer.weight, layer.bias
    return [
        Row("add 4 x 4, recorded", lambda: x + y),
        Row("linear 4 x 4, recorded", lambda: F.linear(y, weight, bias)),
        Row("the same as nn.Linear", lambda: layer(y)),
    ]


def _mlp_step() -> Row:
    model = MLP(*MLP_SIZES)
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x, y = pydl.randn(MLP_BATCH, MLP_SIZES[0]), pydl.arange(MLP_BATCH) % MLP_SIZES[-1]

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    # Three products a layer, but no gradient for the input of the first.
    products = [n_in * n_out for n_in, n_out in pairwise(MLP_SIZES)]
    flop = 2.0 * MLP_BATCH * (3 * sum(products) - products[0])
    return Row(f"training step, MLP {'-'.join(map(str, MLP_SIZES))}, batch {MLP_BATCH}", step, flop=flop)
