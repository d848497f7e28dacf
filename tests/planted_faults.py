# SPDX-License-Identifier: BSD-3-Clause
"""`python -m tests.planted_faults`: does the suite see faults? Plants them one by one and runs the tests.

Works in a copy of the tree, never in the tree itself. A fault of `planted_faults_list.py` is put into the copy, the
module that it changes is built (kernels for this machine's instruction set alone), and the tests named with it run
until one fails; where they all pass, the whole suite does, unless `--named`. In the end the tests that failed must
pass without a fault, else they prove nothing.

`--scratch DIR` keeps the copy and its build for the next run; `--only NAME ...` plants some; `--list` shows them.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.planted_faults_list import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 1200  # a run of tests that takes longer hangs
BUILD = "from tests.__main__ import build; raise SystemExit(not build())"
ISA = "import pydl._core.kernels as k; print({'neon': 'base'}.get(k.isa(), k.isa()))"
PASSED, FAILED, BROKEN_IMPORT, NOTHING_SELECTED = 0, 1, 2, 5  # how pytest ends
SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".c", ".h")


@dataclass(frozen=True)
class Verdict:
    """What saw a fault: the failed test's id, or in words how the run ended; None if nothing did."""

    seen_by: str | None
    seconds: float
    by_named_tests: bool = True


def planted(text: str, fault: Fault) -> str:
    """The text with the fault; ValueError unless what it replaces stands there exactly once."""
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: {fault.file} has {text.count(fault.old)} times in place of once: {fault.old}")
    return text.replace(fault.old, fault.new)


def copy_tree(scratch: Path) -> None:
    """Brings every file that git knows, or would add, into `scratch`; unchanged ones keep their time for the build."""
    mark = scratch / "copy-for-planted-faults"
    if any(scratch.iterdir()) and not mark.exists():
        raise SystemExit(f"{scratch} is neither empty nor a copy made by this script")
    mark.touch()
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    wanted = {scratch / name: ROOT / name for name in names if name and (ROOT / name).is_file()}
    for target, source in wanted.items():
        if not (target.is_file() and target.read_bytes() == source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for folder in ("csrc", "pydl", "tests", "bench"):
        for path in (scratch / folder).rglob("*"):
            if path.suffix in SOURCES and path not in wanted:
                path.unlink()  # of an earlier copy


def run(scratch: Path, *command: str | Path, folder: str = ".", shell: bool = False) -> str:
    """Runs a step of a build in the copy; its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    arguments = str(command[0]) if shell else command
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(scratch)}
    done = subprocess.run(arguments, cwd=scratch / folder, env=environment, shell=shell, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{arguments}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def built_files(folder: Path) -> list[Path]:
    """What a build makes, relative to the folder."""
    return [
        path.relative_to(folder)
        for part in ("build/dev", "pydl/_core")
        for path in (folder / part).rglob("*")
        if path.is_file() and (part != "pydl/_core" or path.suffix in (".so", ".pyd"))
    ]


def build_sound(scratch: Path) -> None:
    """Builds the copy without a fault, and keeps what was built aside."""
    run(scratch, sys.executable, "-c", BUILD)
    for name in built_files(scratch):
        take_over(scratch / name, scratch / "sound" / name)


def take_over(source: Path, target: Path) -> None:
    """Copies a file with its time, if the target is another."""
    if not target.exists() or target.stat().st_mtime_ns != source.stat().st_mtime_ns:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def build_changed(scratch: Path, file: str) -> None:
    """Builds the module of a changed file."""
    if not file.startswith("csrc/"):
        run(scratch, "cmake", "--build", "--preset", "dev", "--target", Path(file).stem)
        return
    isa = run(scratch, sys.executable, "-c", ISA).strip()
    folder = Path("build", "dev")
    found = (scratch / folder / "CMakeFiles").glob(f"kernels_{isa}_f*.dir/csrc/*.c.o*")
    run(scratch, "ninja", *(path.relative_to(scratch / folder) for path in found), folder=str(folder))
    link = run(scratch, "ninja", "-t", "commands", "kernels", folder=str(folder)).splitlines()[-1]
    run(scratch, link, folder=str(folder), shell=True)


def run_tests(scratch: Path, selection: list[str], more: list[str]) -> str | None:
    """Runs tests in the copy until one fails: its id, or how the run ended; None if all passed. `more`: options."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-o", f"cache_dir={cache}", *selection, *more]
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env={**os.environ, "PYTHONPATH": str(scratch)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"no end after {LIMIT_S} s"
        failed = Path(cache, "v", "cache", "lastfailed")
        if code in (FAILED, BROKEN_IMPORT) and failed.exists():
            return next(iter(json.loads(failed.read_text())))
    if code in (PASSED, NOTHING_SELECTED):
        return None
    if code > 0:
        raise SystemExit(f"pytest {shlex.join(selection)}: exit code {code}")
    return f"ended by {signal.Signals(-code).name}"


def judge(scratch: Path, fault: Fault, named_only: bool, more: list[str]) -> Verdict:
    """Plants a fault in the copy, builds, tests, and takes it out again, with what was built of it."""
    start = time.perf_counter()
    path = scratch / fault.file
    sound, since = path.read_text(), path.stat().st_mtime_ns
    path.write_text(planted(sound, fault))
    try:
        if path.suffix != ".py":
            build_changed(scratch, fault.file)
        seen_by = run_tests(scratch, shlex.split(fault.tests), more)
        named = seen_by is not None
        if not named and not named_only:
            seen_by = run_tests(scratch, [], more)
    finally:
        path.write_text(sound)
        os.utime(path, ns=(since, since))
        for name in built_files(scratch / "sound"):
            take_over(scratch / "sound" / name, scratch / name)
    return Verdict(seen_by, time.perf_counter() - start, named)


def false_alarms(scratch: Path, verdicts: dict[Fault, Verdict], more: list[str]) -> list[str]:
    """What fails in the copy without a fault, of the tests that saw one."""
    ids = sorted({v.seen_by for v in verdicts.values() if v.seen_by and "::" in v.seen_by})
    whole = [f.tests for f, v in verdicts.items() if v.seen_by and "::" not in v.seen_by]
    found = []
    for selection in ([ids] if ids else []) + [shlex.split(tests) for tests in whole]:
        while (failed := run_tests(scratch, selection, more)) is not None:
            found.append(failed)
            if failed not in selection:
                break
            selection = [test for test in selection if test != failed]
            if not selection:
                break
    return found


def judge_all(scratch: Path, faults: list[Fault], named_only: bool, more: list[str]) -> int:
    """Judges the faults and prints each verdict; the number that are missed, or seen by a test that fails anyway."""
    copy_tree(scratch)
    build_sound(scratch)
    verdicts: dict[Fault, Verdict] = {}
    for fault in faults:
        verdict = verdicts[fault] = judge(scratch, fault, named_only, more)
        word = "missed" if verdict.seen_by is None else "caught" if verdict.by_named_tests else "caught elsewhere"
        print(f"{word:16} {fault.name:30} {verdict.seconds:6.1f} s  {verdict.seen_by or ''}", flush=True)
    alarms = false_alarms(scratch, verdicts, more)
    for test in alarms:
        print(f"fails without a fault: {test}")
    missed = sum(v.seen_by is None for v in verdicts.values())
    print(f"{len(faults) - missed} of {len(faults)} caught")
    return missed + len(alarms)


def main() -> int:
    """Runs the script; 0 where every fault is caught."""
    parser = argparse.ArgumentParser("python -m tests.planted_faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only show the faults")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="plant these alone")
    parser.add_argument("--named", action="store_true", help="run only the tests named with a fault")
    parser.add_argument("--without-torch", action="store_true", help="leave out the comparisons with PyTorch")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="a folder for the copy, which is kept")
    a = parser.parse_args()
    unknown = set(a.only or ()) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    faults = [fault for fault in FAULTS if not a.only or fault.name in a.only]
    if a.list:
        for fault in faults:
            print(f"{fault.name:30} {fault.file:40} {fault.what}")
        return 0
    for fault in faults:
        planted((ROOT / fault.file).read_text(), fault)
    more = ["-m", "not parity"] if a.without_torch else []
    if a.scratch is not None:
        a.scratch.mkdir(parents=True, exist_ok=True)
        return int(judge_all(a.scratch.resolve(), faults, a.named, more) > 0)
    with tempfile.TemporaryDirectory() as folder:
        return int(judge_all(Path(folder).resolve(), faults, a.named, more) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
