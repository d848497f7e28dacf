# SPDX-License-Identifier: BSD-3-Clause
"""A small network with everything a module can have, for the tests of modules."""

import numpy as np

import pydl
from pydl import nn


class Net(nn.Module):
    """Two linear layers, one without bias, and two buffers, one of which is not saved."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.act = nn.ReLU()
        self.fc2 = nn.Linear(4, 2, bias=False)
        self.register_buffer("scale", pydl.ones(2))
        self.register_buffer("scratch", pydl.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x))) * self.scale


def equal(a, b):
    """Whether two tensors have the same values."""
    return np.array_equal(a.detach().numpy(), b.detach().numpy())
