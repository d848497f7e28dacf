# SPDX-License-Identifier: BSD-3-Clause
"""Convolutions of the usual networks, forward and with both gradients, images in either memory format."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal


@dataclass(frozen=True)
class Layer:
    """A square convolution of n images: c to k channels at size × size, r × r taps."""

    label: str
    n: int
    c: int
    size: int
    k: int
    r: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def out(self) -> int:
        """Return the size of the output."""
        return (self.size + 2 * self.padding - self.r) // self.stride + 1

    @property
    def flops(self) -> float:
        """Return the operations of one pass."""
        return 2.0 * self.n * self.out**2 * self.k * self.r**2 * self.c / self.groups

    def data(self, rng: np.random.Generator) -> Data:
        """Return input, weight and the gradient of the output."""
        return {
            "x": normal(rng, (self.n, self.c, self.size, self.size)),
            "w": normal(rng, (self.k, self.c // self.groups, self.r, self.r)),
            "dy": normal(rng, (self.n, self.k, self.out, self.out)),
        }


def columns(layer: Layer, x: np.ndarray) -> np.ndarray:
    """The values under every tap, (groups, c·r·r of a group, P·Q), of one image (c, size, size)."""
    padded = np.pad(x, [(0, 0), *[(layer.padding, layer.padding)] * 2])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (layer.r, layer.r), (1, 2))
    taps = windows[:, :: layer.stride, :: layer.stride].transpose(0, 3, 4, 1, 2)
    return taps.reshape(layer.groups, -1, layer.out**2)


def plain_forward(layer: Layer, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """y, image by image, as one matrix product per group."""
    weights = w.reshape(layer.groups, layer.k // layer.groups, -1)
    return np.stack([weights @ columns(layer, image) for image in x]).reshape(dy.shape)


def plain_backward(layer: Layer, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dx and dw: the two products with dy, the first of them added up tap by tap."""
    weights = w.reshape(layer.groups, layer.k // layer.groups, -1)
    dw, last = np.zeros_like(weights), (layer.out - 1) * layer.stride + 1
    d_padded = np.zeros((layer.n, layer.c, *[layer.size + 2 * layer.padding] * 2))
    for image, delta, d_image in zip(x, dy.reshape(layer.n, *weights.shape[:2], -1), d_padded, strict=True):
        dw += delta @ columns(layer, image).swapaxes(1, 2)
        taps = (weights.swapaxes(1, 2) @ delta).reshape(layer.c, layer.r, layer.r, layer.out, layer.out)
        for r, s in itertools.product(range(layer.r), repeat=2):
            d_image[:, r : r + last : layer.stride, s : s + last : layer.stride] += taps[:, r, s]
    inside = slice(layer.padding, layer.padding + layer.size)
    return d_padded[..., inside, inside], dw.reshape(w.shape)


def torch_way(layer: Layer, channels_last: bool, backward: bool) -> Way:
    """Return the text that PyTorch and pydl run."""

    def way(torch: Any, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Way:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        tx, tw, tdy = (torch.from_numpy(v).contiguous(memory_format=layout) for v in (x, w, dy))
        conv2d = torch.nn.functional.conv2d
        geometry = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}

        def forward() -> Any:
            with torch.no_grad():
                return conv2d(tx, tw, **geometry)

        def step() -> tuple[Any, ...]:
            tx.grad = tw.grad = None
            conv2d(tx, tw, **geometry).backward(tdy)
            return tx.grad, tw.grad

        if backward:
            tx.requires_grad_()
            tw.requires_grad_()
        return step if backward else forward

    return way


def jax_way(layer: Layer, backward: bool) -> Way:
    """Return the jitted function of JAX."""

    def way(jax: Any, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> Way:
        jx, jw, jdy = (jax.numpy.asarray(v) for v in (x, w, dy))
        padding = [(layer.padding, layer.padding)] * 2

        def conv(x: Any, w: Any) -> Any:
            steps = (layer.stride, layer.stride)
            return jax.lax.conv_general_dilated(x, w, steps, padding, feature_group_count=layer.groups)

        run = jax.jit(lambda x, w: jax.vjp(conv, x, w)[1](jdy) if backward else conv(x, w))
        return lambda: jax.block_until_ready(run(jx, jw))

    return way


def convolution(layer: Layer, channels_last: bool, backward: bool, goal: float) -> Row:
    """Return one row."""

    def reference(**data: Any) -> Any:
        return (plain_backward if backward else plain_forward)(layer, **data)

    ways: dict[str, Way] = {"torch": torch_way(layer, channels_last, backward)}
    if not channels_last:
        ways["jax"] = jax_way(layer, backward)
    passes = "fwd+bwd" if backward else "fwd"
    # The weights' gradient sums over all pixels: at 64@56 PyTorch errs by 1.1e-5 of the largest value.
    return Row(
        f"conv {layer.label} B{layer.n} {passes}{' channels_last' if channels_last else ''}",
        layer.data,
        reference,
        ways,
        tolerance=float(np.finfo(np.float32).eps) * (layer.n * layer.out**2 if backward else 1e3) ** 0.5,
        flops=layer.flops * (3 if backward else 1),
        goal={1: goal, 2: goal},
    )


# Layer, and the goals of the forward pass and of the whole.
LAYERS = [
    (Layer("3x3 64@56", 32, 64, 56, 64, 3, 1, 1), 1.7, 1.8),
    (Layer("3x3 128@28", 32, 128, 28, 128, 3, 1, 1), 1.7, 1.8),
    (Layer("3x3 256@14", 32, 256, 14, 256, 3, 1, 1), 1.7, 1.8),
    (Layer("3x3 512@7", 32, 512, 7, 512, 3, 1, 1), 1.4, 1.4),
    (Layer("1x1 256-1024@14", 32, 256, 14, 1024, 1), 1.0, 1.15),
    (Layer("7x7 s2 3-64@224", 8, 3, 224, 64, 7, 2, 3), 1.8, 1.8),
    (Layer("5x5 1-6@28", 64, 1, 28, 6, 5, 1, 2), 1.8, 1.8),
    (Layer("5x5 6-16@14", 64, 6, 14, 16, 5), 1.8, 1.8),
    (Layer("depthwise 3x3 128@28", 32, 128, 28, 128, 3, 1, 1, 128), 1.5, 1.5),
]


def rows() -> list[Row]:
    """Return every layer in both memory formats, forward and with gradients."""
    return [
        convolution(layer, channels_last, backward, whole if backward else forward)
        for layer, forward, whole in LAYERS
        for channels_last in (False, True)
        for backward in (False, True)
    ]
