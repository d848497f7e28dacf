# SPDX-License-Identifier: BSD-3-Clause
"""Unfold and fold: against PyTorch over a grid, as a convolution, as adjoints, threads."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn
from tests.image_parity import check_same

GRID = list(itertools.product((1, 2, (3, 2)), (1, (1, 2)), (0, (2, 1)), (1, (2, 3))))


@pytest.mark.parity
@pytest.mark.parametrize("window", GRID, ids=str)
def test_layers_follow_pytorch(window: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 3, 7, 6), (3, 5, 6), (1, 1, 4, 33), (0, 2, 5, 5)):
        x = rng.standard_normal(shape)
        check_same(lambda T: T.nn.Unfold(*window), x)
        columns = rng.standard_normal(tuple(F.unfold(pydl.from_numpy(x), *window).shape))
        check_same(lambda T, size=shape[-2:]: T.nn.Fold(size, *window), columns, 64)


def test_a_convolution_is_a_product_with_columns() -> None:
    rng = np.random.default_rng(1)
    x, w = (pydl.from_numpy(rng.standard_normal(s)) for s in ((2, 3, 9, 8), (4, 3, 3, 2)))
    columns = F.unfold(x, (3, 2), padding=1, stride=2)
    y = (w.reshape(4, -1) @ columns).reshape(2, 4, 5, 5)
    np.testing.assert_allclose(y.numpy(), F.conv2d(x, w, padding=1, stride=2).numpy(), rtol=1e-12, atol=1e-12)


def test_fold_is_the_adjoint_of_unfold() -> None:
    rng = np.random.default_rng(2)
    for window in GRID:
        x = pydl.from_numpy(rng.standard_normal((2, 3, 7, 6)))
        y = F.unfold(x, *window)
        v = pydl.from_numpy(rng.standard_normal(tuple(y.shape)))
        left, right = (y * v).sum().item(), (x * F.fold(v, (7, 6), *window)).sum().item()
        assert abs(left - right) <= 1e-11 * max(1.0, abs(left))


def test_windows_that_do_not_overlap_come_back() -> None:
    x = pydl.from_numpy(np.random.default_rng(3).standard_normal((2, 3, 6, 8)).astype(np.float32))
    y = nn.Fold((6, 8), (2, 4), stride=(2, 4))(nn.Unfold((2, 4), stride=(2, 4))(x))
    assert y.numpy().tobytes() == x.numpy().tobytes()


def test_threads_give_the_same_bits(threads: None) -> None:
    x = np.random.default_rng(4).standard_normal((4, 16, 30, 31)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        pydl.set_num_threads(n)
        t = pydl.from_numpy(x).requires_grad_()
        y = F.unfold(t, 3, padding=1)
        z = F.fold(y, (30, 31), 3, padding=1)
        (dx,) = pydl.autograd.grad([z], [t], [z.detach() * 0.5])
        results.append(y.detach().numpy().tobytes() + z.detach().numpy().tobytes() + dx.numpy().tobytes())
    assert results[0] == results[1] == results[2]
