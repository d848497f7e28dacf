# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the functions of one element that are less common, of tests of elements, and of logic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference, reference_arrays
from tests.cases.elementwise import large, mismatch, pairs, singles, unary
from tests.harness import Case, Draw, Error, S, Sample, rough


def _steps(function: Callable[..., Any]) -> Case:
    """Piecewise constant: the gradient is 0."""
    return unary(function, "distinct", 0)


def _special(g: Draw) -> Iterator[Sample]:
    yield S(np.array([1.0, np.nan, np.inf, -np.inf, -0.0]))
    yield S(g.normal(0))
    yield S(g.normal(1))
    yield S(np.array([[np.nan], [2.0]]))
    yield S(g.integers(0, 3, 4))


def _close(g: Draw) -> Iterator[Sample]:
    x = g.normal(4, 5)
    yield S(x, x + g.rng.choice((0.0, 1e-9, 1e-3), (4, 5)))
    yield S(x, x + g.rng.choice((0.0, 1e-2), (4, 5)), rtol=0.01, atol=0.03)
    yield S(np.array([np.nan, 1.0, np.inf]), np.array([np.nan, 1.0, np.inf]), equal_nan=True)
    yield S(np.array([np.nan, np.inf, np.inf]), np.array([np.nan, -np.inf, 1.0]))
    yield S(g.normal(0), g.normal(0))
    yield S(np.array([1.0]), np.array([1.0]))


def _equal(g: Draw) -> Iterator[Sample]:
    x = g.normal(3, 4)
    yield S(x, x.copy())
    yield S(x, x + 1)
    yield S(x, x[:2])
    yield S(g.normal(0), g.normal(0))
    yield S(np.array([1.0]), np.array([1.0]))


def _member(g: Draw) -> Iterator[Sample]:
    yield S(g.integers(0, 9, 3, 4), g.integers(0, 5, 6))
    yield S(np.array([1.0, 2, 3]), np.array([2.0]))
    yield S(np.array([1.0]), np.zeros(0), invert=True)
    yield S(np.zeros(0), np.array([1.0]))


def _logic(kinds: tuple[str, ...]) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for x, y in (((3, 4), (4,)), ((), ()), ((1,), (1,)), ((0,), (1,))):
            for kind in kinds:
                make = {"bool": g.flags, "int": lambda *s: g.integers(-4, 5, *s)}.get(
                    kind, lambda *s: g.integers(0, 2, *s).astype(float)
                )
                yield S(make(*x), make(*y))

    return samples


def _first(samples: Callable[[Draw], Iterator[Sample]]) -> Callable[[Draw], Iterator[Sample]]:
    return lambda g: (S(s.args[0]) for s in samples(g))


def _logical(function: Callable[..., Any]) -> Case:
    return Case(function, _logic(("bool", "int", "float")), order=0)


def _bitwise(function: Callable[..., Any]) -> Case:
    no_floats = [Error(S(np.ones(2), np.ones(2)), RuntimeError, "float|integ|bool|implemented")]
    return Case(function, _logic(("bool", "int")), lambda g: no_floats, order=0)


def _not(function: Callable[..., Any], kinds: tuple[str, ...]) -> Case:
    return Case(function, _first(_logic(kinds)), order=0)


def _backward_pairs(g: Draw) -> Iterator[Sample]:
    for s in pairs("normal", "unit")(g):
        if isinstance(s.args[1], np.ndarray) and s.args[0].shape == s.args[1].shape:
            yield s


def _aten(name: str, *extra: float) -> Callable[..., Any]:
    def call(T: Any, grad: Any, output: Any) -> Any:
        if T.__name__ == "torch":
            return getattr(T.ops.aten, name)(grad, output, *extra)
        return getattr(T.ops, name)(grad, output)

    return call


def _cast(g: Draw) -> Iterator[Sample]:
    for kind in ("float32", "float64"):
        for shape in ((3, 4), (0,), (1,), ()):
            yield (S if kind == "float64" else rough)(g.normal(*shape), kind)
    yield rough(g.distinct(9), "int64")
    yield S(g.integers(0, 9, 5), "float32")
    yield S(g.integers(0, 2, 5), "bool")


def _masks(g: Draw) -> Iterator[Sample]:
    for x, m in (
        ((3, 4), (3, 4)),
        ((3, 4), (4,)),
        ((4,), (3, 1)),
        ((), ()),
        ((0,), (0,)),
        ((1,), (1,)),
        ((5, 67), (5, 1)),
    ):
        yield S(g.normal(*x), g.flags(*m), 0.25)
        yield S(g.normal(*x), g.flags(*m), g.normal())


def _selected(g: Draw) -> Iterator[Sample]:
    for x, m in (((3, 4), (3, 4)), ((3, 4), (4,)), ((4,), (3, 1)), ((0,), (0,)), ((1,), (1,)), ((5, 67), (5, 67))):
        yield S(g.normal(*x), g.flags(*m))
    yield S(g.normal(3), np.zeros(3, bool))


def _no_mask(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), g.integers(0, 2, 3), 1.0), RuntimeError, "bool")
    yield Error(S(g.normal(3), g.flags(4), 1.0), RuntimeError, "3.*4")
    yield Error(S(g.normal(3), g.flags(3), g.normal(2)), RuntimeError, "0-dim")


def _kinked(name: str) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        yield from singles("distinct")(g)
        yield rough(np.array([0.5, -0.5, 1.5, 2.5, -0.0, 3.0]))
        if name == "round":
            yield S(g.distinct(3, 5) * 90, decimals=-1)

    return samples


CASES = {
    "square": unary(reference.square, "normal"),
    "reciprocal": unary(reference.reciprocal, "away"),
    "rsqrt": unary(reference.rsqrt, "positive", 4),
    "sin": unary(np.sin, "normal", 4),
    "cos": unary(np.cos, "normal", 4),
    "tan": unary(np.tan, "unit", 4),
    "sinh": unary(np.sinh, "normal", 4),
    "cosh": unary(np.cosh, "normal", 4),
    "log1p": unary(np.log1p, "positive"),
    "expm1": unary(np.expm1, "normal", 4),
    "exp2": unary(np.exp2, "normal"),
    "log2": unary(np.log2, "positive"),
    "log10": unary(np.log10, "positive"),
    "floor": _steps(np.floor),
    "ceil": _steps(np.ceil),
    "trunc": _steps(np.trunc),
    "round": Case(np.round, _kinked("round"), bench=large("distinct"), factor=0),
    "sign": _steps(np.sign),
    "frac": unary(lambda x: x - np.trunc(x), "distinct", 0),
    "isnan": Case(np.isnan, _special, order=0),
    "isinf": Case(np.isinf, _special, order=0),
    "isfinite": Case(np.isfinite, _special, order=0),
    "isclose": Case(reference_arrays.isclose, _close, mismatch, order=0),
    "allclose": Case(lambda *a, **k: np.all(reference_arrays.isclose(*a, **k)), _close, order=0),
    "equal": Case(np.array_equal, _equal, order=0),
    "isin": Case(np.isin, _member, order=0),
    "logical_and": _logical(np.logical_and),
    "logical_or": _logical(np.logical_or),
    "logical_xor": _logical(np.logical_xor),
    "logical_not": _not(np.logical_not, ("bool", "int", "float")),
    "bitwise_and": _bitwise(np.bitwise_and),
    "bitwise_or": _bitwise(np.bitwise_or),
    "bitwise_xor": _bitwise(np.bitwise_xor),
    "bitwise_not": _not(np.invert, ("bool", "int")),
    "tanh_backward": Case(lambda d, y: d * (1 - y * y), _backward_pairs, call=_aten("tanh_backward"), factor=8),
    "sigmoid_backward": Case(lambda d, y: d * y * (1 - y), _backward_pairs, call=_aten("sigmoid_backward"), factor=8),
    "threshold_backward": Case(
        lambda d, y: np.where(y > 0, d, 0), _backward_pairs, call=_aten("threshold_backward", 0.0), factor=0
    ),
    "cast": Case(
        lambda x, kind: x if x.dtype == np.longdouble and "float" in kind else x.astype(kind),
        _cast,
        call=lambda T, x, kind: x.to(getattr(T, kind)),
        factor=float(2**29),  # a float64 rounded to float32 is compared with eps of its result
    ),
    "masked_fill": Case(
        lambda x, m, v: np.where(m, v, x), _masks, _no_mask, factor=0, call=lambda T, x, m, v: x.masked_fill(m, v)
    ),
    "masked_select": Case(reference_arrays.masked_select, _selected, factor=0),
}
