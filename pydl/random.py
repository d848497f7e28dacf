# SPDX-License-Identifier: BSD-3-Clause
"""Random tensors; the numbers are the same on every platform and for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from pydl._core import dtypes, tape
from pydl._core import random as core
from pydl._core.tape import TensorBase
from pydl._data import new_shape
from pydl._generator import Generator, default_generator, generator_or_default
from pydl.creation import empty_like
from pydl.tensor import Tensor

__all__ = [
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "multinomial",
    "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "seed",
    "set_rng_state",
]  # fmt: skip


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator and returns it. Source: torch.manual_seed.

    Example:
        >>> import pydl
        >>> g = pydl.manual_seed(0); a = pydl.rand(3)
        >>> g = pydl.manual_seed(0); pydl.equal(a, pydl.rand(3))
        True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the system's source of randomness. Source: torch.seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator. Source: torch.initial_seed."""
    return default_generator.initial_seed()


def get_rng_state() -> TensorBase:
    """The state of the default generator. Source: torch.get_rng_state."""
    return default_generator.get_state()


def set_rng_state(new_state: TensorBase) -> None:
    """Brings the default generator to a state. Source: torch.set_rng_state."""
    default_generator.set_state(new_state)


# --- new tensors --------------------------------------------------------------------------------------------------


def _new(size: tuple[Any, ...], op: str, dtype: Any, device: Any) -> Any:
    """An uninitialised tensor of a floating-point type."""
    if device is not None:
        dtypes.device(device)
    np_dtype = dtypes.default_np() if dtype is None else dtypes.as_np(dtype)
    if np_dtype.kind != "f":
        raise NotImplementedError(f"{op}: needs a floating-point type, not {dtypes.from_np(np_dtype)}")
    return tape.empty(new_shape(size, op), np_dtype)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform numbers of [0, 1). Errors: NotImplementedError for integer types. Source: torch.rand.

    Example:
        >>> import pydl
        >>> x = pydl.rand(1000)
        >>> bool((x >= 0).all() and (x < 1).all())
        True
    """
    made: Any = generator_or_default(generator).draw(
        core.philox_uniform, _new(size, "rand", dtype, device), 0.0, 1.0
    )
    return made.requires_grad_(requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers of mean 0 and variance 1. Errors: NotImplementedError for integer types. Source: torch.randn.

    Example:
        >>> import pydl
        >>> abs(pydl.randn(10000).mean().item()) < 0.1
        True
    """
    made: Any = generator_or_default(generator).draw(
        core.philox_normal, _new(size, "randn", dtype, device), 0.0, 1.0
    )
    return made.requires_grad_(requires_grad)


def _integers(low: int, high: int, shape: tuple[int, ...], generator: Generator | None, dtype: Any) -> Any:
    if low >= high:
        raise RuntimeError(f"randint: random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    np_dtype = np.dtype(np.int64) if dtype is None else dtypes.as_np(dtype)
    if np_dtype.kind in "iu" and not (np.iinfo(np_dtype).min <= low and high - 1 <= np.iinfo(np_dtype).max):
        raise RuntimeError(f"randint: [{low}, {high}) is out of bounds for {dtypes.from_np(np_dtype)}")
    drawn = tape.empty(shape, np.dtype(np.int64))
    generator_or_default(generator).draw(core.philox_randint, drawn, low, high)
    return drawn if np_dtype == np.int64 else tape.wrap(drawn.array.astype(np_dtype))


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers of [low, high), each equally likely; `randint(high, size)` begins at 0.

    Errors: RuntimeError unless low < high. Source: torch.randint.

    Example:
        >>> import pydl
        >>> x = pydl.randint(3, 5, (100,))
        >>> x.dtype, sorted(set(x.tolist()))
        (pydl.int64, [3, 4])
    """
    if size is None:
        low, high, size = 0, low, high
    if high is None:
        low, high = 0, low
    if device is not None:
        dtypes.device(device)
    made: Any = _integers(int(low), int(high), new_shape((size,), "randint"), generator, dtype)
    return made.requires_grad_(requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The integers 0 … n − 1 in random order (int64). Errors: RuntimeError for negative n. Source: torch.randperm.

    Example:
        >>> import pydl
        >>> sorted(pydl.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    if device is not None:
        dtypes.device(device)
    if n < 0:
        raise RuntimeError(f"randperm: n must be non-negative, got {n}")
    made: Any = generator_or_default(generator).permutation(n)
    return (made if dtype is None else made.to(dtype)).requires_grad_(requires_grad)


def _check_like(input: object, op: str) -> None:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{op}: input must be a Tensor, not {type(input).__name__}")


def rand_like(
    input: TensorBase,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """Uniform numbers of [0, 1) with the shape and type of `input`.

    Errors: TypeError unless input is a Tensor. Source: torch.rand_like.

    Example:
        >>> import pydl
        >>> pydl.rand_like(pydl.ones(2, 3)).shape
        pydl.Size([2, 3])
    """
    _check_like(input, "rand_like")
    made = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    return made.uniform_(generator=generator).requires_grad_(requires_grad)


def randn_like(
    input: TensorBase,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """Standard normal numbers with the shape and type of `input`.

    Errors: TypeError unless input is a Tensor. Source: torch.randn_like.

    Example:
        >>> import pydl
        >>> pydl.randn_like(pydl.ones(2, 3)).shape
        pydl.Size([2, 3])
    """
    _check_like(input, "randn_like")
    made = empty_like(input, dtype=dtype, device=device, memory_format=memory_format)
    return made.normal_(generator=generator).requires_grad_(requires_grad)


def randint_like(
    input: TensorBase,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = dtypes.preserve_format,
) -> Tensor:
    """Integers of [low, high), or [0, low), with the shape and type of `input`.

    Errors: TypeError unless input is a Tensor. Source: torch.randint_like.

    Example:
        >>> import pydl
        >>> pydl.randint_like(pydl.ones(2, 3), 5).shape
        pydl.Size([2, 3])
    """
    _check_like(input, "randint_like")
    low, high = (0, low) if high is None else (low, high)
    made: Any = _integers(low, high, tuple(input.shape), generator, input.dtype if dtype is None else dtype)
    return made.requires_grad_(requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """mean + std · z with standard normal z; mean and std are tensors, or numbers with a `size`.

    Shapes: those of mean and std broadcast, or size. Errors: RuntimeError for std < 0. Source: torch.normal.

    Example:
        >>> import pydl
        >>> pydl.normal(5.0, 0.0, (2,))
        tensor([5., 5.])
    """
    tensors = [t for t in (mean, std) if isinstance(t, TensorBase)]
    if not tensors:
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        out = _new((() if size is None else size,), "normal", dtype, device)
        drawn: Any = generator_or_default(generator).draw(core.philox_normal, out, float(mean), float(std))
        return drawn.requires_grad_(requires_grad)
    if isinstance(std, TensorBase) and std.array.size and std.array.min() < 0:
        raise RuntimeError(f"normal expects all elements of std >= 0.0, but one is {std.array.min()}")
    np_dtype = tensors[0].array.dtype if dtype is None else dtypes.as_np(dtype)
    shape = np.broadcast_shapes(*(t.array.shape for t in tensors))
    z = randn(shape, generator=generator, dtype=dtypes.from_np(np_dtype)).array
    m, s = (t.array if isinstance(t, TensorBase) else t for t in (mean, std))
    result: Any = tape.wrap(np.asarray(z * s + m, np_dtype))
    return result.requires_grad_(requires_grad)


def bernoulli(input: TensorBase, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with probability x_i (or p), else 0; in the shape and type of x.

    Errors: RuntimeError for a probability outside of [0, 1]. Source: torch.bernoulli.

    Example:
        >>> import pydl
        >>> pydl.bernoulli(pydl.tensor([0., 1.]))
        tensor([0., 1.])
    """
    _check_like(input, "bernoulli")
    made = empty_like(input)
    return made.bernoulli_(input.detach() if p is None else p, generator=generator)


# --- drawing categories -------------------------------------------------------------------------------------------


def _check_weights(weights: np.ndarray[Any, Any], num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"multinomial: prob_dist must be 1 or 2 dim, not {weights.ndim}")
    if weights.dtype.kind != "f":
        raise RuntimeError(
            f"multinomial: only supports floating-point dtypes for input, not {dtypes.from_np(weights.dtype)}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, here {num_samples}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    if (weights.sum(-1) <= 0).any():
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and (np.count_nonzero(weights, axis=-1) < num_samples).any():
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement (of the categories "
            "with a probability above 0)"
        )


def multinomial(
    input: TensorBase, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with the given weights, which need not add up to 1; without replacement each at most once.

    Shapes: (C) → (num_samples,), (N, C) → (N, num_samples), int64. Errors: RuntimeError for weights that are no
    distribution, or too few of them. Source: torch.multinomial.

    Example:
        >>> import pydl
        >>> pydl.multinomial(pydl.tensor([0., 3., 0.]), 2, replacement=True)
        tensor([1, 1])
    """
    weights = input.array
    _check_weights(weights, num_samples, replacement)
    rows = np.atleast_2d(weights).astype(np.float64)
    n_drawn = num_samples if replacement else rows.shape[1]
    u = rand(len(rows), n_drawn, generator=generator, dtype=dtypes.float64).array
    if replacement:
        bounds = np.cumsum(rows, axis=1)
        found = np.stack([np.searchsorted(b, x * b[-1], side="right") for b, x in zip(bounds, u, strict=True)])
        last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)
        found = np.minimum(found, last[:, None])
    else:
        # The k smallest of exponential waiting times of rate w are a draw without replacement.
        with np.errstate(divide="ignore"):
            waiting = -np.log1p(-u) / rows
        found = np.argsort(np.where(rows > 0, waiting, np.inf), axis=1, kind="stable")[:, :num_samples]
    made: Tensor = tape.wrap(np.ascontiguousarray(found[0] if weights.ndim == 1 else found).astype(np.int64))
    return made
