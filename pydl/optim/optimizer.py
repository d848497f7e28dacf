# SPDX-License-Identifier: BSD-3-Clause
"""`Optimizer`, the base of all: parameter groups, state, and saving both."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from pydl._core import optimizers
from pydl.autograd.graph import RemovableHandle, add_hook
from pydl.creation import as_tensor
from pydl.tensor import Tensor

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]


class _Required:
    """The default of an option that every group must be given."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_HOOKS = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks", "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)  # fmt: skip
_every_step_pre_hook: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_every_step_post_hook: OrderedDict[int, Callable[..., Any]] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls `hook(optimizer, args, kwargs)` before each step of every optimizer."""
    return add_hook(_every_step_pre_hook, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Calls `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return add_hook(_every_step_post_hook, hook)


class Optimizer:
    """Base of optimizers. `param_groups` is a list of dicts, each with "params" and the options of these parameters;
    `state` holds what is remembered for each parameter.

    `params` is an iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options that differ from
    `defaults`. A subclass calls `super().__init__(params, defaults)` and defines `step`.

    Errors: TypeError for what is no iterable of these; ValueError for an empty list, a tensor that is no leaf, or one
    that is in two groups. Source: torch.optim.Optimizer.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> opt = optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 1.0}], lr=0.1)
        >>> [group["lr"] for group in opt.param_groups]
        [0.1, 1.0]
    """

    _opt_called: bool = False  # whether step was ever called: schedulers warn where they are first
    defaults: dict[str, Any]
    state: defaultdict[Tensor, Any]
    param_groups: list[dict[str, Any]]
    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__ and not hasattr(cls.step, "hooked"):
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params argument given to the optimizer should be an iterable of Tensors or "
                "dicts, but got pydl.Tensor"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters with options of their own, for instance layers that are trained later."""
        if not isinstance(param_group, dict):
            raise TypeError(f"add_param_group: param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                f"{type(self).__name__}: optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        group = dict(param_group)
        group["params"] = [params] if isinstance(params, Tensor) else list(params)
        _split_names(group, self.param_groups)
        for param in group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: optimizer can only optimize Tensors, but one of the params is "
                    f"{type(param).__name__}"
                )
            if not (param.is_leaf or param.retains_grad):
                raise ValueError(
                    f"{type(self).__name__}: can't optimize a non-leaf Tensor (shape {tuple(param.shape)})"
                )
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(
                    f"{type(self).__name__}: parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            group.setdefault(name, default)
        ids = [id(param) for param in group["params"]]
        if len(set(ids)) < len(ids):
            raise ValueError(f"{type(self).__name__}: optimizer contains a parameter group with duplicate parameters")
        if not set(ids).isdisjoint(id(param) for other in self.param_groups for param in other["params"]):
            raise ValueError(f"{type(self).__name__}: some parameters appear in more than one parameter group")
        param_group.update(group)
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops all gradients, or (`set_to_none=False`) fills them with zeros."""
        for group in self.param_groups:
            optimizers.clear_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes the parameters by their gradients; `closure`, if given, computes loss and gradients first."""
        raise NotImplementedError(f"{type(self).__name__} does not define step")

    # ---- hooks ---------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` before each step; it may return other `(args, kwargs)`."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Calls `hook(optimizer, args, kwargs)` after each step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer)` before `state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer, state_dict)` after `state_dict`; what it returns, unless None, replaces the state."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer, state_dict)` before loading; what it returns, unless None, is loaded instead."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Calls `hook(optimizer)` after loading."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ---- saving --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": …, "param_groups": …} with parameters replaced by their numbers, counted through the groups."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        number: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                number.setdefault(id(param), len(number))
            packed = {name: value for name, value in group.items() if name != "params"}
            groups.append({**packed, "params": [number[id(param)] for param in group["params"]]})
        state = {number[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            other = hook(self, result)
            result = result if other is None else other
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over state and options from `state_dict`; the parameters are matched by their order.

        Tensors of the state get the dtype of their parameter ("step" keeps its own).
        Errors: ValueError if the groups differ in number or size.
        """
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            other = hook(self, state_dict)
            state_dict = state_dict if other is None else other
        saved = state_dict["param_groups"]
        _check_groups(self.param_groups, saved)
        numbers = [number for group in saved for number in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        param_of = dict(zip(numbers, params, strict=True))
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in param_of:
                state[param_of[key]] = _cast(param_of[key], value)
            else:
                state[key] = value
        groups = []
        for old, new in zip(self.param_groups, saved, strict=True):
            group = {name: deepcopy(value) for name, value in new.items() if name not in ("params", "param_names")}
            group["params"] = old["params"]
            if "param_names" in old:
                group["param_names"] = old["param_names"]
            groups.append(group)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("defaults", {})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A subclass's `step`, with the hooks run around it; without hooks the cost is one call."""

    @functools.wraps(step)
    def hooked_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        if not (
            self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks
            or _every_step_pre_hook or _every_step_post_hook
        ):  # fmt: skip
            return step(self, *args, **kwargs)
        for hook in [*_every_step_pre_hook.values(), *self._optimizer_step_pre_hooks.values()]:
            result = hook(self, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        f"step: a pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}."
                    )
                args, kwargs = result
        out = step(self, *args, **kwargs)
        for hook in [*self._optimizer_step_post_hooks.values(), *_every_step_post_hook.values()]:
            hook(self, args, kwargs)
        return out

    hooked_step.hooked = True  # type: ignore[attr-defined]
    return hooked_step


def _split_names(group: dict[str, Any], others: list[dict[str, Any]]) -> None:
    """Turns (name, tensor) pairs into "params" and "param_names"; either all parameters are named or none."""
    named = [isinstance(param, tuple) for param in group["params"]]
    if any(named):
        if not all(named):
            raise ValueError(
                "add_param_group: all optimizer params should be with/without names. Some param names are missing"
            )
        group["param_names"] = [name for name, _ in group["params"]]
        group["params"] = [param for _, param in group["params"]]
    if others and ("param_names" in group) != ("param_names" in others[0]):
        raise ValueError("add_param_group: all optimizer param groups should be with/without names.")


def _check_groups(groups: list[dict[str, Any]], saved: list[dict[str, Any]]) -> None:
    if len(groups) != len(saved):
        raise ValueError(
            "load_state_dict: loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, the optimizer {len(groups)}"
        )
    if any(len(old["params"]) != len(new["params"]) for old, new in zip(groups, saved, strict=True)):
        raise ValueError(
            "load_state_dict: loaded state dict contains a parameter group that doesn't match the size of "
            "optimizer's group"
        )


def _cast(param: Tensor, value: Any, key: Any = None) -> Any:
    """A copy of the containers in `value`, its tensors in the dtype of `param`."""
    if not isinstance(value, Tensor) and hasattr(value, "__array__"):  # another library's tensor or array
        value = as_tensor(np.asarray(value).copy())
    if isinstance(value, Tensor):
        if key == "step" or not param.is_floating_point() or not value.is_floating_point():
            return value
        return value.to(dtype=param.dtype)
    if isinstance(value, dict):
        return {name: _cast(param, part, name) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts: Iterator[Any] = (_cast(param, part) for part in value)
        return type(value)(parts)
    return value
