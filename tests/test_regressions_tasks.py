# SPDX-License-Identifier: BSD-3-Clause
"""Mistakes that tasks of `pydl train` once made: test data that chose an epoch, crashes after training, pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import pydl
from pydl.cli import main
from pydl.cli.tasks import chars, digits, phonemes, text_files, text_plots, vowels
from pydl.cli.tasks.task import parted
from tests.commands import needs_extras, train, weights

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Networks that take a second."""
    needs_extras("chars")
    for task in (chars, phonemes):
        monkeypatch.setattr(task, "HIDDEN", 16)
        monkeypatch.setattr(task, "EMBEDDING", 8)
    monkeypatch.setattr(chars, "N_WRITTEN", 60)
    monkeypatch.setattr(vowels, "HIDDEN", 8)


# ---- what chooses the epoch ----------------------------------------------------------------------------------------


def _vowels(folder, test_seed):
    def lines(seed, n, of):
        rng = np.random.RandomState(seed)
        yield "@data"
        for i in range(n):
            name = i % 3 if of is None else of.randint(3)
            x = rng.randn(2, rng.randint(3, 8)) + name
            yield ":".join(",".join(f"{v:.4f}" for v in channel) for channel in x) + f":{name}"

    (folder / "JapaneseVowels_TRAIN.ts").write_text("\n".join(lines(0, 60, None)))
    (folder / "JapaneseVowels_TEST.ts").write_text("\n".join(lines(1, 30, np.random.RandomState(test_seed))))
    return folder


def _text(folder, test_seed):
    rng = np.random.RandomState(0)
    words = ["so", "it", "goes", "and", "ever", "the", "same", "old", "rhyme"]
    text = "".join(" ".join(rng.choice(words, 5)) + "\n" for _ in range(160))
    cut = len(text) - int(0.1 * len(text))
    held = "".join(np.random.RandomState(test_seed).choice(sorted(set(text)), len(text) - cut))
    (folder / "t.txt").write_text(text[:cut] + held)
    return folder / "t.txt"


def _dictionary(folder, test_seed):
    """The words that are tested are those of the reader's own split; they sound as the seed says."""
    rng = np.random.RandomState(0)
    words = sorted({"".join(rng.choice(list("abcdeos"), rng.randint(2, 7))) for _ in range(300)})
    tested = np.random.RandomState(0).permutation(len(words))[: len(words) // 10]
    said = [" ".join(word.upper()) for word in words]
    other = np.random.RandomState(test_seed)
    for i in tested:
        said[i] = " ".join(other.choice(list("ABCDEOS"), 6))
    (folder / "cmudict.dict").write_text("\n".join(f"{w} {s}" for w, s in zip(words, said, strict=True)))
    return folder


@pytest.mark.parametrize(
    ("data", "made", "options"),
    [
        ("vowels", _vowels, ("--epochs", 12, "--lr", 0.02)),
        ("chars", _text, ("--epochs", 10, "--batch", 4, "--lr", 0.03)),
        ("phonemes", _dictionary, ("--epochs", 10, "--batch", 16, "--lr", 0.03)),
    ],
)
def test_the_test_set_does_not_choose_the_epoch(data, made, options, tmp_path, capsys):
    """Other test data, the same weights: --patience watches samples that are held out of the training."""
    kept = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        (folder / "data").mkdir(parents=True)
        assert train(folder / "out", data, "--data", made(folder / "data", seed), "--patience", 1, *options) == 0
        out = capsys.readouterr().out
        assert "of the former held out for --patience" in out and ", validation loss" in out
        assert all("validation" in line for line in out.splitlines() if line.startswith("epoch"))
        kept.append(weights(folder / "out"))
    assert kept[0] == kept[1]


def test_the_test_set_does_not_choose_the_epoch_of_digits(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="reads scikit-learn's digits")
    right, load = digits.load(), digits.load
    options = ("--model", "mlp", "--epochs", 9, "--lr", 0.5, "--scheduler", "none", "--patience", 1)
    assert train(tmp_path / "right", "digits", *options) == 0
    honest = capsys.readouterr().out.splitlines()
    assert "143 of the former held out" in honest[0] and float(honest[-1].split()[2]) > 80
    wrong = dataclasses.replace(right, test_y=(right.test_y + 1) % 10)
    monkeypatch.setattr(digits, "load", lambda: wrong)
    assert train(tmp_path / "wrong", "digits", *options) == 0
    assert float(capsys.readouterr().out.splitlines()[-1].split()[2]) < 20
    assert weights(tmp_path / "right") == weights(tmp_path / "wrong") and load is not digits.load


def test_samples_for_training_and_for_choosing_are_apart():
    for n in (2, 9, 1437, 60_000):
        trained, held = parted(n, 3)
        assert np.array_equal(np.sort(np.concatenate([trained, held])), np.arange(n))
        assert len(held) == {2: 1, 9: 1, 1437: 143, 60_000: 5000}[n]
        assert np.array_equal(held, parted(n, 7)[1])
    assert len(parted(50, None)[0]) == 50 and not len(parted(50, None)[1])


# ---- the end of a run ----------------------------------------------------------------------------------------------


def test_a_text_of_many_different_characters(tmp_path, capsys):
    """7-grams of 1,500 characters are no numbers of 63 bits: the comparison ends with shorter ones."""
    rng = np.random.RandomState(0)
    (tmp_path / "t.txt").write_text("".join(map(chr, rng.permutation(1500) + 0x4E00)) * 3, encoding="utf-8")
    assert train(tmp_path / "out", "chars", "--data", tmp_path / "t.txt", "--epochs", 1, "--batch", 4) == 0
    assert "5-grams" in (out := capsys.readouterr().out) and "6-grams" not in out


def test_dollars_are_no_formulas(tmp_path, monkeypatch):
    r"""What is drawn is text as it stands: "$\frac{$" once was read as a formula that has a mistake."""
    (tmp_path / "t.txt").write_text("it costs $ 3 \\frac{ $ and $ 4\n" * 60)
    monkeypatch.setattr(chars.Chars, "write", lambda *_: "$\\frac{$ $^$\n")
    options = ("--data", tmp_path / "t.txt", "--epochs", 1, "--batch", 4)
    assert train(tmp_path / "out", "chars", *options, picture=True) == 0
    assert (tmp_path / "out" / "chars_lstm.png").read_bytes().startswith(b"\x89PNG")


def test_scores_that_are_no_numbers_end_a_run_in_words(tmp_path, capsys):
    """Not in the search of the evaluation, which refuses such scores."""
    folder = _dictionary(tmp_path, 0)
    options = ("--epochs", 1, "--batch", 16, "--optimizer", "sgd", "--scheduler", "none", "--lr", 1e38)
    assert train(tmp_path / "out", "phonemes", "--data", folder, *options) == 1
    assert "pydl train: the loss is" in capsys.readouterr().err


def test_a_folder_with_one_short_text(tmp_path, capsys):
    (tmp_path / "t.txt").write_text("short")
    assert train(tmp_path / "out", "chars", "--data", tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"pydl train: {tmp_path / 't.txt'} has too little text: 5 characters")


def test_a_checkpoint_knows_its_data(tmp_path, capsys):
    """`pydl train --resume FILE`, as Ctrl-C advises, finds the data of --data; other data are refused in words."""
    file, state = tmp_path / "t.txt", tmp_path / "run.state"
    file.write_text("to be or not to be\n" * 200)
    options = ("--batch", 4, "--checkpoint", state, "--threads", 1)
    assert train(tmp_path / "out", "chars", "--data", file, "--epochs", 1, *options) == 0
    assert main(["train", "--resume", str(state), "--out", str(tmp_path / "out")]) == 0
    assert "resumed after" in capsys.readouterr().out
    moved = file.rename(tmp_path / "moved.txt")
    assert main(["train", "--resume", str(state), "--data", str(moved), "--out", str(tmp_path / "out")]) == 0
    moved.write_text("not the same letters: what was it?\n" * 200)
    capsys.readouterr()
    assert main(["train", "--resume", str(state), "--data", str(moved), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("pydl train: the checkpoint is of other data: LSTM 16 over 8 characters, 3,420")
    assert err.count("\n") == 1


@pytest.mark.parametrize("epochs", [1, 3])
def test_an_epoch_cut_short_is_said(epochs, tmp_path, monkeypatch, capsys):
    """Of the last epoch too, and how far the learning rate came."""
    from pydl.cli.training import Run

    monkeypatch.setattr(chars.Chars, "draw", lambda *_: None)
    monkeypatch.setattr(Run, "out_of_time", property(lambda self: self.steps_done >= 7))
    options = ("--data", _text(tmp_path, 0), "--batch", 4, "--epochs", epochs)
    assert train(tmp_path / "out", "chars", *options) == 0
    steps = epochs * 11  # of 4 × 64 characters, and room for where the text begins
    assert f"stopped after epoch 1 (the time limit of 5 minutes, 7 of the {steps} steps" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [list, tuple, np.array, pydl.tensor])
def test_lengths_of_any_kind_for_the_mean_of_the_outputs(kind):
    from pydl.models import SequenceClassifier

    net, x = SequenceClassifier(3, 4, 2, summary="mean"), pydl.randn(2, 5, 3)
    expected = pydl.cat([net(x[:1]), net(x[1:, :2])])
    np.testing.assert_allclose(net(x, lengths=kind([5, 2])).detach(), expected.detach(), rtol=1e-5, atol=1e-6)


# ---- pictures ------------------------------------------------------------------------------------------------------


def test_one_epoch_is_epoch_1():
    """Its axis once went from 0.96 to 1.04."""
    from pydl.cli.plots import curves, new_figure
    from pydl.cli.results import Epoch
    from pydl.cli.tasks.images import Digits

    for n, ticks in ((1, [1.0]), (2, [1.0, 2.0])):
        figure = new_figure(6, 6, "")
        curves(figure, Digits, [Epoch(1.0, 1.0, 0.5, 0.5, 1.0)] * n)
        low, high = figure.axes[1].get_xlim()
        assert [t for t in figure.axes[1].get_xticks() if low <= t <= high] == ticks


def _task(text, held):
    task = object.__new__(chars.Chars)
    task.text = text_files.Text("made up", text, held, "")
    task.vocabulary = pydl.text.Vocabulary.build([text])
    task.held_ids = np.array(task.vocabulary.encode(held), np.int32)
    return task


def test_held_out_text_stays_inside_its_axes():
    """An empty line behind the last one that fits once let the text run on, over what is below."""
    from pydl.cli.plots import new_figure
    from pydl.models import LanguageModel

    for first in range(8):  # the part that is shown begins in different places
        task = _task("aeiln \n", "a" * first + "a line\n\n" * 40)
        axes = new_figure(4, 4, "").subplots()
        text_plots._surprise(axes, task, LanguageModel(len(task.vocabulary), 4, 4))
        assert 30 < len(axes.texts) and max(text.get_position()[1] for text in axes.texts) < text_plots.LINES


def test_the_course_of_an_epoch_cut_short_ends_where_it_was_cut(tmp_path, monkeypatch):
    """The characters that were read, not those of whole epochs."""
    from pydl.cli.training import Run

    seen = {}
    monkeypatch.setattr(text_plots, "write", lambda path, figure: seen.update(axes=figure.axes[0]))
    monkeypatch.setattr(Run, "out_of_time", property(lambda self: self.steps_done >= 7))
    file = tmp_path / "t.txt"
    file.write_text("to be or not to be, that is the question\n" * 100)  # 3690 to train on: 13 steps of 4 × 64
    assert train(tmp_path / "out", "chars", "--data", file, "--batch", 4, "--epochs", 3, picture=True) == 0
    training, held = (line.get_xdata() for line in seen["axes"].lines[:2])
    low, high = seen["axes"].get_ylim()
    assert low < seen["axes"].lines[0].get_ydata()[-1] < high
    assert held.tolist() == [7 * 4 * 64 / 1e6] and len(training) == 7 and training[-1] == 6.5 * 4 * 64 / 1e6
