# SPDX-License-Identifier: BSD-3-Clause
"""The README's Python runs and prints what it should; its figures and commands are those of the tree."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str], block: str) -> str:
    """Run a block as a script of its own and return what it printed."""
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    runpy.run_path(str(script), run_name="__main__")
    return capsys.readouterr().out


def test_there_are_six_blocks() -> None:
    assert len(BLOCKS) == 6


def test_twenty_lines_learn_digits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the README's example reads scikit-learn's digits")
    assert len(BLOCKS[0].splitlines()) <= 22
    correct = int(printed(tmp_path, capsys, BLOCKS[0]).split()[0])
    assert 320 <= correct <= 360


def test_numpy_and_sklearn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the README's example uses scikit-learn")
    score, shape = printed(tmp_path, capsys, BLOCKS[1]).split(maxsplit=1)
    assert float(score) >= 0.95
    assert shape.strip() == "(1797, 64)"


def test_own_function_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(tmp_path, capsys, BLOCKS[2]).strip() == "True"


def test_wrong_gradient_of_own_function_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pydl

    wrong = BLOCKS[2].replace("3 * x * x * dy", "2 * x * x * dy")
    assert wrong != BLOCKS[2]
    with pytest.raises(pydl.autograd.GradcheckError):
        printed(tmp_path, capsys, wrong)


def test_nothing_comes_from_behind_a_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(tmp_path, capsys, BLOCKS[3]).strip() == "0.0 0.0 True"


def test_install_commands_name_existing_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"pip install {project['name']}\n" in TEXT
    extras = set(re.findall(r'install -e "\.\[([a-z,]+)\]"', TEXT))
    assert extras == {"examples", "test"}
    assert extras <= set(project["optional-dependencies"])


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT)
    assert pictures
    for picture in pictures:
        assert 5_000 < (ROOT / picture).stat().st_size < 200_000


def test_gradients_over_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *table = printed(tmp_path, capsys, BLOCKS[4]).splitlines()
    assert first.endswith("it vanishes") and second.endswith("it arrives")
    assert table[0].startswith("Gradient flow") and table[-1].endswith("arrives")


def test_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape, *steps = printed(tmp_path, capsys, BLOCKS[5]).splitlines()
    assert shape == "pydl.Size([8, 5])"
    assert steps[1:] == ["  0: linear + batch_norm + relu (8, 20) -> (8, 16)", "  1: linear (8, 16) -> (8, 5)"]
