# SPDX-License-Identifier: BSD-3-Clause
"""Containers of modules: a chain, a list, a dictionary."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydl.nn.modules._convert import typename
from pydl.nn.modules.module import Module, frame, indent

__all__ = ["ModuleDict", "ModuleList", "Sequential", "pairs"]

Self = TypeVar("Self", bound="_Numbered")


class _Numbered(Module):
    """What `Sequential` and `ModuleList` share: modules under the names "0", "1", …"""

    def _key(self, index: Any, past_end: bool = False) -> str:
        n, i = len(self), operator.index(index)
        if not -n <= i < n + past_end:
            raise IndexError(f"{type(self).__name__}: index {i} is out of range for {n} modules")
        return list(self._modules)[i] if i < n else str(n)

    def _renumber(self, modules: Iterable[Module | None]) -> None:
        modules = list(modules)
        self._modules.clear()
        for i, module in enumerate(modules):
            self._modules[str(i)] = module

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index: int | slice) -> None:
        keys = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for key in keys:
            delattr(self, key)
        self._renumber(self._modules.values())

    def append(self: Self, module: Module) -> Self:
        """Adds a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Adds a module before position `index`."""
        if not isinstance(module, Module):
            raise TypeError(f"{typename(module)} is not a Module subclass")
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)

    def extend(self: Self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Takes out the module (or, for a slice, the modules) at position `key` and returns it."""
        module = self[key]
        del self[key]
        return module

    def __getitem__(self, index: Any) -> Any:
        return self._modules[self._key(index)]


class Sequential(_Numbered):
    """y = f_n(… f_2(f_1(x))): modules called one after the other.

    Takes the modules, or one OrderedDict of names and modules. Indexing gives a module, slicing a Sequential of the
    same modules. Shapes: those of the modules. Errors: TypeError for what is no module. Source: torch.nn.Sequential.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> m(pydl.ones(5, 4)).shape == (5, 2)
        True
        >>> m[1:]
        Sequential(
          (1): ReLU()
          (2): Linear(in_features=3, out_features=2, bias=True)
        )
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def insert(self, index: int, module: Module) -> Sequential:
        """Adds a module before position `index`."""
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"Sequential.insert: Index out of range: {index}, with {n} modules")
        super().insert(index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Sequential:
        """Adds the modules of another Sequential at the end."""
        return super().extend(sequential)

    def __add__(self, other: Sequential) -> Sequential:
        result = Sequential(*self)
        result += other
        return result

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"Sequential: add operator supports only objects of Sequential class, but {type(other)} is given."
            )
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*(list(self) * self._checked(times)))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        self.extend(list(self) * (self._checked(times) - 1))
        return self

    def _checked(self, times: Any) -> int:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Sequential: Non-positive multiplication factor {times} for {type(self)}")
        return times


class ModuleList(_Numbered):
    """A list of modules whose parameters belong to the model; it has no `forward`.

    Errors: TypeError for what is no module, IndexError for a bad index. Source: torch.nn.ModuleList.

    Example:
        >>> from pydl import nn
        >>> layers = nn.ModuleList([nn.Linear(10, 10) for i in range(3)])
        >>> layers.append(nn.ReLU())
        ModuleList(
          (0-2): 3 x Linear(in_features=10, out_features=10, bias=True)
          (3): ReLU()
        )
        >>> len(layers[1:])
        3
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return super().__getitem__(index)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Adds modules at the end."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}")
        return super().extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)

    def __repr__(self) -> str:
        # Equal neighbors share a line: "(0-2): 3 x Linear(...)".
        runs: list[tuple[int, int, str]] = []
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], i, text)
            else:
                runs.append((i, i, text))
        lines = []
        for first, last, text in runs:
            head = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append(head + indent(text))
        return frame(self._get_name(), [], lines)


class ModuleDict(Module):
    """A dictionary of modules, in the order of insertion, whose parameters belong to the model.

    Errors: KeyError for a missing key or one that is the name of a method; TypeError for what is no module.
    Source: torch.nn.ModuleDict.

    Example:
        >>> from pydl import nn
        >>> acts = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        >>> acts["tanh"], "relu" in acts, list(acts)
        (Tanh(), True, ['relu', 'tanh'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Takes out all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Takes out the module of that name and returns it."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """The names with their modules."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds modules, in the place of those of the same name."""
        for key, module in pairs(modules, "ModuleDict"):
            self[key] = module


def pairs(source: Any, what: str) -> list[tuple[Any, Any]]:
    """The (key, value) pairs of a mapping or of an iterable of pairs; `what` names the container in errors."""
    if not isinstance(source, Iterable):
        raise TypeError(
            f"{what}.update should be called with an iterable of key/value pairs, but got {typename(source)}"
        )
    if hasattr(source, "items"):
        return list(source.items())
    result = []
    for i, entry in enumerate(source):
        if not isinstance(entry, Iterable):
            raise TypeError(f"{what} update sequence element #{i} should be Iterable; is {typename(entry)}")
        entry = tuple(entry)
        if len(entry) != 2:
            raise ValueError(f"{what} update sequence element #{i} has length {len(entry)}; 2 is required")
        result.append(entry)
    return result
