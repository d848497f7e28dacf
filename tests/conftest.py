# SPDX-License-Identifier: BSD-3-Clause
"""Markers `parity` (compares with the one PyTorch version that pydl follows), `slow` (only with --slow), `sources`
(reads them); --quick."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

TORCH = "2.13.0"
QUICK, QUICK_SAMPLES = 48, 4
# Beside an installed package there are the tests alone.
SOURCES = (Path(__file__).resolve().parent.parent / "pydl" / "_core" / "tape.pyx").exists()


def _torch_missing() -> str:
    """Why the parity tests cannot run; empty if they can."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return f"torch {TORCH} is not installed"
    found = version.split("+")[0]
    return "" if found == TORCH else f"torch is {version}, the comparison is with {TORCH}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"of a test with many cases every {QUICK}th (of one with samples every {QUICK_SAMPLES}th, with one), "
        "and no test marked long: for the developers' loop",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"parity: compares with torch {TORCH}; skipped where it is not installed")
    config.addinivalue_line("markers", "slow: takes more than a few seconds or GB; runs with --slow")
    config.addinivalue_line("markers", "sources: reads the sources of pydl; skipped beside an installed package")
    config.addinivalue_line("markers", "samples: runs all samples of an operation; with --quick one")
    config.addinivalue_line("markers", "long: a second or more of training or of other processes; not with --quick")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite takes two processes where pytest-xdist is installed and nothing else is said: each of them keeps
    one core busy most of the time. `-n 0` is one process, `-n 4` takes four."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    if not (whole and config.pluginmanager.hasplugin("xdist")) or hasattr(config, "workerinput"):
        return
    alone = config.getoption("--quick") or config.option.usepdb or config.option.collectonly
    if config.option.numprocesses is None and config.option.dist == "no" and not alone and (os.cpu_count() or 1) > 1:
        config.option.numprocesses, config.option.dist = 2, "worksteal"


def _quick(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave a part of the cases of each test, evenly spread: which part depends on its name, so that the cases of one
    operation are not all left out."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not item.get_closest_marker("long"):
            cases[item.nodeid.split("[")[0]].append(item)
    left = set()
    for name, group in cases.items():
        every = QUICK_SAMPLES if group[0].get_closest_marker("samples") else QUICK
        left.update(group[zlib.crc32(name.encode()) % min(every, len(group)) :: every])
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = [item for item in items if item in left]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[object]:
    """Collecting makes objects that all stay: the garbage collector would look through them again and again, and in
    every test that calls it."""
    gc.disable()
    try:
        result = yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    return result


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        _quick(config, items)
    missing = _torch_missing()
    slow = config.getoption("--slow")
    for item in items:
        if missing and item.get_closest_marker("parity"):
            item.add_marker(pytest.mark.skip(reason=missing))
        if not SOURCES and item.get_closest_marker("sources"):
            item.add_marker(pytest.mark.skip(reason="reads the sources, which are not beside an installed package"))
        if not slow and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: give --slow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = _torch_missing()
    n_skipped = sum(bool(missing) and missing in str(r.longrepr) for r in terminalreporter.stats.get("skipped", []))
    if n_skipped:
        terminalreporter.write_line(
            f'{n_skipped} parity tests skipped: {missing} (python -m pip install "pydl-nn[parity]")'
        )


@pytest.fixture
def root() -> Path:
    """The repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def no_gc() -> Iterator[None]:
    """The cyclic garbage collector is off: only reference counts free."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts the number of threads back."""
    import pydl

    before = pydl.get_num_threads()
    try:
        yield
    finally:
        pydl.set_num_threads(before)
