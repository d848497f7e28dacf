# SPDX-License-Identifier: BSD-3-Clause
"""The list of planted faults fits the tree: what each replaces stands there once, and the tests it names exist."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.planted_faults import planted
from tests.planted_faults_list import FAULTS, Fault


@pytest.mark.sources
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault: Fault, root: Path) -> None:
    text = (root / fault.file).read_text()
    assert planted(text, fault) != text
    assert Path(fault.file).suffix in (".py", ".pyx", ".h", ".c")  # what the script knows how to build
    named = [word for word in shlex.split(fault.tests) if word.startswith("tests/")]
    assert named and all((root / name).is_file() for name in named)


def test_no_fault_stands_twice_and_every_room_has_some() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 40
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)
    rooms = {"csrc/", "pydl/_core/", "pydl/ops/", "pydl/nn/", "pydl/optim/", "pydl/utils/", "pydl/io/"}
    assert all(any(fault.file.startswith(room) for fault in FAULTS) for room in rooms)


def test_what_a_fault_replaces_must_stand_once() -> None:
    fault = Fault("f", "file", "a", "b", "", "")
    assert planted("xay", fault) == "xby"
    for text in ("xy", "aa"):
        with pytest.raises(ValueError, match="in place of once"):
            planted(text, fault)
