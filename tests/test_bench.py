# SPDX-License-Identifier: BSD-3-Clause
"""The benchmark measures right results only: every row's ways against its reference, the order of turns, the report."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pydl
from bench import report
from bench.row import Row, Statement, as_arrays, relative_error
from bench.rows import ROWS, chosen
from bench.run import Plan, measure, median_ratio

# A run of the benchmark checks each row that it times; here, those that take a second or more are for --slow.
SMALL = [
    pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.flops > 5e8 or row.n_bytes > 1e8 else [])
    for row in ROWS
    if row.flops <= 3e9
]
PLAN = Plan(turns=3, seconds=0.0, rest=0.0)


def value(row: Row, library: str, module: Any) -> Any:
    way = row.way(library)
    assert way is not None
    step = way(module, **row.make_data())
    if isinstance(step, Statement):
        return eval(step.code, dict(step.names))
    return [as_arrays(step()) for _ in range(row.calls)]


@pytest.mark.parametrize("row", SMALL)
def test_pydl_and_numpy_give_the_reference(row: Row) -> None:
    answer = row.answer()
    for library, module in (("pydl", pydl), ("numpy", np)):
        if row.way(library):
            assert relative_error(value(row, library, module), answer) <= row.tolerance, library


def test_every_row_is_one_of_pydls() -> None:
    assert all(row.way("pydl") for row in ROWS)


@pytest.mark.parametrize("name", ["gelu", "softmax", "embedding", "conv2d"])
def test_an_operation_has_a_row_from_its_case(name: str) -> None:
    (row,) = chosen([f"op {name} "])
    assert row.name.startswith(f"op {name} ") and {"pydl", "torch"} <= set(row.ways)
    assert relative_error(value(row, "pydl", pydl), row.answer()) <= row.tolerance


def test_operations_are_no_part_of_a_whole_run() -> None:
    assert chosen([""]) == ROWS
    assert [row.name for row in chosen(["tiny add"])] == ["tiny add 4x4"]


def test_row_names_differ_and_data_repeats() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    first, second = (ROWS[0].make_data() for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("got", [np.ones((2, 3)), np.full((3, 2), np.nan), np.full((3, 2), np.inf)])
def test_wrong_shape_and_nan_are_infinitely_wrong(got: np.ndarray) -> None:
    assert relative_error(got, [np.ones((3, 2))]) == np.inf


class Scripted:
    """A worker that answers from a list."""

    def __init__(self, name: str, prepare: dict[str, Any], seconds: list[float], log: list[str]):
        self.peer = type("Peer", (), {"name": name})()
        self.prepare, self.seconds, self.log = prepare, seconds, log

    def ask(self, row: Row, **request: Any) -> dict[str, Any]:
        if not request:
            return self.prepare
        self.log.append(self.peer.name)
        return {"seconds": self.seconds.pop(0)}


def test_turns_alternate_and_ratios_are_of_neighbours() -> None:
    log: list[str] = []
    right = {"error": 0.0, "n": 1}
    workers: list[Any] = [
        Scripted("machine", right, [0.5, 1.0, 2.0], log),
        Scripted("pydl", right, [1.0, 2.0, 4.0], log),
        Scripted("torch", right, [3.0, 6.0, 12.0], log),
    ]
    records = {r["library"]: r for r in measure(ROWS[0], workers, PLAN)}
    assert log == ["machine", "pydl", "torch"] * 3
    assert records["torch"]["ratio_to_pydl"] == 3.0
    assert records["torch"]["seconds"] == 6.0
    assert records["pydl"]["share_of_limit"] == 0.5


def test_wrong_result_is_not_timed() -> None:
    log: list[str] = []
    right, wrong = {"error": 0.0, "n": 1}, {"error": 1e-3, "n": 1}
    workers: list[Any] = [Scripted("pydl", wrong, [], log), Scripted("numpy", right, [1.0, 1.0, 1.0], log)]
    records = {r["library"]: r for r in measure(ROWS[0], workers, PLAN)}
    assert "wrong result" in records["pydl"]["failed"]
    assert log == ["numpy"] * 3
    assert "ratio_to_pydl" not in records["numpy"]


def test_median_ratio() -> None:
    assert median_ratio([2.0, 8.0, 1.0], [1.0, 2.0, 1.0]) == 2.0


def test_only_the_last_run_is_reported(tmp_path: Path) -> None:
    lines = [
        {"run": "a", "row": "x", "threads": 1, "library": "pydl", "seconds": 1.0},
        {"run": "b", "row": "x", "threads": 1, "library": "pydl", "seconds": 2e-3},
        {"run": "b", "row": "x", "threads": 1, "library": "numpy", "seconds": 3e-3},
    ]
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = report.last_run(path)
    assert [r["seconds"] for r in records] == [2e-3, 3e-3]
    assert report.markdown(records).splitlines()[-1] == "| x | 1 | **2 ms** | 3 ms |"


def test_readme_is_filled_between_its_marks(tmp_path: Path) -> None:
    machine = {"cpu": "X", "cpus": 2, "date": "2026-01-02T03:04:05", "commit": "abc+", "load": 0.1, "threads": 1}
    timing = {**machine, "row": "x", "seconds": 1e-3, "version": "1.0"}
    records = [{**timing, "library": name} for name in ("pydl", "numpy")]
    path = tmp_path / "README.md"
    path.write_text("above\n<!-- bench -->\nstale\n<!-- /bench -->\nbelow\n")
    for _ in range(2):
        report.fill_readme(records, path)
    text = path.read_text()
    assert text.startswith("above\n<!-- bench -->\n") and text.endswith("\n<!-- /bench -->\nbelow\n")
    assert text.count("| x | 1 |") == 1 and "stale" not in text and "numpy 1.0" in text and "commit abc" in text


@pytest.mark.long
def test_command_measures_checks_and_records(tmp_path: Path, root: Path) -> None:
    out, plot = tmp_path / "out" / "r.jsonl", tmp_path / "r.png"
    chosen = ["--rows", "tiny add,softmax-CE fwd+bwd 64x10", "--threads", "1", "--peers", "pydl,numpy"]
    command = [sys.executable, "-m", "bench", "--quick", *chosen, "--out", str(out), "--plot", str(plot)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records = report.last_run(out)
    assert {(r["row"], r["library"]) for r in records} == {
        (row, library) for row in ("tiny add 4x4", "softmax-CE fwd+bwd 64x10") for library in ("pydl", "numpy")
    }
    for r in records:
        assert r["seconds"] > 0 and r["error"] <= r["tolerance"] and len(r["turns"]) == 2
        assert {"cpu", "cpu_flags", "commit", "date", "threads", "version", "isa", "load"} <= set(r)
    assert plot.read_bytes().startswith(b"\x89PNG")


def _children(pid: int) -> dict[int, str]:
    """The state of each child: T for one that stands still."""
    states = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            states[int(child)] = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
    return states


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
@pytest.mark.parametrize(("name", "n_still"), [("SIGTERM", 2), ("SIGHUP", 1), ("SIGINT", 1)])
def test_whatever_ends_it_ends_its_workers(name: str, n_still: int, root: Path) -> None:
    """They stand still most of the time: nobody would wake them."""
    rows = ["--rows", "chain,softmax,tiny", "--threads", "1", "--peers", "pydl,numpy"]
    number = signal.Signals[name]
    with subprocess.Popen(
        [sys.executable, "-m", "bench", *rows],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a background job or nohup ignores it
    ) as process:
        workers: dict[int, str] = {}
        while process.poll() is None and list(workers.values()).count("T") < n_still:
            workers |= _children(process.pid)
            time.sleep(0.002)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(30) == (-number if name == "SIGINT" else 128 + number)
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):  # one that had no time to stand still ends by itself
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("arguments, part", [
    (("--peers", "tensorflaw"), "unknown peers: tensorflaw"),
    (("--threads", "two"), "--threads takes numbers"),
    (("--rows", "no such row"), "no row's name contains"),
])
def test_bad_arguments_are_one_line(arguments: tuple[str, str], part: str, root: Path) -> None:
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert part in done.stderr.splitlines()[-1]
