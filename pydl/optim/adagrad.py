# SPDX-License-Identifier: BSD-3-Clause
"""Adagrad: steps scaled by the sum of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.creation import full_like
from pydl.optim._compiled import Compiled, check_not_negative, check_rate, check_switches, new_scalar
from pydl.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Compiled):
    """s ← s + g²; θ ← θ − γ / (1 + (t − 1) η) · g / (√s + ε).

    γ = `lr`, η = `lr_decay`; s begins with `initial_accumulator_value`. `weight_decay` λ adds λ θ to g; `maximize`
    turns the sign of g. `foreach` and `fused` are accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `differentiable`.
    Source: torch.optim.Adagrad; Duchi et al. 2011.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.Adagrad([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.7805, -1.7758])
    """

    _take_step = optimizers.adagrad
    _later = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_rate("Adagrad", lr)
        check_not_negative("Adagrad", lr_decay=lr_decay, weight_decay=weight_decay)
        check_not_negative("Adagrad", initial_accumulator_value=initial_accumulator_value, eps=eps)
        check_switches("Adagrad", differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param] = {
                    "step": new_scalar(0.0),
                    "sum": full_like(param.detach(), float(group["initial_accumulator_value"])),
                }

    def share_memory(self) -> None:
        """Without effect: a process's tensors are its own. Source: torch.optim.Adagrad.share_memory."""
