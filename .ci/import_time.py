# SPDX-License-Identifier: BSD-3-Clause
"""Checks that importing pydl takes at most 30 ms more than importing NumPy: fresh processes in turn, the
least disturbed of each, in processor time: beside two compilers the clock on the wall says three times as much."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.install import import_times

LIMIT_MS = 30.0


def main() -> int:
    """Measure, print and compare."""
    times = import_times(["numpy", "pydl"], 21, "thread_time")
    numpy_ms, pydl_ms = (1e3 * min(times[name]) for name in ("numpy", "pydl"))
    print(f"import: NumPy {numpy_ms:.1f} ms, pydl {pydl_ms:.1f} ms, {pydl_ms - numpy_ms:.1f} ms more")
    return int(pydl_ms - numpy_ms > LIMIT_MS)


if __name__ == "__main__":
    raise SystemExit(main())
