# SPDX-License-Identifier: BSD-3-Clause
"""Static memory: which tensors share a place, and where the places lie in the one block of a call.

A tensor lives from the node that makes it to the last one that reads it or a view of it. A node may write over an input
that it is the last to read (elementwise work; a product that adds to what is there). Places are put, the largest first,
at the lowest offset at which nothing lies that lives at the same time (greedy by size).
Source: Pisarchyk and Lee, "Efficient memory management for deep neural net inference", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydl.inference.graph import Graph, Node
from pydl.inference.layouts import strides_of

__all__ = ["Place", "Plan", "lay_out", "plan_memory"]

LINE = 64


@dataclass
class Place:
    """Memory for one tensor or several after each other; `first` and `last` number nodes."""

    nbytes: int
    first: int
    last: int
    offset: int = 0


@dataclass
class Plan:
    """The place of each tensor that has one, and the bytes of all together."""

    places: dict[int, Place]
    nbytes: int


def lay_out(places: list[Place]) -> int:
    """Give every place its offset; return the bytes that they need together."""
    settled: list[Place] = []
    for place in sorted(places, key=lambda p: (-p.nbytes, p.first)):
        meanwhile = sorted(
            (p for p in settled if p.first <= place.last and place.first <= p.last), key=lambda p: p.offset
        )
        offset = 0
        for other in meanwhile:
            if offset + place.nbytes <= other.offset:
                break
            offset = max(offset, _up(other.offset + other.nbytes))
        place.offset = offset
        settled.append(place)
    return max((_up(p.offset + p.nbytes) for p in settled), default=0)


def _up(n: int) -> int:
    return (n + LINE - 1) // LINE * LINE


def _root(graph: Graph, number: int) -> int:
    """The tensor on whose memory another one stands."""
    while (view := graph.tensors[number].view) is not None:
        number = view[0]
    return number


def _reads(node: Node) -> list[int]:
    return [*node.inputs, *([] if node.adds is None else [node.adds])]


def _last_reads(graph: Graph) -> dict[int, int]:
    last: dict[int, int] = {}
    for i, node in enumerate(graph.nodes):
        for number in [*_reads(node), *node.outputs]:
            last[_root(graph, number)] = i
    return last


def _overwrites(graph: Graph, node: Node) -> list[int]:
    """The inputs whose memory the node's result may take."""
    out = graph.tensors[node.output]
    if node.adds is not None:
        candidates = [node.adds]
    elif node.kind in ("function", "softmax"):
        candidates = node.inputs
    elif node.kind == "binary":
        roots = [_root(graph, n) for n in node.inputs]
        candidates = [n for n in node.inputs if roots.count(_root(graph, n)) == 1 or len(set(node.inputs)) == 1]
    else:
        return []
    return [
        n for n in candidates
        if graph.tensors[n].view is None and graph.tensors[n].array is None
        and graph.tensors[n].shape == out.shape and graph.tensors[n].dtype == out.dtype
        and strides_of(graph, n) == strides_of(graph, node.output)
    ]  # fmt: skip


def plan_memory(graph: Graph) -> Plan:
    """Places for all tensors but inputs, outputs, constants and views."""
    last = _last_reads(graph)
    outside = {*graph.inputs, *graph.outputs}
    places: dict[int, Place] = {}
    for i, node in enumerate(graph.nodes):
        if node.kind == "view":
            continue
        taken = None
        if node.output not in outside:
            taken = next((n for n in _overwrites(graph, node) if n in places and last[n] == i), None)
        for number in node.outputs:
            if number in outside:
                continue
            if taken is not None:
                places[number] = places[taken]
                places[number].last = max(i, last.get(number, i))
            else:
                places[number] = Place(graph.tensors[number].nbytes, i, last.get(number, i))
    distinct = list({id(p): p for p in places.values()}.values())
    return Plan(places, lay_out(distinct))
