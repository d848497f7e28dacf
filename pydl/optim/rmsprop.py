# SPDX-License-Identifier: BSD-3-Clause
"""RMSprop: steps scaled by a running mean of the squared gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(Compiled):
    """s ← α s + (1 − α) g²; θ ← θ − γ g / (√s + ε).

    γ = `lr`, α = `alpha`. `centered` takes the variance s − ḡ² with the running mean ḡ in the place of s; with
    `momentum` μ the step is the buffer b ← μ b + g / (√s + ε). `weight_decay` λ adds λ θ to g; `maximize` turns the
    sign of g. `foreach` is accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.RMSprop; Hinton 2012 (lecture 6); Graves 2013 (centered).

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.RMSprop([p], lr=0.01)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.7800, -1.7753])
    """

    _take_step = optimizers.rmsprop
    _later = {
        "momentum": 0, "centered": False, "foreach": None, "maximize": False, "differentiable": False,
        "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate("RMSprop", lr)
        check_not_negative("RMSprop", eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        check_switches("RMSprop", differentiable, capturable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
