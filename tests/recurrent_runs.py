# SPDX-License-Identifier: BSD-3-Clause
"""The recurrent layers under test, their random inputs, and gradients of random sums of what they give."""

from __future__ import annotations

from typing import Any

import numpy as np

import pydl
from pydl import nn

Array = np.ndarray[Any, Any]
T, B, I, H = 7, 3, 4, 5
KINDS = ("RNN", "LSTM", "GRU")
CELLS = {"RNN": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("LSTM", {"proj_size": 2}), ("GRU", {}),
    ("GRU", {"reset_after": False}),
]  # fmt: skip
NAMES = ["tanh", "relu", "LSTM", "LSTM-proj", "GRU", "GRU-before"]


def drawn(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def make(kind: str, **options: Any) -> Any:
    pydl.manual_seed(0)
    return getattr(nn, kind)(I, H, **options).double()


def flat(value: Any) -> list[Any]:
    return [t for v in value for t in flat(v)] if isinstance(value, tuple) else [value]


def gradients(value: Any, *leaves: Any) -> list[Array]:
    """Those of a random sum of all tensors in `value`."""
    loss = sum((t * pydl.tensor(drawn(4, *t.shape))).sum() for t in flat(value))
    return [g.numpy().copy() for g in pydl.autograd.grad(loss, leaves)]
