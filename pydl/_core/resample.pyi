# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

import numpy as np

from pydl._core.tape import TensorBase

_Table = np.ndarray[Any, np.dtype[np.int64]]
_Sums = tuple[_Table, _Table, np.ndarray[Any, Any] | None]

def gather_axes(x: TensorBase, tables: dict[int, _Table], value: float) -> TensorBase: ...
def combine_axis(x: TensorBase, dim: int, sums: _Sums) -> TensorBase: ...
