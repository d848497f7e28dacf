# SPDX-License-Identifier: BSD-3-Clause
"""AdamW: Adam with weight decay that does not pass through the running means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl.optim.adam import Adam
from pydl.tensor import Tensor

__all__ = ["AdamW"]


class AdamW(Adam):
    """θ ← (1 − γ λ) θ, then Adam's step. γ = `lr`, λ = `weight_decay`; the other options are Adam's.

    Errors: as Adam. Source: torch.optim.AdamW; Loshchilov and Hutter 2019.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.AdamW([p], lr=0.1, weight_decay=0.01)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.6989, -1.6949])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True  # whatever the loaded state was saved by
