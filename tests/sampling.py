# SPDX-License-Identifier: BSD-3-Clause
"""Tests of an operation's samples: one test an operation, which says what samples failed. A test each, of some
milliseconds, cost pytest as much again."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
Skipped: type[BaseException] = pytest.skip.Exception


def each_sample(
    samples: Mapping[str, Sequence[T]],
) -> Callable[[Callable[[str, T], None]], Callable[[str, pytest.Config], None]]:
    """Make a test of (name, sample) one of each name, which runs all samples and then fails with what they raised.

    It is skipped where all of them are. With --quick one sample is run, which depends on both names.
    """

    def decorate(test: Callable[[str, T], None]) -> Callable[[str, pytest.Config], None]:
        @pytest.mark.samples
        @pytest.mark.parametrize("name", [name for name, group in samples.items() if group])
        @functools.wraps(test)
        def run(name: str, pytestconfig: pytest.Config) -> None:
            group = samples[name]
            if pytestconfig.getoption("--quick"):
                group = [group[zlib.crc32(f"{test.__name__} {name}".encode()) % len(group)]]
            run_all(test, name, group)

        del run.__wrapped__  # pytest would read the arguments there
        return run

    return decorate


def run_all(test: Callable[[str, T], Any], name: str, samples: Sequence[T]) -> None:
    """Run the test for every sample; raise what they raised, each with its sample, or that all were skipped."""
    failed: list[Exception] = []
    skipped: list[BaseException] = []
    for sample in samples:
        try:
            test(name, sample)
        except Skipped as reason:
            skipped.append(reason)
        except Exception as error:
            error.add_note(f"{name}({sample})")
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(samples)} samples of {name} failed", failed)
    if len(skipped) == len(samples):
        raise skipped[0]
