# SPDX-License-Identifier: BSD-3-Clause
"""LeNet-5, the convolutional network of handwritten digits."""

from __future__ import annotations

from pydl import nn
from pydl.nn import functional as F
from pydl.tensor import Tensor

__all__ = ["LeNet5"]


class LeNet5(nn.Module):
    """Two rounds of convolution 5×5, tanh and 2×2 averages, then products: s = W_5 h(W_4 h(W_3 vec(x))), h = tanh.

    28×28 pixels are padded by 2, which gives the 32×32 of the paper; C5 sees 16 maps of 5×5 and is a product.
    `activation` and `pool` may be "relu" and "max", which train better; the paper has "tanh" and "avg".
    Shapes: x (N, 1, 28, 28); s (N, classes), scores without softmax.
    Gradient: to every weight and bias, and to x.
    Errors: ShapeError for other sizes; ValueError for another activation or pool.
    Source: LeCun et al. 1998, every map of S2 feeding every map of C3: 61,706 parameters.

    Example:
        >>> import pydl
        >>> from pydl.models import LeNet5
        >>> net = LeNet5()
        >>> net(pydl.zeros(2, 1, 28, 28)).shape, sum(p.numel() for p in net.parameters())
        (pydl.Size([2, 10]), 61706)
    """

    def __init__(self, classes: int = 10, activation: str = "tanh", pool: str = "avg") -> None:
        super().__init__()
        if activation not in ("tanh", "relu") or pool not in ("avg", "max"):
            raise ValueError(f"LeNet5: activation is tanh or relu, pool avg or max, not {activation!r} and {pool!r}")
        self.activation, self.pool = activation, pool
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def _bend(self, x: Tensor) -> Tensor:
        return F.relu(x) if self.activation == "relu" else F.tanh(x)

    def _halve(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if self.pool == "max" else F.avg_pool2d(x, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of a batch of images."""
        x = self._halve(self._bend(self.conv1(x)))
        x = self._halve(self._bend(self.conv2(x)))
        x = x.flatten(1)
        x = self._bend(self.fc1(x))
        return self.fc3(self._bend(self.fc2(x)))
