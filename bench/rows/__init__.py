# SPDX-License-Identifier: BSD-3-Clause
"""All rows, in the order in which they run."""

from bench.row import Row
from bench.rows import convolution, eltwise, gemm, layers, losses, norms, pooling, recurrent, tiny, training

ROWS: list[Row] = [
    *gemm.rows(),
    *layers.rows(),
    *losses.rows(),
    *norms.rows(),
    *convolution.rows(),
    *eltwise.rows(),
    *pooling.rows(),
    *recurrent.rows(),
    *tiny.rows(),
    *training.rows(),
]
