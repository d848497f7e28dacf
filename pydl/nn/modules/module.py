# SPDX-License-Identifier: BSD-3-Clause
"""`Module`, the base of every layer and model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from pydl._core import optimizers
from pydl.autograd.graph import RemovableHandle, add_hook
from pydl.nn.modules import _convert
from pydl.nn.modules._hooks import EVERY, HookMixin
from pydl.nn.modules._registry import HookTable, Registry
from pydl.nn.modules._state import StateMixin, _IncompatibleKeys
from pydl.nn.modules._walk import WalkMixin
from pydl.nn.parameter import Buffer, Parameter
from pydl.tensor import Tensor

__all__ = ["Module", "RemovableHandle", "_IncompatibleKeys"]

Self = TypeVar("Self", bound="Module")
_TABLES = ("_parameters", "_buffers", "_modules")
_CALL_HOOKS = ("_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_pre_hooks")
_OTHER_HOOKS = (
    "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


class Module(HookMixin, StateMixin, WalkMixin, _convert.ConvertMixin):
    """A function of tensors with state: parameters θ, buffers and submodules; y = forward(x; θ).

    A subclass calls `super().__init__()`, assigns its parts as attributes and defines `forward`. Parameters, buffers
    and submodules are kept in `_parameters`, `_buffers` and `_modules` and, since a Python `__getattr__` would cost
    1 µs for each of them, in the instance dictionary too.

    Errors: AttributeError if a part is assigned before `super().__init__()`; TypeError if something else is assigned
    over a part (None removes it). Source: torch.nn.Module.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fc = nn.Linear(3, 2)
        ...     def forward(self, x):
        ...         return self.fc(x).relu()
        >>> net = Net()
        >>> net
        Net(
          (fc): Linear(in_features=3, out_features=2, bias=True)
        )
        >>> [name for name, p in net.named_parameters()]
        ['fc.weight', 'fc.bias']
        >>> net(pydl.ones(4, 3)).shape == (4, 2)
        True
    """

    training: bool
    call_super_init: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                name = next(iter(kwargs))
                raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{name}'")
            if args:
                n = len(args) + 1
                raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {n} were given")
        state = self.__dict__
        state["training"] = True
        for name in _TABLES:
            state[name] = Registry(self)
        state["_non_persistent_buffers_set"] = set()
        state["_hooked"] = False
        for name in _CALL_HOOKS:
            state[name] = HookTable(self)
        for name in _OTHER_HOOKS:
            state[name] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass defines it. Call the module itself, so that hooks run."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # ---- registering parts -------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter; None reserves the name."""
        self._check_name("parameter", "_parameters", name)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"{type(self).__name__}: cannot assign '{_convert.typename(param)}' object to parameter '{name}' "
                    "(nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}': a parameter is a leaf. Compute what depends "
                    "on other tensors in forward()."
                )
        for hook in EVERY.parameter_added.values():
            other = hook(self, name, param)
            param = param if other is None else other
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state but not trained; if not `persistent` it stays out of `state_dict`."""
        self._check_name("buffer", "_buffers", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"{type(self).__name__}: cannot assign '{_convert.typename(tensor)}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        for hook in EVERY.buffer_added.values():
            other = hook(self, name, tensor)
            tensor = tensor if other is None else other
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule; None reserves the name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_convert.typename(module)} is not a Module subclass")
        self._check_name("module", "_modules", name)
        self._put_module(name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of `add_module`."""
        self.add_module(name, module)

    def _put_module(self, name: str, module: Module | None) -> None:
        for hook in EVERY.module_added.values():
            other = hook(self, name, module)
            module = module if other is None else other
        self._modules[name] = module

    def _check_name(self, kind: str, table: str, name: Any) -> None:
        own = self.__dict__.get(table)
        if own is None:
            plural = "parameters" if kind == "parameter" else kind
            raise AttributeError(f"{type(self).__name__}: cannot assign {plural} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_convert.typename(name)}")
        if name not in own and hasattr(self, name):
            raise KeyError(f"{type(self).__name__}: attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain "."' + (f", got: {name}" if kind == "module" else ""))
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    # ---- attributes --------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Reached only when ordinary lookup fails: from subclasses that extend it, and for parts hidden by a property.
        state = self.__dict__
        for table in _TABLES:
            if name in state.get(table, ()):
                return state[table][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._make_room(name, "parameters", "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._make_room(name, "module", "_parameters", "_buffers")
            self._put_module(name, value)
        elif name in _TABLES and name in state:
            state[name].release(self)
            state[name] = Registry(self, value)
        elif name in state.get("_parameters", ()):
            self._check_replacement(value is None, value, name, "parameter", "nn.Parameter")
            self.register_parameter(name, None)
        elif name in state.get("_modules", ()):
            self._check_replacement(value is None, value, name, "child module", "nn.Module")
            self._put_module(name, None)
        elif isinstance(value, Buffer) or name in state.get("_buffers", ()):
            if name not in state.get("_buffers", ()):
                self._make_room(name, "buffer")
            self._check_replacement(value is None or isinstance(value, Tensor), value, name, "buffer", "Tensor")
            keep = name not in state.get("_non_persistent_buffers_set", ())
            self.register_buffer(name, value, value.persistent if isinstance(value, Buffer) else keep)
        elif name in _CALL_HOOKS:
            _set_hooks(self, name, value)
        else:
            object.__setattr__(self, name, value)

    def _make_room(self, name: str, kind: str, *tables: str) -> None:
        """Forgets what `name` was before it becomes a part of another kind."""
        state = self.__dict__
        if "_modules" not in state:
            raise AttributeError(f"{type(self).__name__}: cannot assign {kind} before Module.__init__() call")
        for table in tables:
            state[table].pop(name, None)
        state["_non_persistent_buffers_set"].discard(name)
        if all(name not in state[table] for table in _TABLES):
            state.pop(name, None)

    def _check_replacement(self, allowed: bool, value: Any, name: str, what: str, expected: str) -> None:
        if not allowed:
            raise TypeError(
                f"{type(self).__name__}: cannot assign '{_convert.typename(value)}' as {what} '{name}' "
                f"({expected} or None expected)"
            )

    def __delattr__(self, name: str) -> None:
        for table in _TABLES:
            if name in self.__dict__.get(table, ()):
                del self.__dict__[table][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        # The numbers under which containers keep their modules cannot be typed as attributes.
        state = self.__dict__
        names = {*dir(type(self)), *state, *(name for table in _TABLES for name in state.get(table, ()))}
        return sorted(name for name in names if not name[:1].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _TABLES:
            table = state.get(name, {})
            if isinstance(table, Registry):
                table.adopt(self)
            else:
                self.__dict__[name] = Registry(self, table)
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_hooked", False)
        for name in _CALL_HOOKS:
            hooks = self.__dict__.get(name, {})
            if isinstance(hooks, HookTable):
                hooks.adopt(self)
            else:
                _set_hooks(self, name, hooks)
        for name in _OTHER_HOOKS:
            self.__dict__.setdefault(name, OrderedDict())

    # ---- modes -------------------------------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Puts this module and all below it into training mode (or, with False, evaluation mode)."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: training mode is expected to be boolean, not {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Puts this module and all below it into evaluation mode."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Says of every parameter whether it needs a gradient."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drops the gradients of all parameters, or (`set_to_none=False`) fills them with zeros."""
        optimizers.clear_gradients(self.parameters(), set_to_none)

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Calls `fn` on every module below this one and then on this one, for instance to initialize them."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- text --------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of the module's text; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): " + indent(repr(module)) for name, module in self._modules.items()]
        return frame(self._get_name(), lines, children)


def _set_hooks(module: Module, name: str, hooks: dict[int, Any]) -> None:
    """Makes `hooks` the module's table of that name."""
    module.__dict__[name] = HookTable(module)
    module.__dict__[name].update(hooks)


def indent(text: str, n_spaces: int = 2) -> str:
    """All lines but the first moved to the right."""
    return text.replace("\n", "\n" + " " * n_spaces)


def frame(name: str, lines: list[str], children: list[str]) -> str:
    """`Name(extra)` on one line if that is all, else every entry on a line of its own."""
    if not children and len(lines) <= 1:
        return f"{name}({''.join(lines)})"
    return f"{name}(\n  " + "\n  ".join([*lines, *children]) + "\n)"


def _register_global(table: str, *flags: str) -> Callable[..., RemovableHandle]:
    def register(hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
        chosen = [getattr(EVERY, flag) for flag, on in zip(flags, (with_kwargs, always_call), strict=False) if on]
        return add_hook(getattr(EVERY, table), hook, False, *chosen)

    return register


register_module_forward_pre_hook = _register_global("forward_pre")
register_module_forward_hook = _register_global("forward", "with_kwargs", "always")
register_module_full_backward_pre_hook = _register_global("backward_pre")
register_module_full_backward_hook = _register_global("backward")
register_module_parameter_registration_hook = _register_global("parameter_added")
register_module_buffer_registration_hook = _register_global("buffer_added")
register_module_module_registration_hook = _register_global("module_added")
