# SPDX-License-Identifier: BSD-3-Clause
"""RAdam: Adam that waits until its running mean of squares is worth something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_betas, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["RAdam"]


class RAdam(Compiled):
    """As Adam with the step γ m̂ rₜ √(1 − β₂ᵗ) / (√v + ε) once ρₜ > 5, and γ m̂ before.

    ρₜ = ρ − 2 t β₂ᵗ / (1 − β₂ᵗ) with ρ = 2 / (1 − β₂) − 1 is how many gradients v stands for, and
    rₜ = √((ρₜ − 4)(ρₜ − 2) ρ / ((ρ − 4)(ρ − 2) ρₜ)) makes up for the variance of the rest. γ = `lr`, m̂, v and the
    weight decay are Adam's. `foreach` is accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.RAdam; Liu et al. 2020.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.RAdam([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.4623, -0.9246])
    """

    _take_step = optimizers.radam
    _later = {
        "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "decoupled_weight_decay": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate("RAdam", lr)
        check_not_negative("RAdam", eps=eps)
        check_betas("RAdam", betas)
        check_not_negative("RAdam", weight_decay=weight_decay)
        check_switches("RAdam", differentiable, capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
