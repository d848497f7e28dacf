# SPDX-License-Identifier: BSD-3-Clause
"""Parameters and buffers: the tensors that a module owns."""

from __future__ import annotations

from typing import Any

from pydl.tensor import Tensor

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that a `Module` trains: assigned as an attribute, it appears in `module.parameters()`.

    Shapes: those of `data`, whose memory it shares.
    Gradient: required by default; always a leaf of the graph.
    Errors: RuntimeError for integer data unless `requires_grad=False`.
    Source: torch.nn.Parameter.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> p = nn.Parameter(pydl.ones(2))
        >>> p
        Parameter containing:
        tensor([1., 1.], requires_grad=True)
        >>> p.is_leaf
        True
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        return _own(cls, data, requires_grad)

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.detach().clone(), self.requires_grad)
        _copy_extras(self, result, memo)
        return result

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detach(), self.requires_grad, self.__dict__)


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not trained (running means, masks).

    Assigned as an attribute it is registered as by `Module.register_buffer`; with `persistent=False` it stays out of
    the `state_dict`. Shapes: those of `data`, whose memory it shares. Source: torch.nn.Buffer.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.Module()
        >>> m.mask = nn.Buffer(pydl.ones(2), persistent=False)
        >>> [name for name, _ in m.named_buffers()], list(m.state_dict())
        (['mask'], [])
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        result = _own(cls, data, data is not None and data.requires_grad)
        result.persistent = persistent
        return result

    def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Buffer:
        if id(self) in memo:
            return memo[id(self)]
        result = _own(type(self), self.detach().clone(), self.requires_grad)
        _copy_extras(self, result, memo)
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detach(), self.requires_grad, self.__dict__)


def _own(cls: type, data: Tensor | None, requires_grad: bool) -> Any:
    """A leaf of class `cls` on the memory of `data` (an empty vector when absent)."""
    if data is None:
        data = Tensor()
    if not isinstance(data, Tensor):
        raise TypeError(f"{cls.__name__}: data must be a Tensor, not {type(data).__name__}")
    return Tensor._make_subclass(cls, data.detach(), requires_grad)


def _copy_extras(source: Any, result: Any, memo: dict[int, Any]) -> None:
    """Copies what users attached to the tensor (`p.no_decay = True`) and enters the copy into `memo`."""
    from copy import deepcopy

    memo[id(source)] = result
    for key, value in source.__dict__.items():
        result.__dict__[key] = deepcopy(value, memo)


def _rebuild(cls: type, data: Tensor, requires_grad: bool, extras: dict[str, Any]) -> Any:
    """Inverse of `__reduce_ex__`."""
    result = _own(cls, data, requires_grad)
    result.__dict__.update(extras)
    return result
