# SPDX-License-Identifier: BSD-3-Clause
"""Layers, one file a family."""

from pydl.nn.modules.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from pydl.nn.modules.container import ModuleDict, ModuleList, Sequential
from pydl.nn.modules.flatten import Flatten, Unflatten
from pydl.nn.modules.linear import Bilinear, Identity, Linear
from pydl.nn.modules.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from pydl.nn.modules.module import Module
from pydl.nn.modules.parameter_container import ParameterDict, ParameterList

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "Bilinear", "CrossEntropyLoss", "Flatten", "HuberLoss", "Identity", "L1Loss",
    "Linear", "LogSoftmax", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss", "ParameterDict",
    "ParameterList", "ReLU", "Sequential", "Sigmoid", "SmoothL1Loss", "Softmax", "Tanh", "Unflatten",
]  # fmt: skip
