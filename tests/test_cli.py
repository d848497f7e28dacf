# SPDX-License-Identifier: BSD-3-Clause
"""The command line: what it learns, prints, writes and refuses, and its exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import pydl
from pydl.cli import main
from pydl.io import safetensors

EXTRAS = ("sklearn", "matplotlib", "tqdm")
PICTURE, WEIGHTS = "digits_mlp.png", "digits_mlp.safetensors"


@pytest.fixture(autouse=True)
def same_threads():
    """`--threads` is for the whole process; the other tests keep theirs."""
    before = pydl.get_num_threads()
    yield
    pydl.set_num_threads(before)


def train(folder, *options):
    for module in EXTRAS:
        pytest.importorskip(module)
    return main(["train", "digits", "--out", str(folder), *map(str, options)])


def refused(capsys, *arguments):
    """The one line on stderr of a command that must end with 2 before it prints anything else."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith("\n")
    return err


# ------------------------------------------------------------------------------------------------ train


def test_train_writes_what_it_says(tmp_path, capsys):
    assert train(tmp_path / "new" / "folder", "--epochs", 4, "--batch", 64, "--lr", 0.1, "--threads", 1) == 0
    out, _ = capsys.readouterr()
    folder = tmp_path / "new" / "folder"
    assert sorted(os.listdir(folder)) == [PICTURE, WEIGHTS]
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 4 and all(word in lines[-1] for word in ("loss", "train", "test", "samples/s"))
    for word in ("1437 digits", "360 to test", "batch 64", "threads 1", "of 360 right", "compiled kernels", "backward"):
        assert word in out
    for part in ("data", "forward", "backward", "step", "evaluation", "all"):
        row = next(line for line in out.splitlines() if line.startswith(f"{part} "))
        assert 0 <= int(row.split()[-2]) <= 100  # the share of time inside kernels
    assert str(folder / PICTURE) in out and str(folder / WEIGHTS) in out


def test_the_weights_give_the_accuracy_that_was_printed(tmp_path, capsys):
    assert train(tmp_path, "--epochs", 3) == 0
    from pydl.cli.digits import load
    from pydl.cli.training import SIZES
    from pydl.models import MLP

    model, digits = MLP(*SIZES), load()
    model.load_state_dict(safetensors.load_file(tmp_path / WEIGHTS))
    right = float((model(digits.test_x).argmax(1).numpy() == digits.test_y.numpy()).mean())
    assert right > 0.9 and f"test accuracy {100 * right:.2f} %" in capsys.readouterr().out
    with safetensors.safe_open(tmp_path / WEIGHTS) as f:
        assert f.metadata()["test_accuracy"] == f"{right:.6f}" and f.metadata()["seed"] == "0"


def test_the_split_is_the_promised_one():
    datasets = pytest.importorskip("sklearn.datasets")
    from pydl.cli.digits import load

    raw, order, digits = datasets.load_digits(), np.random.RandomState(0).permutation(1797), load()
    np.testing.assert_array_equal(digits.test_x.numpy() * 16, raw.data[order[:360]])
    np.testing.assert_array_equal(digits.train_y.numpy(), raw.target[order[360:]])
    assert len(digits.train_x) == 1437 and digits.train_x.dtype == pydl.float32


def test_a_seed_gives_the_same_bits_on_any_number_of_threads(tmp_path):
    weights = []
    for i, options in enumerate([("--threads", 1), ("--threads", 2), ("--threads", 1, "--seed", 1)]):
        assert train(tmp_path / str(i), "--epochs", 2, *options) == 0
        state = safetensors.load_file(tmp_path / str(i) / WEIGHTS)
        weights.append(b"".join(t.numpy().tobytes() for t in state.values()))
    assert weights[0] == weights[1] != weights[2]


def test_five_seeds_reach_97_percent(tmp_path, capsys):
    """The promise of the main job: under 20 s, the median at least 97 %, no seed more than 0.6 points below it.

    On one thread, and by the processor time: what else the machine is doing does not count.
    """
    found = []
    for seed in range(5):
        start = time.process_time()
        assert train(tmp_path, "--seed", seed, "--threads", 1) == 0
        assert time.process_time() - start < 20
        last = capsys.readouterr().out.splitlines()[-1]
        found.append(float(last.split()[2]))
    median = sorted(found)[2]
    assert median >= 97 and min(found) >= median - 0.6, found


def test_a_diverging_run_says_so(tmp_path, capsys):
    with np.errstate(all="ignore"):
        assert train(tmp_path, "--lr", "1e30", "--epochs", 3) == 1
    err = capsys.readouterr().err
    assert "try an --lr below 1e+30" in err and err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_without_a_command_the_digits_are_trained(monkeypatch):
    from pydl.cli import train as command

    seen = []
    monkeypatch.setattr(command, "run", lambda options: seen.append((options.data, options.epochs)) or 0)
    assert main([]) == 0 and main(["--epochs", "2"]) == 0 and main(["train"]) == 0
    assert seen == [("digits", command.EPOCHS), ("digits", 2), ("digits", command.EPOCHS)]


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "invalid choice: 'trian'"),
        (["train", "letters"], "invalid choice: 'letters'"),
        (["--model", "cnn"], "invalid choice: 'cnn'"),
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


def test_an_unwritable_folder(tmp_path, capsys):
    for module in EXTRAS:
        pytest.importorskip(module)
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        err = refused(capsys, "train", "--out", str(folder))
        assert f"cannot write to the folder {folder}" in err


@pytest.mark.parametrize("absent", [("sklearn.datasets",), ("matplotlib.figure", "tqdm")], ids=str)
def test_an_absent_extra(absent, tmp_path, capsys, monkeypatch):
    names = {"sklearn.datasets": "scikit-learn", "matplotlib.figure": "matplotlib", "tqdm": "tqdm"}
    for module in EXTRAS:
        pytest.importorskip(module)
    for module in absent:
        monkeypatch.setitem(sys.modules, module, None)  # importing it raises ModuleNotFoundError
    err = refused(capsys, "train", "--out", str(tmp_path / "out"))
    assert 'pip install "pydl-nn[examples]"' in err
    assert all((name in err.split(":")[1]) == (module in absent) for module, name in names.items())
    assert not (tmp_path / "out").exists()


def test_the_disk_fills_after_training(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert train(tmp_path, "--epochs", 1) == 2
    assert capsys.readouterr().err == f"pydl train: cannot write to the folder {tmp_path}: No space left on device\n"


def test_interrupted(tmp_path):
    """Ctrl-C in the middle of a training: exit code 130, one line, no traceback."""
    for module in EXTRAS:
        pytest.importorskip(module)
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


def test_bench(capsys):
    assert main(["bench", "--seconds", "0.001"]) == 0
    out = capsys.readouterr().out
    for word in ("GFLOP/s", "of peak", "matrix product 512", "GB/s", "add 4 x 4", "MLP 784-256-128-10"):
        assert word in out
    shares = [int(line.split()[-2]) for line in out.splitlines() if line.startswith("matrix") and line.endswith("%")]
    assert shares and all(0 < share <= 130 for share in shares)  # 0.001 s measure a peak only roughly
