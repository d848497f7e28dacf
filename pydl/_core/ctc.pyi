# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

import numpy as np

from pydl._core.tape import TensorBase

def ctc_fwd(
    lp: TensorBase,
    labels: np.ndarray[Any, Any],
    starts: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    steps: np.ndarray[Any, Any],
    blank: int,
    keep: bool,
) -> tuple[np.ndarray[Any, Any], TensorBase | None]: ...
def ctc_bwd(
    lp: TensorBase,
    rows: TensorBase,
    log_likelihood: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any],
    starts: np.ndarray[Any, Any],
    counts: np.ndarray[Any, Any],
    steps: np.ndarray[Any, Any],
    blank: int,
    g: np.ndarray[Any, Any],
) -> TensorBase: ...
