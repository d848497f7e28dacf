# SPDX-License-Identifier: BSD-3-Clause
"""One test for all samples of an operation: every one is run, and what failed is named."""

from __future__ import annotations

import pytest

from tests.sampling import run_all


def odd_fail(name: str, sample: int) -> None:
    if sample == 4:
        pytest.skip("four")
    assert sample % 2 == 0, sample


def test_a_failed_sample_is_named() -> None:
    with pytest.raises(AssertionError) as caught:
        run_all(odd_fail, "op", [0, 2, 3, 6])
    assert caught.value.__notes__ == ["op(3)"]


def test_the_first_failure_is_not_the_end() -> None:
    with pytest.raises(ExceptionGroup, match="2 of 4 samples of op failed") as caught:
        run_all(odd_fail, "op", [0, 1, 4, 3])
    assert [error.__notes__ for error in caught.value.exceptions] == [["op(1)"], ["op(3)"]]


def test_skipped_only_where_nothing_was_tested() -> None:
    run_all(odd_fail, "op", [4, 2])
    with pytest.raises(pytest.skip.Exception, match="four"):
        run_all(odd_fail, "op", [4, 4])
