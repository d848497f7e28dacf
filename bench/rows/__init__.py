# SPDX-License-Identifier: BSD-3-Clause
"""All rows, in the order in which they run."""

from bench.row import Row
from bench.rows import eltwise, gemm, layers, tiny, training

ROWS: list[Row] = [*gemm.rows(), *layers.rows(), *eltwise.rows(), *tiny.rows(), *training.rows()]
