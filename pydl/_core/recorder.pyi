# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, final

import numpy.typing as npt

from pydl._core.tape import TensorBase

lock: Lock

@final
class Call:
    name: str
    where: str
    of: Callable[..., Any] | None
    args: tuple[Any, ...]
    outputs: tuple[int | None, ...]
    peeked: bool
    results: list[Any]

@final
class Value:
    number: int
    def __init__(self, number: int) -> None: ...

@final
class Constant:
    array: npt.NDArray[Any]

@final
class Recorder:
    calls: list[Call]
    n_values: int
    def input(self, x: TensorBase) -> Value: ...
    def output(self, x: TensorBase) -> Value | Constant: ...
    def finish(self) -> None: ...

def record(run: Callable[..., Any], inputs: Sequence[TensorBase]) -> tuple[Recorder, list[Value], Any]: ...
