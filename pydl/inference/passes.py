# SPDX-License-Identifier: BSD-3-Clause
"""Rewrites of the graph of a plan: batch norm into weights, sums and activations into the products before them."""

from __future__ import annotations

import numpy as np

from pydl.inference.graph import ADD, Graph, Node

__all__ = ["fold", "is_depthwise"]


def fold(graph: Graph) -> None:
    """Do all rewrites that keep the results up to rounding."""
    _fold_batch_norm(graph)
    _fuse_sums(graph)
    _fuse_functions(graph)


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether a convolution has channels of their own, whose kernels neither add nor clip."""
    channels: int = graph.tensors[node.inputs[0]].shape[1]
    return bool(1 < node.settings["groups"] == channels)


def _only_user(graph: Graph, number: int, users: dict[int, list[Node]]) -> Node | None:
    found = users.get(number, [])
    return found[0] if len(found) == 1 and number not in graph.outputs else None


def _producers(graph: Graph) -> dict[int, Node]:
    return {number: node for node in graph.nodes for number in node.outputs}


def _fold_batch_norm(graph: Graph) -> None:
    """y = s (W x + b) + t is W' x + b' with W' = s W, b' = s b + t, worked out in float64."""
    users, producers = graph.users(), _producers(graph)
    for norm in [node for node in graph.nodes if node.kind == "batch_norm"]:
        source = producers.get(norm.inputs[0])
        if source is None or source.kind not in ("conv", "linear") or _only_user(graph, source.output, users) is None:
            continue
        if source.kind == "linear" and len(graph.tensors[norm.output].shape) != 2:
            continue
        weight, bias = source.settings["weight"], source.settings["bias"]
        scale, shift = norm.settings["scale"], norm.settings["shift"]
        folded = weight.astype(np.float64) * scale.reshape(-1, *[1] * (weight.ndim - 1))
        source.settings["weight"] = folded.astype(weight.dtype)
        source.settings["bias"] = (shift if bias is None else shift + scale * bias).astype(weight.dtype)
        source.outputs, source.name = norm.outputs, f"{source.name} + batch_norm"
        producers[source.output] = source
        graph.nodes.remove(norm)


def _can_add(graph: Graph, node: Node | None) -> bool:
    if node is None or node.adds is not None or node.then is not None:
        return False
    return node.kind == "linear" or (node.kind == "conv" and not is_depthwise(graph, node))


def _fuse_sums(graph: Graph) -> None:
    """A product or convolution that is added to a tensor starts from that tensor. It runs where the sum stood."""
    users, producers = graph.users(), _producers(graph)
    for total in [node for node in graph.nodes if node.kind == "binary" and node.settings["code"] == ADD]:
        if len(total.inputs) != 2 or total.inputs[0] == total.inputs[1]:
            continue
        a, b = (graph.tensors[number] for number in total.inputs)
        if a.shape != b.shape or a.array is not None or b.array is not None:
            continue
        order = {id(node): i for i, node in enumerate(graph.nodes)}
        fitting = [
            (order[id(node)], number, node)
            for number in total.inputs
            if _can_add(graph, node := producers.get(number)) and node is not None
            and _only_user(graph, number, users) is total
        ]  # fmt: skip
        if not fitting:
            continue
        _, number, product = max(fitting, key=lambda found: found[0])
        product.adds = next(n for n in total.inputs if n != number)
        product.outputs, product.name = total.outputs, f"{product.name} + add"
        producers[product.output] = product
        graph.nodes.remove(product)
        graph.nodes[graph.nodes.index(total)] = product
        users = graph.users()


def _fuse_functions(graph: Graph) -> None:
    """An elementwise function of a product is applied while the result is in the cache."""
    users, producers = graph.users(), _producers(graph)
    for function in [node for node in graph.nodes if node.kind == "function"]:
        source = producers.get(function.inputs[0])
        if source is None or source.kind not in ("conv", "linear") or source.then is not None:
            continue
        if _only_user(graph, source.output, users) is not function:
            continue
        source.then, source.outputs = function.then, function.outputs
        source.name = f"{source.name} + {function.name}"
        producers[source.output] = source
        graph.nodes.remove(function)
