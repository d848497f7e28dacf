# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

from pydl._core.tape import TensorBase

def usual_case(x: Any, t: Any, reduction: str) -> TensorBase | None: ...
