# SPDX-License-Identifier: BSD-3-Clause
"""In-place forms of declared operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydl._core.dispatch import Op, inplace
from pydl._core.tape import TensorBase, is_grad_enabled

if TYPE_CHECKING:
    from pydl.tensor import Tensor


def inplace_form(op: Op, write: Callable[..., None]) -> Callable[..., Tensor]:
    """`name_` of an operation whose first argument is changed: write(array, *the other arguments of forward).

    Unrecorded it touches only the elements that `write` does. Recorded, the operation runs first and its result, with
    its history, replaces the values.
    """
    name = f"{op.name}_"

    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = op.check(self, *args, **kwargs)
        if is_grad_enabled() and any(isinstance(a, TensorBase) and a.requires_grad for a in arguments):
            return inplace(op, self, *args, **kwargs)
        self._check_inplace(name)
        write(self.array, *arguments[1:])
        self._bump_version()
        return self

    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"`{op.name}` in place: self is changed and returned. Source: torch.Tensor.{name}."
    return form
