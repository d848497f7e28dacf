# SPDX-License-Identifier: BSD-3-Clause
"""What installing and importing a library costs: import time in fresh processes, in turn; size of wheel and files."""

import statistics
import subprocess
from pathlib import Path
from typing import Any

from bench.machine import ROOT
from bench.peers import PEERS, interpreter
from bench.run import median_ratio

IMPORT = (
    "import sys, time; sys.path.append(sys.argv[1]); "
    "t = time.{clock}(); import {package}; print(time.{clock}() - t)"
)
SIZE = (
    "import importlib.metadata as m, sys; "
    "print(sum(f.locate().stat().st_size for f in m.files(sys.argv[1]) or () if f.locate().exists()))"
)


def _python(library: str, code: str, argument: str) -> str | None:
    command = [interpreter(PEERS[library]), "-P", "-c", code, argument]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    return done.stdout.strip() if done.returncode == 0 else None


def import_times(libraries: list[str], n_turns: int, clock: str = "perf_counter") -> dict[str, list[float]]:
    """Return seconds per import, one a turn for each library that can be imported, after one for the file cache.

    clock: a function of `time`; thread_time leaves out what else runs on the machine.
    """
    codes = {name: IMPORT.format(package=PEERS[name].package, clock=clock) for name in libraries}
    codes = {name: code for name, code in codes.items() if _python(name, code, str(ROOT)) is not None}
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(n_turns):
        for name, code in codes.items():
            times[name].append(float(_python(name, code, str(ROOT)) or "nan"))
    return times



def installed_size(library: str) -> int | None:
    """Return the bytes of an installed distribution's own files."""
    reply = _python(library, SIZE, {"pydl": "pydl-nn"}.get(library, library))
    return int(reply) if reply else None


def records(peers: list[str], quick: bool, wheel: Path | None) -> list[dict[str, Any]]:
    """Return the records of import times and sizes. `wheel` is pydl's, where one was built."""
    names = [n for n in peers if n == PEERS[n].package]
    times = import_times(names, 3 if quick else 15)
    found: list[dict[str, Any]] = []
    for name, turns in times.items():
        record = {"row": "import", "library": name, "seconds": statistics.median(turns), "turns": turns}
        if "pydl" in times:
            record["ratio_to_pydl"] = median_ratio(turns, times["pydl"])
        size = installed_size(name)
        found += [record, {"row": "installed size", "library": name, "n_bytes": size or None}]
    if wheel is not None:
        found.append({"row": "wheel size", "library": "pydl", "n_bytes": wheel.stat().st_size})
    return found
