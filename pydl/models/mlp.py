# SPDX-License-Identifier: BSD-3-Clause
"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise

from pydl import nn
from pydl.nn import functional as F
from pydl.tensor import Tensor

__all__ = ["MLP", "MyNet"]


class MLP(nn.Sequential):
    """Linear layers with relu between them: y = W_n relu(… relu(W_1 x + b_1) …) + b_n.

    Shapes: x (N, sizes[0]) float32 or float64; y (N, sizes[-1]), scores without softmax.
    Gradient: to every weight and bias. Errors: ValueError for fewer than two sizes.
    Source: the multilayer perceptron; the keys of its state_dict are those of nn.Sequential.

    Example:
        >>> import pydl
        >>> from pydl.models import MLP
        >>> net = MLP(64, 256, 128, 10)
        >>> net(pydl.zeros(5, 64)).shape
        pydl.Size([5, 10])
        >>> sum(p.numel() for p in net.parameters())
        50826
    """

    def __init__(self, *sizes: int) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: needs at least an input and an output size, not {sizes}")
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        super().__init__(*layers[:-1])


class MyNet(nn.Module):
    """The course's three-layer network for one sample: s = W_2 relu(W_1 relu(W_0 vec(x) + b_0) + b_1) + b_2.

    Shapes: x any shape of d0 elements, flattened by `view(-1)`; s (d3,), scores without softmax.
    Gradient: to every weight and bias, and to x. Errors: ShapeError where x has not d0 elements.
    Source: the course's `mynet`, 600-60-40-10.

    Example:
        >>> import pydl
        >>> from pydl.models import MyNet
        >>> net = MyNet()
        >>> net(pydl.zeros(3, 10, 20)).shape, sum(p.numel() for p in net.parameters())
        (pydl.Size([10]), 38910)
    """

    def __init__(self, d0: int = 600, d1: int = 60, d2: int = 40, d3: int = 10) -> None:
        super().__init__()
        self.m0 = nn.Linear(d0, d1)
        self.m1 = nn.Linear(d1, d2)
        self.m2 = nn.Linear(d2, d3)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of one sample."""
        z0 = x.view(-1)
        z1 = F.relu(self.m0(z0))
        z2 = F.relu(self.m1(z1))
        return self.m2(z2)
