# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train digits --model lstm`, `vowels`, `sunspots` on made-up files: metric, baseline, seeds, limits, errors."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import pydl
from pydl.cli import main
from pydl.cli.tasks import baselines, sequence_plots, sunspots, vowels
from pydl.cli.tasks.vowels_files import read_ts
from pydl.io import safetensors
from tests.commands import needs_extras, refused, train, weights

KINDS = ("rnn", "lstm", "gru")
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("threads")]  # `--threads` is for the whole process


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Networks that take a second."""
    monkeypatch.setattr(vowels, "HIDDEN", 12)
    monkeypatch.setattr(sunspots, "HIDDEN", 8)
    for module in (sunspots, sequence_plots):
        monkeypatch.setattr(module, "MEMBERS", 2)


def last_line(capsys):
    return capsys.readouterr().out.splitlines()[-1]


# ---- made-up data ------------------------------------------------------------------------------------------------


def recordings(n, seed, channels=4, speakers=3):
    """Sequences of 3 to 11 frames around a wave that each speaker has of his own."""
    rng = np.random.RandomState(seed)
    for i in range(n):
        t = np.arange(rng.randint(3, 12))[:, None]
        wave = np.sin(0.7 * t + np.arange(channels) * (1 + i % speakers)) + 0.3 * (i % speakers)
        yield wave + 0.2 * rng.randn(*wave.shape), str(1 + i % speakers)


def ts(samples):
    lines = ["# made up", "@problemName JapaneseVowels", "@classLabel true 1 2 3", "@data"]
    for x, name in samples:
        lines.append(":".join(",".join(f"{v:.6f}" for v in channel) for channel in x.T) + f":{name}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def voices(tmp_path):
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "JapaneseVowels_TRAIN.ts").write_text(ts(recordings(60, 0)))
    (folder / "JapaneseVowels_TEST.ts").write_text(ts(recordings(45, 1)))
    return folder


def spots(n=230, seed=0):
    """Cycles of 11 years whose height drifts."""
    rng, t = np.random.RandomState(seed), np.arange(n)
    height = 60 + 30 * np.sin(t / 40) + 4 * rng.randn(n)
    return np.maximum(0, height * (1 + np.cos(2 * np.pi * t / 11)) / 2)


def years(numbers, first=1700):
    return '"YEAR","SUNACTIVITY"\n' + "".join(f"{first + i},{v:.3f}\n" for i, v in enumerate(numbers))


@pytest.fixture
def sun(tmp_path):
    folder = tmp_path / "sun"
    folder.mkdir()
    (folder / "sunspots.csv").write_text(years(spots()))
    return folder


# ---- digits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_digits_row_by_row(kind, tmp_path, capsys):
    assert train(tmp_path, "digits", "--model", kind, "--epochs", 3, "--threads", 1, picture=True) == 0
    out = capsys.readouterr().out
    assert f"{kind.upper()} 128 over the rows" in out and "at most 5 minutes" in out
    right = float(out.splitlines()[-1].split()[2])
    assert right > 75 and "nearest class mean 91.11 %, nearest neighbor 98.89 %" in out.splitlines()[-1]
    assert (tmp_path / f"digits_{kind}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_five_seeds_of_digits_row_by_row(kind, tmp_path, capsys):
    """The promise: a median of 96.5 %."""
    found = []
    for seed in range(5):
        assert train(tmp_path, "digits", "--model", kind, "--seed", seed) == 0
        found.append(float(last_line(capsys).split()[2]))
    assert sorted(found)[2] >= 96.5, found


# ---- vowels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_vowels(kind, voices, tmp_path, capsys):
    options = ("--model", kind, "--epochs", 12, "--lr", 0.02)
    assert train(tmp_path, "vowels", "--data", voices, *options, picture=True) == 0
    out = capsys.readouterr().out
    assert "60 recordings of 3 to 11 frames to train on, 45 to test on" in out
    assert "of the steps of the padded batches are data" in out and "of 45 right" in out
    closing = out.splitlines()[-1].split()
    assert closing[:2] == ["test", "accuracy"] and float(closing[2]) > 80
    assert "nearest class mean" in out.splitlines()[-1] and "nearest neighbor" in out.splitlines()[-1]
    assert (tmp_path / f"vowels_{kind}.png").stat().st_size > 10_000


def test_the_accuracy_is_that_of_the_weights(voices, tmp_path, capsys):
    """Each recording alone, without padding, gives the answers that the batches gave."""
    assert train(tmp_path, "vowels", "--data", voices, "--epochs", 4) == 0
    from pydl.cli.tasks.vowels_files import load

    data = load(str(voices), "test")
    network = pydl.models.SequenceClassifier(4, 12, 3, "lstm", bidirectional=True).eval()
    network.load_state_dict(safetensors.load_file(tmp_path / "vowels_lstm.safetensors"))
    answers = [int(network(pydl.from_numpy(x[None])).argmax(1)) for x in data.test_x]
    right = 100 * float(np.mean(np.array(answers) == data.test_y))
    assert f"test accuracy {right:.2f} %" in last_line(capsys)


def test_a_seed_gives_the_same_bits_on_any_number_of_threads(voices, sun, tmp_path):
    for data, folder in (("vowels", voices), ("sunspots", sun)):
        found = []
        for i, options in enumerate([("--threads", 1), ("--threads", 2), ("--seed", 1)]):
            assert train(tmp_path / f"{data}{i}", data, "--data", folder, "--epochs", 2, *options) == 0
            found.append(weights(tmp_path / f"{data}{i}"))
        assert found[0] == found[1] != found[2]


class Killed(BaseException):
    """Ends a run at once, as kill -9 would, but within this process."""


@pytest.mark.parametrize("n_steps", [3, 4, 6])
def test_a_resumed_run_ends_with_the_same_bits(n_steps, voices, tmp_path, monkeypatch):
    """Batches of similar length go on where they stopped, in the middle of an epoch (4 steps each) and at its end."""
    from pydl.cli import training

    options = ("--epochs", 3)
    assert train(tmp_path / "whole", "vowels", "--data", voices, *options) == 0
    step = training.Run._train_step

    def counted(self, batch):
        if self.steps_done == n_steps:
            raise Killed
        step(self, batch)

    state = tmp_path / "run.state"
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.Run, "_train_step", counted)
        train(tmp_path, "vowels", "--data", voices, *options, "--checkpoint", state, "--checkpoint-steps", 1)
    assert main(["train", "--resume", str(state), "--data", str(voices), "--out", str(tmp_path / "parts")]) == 0
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_the_time_limit_ends_a_run_that_can_go_on(voices, tmp_path, capsys, monkeypatch):
    """It reports what it has; its checkpoint is one of an uninterrupted run, which ends with the same bits."""
    from pydl.cli import training

    options = ("--data", voices, "--epochs", 3)
    assert train(tmp_path / "whole", "vowels", *options) == 0
    capsys.readouterr()
    state = tmp_path / "run.state"
    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "out_of_time", property(lambda run: run.steps_done >= 6))
        limit = ("--time-limit", 0.5, "--checkpoint", state)
        assert train(tmp_path / "cut", "vowels", *options, *limit) == 0
    out = capsys.readouterr().out
    assert "at most 0.5 minutes" in out and "stopped after epoch 2 (the time limit of 0.5 minutes, " in out
    assert sum(line.startswith("epoch") for line in out.splitlines()) == 2
    assert "test accuracy" in out.splitlines()[-1]
    assert weights(tmp_path / "cut") != weights(tmp_path / "whole")
    assert main(["train", "--resume", str(state), "--data", str(voices), "--out", str(tmp_path / "parts")]) == 0
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


def test_a_real_clock_stops_training(voices, tmp_path, capsys):
    assert train(tmp_path, "vowels", "--data", voices, "--epochs", 10**6, "--time-limit", 0.01) == 0
    assert "(the time limit of 0.01 minutes, " in capsys.readouterr().out


# ---- sunspots ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_sunspots(kind, sun, tmp_path, capsys):
    assert train(tmp_path, "sunspots", "--data", sun, "--model", kind, "--epochs", 4, picture=True) == 0
    out = capsys.readouterr().out
    assert "1700-1789 training, 1790-1849 validation, 1850-1929 test" in out
    assert "each window is less its mean, nearly a tie before the test years" in out
    closing = out.splitlines()[-1]
    for word in ("networks' mean", "seasonal naive", "persistence", "1 year ahead"):
        assert word in closing and word.replace("1 year ahead", "by years ahead") in out
    assert "than both rules on the whole" in out and "network 2" in out and "network 3" not in out
    assert (tmp_path / f"sunspots_{kind}.png").stat().st_size > 10_000


def test_the_errors_of_the_rules_by_hand(sun, tmp_path, capsys):
    assert train(tmp_path, "sunspots", "--data", sun, "--epochs", 1) == 0
    rows = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    y = np.round(spots(), 3)
    origins = range(len(y) - 80 - 1, len(y) - 11)
    naive = [[y[o + h] - y[o + h - 11] for h in range(1, 12)] for o in origins]
    last = [[y[o + h] - y[o] for h in range(1, 12)] for o in origins]
    for name, off in (("seasonal naive", np.array(naive)), ("persistence", np.array(last))):
        by_year, whole = np.sqrt((off**2).mean(0)), np.sqrt((off**2).mean())
        found = [float(v) for v in rows[name].removeprefix(name).split()]
        np.testing.assert_allclose(found, [*by_year, whole], rtol=0, atol=0.0501)


def test_networks_learn_nothing_from_later_years(sun, tmp_path):
    """Other numbers in the validation and test years: the same weights, bit for bit."""
    changed = spots()
    changed[-140:] = 500 - changed[-140:]
    other = tmp_path / "other"
    other.mkdir()
    (other / "sunspots.csv").write_text(years(changed))
    for folder in (sun, other):
        assert train(tmp_path / f"out-{folder.name}", "sunspots", "--data", folder, "--epochs", 2) == 0
    assert weights(tmp_path / "out-sun") == weights(tmp_path / "out-other")


def test_forecasts_use_no_later_year(sun, monkeypatch):
    """What is said at an origin stays the same when all later numbers change."""
    from argparse import Namespace

    options = Namespace(folder=str(sun), model="gru", seed=0, patience=None)
    task = sunspots.Sunspots(options, "test")
    origin = task.origins("test")[5]
    before, center = task.known(np.array([origin]))
    task.numbers[origin + 1 :] += 100
    after, moved = task.known(np.array([origin]))
    assert pydl.equal(before, after) and (center == moved).all()
    task.numbers[origin] += 100
    assert not pydl.equal(before, task.known(np.array([origin]))[0])


# ---- baselines ---------------------------------------------------------------------------------------------------


def test_baselines_equal_those_of_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors", reason="compares with scikit-learn")
    rng = np.random.RandomState(0)
    x, y, z = rng.randn(300, 5), rng.randint(0, 4, 300), rng.randn(600, 5)
    x += y[:, None]
    for ours, theirs in (
        (baselines.nearest_mean, neighbors.NearestCentroid()),
        (baselines.nearest_sample, neighbors.KNeighborsClassifier(1)),
    ):
        np.testing.assert_array_equal(ours(x, y, z), theirs.fit(x, y).predict(z))
    assert list(baselines.accuracies(x, y, z, np.zeros(600))) == ["nearest class mean", "nearest neighbor"]


# ---- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("vowels", ("JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts", "pip install --no-deps sktime")),
        ("sunspots", ("sunspots.csv", "pip install --no-deps statsmodels")),
    ],
)
def test_absent_data(data, words, tmp_path, capsys, monkeypatch):
    needs_extras(data)
    err = refused(capsys, "train", data, "--data", tmp_path, "--out", tmp_path)
    assert f"not in {tmp_path}" in err and all(word in err for word in words) and "--data" in err
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    err = refused(capsys, "train", data, "--out", tmp_path)
    assert "not part of pydl" in err and all(word in err for word in words)


def test_an_installed_package_is_read_and_not_run(voices, tmp_path, monkeypatch):
    package = tmp_path / "site" / "sktime"
    inside = package / "datasets" / "data" / "JapaneseVowels"
    inside.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    for file in os.listdir(voices):
        (inside / file).write_bytes((voices / file).read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    known = "sktime" in sys.modules
    assert train(tmp_path, "vowels", "--epochs", 1) == 0
    assert ("sktime" in sys.modules) == known


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@data\n", "has no sequences"),
        ("1,2:1\n", "line 1: neither @… nor a comment"),
        ("@data\n1,2:3:a\n", "line 2: channels of different length, [1, 2]"),
        ("@data\n1,x:3,4:a\n", "line 2: could not convert"),
        ("@data\n1,nan:3,4:a\n", "line 2: a number that is not finite"),
        ("@data\n1,2:3,4:\n", "line 2: 2 channels and the class ''"),
        ("@data\n\n# note\n1\n", "line 4: 0 channels and the class '1'"),
        ("@data\n1:2:1\n1:1\n", "do not belong together: [1, 2, 4] channels"),
        ("@data\n1,2:3,4:5,6:7,8:z\n", "do not belong together"),
    ],
)
def test_damaged_recordings(text, message, voices, tmp_path, capsys):
    needs_extras("vowels")
    (voices / "JapaneseVowels_TEST.ts").write_text(text)
    assert message in refused(capsys, "train", "vowels", "--data", voices, "--out", tmp_path)


def test_recordings_are_read_as_they_are(voices):
    sequences, names = read_ts(str(voices / "JapaneseVowels_TEST.ts"))
    for (x, name), found, found_name in zip(recordings(45, 1), sequences, names, strict=True):
        assert found_name == name
        np.testing.assert_allclose(found, x, rtol=0, atol=5.01e-7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (years(spots(150)), "in each of at least 184 lines, but (150, 2)"),
        (years(spots()).replace("1750,", "1751,"), "years must follow each other"),
        (years(spots() - 300), "not below 0"),
        (years(spots()).replace("1750,", "1750,1,"), "sunspots.csv"),
        (years(spots()).replace("1750,", "year,"), "could not convert"),
        ("", "at least 184 lines"),
    ],
)
def test_damaged_years(text, message, sun, tmp_path, capsys):
    needs_extras("sunspots")
    (sun / "sunspots.csv").write_text(text)
    assert message in refused(capsys, "train", "sunspots", "--data", sun, "--out", tmp_path)


def test_the_real_files():
    """Where sktime and statsmodels are installed: the numbers that are known of their files."""
    from argparse import Namespace

    from pydl.cli.refusal import Refusal
    from pydl.cli.tasks.vowels_files import load

    options = Namespace(folder=None, model="gru", seed=0, patience=None)
    try:
        data, task = load(None, "test"), sunspots.Sunspots(options, "test")
    except Refusal:
        pytest.skip("sktime or statsmodels is not installed")
    lengths = [len(x) for x in data.train_x + data.test_x]
    assert (len(data.train_x), len(data.test_x), min(lengths), max(lengths)) == (270, 370, 7, 29)
    assert data.train_x[0].shape[1] == 12 and (np.bincount(data.train_y) == 30).all()
    assert (len(task.numbers), task.years[0], task.years[-1]) == (309, 1700, 2008)
