# SPDX-License-Identifier: BSD-3-Clause
"""`Function`: operations written in Python by the user, with a gradient of their own.

The core runs `forward`, attaches one node to its results, and calls `backward` from the engine. What it reads from the
context is listed at `FunctionCtx`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from pydl._core import tape, user_functions
from pydl.autograd.grad_mode import enable_grad, no_grad
from pydl.tensor import Tensor

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """The `ctx` of a `Function`: carries what `forward` wants to tell `backward`. Any attribute may be set on it.

    Read by the core after `forward`: `_to_save`, `_dirty`, `_non_differentiable`, `_materialize_grads`. Set by it:
    `needs_input_grad` before `forward`; `_packed` (the saved tensors with their versions) when a node is attached.

    Source: torch.autograd.function.FunctionCtx.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Tensor | None, ...] = ()
    _dirty: tuple[Tensor, ...] = ()
    _non_differentiable: tuple[Tensor, ...] = ()
    _materialize_grads: bool = True
    _packed: Any = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs, outputs or intermediate tensors; an in-place change before `backward` raises there."""
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type "
                    f"{type(t).__name__}; set other values as attributes of ctx"
                )
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors given to `save_for_backward`, their versions checked."""
        return self._to_save if self._packed is None else self._packed.unpack()

    def mark_dirty(self, *args: Tensor) -> None:
        """Says which inputs `forward` changed in place; they have to be returned by it too."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Says which outputs have no gradient, such as indices."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """With False, `backward` gets None instead of zeros for an output that was not used."""
        self._materialize_grads = bool(value)


class Function:
    """Base class of user-written differentiable operations y = f(x): define `forward` and `backward` as static methods.

    `forward(ctx, *args)` computes y with the recording off, or `forward(*args)` together with
    `setup_context(ctx, inputs, output)`. `backward(ctx, *dy)` returns one gradient, or None, per argument of `forward`;
    written with differentiable operations it can be differentiated again. Call the operation by `apply`, and check it
    with `pydl.autograd.gradcheck`.

    Errors: RuntimeError for a wrong number or shape of gradients, and for changed saved tensors.

    Source: torch.autograd.Function.

    Example:
        >>> import pydl
        >>> class Cube(pydl.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, dy):
        ...         x, = ctx.saved_tensors
        ...         return 3 * x * x * dy
        >>> x = pydl.tensor([1., 2.], dtype=pydl.float64, requires_grad=True)
        >>> Cube.apply(x).sum().backward()
        >>> x.grad
        tensor([ 3., 12.], dtype=pydl.float64)
        >>> pydl.autograd.gradcheck(Cube.apply, (x,))
        True
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise RuntimeError(f"{name}: a Function is not instantiated; call {name}.apply(...)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the result; to be written by the subclass."""
        raise NotImplementedError("Function: You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Optional: saves what `backward` needs, when `forward` is written without `ctx`."""
        raise NotImplementedError("Function: setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Returns the gradients of the arguments of `forward`; to be written by the subclass."""
        raise NotImplementedError(
            "Function: You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` on the arguments and records one node; keyword arguments are bound to their positions."""
        if _separate_setup(cls) or kwargs:
            args = _bind(cls, args, kwargs)
        return user_functions.apply_function(cls, args)

    @classmethod
    def _run_forward(cls, ctx: FunctionCtx, args: tuple[Any, ...]) -> Any:
        if _separate_setup(cls):
            output = cls.forward(*args)
            cls.setup_context(ctx, args, output)
        else:
            output = cls.forward(ctx, *args)
        if isinstance(output, list):
            output = tuple(output)
        if not isinstance(output, tuple | Tensor):
            raise TypeError(
                f"{cls.__name__}: expected forward to return a Tensor or a tuple of Tensors, "
                f"but it returned {type(output).__name__}"
            )
        return output

    @classmethod
    def _run_backward(cls, ctx: FunctionCtx, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        result = cls._gradient()(ctx, *grads)
        n = len(ctx.needs_input_grad)
        given = tuple(result) if isinstance(result, list | tuple) else (result,)
        if len(given) > n and all(g is None for g in given[n:]):
            given = given[:n]
        if len(given) != n:
            raise RuntimeError(
                f"{cls.__name__}: function {cls.__name__}Backward returned an incorrect number of gradients "
                f"(expected {n}, got {len(given)})"
            )
        for i, g in enumerate(given):
            if g is not None and not isinstance(g, Tensor):
                raise TypeError(
                    f"{cls.__name__}: function {cls.__name__}Backward returned a {type(g).__name__} for argument {i}; "
                    f"expected a Tensor or None"
                )
        return given

    @classmethod
    def _gradient(cls) -> Callable[..., Any]:
        """`backward`, or its other name `vjp`."""
        vjp = getattr(cls, "vjp", None)
        if vjp is not None and cls.backward is not Function.backward:
            raise RuntimeError(
                f"{cls.__name__}: Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                "You should only implement one of them."
            )
        return cls.backward if vjp is None else vjp


def _separate_setup(cls: type[Function]) -> bool:
    return cls.setup_context is not Function.setup_context


def _bind(cls: type[Function], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Positions for keyword arguments and, with a separate `setup_context`, for defaults."""
    if _separate_setup(cls):
        bound = inspect.signature(cls.forward).bind(*args, **kwargs)
        bound.apply_defaults()
    else:
        bound = inspect.signature(cls.forward).bind(None, *args, **kwargs)
    if bound.kwargs:
        raise TypeError(
            f"{cls.__name__}: forward's keyword-only arguments {sorted(bound.kwargs)} cannot be given to apply"
        )
    return bound.args if _separate_setup(cls) else bound.args[1:]


class _SecondTime(Function):
    """Passes gradients through and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: FunctionCtx, *args: Any) -> Any:
        return tuple(a.clone() if isinstance(a, Tensor) else a for a in args)

    @staticmethod
    def backward(ctx: FunctionCtx, *grad_outputs: Any) -> Any:
        raise RuntimeError(
            "once_differentiable: trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a `backward` that uses operations without recorded gradients (NumPy, say): a second derivative raises.

    Source: torch.autograd.function.once_differentiable.
    """

    @functools.wraps(backward)
    def once(ctx: FunctionCtx, *grads: Any) -> Any:
        with no_grad():
            result = backward(ctx, *grads)
        if not tape.is_grad_enabled() or not any(isinstance(g, Tensor) and g.requires_grad for g in grads):
            return result
        single = not isinstance(result, tuple)
        given = (result,) if single else result
        with enable_grad():
            marked = tuple(
                g.detach().requires_grad_() if isinstance(g, Tensor) and g.dtype.is_floating_point else g for g in given
            )
            marked = _SecondTime.apply(*marked)
        return marked[0] if single else marked

    return once


user_functions.set_function_context(FunctionCtx)
