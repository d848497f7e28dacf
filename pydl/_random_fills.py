# SPDX-License-Identifier: BSD-3-Clause
"""The in-place methods that fill a tensor with random numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pydl._core import random as core
from pydl._core import tape
from pydl._core.tape import TensorBase, is_grad_enabled
from pydl._generator import Generator, generator_or_default

if TYPE_CHECKING:
    from pydl.tensor import Tensor

__all__ = ["RandomFills"]


def _bounds(given: tuple[Any, ...], named: dict[str, Any], defaults: tuple[Any, Any], op: str) -> tuple[Any, Any]:
    """The arguments that PyTorch calls `from` (a word of Python's) and `to`."""
    if unknown := named.keys() - {"from", "to"}:
        raise TypeError(f"{op}: got an unexpected keyword argument {min(unknown)!r}")
    if len(given) > 2:
        raise TypeError(f"{op}: takes two bounds, not {len(given)}")
    low = given[0] if given else named.get("from", defaults[0])
    high = given[1] if len(given) > 1 else named.get("to", defaults[1])
    return low, high


def _fill(x: Any, op: str, generator: Generator | None, kernel: Any, *law: Any) -> Any:
    """Draws into x; a tensor with history gets a new one, from which nothing flows back."""
    if x.array.dtype.kind != "f":
        raise NotImplementedError(f"{op}: not implemented for {x.dtype}; it needs a floating-point type")
    x._check_inplace(op)
    stream = generator_or_default(generator)
    if is_grad_enabled() and x.requires_grad:
        return x.copy_(stream.draw(kernel, tape.empty(tuple(x.shape), x.array.dtype), *law))
    return stream.draw(kernel, x, *law)


class RandomFills:
    """Methods that fill with random numbers. `Tensor` inherits them."""

    __slots__ = ()

    def uniform_(self: Any, *bounds: float, generator: Generator | None = None, **named: float) -> Tensor:
        """Uniform numbers of [from, to), by default [0, 1). Errors: RuntimeError if from > to.

        Source: torch.Tensor.uniform_.
        """
        low, high = _bounds(bounds, named, (0.0, 1.0), "uniform_")
        if not low <= high:
            raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
        return _fill(self, "uniform_", generator, core.philox_uniform, float(low), float(high))

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """mean + std · z with standard normal z. Errors: RuntimeError for std < 0. Source: torch.Tensor.normal_."""
        if std < 0:
            raise RuntimeError(f"normal_ expects std >= 0.0, but found std={std}")
        return _fill(self, "normal_", generator, core.philox_normal, float(mean), float(std))

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
        """1 with probability p (a number, or one per element), else 0. Errors: RuntimeError for p outside of [0, 1].

        Source: torch.Tensor.bernoulli_.
        """
        self._check_inplace("bernoulli_")
        probabilities = p.array if isinstance(p, TensorBase) else np.asarray(p, np.float64)
        if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= 1):
            raise RuntimeError(
                f"bernoulli_ expects p to be in [0, 1], but it goes from {probabilities.min()} to {probabilities.max()}"
            )
        stream = generator_or_default(generator)
        if probabilities.ndim == 0:
            mask = tape.empty(tuple(self.shape), np.dtype(np.bool_))
            return self.copy_(stream.draw(core.philox_mask, mask, float(probabilities)))
        u = stream.draw(core.philox_uniform, tape.empty(tuple(self.shape), np.dtype(np.float64)), 0.0, 1.0)
        return self.copy_(tape.wrap(u.array < probabilities))

    def random_(self: Any, *bounds: int, generator: Generator | None = None, **named: int) -> Tensor:
        """Integers of [from, to), of [0, to), or of all that the type holds exactly. Source: torch.Tensor.random_.

        Errors: RuntimeError unless from < to.
        """
        self._check_inplace("random_")
        if len(bounds) == 1 and not named:
            bounds = (0, bounds[0])
        kind = self.array.dtype
        most = 2 if kind.kind == "b" else 2 ** (np.finfo(kind).nmant + 1) if kind.kind == "f" else np.iinfo(kind).max
        low, high = _bounds(bounds, named, (0, most), "random_")
        if low >= high:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
        drawn = tape.empty(tuple(self.shape), np.dtype(np.int64))
        return self.copy_(generator_or_default(generator).draw(core.philox_randint, drawn, int(low), int(high)))

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
        """Waiting times of rate lambd: −log(1 − u)/lambd. Errors: RuntimeError unless lambd > 0.

        Source: torch.Tensor.exponential_.
        """
        if not lambd > 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        self._check_inplace("exponential_")
        stream = generator_or_default(generator)
        u = stream.draw(core.philox_uniform, tape.empty(tuple(self.shape), np.dtype(np.float64)), 0.0, 1.0)
        return self.copy_(tape.wrap(np.asarray(-np.log1p(-u.array) / lambd)))
