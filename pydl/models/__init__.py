# SPDX-License-Identifier: BSD-3-Clause
"""Ready-made networks."""

from pydl.models.cnn import CNN
from pydl.models.lenet import LeNet5
from pydl.models.mlp import MLP, MyNet

__all__ = ["CNN", "MLP", "LeNet5", "MyNet"]
