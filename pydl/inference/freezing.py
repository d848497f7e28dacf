# SPDX-License-Identifier: BSD-3-Clause
"""`freeze`: checks, the recorded run, the trial of the plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydl._core import plan as compiled
from pydl._core.errors import RecordingError
from pydl._core.recorder import Constant, record
from pydl._core.tape import TensorBase, set_grad_enabled, wrap
from pydl._generator import default_generator
from pydl.inference.building import build
from pydl.inference.graph import Graph
from pydl.inference.layouts import arrange
from pydl.inference.passes import fold

__all__ = ["Plan", "freeze"]

ROUNDING = 2000  # units in the last place of the largest value, by which a plan's results may differ from the model's
BY_TRAINING = {"_BatchNorm", "_Dropout", "RReLU"}


class Plan(compiled.Plan):
    """A model as a list of compiled steps for inputs of one shape and type; `freeze` makes it, and calling it runs it.

    `steps` are the steps, `nbytes` the bytes of the buffers that a call uses. Calls may come from several threads at
    once. A plan has its own copy of the weights: what becomes of the model does not change it.
    Shapes: those of the example. Gradient: none. Errors: ShapeError, TypeError for other inputs; RuntimeError for an
    input that requires a gradient while gradients are on; TypeError from pickle.
    """

    def __repr__(self) -> str:
        lines = [f"Plan of {len(self.steps)} steps on {self.nbytes} bytes"]
        return "\n".join([*lines, *(f"  {i}: {step}" for i, step in enumerate(self.steps))])

    def __reduce__(self) -> Any:
        raise TypeError("a plan cannot be pickled or copied: save the model, and freeze it again where it is loaded")


def _examples(example: Any) -> list[Any]:
    given = list(example) if isinstance(example, tuple | list) else [example]
    for x in given:
        if not isinstance(x, TensorBase):
            raise TypeError(f"freeze: example must be a Tensor or a tuple of Tensors, not {type(x).__name__}")
    return [wrap(np.array(x.array, order="C")) for x in given]


def _check_training(model: Any) -> None:
    for name, module in model.named_modules() if hasattr(model, "named_modules") else ():
        kinds = {cls.__name__ for cls in type(module).__mro__}
        if module.training and kinds.intersection(BY_TRAINING):
            what = f"{name} ({type(module).__name__})" if name else type(module).__name__
            raise RecordingError(f"freeze: {what} is in training mode: call model.eval() first")


def _flatten(out: Any, leaves: list[Any]) -> Callable[[list[Any]], Any]:
    """Put the tensors of a result into `leaves`; return what puts others in their places."""
    if isinstance(out, TensorBase):
        leaves.append(out)
        at = len(leaves) - 1
        return lambda results: results[at]
    if isinstance(out, tuple | list):
        kind: Any = type(out)
        parts = [_flatten(x, leaves) for x in out]
        if hasattr(kind, "_fields"):
            return lambda results: kind(*[part(results) for part in parts])
        return lambda results: kind(part(results) for part in parts)
    if isinstance(out, dict):
        named = {key: _flatten(x, leaves) for key, x in out.items()}
        return lambda results: {key: part(results) for key, part in named.items()}
    if out is None or isinstance(out, bool | int | float | str):
        return lambda results: out
    raise RecordingError(f"freeze: the model returns a {type(out).__name__}: a plan returns Tensors and nests of them")


def _recorded(model: Any, examples: list[Any]) -> tuple[Graph, list[Any], Callable[[list[Any]], Any]]:
    """The graph, the model's results, and how they are put together."""
    before = default_generator.get_state().array.tolist()
    recorder, inputs, out = record(model, examples)
    drawn = default_generator.get_state().array.tolist() != before
    leaves: list[Any] = []
    together = _flatten(out, leaves)
    if not leaves:
        raise RecordingError("freeze: the model returns no Tensor")
    graph = Graph(recorder, inputs, examples)
    if drawn:
        raise RecordingError("freeze: the model draws random numbers, and a plan would repeat those of the example")
    for leaf in leaves:
        found = recorder.output(leaf)
        graph.outputs.append(graph.constant(found) if isinstance(found, Constant) else found.number)
    return graph, leaves, together


def _differs(got: Any, want: Any) -> str:
    """How a result differs from the model's, or nothing."""
    a, b = got.array, want.array
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.shape} {a.dtype} in place of {b.shape} {b.dtype}"
    if a.dtype.kind != "f":
        return "" if np.array_equal(a, b) else "other integers"
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)):
        return "not finite elsewhere"
    if not finite.any():
        return ""
    error, largest = np.max(np.abs(a[finite] - b[finite])), np.max(np.abs(b[finite]))
    bound = ROUNDING * np.finfo(a.dtype).eps * largest
    return "" if error <= bound else f"off by {error:.3g} where the largest value is {largest:.3g}"


def _try(plan: Any, inputs: list[Any], want: list[Any]) -> None:
    leaves: list[Any] = []
    _flatten(plan(*[wrap(x.array) for x in inputs]), leaves)
    for got, right in zip(leaves, want, strict=True):
        if difference := _differs(got, right):
            raise RecordingError(
                f"freeze: the plan does not give the model's result ({difference}): the model decides by values or by "
                "something that changes from call to call, which a plan cannot"
            )


def _try_reverse(plan: Any, model: Any, examples: list[Any]) -> None:
    """The example's elements in reverse: the values are in range, and what was taken for a constant shows."""
    inputs = [wrap(np.ascontiguousarray(x.array.reshape(-1)[::-1]).reshape(x.array.shape)) for x in examples]
    want: list[Any] = []
    try:
        _flatten(model(*inputs), want)
    except (ValueError, RuntimeError, IndexError):  # inputs that no longer fit together, as lengths in falling order
        return
    _try(plan, inputs, want)


def freeze(model: Any, example: Any) -> Plan:
    """A plan of the model's forward pass: weights packed, batch norm folded into them, memory planned.

    The model runs once on `example` (a Tensor or a tuple of them) and what it computes becomes a list of compiled
    steps. Linear layers and convolutions take batch norm, a sum (y = F(x) + x) and the activation behind them into
    one step; every other operation is called as it is, so that any model can be frozen whose operations are recorded.
    The plan copies the weights: later training does not change it.
    Shapes: the plan takes inputs of the example's shapes and types only. Gradient: none.
    Errors: RecordingError (a RuntimeError) for what a plan cannot hold, with its line: dropout and batch norm in
    training mode, random numbers, values of tensors that Python looks at (`if x.sum() > 0`, `x.item()`), changes of
    buffers, operations that are not recorded. Python's own control flow is not seen: branches are taken as for the
    example. TypeError for an example that is no Tensor.
    Notes: results differ from the model's by rounding (folded weights, the order of a sum): a few units in the last
    place of the largest value for each layer. They have the same bits for any number of threads; several Python
    threads may call one plan at once. Source: torch.jit.freeze; there the model is compiled from its text.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
        >>> plan = pydl.freeze(model, pydl.ones(5, 4))
        >>> plan(pydl.ones(5, 4)).shape
        pydl.Size([5, 2])
        >>> plan
        Plan of 2 steps on 64 bytes
          0: linear + relu (5, 4) -> (5, 3)
          1: linear (5, 3) -> (5, 2)
    """
    if not callable(model):
        raise TypeError(f"freeze: model must be a Module or a function, not {type(model).__name__}")
    examples = _examples(example)
    _check_training(model)
    old = set_grad_enabled(False)
    try:
        graph, want, together = _recorded(model, examples)
        graph.drop_unused()
        fold(graph)
        arrange(graph)
        single = len(want) == 1 and together(want) is want[0]
        plan: Plan = build(graph, Plan, None if single else together)
        _try(plan, examples, want)
        _try_reverse(plan, model, examples)
    finally:
        set_grad_enabled(old)
    return plan
