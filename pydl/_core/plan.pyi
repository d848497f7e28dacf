# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl._core.tape import TensorBase

class Step:
    text: str

class Plan:
    steps: tuple[Step, ...]
    nbytes: int
    def __init__(
        self,
        steps: Iterable[Step],
        inputs: Iterable[tuple[int, tuple[int, ...], np.dtype[Any]]],
        outputs: Iterable[tuple[int, tuple[int, ...], np.dtype[Any], bool]],
        buffers: Iterable[tuple[int, tuple[int, ...], np.dtype[Any], bool | tuple[int, ...], int]],
        constants: Iterable[tuple[int, npt.NDArray[Any]]],
        n_tensors: int,
        nbytes: int,
        result: Callable[[list[Any]], Any] | None,
    ) -> None: ...
    def __call__(self, *args: TensorBase) -> Any: ...

def channels_last_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]: ...
