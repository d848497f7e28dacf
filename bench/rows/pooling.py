# SPDX-License-Identifier: BSD-3-Clause
"""Max and average pooling of 32 × 64 images of 56 × 56, and global pooling, forward and with backward."""

from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal

SHAPE = (32, 64, 56, 56)
BYTES = 4.0 * SHAPE[0] * SHAPE[1] * SHAPE[2] * SHAPE[3]


def plain(np: Any, x: np.ndarray, how: str, kernel: int, stride: int, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """The pooled image and the gradient of the sum of its elements, window element by window element."""
    fill = -np.inf if how == "max" else 0
    p = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    size = (p.shape[2] - kernel) // stride + 1
    span = (size - 1) * stride + 1
    parts = [
        (slice(None), slice(None), slice(a, a + span, stride), slice(b, b + span, stride))
        for a in range(kernel)
        for b in range(kernel)
    ]
    windows = np.stack([p[part] for part in parts])
    y = windows.max(0) if how == "max" else windows.mean(0)
    first = windows.argmax(0)
    dp = np.zeros_like(p)
    for k, part in enumerate(parts):
        dp[part] += (first == k) if how == "max" else 1 / len(parts)
    return y, dp[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def pooling(how: str, kernel: int, stride: int, padding: int, channels_last: bool, backward: bool) -> Row:
    """One row; channels-last memory is what a convolution hands on."""

    def torch_way(torch: Any, x: np.ndarray) -> Way:
        tx = torch.from_numpy(x)
        tx = tx.contiguous(memory_format=torch.channels_last) if channels_last else tx
        function = getattr(torch.nn.functional, f"{how}_pool2d")
        if not backward:
            return lambda: function(tx, kernel, stride, padding)
        tx.requires_grad_()
        ones = torch.ones_like(function(tx, kernel, stride, padding))

        def step() -> Any:
            tx.grad = None
            function(tx, kernel, stride, padding).backward(ones)
            return tx.grad

        return step

    def reference(x: np.ndarray) -> Any:
        return plain(np, x, how, kernel, stride, padding)[backward]

    order, passes = "NHWC" if channels_last else "NCHW", "fwd+bwd" if backward else "fwd"
    return Row(
        f"{how}pool {kernel}x{kernel} s{stride} {order} {passes}",
        data,
        reference,
        {"torch": torch_way},
        tolerance=4e-6,  # PyTorch's sum of 3136 elements: 1.5e-6
        n_bytes=BYTES * (1 + 1 / stride**2) * (2 if backward else 1),
        goal={1: 1.3, 2: 1.3},
    )


def data(rng: np.random.Generator) -> Data:
    """The images."""
    return {"x": normal(rng, SHAPE)}


def rows() -> list[Row]:
    """Return the pooling rows."""
    kinds = [("max", 2, 2, 0), ("avg", 2, 2, 0), ("max", 3, 2, 1), ("avg", 56, 56, 0)]
    return [pooling(*kind, order, back) for kind in kinds for order in (False, True) for back in (False, True)]
