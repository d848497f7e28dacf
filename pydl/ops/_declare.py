# SPDX-License-Identifier: BSD-3-Clause
"""`@op` turns a class with check, forward and backward into an operation; `native` names one written in Cython."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from pydl._core.dispatch import Op, register, registry

__all__ = ["composite", "constant_names", "inplace_names", "native", "op", "registry"]

# Operations that have an in-place form `name_` made from the ordinary one; Tensor offers it as a method.
inplace_names: set[str] = set()
# Composed operations whose result has no gradient (declared ones say so themselves: Op.differentiable).
constant_names: set[str] = set()

F = TypeVar("F", bound=Callable[..., Any])


@overload
def op(cls: type, /) -> Op: ...
@overload
def op(
    *, name: str | None = None, numpy_backed: bool = False, differentiable: bool = True, inplace: bool = False
) -> Callable[[type], Op]: ...
def op(
    cls: type | None = None,
    /,
    *,
    name: str | None = None,
    numpy_backed: bool = False,
    differentiable: bool = True,
    inplace: bool = False,
) -> Op | Callable[[type], Op]:
    """Declare an operation.

    The class has `check(<public signature>)`, which validates and returns the positional arguments of forward;
    `forward(ctx, ...)`, which runs without recording and returns a Tensor or a tuple; and, unless the result is
    constant, `backward(ctx, dy, ...)`, which returns one gradient for each argument of forward (None where it is no
    tensor).

    numpy_backed: the work is done by NumPy, not by a compiled kernel; `show_config` lists these.
    inplace: there is an in-place form too, `name_`.
    """

    def declare(body: type) -> Op:
        check: Callable[..., Any] = vars(body)["check"]
        declared = Op(
            name or body.__name__,
            check,
            vars(body)["forward"],
            vars(body).get("backward"),
            numpy_backed=numpy_backed,
            differentiable=differentiable,
        )
        declared.__doc__ = body.__doc__
        declared.__name__ = declared.__qualname__ = name or body.__name__
        declared.__module__ = body.__module__
        register(declared.__name__, declared)
        if inplace:
            inplace_names.add(declared.__name__)
        return declared

    return declare if cls is None else declare(cls)


def native(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter an operation whose check, forward and backward are written in Cython, under its own name."""
    register(function.__name__, function)
    return function


@overload
def composite(function: F, /) -> F: ...
@overload
def composite(*, differentiable: bool = True, inplace: bool = False) -> Callable[[F], F]: ...
def composite(function: Any = None, /, *, differentiable: bool = True, inplace: bool = False) -> Any:
    """Enter an operation that is a plain function made of other operations, under its own name.

    differentiable: whether the result has a gradient; inplace: there is an in-place form too, `name_`.
    """

    def declare(body: F) -> F:
        register(body.__name__, body)
        if inplace:
            inplace_names.add(body.__name__)
        if not differentiable:
            constant_names.add(body.__name__)
        return body

    return declare if function is None else declare(function)
