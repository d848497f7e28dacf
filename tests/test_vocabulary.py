# SPDX-License-Identifier: BSD-3-Clause
"""Vocabularies: numbers by frequency, there and back, files, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import pydl
from pydl.text import Vocabulary

WORDS = [["to", "be", "or", "not", "to", "be"], ["that", "is", "the", "question", "to"]]


def test_numbers_by_frequency_then_by_characters():
    v = Vocabulary.build(WORDS, begin="<begin>", end="<end>")
    assert v.tokens == ("<pad>", "<unk>", "<begin>", "<end>", "to", "be", "is", "not", "or", "question", "that", "the")
    assert len(v) == 12 and v["to"] == 4 and "be" in v and "bee" not in v and list(v) == list(v.tokens)
    assert (v["<pad>"], v.begin_id, v.end_id, v["nobody"]) == (0, 2, 3, 1)
    assert Vocabulary.build(WORDS[::-1]).tokens == Vocabulary.build([reversed(WORDS[0]), WORDS[1]]).tokens


def test_min_count_and_max_size():
    assert Vocabulary.build(WORDS, min_count=2).tokens == ("<pad>", "<unk>", "to", "be")
    assert Vocabulary.build(WORDS, max_size=4, end="E").tokens == ("<pad>", "<unk>", "E", "to")
    assert Vocabulary.build(WORDS, max_size=2).tokens == ("<pad>", "<unk>")
    assert Vocabulary.build(["abca"], unknown=None).tokens == ("<pad>", "a", "b", "c")
    assert len(Vocabulary.build([])) == 2


def test_there_and_back():
    v = Vocabulary.build(["hello world"], begin="^", end="$")
    ids = v.encode("hello", begin=True, end=True)
    assert (ids[0], ids[-1], len(ids)) == (v.begin_id, v.end_id, 7)
    assert "".join(v.decode(ids)) == "hello" and "".join(v.decode(ids, skip_special=False)) == "^hello$"
    for same in (pydl.tensor(ids), np.array(ids), np.array(ids, np.int32), tuple(ids), iter(ids)):
        assert v.decode(same) == list("hello")
    assert v.decode(v.encode("höllo")) == ["h", "<unk>", "l", "l", "o"]
    assert v.decode([0, 0]) == [] and v.decode([]) == []


def test_a_batch_is_filled_up_with_zeros():
    v = Vocabulary.build(["abc"], end="$")
    ids, lengths = v.encode_batch(["ab", "", "cab"], end=True)
    assert ids.dtype is pydl.int64 and ids.tolist() == [[3, 4, 2, 0], [2, 0, 0, 0], [5, 3, 4, 2]]
    assert lengths.tolist() == [3, 1, 4]
    assert v.encode_batch([])[0].shape == (0, 0) and v.encode_batch([""])[0].shape == (1, 0)


def test_saved_and_loaded(tmp_path):
    for v in (
        Vocabulary.build(WORDS, begin="<begin>", end="<end>"),
        Vocabulary.build(['"\\\n\t\u2028é\U0001f600\x00'], unknown=None, padding=""),
        Vocabulary([]),
    ):
        v.save(tmp_path / "v.json")
        again = Vocabulary.load(tmp_path / "v.json")
        assert again == v and again.tokens == v.tokens and again.end == v.end and repr(again) == repr(v)
        assert json.loads((tmp_path / "v.json").read_text(encoding="ascii"))["tokens"] == list(
            again._content()["tokens"]
        )
    assert v != Vocabulary(["a"]) and v != "v"


GOOD = {"format": "pydl vocabulary, version 1", "padding": "<pad>", "unknown": None, "begin": None, "end": None}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "Expecting value"),
        ("[]", "must be an object with the keys begin, end"),
        ("[" * 100_000, "nested too deeply|Expecting"),
        (b"\xff\xfe{", "is no vocabulary"),
        (json.dumps(GOOD), "with the keys"),
        (json.dumps({**GOOD, "tokens": [], "more": 1}), "with the keys"),
        (json.dumps({**GOOD, "tokens": {}}), "tokens must be a list"),
        (json.dumps({**GOOD, "tokens": ["a", "a"]}), "'a' is given twice"),
        (json.dumps({**GOOD, "tokens": ["<pad>"]}), "'<pad>' is a special token and given twice"),
        (json.dumps({**GOOD, "tokens": ["a", 1]}), "strings, not int"),
        (json.dumps({**GOOD, "tokens": [], "padding": None}), "padding token must be a string"),
        (json.dumps({**GOOD, "tokens": [], "end": 3}), "end token must be a string, not 3"),
        (json.dumps({**GOOD, "tokens": [], "format": "x"}), "its format is 'x'"),
    ],
)
def test_files_that_are_no_vocabulary(content, text, tmp_path):
    path = tmp_path / "v.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=text) as caught:
        Vocabulary.load(path)
    assert str(caught.value).startswith(f"{path} is no vocabulary: ")


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda v: v.encode("abx"), KeyError, "'x' is not one of the 4 tokens, and there is none for unknown"),
        (lambda v: v.encode("ab", end=True), ValueError, "there is no end token; make it with end='<end>'"),
        (lambda v: v.encode("ab", begin=True), ValueError, "no begin token"),
        (lambda v: v.begin_id, ValueError, "no begin token"),
        (lambda v: v.encode([1]), TypeError, "strings, not int"),
        (lambda v: v.decode([1, 4]), IndexError, "4 is not one of the numbers 0 … 3"),
        (lambda v: v.decode([-1]), IndexError, "-1 is not one"),
        (lambda v: v.decode([1.0]), TypeError, "whole numbers, not float"),
        (lambda v: v.decode(pydl.zeros(2, 2, dtype=pydl.int64)), ValueError, r"shape \(2, 2\)"),
        (lambda v: Vocabulary.build("abc"), TypeError, r"give \[text\]"),
        (lambda v: Vocabulary.build(["a"], max_size=1), ValueError, "max_size 1 has no room for 2 special"),
        (lambda v: Vocabulary.build(["a"], min_count=0), ValueError, "min_count must be 1 or more, not 0"),
        (lambda v: Vocabulary.build([[1, 2]]), TypeError, "strings, not int"),
        (lambda v: Vocabulary.build([["<unk>"]]), ValueError, "'<unk>' is a special token and given twice"),
        (lambda v: Vocabulary(["a"], begin="x", end="x"), ValueError, "'x' is given twice"),
        (lambda v: hash(v), TypeError, "unhashable"),
    ],
)
def test_what_a_vocabulary_refuses(call, kind, text):
    with pytest.raises(kind, match=text):
        call(Vocabulary.build(["abc"], unknown=None))
