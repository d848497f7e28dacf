# SPDX-License-Identifier: BSD-3-Clause
"""All rows, in the order in which they run."""

from bench.row import Row
from bench.rows import (
    convolution,
    eltwise,
    gemm,
    inference,
    layers,
    losses,
    norms,
    optimizers,
    pooling,
    recurrent,
    tiny,
    training,
)

ROWS: list[Row] = [
    *gemm.rows(),
    *layers.rows(),
    *optimizers.rows(),
    *losses.rows(),
    *norms.rows(),
    *convolution.rows(),
    *eltwise.rows(),
    *pooling.rows(),
    *recurrent.rows(),
    *tiny.rows(),
    *training.rows(),
    *inference.rows(),
]


def chosen(parts: list[str]) -> list[Row]:
    """Return the rows whose names contain one of the parts; "op <name>" is the row of an operation's Case."""
    found = [row for row in ROWS if any(part in row.name for part in parts)]
    if operations_wanted := [part for part in parts if part.startswith("op ")]:
        from bench.rows import operations  # imports pydl, which the processes of its peers need not have

        found += [row for part in operations_wanted for row in operations.rows(part)]
    return found
