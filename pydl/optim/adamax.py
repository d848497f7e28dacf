# SPDX-License-Identifier: BSD-3-Clause
"""Adamax: Adam with a running maximum in the place of the mean of squares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_betas, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(Compiled):
    """m ← β₁ m + (1 − β₁) g; u ← max(β₂ u, |g| + ε); θ ← θ − γ m / ((1 − β₁ᵗ) u).

    γ = `lr`; `weight_decay` λ adds λ θ to g; `maximize` turns the sign of g. `foreach` is accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.Adamax; Kingma and Ba 2015.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.Adamax([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.7155, -1.7076])
    """

    _take_step = optimizers.adamax
    _later = {
        "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate("Adamax", lr)
        check_not_negative("Adamax", eps=eps)
        check_betas("Adamax", betas)
        check_not_negative("Adamax", weight_decay=weight_decay)
        check_switches("Adamax", differentiable, capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
