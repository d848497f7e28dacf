# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers: they change parameters by their gradients."""

from pydl._absent import nearest as _nearest
from pydl.optim.optimizer import Optimizer, required
from pydl.optim.sgd import SGD

__all__ = ["SGD", "Optimizer", "required"]


def __getattr__(name: str) -> object:
    raise AttributeError(_nearest(name, __all__, "pydl.optim"))
