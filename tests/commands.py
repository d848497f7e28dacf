# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train` within this process: what the tests of the command line have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from pydl.cli import main
from pydl.cli.tasks import task_of
from pydl.io import safetensors


def needs_extras(data: str = "digits") -> None:
    """Skip the test where what training `data` takes is not installed."""
    for module in ("matplotlib", "tqdm", *(["sklearn"] if data == "digits" else [])):
        pytest.importorskip(module, reason="the examples need the extra `examples`")


def train(folder: Path, data: str, *options: object, picture: bool = False) -> int:
    """The exit code of `pydl train data --out folder` and the options. Drawing takes longer than most of the trainings:
    only with `picture`."""
    needs_extras(data)
    with contextlib.nullcontext() if picture else mock.patch.object(task_of(data), "draw"):
        return main(["train", data, "--out", str(folder), *map(str, options)])


@contextlib.contextmanager
def few_digits(n: int = 190) -> Iterator[None]:
    """So many digits to train on, and 40 to test: an epoch of the default batch of 32 has 6 steps in place of 45. For
    what does not depend on how well they are learnt."""
    pytest.importorskip("sklearn", reason="the examples need the extra `examples`")
    from pydl.cli.tasks import digits

    whole = digits.load()
    parts = {"train_x": n, "train_y": n, "test_x": 40, "test_y": 40}
    few = replace(whole, **{name: getattr(whole, name)[:k].clone() for name, k in parts.items()})
    with mock.patch.object(digits, "load", lambda: few):
        yield


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr of a command that must end with 2 before it prints anything else."""
    assert main(list(map(str, arguments))) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith("\n")
    return err


def weights(folder: Path) -> dict[str, bytes]:
    """What the training wrote there."""
    (file,) = folder.glob("*.safetensors")
    return {name: t.numpy().tobytes() for name, t in safetensors.load_file(file).items()}
