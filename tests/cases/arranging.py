# SPDX-License-Identifier: BSD-3-Clause
"""Cases of the operations that arrange, join, split, sort and scatter elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference, reference_arrays
from tests.cases.reductions import bad_dim
from tests.harness import Case, Draw, Error, S, Sample

Samples = Callable[[Draw], Iterator[Sample]]
SHAPES = ((3, 4), (2, 3, 5), (0, 3), (1, 1))


def _listed(*calls: tuple[tuple[int, ...], tuple[Any, ...]], domain: str = "normal") -> Samples:
    """Samples from pairs of a shape and further arguments."""
    return lambda g: (S(getattr(g, domain)(*shape), *args) for shape, args in calls)


def _lists(*calls: tuple[tuple[tuple[int, ...], ...], tuple[Any, ...]]) -> Samples:
    """The same with a list of tensors in front."""
    return lambda g: (S([g.normal(*shape) for shape in shapes], *args) for shapes, args in calls)


def _exact(function: Callable[..., Any], samples: Samples, **more: Any) -> Case:
    return Case(function, samples, factor=0, **more)


_matrices = _listed(*((s, ()) for s in SHAPES), *((s, (k,)) for s in SHAPES for k in (-1, 2)))
_joined = (((2, 3), (4, 3)), ()), (((3,),), ()), (((1, 1), (1, 1)), ()), (((0, 3), (2, 3)), ())


def _scatter(values: bool) -> Samples:
    def samples(g: Draw) -> Iterator[Sample]:
        for x, dim, i, s in (
            ((4, 5), 0, (3, 5), (3, 5)),
            ((4, 5), 1, (4, 2), (4, 3)),
            ((3, 4, 5), -1, (3, 2, 5), (3, 4, 5)),
            ((6,), 0, (4,), (4,)),
            ((1,), 0, (1,), (1,)),
            ((4, 5), 1, (4, 0), (4, 0)),
            ((0,), 0, (0,), (0,)),
        ):
            index = np.argsort(g.normal(*(n if d != dim % len(x) else x[dim] for d, n in enumerate(i))), axis=dim)
            index = index[tuple(slice(n) for n in i)]  # no place twice: the order of writing is open
            yield S(g.normal(*x), dim, index, g.normal(*s))
        if values:
            yield S(g.normal(4, 5), 1, np.array([[1, 0], [4, 2]]), 2.5)
            yield S(g.normal(4, 5), 1, np.array([[1, 0], [4, 2]]), value=2.5)
            x, added = 1.0 * g.integers(-9, 9, 4, 5), 1.0 * g.integers(-9, 9, 2, 3)
            yield S(x, 1, np.array([[1, 0], [4, 2]]), added, reduce="add")

    return samples


def _scatter_add(g: Draw) -> Iterator[Sample]:
    yield from _scatter(False)(g)
    yield S(g.normal(3), 0, np.array([1, 1, 2, 1]), g.normal(4))


def _scatter_errors(g: Draw) -> Iterator[Error]:
    for value in (4, -1, np.iinfo(np.int64).min):
        yield Error(S(g.normal(4), 0, np.array([0, value]), g.normal(2)), (IndexError, RuntimeError), "out of|index")
    yield Error(S(g.normal(4), 1, np.array([0]), g.normal(1)), IndexError, "-1, 0")
    yield Error(S(g.normal(4), 0, np.array([0, 1]), g.normal(1)), RuntimeError, "1|2")


def _index_add(g: Draw) -> Iterator[Sample]:
    for x, dim, n in (((4, 5), 0, 3), ((4, 5), 1, 7), ((2, 3, 4), -2, 2), ((6,), 0, 0), ((1,), 0, 1)):
        source = list(x)
        source[dim] = n
        yield S(g.normal(*x), dim, g.integers(0, x[dim], n), g.normal(*source))
    yield S(g.normal(0, 2), 1, np.array([1]), g.normal(0, 1))
    yield S(g.normal(4, 5), 1, np.array([4, 1, 4]), g.normal(4, 3), alpha=-0.5)


def _put(g: Draw) -> Iterator[Sample]:
    i, j = np.array([2, 0]), np.array([1, 3])
    for accumulate in (False, True):
        yield S(g.normal(3, 4), (i, j), g.normal(2), accumulate)
        yield S(g.normal(3, 4), (i,), g.normal(2, 4), accumulate)
        yield S(g.normal(3, 4), (None, j), g.normal(), accumulate)
        yield S(g.normal(3, 4), (g.flags(3, 4),), g.normal(1), accumulate)
        yield S(g.normal(0, 4), (None, j), g.normal(1, 1), accumulate)
        yield S(g.normal(1), (np.array([0]),), g.normal(1), accumulate)
    yield S(g.normal(3), (np.array([1, 1, 1]),), g.normal(3), True)


def _index(g: Draw) -> Iterator[Sample]:
    i, j = np.array([2, 0, -1]), np.array([1, 1, 4])
    for where in ((i,), (i, j), (None, j), (i, None, j), (i[:, None], j), (g.flags(4, 5),), (np.zeros(0, np.int64),)):
        yield S(g.normal(4, 5, 6), where)
    yield S(g.normal(1), (np.array([0]),))
    yield S(g.normal(0, 3), (None, np.array([1, 1])))


def _adjoint(g: Draw) -> Iterator[Sample]:
    yield S(g.normal(3), (np.array([1, 0, 1]),), (4,))
    yield S(g.normal(3, 5), (np.array([1, 0, 1]), None), (4, 5))
    yield S(g.normal(4, 2), (None, np.array([4, 4])), (4, 5))
    yield S(g.normal(1), (np.array([0]),), (1,))
    yield S(g.normal(0), (np.zeros(0, np.int64),), (3,))


def _adjoint_call(T: Any, dy: Any, where: Any, shape: Any) -> Any:
    if T.__name__ == "torch":
        return T.ops.aten.index_put(dy.new_zeros(shape), where, dy, True)
    from pydl._core.dispatch import registry

    return registry["index_adjoint"](dy, tuple(None if i is None else i.numpy() for i in where), shape)


def _index_call(T: Any, x: Any, where: Any) -> Any:
    if T.__name__ == "torch":
        return T.ops.aten.index(x, where)
    from pydl._core.dispatch import registry

    return registry["index"](x, where)


def _put_call(T: Any, x: Any, where: Any, values: Any, accumulate: bool) -> Any:
    return (T.ops.aten if T.__name__ == "torch" else T).index_put(x, where, values, accumulate)


def _take_along(g: Draw) -> Iterator[Sample]:
    yield S(g.normal(4, 5), g.integers(0, 5, 4, 2), 1)
    yield S(g.normal(4, 5), g.integers(0, 4, 3, 1), 0)
    yield S(g.normal(2, 3), g.integers(0, 6, 4))
    yield S(g.normal(1), np.array([0]), 0)
    yield S(g.normal(0, 3), np.zeros((0, 1), np.int64), 1)


def _take_along_reference(x: Any, index: Any, dim: int | None = None) -> Any:
    if dim is None:
        return x.ravel()[index]
    shape = list(np.broadcast_shapes(*([n if d != dim else 1 for d, n in enumerate(a.shape)] for a in (x, index))))
    whole = lambda a: np.broadcast_to(a, [a.shape[dim] if d == dim else n for d, n in enumerate(shape)])  # noqa: E731
    return np.take_along_axis(whole(x), whole(index), dim)


def _unique(g: Draw) -> Iterator[Sample]:
    for shape in ((9,), (3, 4), (1,), (0,)):
        x = g.integers(0, 4, *shape).astype(float)
        yield S(x)
        yield S(x, return_inverse=True, return_counts=True)
    for dim in (0, -1):
        yield S(g.integers(0, 2, 5, 2, 3), dim=dim, return_inverse=True, return_counts=True)


_along = _listed(
    *(
        (s, (d, *more))
        for s, ds in (((3, 4), (0, 1)), ((2, 3, 5), (-1, 1)), ((1,), (0,)), ((0, 3), (1,)), ((33,), (0,)))
        for d in ds
        for more in ((), (True,))
    ),
    domain="distinct",
)
_values_only = _listed(*((s, ()) for s in ((3, 4), (2, 3, 5), (1,), (0, 3))), domain="distinct")


def _top(g: Draw) -> Iterator[Sample]:
    for shape, k, dim in (((3, 4), 2, 1), ((3, 4), 3, 0), ((5,), 5, -1), ((1,), 1, 0), ((0, 3), 2, 1), ((4,), 0, 0)):
        yield S(g.distinct(*shape), k, dim)
        yield S(g.distinct(*shape), k, dim, False)


CASES = {
    "flip": _exact(np.flip, _listed(*((s, ((0,),)) for s in SHAPES), ((2, 3, 5), ((0, -1),)), ((4,), ((0,),)))),
    "fliplr": _exact(np.fliplr, _listed(*((s, ()) for s in SHAPES))),
    "flipud": _exact(np.flipud, _listed(*((s, ()) for s in SHAPES), ((3,), ()))),
    "roll": _exact(
        reference_arrays.roll,
        _listed(*((s, (2,)) for s in SHAPES), ((3, 4), (1, 1)), ((3, 4), ((-5, 3), (0, 1))), ((2, 3, 5), (-1, -1))),
    ),
    "repeat": _exact(
        reference_arrays.tile,
        _listed(((3, 4), (2, 1)), ((3,), (2, 2)), ((1,), (1,)), ((0,), (2,)), ((2, 3), (0, 1))),
        call=lambda T, x, *n: x.repeat(*n),
    ),
    "tile": _exact(
        reference_arrays.tile, _listed(((3, 4), ((2,),)), ((3,), ((2, 2),)), ((1,), ((1,),)), ((0,), ((2,),)))
    ),
    "repeat_interleave": _exact(
        reference_arrays.repeat_interleave,
        lambda g: iter(
            [
                S(g.normal(3, 4), 2),
                S(g.normal(3, 4), 3, 1),
                S(g.normal(3, 4), np.array([0, 2, 1]), 0),
                S(g.normal(1), 2),
                S(g.normal(0), 2),
                S(g.normal(4), np.array([1, 0, 2, 3])),
            ]
        ),
    ),
    "tril": _exact(np.tril, _matrices),
    "triu": _exact(np.triu, _matrices),
    "tril_indices": _exact(
        lambda *a: reference_arrays.diagonals(lambda d, k: d <= k, *a),
        lambda g: iter([S(3, 4), S(3, 4, -1), S(4, 3, 1), S(0, 3), S(1, 1)]),
        order=0,
    ),
    "triu_indices": _exact(
        lambda *a: reference_arrays.diagonals(lambda d, k: d >= k, *a),
        lambda g: iter([S(3, 4), S(3, 4, -1), S(4, 3, 1), S(0, 3), S(1, 1)]),
        order=0,
    ),
    "diag_embed": _exact(
        reference_arrays.diag_embed,
        _listed(((3,), ()), ((2, 3), (1,)), ((2, 3), (-1,)), ((1,), ()), ((0,), ()), ((2, 3), (0, 0, 2))),
    ),
    "diag": _exact(
        np.diag,
        _listed(((3,), ()), ((3,), (1,)), ((3, 4), ()), ((3, 4), (-1,)), ((4, 3), (1,)), ((1,), ()), ((0,), ())),
    ),
    "concat": _exact(reference.cat, _lists(*_joined, (((2, 3), (2, 1)), (1,)))),
    "concatenate": _exact(reference.cat, _lists(*_joined, (((2, 3), (2, 1)), (1,)))),
    "hstack": _exact(np.hstack, _lists((((2, 3), (2, 1)), ()), (((3,), (2,)), ()), (((), ()), ()), (((1,), (0,)), ()))),
    "vstack": _exact(
        np.vstack, _lists((((2, 3), (1, 3)), ()), (((3,), (3,)), ()), (((), ()), ()), (((1, 1), (0, 1)), ()))
    ),
    "dstack": _exact(
        np.dstack, _lists((((2, 3), (2, 3)), ()), (((3,), (3,)), ()), (((1,), (1,)), ()), (((0,), (0,)), ()))
    ),
    "narrow": _exact(
        reference_arrays.narrow,
        _listed(((3, 4), (1, 1, 2)), ((3, 4), (0, 0, 3)), ((3, 4), (0, 3, 0)), ((1,), (0, 0, 1)), ((0, 3), (1, 1, 1))),
    ),
    "select": _exact(
        lambda x, dim, i: np.take(x, i, dim),
        _listed(((3, 4), (1, 2)), ((3, 4), (0, -1)), ((1,), (0, 0)), ((0, 3), (1, 1))),
        errors=lambda g: [Error(S(g.normal(3), 0, 3), IndexError, "3"), *bad_dim(g)][:1],
    ),
    "split_with_sizes": _exact(
        reference_arrays.split_with_sizes,
        _listed(((5,), ([2, 3],)), ((2, 6), ([1, 2, 3], 1)), ((1,), ([1],)), ((0, 2), ([0, 0],))),
    ),
    "tensor_split": _exact(
        reference_arrays.tensor_split,
        _listed(((7,), (3,)), ((3, 6), ((1, 4), 1)), ((1,), (1,)), ((0, 2), (2,)), ((2, 5), (2, -1))),
    ),
    "unbind": _exact(
        lambda x, dim=0: tuple(np.moveaxis(x, dim, 0)),
        _listed(((3, 4), ()), ((3, 4), (1,)), ((1,), ()), ((2, 0), (0,))),
    ),
    "t": _exact(
        np.transpose,
        _listed(((3, 4), ()), ((3,), ()), ((), ()), ((1,), ()), ((0, 3), ())),
        errors=lambda g: [Error(S(g.normal(2, 3, 4)), RuntimeError, "2|3")],
    ),
    "contiguous": _exact(np.array, _listed(*((s, ()) for s in SHAPES)), call=lambda T, x: x.contiguous()),
    "index": _exact(
        lambda x, where: x[tuple(slice(None) if i is None else i for i in where)], _index, call=_index_call
    ),
    "index_adjoint": Case(reference_arrays.index_adjoint, _adjoint, call=_adjoint_call, length=lambda *a: 4),
    "index_put": Case(reference_arrays.index_put, _put, call=_put_call, length=lambda *a: 4),
    "index_add": Case(reference_arrays.index_add, _index_add, length=lambda *a, **k: 9),
    "take_along_dim": _exact(_take_along_reference, _take_along),
    "scatter": _exact(reference_arrays.scatter, _scatter(True), errors=_scatter_errors),
    "scatter_src": _exact(reference_arrays.scatter, _scatter(False), call=lambda T, x, d, i, s: x.scatter(d, i, s)),
    "scatter_add": Case(reference_arrays.scatter_add, _scatter_add, _scatter_errors, length=lambda *a: 4),
    "sort": _exact(reference_arrays.sort, _along, errors=bad_dim),
    "argsort": _exact(reference_arrays.argsort, _along, order=0),
    "msort": _exact(reference_arrays.msort, _values_only),
    "topk": _exact(
        reference_arrays.topk, _top, errors=lambda g: [Error(S(g.distinct(3), 4), RuntimeError, "range|3|4")]
    ),
    "kthvalue": _exact(
        reference_arrays.kthvalue,
        _listed(((3, 4), (2, 1)), ((3, 4), (3, 0, True)), ((1,), (1, 0)), ((0, 3), (1, 1)), domain="distinct"),
    ),
    "median": _exact(
        reference_arrays.median,
        _listed(
            ((7,), ()),
            ((3, 4), ()),
            ((3, 4), (1,)),
            ((3, 5), (0, True)),
            ((1,), (0,)),
            ((0, 3), (1,)),
            domain="distinct",
        ),
    ),
    "unique": _exact(reference_arrays.unique, _unique, order=0),
    "unique_consecutive": _exact(reference_arrays.unique_consecutive, _unique, order=0),
    "nonzero": _exact(
        reference_arrays.nonzero,
        lambda g: iter(
            [
                S(g.integers(0, 2, 3, 4).astype(float)),
                S(g.flags(5), as_tuple=True),
                S(g.normal(1)),
                S(g.normal(0, 2)),
                S(np.zeros(3)),
            ]
        ),
        order=0,
    ),
    "argwhere": _exact(
        reference_arrays.nonzero,
        lambda g: iter([S(g.integers(0, 2, 3, 4).astype(float)), S(g.normal(1)), S(g.normal(0, 2))]),
        order=0,
    ),
    "count_nonzero": _exact(
        reference_arrays.count_nonzero,
        lambda g: iter(
            [S(g.integers(0, 2, 3, 4).astype(float)), S(g.flags(3, 4), 1), S(g.normal(1)), S(g.normal(0, 2), (0, 1))]
        ),
        order=0,
    ),
    "one_hot": _exact(
        reference_arrays.one_hot,
        lambda g: iter(
            [S(g.integers(0, 4, 3, 2)), S(np.array([1, 0]), 5), S(np.array([0])), S(np.zeros(0, np.int64), 3)]
        ),
        order=0,
        errors=lambda g: [
            Error(S(np.array([3]), 3), RuntimeError, "smaller|num_classes|3"),
            Error(S(np.array([-1])), RuntimeError, "non-negative|negative|-1"),
        ],
    ),
    "bincount": Case(
        reference_arrays.bincount,
        lambda g: iter(
            [
                S(g.integers(0, 4, 9)),
                S(g.integers(0, 4, 9), minlength=7),
                S(np.zeros(0, np.int64)),
                S(np.array([0])),
                S(g.integers(0, 4, 9), g.positive(9)),
            ]
        ),
        order=0,
        length=lambda *a, **k: 9,
    ),
}
