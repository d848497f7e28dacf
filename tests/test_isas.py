# SPDX-License-Identifier: BSD-3-Clause
"""Every operation on every instruction set of this machine: one is chosen when pydl loads, so each in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pydl._core import kernels
from tests.cases import CASES
from tests.harness import Draw, check_values

ROOT = Path(__file__).resolve().parent.parent
OTHERS = [isa for isa in kernels.isas() if isa != kernels.isa()]


def failures() -> list[str]:
    """The samples of all cases whose results are not within their tolerance."""
    found = []
    for name, case in CASES.items():
        for sample in case.samples(Draw(name)):
            try:
                check_values(name, case, sample)
            except Exception as error:
                found.append(f"{name}({sample}): {error}")
    return found


@pytest.mark.long
@pytest.mark.parametrize("isa", OTHERS)
def test_operations(isa: str) -> None:
    code = (
        "import tests.test_isas as t; from pydl._core import kernels; found = t.failures()\n"
        f"assert kernels.isa() == {isa!r}, kernels.isa()\n"
        "print(*found[:20], sep='\\n'); raise SystemExit(len(found) > 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYDL_ISA": isa, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_result_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES["exp"]
    wrong = type(case)(lambda x: case.reference(x) * (1 + 1e-6), case.samples)
    monkeypatch.setitem(globals(), "CASES", {"exp": wrong})
    assert failures()
