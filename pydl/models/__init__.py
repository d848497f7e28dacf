# SPDX-License-Identifier: BSD-3-Clause
"""Ready-made networks."""

from pydl.models.cnn import CNN
from pydl.models.lenet import LeNet5
from pydl.models.mlp import MLP, MyNet
from pydl.models.recurrent import Forecaster, SequenceClassifier, TextClassifier

__all__ = ["CNN", "MLP", "Forecaster", "LeNet5", "MyNet", "SequenceClassifier", "TextClassifier"]
