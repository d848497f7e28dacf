# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference, reference_arrays
from tests.harness import Case, Draw, Error, S, Sample, rough

REDUCTIONS = ("mean", "sum", "none")


def elements(input: Any, *args: Any, **kwargs: Any) -> int:
    return math.prod(input.shape)


def _regression(first: str) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for reduction in REDUCTIONS:
            for shape in ((), (1,), (5,), (3, 4), (2, 3, 35)):
                target = g.normal(*shape)
                yield S(target + getattr(g, first)(*shape), target, reduction=reduction)
            target = g.normal(3, 4)
            yield S(target + getattr(g, first)(3, 4), target, None, None, reduction, g.positive(3, 4))
        yield S(g.normal(0, 3), g.normal(0, 3), reduction="sum")
        yield S(g.normal(0, 3), g.normal(0, 3), reduction="none")

    return samples


def _probabilities(g: Draw) -> Iterator[Sample]:
    for shape in ((), (1,), (5,), (3, 4), (2, 3, 35)):
        for reduction in REDUCTIONS:
            yield S(g.unit(*shape), g.unit(*shape), reduction=reduction)
    yield rough(g.unit(3, 4), g.flags(3, 4).astype(float), weight=g.unit(4))
    yield S(g.unit(3, 4), g.unit(3, 4), weight=g.unit(4))
    yield rough(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0]), reduction="none")
    yield S(g.unit(0, 3), g.unit(0, 3), reduction="sum")


def _logits(g: Draw) -> Iterator[Sample]:
    for shape in ((), (1,), (5,), (3, 4), (2, 3, 35)):
        for reduction in REDUCTIONS:
            yield S(g.normal(*shape), g.unit(*shape), reduction=reduction)
    yield S(g.normal(3, 4), g.flags(3, 4).astype(float), weight=g.unit(4))
    yield S(g.normal(3, 4), g.flags(3, 4).astype(float), pos_weight=g.positive(4))
    yield S(g.normal(3, 4) * 1e4, g.flags(3, 4).astype(float), reduction="none")
    yield S(g.normal(0, 3), g.unit(0, 3), reduction="sum")


def _targets(g: Draw, shape: tuple[int, ...]) -> np.ndarray:
    return g.integers(
        0, shape[0] if len(shape) == 1 else shape[1], *(() if len(shape) == 1 else (shape[0], *shape[2:]))
    )


def _nll(g: Draw) -> Iterator[Sample]:
    for shape in ((4,), (5, 4), (1, 1), (3, 4, 2), (2, 3, 2, 5), (33, 10)):
        for reduction in REDUCTIONS:
            yield S(g.normal(*shape), _targets(g, shape), reduction=reduction)
    yield S(g.normal(6, 4), _targets(g, (6, 4)), weight=g.positive(4))
    yield S(g.normal(6, 4), _targets(g, (6, 4)), weight=g.positive(4), ignore_index=2)
    yield S(g.normal(6, 4), np.array([0, -100, 3, 1, -100, 2]))
    yield S(g.normal(6, 4), np.array([0, -100, 3, 1, -100, 2]), reduction="none")
    yield S(g.normal(3, 4), np.array([1, 1, 1]), ignore_index=1, reduction="sum")
    yield S(g.normal(0, 4), g.integers(0, 4, 0), reduction="sum")


def _cross_entropy(g: Draw) -> Iterator[Sample]:
    yield from _nll(g)
    yield S(g.normal(6, 10) * 1e4, _targets(g, (6, 10)))
    for reduction in REDUCTIONS:
        yield S(g.normal(6, 4), _targets(g, (6, 4)), label_smoothing=0.1, reduction=reduction)
        yield S(g.normal(6, 4), g.simplex(6, 4), reduction=reduction)
    yield S(g.normal(6, 4), np.array([0, -100, 3, 1, -100, 2]), weight=g.positive(4), label_smoothing=0.2)
    yield S(g.normal(6, 4), g.simplex(6, 4), weight=g.positive(4), label_smoothing=0.2)
    yield S(g.normal(3, 4, 5), g.simplex(3, 4, 5))
    yield S(g.normal(4), g.simplex(4, dim=0))
    yield S(g.normal(257, 35), _targets(g, (257, 35)))


def _class_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), np.array([0, 4, 1])), IndexError, "4.*out of bounds|out of")
    yield Error(S(g.normal(3, 4), np.array([0, -1, 1])), IndexError, "-1.*out of bounds|out of")
    yield Error(S(g.normal(3, 4), np.array([0, np.iinfo(np.int64).min, 1])), IndexError, "out of")
    yield Error(S(g.normal(3, 4), np.array([0, 1])), (ValueError, RuntimeError), "3.*2")
    yield Error(S(g.normal(3, 4), np.array([0, 1, 2]), weight=g.positive(3)), (ValueError, RuntimeError), "weight")
    yield Error(S(g.normal(3, 4), np.array([0, 1, 2]), reduction="average"), ValueError, "average")


def _loss_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.unit(3), g.unit(3), reduction="average"), ValueError, "average")


def _same_size(g: Draw) -> Iterator[Error]:
    yield from _loss_errors(g)
    yield Error(S(g.unit(3, 4), g.unit(4)), ValueError, r"\(4,\).*\(3, 4\)")


def _outside(g: Draw) -> Iterator[Error]:
    yield from _same_size(g)
    yield Error(S(np.array([0.5, 1.5]), g.unit(2)), RuntimeError, "between 0 and 1")
    yield Error(S(np.array([0.5, -0.1]), g.unit(2)), RuntimeError, "between 0 and 1")


def _pair(domain: str) -> Callable[[Draw], Sample]:
    return lambda g: S(getattr(g, domain)(1023, 1030), getattr(g, domain)(1023, 1030))


def _rows(g: Draw) -> Sample:
    return S(g.normal(1023, 1030), g.integers(0, 1030, 1023))


def _robust(reference_loss: Callable[..., Any]) -> Callable[..., Any]:
    def loss(
        input: Any, target: Any, reduction: str = "mean", delta: float | None = None, weight: Any = 1, **more: float
    ) -> Any:
        bound = {} if delta is None else {"delta": delta}
        return reference.reduced(np.asarray(reference_loss(input, target, **bound, **more)) * weight, reduction)

    return loss


def _differences(width: str) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for shape in ((), (1,), (5,), (3, 4)):
            for reduction in REDUCTIONS:
                target = g.normal(*shape)
                yield S(target + g.distinct(*shape) + 0.003, target, reduction=reduction)
        target = g.normal(4, 5)
        yield S(target + 3 * g.distinct(4, 5) + 0.003, target, **{width: 0.5})
        yield S(g.normal(0, 3), g.normal(0, 3), reduction="sum")
        for reduction in REDUCTIONS if width == "delta" else ():
            yield S(target + 3 * g.distinct(4, 5) + 0.003, target, reduction, 0.5, g.positive(4, 5))

    return samples


CASES = {
    "mse_loss": Case(reference.mse_loss, _regression("normal"), _loss_errors, _pair("normal"), length=elements),
    "l1_loss": Case(reference.l1_loss, _regression("away"), _loss_errors, _pair("away"), length=elements),
    "binary_cross_entropy": Case(
        reference.binary_cross_entropy, _probabilities, _outside, _pair("unit"), length=elements, factor=4
    ),
    "binary_cross_entropy_with_logits": Case(
        reference.binary_cross_entropy_with_logits, _logits, _same_size, _pair("unit"), length=elements, factor=4
    ),
    "nll_loss": Case(reference.nll_loss, _nll, _class_errors, _rows, length=elements),
    "cross_entropy": Case(reference.cross_entropy, _cross_entropy, _class_errors, _rows, length=elements, factor=8),
    "smooth_l1_loss": Case(_robust(reference_arrays.smooth_l1_loss), _differences("beta"), length=elements),
    "huber_loss": Case(_robust(reference_arrays.huber_loss), _differences("delta"), length=elements),
}
