# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the matrix products, and of sums of products in Einstein's notation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pydl._core.gemm_array import PATHS, gemm_array
from tests import reference
from tests.harness import Case, Draw, Error, S, Sample

SIDES = (1, 6, 17, 33)  # around the tiles of every instruction set; the kernels' own tests try all sizes


def _matmul(g: Draw) -> Iterator[Sample]:
    for x, y in (
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((1, 1), (1, 1)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
        ((2, 3), (3, 0)),
        ((0,), (0,)),
        ((4, 0, 3), (4, 3, 2)),
        ((65, 70), (70, 67)),
        ((1, 300), (300, 1)),
        ((3, 520), (520, 18)),
    ):
        yield S(g.normal(*x), g.normal(*y))
    for m in SIDES:
        for n in SIDES:
            yield S(g.normal(m, 9), g.normal(9, n))


def _mm(g: Draw) -> Iterator[Sample]:
    for m, k, n in ((2, 3, 4), (1, 1, 1), (0, 3, 2), (2, 0, 3), (17, 33, 19)):
        yield S(g.normal(m, k), g.normal(k, n))


def _bmm(g: Draw) -> Iterator[Sample]:
    for b, m, k, n in ((2, 3, 4, 5), (1, 1, 1, 1), (0, 2, 3, 4), (3, 2, 0, 4), (4, 17, 9, 13)):
        yield S(g.normal(b, m, k), g.normal(b, k, n))


def _mv(g: Draw) -> Iterator[Sample]:
    for m, k in ((3, 4), (1, 1), (0, 3), (3, 0), (35, 67)):
        yield S(g.normal(m, k), g.normal(k))


def _dot(g: Draw) -> Iterator[Sample]:
    for n in (0, 1, 3, 8, 17, 130):
        yield S(g.normal(n), g.normal(n))


def _linear(g: Draw) -> Iterator[Sample]:
    for x, w in (
        ((5, 3), (4, 3)),
        ((3,), (4, 3)),
        ((2, 5, 3), (4, 3)),
        ((0, 3), (4, 3)),
        ((5, 0), (4, 0)),
        ((1, 1), (1, 1)),
        ((64, 70), (33, 70)),
        ((17, 130), (65, 130)),
        ((1, 40), (50, 40)),
        ((2, 3, 2, 7), (9, 7)),
    ):
        yield S(g.normal(*x), g.normal(*w))
        yield S(g.normal(*x), g.normal(*w), g.normal(w[0]))


def _on_path(path: str) -> Callable[..., np.ndarray]:
    """The product of matrices on one path of the driver, whatever it would choose itself."""

    def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if x.ndim not in (2, 3) or y.ndim not in (2, 3):
            raise ValueError("for matrices and batches of them")
        return gemm_array(x, y, path=path)

    return product


def _length(input: Any, *args: Any, **kwargs: Any) -> int:
    return int(input.shape[-1])


def _flops(input: Any, other: Any, *args: Any) -> float:
    return 2.0 * math.prod(input.shape) * math.prod(other.shape) / input.shape[-1]


def _linear_flops(input: Any, weight: Any, *args: Any) -> float:
    return 2.0 * math.prod(input.shape) * int(weight.shape[0])


def _inner(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(2, 3), g.normal(4, 5)), RuntimeError, r"2.*3.*4.*5")


def _linear_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), g.normal(5, 6)), RuntimeError, r"3.*4.*6|4.*5.*6")
    yield Error(S(g.normal(3, 4), g.normal(5, 4), g.normal(6)), RuntimeError, "5|6")
    yield Error(S(g.integers(0, 3, 3, 4), g.normal(5, 4)), RuntimeError, "dtype|same|float|int64|Long")


def _matmul_errors(g: Draw) -> Iterator[Error]:
    yield from _inner(g)
    yield Error(S(g.normal(), g.normal(3)), RuntimeError, "at least 1D|0-d|dimension")
    yield Error(S(g.normal(2, 2, 3), g.normal(3, 3, 4)), RuntimeError, "2.*3")
    yield Error(S(np.ones((2, 3), np.float32), g.normal(3, 2)), RuntimeError, "dtype|same")


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


_SQUARE = 257

CASES = {
    "matmul": Case(
        reference.matmul,
        _matmul,
        _matmul_errors,
        lambda g: S(g.normal(_SQUARE, 300), g.normal(300, _SQUARE)),
        _flops,
        variants={path: _on_path(path) for path in PATHS},
        length=_length,
        fixed_order=False,
    ),
    "mm": Case(
        reference.matmul,
        _mm,
        lambda g: [*_inner(g), Error(S(g.normal(2, 2, 2), g.normal(2, 2)), RuntimeError, "2-?D|2d|matri|dimension")],
        lambda g: S(g.normal(_SQUARE, 300), g.normal(300, _SQUARE)),
        _flops,
        length=_length,
        fixed_order=False,
    ),
    "bmm": Case(
        reference.matmul,
        _bmm,
        lambda g: [Error(S(g.normal(2, 3, 4), g.normal(3, 4, 5)), RuntimeError, "batch|2.*3")],
        lambda g: S(g.normal(8, 129, 130), g.normal(8, 130, 127)),
        length=_length,
        fixed_order=False,
    ),
    "mv": Case(
        reference.matmul,
        _mv,
        lambda g: [Error(S(g.normal(2, 3), g.normal(4)), RuntimeError, "3|4")],
        lambda g: S(g.normal(1030, 1030), g.normal(1030)),
        _flops,
        length=_length,
        fixed_order=False,
    ),
    "dot": Case(
        reference.matmul,
        _dot,
        lambda g: [Error(S(g.normal(3), g.normal(4)), RuntimeError, "3.*4")],
        lambda g: S(g.normal((1 << 20) + 3), g.normal((1 << 20) + 3)),
        length=_length,
        fixed_order=False,
    ),
    "linear": Case(
        reference.linear,
        _linear,
        _linear_errors,
        lambda g: S(g.normal(256, 300), g.normal(200, 300), g.normal(200)),
        _linear_flops,
        length=_length,
        fixed_order=False,
    ),
    "einsum": Case(
        lambda eq, *xs: np.einsum(eq, *xs), _einsum, _einsum_errors, length=lambda *a: 12, fixed_order=False
    ),
}
