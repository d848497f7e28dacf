# SPDX-License-Identifier: BSD-3-Clause
"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_switches
from pydl.tensor import Tensor

__all__ = ["SGD"]


class SGD(Compiled):
    """Gradient descent with momentum: g ← g + λ θ; v ← μ v + (1 − τ) g; θ ← θ − γ v.

    γ = `lr`, μ = `momentum`, τ = `dampening`, λ = `weight_decay`. The first v is g itself. Without momentum v = g;
    with `nesterov` the step is g + μ v; with `maximize` the sign of g is turned first.
    All parameters are changed by one compiled call. `foreach` and `fused` are accepted without effect.

    Errors: ValueError for negative options, or `nesterov` without momentum or with dampening; NotImplementedError for
    `differentiable`. Source: torch.optim.SGD; Sutskever et al. 2013.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.ones(1))
        >>> opt = optim.SGD([p], lr=0.1, momentum=0.9)
        >>> for _ in range(2):
        ...     opt.zero_grad()
        ...     p.sum().backward()
        ...     opt.step()
        >>> p
        Parameter containing:
        tensor([0.7100], requires_grad=True)
    """

    _take_step = optimizers.sgd
    _later = {"nesterov": False, "maximize": False, "foreach": None, "differentiable": False, "fused": None}
    _scalars = ()

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if float(lr) < 0.0:
            raise ValueError(f"SGD: Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"SGD: Invalid momentum value: {momentum}")
        if float(weight_decay) < 0.0:
            raise ValueError(f"SGD: Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: Nesterov momentum requires a momentum and zero dampening")
        check_switches("SGD", differentiable, foreach=foreach, fused=fused)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for values in self.state.values():
            if isinstance(values, dict) and values.get("momentum_buffer", self) is None:
                del values["momentum_buffer"]  # how PyTorch saves one that is not there yet
