# SPDX-License-Identifier: BSD-3-Clause
"""The tables `_parameters`, `_buffers` and `_modules` of a module.

A Python `__getattr__` costs about 1 µs for each parameter that a layer reads, so that the objects in these tables live
in the module's instance dictionary as well, where ordinary attribute lookup finds them. The tables keep both in step:
writing `module._parameters["weight"] = p` is seen by `module.weight`.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

_MISSING = object()


class Registry(dict[str, Any]):
    """A dict whose entries are also attributes of its owners.

    There is one owner; a shallow copy of a module shares its tables with the original, as in PyTorch, and then there
    are two. Owners are held weakly, so that a module is freed by its reference count alone.
    """

    __slots__ = ("_owners",)
    _owners: tuple[weakref.ref[Any], ...]

    def __init__(self, owner: Any = None, items: dict[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self._owners = ()
        if owner is not None:
            self.adopt(owner)
        self.update(items)

    def adopt(self, owner: Any) -> None:
        """Makes the entries attributes of `owner` too, from now on."""
        if all(ref() is not owner for ref in self._owners):
            alive = tuple(ref for ref in self._owners if ref() is not None)
            self._owners = (*alive, weakref.ref(owner))
        for name, value in self.items():
            _show(owner, name, value)

    def release(self, owner: Any) -> None:
        """Takes the entries away from `owner`, which gets another table."""
        self._owners = tuple(ref for ref in self._owners if ref() not in (None, owner))
        for name in self:
            owner.__dict__.pop(name, None)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for ref in self._owners:
            owner = ref()
            if owner is not None:
                _show(owner, name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        for ref in self._owners:
            owner = ref()
            if owner is not None:
                owner.__dict__.pop(name, None)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        if name not in self:
            if default is _MISSING:
                raise KeyError(name)
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self, last: bool = True) -> tuple[str, Any]:
        if not self:
            raise KeyError("dictionary is empty")
        name = next(reversed(self) if last else iter(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> Registry:  # type: ignore[override,misc]
        self.update(other)
        return self

    def move_to_end(self, name: str, last: bool = True) -> None:
        """Moves an entry to an end of the order in which parameters and submodules are listed."""
        rest = [(key, value) for key, value in self.items() if key != name]
        entry = (name, self[name])
        super().clear()
        super().update([*rest, entry] if last else [entry, *rest])

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # The owner is already known to the pickler when it meets its table; what is pickled is a reference to it.
        owner = next((owner for owner in (ref() for ref in self._owners) if owner is not None), None)
        return Registry, (owner,), None, None, iter(self.items())

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()


def _show(owner: Any, name: Any, value: Any) -> None:
    """Makes `value` an attribute of `owner`, except under a name that its class defines (a method keeps its name)."""
    if isinstance(name, str) and not hasattr(type(owner), name):
        owner.__dict__[name] = value
