# SPDX-License-Identifier: BSD-3-Clause
"""Tensors print what PyTorch prints."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import pydl

SHAPES = ((), (1,), (3,), (40,), (0,), (2, 0), (2, 3), (5, 50), (1001,), (40, 30), (2, 3, 4), (7, 8, 20), (2, 1, 1, 2))
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"precision": 2}, {"precision": 0}, {"threshold": 5}, {"edgeitems": 1}, {"edgeitems": 0, "threshold": 3},
    {"linewidth": 40}, {"profile": "short"}, {"profile": "full"}, {"sci_mode": True}, {"sci_mode": False},
)  # fmt: skip


@pytest.fixture(autouse=True)
def default_options() -> Any:
    yield
    pydl.set_printoptions(profile="default")


def floats(rng: np.random.Generator, shape: tuple[int, ...], kind: int) -> np.ndarray:
    a = np.asarray(rng.standard_normal(shape))
    special = rng.choice([np.nan, np.inf, -np.inf, 0.0], shape)
    return np.asarray([
        a, a * 10.0 ** rng.integers(-12, 12, shape), np.round(a * 100), np.where(rng.random(shape) < 0.5, special, a),
        a * 0, np.round(a) * 1e7, np.where(rng.random(shape) < 0.8, np.nan, -np.round(a * 2)),
    ][kind])  # fmt: skip


def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    out = []
    for shape in SHAPES:
        out += [floats(rng, shape, kind).astype(d) for kind in range(7) for d in ("f4", "f8")]
        out += [np.asarray(rng.integers(-100, 100, shape)).astype(d) for d in ("i8", "i4", "i1", "u1")]
        out.append(np.asarray(rng.integers(0, 2, shape)).astype(bool))
    return out


def on_one_line(text: str) -> str:
    """Without the line break before a remark: the names pydl and torch differ in length, so the break may differ."""
    return re.sub(r",\s+(dtype|size)=", r", \1=", text).replace("torch.", "pydl.")


@pytest.mark.parity
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_text_is_torchs(options: dict[str, Any]) -> None:
    import torch

    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    pydl.set_printoptions(**options)
    try:
        for a in arrays():
            assert on_one_line(repr(pydl.from_numpy(a))) == on_one_line(repr(torch.from_numpy(a)))
    finally:
        torch.set_printoptions(profile="default", sci_mode=None)


def test_remarks() -> None:
    x = pydl.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x + 1) == "tensor([2., 2.], grad_fn=<AddBackward0>)"
    assert repr(x.detach().double()) == "tensor([1., 1.], dtype=pydl.float64)"
    assert str(pydl.zeros(0, dtype=pydl.int64)) == "tensor([], dtype=pydl.int64)"
    assert repr(pydl.zeros(2, 0)) == "tensor([], size=(2, 0))"
    long = repr(pydl.full((3,), 1.23456789, dtype=pydl.float64).repeat(3).requires_grad_())
    assert long.splitlines()[-1] == "       dtype=pydl.float64, requires_grad=True)"


def test_unknown_profile() -> None:
    with pytest.raises(ValueError, match="no profile 'wide'"):
        pydl.set_printoptions(profile="wide")


def test_format() -> None:
    assert f"{pydl.tensor(1.5):.2f}" == "1.50" and f"{pydl.tensor(3):5d}" == "    3"
    assert f"{pydl.tensor([1.5])}" == "tensor([1.5000])" and f"{pydl.tensor(2.0)}" == "tensor(2.)"
    with pytest.raises(TypeError):
        format(pydl.tensor([1.5]), ".2f")
