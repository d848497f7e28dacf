# SPDX-License-Identifier: BSD-3-Clause
"""Handles of hooks, and what can be asked of a recorded graph."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

from pydl._core import tape

__all__ = ["RemovableHandle", "add_hook"]


class RemovableHandle:
    """Removes the hook it was returned for; also at the end of a `with` block.

    `hooks` is the dictionary id -> hook in which the hook is stored under `handle.id`. It is referred to weakly where
    its type allows, so that a handle does not keep a module or a tensor alive.

    Source: torch.utils.hooks.RemovableHandle.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2, requires_grad=True)
        >>> handle = x.register_hook(lambda g: 10 * g)
        >>> handle.remove()
        >>> x.sum().backward()
        >>> x.grad
        tensor([1., 1.])
    """

    _ids = itertools.count()

    def __init__(self, hooks: MutableMapping[int, Any], *, extra_dict: Any = None) -> None:
        self.id = next(RemovableHandle._ids)
        self._dictionaries = tuple(_reference(d) for d in (hooks, *_as_tuple(extra_dict)))

    def remove(self) -> None:
        """Takes the hook out; a second call does nothing."""
        for reference in self._dictionaries:
            dictionary = reference()
            if dictionary is not None:
                dictionary.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, ...]:
        return self.id, tuple(reference() for reference in self._dictionaries)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # Copies of a module and of the handle that it keeps: the handle's copy removes the hook of the module's copy.
        self.id, dictionaries = state
        self._dictionaries = tuple(_reference({} if d is None else d) for d in dictionaries)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def add_hook(hooks: OrderedDict[int, Any], hook: Any, prepend: bool = False, *flags: Any) -> RemovableHandle:
    """Enters `hook` into `hooks`, first if `prepend`; each of `flags` is a table that marks the hook's id."""
    handle = RemovableHandle(hooks, extra_dict=flags)
    hooks[handle.id] = hook
    for table in flags:
        table[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _reference(dictionary: MutableMapping[int, Any]) -> Any:
    try:
        return weakref.ref(dictionary)
    except TypeError:  # a plain dict cannot be referred to weakly
        return lambda: dictionary


tape.set_handle_class(RemovableHandle)
