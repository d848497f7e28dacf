# SPDX-License-Identifier: BSD-3-Clause
"""Switches of the recording: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

Each thread has its own flag, held by the core. All four work as context managers and as decorators of functions,
generator functions and classes' methods.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, TypeVar

from pydl._core.tape import is_grad_enabled
from pydl._core.tape import set_grad_enabled as _set_flag

__all__ = [
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
]

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode:
    """Base of the four switches: remembers the thread's flag on entry and puts it back on exit."""

    __slots__ = ("_previous",)
    _previous: bool

    def clone(self) -> _GradMode:
        """A new switch with the same setting; a decorated function enters a fresh one on every call."""
        return type(self)()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _set_flag(self._previous)

    def __call__(self, function: F) -> F:
        if inspect.isclass(function):
            raise TypeError(f"{type(self).__name__}: decorate a function or method, not the class {function.__name__}")
        if inspect.isgeneratorfunction(function):
            return _wrap_generator(self.clone, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def switched(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return switched  # type: ignore[return-value]

    def __enter__(self) -> None:
        raise NotImplementedError


def _wrap_generator(make: Callable[[], Any], function: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    """The switch holds while the generator's body runs and never while it is suspended."""

    @functools.wraps(function)
    def switched(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with make():
            generator = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, generator)
        while True:
            try:
                with make():
                    item = step()
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield item
            except GeneratorExit:
                with make():
                    generator.close()
                raise
            except BaseException as error:
                step = functools.partial(generator.throw, error)
            else:
                step = functools.partial(generator.send, sent)

    return switched


class no_grad(_GradMode):
    """Results of operations inside have `requires_grad=False` and record nothing.

    Works as `with no_grad():`, `@no_grad()` and `@no_grad`.

    Source: torch.no_grad.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2, requires_grad=True)
        >>> with pydl.no_grad():
        ...     (x * 2).requires_grad
        False
    """

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        switch = super().__new__(cls)
        return switch if function is None else switch(function)

    def __enter__(self) -> None:
        self._previous = _set_flag(False)


class enable_grad(_GradMode):
    """Operations inside are recorded again, also within `no_grad`.

    Works as `with enable_grad():`, `@enable_grad()` and `@enable_grad`.

    Source: torch.enable_grad.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2, requires_grad=True)
        >>> with pydl.no_grad(), pydl.enable_grad():
        ...     (x * 2).requires_grad
        True
    """

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        switch = super().__new__(cls)
        return switch if function is None else switch(function)

    def __enter__(self) -> None:
        self._previous = _set_flag(True)


class set_grad_enabled(_GradMode):
    """Sets the recording on or off: at once as a function, until the end of the block as a context manager.

    Source: torch.set_grad_enabled.

    Example:
        >>> import pydl
        >>> with pydl.set_grad_enabled(False):
        ...     pydl.is_grad_enabled()
        False
        >>> pydl.is_grad_enabled()
        True
    """

    __slots__ = ("mode",)

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self._previous = _set_flag(self.mode)

    def __enter__(self) -> None:
        _set_flag(self.mode)

    def __call__(self, function: F) -> F:
        _set_flag(self._previous)  # as a decorator it acts on the calls only
        return super().__call__(function)

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __repr__(self) -> str:
        return f"set_grad_enabled({self.mode})"


class inference_mode(_GradMode):
    """The same as `no_grad` (nothing for `mode=False`); version counters are kept, so no tensor is restricted.

    Source: torch.inference_mode.

    Example:
        >>> import pydl
        >>> x = pydl.ones(2, requires_grad=True)
        >>> with pydl.inference_mode():
        ...     (x * 2).requires_grad
        False
    """

    __slots__ = ("mode",)
    mode: bool

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        switch = super().__new__(cls)
        if isinstance(mode, bool):
            switch.mode = mode
            return switch
        switch.mode = True
        return switch(mode)

    def __enter__(self) -> None:
        self._previous = _set_flag(not self.mode and is_grad_enabled())

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)


def is_inference_mode_enabled() -> bool:
    """Always False: `inference_mode` is `no_grad` here and makes no special tensors. Source: torch."""
    return False
