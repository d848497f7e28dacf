# SPDX-License-Identifier: BSD-3-Clause
"""Networks for inference as lists of layers, and what NumPy, PyTorch's text and ONNX make of such a list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from bench.row import normal
from bench.rows.convolution import Layer, plain_forward

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Part:
    """A layer: "linear", "conv" (which may have batch norm behind it), "relu", "pool" (max 2×2), "mean" (of all
    pixels), "flatten", or a "block", y = relu(F(x) + x), where x takes `shortcut` if there is one."""

    kind: str
    layer: Layer | None = None
    sizes: tuple[int, int] = (0, 0)
    norm: bool = False
    inner: Sequence["Part"] = ()
    shortcut: Sequence["Part"] = ()
    flops: float = field(default=0.0)


def linear(i: int, o: int, n: int) -> Part:
    """Return a product with i inputs and o outputs."""
    return Part("linear", sizes=(i, o), flops=2.0 * n * i * o)


def conv(layer: Layer, norm: bool = False) -> Part:
    """Return a convolution, with a bias or with batch norm."""
    return Part("conv", layer, norm=norm, flops=layer.flops)


RELU, POOL, MEAN, FLATTEN = Part("relu"), Part("pool"), Part("mean"), Part("flatten")


def block(*inner: Part, shortcut: Sequence[Part] = ()) -> Part:
    """Return a residual block."""
    return Part("block", inner=inner, shortcut=shortcut, flops=total_flops([*inner, *shortcut]))


def total_flops(parts: Sequence[Part]) -> float:
    """Return the operations of all layers."""
    return sum(part.flops for part in parts)


def weights_of(parts: Sequence[Part], rng: np.random.Generator) -> Arrays:
    """Draw the weights in order: weight and bias; of batch norm weight, bias, mean and variance."""
    found: Arrays = []
    for part in parts:
        if part.kind == "linear":
            i, o = part.sizes
            found += [normal(rng, (o, i)) * np.float32((2 / i) ** 0.5), 0.1 * normal(rng, o)]
        elif part.layer is not None:
            c, k, r = part.layer.c, part.layer.k, part.layer.r
            found.append(normal(rng, (k, c, r, r)) * np.float32((2 / (c * r * r)) ** 0.5))
            found.append(0.1 * normal(rng, k))
            if part.norm:
                found[-1] = rng.uniform(0.5, 1.0, k).astype(np.float32)
                found += [0.1 * normal(rng, k), 0.1 * normal(rng, k), rng.uniform(0.5, 1.5, k).astype(np.float32)]
        found += weights_of([*part.inner, *part.shortcut], rng)
    return found


# --- NumPy ------------------------------------------------------------------------------------------------------------


def plain(parts: Sequence[Part], x: np.ndarray, weights: Arrays) -> np.ndarray:
    """Return the result; takes what it needs from the front of `weights`."""
    for part in parts:
        if part.kind == "linear":
            w, b = weights.pop(0), weights.pop(0)
            x = x @ w.T + b
        elif part.layer is not None:
            x = _plain_conv(part, x, weights)
        elif part.kind == "relu":
            x = np.maximum(x, 0)
        elif part.kind == "pool":
            n, c, h, w_ = x.shape
            x = x.reshape(n, c, h // 2, 2, w_ // 2, 2).max((3, 5))
        elif part.kind == "mean":
            x = x.mean((2, 3))
        elif part.kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            y = plain(part.inner, x, weights)
            x = np.maximum(y + plain(part.shortcut, x, weights), 0)
    return x


def _plain_conv(part: Part, x: np.ndarray, weights: Arrays) -> np.ndarray:
    layer = part.layer
    assert layer is not None
    w, b = weights.pop(0), weights.pop(0)
    y = plain_forward(layer, x, w, np.empty((layer.n, layer.k, layer.out, layer.out), x.dtype))
    if not part.norm:
        return y + b[:, None, None]
    shift, mean, variance = (weights.pop(0) for _ in range(3))
    scale = b / np.sqrt(variance + 1e-5)
    return y * scale[:, None, None] + (shift - mean * scale)[:, None, None]


# --- PyTorch's text ---------------------------------------------------------------------------------------------------


def torch_network(torch: Any, parts: Sequence[Part], weights: Arrays) -> Any:
    """Return the network as modules, in eval mode, with these weights."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inner: Any, shortcut: Any) -> None:
            super().__init__()
            self.inner, self.shortcut = inner, shortcut

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.inner(x) + self.shortcut(x))

    def build(parts: Sequence[Part]) -> Any:
        return nn.Sequential(*[module for part in parts for module in modules(part)])

    def modules(part: Part) -> list[Any]:
        if part.kind == "linear":
            return [nn.Linear(*part.sizes)]
        if part.layer is not None:
            c = part.layer
            made = nn.Conv2d(c.c, c.k, c.r, stride=c.stride, padding=c.padding, bias=not part.norm)
            return [made, nn.BatchNorm2d(c.k)] if part.norm else [made]
        if part.kind == "block":
            return [Block(build(part.inner), build(part.shortcut))]
        simple = {"relu": [nn.ReLU()], "pool": [nn.MaxPool2d(2)], "flatten": [nn.Flatten()]}
        return simple.get(part.kind) or [nn.AdaptiveAvgPool2d(1), nn.Flatten()]

    model = build(parts).eval()
    state = model.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    given = {name: torch.from_numpy(w) for name, w in zip(names, weights, strict=True)}
    model.load_state_dict(given, strict=False)
    return model


# --- ONNX -------------------------------------------------------------------------------------------------------------


class OnnxNetwork:
    """The network as an ONNX graph whose weights are constants, as PyTorch's exporter writes it."""

    def __init__(self, parts: Sequence[Part], x: np.ndarray, weights: Arrays) -> None:
        self.helper, self.arrays = import_module("onnx.helper"), import_module("onnx.numpy_helper")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.rest = list(weights)
        self.out = self.add(parts, "x")
        self.shape = x.shape

    def node(self, kind: str, inputs: list[str], n_weights: int = 0, **attributes: Any) -> str:
        """Append a node with the next weights as inputs; return the name of its result."""
        for _ in range(n_weights):
            inputs = [*inputs, f"w{len(self.constants)}"]
            self.constants.append(self.arrays.from_array(self.rest.pop(0), inputs[-1]))
        out = f"t{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(kind, inputs, [out], **attributes))
        return out

    def add(self, parts: Sequence[Part], x: str) -> str:
        """Append the layers behind x."""
        for part in parts:
            c = part.layer
            if part.kind == "linear":
                x = self.node("Gemm", [x], 2, transB=1)
            elif c is not None:
                pads, strides = [c.padding] * 4, [c.stride] * 2
                x = self.node("Conv", [x], 1 if part.norm else 2, pads=pads, strides=strides, kernel_shape=[c.r] * 2)
                if part.norm:
                    x = self.node("BatchNormalization", [x], 4, epsilon=1e-5)
            elif part.kind == "block":
                y = self.add(part.inner, x)
                x = self.node("Relu", [self.node("Add", [y, self.add(part.shortcut, x)])])
            elif part.kind == "pool":
                x = self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
            elif part.kind == "mean":
                x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
            else:
                x = self.node({"relu": "Relu", "flatten": "Flatten"}[part.kind], [x])
        return x

    def session(self, ort: Any) -> Any:
        """Return the runtime's session on `bench_threads` threads."""
        h = self.helper
        given = h.make_tensor_value_info("x", 1, self.shape)
        graph = h.make_graph(self.nodes, "net", [given], [h.make_tensor_value_info(self.out, 1, None)], self.constants)
        model = h.make_model(graph, ir_version=10, opset_imports=[h.make_opsetid("", 21)])
        options = ort.SessionOptions()
        options.intra_op_num_threads = ort.bench_threads
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
