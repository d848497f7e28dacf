# SPDX-License-Identifier: BSD-3-Clause
"""A small convolutional network for small images."""

from __future__ import annotations

from pydl import nn

__all__ = ["CNN"]


class CNN(nn.Sequential):
    """Rounds of convolution 3×3, batch norm and relu, all but the first followed by max pooling 2×2; then one product.

    `channels` are the maps of each round, `side` the height and width of the image; the maps of the last round are
    flattened, dropped out with probability `dropout`, and weighed by a linear layer.
    Shapes: x (N, in_channels, side, side); y (N, classes), scores without softmax.
    Gradient: to every weight and bias, and to x.
    Errors: ValueError where `side` cannot be halved that often; ShapeError for other images.
    Source: the plain convolutional network; the keys of its state_dict are those of nn.Sequential.

    Example:
        >>> import pydl
        >>> from pydl.models import CNN
        >>> net = CNN()
        >>> net(pydl.zeros(5, 1, 8, 8)).shape, sum(p.numel() for p in net.parameters())
        (pydl.Size([5, 10]), 56242)
    """

    def __init__(
        self,
        channels: tuple[int, ...] = (24, 48, 96),
        side: int = 8,
        classes: int = 10,
        in_channels: int = 1,
        dropout: float = 0.3,
    ) -> None:
        halvings = len(channels) - 1
        if not channels or side >> halvings << halvings != side:
            raise ValueError(f"CNN: {len(channels)} rounds halve a side of {side} pixels {max(0, halvings)} times")
        layers: list[nn.Module] = []
        n_in = in_channels
        for i, n_out in enumerate(channels):
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]
            if i > 0:
                layers.append(nn.MaxPool2d(2))
            n_in = n_out
        pixels = (side >> halvings) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(n_in * pixels, classes))
