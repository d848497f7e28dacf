# SPDX-License-Identifier: BSD-3-Clause
from typing import Any, final

import numpy.typing as npt

from pydl._core.plan import Step

@final
class ProductStep(Step):
    def __init__(
        self,
        text: str,
        x: int,
        y: int,
        m: int,
        x_row: int,
        w: npt.NDArray[Any],
        bias: npt.NDArray[Any] | None,
        then: tuple[Any, ...] | None,
        adds: bool,
    ) -> None: ...
