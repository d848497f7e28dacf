# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable, Iterable
from typing import Any, final

from pydl._core.plan import Step
from pydl._core.pool_windows import Geometry

unary_names: tuple[str, ...]
binary_names: tuple[str, ...]

@final
class FunctionStep(Step):
    def __init__(self, text: str, x: int, y: int, then: tuple[Any, ...], f64: bool) -> None: ...

@final
class BinaryStep(Step):
    def __init__(self, text: str, code: int, a: int, b: int | float, y: int, swapped: bool, f64: bool) -> None: ...

@final
class CopyStep(Step):
    def __init__(self, text: str, x: int, y: int) -> None: ...

@final
class ViewStep(Step):
    def __init__(
        self, text: str, x: int, y: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> None: ...

@final
class PoolStep(Step):
    def __init__(self, text: str, x: int, y: int, geometry: Geometry, averages: bool) -> None: ...

@final
class SoftmaxStep(Step):
    def __init__(self, text: str, x: int, y: int, rows: int, n: int, logarithm: bool, f64: bool) -> None: ...

@final
class GeneralStep(Step):
    def __init__(
        self,
        text: str,
        f: Callable[..., Any],
        args: Iterable[tuple[bool, Any]],
        outputs: Iterable[int | None],
    ) -> None: ...
