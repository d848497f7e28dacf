# SPDX-License-Identifier: BSD-3-Clause
"""The graph of a plan: what was recorded, as nodes of the kinds that plans have steps for, or "general" ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from pydl import ops
from pydl._core.errors import RecordingError
from pydl._core.plan_steps import binary_names, unary_names
from pydl._core.recorder import Call, Constant, Recorder, Value

__all__ = ["Graph", "Node", "Tensor"]

Array = npt.NDArray[Any]
ADD, LAST_WITH_NUMBER = binary_names.index("add"), binary_names.index("div")
RANDOM = ("drop", "drop_")


@dataclass
class Tensor:
    """A value of the graph. `array`: of a constant. `view`: (source, strides and offset in elements) of a view."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Array | None = None
    view: tuple[int, tuple[int, ...], int] | None = None
    channels_last: bool = False

    @property
    def is_float(self) -> bool:
        """Whether the kernels know its type."""
        return bool(self.dtype in (np.float32, np.float64))

    @property
    def nbytes(self) -> int:
        """Its size as dense memory."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass
class Node:
    """A piece of work. `inputs` and `outputs` are numbers of tensors; the rest is what its kind needs."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    then: tuple[Any, ...] | None = None  # an elementwise function of the result: ("unary", code), …
    adds: int | None = None  # a tensor that is added to the result before that

    @property
    def output(self) -> int:
        """The number of its only result."""
        return self.outputs[0]


class Graph:
    """Nodes in the order in which they run, and the tensors between them."""

    def __init__(self, recorder: Recorder, inputs: list[Value], examples: list[Any]) -> None:
        self.tensors: dict[int, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs = [value.number for value in inputs]
        self.outputs: list[int] = []
        self._next = recorder.n_values
        self._constants: dict[int, int] = {}
        for value, x in zip(inputs, examples, strict=True):
            self.tensors[value.number] = Tensor(tuple(x.shape), x.dtype.np)
        for call in recorder.calls:
            self._add(call)

    def new(self, tensor: Tensor) -> int:
        """Enter a tensor and return its number."""
        self._next += 1
        self.tensors[self._next - 1] = tensor
        return self._next - 1

    def constant(self, constant: Constant | Array) -> int:
        """The number of a constant."""
        array = constant.array if isinstance(constant, Constant) else constant
        key = id(array)
        if key not in self._constants:
            self._constants[key] = self.new(Tensor(array.shape, array.dtype, array))
        return self._constants[key]

    def number(self, x: Any) -> int:
        """The number of an operand that is a Value or a Constant."""
        return x.number if isinstance(x, Value) else self.constant(x)

    def users(self) -> dict[int, list[Node]]:
        """The nodes that read each tensor."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes:
            for number in [*node.inputs, *([] if node.adds is None else [node.adds])]:
                found.setdefault(number, []).append(node)
        return found

    def _add(self, call: Call) -> None:
        for number, result in zip(call.outputs, call.results, strict=True):
            if number is not None:
                self.tensors[number] = Tensor(result[0], result[1])
        name = call.name.rstrip("_") if call.name.rstrip("_") in _READERS else call.name
        reader = _READERS.get(name)
        node = reader(self, call) if reader is not None else None
        self.nodes.append(node or general(self, call))

    def drop_unused(self) -> None:
        """Forget the nodes whose results nobody needs."""
        needed = set(self.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
                needed.update([] if node.adds is None else [node.adds])
        self.nodes = kept[::-1]


# --- one reader for each kind -----------------------------------------------------------------------------------------


def _only(call: Call) -> list[int]:
    return [number for number in call.outputs if number is not None]


def _array(x: Any) -> Array:
    array: Array = x.array
    return array


def _is_constant(*operands: Any) -> bool:
    return all(isinstance(x, Constant) for x in operands)


def _linear(graph: Graph, call: Call) -> Node | None:
    x, w, b = call.args
    if not isinstance(x, Value) or not _is_constant(w) or (b is not None and not _is_constant(b)):
        return None
    if _array(w).ndim != 2:
        return None
    bias = None if b is None else _array(b)
    return Node("linear", [x.number], _only(call), "linear", {"weight": _array(w), "bias": bias})


def _matmul(graph: Graph, call: Call) -> Node | None:
    a, b = call.args
    if not isinstance(a, Value) or not _is_constant(b) or _array(b).ndim != 2:
        return None
    tensor = graph.tensors[a.number]
    if len(tensor.shape) < 2 or not tensor.is_float:
        return None
    return Node("linear", [a.number], _only(call), "matmul", {"weight": _array(b).T, "bias": None})


def _convolution(graph: Graph, call: Call) -> Node | None:
    x, w, b, stride, padding, dilation, groups, transposed, _ = call.args
    if transposed or not isinstance(x, Value) or not _is_constant(w) or (b is not None and not _is_constant(b)):
        return None
    settings: dict[str, Any] = {"weight": _array(w), "bias": None if b is None else _array(b)}
    geometry = {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation), "groups": groups}
    return Node("conv", [x.number], _only(call), f"conv{len(tuple(stride))}d", settings | geometry)


def _batch_norm(graph: Graph, call: Call) -> Node | None:
    x, w, b, mean, var, training, _, eps = call.args
    if training and mean is not None:
        raise RecordingError(f"batch_norm runs in training mode, {call.where}: call eval() on the model first")
    given = [p for p in (w, b, mean, var) if p is not None]
    if training or not isinstance(x, Value) or not _is_constant(*given):
        return None
    scale = 1 / np.sqrt(_array(var).astype(np.float64) + eps)
    if w is not None:
        scale = scale * _array(w)
    shift = -_array(mean).astype(np.float64) * scale
    if b is not None:
        shift = shift + _array(b)
    node = general(graph, call)
    node.kind, node.settings = "batch_norm", node.settings | {"scale": scale, "shift": shift}
    return node


def _pooling(kind: str) -> Callable[[Graph, Call], Node | None]:
    def read(graph: Graph, call: Call) -> Node | None:
        x, geometry, *wants_places = call.args
        if any(wants_places):
            return None
        return Node("pool", [x.number], _only(call), kind, {"geometry": geometry, "averages": kind == "avg_pool"})

    return read


def _softmax(graph: Graph, call: Call) -> Node | None:
    x, dim = call.args
    shape = graph.tensors[x.number].shape
    if not shape or dim not in (-1, len(shape) - 1):
        return None
    return Node("softmax", [x.number], _only(call), call.name, {"logarithm": call.name == "log_softmax"})


def _function(graph: Graph, call: Call) -> Node | None:
    x = call.args[0]
    if not graph.tensors[x.number].is_float:
        return None
    kind = call.name.rstrip("_")
    if kind == "unary":
        then, name = ("unary", call.args[1]), unary_names[call.args[1]]
    elif kind == "activation":
        then, name = ("activation", *call.args[2:]), call.args[1]
    else:
        then, name = ("clamp", *call.args[1:]), "clamp"
    return Node("function", [x.number], _only(call), name, then=then)


def _binary(graph: Graph, call: Call) -> Node | None:
    a, b, code = call.args
    out = graph.tensors[_only(call)[0]]
    tensors = [x for x in (a, b) if isinstance(x, Value | Constant)]
    operands = [graph.tensors[graph.number(x)] for x in tensors]
    if not out.is_float or any(t.dtype != out.dtype for t in operands):
        return None
    name, numbers = binary_names[code], [graph.number(x) for x in tensors]
    if len(tensors) == 2:
        return Node("binary", numbers, _only(call), name, {"code": code})
    value, swapped = (a, True) if tensors[0] is b else (b, False)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if code <= LAST_WITH_NUMBER:
        return Node("binary", numbers, _only(call), name, {"code": code, "value": float(value), "swapped": swapped})
    return None


def _view(graph: Graph, call: Call) -> Node | None:
    source = call.args[0].number
    _, dtype, strides, offset, source_strides = call.results[0]
    tensor = graph.tensors[_only(call)[0]]
    tensor.view = (source, strides, offset // dtype.itemsize)
    return Node("view", [source], _only(call), "view", {"source_strides": source_strides})


_READERS: dict[str, Callable[[Graph, Call], Node | None]] = {
    "linear": _linear, "matmul": _matmul, "convolution": _convolution, "batch_norm": _batch_norm,
    "max_pool": _pooling("max_pool"), "avg_pool": _pooling("avg_pool"), "softmax": _softmax, "log_softmax": _softmax,
    "unary": _function, "activation": _function, "clamp_numbers": _function, "binary": _binary, "view": _view,
}  # fmt: skip


# --- general ----------------------------------------------------------------------------------------------------------


def _copied(x: Any, source: Any) -> Any:
    """src, cast and broadcast to what it is written into."""
    return ops.expand(source, tuple(x.shape)).to(x.dtype)


_AGAIN: dict[str, Callable[..., Any]] = {
    "cast": ops.cast,
    "clamp_numbers": ops.clamp,
    "copy_": _copied,
    "divide_rounded": lambda a, b, mode: ops.div(a, b, rounding_mode=mode),
    "fill_": lambda x, value: ops.clone(x).fill_(value),
    "mean": lambda x, dim, keepdim, dtype: ops.mean(x, dim, keepdim, dtype=dtype),
    "sum": lambda x, dim, keepdim, dtype: ops.sum(x, dim, keepdim, dtype=dtype),
}


def _again(call: Call) -> tuple[str, Callable[..., Any], tuple[Any, ...]]:
    """The name of an operation, and how it is called once more, with which arguments."""
    name, args = call.name, call.args
    if name.rstrip("_") == "unary":
        return unary_names[args[1]], getattr(ops, unary_names[args[1]]), args[:1]
    if name.rstrip("_") == "binary":
        return binary_names[args[2]], getattr(ops, binary_names[args[2]]), args[:2]
    if name.rstrip("_") == "activation":
        raise RecordingError(f"{args[1]} of integers, {call.where}, is not something that a plan holds")
    if name in _AGAIN:
        return name, _AGAIN[name], args
    return name, call.of if call.of is not None else getattr(ops, name), args


def general(graph: Graph, call: Call) -> Node:
    """A node that calls the operation as it is."""
    if call.name in RANDOM:
        raise RecordingError(f"{call.args[1]} drops elements at random, {call.where}: call eval() on the model first")
    if call.peeked:
        raise RecordingError(f"{call.name} takes what Python made from a tensor's values, {call.where}: a plan cannot")
    name, function, args = _again(call)
    given: list[tuple[bool, Any]] = []
    for x in args:
        is_tensor = isinstance(x, Value | Constant)
        given.append((is_tensor, graph.number(x) if is_tensor else x))
    numbers = [x for is_tensor, x in given if is_tensor]
    return Node("general", numbers, _only(call), name, {"function": function, "args": given, "all": call.outputs})
