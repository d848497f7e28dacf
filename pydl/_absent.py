# SPDX-License-Identifier: BSD-3-Clause
"""Names of PyTorch that have nothing to do on a CPU, and what is said of names that are not covered."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, TypeVar

__all__ = ["backends", "compile", "cuda", "nearest"]

M = TypeVar("M")

_PAGE = "README, section 'Coming from PyTorch'"


def compile(model: M, *args: Any, **kwargs: Any) -> M:
    """`model` itself: pydl's operations are compiled already. Source: torch.compile.

    Example:
        >>> import pydl
        >>> f = lambda x: x + 1
        >>> pydl.compile(f) is f
        True
    """
    return model


def _never() -> bool:
    return False


def _zero() -> int:
    return 0


cuda = SimpleNamespace(is_available=_never, device_count=_zero)
backends = SimpleNamespace(
    cuda=SimpleNamespace(is_built=_never),
    cudnn=SimpleNamespace(is_available=_never, deterministic=True, benchmark=False),
    mps=SimpleNamespace(is_available=_never, is_built=_never),
)


def nearest(name: str, covered: Iterable[str], module: str = "pydl") -> str:
    """The text of the AttributeError for a name that a module has not, with the nearest one that it has.

    Names with an underscore are asked for by tools, which take what comes, and in great numbers.
    """
    if name in ("float16", "half", "bfloat16", "complex64", "complex128", "cfloat", "cdouble"):
        return f"pydl has no {name}: tensors are float32, float64, integers or bool ({_PAGE})"
    if name.startswith("_"):
        return f"module {module!r} has no attribute {name!r}"
    import difflib  # not at import: it takes milliseconds

    close = difflib.get_close_matches(name, [n for n in covered if not n.startswith("_")], 1)
    hint = f"; the nearest name is {module}.{close[0]}" if close else ""
    return f"module {module!r} has no attribute {name!r}{hint} ({_PAGE})"
