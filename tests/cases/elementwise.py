# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the operations that work element by element: arithmetic, functions, comparisons, selection."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tests import reference
from tests.harness import Case, Draw, Error, S, Sample

BIG = (1 << 20) + 3  # enough elements for two threads, with a tail
Make = Callable[..., np.ndarray]


def pairs(a: str, b: str) -> Callable[[Draw], Iterator[Sample]]:
    """Two operands: equal shapes, every kind of broadcasting, scalars on the right, sizes around the vector length."""

    def samples(g: Draw) -> Iterator[Sample]:
        left: Make = getattr(g, a)
        right: Make = getattr(g, b)
        for x, y in (
            *(((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 1, 5), (4, 1)), ((), (3,)), ((), ()), ((1,), (1,)), ((0,), (0,))),
            *(((0, 3), (1, 3)), ((17,), (17,)), ((33,), (1,)), ((1, 35), (2, 35)), ((5, 67), (5, 67))),
        ):
            yield S(left(*x), right(*y))
        yield S(left(3, 4), 1.5)
        yield S(left(19), 2)

    return samples


def singles(domain: str) -> Callable[[Draw], Iterator[Sample]]:
    """One operand: 0-d, empty, one element, tails of every vector length, several dimensions."""

    def samples(g: Draw) -> Iterator[Sample]:
        make: Make = getattr(g, domain)
        for shape in ((), (0,), (1,), (7,), (16,), (33,), (3, 4), (2, 0, 3), (5, 67)):
            yield S(make(*shape))

    return samples


def large(domain: str, n: int = 1) -> Callable[[Draw], Sample]:
    return lambda g: S(*(getattr(g, domain)(BIG) for _ in range(n)))


def mismatch(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), g.normal(3)), (ValueError, RuntimeError), r"3, 4.*3|must match")
    yield Error(S(g.normal(2), g.normal(3)), RuntimeError, r"2.*3|must match")
    yield Error(S(g.normal(2), "two"), TypeError, "str|Tensor|tensor")


def unary(function: Callable, domain: str, factor: float = 2.0, order: int = 2, in_torch: bool = True) -> Case:
    return Case(
        function,
        singles(domain),
        lambda g: [Error(S("a"), TypeError, "str|Tensor|tensor")],
        large(domain),
        factor=factor,
        order=order,
        in_torch=in_torch,
    )


def compared(function: Callable) -> Case:
    def samples(g: Draw) -> Iterator[Sample]:
        small = lambda *shape: g.integers(-1, 2, *shape).astype(float)  # noqa: E731 - many ties
        for x, y in (((3, 4), (3, 4)), ((3, 4), (4,)), ((), ()), ((0,), (1,)), ((1,), (1,)), ((5, 67), (5, 1))):
            yield S(small(*x), small(*y))
        yield S(small(9), 0)
        yield S(small(9), -1.0)
        yield S(g.integers(-2, 3, 4, 5), g.integers(-2, 3, 5))
        yield S(g.flags(6), g.flags(6))

    return Case(function, samples, mismatch, large("normal", 2), order=0)


def _scaled(g: Draw) -> Iterator[Sample]:
    yield from pairs("normal", "normal")(g)
    yield S(g.normal(3, 4), g.normal(4), alpha=0.5)
    yield S(g.normal(3, 4), g.normal(3, 1), alpha=-2)
    yield S(g.integers(-9, 9, 3, 4), g.integers(-9, 9, 4))
    yield S(g.integers(-9, 9, 5), 3, alpha=2)


def _more_mul(g: Draw) -> Iterator[Sample]:
    yield from pairs("normal", "normal")(g)
    yield S(g.integers(-9, 9, 3, 4), g.integers(-9, 9, 4))
    yield S(g.flags(3, 4), g.flags(4))
    yield S(g.integers(-9, 9, 5), g.normal(5))


def _div(g: Draw) -> Iterator[Sample]:
    yield from pairs("normal", "away")(g)
    for mode in ("floor", "trunc"):
        yield S(g.distinct(4, 5), g.away(5) * 0 + 1.7, rounding_mode=mode)
        yield S(g.integers(-9, 9, 4, 5), g.integers(1, 4, 5) * g.rng.choice((-1, 1), 5), rounding_mode=mode)


def _pow(g: Draw) -> Iterator[Sample]:
    yield from pairs("positive", "normal")(g)
    for exponent in (0, 1, 2, 3, -1, 0.5, -0.5, 2.5):
        yield S(g.positive(3, 5), exponent)
    yield S(g.away(21), 2)
    yield S(g.away(21), 3.0)
    yield S(g.integers(-4, 5, 7), 3)


def _where(g: Draw) -> Iterator[Sample]:
    for c, x, y in (
        ((3, 4), (3, 4), (3, 4)),
        ((3, 1), (4,), (2, 3, 4)),
        ((), (3,), (3,)),
        ((0,), (0,), (1,)),
        ((1,), (1,), (1,)),
        ((4,), (), (4,)),
        ((5, 67), (5, 67), (67,)),
    ):
        yield S(g.flags(*c), g.normal(*x), g.normal(*y))
    yield S(g.flags(9), g.normal(9), 0.5)
    yield S(g.flags(9), -1.0, g.normal(9))


def _clamp(g: Draw) -> Iterator[Sample]:
    for shape in ((), (0,), (1,), (3, 4), (5, 67)):
        yield S(g.distinct(*shape), -0.296875, 0.578125)
    yield S(g.distinct(17), min=0.015625)
    yield S(g.distinct(17), max=-0.015625)
    yield S(g.integers(-5, 6, 9), -2, 3)


def _extremum(g: Draw) -> Iterator[Sample]:
    for x, y in (((3, 4), (4,)), ((), (2,)), ((), ()), ((0,), (1,)), ((1,), (1,)), ((5, 67), (5, 1))):
        yield S(g.distinct(*x) + 0.007, g.distinct(*y))
    yield S(g.integers(-5, 6, 9), g.integers(-5, 6, 9))


_clamp_errors = [Error(S(np.ones(3)), (RuntimeError, ValueError), "min")]

CASES = {
    "add": Case(reference.add, _scaled, mismatch, large("normal", 2)),
    "sub": Case(reference.sub, _scaled, mismatch, large("normal", 2)),
    "mul": Case(reference.mul, _more_mul, mismatch, large("normal", 2)),
    "div": Case(reference.div, _div, mismatch, large("away", 2)),
    "pow": Case(reference.pow, _pow, mismatch, large("positive", 2), factor=4),
    "neg": unary(np.negative, "normal", 0),
    "abs": unary(np.abs, "away", 0),
    "exp": unary(np.exp, "normal"),
    "log": unary(np.log, "positive"),
    "sqrt": unary(np.sqrt, "positive"),
    "relu": unary(reference.relu, "away", 0),
    "tanh": unary(np.tanh, "normal"),
    "sigmoid": unary(reference.sigmoid, "normal"),
    "eq": compared(np.equal),
    "ne": compared(np.not_equal),
    "lt": compared(np.less),
    "le": compared(np.less_equal),
    "gt": compared(np.greater),
    "ge": compared(np.greater_equal),
    "where": Case(reference.where, _where, bench=lambda g: S(g.flags(BIG), g.normal(BIG), g.normal(BIG)), factor=0),
    "clamp": Case(reference.clamp, _clamp, lambda g: _clamp_errors, lambda g: S(g.normal(BIG), -0.5, 0.5), factor=0),
    "maximum": Case(np.maximum, _extremum, mismatch, large("normal", 2), factor=0),
    "minimum": Case(np.minimum, _extremum, mismatch, large("normal", 2), factor=0),
}
