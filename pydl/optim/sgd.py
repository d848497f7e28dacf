# SPDX-License-Identifier: BSD-3-Clause
"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydl import autograd
from pydl._core import update
from pydl.optim.optimizer import Optimizer
from pydl.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum: g ← g + λ θ; v ← μ v + (1 − τ) g; θ ← θ − γ v.

    γ = `lr`, μ = `momentum`, τ = `dampening`, λ = `weight_decay`. The first v is g itself. Without momentum v = g;
    with `nesterov` the step is g + μ v; with `maximize` the sign of g is turned first.
    All parameters of a group are changed by one compiled call. `foreach` and `fused` are accepted without effect.

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
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if float(weight_decay) < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        if differentiable:
            raise NotImplementedError("SGD: differentiable=True is not covered; steps are not recorded")
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
        for group in self.param_groups:  # states saved before an option existed
            for name, value in (("nesterov", False), ("maximize", False), ("foreach", None),
                                ("differentiable", False), ("fused", None)):  # fmt: skip
                group.setdefault(name, value)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure`, if given, computes loss and gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with autograd.enable_grad():
                loss = closure()
        # All is prepared before anything changes: running out of memory leaves parameters and state as they were.
        for params, grads, bufs, first, group in [self._prepared(group) for group in self.param_groups]:
            update.sgd(
                params,
                grads,
                bufs,
                float(group["lr"]),
                float(group["momentum"]),
                float(group["dampening"]),
                float(group["weight_decay"]),
                group["nesterov"],
                group["maximize"],
                first,
            )
            if True in first:
                for param, buf, new in zip(params, bufs, first, strict=True):
                    if new:
                        self.state[param]["momentum_buffer"] = buf
        return loss

    def _prepared(self, group: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any], list[bool], dict[str, Any]]:
        """What the compiled call takes: parameters, gradients, momentum buffers, and which of these are still empty."""
        params = group["params"]
        grads = [grad for param in params if (grad := param.grad) is not None]
        if len(grads) < len(params):
            params = [param for param in params if param.grad is not None]
        if group["momentum"] == 0:
            return params, grads, [], [], group
        state: Any = self.state.get
        try:
            return params, grads, [state(param)["momentum_buffer"] for param in params], [False] * len(params), group
        except (KeyError, TypeError):  # the first step of a parameter
            found = [state(param, {}).get("momentum_buffer") for param in params]
        bufs = [param.new_empty(param.shape) if buf is None else buf for param, buf in zip(params, found, strict=True)]
        return params, grads, bufs, [buf is None for buf in found], group
