# SPDX-License-Identifier: BSD-3-Clause
from typing import final

from pydl._core.tape import TensorBase

CELLS: dict[str, int]

@final
class Call: ...

def check(
    name: str,
    cell: str,
    x: TensorBase,
    sizes: tuple[int, ...],
    h0: TensorBase,
    c0: TensorBase | None,
    w_ih: TensorBase,
    w_hh: TensorBase,
    b_ih: TensorBase | None,
    b_hh: TensorBase | None,
    w_hr: TensorBase | None,
) -> tuple[int, ...]: ...
