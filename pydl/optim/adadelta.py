# SPDX-License-Identifier: BSD-3-Clause
"""Adadelta: steps in the units of the parameters, without a learning rate to choose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(Compiled):
    """s ← ρ s + (1 − ρ) g²; Δ = √(a + ε) / √(s + ε) · g; a ← ρ a + (1 − ρ) Δ²; θ ← θ − γ Δ.

    γ = `lr`, ρ = `rho`. `weight_decay` λ adds λ θ to g; `maximize` turns the sign of g. `foreach` is accepted without
    effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.Adadelta; Zeiler 2012.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.Adadelta([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.9990, -1.9990])
    """

    _take_step = optimizers.adadelta
    _later = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate("Adadelta", lr)
        if not 0.0 <= float(rho) <= 1.0:
            raise ValueError(f"Adadelta: Invalid rho value: {rho}")
        check_not_negative("Adadelta", eps=eps, weight_decay=weight_decay)
        check_switches("Adadelta", differentiable, capturable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)
