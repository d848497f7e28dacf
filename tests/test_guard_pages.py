# SPDX-License-Identifier: BSD-3-Clause
"""No kernel reads or writes outside of its arrays: each lies flush against a page that must not be touched.

A kernel that strays ends the process, so those of an instruction set and type have one of their own. The matrix
products: test_gemm.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pydl._core import kernels
from tests.kernel_calls import DTYPES, EACH, EACH_IDS, Guards, elementwise_calls, lanes, row_calls
from tests.kernel_calls_activation import activation_calls
from tests.kernel_calls_conv import conv_calls
from tests.kernel_calls_ctc import ctc_calls
from tests.kernel_calls_gather import gather_calls
from tests.kernel_calls_norm import norm_calls
from tests.kernel_calls_pool import pool_calls
from tests.kernel_calls_recurrent import recurrent_calls
from tests.kernel_calls_update import update_calls

FAMILIES = {
    "activation": activation_calls,
    "convolution": conv_calls,
    "ctc": ctc_calls,
    "elementwise": elementwise_calls,
    "norms": norm_calls,
    "gather": gather_calls,
    "pooling": pool_calls,
    "recurrent": recurrent_calls,
    "rows": row_calls, "update": update_calls,
}  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent
TESTED_ELSEWHERE = {  # tests/test_gemm.py; fma_chains has no array but LANES elements, see test_kernels.py
    "gemm.block", "gemm.pack_b", "gemm.pack_a", "gemm.store_transposed", "gemm.gemv_dot", "gemm.gemv_sum", "fma_chains",
    "recurrent.thin",  # tests/test_recurrent_kernels.py
}  # fmt: skip


def run_family(isa: str, dtype: Any, family: str) -> None:
    """Every call of the family at both ends of a page and in ordinary memory, with equal results."""
    places = [Guards(at_end) for at_end in (True, False)]
    for n in range(3 * lanes(isa, dtype) + 2):
        for call in FAMILIES[family](n, dtype, np.random.default_rng(n)):
            print(family, call.name, n, [a for a in call.args if isinstance(a, (int, float))], flush=True)
            want = call.run(isa, dtype)
            for place in places:
                got = [a.copy() for a in call.run(isa, dtype, place)]
                assert place.reset(), f"{call.name}, n = {n}: wrote outside of its arrays"
                assert all(a.tobytes() == b.tobytes() for a, b in zip(got, want, strict=True)), f"{call.name}, n = {n}"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_kernels_stay_inside(isa: str, dtype: Any) -> None:
    script = (
        "from tests.test_guard_pages import *\n"
        f"for family in FAMILIES:\n    run_family({isa!r}, np.{np.dtype(dtype)}, family)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    calls = run.stdout.splitlines()
    assert run.returncode == 0, f"exit code {run.returncode} after {calls[-1:]}\n{run.stderr[-2000:]}"
    counts = Counter(call.split()[0] for call in calls)
    assert set(counts) == set(FAMILIES) and min(counts.values()) > 100


def test_every_kernel_is_guarded() -> None:
    rng = np.random.default_rng(0)
    called = {call.name for family in FAMILIES.values() for call in family(3, np.float32, rng)}
    assert set(kernels.entries()) - TESTED_ELSEWHERE == called, "tests/kernel_calls*.py calls others than there are"
    assert DTYPES == [np.float32, np.float64]


@pytest.mark.skipif(sys.platform == "win32", reason="pages are protected by mprotect")
@pytest.mark.parametrize("at_end", [True, False])
def test_a_stray_access_is_found(at_end: bool) -> None:
    size, stride, n = (8, 1, 9) if at_end else (7, -1, 2)
    script = (
        "from tests.test_guard_pages import *; from tests.kernel_calls import Call, Out\n"
        f"x = np.ones({size}, np.float32)\n"
        f"call = Call('unary.neg', (x, {stride}, Out(np.ones(9, np.float32)), 1, {n}))\n"
        f"call.run({kernels.isa()!r}, np.float32, Guards({at_end}))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode < 0, run.stdout + run.stderr
