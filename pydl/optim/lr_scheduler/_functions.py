# SPDX-License-Identifier: BSD-3-Clause
"""Schedules given as functions of the epoch."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from pydl.optim.lr_scheduler._base import LRScheduler, check_optimizer
from pydl.optim.optimizer import Optimizer

__all__ = ["LambdaLR", "MultiplicativeLR"]


class _FunctionLR(LRScheduler):
    lr_lambdas: list[Callable[[int], float]]

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        n = len(optimizer.param_groups)
        if not isinstance(lr_lambda, (list, tuple)):
            self.lr_lambdas = [lr_lambda] * n
        elif len(lr_lambda) != n:
            raise ValueError(f"{type(self).__name__}: Expected {n} lr_lambdas, but got {len(lr_lambda)}")
        else:
            self.lr_lambdas = list(lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"{type(self).__name__}: lr_lambda should be a function, but got {type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """All that changes. Functions cannot be saved and stand as None; of callable objects, the attributes are."""
        objects = [not isinstance(function, types.FunctionType) for function in self.lr_lambdas]
        pairs = zip(self.lr_lambdas, objects, strict=True)
        saved = [dict(vars(function)) if is_object else None for function, is_object in pairs]
        return {**super().state_dict(), "lr_lambdas": saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken; the functions stay those of this scheduler."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                vars(function).update(saved)


class LambdaLR(_FunctionLR):
    """γ_t = γ_0 · f(t) with f = `lr_lambda`, one for all groups or a list of them.

    Errors: ValueError for a list of another length than the groups. Source: torch.optim.lr_scheduler.LambdaLR.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> opt = optim.SGD([nn.Parameter(pydl.ones(1))], lr=1.0)
        >>> scheduler = optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.5**epoch)
        >>> opt.step(); scheduler.step(); opt.param_groups[0]["lr"]
        0.5
    """

    def get_lr(self) -> list[Any]:
        """The learning rates of the groups at `last_epoch`."""
        self._check_call()
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * function(self.last_epoch) for function, base in pairs]


class MultiplicativeLR(_FunctionLR):
    """γ_t = γ_(t−1) · f(t) with f = `lr_lambda`, one for all groups or a list of them.

    Errors: ValueError for a list of another length than the groups; TypeError for what cannot be called.
    Source: torch.optim.lr_scheduler.MultiplicativeLR.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> opt = optim.SGD([nn.Parameter(pydl.ones(1))], lr=1.0)
        >>> scheduler = optim.lr_scheduler.MultiplicativeLR(opt, lambda epoch: 0.5)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates.append(opt.param_groups[0]["lr"])
        ...     opt.step(); scheduler.step()
        >>> rates
        [1.0, 0.5, 0.25, 0.125]
    """

    def get_lr(self) -> list[Any]:
        """The learning rates of the groups at `last_epoch`."""
        self._check_call()
        if self._is_initial:
            return self._unchanged()
        pairs = zip(self.lr_lambdas, self.optimizer.param_groups, strict=True)
        return [group["lr"] * function(self.last_epoch) for function, group in pairs]
