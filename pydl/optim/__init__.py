# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers: they change parameters by their gradients."""

from pydl.optim.optimizer import Optimizer, required
from pydl.optim.sgd import SGD

__all__ = ["SGD", "Optimizer", "required"]
