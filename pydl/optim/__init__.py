# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers: they change parameters by their gradients. `lr_scheduler` changes their learning rates."""

from typing import TYPE_CHECKING

from pydl._absent import nearest as _nearest
from pydl.optim import lr_scheduler
from pydl.optim.adadelta import Adadelta
from pydl.optim.adagrad import Adagrad
from pydl.optim.adam import Adam
from pydl.optim.adamax import Adamax
from pydl.optim.adamw import AdamW
from pydl.optim.asgd import ASGD
from pydl.optim.lbfgs import LBFGS
from pydl.optim.nadam import NAdam
from pydl.optim.optimizer import Optimizer, required
from pydl.optim.radam import RAdam
from pydl.optim.rmsprop import RMSprop
from pydl.optim.rprop import Rprop
from pydl.optim.sgd import SGD

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop",
    "Rprop", "lr_scheduler", "required",
]  # fmt: skip

if not TYPE_CHECKING:  # type checkers find such names themselves

    def __getattr__(name: str) -> object:
        raise AttributeError(_nearest(name, __all__, "pydl.optim"))
