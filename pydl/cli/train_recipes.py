# SPDX-License-Identifier: BSD-3-Clause
"""How each network is trained unless the user says otherwise, and the objects that this takes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import pydl
from pydl import nn, optim
from pydl.models import CNN, MLP, LeNet5
from pydl.optim import lr_scheduler

__all__ = [
    "MODELS",
    "OPTIMIZERS",
    "RECIPES",
    "SCHEDULERS",
    "Recipe",
    "make_model",
    "make_optimizer",
    "make_scheduler",
    "vary",
]

MODELS = {"digits": ("cnn", "mlp"), "fashion": ("lenet", "mlp"), "mnist": ("lenet", "mlp")}  # the first is the default
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULERS = ("none", "cosine", "step", "onecycle")
MOMENTUM = 0.9
WEIGHT_DECAY = {"sgd": 5e-4, "adam": 0.0, "adamw": 1e-2}
HIDDEN = (512, 256)
STEP_FALLS, STEP_GAMMA = 3, 0.1  # the schedule "step" divides the training into that many parts


@dataclass(frozen=True)
class Recipe:
    """Numbers that suit a network; `lr` by optimizer, `mirror` and `shift` (pixels) vary the training images."""

    epochs: int
    batch: int
    optimizer: str
    scheduler: str
    lr: dict[str, float]
    smoothing: float
    mirror: bool = False
    shift: int = 0


# Digits: chosen by 4-fold cross-validation inside the training part; Fashion-MNIST: with the last 5,000 training images
# held out. The test sets were not looked at.
RECIPES = {
    ("digits", "cnn"): Recipe(12, 32, "adamw", "onecycle", {"sgd": 0.05, "adam": 5e-3, "adamw": 5e-3}, 0.1),
    ("digits", "mlp"): Recipe(30, 32, "sgd", "cosine", {"sgd": 0.2, "adam": 2e-3, "adamw": 2e-3}, 0.2),
    ("fashion", "lenet"): Recipe(
        24, 64, "adamw", "onecycle", {"sgd": 0.04, "adam": 4e-3, "adamw": 4e-3}, 0.0, mirror=True, shift=1
    ),
    ("fashion", "mlp"): Recipe(20, 64, "sgd", "cosine", {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}, 0.1, mirror=True),
    ("mnist", "lenet"): Recipe(10, 64, "adamw", "onecycle", {"sgd": 0.04, "adam": 4e-3, "adamw": 4e-3}, 0.0, shift=1),
    ("mnist", "mlp"): Recipe(15, 64, "sgd", "cosine", {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}, 0.1),
}


def make_model(name: str, side: int, classes: int) -> nn.Module:
    """A new network for pictures of side² pixels, with weights from the default generator."""
    if name == "mlp":
        return MLP(side * side, *HIDDEN, classes)
    if name == "lenet":
        return LeNet5(classes, activation="relu", pool="max")
    return CNN(side=side, classes=classes)


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


def vary(x: Any, recipe: Recipe, blank: float, generator: pydl.Generator) -> Any:
    """Pictures (N, 1, H, W), each mirrored or not and shifted by up to `recipe.shift` pixels, as the generator says."""
    n, _, height, width = x.shape
    a = x.numpy()
    if recipe.mirror:
        chosen = pydl.rand(n, generator=generator).numpy() < 0.5
        a = a.copy()
        a[chosen] = a[chosen][..., ::-1]
    if recipe.shift:
        reach = recipe.shift
        around = ((0, 0), (0, 0), (reach, reach), (reach, reach))
        padded = np.pad(a, around, constant_values=blank)
        down, right = pydl.randint(0, 2 * reach + 1, (2, n), generator=generator).numpy()
        rows, columns = down[:, None] + np.arange(height), right[:, None] + np.arange(width)
        a = padded[np.arange(n)[:, None, None], 0, rows[:, :, None], columns[:, None, :]][:, None]
    return pydl.from_numpy(np.ascontiguousarray(a))
