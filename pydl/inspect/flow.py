# SPDX-License-Identifier: BSD-3-Clause
"""How large the gradients are, layer by layer and step by step: as data, as a table, as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from pydl.autograd import enable_grad, grad, no_grad
from pydl.inspect._flow_plot import draw
from pydl.inspect._flow_text import table
from pydl.nn.modules.module import Module
from pydl.nn.modules.recurrent import RNNBase
from pydl.ops._unrolled import run_steps
from pydl.tensor import Tensor

__all__ = ["GradientFlow", "LayerFlow", "StepFlow", "gradient_flow"]

VANISHED, EXPLODED = 1e-4, 1e4


@dataclass(frozen=True)
class LayerFlow:
    """One module: ‖∂L/∂output‖ (None where the output has no gradient) and ‖∂L/∂w‖ of each of its own parameters.

    A module that was called several times has one entry, whose norm is that of all its outputs together.
    Source: none; part of `gradient_flow`, which has an example.
    """

    name: str
    kind: str
    output: float | None
    parameters: dict[str, float]


@dataclass(frozen=True)
class StepFlow:
    """The states h_1 … h_T of a recurrent layer in one direction: norms[t] = ‖∂L/∂h_{t+1}‖ over the batch.

    `given`: the norm of what the loss and the layers above hand to this layer, the larger one of ‖∂L/∂output‖ and
    ‖∂L/∂h_n‖. `reverse`: the layer ran from the last step to the first. Source: none; part of `gradient_flow`.
    """

    name: str
    norms: tuple[float, ...]
    given: float
    reverse: bool = False

    @property
    def ratio(self) -> float:
        """‖∂L/∂h‖ of the step computed first over that of the step computed last; nan if the latter is 0."""
        first, last = (self.norms[-1], self.norms[0]) if self.reverse else (self.norms[0], self.norms[-1])
        return first / last if last else math.nan

    @property
    def verdict(self) -> str:
        """What became of `given` on its way back: "explodes" where a norm is over 1e4 times as large or not finite,
        "vanishes" where less than 1e-4 of it is left at the step computed first, else "arrives".
        """
        if not all(map(math.isfinite, self.norms)) or max(self.norms) > EXPLODED * self.given:
            return "explodes"
        return "vanishes" if self.norms[-1 if self.reverse else 0] < VANISHED * self.given else "arrives"


@dataclass(frozen=True)
class GradientFlow:
    """What `gradient_flow` found: the loss, its layers in the order of their calls, and the steps of recurrent layers.

    str() is a table. Source: none; see `gradient_flow` for an example.
    """

    loss: float
    layers: tuple[LayerFlow, ...]
    steps: tuple[StepFlow, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The same as dicts, lists and numbers; each of "steps" has its "ratio" and "verdict" too."""
        steps = [{**asdict(s), "norms": list(s.norms), "ratio": s.ratio, "verdict": s.verdict} for s in self.steps]
        return {"loss": self.loss, "layers": [asdict(layer) for layer in self.layers], "steps": steps}

    def __str__(self) -> str:
        return table(self)

    def plot(self, path: str | None = None) -> Any:
        """A matplotlib figure, written to `path` if one is given. Errors: ImportError without matplotlib; OSError."""
        return draw(self, path)


@dataclass
class _Run:
    """One run of a recurrent layer in one direction: its states in the order of time, its output and last state."""

    states: list[Tensor]
    ends: tuple[Tensor, Tensor]
    reverse: bool


@dataclass
class _Seen:
    """The tensors that one forward pass made."""

    outputs: dict[str, list[Tensor]] = field(default_factory=dict)
    runs: dict[str, _Run] = field(default_factory=dict)


def _first_tensor(value: Any) -> Tensor | None:
    """The first tensor in nested tuples, lists and dicts: of (output, h_n), the output."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return None
    return next((t for t in map(_first_tensor, value) if t is not None), None)


def _step_by_step(layer: RNNBase, name: str, seen: _Seen) -> Callable[..., Any]:
    """layer._sequence as T sequences of one step, whose states are kept; in the order of time."""
    whole = layer._sequence

    def sequence(x: Any, sizes: Any, initial: Any, i: int, reverse: bool, return_gates: bool) -> Any:
        part = layer._all_weights[i][0].removeprefix("weight_ih_")
        states: list[Tensor] = []

        def step(rows: Any, state: Any) -> Any:
            _, after, gates = whole(rows, (rows.shape[0],), list(state), i, False, return_gates)
            states.append(after[0])
            return after, gates

        y, last, gates = run_steps(step, x, sizes, tuple(initial), reverse)
        run = _Run(states[:: -1 if reverse else 1], (y, last[0]), reverse)
        seen.runs[_unused(f"{name}.{part}", seen.runs)] = run
        return y, last, gates

    return sequence


def _unused(name: str, names: Any) -> str:
    """The name, or with "#2", "#3", … for further runs of a layer."""
    n = 1
    while (name if n == 1 else f"{name}#{n}") in names:
        n += 1
    return name if n == 1 else f"{name}#{n}"


def _parts(model: Module) -> Iterator[tuple[str, Module]]:
    """Modules that compute something of their own: without children, or with parameters."""
    for name, module in model.named_modules():
        if not any(True for _ in module.children()) or any(True for _ in module.parameters(recurse=False)):
            yield name or type(module).__name__, module


@contextmanager
def _watching(model: Module) -> Iterator[_Seen]:
    """Records outputs and recurrent states while the model runs; leaves the model as it was."""
    seen, handles, layers = _Seen(), [], []
    buffers = [(b, b.clone()) for b in model.buffers()]

    def watch(name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, output: Any) -> None:
            tensor = _first_tensor(output)
            if tensor is not None:
                seen.outputs.setdefault(name, []).append(tensor)

        return hook

    try:
        for name, module in _parts(model):
            handles.append(module.register_forward_hook(watch(name)))
            if isinstance(module, RNNBase):
                object.__setattr__(module, "_sequence", _step_by_step(module, name, seen))
                layers.append(module)
        yield seen
    finally:
        for handle in handles:
            handle.remove()
        for layer in layers:
            object.__delattr__(layer, "_sequence")
        with no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def _norms(loss: Tensor, model: Module, seen: _Seen) -> Callable[..., float]:
    """A function that gives the norm of the gradients of some tensors; what the loss does not depend on has 0."""
    wanted: list[Tensor] = list(model.parameters())
    for made in (*seen.outputs.values(), *([*run.states, *run.ends] for run in seen.runs.values())):
        wanted += made
    wanted = list({id(t): t for t in wanted if t.requires_grad}.values())
    found = dict(zip(map(id, wanted), grad(loss, wanted, allow_unused=True), strict=True))

    def norm(*tensors: Tensor) -> float:
        gradients = [g for g in (found.get(id(t)) for t in tensors) if g is not None]
        return math.sqrt(math.fsum(g.double().square().sum().item() for g in gradients))

    return norm


def _loss(model: Module, inputs: Any, loss: Callable[[Any], Tensor]) -> Tensor:
    output = model(*inputs) if type(inputs) is tuple else model(inputs)
    value = loss(output)
    if not isinstance(value, Tensor):
        raise TypeError(f"gradient_flow: loss must return a Tensor, not {type(value).__name__}")
    if value.numel() != 1:
        raise ValueError(f"gradient_flow: loss must return one number, not a Tensor of shape {tuple(value.shape)}")
    if not value.requires_grad:
        raise ValueError("gradient_flow: the loss depends on nothing that requires a gradient")
    return value


def gradient_flow(model: Module, inputs: Any, loss: Callable[[Any], Tensor]) -> GradientFlow:
    """‖∂L/∂output‖ and ‖∂L/∂w‖ of every layer, and ‖∂L/∂h_t‖ of every state h_t of its recurrent layers.

    A recurrent layer runs one step at a time here, each the layer's own compiled operation on a sequence of one step,
    so that every h_t is a tensor between two operations: ∂L/∂h_t is exact, with everything that later steps and layers
    make of h_t; c_t of an LSTM is held fixed. The results are those of the whole sequence within rounding. A cell that
    the model calls in a loop of its own is listed by its calls in the same way.

    model: any Module; inputs: its argument, or a tuple of them; loss: a function of its output that returns one number.
    Gradient: `.grad` is not touched, buffers keep their values. Errors: TypeError for another model or loss; ValueError
    for a loss of more than one number, or one that no parameter or input takes part in.
    Cost: one forward and one backward pass; a recurrent layer keeps T states and calls T operations.
    Source: Bengio et al. 1994; Pascanu et al. 2013, equation 5.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> from pydl.inspect import gradient_flow
        >>> model = nn.RNN(1, 1, nonlinearity="relu", bias=False)
        >>> model.load_state_dict({"weight_ih_l0": pydl.ones(1, 1), "weight_hh_l0": pydl.full((1, 1), 0.5)})
        <All keys matched successfully>
        >>> flow = gradient_flow(model, pydl.ones(4, 1, 1), lambda result: result[0][-1].sum())
        >>> flow.steps[0].norms, flow.steps[0].ratio
        ((0.125, 0.25, 0.5, 1.0), 0.125)
        >>> print(flow)
        Gradient flow, loss 1.875
        layer  kind  ‖dL/d output‖  ‖dL/d parameters‖
        RNN    RNN        1.00e+00  weight_ih_l0 1.88e+00  weight_hh_l0 2.75e+00
        <BLANKLINE>
        ‖dL/dh‖ at step         1         2         3         4  first/last
        RNN.l0           1.25e-01  2.50e-01  5.00e-01  1.00e+00    1.25e-01  arrives
    """
    if not isinstance(model, Module):
        raise TypeError(f"gradient_flow: model must be a Module, not {type(model).__name__}")
    with enable_grad(), _watching(model) as seen:
        value = _loss(model, inputs, loss)
    norm = _norms(value, model, seen)
    layers, steps = [], []
    for name, module in _parts(model):
        made = [t for t in seen.outputs.get(name, ()) if t.requires_grad]
        own = {n: norm(p) for n, p in module.named_parameters(recurse=False) if p.requires_grad}
        if name in seen.outputs or own:
            layers.append(LayerFlow(name, type(module).__name__, norm(*made) if made else None, own))
        if len(made) > 1 and not isinstance(module, RNNBase):
            norms = tuple(map(norm, made))
            steps.append(StepFlow(name, norms, norms[-1]))
    for name, run in seen.runs.items():
        steps.append(StepFlow(name, tuple(map(norm, run.states)), max(map(norm, run.ends)), run.reverse))
    order = {name: i for i, name in enumerate(seen.outputs)}
    layers.sort(key=lambda layer: order.get(layer.name, len(order)))
    return GradientFlow(value.item(), tuple(layers), tuple(steps))
