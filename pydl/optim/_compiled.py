# SPDX-License-Identifier: BSD-3-Clause
"""What the optimizers have in common whose step is one compiled call for all parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydl import autograd
from pydl._core import dtypes, tape
from pydl.optim.optimizer import Optimizer
from pydl.tensor import Tensor

__all__ = ["Compiled", "check_betas", "check_not_negative", "check_rate", "check_switches", "new_scalar"]


class Compiled(Optimizer):
    """An optimizer with a compiled step: all groups are checked and all memory is taken before anything is written."""

    _take_step: ClassVar[Callable[[list[Any], dict[Any, Any]], None]]
    _later: ClassVar[dict[str, Any]] = {}  # options that states saved by older versions lack
    _scalars: ClassVar[tuple[str, ...]] = ("step",)  # state that older versions saved as numbers

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure`, if given, computes loss and gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with autograd.enable_grad():
                loss = closure()
        type(self)._take_step(self.param_groups, self.state)
        return loss

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self._later.items():
                group.setdefault(name, value)
        for values in self.state.values():
            for name in self._scalars:
                if isinstance(values, dict) and isinstance(values.get(name), (int, float)):
                    values[name] = new_scalar(values[name])


def new_scalar(value: float) -> Tensor:
    """A number of the state, as PyTorch keeps it: a 0-d tensor of the default type."""
    made: Any = tape.empty((), dtypes.default_np())
    return made.fill_(value)


def check_rate(owner: str, lr: Any) -> None:
    """The learning rate: a number that is not negative, or a tensor of one."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"{owner}: Tensor lr must be 1-element, not {tuple(lr.shape)}")
    if not float(lr) >= 0.0:
        raise ValueError(f"{owner}: Invalid learning rate: {lr}")


def check_not_negative(owner: str, **options: Any) -> None:
    """ValueError naming the first option that is negative or no number."""
    for name, value in options.items():
        if not float(value) >= 0.0:
            raise ValueError(f"{owner}: Invalid {'epsilon' if name == 'eps' else name} value: {value}")


def check_betas(owner: str, betas: Any) -> None:
    """Two numbers of [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= float(betas[i]) < 1.0:
            raise ValueError(f"{owner}: Invalid beta parameter at index {i}: {betas[i]}")


def check_switches(
    owner: str, differentiable: bool, capturable: bool = False, foreach: bool | None = None, fused: bool | None = None
) -> None:
    """`foreach` and `fused` choose nothing here: there is one way. The others are not covered."""
    if fused and foreach:
        raise RuntimeError(f"{owner}: `fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(f"{owner}: differentiable=True is not covered; steps are not recorded")
    if capturable:
        raise NotImplementedError(f"{owner}: capturable=True is not covered; it is for CUDA graphs")
