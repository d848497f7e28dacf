# SPDX-License-Identifier: BSD-3-Clause
"""In which order the elements of each tensor of a plan lie, and the copies where two steps want them in another one.

Convolutions and pooling read and write channels-last memory, elementwise steps what comes, everything else C order.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from pydl._core.errors import RecordingError
from pydl.inference.graph import Graph, Node, Tensor

__all__ = ["arrange", "strides_of"]

IMAGES = ("conv", "pool")
ANY_ORDER = ("function", "binary")


def _same_in_both(shape: tuple[int, ...]) -> bool:
    """Whether C order and channels-last are one."""
    return len(shape) < 3 or shape[1] == 1 or prod(shape[2:]) == 1 or prod(shape) == 0


def strides_of(graph: Graph, number: int) -> tuple[int, ...]:
    """The strides of a tensor, in elements."""
    tensor = graph.tensors[number]
    if tensor.view is not None:
        return tensor.view[1]
    order = range(len(tensor.shape))
    if tensor.channels_last and not _same_in_both(tensor.shape):
        order = [0, *range(2, len(tensor.shape)), 1]  # type: ignore[assignment]
    strides, step = [0] * len(tensor.shape), 1
    for d in reversed(list(order)):
        strides[d] = step
        step *= tensor.shape[d]
    return tuple(strides)


def _is_dense(graph: Graph, number: int) -> bool:
    """Whether a tensor is in C order without gaps."""
    tensor = graph.tensors[number]
    c_order, strides = strides_of_c(tensor.shape), strides_of(graph, number)
    return all(n == 1 or s == c for n, s, c in zip(tensor.shape, strides, c_order, strict=True))


def strides_of_c(shape: tuple[int, ...]) -> tuple[int, ...]:
    """C order."""
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


class _Arranger:
    """Walks the nodes in order and builds the list anew, with the copies between them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.copies: dict[tuple[int, bool], int] = {}

    def in_order(self, number: int, channels_last: bool) -> int:
        """The tensor in that order without gaps: itself, or a copy."""
        tensor = self.graph.tensors[number]
        if channels_last and not _same_in_both(tensor.shape):
            fits = tensor.channels_last and tensor.view is None and tensor.array is None
        else:
            fits = _is_dense(self.graph, number)
            channels_last = False
        return number if fits else self.copy(number, channels_last)

    def copy(self, number: int, channels_last: bool) -> int:
        """The number of a copy of the tensor in that order."""
        key = number, channels_last
        if key not in self.copies:
            made = replace(self.graph.tensors[number], array=None, view=None, channels_last=channels_last)
            self.copies[key] = self.graph.new(made)
            name = "to channels-last" if channels_last else "to C order"
            self.nodes.append(Node("copy", [number], [self.copies[key]], name))
        return self.copies[key]

    def node(self, node: Node) -> None:
        """Put the inputs of a node in order, then the node."""
        graph = self.graph
        out = graph.tensors[node.output]
        if node.kind in IMAGES:
            node.inputs = [self.in_order(node.inputs[0], True)]
            out.channels_last = True
            if node.adds is not None:
                node.adds = self.in_order(node.adds, True)
        elif node.kind in ANY_ORDER:
            self._elementwise(node, out)
        elif node.kind == "linear":
            node.inputs = [self._rows(node.inputs[0])]
            if node.adds is not None:
                node.adds = self.in_order(node.adds, False)
        elif node.kind == "view":
            self._view(node, out)
        elif node.kind == "batch_norm":
            out.channels_last = graph_order(graph.tensors[node.inputs[0]])
        elif node.kind == "softmax":
            node.inputs = [self.in_order(node.inputs[0], False)]
        self.nodes.append(node)

    def _elementwise(self, node: Node, out: Tensor) -> None:
        images = [
            n for n in node.inputs
            if graph_order(self.graph.tensors[n]) and self.graph.tensors[n].shape == out.shape
        ]  # fmt: skip
        out.channels_last = bool(images)

    def _rows(self, number: int) -> int:
        """For a product: the last dimension without gaps, and one stride for all rows."""
        shape, strides = self.graph.tensors[number].shape, strides_of(self.graph, number)
        if len(shape) == 2 and (strides[1] == 1 or shape[1] == 1) and strides[0] >= shape[1]:
            return number
        return self.in_order(number, False)

    def _view(self, node: Node, out: Tensor) -> None:
        """Views were recorded on memory in C order, or channels-last where the model made it so."""
        number, expected = node.inputs[0], node.settings["source_strides"]
        shape = self.graph.tensors[number].shape
        for channels_last in (False, True):
            if self._lies_as(number, expected):
                break
            number = self.copy(node.inputs[0], channels_last)
        if not self._lies_as(number, expected):
            raise RecordingError(f"freeze: a view of {shape} was taken of memory neither in C order nor channels-last")
        assert out.view is not None
        node.inputs, out.view = [number], (number, *out.view[1:])

    def _lies_as(self, number: int, expected: tuple[int, ...]) -> bool:
        """Whether the tensor has these strides, as far as its sizes show them."""
        shape, strides = self.graph.tensors[number].shape, strides_of(self.graph, number)
        return not prod(shape) or all(n == 1 or s == e for n, s, e in zip(shape, strides, expected, strict=True))


def graph_order(tensor: Tensor) -> bool:
    """Whether a tensor is channels-last and not in C order too."""
    return tensor.channels_last and tensor.view is None and not _same_in_both(tensor.shape)


def arrange(graph: Graph) -> None:
    """Choose the orders and put the copies in."""
    arranger = _Arranger(graph)
    for node in graph.nodes:
        arranger.node(node)
    graph.nodes = arranger.nodes
