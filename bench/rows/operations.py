# SPDX-License-Identifier: BSD-3-Clause
"""A row for every operation whose Case in tests/cases has a call large enough to measure: `--rows "op gelu"`.

They come from the Cases and are not part of a whole run: what is on a path that should be fast has a row of its own.
"""

from typing import Any

import numpy as np

import pydl
from bench.row import Row, Way
from tests.cases import CASES
from tests.harness import Case, Draw, Sample, bind, expected, leaves, rounded, run, tensors, tolerance


def _work(name: str, case: Case, sample: Sample) -> tuple[float, float]:
    """Return FLOPs, where the Case counts them, and bytes of arguments and results of one call."""
    before = pydl.get_num_threads()
    try:
        pydl.set_num_threads(1)  # no threads beside those of the library whose process this is
        values, _ = run(pydl, name, case, sample)
    finally:
        pydl.set_num_threads(before)
    arrays = [a for a in (*leaves(sample.args), *values) if isinstance(a, np.ndarray)]
    return case.flops(*sample.args, **sample.kwargs) if case.flops else 0.0, float(sum(a.nbytes for a in arrays))


def operation(name: str, case: Case) -> Row:
    """Return the row of one operation, forward, in float32."""
    assert case.bench is not None
    sample = rounded(case.bench(Draw(name)), np.float32)

    def way(library: Any, sample: Sample) -> Way:
        given, _ = tensors(library, sample)
        call = bind(library, name, case)
        return lambda: list(leaves(call(*given.args, **given.kwargs)))

    flops, n_bytes = _work(name, case, sample)
    return Row(
        f"op {name} {sample}",
        lambda rng: {"sample": sample},
        lambda sample: expected(case, sample),
        {"pydl": way, "torch": way} if case.in_torch else {"pydl": way},
        tolerance=8 * tolerance(case, sample, np.float32),
        flops=flops,
        n_bytes=n_bytes,
    )


def rows(part: str = "op ") -> list[Row]:
    """Return the rows of the operations whose row's name begins with `part`."""
    return [
        operation(name, case) for name, case in CASES.items() if case.bench and f"op {name} ".startswith(part)
    ]
