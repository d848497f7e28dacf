# SPDX-License-Identifier: BSD-3-Clause
"""What a benchmark row is: data, a float64 reference, and one way to do the work per library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Data = dict[str, Any]
Way = Callable[..., Any]


@dataclass(frozen=True)
class Statement:
    """A piece of Python that is timed as text, so that no call of a wrapper is timed with it.

    `code` gives the value to check; where `minus` is set, the time reported is that of `code` less that of `minus`.
    """

    code: str
    names: Mapping[str, Any]
    minus: str | None = None


@dataclass(frozen=True)
class Row:
    """One line of the benchmark.

    data(rng)            named NumPy arrays and numbers, the same in every process
    reference(**data)    the right answer, from arrays promoted to float64; an array or a tuple of arrays
    ways[library]        way(library, **data) -> a callable without arguments, or a Statement; its value is checked.
                         pydl runs the text under "torch": that is its contract, and one of its own only where PyTorch
                         has no such thing.
    tolerance            largest allowed |value − reference| / max|reference|
    calls                how many calls the checked value consists of (training steps: their losses)
    flops, n_bytes       work of one call; give the shares of the measured FMA peak and copy bandwidth
    goal, at_most        what pydl wants to reach: best peer's time / pydl's, by threads; seconds on one thread
    """

    name: str
    data: Callable[[np.random.Generator], Data]
    reference: Callable[..., Any]
    ways: Mapping[str, Way]
    tolerance: float
    dtype: str = "float32"
    calls: int = 1
    flops: float = 0.0
    n_bytes: float = 0.0
    goal: Mapping[int, float] = field(default_factory=dict)
    at_most: float | None = None
    threads: tuple[int, ...] = (1, 2)

    def make_data(self) -> Data:
        """Return the row's data, the same in every process."""
        return self.data(np.random.default_rng(1))

    def answer(self) -> list[np.ndarray]:
        """Return the reference values in float64."""
        data = {k: _promote(v) for k, v in self.make_data().items()}
        return as_arrays(self.reference(**data))

    def way(self, library: str) -> Way | None:
        """Return how `library` does this row, or None."""
        own = library != "pydl" or "pydl" in self.ways
        return self.ways.get(library if own else "torch")


def normal(rng: np.random.Generator, shape: int | tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Return standard normal numbers."""
    return rng.standard_normal(shape, np.float64 if dtype == "float64" else np.float32)


def _promote(value: Any) -> Any:
    if isinstance(value, list):
        return [_promote(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value


def as_arrays(value: Any) -> list[np.ndarray]:
    """Return what a way gave back as a list of float64 arrays of their own."""
    if isinstance(value, (tuple, list)):
        return [a for v in value for a in as_arrays(v)]
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return [np.array(value, dtype=np.float64)]


def relative_error(got: Any, want: list[np.ndarray]) -> float:
    """Return max over the arrays of max|got − want| / max|want|; inf where shapes differ or a value is not finite."""
    arrays = as_arrays(got)
    if [a.shape for a in arrays] != [w.shape for w in want]:
        return float("inf")
    errors = [np.max(np.abs(a - w)) / max(np.max(np.abs(w)), 1e-300) for a, w in zip(arrays, want, strict=True)]
    return float(max(errors)) if np.all(np.isfinite(errors)) else float("inf")
