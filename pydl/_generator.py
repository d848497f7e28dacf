# SPDX-License-Identifier: BSD-3-Clause
"""The generator of random numbers, counter-based (Philox): the numbers depend on the seed alone, never on threads."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pydl._core import dtypes, tape
from pydl._core import random as core
from pydl._core.dropout import set_generator
from pydl._core.tape import TensorBase

__all__ = ["Generator", "default_generator", "generator_or_default"]

# The seed of a generator that nobody has seeded: a run without manual_seed is the same each time, as in PyTorch.
DEFAULT_SEED = 67280421310721


class Generator:
    """A stream of random numbers: a seed (the key) and how many numbers of the stream are used up.

    The numbers are the same on every platform and for any number of threads, but not those of PyTorch.
    Source: torch.Generator.

    Example:
        >>> import pydl
        >>> g = pydl.Generator().manual_seed(3)
        >>> a = pydl.rand(2, generator=g); g.manual_seed(3) is g, pydl.equal(a, pydl.rand(2, generator=g))
        (True, True)
    """

    __slots__ = ("__weakref__", "_key", "_offset", "_seed")

    def __init__(self, device: Any = "cpu") -> None:
        dtypes.device(device)
        self.manual_seed(DEFAULT_SEED)

    @property
    def device(self) -> dtypes.device:
        """Always the CPU."""
        return dtypes.CPU

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream of that seed anew. Errors: RuntimeError for a seed that does not fit into 64 bits.

        Source: torch.Generator.manual_seed.
        """
        number = int(seed)
        if not -(2**63) <= number < 2**64:
            raise RuntimeError(f"manual_seed: the seed must fit into 64 bits, not {seed}")
        self._key = self._seed = number % 2**64
        self._offset = 0
        return self

    def seed(self) -> int:
        """Takes a seed from the system's source of randomness and returns it. Source: torch.Generator.seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed of the stream. Source: torch.Generator.initial_seed."""
        return self._seed

    def get_state(self) -> TensorBase:
        """Seed and position as 16 bytes (uint8). Source: torch.Generator.get_state."""
        state: TensorBase = tape.wrap(np.array([self._seed, self._offset], "<u8").view(np.uint8))
        return state

    def set_state(self, new_state: TensorBase) -> Generator:
        """Goes back to what `get_state` returned. Errors: TypeError, RuntimeError for anything else.

        Source: torch.Generator.set_state.
        """
        if not isinstance(new_state, TensorBase) or new_state.dtype is not dtypes.uint8:
            raise TypeError("set_state: the RNG state must be a uint8 tensor")
        if tuple(new_state.shape) != (16,):
            raise RuntimeError(f"set_state: RNG state is wrong size: 16 bytes, not {tuple(new_state.shape)}")
        key, offset = np.ascontiguousarray(new_state.array).view("<u8").tolist()
        self._key, self._seed, self._offset = key, key, offset
        return self

    def clone_state(self) -> Generator:
        """A generator at the same position of the same stream. Source: torch.Generator.clone_state."""
        return Generator().set_state(self.get_state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._seed, self._offset)

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        return self.clone_state()

    def draw(self, kernel: Any, out: TensorBase, *law: Any) -> TensorBase:
        """Fills `out` by a kernel and moves on by the counters it used."""
        self._offset = (self._offset + kernel(out, self._key, self._offset, *law)) % 2**64
        return out

    def permutation(self, n: int) -> TensorBase:
        out, used = core.philox_permutation(n, self._key, self._offset)
        self._offset = (self._offset + used) % 2**64
        return out


def _restored(seed: int, offset: int) -> Generator:
    made = Generator().manual_seed(seed)
    made._offset = offset
    return made


default_generator = Generator()
set_generator(default_generator)


def generator_or_default(generator: Generator | None) -> Generator:
    """The generator itself, or the default one for None."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"generator: must be a pydl.Generator, not {type(generator).__name__}")
    return generator
