# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's handwritten digits, split the same way every time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import pydl
from pydl.tensor import Tensor

__all__ = ["CLASSES", "N_TEST", "SIDE", "Digits", "load"]

CLASSES, SIDE, N_TEST = 10, 8, 360
WHITE = 16.0  # the largest value of a pixel


@dataclass(frozen=True)
class Digits:
    """Images as rows of 64 numbers from 0 to 1, (N, 64) float32, and their digits, (N,) int64."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def load() -> Digits:
    """The 1797 images; the test set is the first 360 of RandomState(0).permutation(1797), the rest is for training."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    raw = load_digits()
    order = np.random.RandomState(0).permutation(len(raw.target))
    x = pydl.from_numpy((raw.data[order] / WHITE).astype(np.float32))
    y = pydl.from_numpy(raw.target[order].astype(np.int64))
    return Digits(x[N_TEST:], y[N_TEST:], x[:N_TEST], y[:N_TEST])
