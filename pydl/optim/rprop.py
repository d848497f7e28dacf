# SPDX-License-Identifier: BSD-3-Clause
"""Rprop: steps by the sign of the gradient alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydl._core import optimizers
from pydl.optim._compiled import Compiled, check_rate, check_switches
from pydl.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(Compiled):
    """θ ← θ − sign(g) Δ; an element's Δ grows by η₊ while its gradient keeps its sign, and shrinks by η₋ when it turns.

    Δ begins with `lr` and stays within `step_sizes`; (η₋, η₊) = `etas`. Where the sign turned, the element rests for
    that step. For full batches. `maximize` turns the sign of g. `foreach` is accepted without effect.

    Errors: ValueError for options out of range; NotImplementedError for `capturable` and `differentiable`.
    Source: torch.optim.Rprop; Riedmiller and Braun 1993.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([1.0, -2.0]))
        >>> opt = optim.Rprop([p], lr=0.1)
        >>> for _ in range(3):
        ...     opt.zero_grad()
        ...     (p * p).sum().backward()
        ...     opt.step()
        >>> p.detach()
        tensor([ 0.6360, -1.6360])
    """

    _take_step = optimizers.rprop
    _later = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate("Rprop", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Rprop: Invalid eta values: {etas[0]}, {etas[1]}")
        check_switches("Rprop", differentiable, capturable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)
