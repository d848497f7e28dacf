# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the kernels that read rows through an index, and what they compute in plain Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import Call, Out

Array = np.ndarray[Any, np.dtype[Any]]
ROWS = 5  # of x


def table(rng: np.random.Generator, n: int, ld: int, dtype: Any) -> Array:
    """Memory for ROWS rows of n elements; the last one is the last of the memory."""
    return rng.standard_normal((ROWS - 1) * ld + n).astype(dtype)


def indices(rng: np.random.Generator, m: int, outside: bool) -> Array:
    """Numbers of rows, single ones and rising runs, some of them -1."""
    index = rng.integers(0, ROWS, m)
    index[m // 2 : m // 2 + 3] = [0, 1, 2][: len(index[m // 2 : m // 2 + 3])]
    if outside:
        index[rng.random(m) < 0.3] = -1
    return index


def runs_of(index: Array) -> Array:
    """How many indices from each on rise by one or are negative."""
    runs = np.ones(index.size, np.int64)
    for i in range(index.size - 2, -1, -1):
        if index[i + 1] == (index[i] + 1 if index[i] >= 0 else -1):
            runs[i] += runs[i + 1]
    return runs


def copy_call(rng: np.random.Generator, m: int, n: int, gap: int, outside: bool, dtype: Any) -> Call:
    """With a gap between the rows each is copied by itself, without one in runs."""
    x, index, fill = table(rng, n, n + gap, dtype), indices(rng, m, outside), np.array([7.5], dtype)
    y = Out(np.zeros((m - 1) * (n + gap) + n if m else 0, dtype))
    return Call("gather.copy", (x, n + gap, index, None if gap else runs_of(index), m, n, fill, y, n + gap))


def copy_rows(
    x: Array, ldx: int, index: Array, runs: Array | None, m: int, n: int, fill: Array, y: Out, ldy: int
) -> Array:
    result = y.start.copy()
    for i, row in enumerate(index[:m]):
        result[i * ldy : i * ldy + n] = x[row * ldx : row * ldx + n] if row >= 0 else fill[0]
    return result


def combine_call(rng: np.random.Generator, n: int, gap: int, lengths: list[int], weighted: bool, dtype: Any) -> Call:
    m, start = len(lengths), np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    x, index = table(rng, n, n + gap, dtype), rng.integers(0, ROWS, int(start[-1]))
    weight = rng.standard_normal(index.size).astype(dtype) if weighted else None
    y = Out(np.full((m - 1) * (n + gap) + n if m else 0, 3, dtype))
    return Call("gather.combine", (x, n + gap, start, index, weight, m, n, y, n + gap))


def combine_rows(
    x: Array, ldx: int, start: Array, index: Array, weight: Array | None, m: int, n: int, y: Out, ldy: int
) -> Array:
    result = y.start.astype(np.longdouble)
    for i in range(m):
        row = np.zeros(n, np.longdouble)
        for t in range(start[i], start[i + 1]):
            row += x[index[t] * ldx : index[t] * ldx + n].astype(np.longdouble) * (1 if weight is None else weight[t])
        result[i * ldy : i * ldy + n] = row
    return np.asarray(result)


def gather_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Rows of n elements, and n rows of one element."""
    for gap in (0, 1):
        for m, length in ((7, n), (n, 1), (n, 3)):
            for outside in (False, True):
                yield copy_call(rng, m, length, gap, outside, dtype)
        for weighted in (False, True):
            yield combine_call(rng, n, gap, [2, 0, 5, 1], weighted, dtype)
            yield combine_call(rng, 1, gap, [n, 0, 1], weighted, dtype)
            yield combine_call(rng, 3, gap, [1] * n, weighted, dtype)
    index = rng.integers(0, ROWS, n)
    yield Call("gather.order", (index, n, ROWS, Out(np.zeros(ROWS + 1, np.int64)), Out(np.zeros(n, np.int64))))
