# SPDX-License-Identifier: BSD-3-Clause
"""Losses and tables line by line against PyTorch: values, types, gradients, kinds of errors."""

from __future__ import annotations

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from tests.line_parity import same_values
from tests.lines_losses import LINES


@pytest.mark.parity
@pytest.mark.parametrize("line", LINES)
def test_lines(line: str) -> None:
    same_values(line)


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
