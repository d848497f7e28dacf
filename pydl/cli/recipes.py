# SPDX-License-Identifier: BSD-3-Clause
"""How a network is trained unless the user says otherwise, and the objects that this takes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from pydl import nn, optim
from pydl.optim import lr_scheduler

__all__ = ["MOMENTUM", "OPTIMIZERS", "SCHEDULES", "WEIGHT_DECAY", "Recipe", "make_optimizer", "make_scheduler"]

OPTIMIZERS = ("sgd", "adam", "adamw")
# What --scheduler takes, and how the heading calls it.
SCHEDULES = {
    "none": "constant", "cosine": "falling to 0", "step": "falling tenfold twice",
    "onecycle": "rising, then falling to 0",
}  # fmt: skip
MOMENTUM = 0.9
WEIGHT_DECAY = {"sgd": 5e-4, "adam": 0.0, "adamw": 1e-2}
STEP_FALLS, STEP_GAMMA = 3, 0.1  # the schedule "step" divides the training into that many parts


@dataclass(frozen=True)
class Recipe:
    """Numbers that suit a network; `lr` by optimizer; `minutes` is the limit of the training time, None for none."""

    epochs: int
    batch: int
    optimizer: str
    scheduler: str
    lr: dict[str, float]
    smoothing: float = 0.0
    minutes: float | None = 5.0


def make_optimizer(options: argparse.Namespace, model: nn.Module) -> optim.Optimizer:
    """The optimizer that the options name."""
    decay = WEIGHT_DECAY[options.optimizer]
    if options.optimizer == "sgd":
        return optim.SGD(model.parameters(), options.lr, MOMENTUM, weight_decay=decay, nesterov=True)
    kind = optim.Adam if options.optimizer == "adam" else optim.AdamW
    return kind(model.parameters(), options.lr, weight_decay=decay)


def make_scheduler(
    options: argparse.Namespace, optimizer: optim.Optimizer, n_steps: int
) -> lr_scheduler.LRScheduler | None:
    """The schedule over all steps that the options name."""
    if options.scheduler == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    if options.scheduler == "step":
        return lr_scheduler.StepLR(optimizer, max(1, -(-n_steps // STEP_FALLS)), STEP_GAMMA)
    if options.scheduler == "onecycle":
        return lr_scheduler.OneCycleLR(optimizer, options.lr, n_steps)
    return None
