# SPDX-License-Identifier: BSD-3-Clause
"""What else describes a tensor beside its element type: `Size`, `device`, `memory_format`, `layout`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any, SupportsIndex, overload

__all__ = [
    "Size", "channels_last", "channels_last_3d", "contiguous_format", "device", "layout", "memory_format",
    "preserve_format", "strided",
]  # fmt: skip


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints that also knows the number of elements.

    Source: torch.Size.

    Example:
        >>> import pydl
        >>> s = pydl.zeros(2, 3).shape
        >>> s, s.numel(), s[1:] + (4,), s == (2, 3)
        (pydl.Size([2, 3]), 6, pydl.Size([3, 4]), True)
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of a tensor of this shape: the product of the sizes."""
        return prod(self)

    def __repr__(self) -> str:
        return f"pydl.Size([{', '.join(map(repr, self))}])"

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> Size: ...
    def __getitem__(self, index: Any, /) -> Any:
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Iterable[Any], /) -> Size:
        return Size(tuple.__add__(self, tuple(other))) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Iterable[Any], /) -> Size:
        return Size(tuple(other) + tuple(self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: SupportsIndex, /) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Size, (tuple(self),)


class device:
    """Where a tensor lives: always the CPU. Usable as a context manager, without effect.

    Errors: RuntimeError for another device. Source: torch.device.

    Example:
        >>> import pydl
        >>> pydl.device("cpu"), str(pydl.device("cpu:0"))
        (device(type='cpu'), 'cpu:0')
        >>> pydl.device("cuda")
        Traceback (most recent call last):
        ...
        RuntimeError: pydl is CPU only: no device 'cuda'
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device | int = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        kind, colon, number = type.partition(":") if isinstance(type, str) else ("", "", "")
        if kind != "cpu":
            raise RuntimeError(f"pydl is CPU only: no device {type!r}")
        if colon:
            if index is not None:
                raise RuntimeError(f"device: the index is given twice, in {type!r} and as {index}")
            if not number.isdecimal():
                raise RuntimeError(f"device: {type!r} must be 'cpu' or 'cpu:<index>'")
            index = int(number)
        self.type, self.index = kind, index

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return device, (self.type, self.index)


CPU = device("cpu")


class _Named:
    """A singleton known by its name only."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"pydl.{self._name}"

    def __reduce__(self) -> str:
        return self._name  # pickle finds the module-level name

    def __copy__(self) -> _Named:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Named:
        return self


class memory_format(_Named):
    """The order of the elements in memory: `contiguous_format`, `channels_last`, `preserve_format`.

    `channels_last_3d` exists by name only; using it raises. Source: torch.memory_format.
    """

    __slots__ = ()


class layout(_Named):
    """How elements are found: `strided`, the only one. Source: torch.layout."""

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")
strided = layout("strided")
