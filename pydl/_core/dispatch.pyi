# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable
from inspect import Signature
from typing import Any

from pydl._core.tape import Node

registry: dict[str, Callable[..., Any]]

class OpNode(Node):
    needs: tuple[bool, ...]
    constants: tuple[int, ...] | None
    @property
    def saved(self) -> tuple[Any, ...]: ...
    def save(self, *tensors: Any) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...

class Op:
    name: str
    node_name: str
    check: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    numpy_backed: bool
    differentiable: bool
    __name__: str
    __qualname__: str
    @property
    def __signature__(self) -> Signature: ...
    def __init__(
        self,
        name: str,
        check: Callable[..., Any],
        forward: Callable[..., Any],
        backward: Callable[..., Any] | None,
        *,
        numpy_backed: bool = False,
        differentiable: bool = True,
    ) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def unchecked(self, *arguments: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any) -> Any: ...

def find_operation(module: str, name: str) -> Callable[..., Any]: ...
def inplace(op: Any, target: Any, *args: Any, **kwargs: Any) -> Any: ...
def register(name: str, operation: Callable[..., Any]) -> None: ...
