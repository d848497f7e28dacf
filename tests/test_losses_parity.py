# SPDX-License-Identifier: BSD-3-Clause
"""Losses and tables line by line against PyTorch: values, types, gradients, kinds of errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from tests.lines_losses import LINES


def run(T: Any, line: str) -> Any:
    """Value, type and gradients of Σ cos(i)·y_i for the line's leaves; or what it raises."""
    leaves: list[Any] = []

    def leaf(shape: tuple[int, ...], normal: bool) -> Any:
        rng = np.random.default_rng([len(leaves), *shape])
        leaves.append(T.from_numpy(np.asarray(rng.standard_normal(shape) if normal else rng.random(shape))))
        return leaves[-1].requires_grad_()

    names = {
        "T": T, "nn": T.nn, "F": T.nn.functional, "inf": float("inf"), "nan": float("nan"), "L": T.tensor,
        "f": lambda *shape: leaf(shape, False), "n": lambda *shape: leaf(shape, True),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            y = eval(line, names)
        except Exception as error:
            return error
        grads = []
        if y.requires_grad:
            v = T.from_numpy(np.cos(np.arange(y.numel())).reshape(tuple(y.shape))).to(y.dtype)
            grads = list(T.autograd.grad([y], leaves, [v], allow_unused=True))
    return [y.detach(), *grads]


@pytest.mark.parity
@pytest.mark.parametrize("line", LINES)
def test_lines(line: str) -> None:
    import torch

    theirs, ours = run(torch, line), run(pydl, line)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"torch raises {theirs!r}, pydl gives {ours!r}"
        return
    assert not isinstance(ours, Exception), f"torch gives {theirs!r}, pydl raises {ours!r}"
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            assert a.numpy().dtype == b.numpy().dtype and a.shape == b.shape
            bound = {"float64": 1e-12, "float32": 1e-6}.get(str(a.numpy().dtype), 0)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=bound, atol=bound)


INT64 = np.iinfo(np.int64)
OUTSIDE = (4, -1, 2**31, 2**62, -(2**62), INT64.max, INT64.min)


@pytest.mark.parametrize("value", OUTSIDE)
def test_classes_out_of_range_are_named(value: int) -> None:
    """In every loss over classes, in one_hot and in tables of any type; nothing is written."""
    classes = pydl.tensor([[0, 1, value]])
    x = pydl.zeros(3, 4).requires_grad_()
    for loss in (F.nll_loss, F.cross_entropy):
        for reduction in ("mean", "sum", "none"):
            with pytest.raises(IndexError, match=f"Target {value} is out of bounds"):
                loss(x, classes[0], reduction=reduction)
            with pytest.raises(IndexError, match=f"Target {value} is out of bounds"):
                loss(x.t().unsqueeze(0), classes, reduction=reduction)
    with pytest.raises(IndexError, match=f"class value {value} must be in"):
        F.one_hot(classes, 4)
    for kind in (pydl.float32, pydl.int64, pydl.int32, pydl.int16, pydl.uint8, pydl.bool):
        with pytest.raises(
            IndexError, match=rf"index {value} at position \(0, 2\) is out of range: the table has 4 rows"
        ):
            F.embedding(classes, pydl.zeros(4, 2, dtype=kind))


def test_a_class_changed_behind_the_librarys_back_is_found_before_the_backward_writes() -> None:
    classes = np.array([0, 1, 2])
    x = pydl.zeros(3, 4).requires_grad_()
    loss = F.cross_entropy(x, pydl.from_numpy(classes))
    classes[1] = INT64.min
    with pytest.raises(IndexError, match=str(INT64.min)):
        loss.backward()
    assert x.grad is None
