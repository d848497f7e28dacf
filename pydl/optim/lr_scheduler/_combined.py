# SPDX-License-Identifier: BSD-3-Clause
"""Schedules made of others: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from pydl.optim.lr_scheduler._base import LRScheduler, set_option, values_of
from pydl.optim.lr_scheduler._plateau import ReduceLROnPlateau
from pydl.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Combined(LRScheduler):
    _schedulers: Sequence[LRScheduler]

    def _check_parts(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        name = type(self).__name__
        if len(schedulers) < 1:
            use = " to be chained" if isinstance(self, ChainedScheduler) else ""
            raise ValueError(f"{name} expects at least one scheduler{use}, but got no scheduler.")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            optimizer = optimizer or scheduler.optimizer
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
                    f"specified when calling `step`, but got one at index {i} in the given schedulers sequence."
                )
            if optimizer is not scheduler.optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
                    f"{type(scheduler).__name__} at index {i} has {scheduler.optimizer}, which is different from "
                    f"{type(optimizer).__name__}."
                )
        return schedulers[0].optimizer

    def state_dict(self) -> dict[str, Any]:
        """All that changes, with the states of the parts under "_schedulers"."""
        parts = [scheduler.state_dict() for scheduler in self._schedulers]
        return {**super().state_dict(), "_schedulers": parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues where `state_dict` was taken."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class ChainedScheduler(_Combined):
    """Steps all `schedulers` of one optimizer each time, so that their factors multiply.

    Errors: ValueError for none, for schedulers of different optimizers, for ReduceLROnPlateau.
    Source: torch.optim.lr_scheduler.ChainedScheduler.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> from pydl.optim import lr_scheduler
        >>> opt = optim.SGD([nn.Parameter(pydl.ones(1))], lr=1.0)
        >>> halve, tenth = lr_scheduler.ExponentialLR(opt, 0.5), lr_scheduler.StepLR(opt, 2, 0.1)
        >>> scheduler = lr_scheduler.ChainedScheduler([halve, tenth])
        >>> for _ in range(2):
        ...     opt.step(); scheduler.step()
        >>> scheduler.get_last_lr()
        [0.025]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._check_parts(schedulers, optimizer)
        self._schedulers = schedulers
        self._last_lr = values_of(self.optimizer, "lr")

    def step(self, epoch: int | None = None) -> None:
        """Steps all parts."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = values_of(self.optimizer, "lr")


class SequentialLR(_Combined):
    """The first of the `schedulers` until the first of the `milestones`, then the second, and so on: for a warm-up.

    Errors: ValueError for none, for a number of milestones that does not fit, for schedulers of different optimizers,
    for ReduceLROnPlateau. Source: torch.optim.lr_scheduler.SequentialLR.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> from pydl.optim import lr_scheduler
        >>> opt = optim.SGD([nn.Parameter(pydl.ones(1))], lr=1.0)
        >>> warm, fall = lr_scheduler.LinearLR(opt, 0.5, total_iters=2), lr_scheduler.ExponentialLR(opt, 0.5)
        >>> scheduler = lr_scheduler.SequentialLR(opt, [warm, fall], milestones=[2])
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(opt.param_groups[0]["lr"])
        ...     opt.step(); scheduler.step()
        >>> rates
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "SequentialLR: Sequential Schedulers expects number of schedulers provided to be one more than the "
                "number of "
                f"milestone points, but got number of schedulers {len(schedulers)} and the number of milestones to be "
                f"equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            set_option(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Takes back the first step that each part did when it was made."""
        parts: Any = self if sched is None else sched
        if hasattr(parts, "_schedulers"):
            for part in parts._schedulers:
                self.recursive_undo(part)
        elif hasattr(parts, "last_epoch"):
            parts.last_epoch -= 1

    def step(self, epoch: int | None = None) -> None:
        """Steps the part whose turn it is; one whose turn begins starts from the groups' first learning rates."""
        self.last_epoch += 1
        number = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[number]
        if number > 0 and self._milestones[number - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()
