# SPDX-License-Identifier: BSD-3-Clause
"""The optimizers as their papers and PyTorch's documentation write them: step t of one parameter, plain NumPy.

Each takes the state (a dict that begins empty), the parameter, the gradient with its sign for `maximize`, t from 1 on
and the options of the group, and returns the new parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
State = dict[str, Any]
Options = dict[str, Any]


def _decayed(p: Array, g: Array, o: Options) -> tuple[Array, Array]:
    """The parameter and gradient after weight decay of either kind."""
    if o.get("decoupled_weight_decay"):
        return p * (1 - o["lr"] * o["weight_decay"]), g
    return p, g + o["weight_decay"] * p


def _moments(s: State, g: Array, o: Options) -> tuple[Array, Array]:
    b1, b2 = o["betas"]
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return s["m"], s["v"]


def sgd(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, d = _decayed(p, g, o)
    if o["momentum"]:
        s["buffer"] = d if t == 1 else o["momentum"] * s["buffer"] + (1 - o["dampening"]) * d
        d = d + o["momentum"] * s["buffer"] if o["nesterov"] else s["buffer"]
    return p - o["lr"] * d


def adam(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    m, v = _moments(s, g, o)
    if o["amsgrad"]:
        v = s["top"] = np.maximum(s.get("top", 0), v)
    b1, b2 = o["betas"]
    return p - o["lr"] * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + o["eps"])


def nadam(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    m, v = _moments(s, g, o)
    b1, b2 = o["betas"]
    mu, following = (b1 * (1 - 0.5 * 0.96 ** (n * o["momentum_decay"])) for n in (t, t + 1))
    s["product"] = s.get("product", 1) * mu
    mean = (1 - mu) * g / (1 - s["product"]) + following * m / (1 - s["product"] * following)
    return p - o["lr"] * mean / (np.sqrt(v / (1 - b2**t)) + o["eps"])


def radam(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    m, v = _moments(s, g, o)
    b1, b2 = o["betas"]
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    if length <= 5:
        return p - o["lr"] * m / (1 - b1**t)
    r = np.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return p - o["lr"] * m / (1 - b1**t) * r * np.sqrt(1 - b2**t) / (np.sqrt(v) + o["eps"])


def adamax(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    m, _ = _moments(s, g, o)
    b1, b2 = o["betas"]
    s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g) + o["eps"])
    return p - o["lr"] / (1 - b1**t) * m / s["u"]


def adadelta(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    rho, before = o["rho"], s.get("change", 0)
    s["square"] = rho * s.get("square", 0) + (1 - rho) * g * g
    d = np.sqrt(before + o["eps"]) / np.sqrt(s["square"] + o["eps"]) * g
    s["change"] = rho * before + (1 - rho) * d * d
    return p - o["lr"] * d


def adagrad(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    s["sum"] = s.get("sum", o["initial_accumulator_value"]) + g * g
    return p - o["lr"] / (1 + (t - 1) * o["lr_decay"]) * g / (np.sqrt(s["sum"]) + o["eps"])


def rmsprop(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    s["square"] = o["alpha"] * s.get("square", 0) + (1 - o["alpha"]) * g * g
    s["mean"] = o["alpha"] * s.get("mean", 0) + (1 - o["alpha"]) * g
    variance = s["square"] - s["mean"] ** 2 if o["centered"] else s["square"]
    d = g / (np.sqrt(np.maximum(variance, 0)) + o["eps"])
    s["buffer"] = o["momentum"] * s.get("buffer", 0) + d
    return p - o["lr"] * s["buffer"]


def rprop(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    (less, more), (low, high) = o["etas"], o["step_sizes"]
    turn = np.sign(g * s.get("before", 0))
    factor = np.where(turn > 0, more, np.where(turn < 0, less, 1.0))
    s["size"] = np.clip(s.get("size", o["lr"]) * factor, low, high)
    s["before"] = np.where(turn < 0, 0, g)
    return p - np.sign(s["before"]) * s["size"]


def asgd(s: State, p: Array, g: Array, t: int, o: Options) -> Array:
    p, g = _decayed(p, g, o)
    rate = o["lr"] / (1 + o["lambd"] * o["lr"] * (t - 1)) ** o["alpha"]
    return p * (1 - o["lambd"] * rate) - rate * g


OPTIMIZERS: dict[str, Callable[[State, Array, Array, int, Options], Array]] = {
    "SGD": sgd, "Adam": adam, "AdamW": adam, "NAdam": nadam, "RAdam": radam, "Adamax": adamax, "Adadelta": adadelta,
    "Adagrad": adagrad, "RMSprop": rmsprop, "Rprop": rprop, "ASGD": asgd,
}  # fmt: skip
