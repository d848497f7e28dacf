# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the optimizers' kernels, and what each must give, in plain NumPy and float64."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.kernel_calls import Array, Call, Out

FLAGS = ("nesterov", "maximize", "first")
FIELDS = {  # of the structs in update_kernels.h, in their order
    "sgd": "lr momentum dampening weight_decay nesterov maximize first",
    "asgd": "weight_decay shrink rate mu maximize",
    "rprop": "eta_minus eta_plus step_min step_max maximize",
    "adam": "weight_decay shrink beta1 beta2 eps rate root_scale maximize",
    "nadam": "weight_decay shrink beta1 beta2 eps grad_rate avg_rate square_scale maximize",
    "radam": "weight_decay shrink beta1 beta2 eps rate adapt maximize",
    "adamax": "weight_decay beta1 beta2 eps rate maximize",
    "adadelta": "weight_decay lr rho eps maximize",
    "adagrad": "weight_decay rate eps maximize",
    "rmsprop": "weight_decay lr alpha momentum eps maximize",
}


def options(name: str, **values: float) -> Any:
    """The struct of an optimizer with these values, the others 0."""
    fields = [(field, ctypes.c_int if field in FLAGS else ctypes.c_double) for field in FIELDS[name].split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})(**values)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A kernel with the arrays of state that it takes and its numbers."""

    name: str
    used: tuple[bool, bool, bool]
    values: dict[str, float]

    def call(self, p: Array, g: Array, state: list[Array]) -> Call:
        """One step; of the state only the arrays in use are given."""
        arrays = [Out(s) if used else None for s, used in zip(state, self.used, strict=True)]
        return Call(f"update.{self.name}", (Out(p), g, *arrays, options(self.name, **self.values), p.size))

    def want(self, p: Array, g: Array, state: list[Array]) -> list[Array]:
        """What that call writes, in float64."""
        p, g, *state = (np.asarray(a, np.float64) for a in (p, g, *state))
        g = (-g if self.values.get("maximize") else g) + self.values.get("weight_decay", 0) * p
        p, new = FORMULAS[self.name](p, g, state, self.used, Values(self.values))
        return [p, *(s for s, used in zip(new, self.used, strict=False) if used)]


class Values(dict[str, float]):
    """The numbers of a step by attribute; those not given are 0."""

    def __getattr__(self, name: str) -> float:
        return self.get(name, 0.0)


def variants() -> Iterator[Variant]:
    """Every kernel with every choice that has code of its own."""
    for momentum, nesterov, first in ((0.0, 0, 0), (0.9, 0, 0), (0.9, 1, 0), (0.9, 1, 1), (0.9, 0, 1)):
        values = {"lr": 0.1, "momentum": momentum, "dampening": 0.2, "nesterov": nesterov, "first": first}
        yield from _both("sgd", (momentum != 0, False, False), values)
    for mu in (1.0, 0.25):
        yield from _both("asgd", (True, False, False), {"shrink": 0.99, "rate": 0.1, "mu": mu})
    yield from _both(
        "rprop", (True, True, False), {"eta_minus": 0.5, "eta_plus": 1.2, "step_min": 0.2, "step_max": 1.1}
    )
    betas = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "shrink": 0.98}
    for amsgrad in (False, True):
        yield from _both("adam", (True, True, amsgrad), {**betas, "rate": 0.3, "root_scale": 1.7})
    yield from _both("adam", (True, True, False), {**betas, "beta1": 0.3, "rate": 0.3, "root_scale": 1.7})
    yield from _both("nadam", (True, True, False), {**betas, "grad_rate": 0.1, "avg_rate": 0.2, "square_scale": 3.0})
    for adapt in (0.0, 0.4):
        yield from _both("radam", (True, True, False), {**betas, "rate": 0.3, "adapt": adapt})
    yield from _both("adamax", (True, True, False), {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "rate": 0.2})
    yield from _both("adadelta", (True, True, False), {"lr": 0.5, "rho": 0.9, "eps": 1e-3})
    yield from _both("adagrad", (True, False, False), {"rate": 0.1, "eps": 1e-3})
    for momentum in (0.0, 0.9):
        for centered in (False, True):
            values = {"lr": 0.1, "alpha": 0.9, "momentum": momentum, "eps": 1e-3}
            yield from _both("rmsprop", (True, momentum > 0, centered), values)


def _both(name: str, used: tuple[bool, bool, bool], values: dict[str, float]) -> Iterator[Variant]:
    yield Variant(name, used, {**values, "maximize": 0, "weight_decay": 0})
    if name == "rprop":
        yield Variant(name, used, {**values, "maximize": 1})
    else:
        yield Variant(name, used, {**values, "maximize": 1, "weight_decay": 0.01})


def update_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every kernel of the family on n elements, for the guard pages."""
    for variant in variants():
        p, g, *state = (rng.standard_normal(n).astype(dtype) for _ in range(5))
        yield variant.call(p, g, [abs(s) for s in state])
    for name in ("sum_squares", "sum_abs", "max_abs"):
        yield Call(f"update.{name}", (rng.standard_normal(n).astype(dtype), n))


# ---- the formulas ------------------------------------------------------------------------------------------------

Formula = Callable[[Array, Array, list[Array], tuple[bool, bool, bool], Values], tuple[Array, list[Array]]]


def _sgd(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    if not used[0]:
        return p - h.lr * g, []
    buf = g if h.first else h.momentum * s[0] + (1 - h.dampening) * g
    return p - h.lr * (g + h.momentum * buf if h.nesterov else buf), [buf]


def _asgd(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    p = h.shrink * p - h.rate * g
    return p, [p if h.mu == 1 else s[0] + h.mu * (p - s[0])]


def _rprop(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    turn = np.sign(g * s[0])
    size = np.clip(s[1] * np.select([turn > 0, turn < 0], [h.eta_plus, h.eta_minus], 1.0), h.step_min, h.step_max)
    g = np.where(turn < 0, 0, g)
    return p - np.sign(g) * size, [g, size]


def _moments(g: Array, s: list[Array], h: Values) -> tuple[Array, Array]:
    return h.beta1 * s[0] + (1 - h.beta1) * g, h.beta2 * s[1] + (1 - h.beta2) * g**2


def _adam(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    m, v = _moments(g, s, h)
    top = np.maximum(s[2], v) if used[2] else v
    return h.shrink * p - h.rate * m / (h.root_scale * np.sqrt(top) + h.eps), [m, v, top]


def _nadam(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    m, v = _moments(g, s, h)
    return h.shrink * p - (h.grad_rate * g + h.avg_rate * m) / (np.sqrt(h.square_scale * v) + h.eps), [m, v]


def _radam(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    m, v = _moments(g, s, h)
    return h.shrink * p - h.rate * m * (h.adapt / (np.sqrt(v) + h.eps) if h.adapt else 1), [m, v]


def _adamax(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    m, u = h.beta1 * s[0] + (1 - h.beta1) * g, np.maximum(h.beta2 * s[1], abs(g) + h.eps)
    return p - h.rate * m / u, [m, u]


def _adadelta(
    p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values
) -> tuple[Array, list[Array]]:
    square = h.rho * s[0] + (1 - h.rho) * g**2
    change = np.sqrt(s[1] + h.eps) / np.sqrt(square + h.eps) * g
    return p - h.lr * change, [square, h.rho * s[1] + (1 - h.rho) * change**2]


def _adagrad(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    total = s[0] + g**2
    return p - h.rate * g / (np.sqrt(total) + h.eps), [total]


def _rmsprop(p: Array, g: Array, s: list[Array], used: tuple[bool, bool, bool], h: Values) -> tuple[Array, list[Array]]:
    square, mean = h.alpha * s[0] + (1 - h.alpha) * g**2, h.alpha * s[2] + (1 - h.alpha) * g
    change = g / (np.sqrt(np.maximum(square - mean**2, 0) if used[2] else square) + h.eps)
    buf = h.momentum * s[1] + change
    return p - h.lr * (buf if used[1] else change), [square, buf, mean]


FORMULAS: dict[str, Formula] = {
    "sgd": _sgd, "asgd": _asgd, "rprop": _rprop, "adam": _adam, "nadam": _nadam, "radam": _radam, "adamax": _adamax,
    "adadelta": _adadelta, "adagrad": _adagrad, "rmsprop": _rmsprop,
}  # fmt: skip
