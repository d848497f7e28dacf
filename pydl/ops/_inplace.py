# SPDX-License-Identifier: BSD-3-Clause
"""In-place forms of declared operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydl._core.dispatch import Op, inplace
from pydl._core.dtypes import can_cast
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled


def inplace_form(op: Op, write: Callable[..., None]) -> Callable[..., Tensor]:
    """`name_` of an operation whose first argument is changed: write(array, *the other arguments of forward).

    Unrecorded it touches only the elements that `write` does. Recorded, the operation runs first and its result, with
    its history, replaces the values.
    """
    name = f"{op.name}_"

    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = op.check(self, *args, **kwargs)
        if is_grad_enabled() and any(isinstance(a, Tensor) and a.requires_grad for a in arguments):
            return inplace(op, self, *args, **kwargs)
        self._check_inplace(name)
        write(self.array, *arguments[1:])
        self._bump_version()
        return self

    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"`{op.name}` in place: self is changed and returned. Source: torch.Tensor.{name}."
    return form


def copying_form(name: str, op: Callable[..., Any]) -> Callable[..., Tensor]:
    """`name_` of any operation: it runs on a copy, which it may keep for its gradient; the result is copied back."""

    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_inplace(f"{name}_")
        source = self.clone() if is_grad_enabled() and self.requires_grad else self
        result = op(source, *args, **kwargs)
        if result.array.shape != self.array.shape:
            raise ShapeError(f"{name}_: the result {result.array.shape} does not fit the tensor {self.array.shape}")
        if not can_cast(result.dtype, self.dtype):
            raise RuntimeError(f"{name}_: result type {result.dtype} can't be cast to the output type {self.dtype}")
        return self.copy_(result)

    form.__name__ = form.__qualname__ = f"{name}_"
    form.__doc__ = f"`{name}` in place: self is changed and returned. Source: torch.Tensor.{name}_."
    return form
