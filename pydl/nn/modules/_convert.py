# SPDX-License-Identifier: BSD-3-Clause
"""Changing the dtype or place of a module's tensors: `to`, `float`, `double`, `cpu`, `type` and what they stand on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydl import autograd
from pydl._core import dtypes
from pydl.tensor import Tensor

Self = TypeVar("Self", bound="ConvertMixin")


class ConvertMixin:
    """The part of `Module` that converts its tensors."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replaces the data of every parameter, its gradient and every buffer by `fn` of it.

        Parameters stay the same objects, so that optimizers keep what they hold.
        """
        if recurse:
            for module in self._modules.values():
                if module is not None:
                    module._apply(fn)
        for param in self._parameters.values():
            if param is not None:
                grad = param.grad
                with autograd.no_grad():
                    new, new_grad = fn(param), None if grad is None else fn(grad)
                param.data = new
                if new_grad is not None:
                    param.grad = new_grad.requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Converts floating-point parameters and buffers: `to(dtype)`, `to(device)`, `to(device, dtype)`, `to(tensor)`.

        Errors: RuntimeError for a device other than the CPU; TypeError for a dtype that is not floating point.
        """
        device, dtype, memory_format = _parse_to(*args, **kwargs)
        _check_device(device)
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"to: nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        return self._apply(lambda t: _converted(t, dtype, memory_format))

    def float(self: Self) -> Self:
        """Converts floating-point parameters and buffers to float32."""
        return self.to(dtypes.float32)

    def double(self: Self) -> Self:
        """Converts floating-point parameters and buffers to float64."""
        return self.to(dtypes.float64)

    def half(self: Self) -> Self:
        """Raises NotImplementedError: pydl stores no 16-bit floats."""
        raise NotImplementedError("half: pydl has no float16 storage; use float() or double()")

    def bfloat16(self: Self) -> Self:
        """Raises NotImplementedError: pydl stores no 16-bit floats."""
        raise NotImplementedError("bfloat16: pydl has no bfloat16 storage; use float() or double()")

    def type(self: Self, dst_type: Any) -> Self:
        """Converts all parameters and buffers, integer ones too, to `dst_type`."""
        return self._apply(lambda t: t.type(dst_type))

    def cpu(self: Self) -> Self:
        """This module: pydl works on the CPU."""
        return self

    def cuda(self: Self, device: Any = None) -> Self:
        """Raises RuntimeError: pydl is CPU only."""
        raise RuntimeError("cuda: pydl is CPU only")

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Gives every parameter and buffer new memory without filling it."""
        _check_device(device)
        return self._apply(lambda t: t.new_empty(t.shape), recurse)

    def share_memory(self: Self) -> Self:
        """As `Tensor.share_memory_` of every parameter and buffer, which raises: no memory is shared."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Leaves the module as it is: its kernels are compiled already."""


def typename(value: Any) -> str:
    """How error texts name the type of `value`: built-in types by their name, others with their module."""
    cls = value if isinstance(value, type) else type(value)
    if isinstance(value, Tensor):
        return "pydl.Tensor"
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _parse_to(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> tuple[Any, Any, Any]:
    for arg in args[:2]:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif isinstance(arg, dtypes.dtype):
            dtype = arg
        elif isinstance(arg, (str, dtypes.device, int)) and not isinstance(arg, bool):
            device = arg
        elif arg is not None and not isinstance(arg, bool):
            raise TypeError(f"to: expected a dtype, a device or a Tensor, got {typename(arg)}")
    return device, dtype, memory_format


def _check_device(device: Any) -> None:
    if device is not None:
        dtypes.device(device)


def _converted(tensor: Tensor, dtype: Any, memory_format: Any) -> Tensor:
    options: dict[str, Any] = {}
    if dtype is not None and tensor.dtype.is_floating_point:
        options["dtype"] = dtype
    if memory_format is not None and tensor.ndim in (4, 5):
        options["memory_format"] = memory_format
    return tensor.to(**options) if options else tensor
