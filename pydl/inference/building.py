# SPDX-License-Identifier: BSD-3-Clause
"""From the graph to a plan: one compiled step for each node."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from pydl._core.plan import Plan as CompiledPlan
from pydl._core.plan import Step
from pydl._core.plan_conv import ConvStep
from pydl._core.plan_product import ProductStep
from pydl._core.plan_steps import (
    BinaryStep,
    CopyStep,
    FunctionStep,
    GeneralStep,
    PoolStep,
    SoftmaxStep,
    ViewStep,
)
from pydl._core.tape import wrap
from pydl._core.tensor_functions import clone
from pydl.inference.graph import Graph, Node
from pydl.inference.layouts import graph_order, strides_of
from pydl.inference.memory import Plan, plan_memory

__all__ = ["build"]


def _text(graph: Graph, node: Node) -> str:
    given = [str(graph.tensors[n].shape) for n in [*node.inputs, *([] if node.adds is None else [node.adds])]]
    results = ", ".join(str(graph.tensors[n].shape) for n in node.outputs)
    return f"{node.name} {', '.join(given)} -> {results}"


def _is_f64(graph: Graph, node: Node) -> bool:
    return bool(graph.tensors[node.output].dtype == np.float64)


def _linear(graph: Graph, node: Node) -> Step:
    number = node.inputs[0]
    shape, s = graph.tensors[number].shape, node.settings
    row = strides_of(graph, number)[0] if len(shape) == 2 else shape[-1]
    rows = prod(shape[:-1])
    adds = node.adds is not None
    return ProductStep(_text(graph, node), number, node.output, rows, row, s["weight"], s["bias"], node.then, adds)


def _conv(graph: Graph, node: Node) -> Step:
    s, number = node.settings, node.inputs[0]
    shape, adds = graph.tensors[number].shape, node.adds is not None
    return ConvStep(
        _text(graph, node), number, node.output, shape, s["weight"], s["bias"], s["stride"], s["padding"],
        s["dilation"], s["groups"], node.then, adds,
    )  # fmt: skip


def _pool(graph: Graph, node: Node) -> Step:
    s = node.settings
    return PoolStep(_text(graph, node), node.inputs[0], node.output, s["geometry"], s["averages"])


def _softmax(graph: Graph, node: Node) -> Step:
    shape, logarithm = graph.tensors[node.output].shape, node.settings["logarithm"]
    f64 = _is_f64(graph, node)
    return SoftmaxStep(_text(graph, node), node.inputs[0], node.output, prod(shape[:-1]), shape[-1], logarithm, f64)


def _function(graph: Graph, node: Node) -> Step:
    assert node.then is not None
    return FunctionStep(_text(graph, node), node.inputs[0], node.output, node.then, _is_f64(graph, node))


def _binary(graph: Graph, node: Node) -> Step:
    s = node.settings
    second: int | float = s["value"] if "value" in s else node.inputs[1]
    f64 = _is_f64(graph, node)
    text = _text(graph, node)
    return BinaryStep(text, s["code"], node.inputs[0], second, node.output, s.get("swapped", False), f64)


def _copy(graph: Graph, node: Node) -> Step:
    return CopyStep(_text(graph, node), node.inputs[0], node.output)


def _view(graph: Graph, node: Node) -> Step:
    tensor = graph.tensors[node.output]
    assert tensor.view is not None
    size = tensor.dtype.itemsize
    strides = tuple(s * size for s in tensor.view[1])
    return ViewStep(_text(graph, node), node.inputs[0], node.output, tensor.shape, strides, tensor.view[2] * size)


def _general(graph: Graph, node: Node) -> Step:
    s = node.settings
    outputs = [n if n in node.outputs else None for n in s["all"]]
    return GeneralStep(_text(graph, node), s["function"], s["args"], outputs)


_STEPS: dict[str, Callable[[Graph, Node], Step]] = {
    "batch_norm": _general, "binary": _binary, "conv": _conv, "copy": _copy, "function": _function,
    "general": _general, "linear": _linear, "pool": _pool, "softmax": _softmax, "view": _view,
}  # fmt: skip


def _own_outputs(graph: Graph) -> list[int]:
    """The outputs of the plan: each is made by a node of its own, and nothing else stands on its memory."""
    made = {n for node in graph.nodes for n in node.outputs}
    based = {view[0] for tensor in graph.tensors.values() if (view := tensor.view) is not None}
    outputs: list[int] = []
    for number in graph.outputs:
        tensor = graph.tensors[number]
        if number in outputs or number not in made or number in based or tensor.view is not None:
            copy = graph.new(type(tensor)(tensor.shape, tensor.dtype))
            graph.nodes.append(Node("copy", [number], [copy], "to the output"))
            number = copy
        outputs.append(number)
    return outputs


def _buffers(graph: Graph, memory: Plan) -> tuple[list[Any], set[int]]:
    """What Plan takes of every tensor on planned memory, and the views among them that need no step."""
    buffers: list[Any] = []
    for number, place in memory.places.items():
        tensor = graph.tensors[number]
        buffers.append((number, tensor.shape, tensor.dtype, graph_order(tensor), place.offset))
    offsets = {number: place.offset for number, place in memory.places.items()}
    still: set[int] = set()
    for node in graph.nodes:
        tensor = graph.tensors[node.output]
        if node.kind == "view" and tensor.view is not None and tensor.view[0] in offsets:
            size = tensor.dtype.itemsize
            offsets[node.output] = offsets[tensor.view[0]] + tensor.view[2] * size
            strides = tuple(s * size for s in tensor.view[1])
            buffers.append((node.output, tensor.shape, tensor.dtype, strides, offsets[node.output]))
            still.add(node.output)
    return buffers, still


def _steps(graph: Graph, memory: Plan, still: set[int]) -> list[Step]:
    steps: list[Step] = []
    for node in graph.nodes:
        if node.kind == "view" and node.output in still:
            continue
        if node.adds is not None and memory.places.get(node.adds) is not memory.places.get(node.output, node):
            copied = Node("copy", [node.adds], [node.output], "what is added to")
            steps.append(_copy(graph, copied))
        steps.append(_STEPS[node.kind](graph, node))
    return steps


def build(graph: Graph, plan_class: type[CompiledPlan], result: Callable[[list[Any]], Any] | None) -> Any:
    """The plan of a graph whose tensors have their orders."""
    graph.outputs = _own_outputs(graph)
    memory = plan_memory(graph)
    buffers, still = _buffers(graph, memory)
    used = {number for node in graph.nodes for number in node.inputs}
    constants = [(n, _frozen(t.array)) for n, t in graph.tensors.items() if t.array is not None and n in used]
    inputs = [(n, graph.tensors[n].shape, graph.tensors[n].dtype) for n in graph.inputs]
    outputs = []
    for number in graph.outputs:
        tensor = graph.tensors[number]
        outputs.append((number, tensor.shape, tensor.dtype, graph_order(tensor)))
    steps = _steps(graph, memory, still)
    n_tensors = max(graph.tensors) + 1
    return plan_class(steps, inputs, outputs, buffers, constants, n_tensors, memory.nbytes, result)


def _frozen(array: Any) -> Any:
    """A constant as memory of the pool, so that it is aligned."""
    return clone(wrap(array)).array
