# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the recurrent layers' kernels for the guard pages; what each takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import SIGNATURES, Array, Call, Out

SIGNATURES.update(
    {
        "recurrent.lstm_fwd": "nnpnnpnpnpnpn",
        "recurrent.lstm_bwd": "nnpnpnpnnpnpnpnpn",
    }
)


def recurrent_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every kernel on blocks of n units; arrays end where the memory ends."""
    if n == 0:  # a block has one unit at least
        return
    ld, gate = n + 2, n + 1

    def block(rows: int, width: int = n, step: int = ld) -> Array:
        return rng.uniform(-0.9, 0.9, (rows - 1) * step + width).astype(dtype)

    for rows in (1, 2, 3, 5, 6):
        for gates in (4,):
            wide, ldg = (gates - 1) * gate + n, gates * gate
            g = np.abs(block(rows, wide, ldg))
            for with_tanh in (True, False):
                tc = Out(block(rows)) if with_tanh else None
                c, h = Out(block(rows)), Out(block(rows))
                yield Call(
                    "recurrent.lstm_fwd", (rows, n, Out(g), ldg, gate, block(rows), ld, c, ld, tc, ld, h, ld)
                )
            for dh2 in (block(rows), None):
                read = (block(rows), ld, dh2, ld, g, ldg, gate, block(rows), ld, block(rows), ld)
                yield Call("recurrent.lstm_bwd", (rows, n, *read, Out(block(rows)), ld, Out(g), ldg))
