# SPDX-License-Identifier: BSD-3-Clause
"""Case of connectionist temporal classification, on logits: torch's gradient is right only once it has passed their
log-softmax, while pydl's is that of the loss itself (tests/test_ctc.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests import reference_ctc as reference
from tests.harness import Case, Draw, Error, S, Sample, rough

REDUCTIONS = ("mean", "sum", "none")


def call(T: Any, logits: Any, *args: Any, **kwargs: Any) -> Any:
    return T.nn.functional.ctc_loss(logits.log_softmax(-1), *args, **kwargs)


def _samples(g: Draw) -> Iterator[Sample]:
    targets = np.array([[1, 2, 2, 4, 1], [3, 3, 3, 1, 1], [4, 1, 1, 1, 1], [2, 1, 0, 0, 0]])
    steps, counts = np.array([12, 9, 5, 7]), np.array([5, 3, 1, 2])
    for reduction in REDUCTIONS:
        yield S(g.normal(12, 4, 5), targets, steps, counts, reduction=reduction)
        yield S(g.normal(12, 4, 5), targets, (12, 9, 5, 7), (5, 3, 0, 1), reduction=reduction)
        yield S(g.normal(6, 1, 3) * 3, np.array([1, 2, 1]), np.array([6]), np.array([3]), reduction=reduction)
        yield S(g.normal(8, 5), np.array([[1, 4, 4]]), np.array(8), np.array(3), reduction=reduction)
    yield S(g.normal(12, 4, 5), np.array([1, 2, 2, 4, 1, 3, 2, 2, 4]), (12, 9, 5, 7), (4, 3, 0, 2))
    yield S(g.normal(12, 4, 5), np.array([4, 1, 2, 4]), steps, np.array([1, 1, 1, 1]), blank=3)
    yield S(g.normal(4, 2, 3), np.zeros((2, 0), np.int64), (4, 2), (0, 0))
    yield S(g.normal(5, 1, 2), np.array([1]), (5,), (1,))
    yield S(g.normal(1, 1, 1), np.zeros(0, np.int64), (1,), (0,))
    yield S(g.normal(40, 2, 30), g.integers(1, 30, 2, 17), (40, 35), (17, 9))
    yield S(g.normal(12, 4, 5), targets, (12, 2, 5, 7), (5, 3, 1, 2), zero_infinity=True)
    yield rough(g.normal(12, 4, 5), targets, (12, 2, 5, 0), (5, 3, 1, 2), 0, "none")
    yield rough(g.normal(5, 2, 3), np.array([[1, 1], [1, 2]]), (2, 2), (2, 2), 0, "none")


def _errors(g: Draw) -> Iterator[Error]:
    x, t = g.normal(6, 2, 4), np.array([[1, 2], [3, 1]])
    lengths = np.array([6, 5]), np.array([2, 2])
    yield Error(S(x, t, (7, 5), (2, 2)), RuntimeError, "input_lengths.*at most 6.*7")
    yield Error(S(x, t, (-1, 5), (2, 2)), RuntimeError, "input_lengths.*at least 0.*-1")
    yield Error(S(x, t, (6, 5), (2, -3)), RuntimeError, "target_lengths.*at least 0.*-3")
    yield Error(S(x, t, (6,), (2, 2)), RuntimeError, "input_lengths must be of size batch_size")
    yield Error(S(x, t, lengths[0], np.array([2])), RuntimeError, "target_lengths must be of size batch_size")
    yield Error(S(x, t, (6, 5), (3, 2)), RuntimeError, r"targets \(2, 2\).*up to 3")
    yield Error(S(x, t[:1], *lengths), RuntimeError, r"targets \(1, 2\).*2 sequences")
    yield Error(S(x, t[0], *lengths), RuntimeError, r"targets \(2,\) must hold the 4")
    yield Error(S(x, t[None], *lengths), RuntimeError, "1 to 2 dimensions")
    yield Error(S(x, t, (6.0, 5.0), (2, 2)), TypeError, "input_lengths must be .* ints")
    yield Error(S(x, t, 6, 2), TypeError, "tuple of ints")
    yield Error(S(x, t, *lengths, blank=4), RuntimeError, "blank must be in label range")
    yield Error(S(x, t, *lengths, blank=-1), RuntimeError, "blank must be in label range")
    yield Error(S(x, t, *lengths, reduction="average"), ValueError, "average")
    yield Error(S(x[None], t, *lengths), RuntimeError, "3-dimensional")
    yield Error(S(x[:0], t, (0, 0), (2, 2)), RuntimeError, "must not be empty")


CASES = {
    "ctc_loss": Case(
        reference.of_logits,
        _samples,
        _errors,
        lambda g: S(g.normal(120, 16, 40), g.integers(1, 40, 16, 30), (120,) * 16, (30,) * 16),
        call=call,
        length=lambda x, *rest, **kw: x.shape[0] * x.shape[-1],
        factor=4,
    ),
}
