# SPDX-License-Identifier: BSD-3-Clause
"""Checks that importing pydl takes at most 30 ms more than importing NumPy: fresh processes, median difference."""

import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.install import import_times

LIMIT_MS = 30.0


def main() -> int:
    """Measure, print and compare."""
    times = import_times(["numpy", "pydl"], 21)
    extra = statistics.median(p - n for p, n in zip(times["pydl"], times["numpy"], strict=True))
    medians = {name: 1e3 * statistics.median(turns) for name, turns in times.items()}
    print(f"import: NumPy {medians['numpy']:.1f} ms, pydl {medians['pydl']:.1f} ms, {1e3 * extra:.1f} ms more")
    return int(1e3 * extra > LIMIT_MS)


if __name__ == "__main__":
    raise SystemExit(main())
