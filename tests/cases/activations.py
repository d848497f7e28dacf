# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the activations, and of dropout where chance has no say (its laws: test_dropout.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference_activations as reference
from tests.cases.elementwise import BIG
from tests.harness import Array, Case, Draw, Error, S, Sample

SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (7,), (16,), (33,), (3, 4), (2, 0, 3), (5, 67), (2, 3, 4, 5))


def wide(g: Draw, kinks: tuple[float, ...], *shape: int) -> Array:
    """Normal numbers of deviation 3, at least 0.05 from the kinks."""
    x = g.normal(*shape) * 3
    for k in kinks:
        x = np.where(np.abs(x - k) < 0.05, k + np.copysign(0.05, x - k), x)
    return np.asarray(x)


def elementwise(
    function: Callable[..., Any],
    *arguments: dict[str, Any],
    kinks: Callable[..., tuple[float, ...]] | tuple[float, ...] = (),
    factor: float = 2.0,
    integers: bool | None = False,
    text: bool = True,
    errors: Callable[[Draw], Iterator[Error]] | None = None,
    in_torch: bool = True,
) -> Case:
    """One tensor and numbers, on which the kinks may depend.

    integers: whether it takes them (None: not tried here); text: whether torch raises TypeError when given a str.
    """
    chosen = arguments or ({},)

    def at(keywords: dict[str, Any]) -> tuple[float, ...]:
        return kinks(**keywords) if callable(kinks) else kinks

    def samples(g: Draw) -> Iterator[Sample]:
        for shape in SHAPES:
            yield S(wide(g, at(chosen[0]), *shape), **chosen[0])
        for keywords in chosen[1:]:
            yield S(wide(g, at(keywords), 5, 7), **keywords)
        if integers:
            yield S(g.integers(-9, 9, 4, 5), **chosen[0])

    def wrong(g: Draw) -> Iterator[Error]:
        if text:
            yield Error(S("a", **chosen[0]), TypeError, "str|Tensor|tensor")
        if integers is False:
            yield Error(S(g.integers(0, 3, 3), **chosen[0]), NotImplementedError, "int64|Long")
        if errors is not None:
            yield from errors(g)

    def large(g: Draw) -> Sample:
        return S(wide(g, at(chosen[0]), BIG), **chosen[0])

    return Case(function, samples, wrong, large, factor=factor, in_torch=in_torch)


def _hardtanh_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), 1.0, -1.0), ValueError, "min_val")
    yield Error(S(g.flags(3)), RuntimeError, "(?i)bool")


def _softshrink_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), -1.0), RuntimeError, "lambda")


def _celu_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), 0.0), RuntimeError, "alpha")


def _gelu_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), approximate="erf"), RuntimeError, "approximate")


def _leaky_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), "a"), TypeError, "str|number|real")


def _prelu(g: Draw) -> Iterator[Sample]:
    for x, w in (
        *(((3, 4), (4,)), ((2, 3, 4), (3,)), ((2, 3, 4, 5), (3,)), ((2, 3, 4, 5), (1,)), ((7,), (1,)), ((), (1,))),
        *(((0, 3), (3,)), ((1, 1), (1,)), ((2, 17, 3, 3), (17,)), ((2, 3, 5), ()), ((4, 33), (33,))),
    ):
        yield S(g.away(*x), g.normal(*w))


def _prelu_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(2, 3), g.normal(2)), RuntimeError, "2.*3|Mismatch")
    yield Error(S(g.normal(2, 3), g.normal(1, 3)), RuntimeError, r"1, 3|ndim")
    yield Error(S(g.normal(), g.normal(2)), RuntimeError, "zero-dim")
    yield Error(S(g.integers(0, 3, 3), g.normal(1)), RuntimeError, "(?i)promoting")
    yield Error(S(g.normal(3), 0.5), TypeError, "float|weight")


def _glu(g: Draw) -> Iterator[Sample]:
    for shape, dim in (
        ((4,), -1),
        ((2,), 0),
        ((0, 4), 1),
        ((4, 0), 0),
        ((3, 6), 1),
        ((6, 3), 0),
        ((2, 8, 3, 5), 1),
        ((2, 3, 70), 2),
    ):
        yield S(g.normal(*shape), dim)
    yield S(g.normal(1, 2))


def _glu_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal()), RuntimeError, "scalars")
    yield Error(S(g.normal(2, 3), 1), RuntimeError, "(?i)even")
    yield Error(S(g.normal(2, 3), 2), IndexError, "range")
    yield Error(S(g.integers(0, 3, 4)), NotImplementedError, "int64|Long")


def _rrelu_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3), 0.5, 0.1), RuntimeError, "(?i)bound")
    yield Error(S(g.normal(3), 0.5, 0.1, True), RuntimeError, "(?i)bound")


def _softmin(g: Draw) -> Iterator[Sample]:
    for shape, dim in (((), 0), ((1,), 0), ((0,), 0), ((3, 4), 1), ((3, 4), -2), ((2, 33, 3), 1)):
        yield S(g.normal(*shape), dim)


def _softmin_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(2, 3), 2), IndexError, "range")
    yield Error(S(g.integers(0, 3, 3), 0), NotImplementedError, "int64|Long")


def functional(name: str) -> Callable[..., Any]:
    """torch's main namespace has some of them with other arguments."""
    return lambda T, *args, **kwargs: getattr(T.nn.functional, name)(*args, **kwargs)


def dropped(
    name: str, shapes: tuple[tuple[int, ...], ...], errors: tuple[tuple[tuple[int, ...], type, str], ...] = ()
) -> Case:
    def samples(g: Draw) -> Iterator[Sample]:
        for shape in shapes:
            yield S(g.normal(*shape), 0.5, training=False)
            yield S(g.normal(*shape), 1.0, training=True)
            yield S(g.normal(*shape), 0.0, training=True)

    def wrong(g: Draw) -> Iterator[Error]:
        for p in (-0.1, 1.5):
            yield Error(S(g.normal(*shapes[-1]), p), ValueError, "between 0 and 1")
        yield Error(S(g.integers(0, 3, *shapes[-1]), 0.5, training=True), RuntimeError, "(?i)cast")
        for shape, kind, text in errors:
            yield Error(S(g.normal(*shape), 0.5, training=True), kind, text)

    return Case(reference.dropout, samples, wrong, call=functional(name))


_FLAT = ((0,), (1,), (5, 7))
_TOO_FEW = (((3,), RuntimeError, "(?i)dimensions|2D or 3D"),)

CASES = {
    "relu6": elementwise(reference.relu6, kinks=(0, 6), integers=True),
    "leaky_relu": elementwise(
        reference.leaky_relu, {}, {"negative_slope": -0.5}, {"negative_slope": 0}, kinks=(0,), errors=_leaky_errors
    ),
    "elu": elementwise(reference.elu, {}, {"alpha": 2.5}, {"alpha": -0.5}, kinks=(0,), factor=4),
    "selu": elementwise(reference.selu, kinks=(0,), factor=4),
    "celu": elementwise(reference.celu, {}, {"alpha": 2.5}, {"alpha": -0.5}, kinks=(0,), factor=6, errors=_celu_errors),
    "hardtanh": elementwise(
        reference.hardtanh,
        {},
        {"min_val": -2.0, "max_val": 0.5},
        kinks=lambda min_val=-1.0, max_val=1.0: (min_val, max_val),
        integers=True,
        errors=_hardtanh_errors,
    ),
    "threshold": elementwise(
        reference.threshold,
        {"threshold": 0.5, "value": 2.0},
        {"threshold": -1, "value": -1},
        kinks=lambda threshold, value: (threshold,),
        integers=None,
    ),
    "hardsigmoid": elementwise(reference.hardsigmoid, kinks=(-3, 3), factor=4),
    "hardswish": elementwise(reference.hardswish, kinks=(-3, 3), factor=4),
    "hardshrink": elementwise(
        reference.hardshrink, {}, {"lambd": 1.5}, {"lambd": -1.0}, kinks=lambda lambd=0.5: (lambd, -lambd)
    ),
    "softshrink": elementwise(
        reference.softshrink,
        {},
        {"lambd": 1.5},
        {"lambd": 0},
        kinks=lambda lambd=0.5: (lambd, -lambd),
        factor=8,
        errors=_softshrink_errors,
    ),
    "softplus": elementwise(
        reference.softplus,
        {},
        {"beta": 2.0, "threshold": 3.0},
        {"beta": -0.5},
        kinks=lambda beta=1.0, threshold=20.0: (threshold / beta,),
        factor=6,
    ),
    "gelu": elementwise(
        reference.gelu, {}, {"approximate": "tanh"}, {"approximate": "none"}, factor=100, errors=_gelu_errors
    ),
    "silu": elementwise(reference.silu, factor=4),
    "mish": elementwise(reference.mish, factor=8),
    "logsigmoid": elementwise(reference.logsigmoid, factor=4),
    "softsign": elementwise(reference.softsign, kinks=(0,), integers=True, text=False),
    "tanhshrink": elementwise(reference.tanhshrink, factor=24, integers=True, text=False),
    "erf": elementwise(reference.erf, factor=2, integers=True),
    "erfc": elementwise(reference.erfc, factor=2, integers=True),
    "prelu": Case(reference.prelu, _prelu, _prelu_errors, lambda g: S(g.away(2, 5, 330, 331), g.normal(5))),
    "glu": Case(reference.glu, _glu, _glu_errors, lambda g: S(g.normal(2, 1030, 1023), 1), factor=4),
    "rrelu": Case(
        reference.rrelu,
        lambda g: [S(g.away(*shape)) for shape in SHAPES] + [S(g.away(3, 4), 0.25, 0.75)],
        _rrelu_errors,
    ),
    "softmin": Case(
        reference.softmin,
        _softmin,
        _softmin_errors,
        length=lambda input, dim: max(input.size, 1),
        factor=4,
        call=functional("softmin"),
    ),
    "dropout": dropped("dropout", _FLAT),
    "alpha_dropout": dropped("alpha_dropout", _FLAT),
    "feature_alpha_dropout": dropped("feature_alpha_dropout", ((2, 0, 3), (1, 1), (2, 3, 4)), _TOO_FEW),
    "dropout1d": dropped("dropout1d", ((2, 0, 3), (1, 1), (2, 3, 4)), _TOO_FEW),
    "dropout2d": dropped("dropout2d", ((2, 0, 3, 3), (1, 1, 1, 1), (2, 3, 4, 5))),
    "dropout3d": dropped("dropout3d", ((2, 0, 3, 3, 2), (1, 1, 1, 1, 1), (3, 2, 4, 5))),
}
