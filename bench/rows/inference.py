# SPDX-License-Identifier: BSD-3-Clause
"""Inference of whole networks: called layer by layer, and (rows "frozen") as a plan that pydl makes beforehand."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bench.row import Data, Row, Way, normal
from bench.rows.convolution import Layer
from bench.rows.networks import (
    FLATTEN,
    MEAN,
    POOL,
    RELU,
    OnnxNetwork,
    Part,
    block,
    conv,
    linear,
    plain,
    torch_network,
    total_flops,
    weights_of,
)


def mlp(n: int) -> list[Part]:
    """784-256-128-10 with relu."""
    parts = [part for i, o in pairwise((784, 256, 128, 10)) for part in (linear(i, o, n), RELU)]
    return parts[:-1]


def lenet(n: int) -> list[Part]:
    """LeNet-5 with relu and max pooling on 28 × 28."""
    first, second = Layer("", n, 1, 28, 6, 5, padding=2), Layer("", n, 6, 14, 16, 5)
    head = [linear(400, 120, n), RELU, linear(120, 84, n), RELU, linear(84, 10, n)]
    return [conv(first), RELU, POOL, conv(second), RELU, POOL, FLATTEN, *head]


def resnet20(n: int) -> list[Part]:
    """ResNet-20 on 32 × 32: three stages of three blocks; where a stage begins, a strided 1 × 1 convolution."""
    parts = [conv(Layer("", n, 3, 32, 16, 3, padding=1), norm=True), RELU]
    c, size = 16, 32
    for k in (16, 32, 64):
        for _ in range(3):
            stride = 2 if k != c else 1
            one = conv(Layer("", n, c, size, k, 3, stride, 1), norm=True)
            shortcut = [conv(Layer("", n, c, size, k, 1, stride), norm=True)] if k != c else []
            c, size = k, size // stride
            two = conv(Layer("", n, k, size, k, 3, padding=1), norm=True)
            parts.append(block(one, RELU, two, shortcut=shortcut))
    return [*parts, MEAN, linear(64, 10, n)]


def _torch(parts: Sequence[Part], layers_last: bool) -> Way:
    def way(torch: Any, x: np.ndarray, weights: list[np.ndarray]) -> Way:
        model, tx = torch_network(torch, parts, weights), torch.from_numpy(x)
        if layers_last:
            model = model.to(memory_format=torch.channels_last)
            tx = tx.contiguous(memory_format=torch.channels_last)

        def step() -> Any:
            with torch.no_grad():
                return model(tx)

        return step

    return way


def _frozen(parts: Sequence[Part]) -> Way:
    def way(pydl: Any, x: np.ndarray, weights: list[np.ndarray]) -> Way:
        tx = pydl.from_numpy(x)
        plan = pydl.freeze(torch_network(pydl, parts, weights), tx)
        return lambda: plan(tx)

    return way


def _onnxruntime(parts: Sequence[Part]) -> Way:
    def way(ort: Any, x: np.ndarray, weights: list[np.ndarray]) -> Way:
        session = OnnxNetwork(parts, x, weights).session(ort)
        return lambda: session.run(None, {"x": x})[0]

    return way


def inference(name: str, parts: list[Part], shape: tuple[int, ...], tolerance: float) -> list[Row]:
    """Return the two rows of a network."""

    def data(rng: np.random.Generator) -> Data:
        return {"x": normal(rng, shape), "weights": weights_of(parts, rng)}

    def reference(x: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
        return plain(parts, x, list(weights))

    images = len(shape) == 4
    peers: dict[str, Way] = {"torch": _torch(parts, False), "onnxruntime": _onnxruntime(parts)}
    eager = peers | {"pydl": _torch(parts, False)}
    frozen = {"torch": _torch(parts, images), "onnxruntime": peers["onnxruntime"], "pydl": _frozen(parts)}
    flops = total_flops(parts)
    return [
        Row(f"inference {name}", data, reference, eager, tolerance, flops=flops, goal={1: 0.6, 2: 0.6}),
        Row(f"inference {name} frozen", data, reference, frozen, tolerance, flops=flops, goal={1: 1.0, 2: 1.0}),
    ]


def rows() -> list[Row]:
    """Return the networks, as they are and frozen."""
    found: list[Row] = []
    for n in (64, 1):
        found += inference(f"MLP 784-256-128-10 B{n}", mlp(n), (n, 784), 3e-6)
    for n in (64, 1):
        found += inference(f"LeNet-5 B{n} 28x28", lenet(n), (n, 1, 28, 28), 4e-6)
    return [*found, *inference("ResNet-20 B32", resnet20(32), (32, 3, 32, 32), 2e-5)]
