# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the kernels of connectionist temporal classification for the guard pages; what each takes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import RESULTS, SIGNATURES, Array, Call, Out

SIGNATURES.update({"ctc.forward": "pnnpnlpip", "ctc.backward": "pnnpnlpdpnp"})
RESULTS["ctc.forward"] = ctypes.c_double

STEPS, CLASSES = 5, 4


def forward_call(lp: Array, ldt: int, steps: int, labels: Array, blank: int, keep: bool) -> Call:
    n = labels.size
    rows = Out(np.zeros((steps if keep else 2) * 2 * (n + 1), lp.dtype))
    return Call(
        "ctc.forward", (lp, ldt, steps, labels, n, blank, rows, int(keep), Out(np.zeros(4 * (n + 1), lp.dtype)))
    )


def backward_call(lp: Array, ldt: int, steps: int, labels: Array, blank: int, rows: Array, g: float) -> Call:
    n = labels.size
    dlp, scratch = Out(np.zeros(lp.size, lp.dtype)), Out(np.zeros(8 * (n + 1), lp.dtype))
    return Call("ctc.backward", (lp, ldt, steps, labels, n, blank, rows, g, dlp, ldt, scratch))


def ctc_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """n labels, with and without repeats, in fewer steps and in more than they need."""
    room = 4096 // (16 * (n + 1))  # rows that fit into a page, in doubles
    for steps in (0, 1, STEPS, min(2 * n + 1, room)):
        for classes in (CLASSES, 2):
            ldt = classes + 1
            lp = rng.standard_normal(max(0, (steps - 1) * ldt + classes)).astype(dtype)
            labels = rng.integers(1, classes, n)
            for keep in (False, True):
                yield forward_call(lp, ldt, steps, labels, 0, keep)
            if steps:
                rows = rng.standard_normal(steps * 2 * (n + 1)).astype(dtype)
                yield backward_call(lp, ldt, steps, labels, 0, rows, 0.7)
