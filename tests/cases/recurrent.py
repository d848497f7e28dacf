# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the recurrent layers over whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference_recurrent as reference
from tests.harness import Array, Case, Draw, Error, S, Sample

# Rows of each step, features, hidden units: sequences of one length and of several, one step, one sequence, one unit, a
# vector's odd tails, no features, no sequences.
SHAPES = (
    ((2, 2, 2), 3, 4), ((3, 3, 2, 1, 1), 2, 3), ((4,), 3, 2), ((1, 1, 1), 2, 1), ((1,), 1, 1), ((3, 2), 5, 17),
    ((2, 1), 0, 3), ((0, 0), 2, 3),
)  # fmt: skip


def arguments(g: Draw, sizes: tuple[int, ...], n_in: int, hidden: int, gates: int, out: int = 0) -> list[Any]:
    """x, sizes, h0, (c0,) w_ih, w_hh, b_ih, b_hh of a call; with `out` w_hr."""
    rows, width, scale = gates * hidden, out or hidden, hidden**-0.5
    states = [g.normal(sizes[0], width), *([g.normal(sizes[0], hidden)] if gates == 4 else [])]
    weights = [g.normal(rows, n_in) * scale, g.normal(rows, width) * scale, g.normal(rows), g.normal(rows)]
    return [g.normal(sum(sizes), n_in), sizes, *states, *weights, *([g.normal(out, hidden) * scale] if out else [])]


def call(name: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """pydl's operation without what it has no gates for; for PyTorch its own functions, one step at a time."""

    def called(T: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if T.__name__ == "pydl":
            return [y for y in getattr(T.ops, name)(*args, **kwargs) if y is not None]
        return compute(*args, **kwargs, T=T)

    return called


def length(x: Array, sizes: tuple[int, ...], h0: Array, *args: Any, **kwargs: Any) -> int:
    return len(sizes) * (x.shape[1] + h0.shape[1] + 2)


def _rnn(g: Draw) -> Iterator[Sample]:
    for sizes, n_in, hidden in SHAPES:
        for options in ({}, {"nonlinearity": "relu"}, {"reverse": True}):
            yield S(*arguments(g, sizes, n_in, hidden, 1), **options)
    plain = arguments(g, (3, 2, 2), 2, 3, 1)
    yield S(*plain[:5])
    yield S(*plain[:6], reverse=True)
    yield S(*plain, checkpoint=True)


def _lstm(g: Draw) -> Iterator[Sample]:
    for sizes, n_in, hidden in SHAPES:
        for options in ({}, {"reverse": True}):
            yield S(*arguments(g, sizes, n_in, hidden, 4), **options)
    for sizes, out in (((2, 2), 2), ((3,), 2), ((3, 2, 1), 1), ((2, 2, 1), 5)):
        yield S(*arguments(g, sizes, 2, 3, 4, out))
        yield S(*arguments(g, sizes, 2, 3, 4, out), reverse=True, checkpoint=True)
    plain = arguments(g, (3, 2, 2), 2, 3, 4)
    yield S(*plain[:6])
    yield S(*plain[:7], reverse=True)
    yield S(*plain[:6], None, plain[7])
    yield S(*plain, checkpoint=True)


def _gru(g: Draw) -> Iterator[Sample]:
    for sizes, n_in, hidden in SHAPES:
        for options in ({}, {"reset_after": False}, {"reverse": True}, {"reset_after": False, "reverse": True}):
            yield S(*arguments(g, sizes, n_in, hidden, 3), **options)
    plain = arguments(g, (3, 2, 2), 2, 3, 3)
    for reset_after in (True, False):
        yield S(*plain[:5], reset_after=reset_after)
        yield S(*plain[:6], reset_after=reset_after)
        yield S(*plain[:5], None, plain[6], reset_after=reset_after)
        yield S(*plain, reset_after=reset_after, checkpoint=True)


def _errors(gates: int) -> Callable[[Draw], Iterator[Error]]:
    first_weight = 4 if gates == 4 else 3

    def errors(g: Draw) -> Iterator[Error]:
        good = arguments(g, (3, 2), 4, 2, gates)

        def but(i: int, value: Any) -> Sample:
            return S(*good[:i], value, *good[i + 1 :])

        rows = 2 * gates
        yield Error(but(0, g.normal(5, 3)), RuntimeError, rf"x has 3 features.*\(5, 3\).*takes 4.*\({rows}, 4\)")
        yield Error(but(0, g.normal(6, 3)), RuntimeError, "x has 3 features")
        yield Error(but(2, g.normal(3, 5)), RuntimeError, r"h0 has shape \(3, 5\).*\(3, 2\)")
        yield Error(but(first_weight + 1, g.normal(rows, 3)), RuntimeError, rf"w_hh.*\({rows}, 3\).*\({rows}, 2\)")
        yield Error(but(first_weight + 2, g.normal(rows + 1)), RuntimeError, rf"b_ih.*\({rows + 1},\)")
        yield Error(but(first_weight + 3, g.normal(rows + 3)), RuntimeError, rf"b_hh.*\({rows + 3},\)")
        yield Error(but(0, g.normal(5, 4).astype(np.float32)), RuntimeError, "float64.*float32")

    return errors


def _large(gates: int) -> Callable[[Draw], Sample]:
    return lambda g: S(*arguments(g, (48,) * 3 + (40, 37, 5), 24, 120, gates))


CASES = {
    "rnn_sequence": Case(
        reference.rnn, _rnn, _errors(1), _large(1), call=call("rnn_sequence", reference.rnn), length=length, factor=4
    ),
    "lstm_sequence": Case(
        reference.lstm,
        _lstm,
        _errors(4),
        _large(4),
        call=call("lstm_sequence", reference.lstm),
        length=length,
        factor=4,
    ),
    "gru_sequence": Case(
        reference.gru, _gru, _errors(3), _large(3), call=call("gru_sequence", reference.gru), length=length, factor=4
    ),
}
