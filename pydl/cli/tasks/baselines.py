# SPDX-License-Identifier: BSD-3-Clause
"""What takes no training: classification by the nearest mean of a class, and by the nearest training sample."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["accuracies", "nearest_mean", "nearest_sample", "text"]

Array = np.ndarray[Any, np.dtype[Any]]
MAX_PAIRS = 10_000_000  # up to so many distances the nearest training sample is looked for, a second or two
ROWS = 256  # test samples whose distances are held at once


def nearest_mean(train_x: Array, train_y: Array, test_x: Array) -> Array:
    """The class whose mean over the training samples is nearest, argmin_c ‖x − mean_c‖; (N, F) to (M,)."""
    classes = np.unique(train_y)
    means = np.stack([train_x[train_y == c].mean(0, dtype=np.float64) for c in classes])
    return classes[_nearest(means, test_x)]


def nearest_sample(train_x: Array, train_y: Array, test_x: Array) -> Array:
    """The class of the training sample that is nearest, argmin_k ‖x − x_k‖; (N, F) to (M,)."""
    found: Array = train_y[_nearest(train_x.astype(np.float64), test_x)]
    return found


def _nearest(points: Array, x: Array) -> Array:
    """Which of the points (K, F) is nearest to each row of x (M, F)."""
    squares = (points * points).sum(1)
    parts = [x[i : i + ROWS].astype(np.float64) for i in range(0, len(x), ROWS)]
    return np.concatenate([np.argmin(squares - 2 * part @ points.T, axis=1) for part in parts])


def accuracies(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> dict[str, float]:
    """The share of right answers of both; of the nearest sample only where that takes no longer than seconds."""
    found = {"nearest class mean": float(np.mean(nearest_mean(train_x, train_y, test_x) == test_y))}
    if len(train_x) * len(test_x) <= MAX_PAIRS:
        found["nearest neighbor"] = float(np.mean(nearest_sample(train_x, train_y, test_x) == test_y))
    return found


def text(found: dict[str, float]) -> str:
    """The baselines in half a line."""
    return ", ".join(f"{name} {100 * right:.2f} %" for name, right in found.items())
