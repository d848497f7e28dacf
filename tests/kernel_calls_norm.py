# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the normalisations' kernels for the guard pages; what each takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import SIGNATURES, Array, Call, Out

SIGNATURES.update(
    {
        "norm.moments_runs": "pnnnpp",
        "norm.moments_cols": "pnnnpp",
        "norm.fold_moments": "nnnnppppp",
        "norm.grad_sums_runs": "ppnnnppp",
        "norm.grad_sums_cols": "ppnnnppp",
        "norm.fold_sums": "nnnpp",
        "norm.statistics": "nddppppp",
        "norm.running": "npddp",
        "norm.coefs_fwd": "nnpppppppp",
        "norm.coefs_bwd": "nndpppppppppppp",
        "norm.narrow": "npp",
        "norm.affine_runs": "ppnnnppp",
        "norm.affine_cols": "ppnnnppp",
        "norm.grad_runs": "pppnnnpppp",
        "norm.grad_cols": "pppnnnpppp",
        "norm.layer_rows": "ppnnnppdippp",
        "norm.layer_rows_bwd": "pppnnnppppipp",
        "norm.window_sum": "ppnnnn",
    }
)


def wide(n: int) -> Out:
    """Results in double, whatever the table's type."""
    return Out(np.zeros(n))


def _sums(n: int, rows: int, ld: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Moments and gradient sums of `rows` runs, or of n columns."""
    x, dy = (rng.standard_normal((rows - 1) * ld + n).astype(dtype) for _ in range(2))
    shift = rng.standard_normal(n).astype(dtype)
    yield Call("norm.moments_runs", (x, ld, rows, n, wide(1), wide(1)))
    yield Call("norm.moments_cols", (x, ld, rows, n, wide(n), wide(n)))
    yield Call("norm.grad_sums_runs", (dy, x, ld, rows, n, shift[:1].copy(), wide(1), wide(1)))
    yield Call("norm.grad_sums_cols", (dy, x, ld, rows, n, shift, wide(n), wide(n)))
    counts, mean, m2 = rng.random(rows) + 1, rng.standard_normal(rows * n), rng.random(rows * n)
    yield Call("norm.fold_moments", (rows, n, n, 1, counts, mean, m2, wide(n), wide(n)))
    yield Call("norm.fold_moments", (rows, 1, n, rows, counts, mean, m2, wide(n), wide(n)))
    yield Call("norm.fold_sums", (rows, n, n, mean, wide(n)))


def _coefficients(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """n channels, alone and two to a statistic."""

    def some(size: int) -> Array:
        return (rng.random(size) + 0.5).astype(dtype)

    def room() -> Out:
        return Out(np.zeros(n, dtype))

    mean, m2 = rng.standard_normal(n), rng.random(n)
    yield Call("norm.statistics", (n, 3.0, 1e-5, mean, m2, room(), room(), room()))
    yield Call("norm.running", (n, mean, 0.5, 0.1, Out(some(n))))
    yield Call("norm.narrow", (n, mean, room()))
    for per_stat in (1, 2) if n % 2 == 0 else (1,):
        stats = [some(n // per_stat) for _ in range(3)]
        w, b = some(n), some(n)
        yield Call("norm.coefs_fwd", (n, per_stat, *stats, w, b, room(), room(), room()))
        yield Call("norm.coefs_fwd", (n, per_stat, stats[0], None, stats[2], None, None, room(), room(), room()))
        outs = (room(), room(), room(), room())
        yield Call("norm.coefs_bwd", (n, per_stat, 6.0, *stats, w, mean, m2, *outs, wide(n), wide(n)))
        yield Call("norm.coefs_bwd", (n, per_stat, 6.0, *stats, None, mean, m2, *outs, None, None))
        yield Call("norm.coefs_bwd", (n, per_stat, 6.0, *stats, w, mean, m2, *[None] * 4, wide(n), wide(n)))


def _passes(n: int, rows: int, ld: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """What is applied to `rows` runs, or to n columns; and rows of layer norm."""
    size = (rows - 1) * ld + n
    x, dy = (rng.standard_normal(size).astype(dtype) for _ in range(2))
    y = Out(np.zeros(size, dtype))
    for name, channels in (("runs", rows), ("cols", n)):
        a, b, c, d = (rng.standard_normal(channels).astype(dtype) for _ in range(4))
        yield Call(f"norm.affine_{name}", (x, y, ld, rows, n, a, b, c))
        yield Call(f"norm.affine_{name}", (x, y, ld, rows, n, None, b, None))
        yield Call(f"norm.grad_{name}", (dy, x, y, ld, rows, n, a, b, c, d))
    w, b = (rng.standard_normal(n).astype(dtype) for _ in range(2))
    hi, lo, rstd = (rng.random(rows).astype(dtype) for _ in range(3))
    per_row = [Out(np.zeros(rows, dtype)) for _ in range(3)]
    for weight in (w, None):
        for bias in (b, None):
            yield Call("norm.layer_rows", (x, y, ld, rows, n, weight, bias, 1e-5, 1, *per_row))
        yield Call("norm.layer_rows", (x, y, ld, rows, n, weight, None, 1e-5, 0, None, None, per_row[2]))
        sums = Out(np.zeros(n, dtype)), Out(np.zeros(n, dtype))
        yield Call("norm.layer_rows_bwd", (dy, x, y, ld, rows, n, weight, hi, lo, rstd, 1, *sums))
        yield Call("norm.layer_rows_bwd", (dy, x, y, ld, rows, n, weight, None, None, rstd, 0, None, None))
        yield Call("norm.layer_rows_bwd", (dy, x, None, ld, rows, n, weight, hi, lo, rstd, 1, *sums))
    dense = rng.standard_normal(5 * n).astype(dtype)
    for below, above in ((0, 0), (2, 1), (9, 9)):
        yield Call("norm.window_sum", (dense, Out(np.zeros(5 * n, dtype)), 5, n, below, above))


def norm_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every kernel on rows and columns of n elements; they end where the memory ends."""
    if n == 0:  # the contracts ask for one element at least
        return
    for rows in (1, 3, 6):
        yield from _sums(n, rows, n + 1, dtype, rng)
        yield from _passes(n, rows, n + 1, dtype, rng)
    yield from _coefficients(n, dtype, rng)
