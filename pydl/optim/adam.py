# SPDX-License-Identifier: BSD-3-Clause
"""Adam: steps scaled by running means of the gradient and of its square."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_betas, check_not_negative, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["Adam"]


class Adam(Compiled):
    """m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; θ ← θ − γ m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).

    γ = `lr`. `weight_decay` λ adds λ θ to g, or with `decoupled_weight_decay` shrinks θ by 1 − γ λ first (AdamW).
    `amsgrad` puts the largest v so far in the place of v; `maximize` turns the sign of g. `foreach` and `fused` are
    accepted without effect: a step is always one compiled call for all parameters.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.Adam; Kingma and Ba 2015; Reddi et al. 2018 (amsgrad).

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.Adam([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.7016, -1.7006])
    """

    _take_step = optimizers.adam
    _later = {
        "amsgrad": False, "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "fused": None, "decoupled_weight_decay": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_rate(type(self).__name__, lr)
        check_not_negative(type(self).__name__, eps=eps)
        check_betas(type(self).__name__, betas)
        check_not_negative(type(self).__name__, weight_decay=weight_decay)
        check_switches(type(self).__name__, differentiable, capturable, foreach, fused)
        defaults = {
            "lr": lr,
            "betas": tuple(beta.item() if isinstance(beta, Tensor) else beta for beta in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
