# SPDX-License-Identifier: BSD-3-Clause
from typing import Any

from pydl._core.tape import Node, TensorBase

def backward(
    tensors: tuple[Any, ...],
    grads: tuple[Any, ...],
    retain_graph: bool,
    create_graph: bool,
    inputs: Any,
    allow_unused: bool,
    accumulate: bool,
) -> Any: ...
def graph_is_kept() -> bool: ...
def capture_key(x: TensorBase) -> Node | TensorBase: ...
