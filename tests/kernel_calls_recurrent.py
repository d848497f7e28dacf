# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the recurrent layers' kernels for the guard pages; what each takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import SIGNATURES, Array, Call, Out

SIGNATURES.update(
    {
        "recurrent.rnn_fwd": "nnpni",
        "recurrent.rnn_bwd": "nnpnpnpnipn",
        "recurrent.lstm_fwd": "nnpnnpnpnpnpn",
        "recurrent.lstm_bwd": "nnpnpnpnnpnpnpnpn",
        "recurrent.gru_fwd": "nnpnnpnpnpn",
        "recurrent.gru_bwd": "nnpnpnpnpnnpnpnpnpn",
        "recurrent.gru_reset": "nnpnnpnpn",
        "recurrent.gru_update": "nnpnnpnpn",
        "recurrent.gru_update_bwd": "nnpnpnpnpnnpnpn",
        "recurrent.gru_reset_bwd": "nnpnpnpnpnpn",
        "recurrent.thin": "nnnpnpnpnpi",
    }
)


class Blocks:
    """Arrays of rows x n, their rows ld apart; those of gates end behind the last gate of the last row."""

    def __init__(self, rows: int, n: int, dtype: Any, rng: np.random.Generator) -> None:
        self.rows, self.n, self.dtype, self.rng = rows, n, dtype, rng
        self.ld, self.gate = n + 2, n + 1

    def units(self) -> Array:
        return self.rng.uniform(-0.9, 0.9, (self.rows - 1) * self.ld + self.n).astype(self.dtype)

    def gates(self, count: int) -> Array:
        size = (self.rows - 1) * count * self.gate + (count - 1) * self.gate + self.n
        return self.rng.uniform(0.1, 0.9, size).astype(self.dtype)


def _simple(b: Blocks, dh2: Array | None) -> Iterator[Call]:
    for relu in (0, 1):
        yield Call("recurrent.rnn_fwd", (b.rows, b.n, Out(b.units()), b.ld, relu))
        read = (b.units(), b.ld, dh2, b.ld, b.units(), b.ld)
        yield Call("recurrent.rnn_bwd", (b.rows, b.n, *read, relu, Out(b.units()), b.ld))


def _lstm(b: Blocks, dh2: Array | None) -> Iterator[Call]:
    ld, gates, ldg = b.ld, b.gates(4), 4 * b.gate
    for tc in (Out(b.units()), None):
        wrote = (Out(b.units()), ld, tc, ld, Out(b.units()), ld)
        yield Call("recurrent.lstm_fwd", (b.rows, b.n, Out(gates), ldg, b.gate, b.units(), ld, *wrote))
    read = (b.units(), ld, dh2, ld, gates, ldg, b.gate, b.units(), ld, b.units(), ld)
    yield Call("recurrent.lstm_bwd", (b.rows, b.n, *read, Out(b.units()), ld, Out(gates), ldg))


def _gru(b: Blocks, dh2: Array | None) -> Iterator[Call]:
    ld, gates, ldg, size = b.ld, b.gates(3), 3 * b.gate, (b.rows, b.n)
    out = Out(b.units()), ld
    yield Call("recurrent.gru_fwd", (*size, Out(gates), ldg, b.gate, b.units(), ld, b.units(), ld, *out))
    yield Call("recurrent.gru_reset", (*size, Out(gates), ldg, b.gate, b.units(), ld, *out))
    yield Call("recurrent.gru_update", (*size, Out(gates), ldg, b.gate, b.units(), ld, *out))
    head = (*size, b.units(), ld, dh2, ld, Out(b.units()), ld, gates, ldg, b.gate)
    dg = Out(gates), ldg
    yield Call("recurrent.gru_bwd", (*head, b.units(), ld, b.units(), ld, *dg, *out))
    yield Call("recurrent.gru_update_bwd", (*head, b.units(), ld, *dg))
    reset = Out(b.gates(1)), b.gate
    read = (b.units(), ld, Out(b.units()), ld, b.gates(1), b.gate, b.units(), ld)
    yield Call("recurrent.gru_reset_bwd", (*size, *read, *reset))


def recurrent_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every kernel on blocks of n units; arrays end where the memory ends."""
    if n == 0:  # a block has one unit at least
        return
    for rows in (1, 3):
        b = Blocks(rows, n, dtype, rng)
        for dh2 in (b.units(), None):
            yield from _simple(b, dh2)
            yield from _lstm(b, dh2)
            yield from _gru(b, dh2)
