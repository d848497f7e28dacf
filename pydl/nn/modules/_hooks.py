# SPDX-License-Identifier: BSD-3-Clause
"""Hooks of a module: registering them, removing them, and the call that runs them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from pydl._core.calling import ForwardCaller, set_hooks_of_all
from pydl.autograd import Function
from pydl.autograd.graph import RemovableHandle, add_hook
from pydl.nn.modules._registry import HookTable
from pydl.tensor import Tensor


class GlobalHooks:
    """Hooks that run for every module, before the module's own ones; for debugging and profiling."""

    def __init__(self) -> None:
        self._hooked = False
        self.forward_pre, self.forward = HookTable(self), HookTable(self)
        self.backward_pre, self.backward = HookTable(self), HookTable(self)
        self.with_kwargs, self.always = HookTable(), HookTable()
        self.parameter_added, self.buffer_added, self.module_added = HookTable(), HookTable(), HookTable()


EVERY = GlobalHooks()
set_hooks_of_all(EVERY)


class HookMixin(ForwardCaller):
    """The part of `Module` that knows hooks."""

    forward: Callable[..., Any]
    _hooked: bool
    _forward_hooks: OrderedDict[int, Callable[..., Any]]
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: OrderedDict[int, Callable[..., Any]]
    _backward_pre_hooks: OrderedDict[int, Callable[..., Any]]

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args)` before `forward`; what it returns, unless None, replaces the arguments.

        With `with_kwargs` the hook is `hook(module, args, kwargs)` and returns None or `(args, kwargs)`.
        """
        flags = (self._forward_pre_hooks_with_kwargs,) if with_kwargs else ()
        return add_hook(self._forward_pre_hooks, hook, prepend, *flags)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Calls `hook(module, args, output)` after `forward`; what it returns, unless None, replaces the output.

        With `with_kwargs` the hook is `hook(module, args, kwargs, output)`; with `always_call` it runs (with output
        None) even if `forward` or another hook raises.
        """
        flags = []
        if with_kwargs:
            flags.append(self._forward_hooks_with_kwargs)
        if always_call:
            flags.append(self._forward_hooks_always_called)
        return add_hook(self._forward_hooks, hook, prepend, *flags)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_output)` before the module's backward; it may return other gradients."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(module, grad_input, grad_output)` once the gradients of the module's inputs are known.

        It may return other gradients in the place of `grad_input`; entries for non-tensor arguments are None.
        """
        return add_hook(self._backward_hooks, hook, prepend)

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        backward = self._backward_hooks or self._backward_pre_hooks or EVERY.backward or EVERY.backward_pre
        if not (backward or self._forward_hooks or self._forward_pre_hooks or EVERY.forward or EVERY.forward_pre):
            self._hooked = EVERY._hooked = False  # all hooks were removed
            return self.forward(*args, **kwargs)
        pending = _always_called(self)
        result = None
        try:
            args, kwargs = _run_pre_hooks(self, args, kwargs)
            gate = None
            if backward:
                gate = BackwardGate(self)
                args = gate.inputs(args)
            result = self.forward(*args, **kwargs)
            for key, hook, with_kwargs in _forward_hooks(self):
                pending.pop(key, None)
                other = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
                if other is not None:
                    result = other
            return result if gate is None else gate.outputs(result)
        except Exception:
            for hook, with_kwargs in pending.values():
                try:
                    other = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
                    if other is not None:
                        result = other
                except Exception as error:
                    warnings.warn(f"a forward hook with always_call=True raised {error!r}", stacklevel=3)
            raise


def _forward_hooks(module: Any) -> Iterator[tuple[int, Callable[..., Any], bool]]:
    for key, hook in list(EVERY.forward.items()):
        yield key, hook, key in EVERY.with_kwargs
    for key, hook in list(module._forward_hooks.items()):
        yield key, hook, key in module._forward_hooks_with_kwargs


def _always_called(module: Any) -> dict[int, tuple[Callable[..., Any], bool]]:
    """The hooks that must run even when the call fails; each is dropped when it has run."""
    if not (EVERY.always or module._forward_hooks_always_called):
        return {}
    always = {**EVERY.always, **module._forward_hooks_always_called}
    return {key: (hook, with_kwargs) for key, hook, with_kwargs in _forward_hooks(module) if key in always}


def _run_pre_hooks(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for key, hook in [*EVERY.forward_pre.items(), *module._forward_pre_hooks.items()]:
        if key in module._forward_pre_hooks_with_kwargs:
            result = hook(module, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        f"{type(module).__name__}: forward pre-hook must return None or a tuple of (new_args, "
                        f"new_kwargs), but got {result}."
                    )
                args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


class _Watch(Function):
    """Identity on its tensors; on the way back their gradients pass through a callable."""

    @staticmethod
    def forward(ctx: Any, watch: Callable[..., Any], *tensors: Tensor) -> Any:
        ctx.watch = watch
        ctx.set_materialize_grads(False)
        passed = tuple(t.view_as(t) for t in tensors)
        needed = ctx.needs_input_grad[1:]
        ctx.mark_non_differentiable(*[t for t, needs in zip(passed, needed, strict=True) if not needs])
        return passed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return (None, *ctx.watch(grads))


class BackwardGate:
    """The backward hooks of one call: identity nodes on its inputs and its outputs, which see the gradients."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.hooks = [*EVERY.backward.values(), *module._backward_hooks.values()]
        self.pre_hooks = [*EVERY.backward_pre.values(), *module._backward_pre_hooks.values()]
        self.n_inputs = 0
        self.input_index: list[int] | None = None
        self.output_index: list[int] | None = None
        self.n_outputs = 0
        self.grad_output: tuple[Any, ...] | None = None

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, with the tensors among them passed through the watch node."""
        self.n_inputs = len(args)
        args, self.input_index = _pass_through(self._at_inputs, args)
        return args

    def outputs(self, result: Any) -> Any:
        """The result of `forward`, a tensor or a tuple with tensors, passed through the watch node."""
        single = isinstance(result, Tensor)
        if not single and not isinstance(result, tuple):
            warnings.warn(
                "full backward hooks need forward to return a Tensor or a tuple of Tensors, not "
                f"{type(result).__name__}: they do not run for this call",
                stacklevel=4,
            )
            return result
        packed = (result,) if single else result
        self.n_outputs = len(packed)
        packed, self.output_index = _pass_through(self._at_outputs, packed)
        if single:
            return packed[0]
        return type(result)(*packed) if hasattr(result, "_fields") else packed

    def _at_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_output = _unpack(grads, self.output_index, self.n_outputs)
        for hook in self.pre_hooks:
            other = hook(self.module, self.grad_output)
            if other is not None:
                self.grad_output = _checked(other, self.grad_output, "Backward pre hook", "grad_output")
        if self.input_index is None and self.hooks:
            warnings.warn("full backward hooks run with grad_input None: no input requires a gradient", stacklevel=2)
            for hook in self.hooks:
                other = hook(self.module, (None,) * self.n_inputs, self.grad_output)
                if other is not None and not (isinstance(other, tuple) and all(g is None for g in other)):
                    raise RuntimeError(
                        f"{type(self.module).__name__}: Backward hook for Modules where no input requires gradient "
                        "should always return None or None for all gradients."
                    )
        return tuple(self.grad_output[i] for i in self.output_index or ())

    def _at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_input = _unpack(grads, self.input_index, self.n_inputs)
        for hook in self.hooks:
            other = hook(self.module, grad_input, self.grad_output)
            if other is not None:
                grad_input = _checked(other, grad_input, "Backward hook", "grad_input")
        self.grad_output = None
        return tuple(grad_input[i] for i in self.input_index or ())


def _pass_through(watch: Callable[..., Any], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int] | None]:
    index = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not any(values[i].requires_grad for i in index):
        return values, None
    passed = _Watch.apply(watch, *(values[i] for i in index))
    if not any(t.requires_grad for t in passed):  # gradients are switched off
        return values, None
    result = list(values)
    for i, tensor in zip(index, passed, strict=True):
        result[i] = tensor
    return tuple(result), index


def _unpack(grads: tuple[Any, ...], index: list[int] | None, n: int) -> tuple[Any, ...]:
    full: list[Any] = [None] * n
    for i, grad in zip(index or (), grads, strict=True):
        full[i] = grad
    return tuple(full)


def _checked(other: Any, grads: tuple[Any, ...], what: str, name: str) -> tuple[Any, ...]:
    packed = other if isinstance(other, tuple) else (other,)
    if len(packed) != len(grads):
        raise RuntimeError(f"{what} returned an invalid number of {name}, got {len(packed)}, but expected {len(grads)}")
    return packed
