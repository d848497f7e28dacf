# SPDX-License-Identifier: BSD-3-Clause
"""Adds up pytest's JUnit files: a line per run, then the line that everything together comes to; 1 where a test failed
or a run had none."""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def counts(path: Path) -> dict[str, float]:
    """Return passed, failed, skipped and seconds of one run."""
    suites = ET.parse(path).getroot().iter("testsuite")
    total = {"passed": 0.0, "failed": 0.0, "skipped": 0.0, "seconds": 0.0}
    for s in suites:
        tests, skipped = int(s.get("tests", 0)), int(s.get("skipped", 0))
        failed = int(s.get("failures", 0)) + int(s.get("errors", 0))
        total["failed"] += failed
        total["skipped"] += skipped
        total["passed"] += tests - failed - skipped
        total["seconds"] += float(s.get("time", 0))
    return total


def text(c: dict[str, float]) -> str:
    """Return the counts as pytest words them."""
    return f"{c['passed']:.0f} passed, {c['failed']:.0f} failed, {c['skipped']:.0f} skipped in {c['seconds']:.0f}s"


def main(paths: list[str]) -> int:
    """Print the counts of the runs and of all together."""
    runs = {Path(p).stem: counts(Path(p)) for p in paths}
    for name, c in runs.items():
        print(f"{name:12} {text(c)}")
    total = {key: sum(c[key] for c in runs.values()) for key in ("passed", "failed", "skipped", "seconds")}
    empty = [name for name, c in runs.items() if c["passed"] == 0]
    for name in empty:
        print(f"no test passed in {name}")
    print(f"=== {text(total)} ===")
    return int(bool(empty) or not runs or total["failed"] > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
