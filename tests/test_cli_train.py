# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train`: what it learns, prints and writes; early stopping, checkpoints and exact resuming; idx files."""

from __future__ import annotations

import gzip
import os
import signal
import time

import numpy as np
import pytest

import pydl
from pydl.cli import main
from pydl.io import safetensors
from tests.commands import few_digits, refused, train, weights

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("threads")]  # `--threads` is for the whole process
PICTURE, WEIGHTS = "digits_cnn.png", "digits_cnn.safetensors"
SMALL = ("--model", "mlp")  # half the time of the default


# ---- the main job ------------------------------------------------------------------------------------------------


def test_train_writes_what_it_says(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    options = ("--epochs", 3, "--batch", 64, "--lr", 0.01, "--threads", 1)
    assert train(folder, "digits", *options, picture=True) == 0
    out, _ = capsys.readouterr()
    assert sorted(os.listdir(folder)) == [PICTURE, WEIGHTS]
    assert (folder / PICTURE).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(lines) == 3 and all(word in lines[-1] for word in ("loss", "train", "test", "samples/s"))
    for word in ("1437 digits", "360 to test", "batch 64", "threads 1", "of 360 right", "compiled kernels", "backward"):
        assert word in out
    for part in ("data", "forward", "backward", "step", "evaluation", "all"):
        row = next(line for line in out.splitlines() if line.startswith(f"{part} "))
        assert 0 <= int(row.split()[-2]) <= 100  # the share of time inside kernels
    assert str(folder / PICTURE) in out and str(folder / WEIGHTS) in out


@pytest.mark.parametrize("model", ["cnn", "mlp"])
def test_the_weights_give_the_accuracy_that_was_printed(model, tmp_path, capsys):
    assert train(tmp_path, "digits", "--epochs", 3, "--model", model) == 0
    from pydl.cli.tasks.digits import load
    from pydl.cli.tasks.images import make_model

    network, digits = make_model(model, 8, 10).eval(), load()
    network.load_state_dict(safetensors.load_file(tmp_path / f"digits_{model}.safetensors"))
    x = digits.test_x if model == "mlp" else digits.test_x.view(-1, 1, 8, 8)
    right = float((network(x).argmax(1).numpy() == digits.test_y.numpy()).mean())
    assert right > 0.9 and f"test accuracy {100 * right:.2f} %" in capsys.readouterr().out
    with safetensors.safe_open(tmp_path / f"digits_{model}.safetensors") as f:
        assert f.metadata()["test_accuracy"] == f"{right:.6f}" and f.metadata()["seed"] == "0"


def test_the_split_is_the_promised_one():
    datasets = pytest.importorskip("sklearn.datasets", reason="reads scikit-learn's digits")
    from pydl.cli.tasks.digits import load

    raw, order, digits = datasets.load_digits(), np.random.RandomState(0).permutation(1797), load()
    np.testing.assert_array_equal(digits.test_x.numpy() * 16, raw.data[order[:360]])
    np.testing.assert_array_equal(digits.train_y.numpy(), raw.target[order[360:]])
    assert len(digits.train_x) == 1437 and digits.train_x.dtype == pydl.float32


@pytest.mark.parametrize("model", ["cnn", "mlp"])
@few_digits()
def test_a_seed_gives_the_same_bits_on_any_number_of_threads(model, tmp_path):
    found = []
    for i, options in enumerate([("--threads", 1), ("--threads", 2), ("--threads", 1, "--seed", 1)]):
        assert train(tmp_path / str(i), "digits", "--epochs", 2, "--model", model, *options) == 0
        found.append(weights(tmp_path / str(i)))
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "promise"), [("cnn", 98.5), ("mlp", 97.0)])
def test_five_seeds_reach_the_promise(model, promise, tmp_path, capsys):
    """The promise of the main job: under 20 s, the median as said, no seed more than 0.6 points below it.

    On one thread, and by the processor time: what else the machine is doing does not count.
    """
    found = []
    for seed in range(5):
        start = time.process_time()
        assert train(tmp_path, "digits", "--seed", seed, "--threads", 1, "--model", model) == 0
        assert time.process_time() - start < 20
        last = capsys.readouterr().out.splitlines()[-1]
        found.append(float(last.split()[2]))
    median = sorted(found)[2]
    assert median >= promise and min(found) >= median - 0.6, found


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("scheduler", ["none", "cosine", "step", "onecycle"])
def test_optimizers_and_schedules(optimizer, scheduler, tmp_path, capsys):
    assert train(tmp_path, "digits", *SMALL, "--epochs", 3, "--optimizer", optimizer, "--scheduler", scheduler) == 0
    out = capsys.readouterr().out
    assert float(out.splitlines()[-1].split()[2]) > 90


def test_a_diverging_run_says_so(tmp_path, capsys):
    with np.errstate(all="ignore"):
        assert train(tmp_path, "digits", *SMALL, "--lr", "1e30", "--epochs", 3) == 1
    err = capsys.readouterr().err
    assert "try an --lr below 1e+30" in err and err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_without_a_command_the_digits_are_trained(monkeypatch):
    from pydl.cli import train as command

    seen = []
    monkeypatch.setattr(command, "run", lambda options: seen.append((options.data, options.epochs)) or 0)
    assert main([]) == 0 and main(["--epochs", "2"]) == 0 and main(["train"]) == 0
    assert seen == [("digits", None), ("digits", 2), (None, None)]  # None: from the recipe or the checkpoint


# ---- early stopping ----------------------------------------------------------------------------------------------


def test_patience(tmp_path, capsys):
    """Training ends when the validation loss has not fallen for that long, with the weights of the best epoch."""
    options = (*SMALL, "--epochs", 40, "--lr", 0.5, "--scheduler", "none", "--patience", 2)
    assert train(tmp_path, "digits", *options) == 0
    out = capsys.readouterr().out
    epochs = [line for line in out.splitlines() if line.startswith("epoch")]
    kept = int(out.split("kept the weights of epoch ")[1].split(",")[0])
    assert len(epochs) == kept + 2 < 40 and "no lower validation loss for 2 epochs" in out
    options = (*options[:-4], "--patience", 2, "--scheduler", "none", "--epochs", kept)
    assert train(tmp_path / "short", "digits", *options) == 0
    assert weights(tmp_path) == weights(tmp_path / "short")


# ---- checkpoints -------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a run at once, as kill -9 would, but within this process."""


def kill():
    raise Killed


def at_step(monkeypatch, n_steps, act):
    """Calls `act` when so many steps are done and the next begins."""
    from pydl.cli import training

    step = training.Run._train_step

    def counted(self, batch):
        if self.steps_done == n_steps:
            act()
        step(self, batch)

    monkeypatch.setattr(training.Run, "_train_step", counted)


@pytest.mark.parametrize(
    ("options", "n_steps", "every"),
    [
        (("--model", "cnn"), 14, 3),
        (("--model", "mlp", "--optimizer", "adam", "--scheduler", "step"), 6, 6),
        (("--model", "mlp", "--scheduler", "onecycle", "--patience", 1), 9, 4),
        (("--model", "mlp", "--scheduler", "none", "--optimizer", "adamw", "--batch", 50), 5, None),
    ],
)
@few_digits()
def test_a_resumed_run_ends_with_the_same_bits(options, n_steps, every, tmp_path, monkeypatch, capsys):
    """Killed in the middle of an epoch, at its end, with dropout, batch norm, momentum and a schedule under way."""
    options = (*options, "--epochs", 3)
    assert train(tmp_path / "whole", "digits", *options) == 0
    whole = capsys.readouterr().out
    state = tmp_path / "run.state"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        at_step(patch, n_steps, kill)
        saving = ("--checkpoint", state, *(("--checkpoint-steps", every) if every else ()))
        train(tmp_path / "parts", "digits", *options, *saving)
    capsys.readouterr()
    assert main(["train", "--resume", str(state), "--out", str(tmp_path / "parts")]) == 0
    resumed = capsys.readouterr().out
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    losses = [[line.split("samples")[0].rsplit(None, 1)[0] for line in out.splitlines() if line.startswith("epoch")]
              for out in (whole, resumed)]  # fmt: skip
    assert losses[1] == losses[0][-len(losses[1]) :] and "resumed after" in resumed
    # Once more from the end: nothing is left to train, and the same is written.
    assert train(tmp_path / "again", "digits", "--resume", state) == 0
    assert weights(tmp_path / "again") == weights(tmp_path / "whole")


def test_ctrl_c_keeps_the_state(tmp_path, monkeypatch, capsys):
    """The step under way ends, the state is saved, exit code 130; the resumed run ends as an uninterrupted one."""
    state, options = tmp_path / "run.state", (*SMALL, "--epochs", 3, "--threads", 1)
    with monkeypatch.context() as patch:
        at_step(patch, 60, lambda: signal.raise_signal(signal.SIGINT))
        assert train(tmp_path / "a", "digits", *options, "--checkpoint", state) == 130
    out, err = capsys.readouterr()
    assert err.strip() == "pydl: interrupted" and f"pydl train --resume {state}" in out
    assert train(tmp_path / "a", "digits", "--resume", state, "--threads", 1) == 0
    assert "resumed after 61 steps" in capsys.readouterr().out
    assert train(tmp_path / "b", "digits", *options) == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_checkpoints_that_do_not_fit(tmp_path, capsys):
    state = tmp_path / "run.state"
    assert train(tmp_path, "digits", *SMALL, "--epochs", 1, "--checkpoint", state) == 0
    capsys.readouterr()
    for option, value in (("--lr", 0.1), ("--model", "cnn"), ("--seed", 3), ("--epochs", 2), ("--patience", 2)):
        err = refused(capsys, "train", "--resume", state, option, value)
        assert f"{option} {value} is not what the checkpoint was trained with" in err
    assert "digits" in refused(capsys, "train", "mnist", "--resume", state)
    assert "cannot read the checkpoint" in refused(capsys, "train", "--resume", tmp_path)
    for content in (b"", b"x" * 100, (tmp_path / "digits_mlp.safetensors").read_bytes(), state.read_bytes()[:-1]):
        other = tmp_path / "other.state"
        other.write_bytes(content)
        assert "is no checkpoint of this version" in refused(capsys, "train", "--resume", other)
    (tmp_path / "file").write_text("")
    err = refused(capsys, "train", "--checkpoint", tmp_path / "file" / "x", "--out", tmp_path)
    assert "cannot write to the folder" in err


# ---- idx files ---------------------------------------------------------------------------------------------------


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write_idx(folder, n=600, change=None, zipped=True):
    """The digits as if they were MNIST: 28 × 28 pixels, four files."""
    datasets = pytest.importorskip("sklearn.datasets", reason="reads scikit-learn's digits")
    raw = datasets.load_digits()
    images = np.kron(raw.images[:n] * 15, np.ones((1, 3, 3)))
    images = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    labels = raw.target[:n].astype(np.uint8)
    parts = {"train-images-idx3-ubyte": images[:-100], "train-labels-idx1-ubyte": labels[:-100],
             "t10k-images-idx3-ubyte": images[-100:], "t10k-labels-idx1-ubyte": labels[-100:]}  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, array in parts.items():
        data = idx(array)
        data = change(name, data) if change else data
        path = folder / (name + (".gz" if zipped else ""))
        path.write_bytes(gzip.compress(data) if zipped else data)
    return folder


@pytest.mark.parametrize("data", ["mnist", "fashion"])
def test_idx_files(data, tmp_path, capsys):
    folder = write_idx(tmp_path / "data", zipped=data == "mnist")
    options = ("--data", folder, "--epochs", 4, "--batch", 16)
    assert train(tmp_path / "a", data, *options, picture=True) == 0
    out = capsys.readouterr().out
    assert "500 images to train on, 100 to test on" in out and "LeNet-5 (61,706 weights)" in out
    assert float(out.splitlines()[-1].split()[2]) > 60
    assert (tmp_path / "a" / f"{data}_lenet.png").stat().st_size > 10_000
    assert train(tmp_path / "b", data, *options, "--checkpoint", tmp_path / "s", "--threads", 1) == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, data: data[:-1], "bytes of"),
        (lambda name, data: data + b"x", "has more than"),
        (lambda name, data: b"\0\0\x09" + data[3:], "no idx file of bytes"),
        (lambda name, data: data[:2], "no idx file of bytes"),
        (lambda name, data: data[:4] + b"\xff" * 4 + data[8:], "has the sizes"),
        (lambda name, data: data[:5], "has the sizes"),
        (lambda name, data: data[:-1] + b"\x63", "do not belong together"),
        (lambda name, data: idx(np.zeros(3, np.uint8)), "do not belong together"),
    ],
)
def test_damaged_idx_files(change, message, tmp_path, capsys):
    folder = write_idx(tmp_path / "data", 300, change)
    err = refused(capsys, "train", "mnist", "--data", folder, "--out", tmp_path)
    assert f"cannot read MNIST in {folder}" in err and message in err


def test_a_file_that_is_no_gzip(tmp_path, capsys):
    folder = write_idx(tmp_path / "data", 300)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    assert "cannot read MNIST" in refused(capsys, "train", "mnist", "--data", folder, "--out", tmp_path)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "cannot read MNIST" in refused(capsys, "train", "mnist", "--data", folder, "--out", tmp_path)
