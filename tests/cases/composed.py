# SPDX-License-Identifier: BSD-3-Clause
"""Cases of further reductions, norms, einsum and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference, reference_arrays
from tests.cases.losses import REDUCTIONS, elements
from tests.cases.reductions import bad_dim, bad_dims, reduced_length, spread
from tests.harness import Case, Draw, Error, S, Sample


def _booleans(g: Draw) -> Iterator[Sample]:
    yield S(g.flags(3, 4))
    for shape in ((3, 4), (2, 3, 5), (1,), (0, 3)):
        x = g.integers(0, 2, *shape).astype(float)
        yield S(x)
        yield S(x, 0)
        yield S(x, -1, keepdim=True)
    yield S(g.integers(0, 2, 5))


def _along(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: function(x, axis=dim, keepdims=keepdim)


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


def _einsum(g: Draw) -> Iterator[Sample]:
    for equation, *shapes in (
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
        ("ij->ji", (3, 4)),
        ("ii->i", (4, 4)),
        ("ij->", (3, 4)),
        ("i,j->ij", (3,), (4,)),
        ("ij,ij->i", (3, 4), (3, 4)),
        ("i,i", (5,), (5,)),
        ("...i,ij->...j", (2, 3, 4), (4, 5)),
        ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
        ("ij,jk", (0, 3), (3, 2)),
        ("i,i->i", (1,), (1,)),
    ):
        yield S(equation, *(g.normal(*shape) for shape in shapes))


def _einsum_errors(g: Draw) -> Iterator[Error]:
    yield Error(S("ij,jk->ik", g.normal(2, 3), g.normal(4, 5)), RuntimeError, "3|4|j")
    yield Error(S("ij->ik", g.normal(2, 3)), RuntimeError, "k")
    yield Error(S("ijk->i", g.normal(2, 3)), RuntimeError, "3|2")


def _robust(reference_loss: Callable[..., Any], width: str) -> Callable[..., Any]:
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
    "any": Case(
        _along(np.any),
        _booleans,
        bad_dim,
        order=0,
        call=lambda T, x, *d, **k: x.any(*d, **k),
    ),
    "all": Case(_along(np.all), _booleans, bad_dim, order=0, call=lambda T, x, *d, **k: x.all(*d, **k)),
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
    "einsum": Case(
        lambda eq, *xs: np.einsum(eq, *xs), _einsum, _einsum_errors, length=lambda *a: 12, fixed_order=False
    ),
    "smooth_l1_loss": Case(_robust(reference_arrays.smooth_l1_loss, "beta"), _differences("beta"), length=elements),
    "huber_loss": Case(_robust(reference_arrays.huber_loss, "delta"), _differences("delta"), length=elements),
}
