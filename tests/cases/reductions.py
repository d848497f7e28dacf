# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the reductions, softmax among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference
from tests.harness import Case, Draw, Error, S, Sample, rough

SHAPES: tuple[tuple[tuple[int, ...], tuple[Any, ...]], ...] = (
    ((3, 4), (0, 1, -1, (0, 1))),
    ((2, 3, 5), (0, 1, 2, (0, 2), (1, -1))),
    ((7,), (0,)),
    ((1,), (0,)),
    ((1, 1), (1,)),
    ((33, 35), (0, 1)),
    ((2, 0, 3), (0,)),
    ((0,), ()),
    ((3, 130), (-1,)),
    ((5, 1, 7), (1,)),
)


def several(domain: str, tuples: bool = True, empty: bool = True) -> Callable[[Draw], Iterator[Sample]]:
    """All elements, and every listed dimension, with and without keepdim."""

    def samples(g: Draw) -> Iterator[Sample]:
        make = getattr(g, domain)
        yield S(make())
        for shape, dims in SHAPES:
            if empty or math.prod(shape):
                yield S(make(*shape))
            for dim in dims:
                if tuples or isinstance(dim, int):
                    yield S(make(*shape), dim)
                    yield S(make(*shape), dim, keepdim=True)
        if empty and tuples:
            yield S(make(2, 0, 3), 1)

    return samples


def _typed(g: Draw) -> Iterator[Sample]:
    """Computed in another type than that of the tensor."""
    yield S(g.near_one(3, 4), 1, dtype=np.float64)
    yield S(g.integers(1, 3, 3, 4), 1, dtype=np.float64)


def _several_typed(domain: str, tuples: bool = True) -> Callable[[Draw], Iterator[Sample]]:
    return lambda g: iter([*several(domain, tuples)(g), *_typed(g)])


def reduced_length(input: np.ndarray, dim: Any = None, *args: Any, **kwargs: Any) -> int:
    return math.prod(input.shape[a] for a in reference.axes(dim, input.ndim))


def bad_dim(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(2, 3), 2), IndexError, r"-2, 1|out of range")
    yield Error(S(g.normal(2, 3), -3), IndexError, r"-2, 1|out of range")


def bad_dims(g: Draw) -> Iterator[Error]:
    yield from bad_dim(g)
    yield Error(S(g.normal(2, 3), (0, 0)), RuntimeError, "dim 0|multiple|twice")


def _sum(g: Draw) -> Iterator[Sample]:
    yield from several("normal")(g)
    yield S(g.integers(-9, 9, 3, 4))
    yield S(g.integers(-9, 9, 3, 4), 1)
    yield S(g.flags(3, 4), 0)
    yield S(g.normal(4097))
    yield S(g.normal(2, 4097), 1)
    yield from _typed(g)


def spread(g: Draw) -> Iterator[Sample]:
    for shape, dims in SHAPES:
        if min(shape) > 1:
            yield S(g.normal(*shape))
            for dim in dims:
                yield S(g.normal(*shape), dim)
                yield S(g.normal(*shape), dim, correction=0, keepdim=True)
                yield S(g.normal(*shape), dim, False)
    yield rough(g.normal(1, 4), 1)
    yield S(g.normal(0, 3), 1)
    yield rough(g.normal(1), 0, correction=0)


def _max(g: Draw) -> Iterator[Sample]:
    yield from several("distinct", tuples=False, empty=False)(g)
    yield S(g.distinct(2, 0, 3), 0)
    yield S(g.distinct(4, 5), g.distinct(5) + 0.007)
    yield S(g.integers(-5, 6, 4, 5), 1)


def _arg(g: Draw) -> Iterator[Sample]:
    yield from several("distinct", tuples=False, empty=False)(g)
    yield S(g.distinct(2, 0, 3), 0)
    yield S(g.integers(0, 2, 4, 9), 1)  # ties: the first counts


def _empty_max(g: Draw) -> Iterator[Error]:
    yield from bad_dim(g)
    yield Error(S(g.normal(0)), (RuntimeError, IndexError), "dim|numel|empty|elements")
    yield Error(S(g.normal(2, 0), 1), IndexError, "dim|non-zero|empty|elements")


def _along(g: Draw) -> Iterator[Sample]:
    yield S(g.normal(), 0)
    for shape, dims in SHAPES:
        for dim in dims:
            if isinstance(dim, int):
                yield S(g.normal(*shape), dim)
    yield rough(g.normal(0), 0)
    yield S(g.normal(3, 4) * 40, 1)


def _along_typed(g: Draw) -> Iterator[Sample]:
    yield from _along(g)
    yield from _typed(g)


def _logsumexp(g: Draw) -> Iterator[Sample]:
    yield from _along(g)
    yield S(g.normal(3, 4, 5), (0, 2), keepdim=True)


def _large(g: Draw) -> Sample:
    return S(g.normal(1023, 1030), 1)


def _large_whole(g: Draw) -> Sample:
    return S(g.normal((1 << 20) + 5))


def _extreme(function: Callable[..., Any], order: int) -> Case:
    several_dims = function in (reference.amax, reference.amin)
    samples = several("distinct", empty=False) if several_dims else _max if order else _arg
    return Case(function, samples, bad_dims if several_dims else _empty_max, _large, factor=0, order=order)


CASES = {
    "sum": Case(reference.sum, _sum, bad_dims, _large_whole, length=reduced_length),
    "mean": Case(
        reference.mean,
        _several_typed("normal"),
        lambda g: [*bad_dims(g), Error(S(g.integers(0, 9, 3)), RuntimeError, "dtype")],
        _large_whole,
        length=reduced_length,
    ),
    "prod": Case(reference.prod, _several_typed("near_one", tuples=False), bad_dim, _large, length=reduced_length),
    "var": Case(reference.var, spread, bad_dims, _large, length=reduced_length, factor=4),
    "std": Case(reference.std, spread, bad_dims, _large, length=reduced_length, factor=4),
    "max": _extreme(reference.max, 2),
    "min": _extreme(reference.min, 2),
    "amax": _extreme(reference.amax, 2),
    "amin": _extreme(reference.amin, 2),
    "argmax": _extreme(reference.argmax, 0),
    "argmin": _extreme(reference.argmin, 0),
    "logsumexp": Case(reference.logsumexp, _logsumexp, bad_dim, _large, length=reduced_length, factor=4),
    "softmax": Case(reference.softmax, _along_typed, bad_dim, _large, length=reduced_length, factor=4),
    "log_softmax": Case(reference.log_softmax, _along_typed, bad_dim, _large, length=reduced_length, factor=8),
}
