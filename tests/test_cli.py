# SPDX-License-Identifier: BSD-3-Clause
"""The command line: what it learns, prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import pydl
from pydl.cli import bench, main
from tests.commands import needs_extras, refused, train

pytestmark = pytest.mark.usefixtures("threads")  # `--threads` is for the whole process

# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "invalid choice: 'trian'"),
        (["train", "letters"], "invalid choice: 'letters'"),
        (["--model", "perceptron"], "invalid choice: 'perceptron'"),
        (["--model", "lenet"], "--model lenet does not fit digits: take cnn, mlp, rnn, lstm or gru"),
        (["train", "mnist", "--model", "cnn"], "--model cnn does not fit mnist: take lenet or mlp"),
        (["--time-limit", "0"], "--time-limit: must be a number above 0"),
        (["--optimizer", "sdg"], "invalid choice: 'sdg'"),
        (["--scheduler", "sine"], "invalid choice: 'sine'"),
        (["--patience", "0"], "--patience: must be a whole number from 1"),
        (["--checkpoint-steps", "5"], "--checkpoint-steps needs --checkpoint FILE"),
        (["--resume", "absent.state"], "cannot read the checkpoint absent.state"),
        (["train", "mnist"], "MNIST is not part of pydl: give the folder"),
        (["train", "fashion", "--data", "absent"], "apt install dataset-fashion-mnist, or give the folder"),
        (["--epochs", "0"], "--epochs: must be a whole number from 1"),
        (["--epochs", "many"], "--epochs: invalid whole number value: 'many'"),
        (["--batch", "-3"], "--batch: must be a whole number from 1"),
        (["--lr", "0"], "--lr: must be a number above 0"),
        (["--lr", "nan"], "--lr: must be a number above 0"),
        (["--lr", "big"], "--lr: must be a number above 0"),
        (["--threads", "0"], "--threads: must be a whole number from 1 to 1024"),
        (["--seed", "-1"], "--seed: must be a whole number from 0"),
        (["--out"], "--out: expected one argument"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["info", "extra"], "unrecognized arguments: extra"),
        (["bench", "--seconds", "0"], "--seconds: must be a number above 0"),
        (["run"], "required: script"),
        (["run", "absent.py"], "absent.py: no such file"),
        (["run", "."], "is a folder"),
        (["check"], "required: script"),
        (["check", "absent.py"], "absent.py: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments(arguments, message, capsys):
    err = refused(capsys, *arguments)
    assert err.startswith("pydl") and message in err


@pytest.mark.long
def test_an_unwritable_folder(tmp_path, capsys):
    needs_extras()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        err = refused(capsys, "train", "--out", str(folder))
        assert f"cannot write to the folder {folder}" in err


@pytest.mark.parametrize("absent", [("sklearn.datasets",), ("matplotlib.figure", "tqdm")], ids=str)
def test_an_absent_extra(absent, tmp_path, capsys, monkeypatch):
    names = {"sklearn.datasets": "scikit-learn", "matplotlib.figure": "matplotlib", "tqdm": "tqdm"}
    needs_extras()
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ModuleNotFoundError
    err = refused(capsys, "train", "--out", str(tmp_path / "out"))
    assert 'pip install "pydl-nn[examples]"' in err
    assert all((name in err.split(":")[1]) == (module in absent) for module, name in names.items())
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_disk_fills_after_training(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert train(tmp_path, "digits", "--epochs", 1) == 2
    assert capsys.readouterr().err == f"pydl train: cannot write to the folder {tmp_path}: No space left on device\n"


@pytest.mark.long
def test_interrupted(tmp_path):
    """Ctrl-C in the middle of a training: exit code 130, one line, no traceback."""
    needs_extras()
    command = [sys.executable, "-u", "-m", "pydl", "--epochs", "1000000", "--out", str(tmp_path)]
    # -u and the first epoch's line: the training is under way when the signal comes.
    # A shell's background job ignores SIGINT, and its children inherit that: the training must not.
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            assert any(line.startswith("epoch") for line in process.stdout)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.strip() == "pydl: interrupted"


def test_help_and_version(capsys):
    for arguments in (["--help"], ["train", "--help"], ["bench", "-h"], ["--version"]):
        assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"pydl {pydl.__version__}" in out and "check" in out and "--epochs" in out


def test_the_module_is_the_command(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pydl", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pydl {pydl.__version__}\n", "")
    done = subprocess.run([sys.executable, "-m", "pydl", "nope"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_reader_that_has_read_enough():
    """`pydl bench | head -1`: no traceback."""
    command = [sys.executable, "-m", "pydl", "bench", "--seconds", "0.001"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("pydl")
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=60) == 1
    assert err == ""


# ------------------------------------------------------------------------------------------------ info, bench


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert f"pydl {pydl.__version__}" in out and f"NumPy {np.__version__}" in out
    assert all(word in out for word in ("threads", "openmp", "isa", "pool", "numpy_backed"))


@pytest.mark.long
def test_bench(capsys, monkeypatch):
    """On a clock that goes on by a millisecond at each look, and cores of 1000 GFLOP/s: every figure is known."""
    ticks = itertools.count()
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: next(ticks) * 1e-3))
    monkeypatch.setattr(bench.kernels, "measure_peak", lambda *_: 1000.0)
    pydl.set_num_threads(2)
    assert main(["bench", "--seconds", "0.001"]) == 0
    _, *tables = capsys.readouterr().out.split("\n\n")
    for n, table in enumerate(tables, 1):
        assert f"peak {n}000 GFLOP/s" in table.splitlines()[0]
        rows = {line[:44].rstrip(): line[44:].split() for line in table.splitlines()[2:]}
        share = {1: "27", 2: "13"}[n]
        assert rows["matrix product 512 x 512 x 512"] == ["1000.00", "us", "268.4", "GFLOP/s", share, "%"]
        assert rows["relu, 1 M elements"] == ["1000.00", "us", "8.4", "GB/s"]
        assert rows["add 4 x 4, recorded"] == ["1000.00", "us"]
        assert "training step, MLP 784-256-128-10, batch 64" in rows
    assert len(tables) == 2
