# SPDX-License-Identifier: BSD-3-Clause
from typing import Any, final

CELLS: dict[str, int]

@final
class Call: ...

def step_sizes(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]: ...
