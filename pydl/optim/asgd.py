# SPDX-License-Identifier: BSD-3-Clause
"""Averaged SGD: gradient descent that also keeps the mean of where it has been."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(Compiled):
    """θ ← (1 − λ η) θ − η g with η = γ / (1 + λ γ t)^α; the state's "ax" is the mean of θ over the steps after `t0`.

    γ = `lr`, λ = `lambd`, α = `alpha`. `weight_decay` w adds w θ to g; `maximize` turns the sign of g. `foreach` is
    accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.ASGD; Polyak and Juditsky 1992.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.ASGD([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.5120, -1.0240])
    """

    _take_step = optimizers.asgd
    _later = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}
    _scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate("ASGD", lr)
        check_not_negative("ASGD", weight_decay=weight_decay)
        check_switches("ASGD", differentiable, capturable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)
