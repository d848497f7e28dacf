# SPDX-License-Identifier: BSD-3-Clause
"""Cases of rows of tables: embedding, its backward, bags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests import reference_images as reference
from tests.harness import Case, Draw, Error, S, Sample, rough

MOST_NEGATIVE = np.iinfo(np.int64).min


def _rows(g: Draw) -> Iterator[Sample]:
    for shape, v, e in (((3, 4), 7, 5), ((6,), 3, 33), ((), 2, 4), ((0,), 4, 3), ((1,), 1, 1), ((2, 3, 2), 40, 1)):
        yield S(g.integers(0, v, *shape), g.normal(v, e))
        # No derivatives: such gradients leave rows out, or divide by counts. embedding_backward has cases of these.
        yield rough(g.integers(0, v, *shape), g.normal(v, e), v - 1, scale_grad_by_freq=True)
    yield rough(g.integers(0, 5, 4).astype(np.int32), g.normal(5, 3), -1)
    yield rough(g.integers(0, 2, 300), g.normal(3, 2), 0)
    yield S(g.integers(0, 1, 0), g.normal(0, 3))


def _bad_rows(g: Draw) -> Iterator[Error]:
    w = g.normal(6, 2)
    for value in (6, -1, 2**62, -(2**62), MOST_NEGATIVE, 2**63 - 1):
        yield Error(S(np.array([[0, 1], [5, value]]), w), IndexError, rf"{value} at position \(1, 1\).*6 rows")
    yield Error(S(np.array([0]), g.normal(0, 2)), IndexError, "0 rows")
    yield Error(S(np.array([0.5]), w), RuntimeError, "int32/int64")
    yield Error(S(np.array([0]), w[0]), RuntimeError, "2-D")
    for padding in (6, -7):
        yield Error(S(np.array([0]), w, padding), AssertionError, f"num_embeddings.*{padding}")


def _gradients(g: Draw) -> Iterator[Sample]:
    for shape, v, e in (((3, 4), 7, 5), ((6,), 3, 33), ((), 2, 4), ((0,), 4, 3), ((1,), 1, 1)):
        for padding in (-1, v - 1):
            for by_frequency in (False, True):
                yield S(g.normal(*shape, e), g.integers(0, v, *shape), v, padding, by_frequency)
    yield S(g.normal(700, 2), g.integers(0, 2, 700), 3, -1, False)


def _gradient_call(T: Any, dy: Any, ids: Any, rows: int, padding: int, by_frequency: bool) -> Any:
    if T.__name__ == "torch":
        if ids.numel() == 0:  # torch cannot differentiate this one twice
            return dy.sum(0).expand(rows, -1) * 0
        if by_frequency:  # nor does its second derivative divide
            dy = dy / T.bincount(ids.reshape(-1))[ids].unsqueeze(-1)
        return T.ops.aten.embedding_dense_backward(dy, ids, rows, padding, False)
    from pydl._core.dispatch import registry

    return registry["embedding_backward"](dy, ids, rows, padding, by_frequency)


def _sums(g: Draw) -> Iterator[Sample]:
    ids, starts = g.integers(0, 5, 9), np.array([0, 2, 2, 9])
    yield S(g.normal(5, 4), ids, starts)
    yield S(g.normal(5, 4), ids, starts, g.normal(9))
    yield S(g.normal(5, 35), ids, starts, g.normal(9))
    yield S(g.normal(1, 1), np.zeros(1, np.int64), np.array([0, 1]), g.normal(1))
    yield S(g.normal(5, 4), np.zeros(0, np.int64), np.array([0, 0]))


def _sum_call(T: Any, weight: Any, ids: Any, starts: Any, weights: Any = None) -> Any:
    if T.__name__ == "torch":
        return T.nn.functional.embedding_bag(
            ids, weight, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
        )
    from pydl._core.dispatch import registry

    return registry["bag_sum"](weight, ids, starts, weights)


def _bags(g: Draw) -> Iterator[Sample]:
    ids, offsets = g.integers(0, 6, 3, 5), np.array([0, 2, 2, 7])
    for mode in ("sum", "mean", "max"):
        for padding in (None, 0, -1):
            settings: dict[str, Any] = {"mode": mode, "padding_idx": padding}
            yield S(ids, g.distinct(6, 4), **settings)
            yield S(ids.reshape(-1), g.distinct(6, 33), offsets, **settings)
            yield S(ids.reshape(-1), g.distinct(6, 1), np.array([0, 4, 15]), include_last_offset=True, **settings)
            yield S(np.zeros(0, np.int64), g.distinct(2, 3), np.array([0, 0]), **settings)
            yield S(np.zeros((1, 1), np.int64), g.distinct(1, 1), mode=mode)
    for padding in (None, 2):
        weights = g.normal(3, 5)
        yield S(ids, g.normal(6, 4), None, None, 2, False, "sum", False, weights, False, padding)


def _bad_bags(g: Draw) -> Iterator[Error]:
    w, i = g.normal(6, 2), np.array([0, 5])
    yield Error(S(i, w), ValueError, "offsets")
    yield Error(S(i[None], w, np.array([0])), ValueError, "offsets has to be None")
    yield Error(S(i[None, None], w), ValueError, "dimension 3")
    yield Error(S(i, w, np.array([[0]])), ValueError, "1D")
    yield Error(S(i, w, np.array([1])), RuntimeError, "has to be 0")
    yield Error(S(i, w, np.array([0, 3])), RuntimeError, "length 2")
    yield Error(S(i, w, np.array([0]), mode="middle"), ValueError, "middle")
    yield Error(S(i, w, np.array([0]), per_sample_weights=g.normal(2)), NotImplementedError, "sum")
    yield Error(S(i, w, np.array([0]), mode="sum", per_sample_weights=g.normal(3)), ValueError, r"\(3,\).*\(2,\)")
    yield Error(S(i, w, np.array([0]), mode="max", scale_grad_by_freq=True), ValueError, "max")
    yield Error(S(i + 1, w, np.array([0])), RuntimeError, "6")


def _many(g: Draw) -> Sample:
    """Enough numbers for two threads, few of them frequent."""
    return S((g.unit(40, 100) ** 4 * 500).astype(np.int64), g.normal(500, 96), 0)


CASES = {
    "embedding": Case(
        reference.embedding,
        _rows,
        _bad_rows,
        _many,
        call=lambda T, *args, **settings: T.nn.functional.embedding(*args, **settings),
        factor=0,
    ),
    "embedding_backward": Case(
        reference.embedding_backward,
        _gradients,
        bench=lambda g: S(g.normal(4000, 96), _many(g).args[0].reshape(-1), 500, 0, True),
        call=_gradient_call,
        length=lambda dy, ids, *rest: max(ids.size, 2),
    ),
    "bag_sum": Case(
        reference.bag_sum,
        _sums,
        bench=lambda g: S(g.normal(500, 96), _many(g).args[0].reshape(-1), np.arange(0, 4001, 40), g.normal(4000)),
        call=_sum_call,
        length=lambda w, ids, *rest: max(ids.size, 2),
    ),
    "embedding_bag": Case(
        reference.embedding_bag,
        _bags,
        _bad_bags,
        lambda g: S(_many(g).args[0], g.normal(500, 96)),
        call=lambda T, *args, **settings: T.nn.functional.embedding_bag(*args, **settings),
        length=lambda ids, *rest, **kw: max(ids.size, 2),
    ),
}
