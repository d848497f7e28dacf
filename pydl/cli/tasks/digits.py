# SPDX-License-Identifier: BSD-3-Clause
"""scikit-learn's handwritten digits, split the same way every time."""

from __future__ import annotations

import numpy as np

import pydl
from pydl.cli.tasks.image_files import Images

__all__ = ["N_TEST", "load"]

N_TEST = 360
WHITE = 16.0  # the largest value of a pixel


def load() -> Images:
    """The 1797 images; the test set is the first 360 of RandomState(0).permutation(1797), the rest is for training."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    raw = load_digits()
    order = np.random.RandomState(0).permutation(len(raw.target))
    x = pydl.from_numpy((raw.data[order] / WHITE).astype(np.float32))
    y = pydl.from_numpy(raw.target[order].astype(np.int64))
    source = "scikit-learn load_digits, pixels / 16"
    return Images("digits", source, tuple("0123456789"), 8, x[N_TEST:], y[N_TEST:], x[:N_TEST], y[:N_TEST])
