# SPDX-License-Identifier: BSD-3-Clause
"""Learning rates that change during training. Call `scheduler.step()` after `optimizer.step()`.

Every scheduler writes "lr" of the optimizer's groups; those that multiply what is there can be chained. `state_dict`
and `load_state_dict` continue a schedule.
"""

from typing import TYPE_CHECKING

from pydl._absent import nearest as _nearest
from pydl.optim.lr_scheduler._base import LRScheduler
from pydl.optim.lr_scheduler._combined import ChainedScheduler, SequentialLR
from pydl.optim.lr_scheduler._cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from pydl.optim.lr_scheduler._cycles import CyclicLR, OneCycleLR
from pydl.optim.lr_scheduler._factors import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR
from pydl.optim.lr_scheduler._functions import LambdaLR, MultiplicativeLR
from pydl.optim.lr_scheduler._plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip

if not TYPE_CHECKING:  # type checkers find such names themselves

    def __getattr__(name: str) -> object:
        raise AttributeError(_nearest(name, __all__, "pydl.optim.lr_scheduler"))
