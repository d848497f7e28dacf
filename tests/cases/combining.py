# SPDX-License-Identifier: BSD-3-Clause
"""Cases of operations made of two steps (addmm, lerp, ...), of division with remainder, and of others' hidden steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference
from tests.harness import Case, Draw, Error, S, Sample


def _shapes(*calls: Any, domain: str = "normal", **kwargs: Any) -> Callable[[Draw], Iterator[Sample]]:
    """Samples from tuples of shapes and other arguments (a list of ints is a shape)."""

    def samples(g: Draw) -> Iterator[Sample]:
        for call in calls:
            yield S(*(getattr(g, domain)(*a) if isinstance(a, list) else a for a in call), **kwargs)

    return samples


def _joined(*parts: Callable[[Draw], Iterator[Sample]]) -> Callable[[Draw], Iterator[Sample]]:
    return lambda g: (s for part in parts for s in part(g))


_three = (([3, 4], [3, 4], [3, 4]), ([3, 4], [4], [3, 1]), ([], [2], [2]), ([1], [1], [1]), ([0, 3], [1, 3], [0, 3]))
_two = (([3, 4], [4]), ([], [3]), ([1], [1]), ([0], [1]), ([5, 67], [5, 1]))


def _affine(product: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, a, b, beta=1, alpha=1: beta * x + alpha * product(a, b)


def _products(*shapes: tuple[list[int], ...]) -> Callable[[Draw], Iterator[Sample]]:
    return _joined(_shapes(*shapes), _shapes(*shapes[:2], beta=0.5, alpha=-2.0))


def _inner(a: Any, b: Any, c: Any) -> int:
    return int(b.shape[-1]) + 1


def _product_case(name: str, *shapes: tuple[list[int], ...]) -> Case:
    first = shapes[0]
    wrong = [*first[:-1], [n + 1 for n in first[-1]]]
    return Case(
        _affine(reference.matmul),
        _products(*shapes),
        lambda g: [Error(S(*(g.normal(*s) for s in wrong)), RuntimeError, r"\d")],
        length=lambda x, a, b, **k: _inner(x, a, b),
        factor=4,
        fixed_order=False,
    )


def _quotients(whole: bool) -> Callable[[Draw], Iterator[Sample]]:
    def samples(g: Draw) -> Iterator[Sample]:
        for x, y in (((3, 4), (4,)), ((), (3,)), ((1,), (1,)), ((0,), (1,)), ((5, 7), (5, 1))):
            size = g.distinct(*x)
            yield S(size * 4 + 0.01, (np.floor(g.away(*y)) + 0.5) * 1.25)
        yield S(g.distinct(9) * 4 + 0.01, 0.75)
        yield S(g.integers(-9, 10, 7), g.integers(1, 5, 7))
        yield S(g.integers(-9, 10, 7), -4)

    return samples


def _remainder(x: Any, y: Any) -> Any:
    """Of division towards −∞; its slope in y is −⌊x/y⌋, which a difference quotient of NumPy's modulo shows too."""
    return x - y * np.floor_divide(x, y)


def _fmod(x: Any, y: Any) -> Any:
    return np.fmod(x, y)


def _no_match(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(2), g.normal(3)), RuntimeError, "2.*3|3.*2")


def _diagonals(g: Draw) -> Iterator[Sample]:
    for shape, args in (
        ((3, 4), ()),
        ((3, 4), (1,)),
        ((4, 3), (-2,)),
        ((2, 3, 4), (0, 1, 2)),
        ((2, 3, 4), (1, -1, 0)),
        ((1, 1), ()),
        ((0, 3), ()),
        ((3, 3), (5,)),
    ):
        yield S(g.normal(*shape), *args)


def _diagonal_adjoint(dy: Any, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Any:
    result = np.zeros(shape, dy.dtype)
    moved = np.moveaxis(result, (dim1, dim2), (-2, -1))
    for k in range(dy.shape[-1]):
        moved[..., k + max(-offset, 0), k + max(offset, 0)] = dy[..., k]
    return result


def _adjoints(g: Draw) -> Iterator[Sample]:
    yield S(g.normal(3), (3, 4), 0, 0, 1)
    yield S(g.normal(2), (3, 4), 2, 0, 1)
    yield S(g.normal(2, 3), (2, 3, 4), 0, 1, 2)
    yield S(g.normal(1), (1, 1), 0, 0, 1)
    yield S(g.normal(0), (0, 3), 0, 0, 1)


def _diagonal_call(T: Any, dy: Any, shape: Any, offset: int, dim1: int, dim2: int) -> Any:
    if T.__name__ == "torch":
        return T.ops.aten.diagonal_backward(dy, shape, offset, dim1, dim2)
    return _registered("diagonal_adjoint")(dy, shape, offset, dim1, dim2)


def _registered(name: str) -> Callable[..., Any]:
    from pydl._core.dispatch import registry

    return registry[name]


def _softmax_step(name: str) -> Callable[..., Any]:
    """torch has these steps under private names, with the type as a further argument."""

    def call(T: Any, grad: Any, output: Any, dim: int) -> Any:
        if T.__name__ == "torch":
            return getattr(T.ops.aten, f"_{name}_data")(grad, output, dim, output.dtype)
        return _registered(name)(grad, output, dim)

    return call


def _softmax_pairs(g: Draw) -> Iterator[Sample]:
    for shape, dim in (((3, 4), 1), ((3, 4), 0), ((2, 3, 5), 1), ((7,), 0), ((1,), 0), ((0, 3), 1), ((3, 130), 1)):
        yield S(g.normal(*shape), -g.unit(*shape), dim)


def _rows(g: Draw) -> Iterator[Sample]:
    for n, c in ((5, 4), (1, 1), (33, 10)):
        for reduction in ("mean", "sum", "none"):
            yield S(g.normal(n, c), g.integers(0, c, n), None, -100, 0.1, reduction)
    yield S(g.normal(5, 4), np.array([0, -100, 3, 1, 2]), None, -100, 0.0, "mean")
    yield S(g.normal(0, 4), np.zeros(0, np.int64), None, -100, 0.0, "sum")


def _rows_call(T: Any, x: Any, t: Any, *more: Any) -> Any:
    if T.__name__ == "pydl":
        return _registered("cross_entropy_rows")(x, t, *more)
    weight, ignore, smoothing, reduction = more
    options = {"ignore_index": ignore, "label_smoothing": smoothing, "reduction": reduction}
    return T.nn.functional.cross_entropy(x, t, weight, **options)


def _rows_reference(x: Any, t: Any, weight: Any, ignore: int, smoothing: float, reduction: str) -> Any:
    return reference.cross_entropy(x, t, weight, ignore, reduction, smoothing)


_along = _shapes(
    *(([3, 4], d, k) for d in (0, 1) for k in (False, True)), ([1], 0, False), ([2, 0, 3], 0, True), domain="distinct"
)
_like = lambda name: lambda T, x, dim, keep: getattr(x, name)(dim, keep)  # noqa: E731

CASES = {
    "addcmul": Case(
        lambda x, a, b, value=1: x + value * a * b,
        _joined(_shapes(*_three), _shapes(_three[0], value=0.5)),
        length=lambda *a, **k: 2,
    ),
    "addcdiv": Case(
        lambda x, a, b, value=1: x + value * (a / b),
        _joined(_shapes(*_three, domain="away"), _shapes(_three[0], domain="away", value=0.5)),
        length=lambda *a, **k: 2,
    ),
    "lerp": Case(
        lambda x, end, w: x + w * (end - x),
        _joined(_shapes(*_three, domain="unit"), _shapes(([3], [3], 0.25))),
        length=lambda *a: 2,
        factor=4,
    ),
    "addmm": _product_case(
        "addmm",
        ([3, 5], [3, 4], [4, 5]),
        ([5], [3, 4], [4, 5]),
        ([1, 1], [1, 1], [1, 1]),
        ([2, 3], [2, 0], [0, 3]),
        ([0, 3], [0, 2], [2, 3]),
        ([17, 33], [17, 40], [40, 33]),
    ),
    "addmv": _product_case("addmv", ([3], [3, 4], [4]), ([1], [3, 4], [4]), ([1], [1, 1], [1]), ([0], [0, 2], [2])),
    "baddbmm": _product_case(
        "baddbmm",
        ([2, 3, 5], [2, 3, 4], [2, 4, 5]),
        ([5], [2, 3, 4], [2, 4, 5]),
        ([1, 1, 1], [1, 1, 1], [1, 1, 1]),
        ([0, 2, 2], [0, 2, 3], [0, 3, 2]),
    ),
    "outer": Case(np.outer, _shapes(([3], [4]), ([1], [1]), ([0], [3]), ([33], [17]))),
    "broadcast_tensors": Case(
        lambda *xs: tuple(np.broadcast_arrays(*xs)), _shapes(*_two, *_three), _no_match, factor=0
    ),
    "broadcast_to": Case(
        np.broadcast_to,
        _shapes(([3, 1], (2, 3, 4)), ([], (2,)), ([1], (0,)), ([0], (2, 0)), ([1], (1,))),
        lambda g: [Error(S(g.normal(3), (2, 4)), RuntimeError, "3.*4|4.*3")],
        factor=0,
    ),
    "meshgrid": Case(
        lambda *xs, indexing="ij": tuple(np.meshgrid(*xs, indexing=indexing)),
        _joined(_shapes(([3], [4]), ([2], [3], [1]), ([0], [1]), indexing="ij"), _shapes(([3], [4]), indexing="xy")),
        factor=0,
    ),
    "movedim": Case(
        np.moveaxis, _shapes(([2, 3, 4], 0, -1), ([2, 3, 4], (0, 1), (2, 0)), ([1], 0, 0), ([0, 3], 1, 0)), factor=0
    ),
    "unflatten": Case(
        lambda x, dim, sizes: x.reshape(*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :]),
        _shapes(([2, 12], 1, (3, 4)), ([2, 12], -1, (-1, 4)), ([1], 0, (1, 1)), ([0, 2], 1, (2, 1))),
        lambda g: [Error(S(g.normal(2, 12), 1, (5, 4)), RuntimeError, "12|5")],
        factor=0,
        call=lambda T, x, dim, sizes: x.unflatten(dim, sizes),
    ),
    "floor_divide": Case(lambda x, y: np.floor_divide(x, y), _quotients(True), _no_match, factor=0, order=0),
    "remainder": Case(_remainder, _quotients(False), _no_match, length=lambda *a: 2, factor=16),
    "fmod": Case(_fmod, _quotients(False), _no_match, length=lambda *a: 2, factor=16),
    "diagonal": Case(lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2), _diagonals, factor=0),
    "diagonal_adjoint": Case(_diagonal_adjoint, _adjoints, call=_diagonal_call, factor=0),
    "softmax_backward": Case(
        lambda d, y, dim: y * (d - np.sum(d * y, axis=dim, keepdims=True)),
        _softmax_pairs,
        call=_softmax_step("softmax_backward"),
        length=lambda d, y, dim: d.shape[dim] + 1,
        factor=4,
    ),
    "log_softmax_backward": Case(
        lambda d, y, dim: d - np.exp(y) * np.sum(d, axis=dim, keepdims=True),
        _softmax_pairs,
        call=_softmax_step("log_softmax_backward"),
        length=lambda d, y, dim: d.shape[dim] + 1,
        factor=4,
    ),
    "cross_entropy_rows": Case(_rows_reference, _rows, call=_rows_call, length=lambda x, *a: x.size + 1, factor=8),
    "max_along": Case(reference.max, _along, call=_like("max"), factor=0),
    "min_along": Case(reference.min, _along, call=_like("min"), factor=0),
}
