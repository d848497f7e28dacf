# SPDX-License-Identifier: BSD-3-Clause
"""Cases of views, joining and splitting, copying and indexing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests import reference
from tests.harness import Case, Draw, Error, S, Sample

BAD = (ValueError, RuntimeError)


def _method(name: str) -> Callable[..., Any]:
    """Spelled as a method of the first argument."""
    return lambda T, input, *args, **kwargs: getattr(input, name)(*args, **kwargs)


def _reshape(g: Draw) -> Iterator[Sample]:
    for shape, new in (
        ((3, 4), (4, 3)),
        ((3, 4), (-1,)),
        ((2, 3, 4), (6, -1)),
        ((), (1, 1)),
        ((1,), ()),
        ((0, 3), (3, 0)),
        ((2, 1, 3), (2, 3)),
        ((5,), (5,)),
    ):
        yield S(g.normal(*shape), new)
    yield S(g.integers(0, 9, 6), (2, 3))


def _reshape_errors(g: Draw) -> Iterator[Error]:
    yield Error(S(g.normal(3, 4), (5, -1)), RuntimeError, "5, -1")
    yield Error(S(g.normal(3, 4), (13,)), RuntimeError, "13")
    yield Error(S(g.normal(3, 4), (-1, -1)), RuntimeError, "infer|-1")
    yield Error(S(g.normal(0), (0, -1)), RuntimeError, "0, -1|ambiguous")


def _transpose(g: Draw) -> Iterator[Sample]:
    for shape, a, b in (
        ((3, 4), 0, 1),
        ((2, 3, 4), 0, -1),
        ((2, 3, 4), 1, 1),
        ((), 0, -1),
        ((0, 3), 0, 1),
        ((1, 1), 0, 1),
    ):
        yield S(g.normal(*shape), a, b)


def _permute(g: Draw) -> Iterator[Sample]:
    for shape, dims in (
        ((3, 4), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 3, 4), (-1, 0, 1)),
        ((), ()),
        ((0, 3, 1), (2, 1, 0)),
        ((1,), (0,)),
    ):
        yield S(g.normal(*shape), dims)


def _expand(g: Draw) -> Iterator[Sample]:
    for shape, sizes in (
        ((3, 1), (3, 4)),
        ((1,), (2, 3)),
        ((3,), (2, -1)),
        ((), (2,)),
        ((0, 1), (0, 3)),
        ((2, 3), (2, 3)),
    ):
        yield S(g.normal(*shape), *sizes)


def _squeeze(g: Draw) -> Iterator[Sample]:
    for shape, dims in (((1, 3, 1), (0, 1, -1, (0, 2))), ((), (0,)), ((1,), (0,)), ((0, 1), (1,)), ((2, 3), (0,))):
        yield S(g.normal(*shape))
        for dim in dims:
            yield S(g.normal(*shape), dim)


def _unsqueeze(g: Draw) -> Iterator[Sample]:
    for shape, dims in (((), (0, -1)), ((3,), (0, 1, -1)), ((2, 3), (1, -3)), ((0,), (0,)), ((1, 1), (1,))):
        for dim in dims:
            yield S(g.normal(*shape), dim)


def _flatten(g: Draw) -> Iterator[Sample]:
    for shape, args in (
        ((2, 3, 4), ()),
        ((2, 3, 4), (1,)),
        ((2, 3, 4, 5), (1, 2)),
        ((), ()),
        ((0, 3), ()),
        ((1, 1), (0, -1)),
        ((3,), ()),
    ):
        yield S(g.normal(*shape), *args)


def _index(g: Draw) -> Iterator[Sample]:
    x = lambda: g.normal(4, 5, 6)  # noqa: E731
    i, j = np.array([2, 0, -1]), np.array([1, 1, 4])
    mask = g.rng.integers(0, 2, (4, 5)).astype(bool)
    for index in (
        0,
        -1,
        slice(1, 3),
        slice(None, None, 2),
        (slice(None), 2),
        (..., 1),
        (None, 1, ..., None),
        (1, 2, 3),
        slice(2, 2),
        (slice(0, 1), slice(0, 1), slice(0, 1)),
        (slice(None), slice(1, 5, 3), -2),
    ):
        yield S(x(), index)
    for index in (
        i,
        (i, j),
        (slice(None), i),
        (i, slice(None), j),
        (..., i),
        (i[:, None], j[None, :2]),
        (0, slice(1, 3), i),
        np.array([], np.int64),
        mask,
        (slice(None), np.array([True, False, True, True, False])),
        (i, None, j),
        np.array(2),
        (np.array(1), slice(None), 0),
    ):
        yield S(x(), index)
    yield S(g.normal(), None)
    yield S(g.normal(), ...)
    yield S(g.normal(0, 3), slice(None))
    yield S(g.normal(1), 0)
    yield S(g.normal(3, 4), np.zeros((3, 4), bool))
    yield S(g.integers(0, 9, 3, 4), (slice(None), 1))


def _index_errors(g: Draw) -> Iterator[Error]:
    for index in (
        4,
        -5,
        (0, 5),
        (0, 0, 0, 0),
        np.array([0, 4]),
        np.array([-5]),
        (slice(None), np.array([9])),
        np.array([np.iinfo(np.int64).min]),
        np.ones((3, 5), bool),
        1.5,
    ):
        yield Error(S(g.normal(4, 5, 6), index), (IndexError, TypeError), "ind|out of|mask")
    yield Error(S(g.normal(4), slice(None, None, -1)), ValueError, "step")
    yield Error(S(g.normal(4), slice(None, None, 0)), ValueError, "step|zero")
    yield Error(S(g.normal(4, 5), (np.array([0, 1]), np.array([0, 1, 2]))), IndexError, "shape|broadcast")


def _select(g: Draw) -> Iterator[Sample]:
    for shape, dim, index in (
        ((4, 5), 0, [3, 0, 3]),
        ((4, 5), 1, [4]),
        ((4, 5, 6), -1, [0, 5, 5, 2]),
        ((4,), 0, []),
        ((1,), 0, [0, 0]),
        ((0, 3), 1, [2, 0]),
        ((33, 7), 0, list(range(32, -1, -1))),
    ):
        yield S(g.normal(*shape), dim, np.array(index, np.int64))


def _select_errors(g: Draw) -> Iterator[Error]:
    for value in (4, -1, np.iinfo(np.int64).min):
        yield Error(S(g.normal(4, 5), 0, np.array([0, value])), IndexError, "out of")
    yield Error(S(g.normal(4, 5), 2, np.array([0])), IndexError, "-2, 1")
    yield Error(S(g.normal(4, 5), 0, g.normal(2)), (IndexError, RuntimeError), "int|dtype")


def _gather(g: Draw) -> Iterator[Sample]:
    for shape, dim, index in (
        ((4, 5), 0, (3, 5)),
        ((4, 5), 1, (4, 2)),
        ((4, 5), -1, (2, 7)),
        ((3, 4, 5), 1, (3, 2, 5)),
        ((4,), 0, (6,)),
        ((1,), 0, (1,)),
        ((4, 5), 1, (4, 0)),
        ((0, 3), 1, (0, 2)),
    ):
        yield S(g.normal(*shape), dim, g.integers(0, max(shape[dim], 1), *index))


def _gather_errors(g: Draw) -> Iterator[Error]:
    for value in (5, -1, np.iinfo(np.int64).min):
        yield Error(S(g.normal(4, 5), 1, np.full((4, 1), value)), (IndexError, RuntimeError), "out of bounds")
    yield Error(S(g.normal(4, 5), 2, np.zeros((4, 5), int)), IndexError, "-2, 1")
    yield Error(S(g.normal(4, 5), 1, np.zeros(4, int)), RuntimeError, "dimension")


def _cat(g: Draw) -> Iterator[Sample]:
    for shapes, dim in (
        (((2, 3), (4, 3)), 0),
        (((2, 3), (2, 5), (2, 1)), 1),
        (((2, 3), (2, 3)), -1),
        (((3,),), 0),
        (((0, 3), (2, 3)), 0),
        (((1,), (1,)), 0),
        (((2, 3, 4), (2, 1, 4)), 1),
    ):
        yield S([g.normal(*s) for s in shapes], dim)
    yield S([g.integers(0, 9, 2), g.integers(0, 9, 3)])


def _cat_errors(g: Draw) -> Iterator[Error]:
    yield Error(S([g.normal(2, 3), g.normal(2, 4)], 0), RuntimeError, "3|4")
    yield Error(S([g.normal(2, 3), g.normal(2, 3)], 2), IndexError, "-2, 1")
    yield Error(S([]), BAD, "non-empty|empty")


def _stack(g: Draw) -> Iterator[Sample]:
    for shape, dim in (((2, 3), 0), ((2, 3), 1), ((2, 3), -1), ((), 0), ((0,), 0), ((1,), 1)):
        yield S([g.normal(*shape) for _ in range(3)], dim)


def _split(g: Draw) -> Iterator[Sample]:
    for shape, size, dim in (
        ((7, 3), 2, 0),
        ((3, 6), 6, 1),
        ((3, 6), [1, 2, 3], -1),
        ((5,), 9, 0),
        ((1,), 1, 0),
        ((0, 3), 2, 0),
        ((4, 2), [0, 4], 0),
    ):
        yield S(g.normal(*shape), size, dim)


def _chunk(g: Draw) -> Iterator[Sample]:
    for shape, n, dim in (((7, 3), 3, 0), ((3, 6), 2, 1), ((5,), 9, 0), ((1,), 1, 0), ((0, 3), 2, 1), ((6, 2), 4, 0)):
        yield S(g.normal(*shape), n, dim)


def _copy(g: Draw) -> Iterator[Sample]:
    for shape in ((), (0,), (1,), (3, 4), (2, 3, 5)):
        yield S(g.normal(*shape))
    yield S(g.integers(0, 9, 3))
    yield S(g.flags(3))


def _one_dim(errors: int = 2) -> Callable[[Draw], Iterator[Error]]:
    return lambda g: iter([Error(S(g.normal(2, 3), *(d,) * (errors - 1)), IndexError, r"-\d, \d") for d in (3, -4)])


CASES = {
    "view": Case(np.reshape, _reshape, _reshape_errors, call=_method("view"), factor=0),
    "reshape": Case(np.reshape, _reshape, _reshape_errors, factor=0),
    "transpose": Case(
        lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x,
        _transpose,
        lambda g: [Error(S(g.normal(2, 3), 0, 2), IndexError, "-2, 1")],
        factor=0,
    ),
    "permute": Case(
        np.transpose,
        _permute,
        lambda g: [
            Error(S(g.normal(2, 3), (0, 0)), RuntimeError, "dim|dup|repeat"),
            Error(S(g.normal(2, 3), (0,)), RuntimeError, "2|1"),
        ],
        factor=0,
    ),
    "expand": Case(
        reference.expand,
        _expand,
        lambda g: [
            Error(S(g.normal(2, 3), 2, 4), RuntimeError, "3.*4|4.*3"),
            Error(S(g.normal(2, 3), 3), RuntimeError, "2|1"),
        ],
        call=_method("expand"),
        factor=0,
    ),
    "squeeze": Case(reference.squeeze, _squeeze, _one_dim(), factor=0),
    "unsqueeze": Case(
        np.expand_dims, _unsqueeze, lambda g: [Error(S(g.normal(2, 3), 3), IndexError, "-3, 2")], factor=0
    ),
    "flatten": Case(reference.flatten, _flatten, _one_dim(), factor=0),
    "getitem": Case(reference.getitem, _index, _index_errors, call=lambda T, x, index: x[index], factor=0),
    "index_select": Case(reference.index_select, _select, _select_errors, factor=0),
    "gather": Case(reference.gather, _gather, _gather_errors, factor=0),
    "cat": Case(reference.cat, _cat, _cat_errors, factor=0),
    "stack": Case(
        reference.stack, _stack, lambda g: [Error(S([g.normal(2), g.normal(3)]), RuntimeError, "2.*3")], factor=0
    ),
    "split": Case(
        reference.split,
        _split,
        lambda g: [
            Error(S(g.normal(5), [1, 2]), RuntimeError, "5"),
            Error(S(g.normal(5), -1), RuntimeError, "-1|negative"),
        ],
        factor=0,
    ),
    "chunk": Case(reference.chunk, _chunk, lambda g: [Error(S(g.normal(5), 0), RuntimeError, "0")], factor=0),
    "clone": Case(np.copy, _copy, factor=0),
}
