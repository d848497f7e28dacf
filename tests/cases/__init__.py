# SPDX-License-Identifier: BSD-3-Clause
"""One `Case` per operation; everything that `test_ops` does follows from these."""

from __future__ import annotations

import pydl.nn.functional  # noqa: F401  (declares the operations of networks)
from tests.cases import (
    activations,
    arranging,
    attention,
    combining,
    composed,
    convolution,
    ctc,
    elementwise,
    embedding,
    images,
    linalg,
    losses,
    norms,
    pointwise,
    pooling,
    recurrent,
    recurrent_cells,
    reductions,
    shape,
)
from tests.harness import Case

FAMILIES = (
    elementwise, reductions, linalg, losses, shape, pointwise, arranging, composed, combining, convolution, pooling,
    images, embedding, activations, norms, attention, ctc, recurrent_cells, recurrent,
)  # fmt: skip
CASES: dict[str, Case] = {name: case for family in FAMILIES for name, case in family.CASES.items()}
