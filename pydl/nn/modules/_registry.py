# SPDX-License-Identifier: BSD-3-Clause
"""The tables of a module: `Registry` for `_parameters`, `_buffers` and `_modules`, `HookTable` for its hooks.

A Python `__getattr__` costs about 1 µs for each parameter that a layer reads, so that the objects in these tables live
in the module's instance dictionary as well, where ordinary attribute lookup finds them. The tables keep both in step:
writing `module._parameters["weight"] = p` is seen by `module.weight`.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

_MISSING = object()


class _Owned:
    """A table that tells its owners of changes.

    There is one owner; a shallow copy of a module shares its tables with the original, as in PyTorch, and then there
    are two. Owners are held weakly, so that a module is freed by its reference count alone.
    """

    _owners: tuple[weakref.ref[Any], ...]

    def owners(self) -> Iterator[Any]:
        """The modules that this table belongs to."""
        for ref in self._owners:
            owner = ref()
            if owner is not None:
                yield owner

    def adopt(self, owner: Any) -> None:
        """Makes `owner` another owner."""
        if all(other is not owner for other in self.owners()):
            self._owners = (*(weakref.ref(other) for other in self.owners()), weakref.ref(owner))

    def disown(self, owner: Any) -> None:
        """`owner` is none any more."""
        self._owners = tuple(weakref.ref(other) for other in self.owners() if other is not owner)


class Registry(_Owned, dict[str, Any]):
    """A dict whose entries are also attributes of its owners."""

    def __init__(self, owner: Any = None, items: dict[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__()
        self._owners = () if owner is None else (weakref.ref(owner),)
        self.update(items)

    def adopt(self, owner: Any) -> None:
        """Makes the entries attributes of `owner` too, from now on."""
        super().adopt(owner)
        for name, value in self.items():
            _show(owner, name, value)

    def release(self, owner: Any) -> None:
        """Takes the entries away from `owner`, which gets another table."""
        self.disown(owner)
        for name in self:
            owner.__dict__.pop(name, None)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for owner in self.owners():
            _show(owner, name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        for owner in self.owners():
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
        return Registry, (next(self.owners(), None),), None, None, iter(self.items())

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return self.__reduce__()


class HookTable(_Owned, OrderedDict[int, Any]):
    """Hooks by their number; the first one marks its owners as `_hooked`, which a call looks at before all else."""

    def __init__(self, owner: Any = None) -> None:
        super().__init__()
        self._owners = () if owner is None else (weakref.ref(owner),)

    def __setitem__(self, key: int, hook: Any) -> None:
        super().__setitem__(key, hook)
        for owner in self.owners():
            owner.__dict__["_hooked"] = True

    def __reduce__(self) -> tuple[Any, ...]:
        return HookTable, (next(self.owners(), None),), None, None, iter(self.items())


def _show(owner: Any, name: Any, value: Any) -> None:
    """Makes `value` an attribute of `owner`, except under a name that its class defines (a method keeps its name)."""
    if isinstance(name, str) and not hasattr(type(owner), name):
        owner.__dict__[name] = value
