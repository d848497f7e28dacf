# SPDX-License-Identifier: BSD-3-Clause
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PATHS: dict[str, int]

def gemm_array(
    a: NDArray[Any],
    b: NDArray[Any],
    out: NDArray[Any] | None = None,
    bias: NDArray[Any] | None = None,
    relu: bool = False,
    threads: int = 0,
    accumulate: bool = False,
    path: Literal["auto", "direct", "pack_b", "pack_ab", "swapped", "dot", "sum"] = "auto",
) -> NDArray[np.floating[Any]]: ...
