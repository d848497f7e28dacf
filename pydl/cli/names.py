# SPDX-License-Identifier: BSD-3-Clause
"""The names that pydl covers, found by looking at pydl itself, and the nearest one to a name that it does not cover."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from functools import cache
from types import ModuleType

import pydl

__all__ = ["Names"]

# pydl's own parts: a script that says `torch.ops` does not mean `pydl.ops`.
OWN = frozenset({"cli", "inspect", "io", "models", "ops"})
PUBLIC = (
    "", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "optim", "optim.lr_scheduler", "autograd",
    "autograd.functional", "utils.data", "distributions",
)  # fmt: skip


class Names:
    """What pydl covers."""

    def __init__(self) -> None:
        self._index = _index()

    def first_missing(self, name: str) -> str | None:
        """The shortest part of the dotted name that pydl does not cover ("torch.fft" of "torch.fft.rfft"), or None."""
        root, *parts = name.split(".")
        for i in range(1, len(parts) + 1):
            if not _covered(root, tuple(parts[:i])):
                return ".".join([root, *parts[:i]])
        return None

    def nearest(self, name: str) -> str | None:
        """The covered name most like it: the same name elsewhere, else one spelt alike, nearby if possible."""
        root, *parts = name.split(".")
        last, parent = parts[-1].lower(), ".".join(parts[:-1])
        by_last: dict[str, list[str]] = {}
        for dotted in self._index:
            by_last.setdefault(dotted.rpartition(".")[2].lower(), []).append(dotted)
        nearby = [n for n, dotted in by_last.items() if any(d.rpartition(".")[0] == parent for d in dotted)]
        for pool, cutoff in ((list(by_last), 1.0), (nearby, 0.7), (list(by_last), 0.7)):
            match = difflib.get_close_matches(last, pool, n=1, cutoff=cutoff)
            if match:
                found = sorted(by_last[match[0]], key=lambda d: (d.rpartition(".")[0] != parent, len(d)))
                return f"{root}.{found[0]}"
        return None


@cache
def _covered(root: str, parts: tuple[str, ...]) -> bool:
    private = any(p.startswith("_") and not p.endswith("__") for p in parts)
    return not private and not (root == "torch" and parts[0] in OWN) and _find(parts) is not None


def _find(parts: tuple[str, ...]) -> object | None:
    """What pydl has under that name; modules that are not loaded yet count."""
    found: object = pydl
    for part in parts:
        try:
            found = getattr(found, part)
        except AttributeError:
            if not isinstance(found, ModuleType) or not hasattr(found, "__path__"):
                return None
            name = f"{found.__name__}.{part}"
            if importlib.util.find_spec(name) is None:
                return None
            found = importlib.import_module(name)
        if found is None:  # a name whose value is None is a name
            return ()
    return found


def _index() -> list[str]:
    """Every public name, dotted from the root."""
    result: list[str] = []
    for module in PUBLIC:
        found = _find(tuple(module.split("."))) if module else pydl
        if isinstance(found, ModuleType):
            public = [n for n in getattr(found, "__all__", dir(found)) if not n.startswith("_")]
            result += [f"{module}.{name}" if module else name for name in public]
    result += [f"Tensor.{name}" for name in dir(pydl.Tensor) if not name.startswith("_")]
    return [name for name in result if name not in OWN]
