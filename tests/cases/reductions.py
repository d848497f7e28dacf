# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the reductions: sums, extremes, statistics, norms, running ones, softmax."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference, reference_arrays
from tests.cases.losses import elements
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


def _by_dim(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: function(x, axis=dim, keepdims=keepdim)


def _booleans(g: Draw) -> Iterator[Sample]:
    yield S(g.flags(3, 4))
    for shape in ((3, 4), (2, 3, 5), (1,), (0, 3)):
        x = g.integers(0, 2, *shape).astype(float)
        yield S(x)
        yield S(x, 0)
        yield S(x, -1, keepdim=True)
    yield S(g.integers(0, 2, 5))


def _running(g: Draw) -> Iterator[Sample]:
    for shape, dim in (((7,), 0), ((3, 4), 1), ((2, 3, 5), 0), ((1,), 0), ((0, 3), 1), ((3, 130), -1)):
        yield S(g.away(*shape), dim)
    yield S(g.integers(0, 5, 6), 0)
    yield S(g.near_one(3, 4), 1, dtype=np.float64)


def _size(input: Any, dim: int, **kwargs: Any) -> int:
    return int(input.shape[dim])


def _norm(g: Draw) -> Iterator[Sample]:
    for shape in ((7,), (3, 4), (1,)):
        for p in ("fro", 1, 2, 3.5, np.inf, -np.inf):
            yield S(g.distinct(*shape) + 0.003, p)
    yield S(g.normal(3, 4), 2, 1)
    yield S(g.normal(2, 3, 4), 2, (0, 2), True)
    yield S(g.normal(0, 3), 2)
    yield S(g.integers(0, 2, 9).astype(float), 0)
    yield S(g.normal(3, 4), 2, 1, dtype=np.float64)


def _vector_norm(g: Draw) -> Iterator[Sample]:
    yield S(g.away(3, 4), 2.0, (0, 1), False)
    yield S(g.away(3, 4), 3.0, (1,), True)
    yield S(g.away(1), 1.0, (0,), False)
    yield S(g.away(0, 3), 2.0, (0,), False)


def _aminmax(g: Draw) -> Iterator[Sample]:
    for shape in ((3, 4), (1,), (2, 3, 5)):
        yield S(g.distinct(*shape))
        yield S(g.distinct(*shape), dim=0)
        yield S(g.distinct(*shape), dim=-1, keepdim=True)
    yield S(g.distinct(2, 0), dim=0)


def _aminmax_reference(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return np.min(x, axis=dim, keepdims=keepdim), np.max(x, axis=dim, keepdims=keepdim)


def _summed(g: Draw) -> Iterator[Sample]:
    for shape, size in (
        ((3, 4), (3, 1)),
        ((2, 3, 4), (3, 1)),
        ((3, 4), (3, 4)),
        ((1,), (1,)),
        ((0, 3), (1, 3)),
        ((5,), (1,)),
    ):
        yield S(g.normal(*shape), *size)


def _mean_like(
    input: Any, dim: Any = None, unbiased: bool = True, *, correction: Any = None, keepdim: bool = False
) -> Any:
    return reference.mean(input, dim, keepdim)


_not_smaller = [Error(S(np.ones((2, 3)), 2, 4), RuntimeError, "2, 4|4")]

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
    "any": Case(
        _by_dim(np.any),
        _booleans,
        bad_dim,
        order=0,
        call=lambda T, x, *d, **k: x.any(*d, **k),
    ),
    "all": Case(_by_dim(np.all), _booleans, bad_dim, order=0, call=lambda T, x, *d, **k: x.all(*d, **k)),
    "cumsum": Case(lambda x, dim: np.cumsum(x, axis=dim), _running, bad_dim, length=_size),
    "cumprod": Case(lambda x, dim: np.cumprod(x, axis=dim), _running, bad_dim, length=_size, factor=4),
    "norm": Case(reference_arrays.norm, _norm, length=elements, factor=4),
    "vector_norm": Case(
        reference_arrays.norm,
        _vector_norm,
        length=elements,
        factor=4,
        call=lambda T, x, p, dims, keep: x.norm(p, dims, keep),
    ),
    "aminmax": Case(_aminmax_reference, _aminmax, factor=0),
    "var_mean": Case(
        lambda x, *d, **k: (reference.var(x, *d, **k), _mean_like(x, *d, **k)),
        spread,
        bad_dims,
        length=reduced_length,
        factor=4,
    ),
    "std_mean": Case(
        lambda x, *d, **k: (reference.std(x, *d, **k), _mean_like(x, *d, **k)),
        spread,
        bad_dims,
        length=reduced_length,
        factor=4,
    ),
    "sum_to_size": Case(
        reference_arrays.sum_to_size,
        _summed,
        lambda g: _not_smaller,
        length=elements,
        call=lambda T, x, *size: x.sum_to_size(*size),
    ),
}
