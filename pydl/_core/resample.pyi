# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

import numpy as np

from pydl._core.tape import TensorBase

Table = np.ndarray[Any, np.dtype[np.int64]]
Sums = tuple[Table, Table, np.ndarray[Any, Any] | None]

def gather_axes(x: TensorBase, tables: dict[int, Table], value: float) -> TensorBase: ...
def pixel_shuffle(x: TensorBase, r: int) -> TensorBase: ...
def pixel_unshuffle(x: TensorBase, r: int) -> TensorBase: ...
def unfold_windows(
    x: TensorBase, kernel: tuple[int, int], dilation: tuple[int, int], stride: tuple[int, int]
) -> TensorBase: ...
def combine_axis(x: TensorBase, dim: int, sums: Sums) -> TensorBase: ...
def fold_windows(
    x: TensorBase, kernel: tuple[int, int], blocks: tuple[int, int], size: tuple[int, int], rows: Sums, columns: Sums
) -> TensorBase: ...
