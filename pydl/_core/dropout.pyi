# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

from pydl._core.tape import TensorBase

def set_generator(default: Any) -> None: ...
def draw_mask(
    mask: TensorBase, key: int, offset: int, p: float, x: TensorBase | None, y: TensorBase | None
) -> int: ...
def drop(name: str, x: TensorBase, p: float, features: bool, alpha: bool, inplace: bool) -> TensorBase: ...
