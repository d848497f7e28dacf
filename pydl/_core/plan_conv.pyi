# SPDX-License-Identifier: BSD-3-Clause
from typing import Any, final

import numpy.typing as npt

from pydl._core.plan import Step

@final
class ConvStep(Step):
    def __init__(
        self,
        text: str,
        x: int,
        y: int,
        x_shape: tuple[int, ...],
        w: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
        then: tuple[Any, ...] | None,
        adds: bool,
    ) -> None: ...
