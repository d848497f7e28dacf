# SPDX-License-Identifier: BSD-3-Clause
"""`gradcheck_module`: every parameter's gradient against central differences, norm-wise, in float64."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from pydl import random
from pydl._core import engine, tape
from pydl.autograd.grad_mode import enable_grad, no_grad
from pydl.tensor import Tensor

__all__ = ["GradcheckResult", "GradcheckRow", "gradcheck_module"]


Array = np.ndarray[Any, np.dtype[Any]]
Probe = Array | tuple[int, ...]  # a direction, or the index of one element

PASS, BUG = 1e-7, 1e-4
# (step, points): two-point error is step² f'''/6, four-point step⁴ f⁗'/30; rounding is about 1e-16 |y| / step.
STEPS = ((1e-5, 2), (1e-3, 4), (1e-4, 4), (1e-6, 2), (1e-7, 2))
# Where the true gradient is 0 only rounding is left of the difference, and only a large step makes it small enough.
FLAT_STEPS = ((1e-2, 2), (1e-1, 2), (1.0, 2))
FLAT = 1e-6


@dataclass(frozen=True)
class GradcheckRow:
    """One parameter or input: the relative error at the best step, and what it means ("ok", "BUG", "inconclusive")."""

    name: str
    shape: tuple[int, ...]
    error: float
    step: float
    verdict: str

    def __str__(self) -> str:
        note = "  (a kink?)" if self.verdict == "inconclusive" else ""
        return f"{self.name:<28} {self.shape!s:<16} {self.error:9.2e}  {self.verdict}{note}"


@dataclass(frozen=True)
class GradcheckResult:
    """What `gradcheck_module` found: `ok` if every row passed; `rows` in the order of the parameters."""

    rows: tuple[GradcheckRow, ...]
    ok: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ok", all(row.verdict == "ok" for row in self.rows))

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join(map(str, self.rows))


def gradcheck_module(
    module: Any, *inputs: Any, max_elements: int = 256, seed: int = 0, verbose: bool = True
) -> GradcheckResult:
    """Prints ‖a − n‖ / max(‖a‖ + ‖n‖, 1e-8 ‖all gradients‖) for each parameter and floating-point input of a module.

    a is the gradient of ⟨v, module(*inputs)⟩ for a fixed random v, n its central difference. Below 1e-7 it passes,
    above 1e-4 it is a bug; in between other steps are tried and the rest is called inconclusive: most often a kink of
    relu or max within the step. All is done on a float64 copy: the module, its buffers and its inputs do not change.
    Dropout uses the same random numbers in each pass.

    Parameters of more than `max_elements` elements are checked in that many places, chosen by `seed`, and along two
    random directions through all of them.

    Returns: a `GradcheckResult` with `.ok` and `.rows`; it is true in a condition if all rows passed.

    Errors: ValueError if there is nothing to check, or no output depends on it.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> result = pydl.autograd.gradcheck_module(nn.Linear(3, 2), pydl.ones(4, 3), verbose=False)
        >>> result.ok, [row.name for row in result.rows]
        (True, ['weight', 'bias', 'input 0'])
    """
    run = _Run(module, inputs, max_elements, seed)
    gradients = run.gradients()
    total = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)))
    rows = []
    for (name, x), gradient in zip(run.variables, gradients, strict=True):
        rows.append(run.row(name, x, gradient, total))
        if verbose:
            print(rows[-1])
    return GradcheckResult(tuple(rows))


class _Run:
    """A float64 copy of the module with its inputs, evaluated again and again from the same state."""

    def __init__(self, module: Any, inputs: tuple[Any, ...], max_elements: int, seed: int) -> None:
        self.module = copy.deepcopy(module).double()
        self.inputs = tuple(_promote(x) for x in inputs)
        self.max_elements, self.seed = max_elements, seed
        self.buffers = [(b, b.array.copy()) for b in self.module.buffers()]
        self.random_state = random.get_rng_state()
        self.variables = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad]
        self.variables += [
            (f"input {i}", x) for i, x in enumerate(self.inputs) if isinstance(x, Tensor) and x.requires_grad
        ]
        if not self.variables:
            raise ValueError(
                "gradcheck_module: the module has no parameter that requires a gradient and no floating-point input"
            )
        self.kept: list[int] = []  # which outputs can be differentiated
        self.cotangents: list[Array] = []

    def outputs(self) -> list[Tensor]:
        """The tensors that the module returns, its buffers and the random numbers put back before and after."""
        for buffer, value in self.buffers:
            buffer.array[...] = value
        random.set_rng_state(self.random_state)
        try:
            return list(_tensors(self.module(*self.inputs)))
        finally:
            random.set_rng_state(self.random_state)

    def gradients(self) -> list[Array]:
        """The analytical gradients of ⟨v, outputs⟩, v drawn away from 0."""
        with enable_grad():
            outputs = self.outputs()
            self.kept = [i for i, t in enumerate(outputs) if t.requires_grad]
            if not self.kept:
                raise ValueError("gradcheck_module: no output of the module requires a gradient")
            roots = tuple(outputs[i] for i in self.kept)
            rng = np.random.default_rng(self.seed)
            self.cotangents = [rng.uniform(0.5, 1.5, t.shape) * rng.choice((-1.0, 1.0), t.shape) for t in roots]
            wanted = tuple(x for _, x in self.variables)
            given = tuple(tape.wrap(np.asarray(v)) for v in self.cotangents)
            grads = engine.backward(roots, given, False, False, wanted, True, False)
        return [
            np.zeros(x.shape) if g is None else np.array(g.array, np.float64)
            for x, g in zip(wanted, grads, strict=True)
        ]

    def row(self, name: str, x: Tensor, gradient: Array, total: float) -> GradcheckRow:
        """Tries one step after another until the error is below PASS; the smallest error decides."""
        probes = tuple(_probes(x.array.shape, self.max_elements, self.seed))
        analytical = np.array([_along(gradient, probe) for probe in probes])
        best, best_step, flat = np.inf, 0.0, False
        for step, points in STEPS + FLAT_STEPS:
            if step > max(s for s, _ in STEPS) and not flat:
                break
            numerical = np.array([self.difference(x.array, probe, step, points) for probe in probes])
            size = float(np.linalg.norm(analytical) + np.linalg.norm(numerical))
            error = float(np.linalg.norm(analytical - numerical)) / max(size, 1e-8 * total, 1e-300)
            flat = flat or size < FLAT * total
            if not error >= best:
                best, best_step = error, step
            if best < PASS:
                break
        verdict = "ok" if best < PASS else "BUG" if not best <= BUG else "inconclusive"
        return GradcheckRow(name, tuple(x.shape), best, best_step, verdict)

    def difference(self, data: Array, probe: Probe, step: float, points: int) -> float:
        """The central difference of ⟨v, outputs⟩ along one probe; written into the parameter and put back."""
        keep = data.copy() if isinstance(probe, np.ndarray) else data[probe].copy()
        target: Any = ... if isinstance(probe, np.ndarray) else probe
        along = probe if isinstance(probe, np.ndarray) else 1.0

        def moved(t: float) -> list[Array]:
            data[target] = keep + t * along
            with no_grad():
                outputs = self.outputs()
            return [np.array(outputs[i].array, np.float64) for i in self.kept]

        def slope(t: float) -> float:
            pairs = zip(self.cotangents, moved(t), moved(-t), strict=True)
            return sum(float(np.vdot(v, plus - minus)) for v, plus, minus in pairs) / (2 * t)

        try:
            return slope(step) if points == 2 else (4 * slope(step) - slope(2 * step)) / 3
        finally:
            data[target] = keep


def _probes(shape: tuple[int, ...], max_elements: int, seed: int) -> Iterator[Probe]:
    """Indices of single elements and, if there are too many elements, unit directions through all of them."""
    n = math.prod(shape)
    if n <= max_elements:
        yield from np.ndindex(shape)
        return
    rng = np.random.default_rng(seed)
    for flat in rng.choice(n, max_elements, replace=False):
        yield tuple(int(k) for k in np.unravel_index(flat, shape))
    for _ in range(2):
        direction = rng.standard_normal(shape)
        yield direction / np.linalg.norm(direction)


def _along(gradient: Array, probe: Probe) -> float:
    return float(np.vdot(gradient, probe)) if isinstance(probe, np.ndarray) else float(gradient[probe])


def _promote(value: Any) -> Any:
    """A float64 leaf of its own for a floating-point tensor, also inside tuples and lists; other values as they are."""
    if isinstance(value, Tensor) and value.dtype.is_floating_point:
        return tape.wrap(np.array(value.array, np.float64, order="C")).requires_grad_()
    if isinstance(value, list | tuple):
        return type(value)(_promote(item) for item in value)
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


class _CallableModule(ModuleType):
    """Once imported by its path, the module stands where the function of its name would be: it can be called too."""

    __call__ = staticmethod(gradcheck_module)


sys.modules[__name__].__class__ = _CallableModule
