# SPDX-License-Identifier: BSD-3-Clause
"""Calls of the kernels of activations and dropout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pydl._core import kernels
from tests.kernel_calls import Array, Call, Out, strided

# By function, parameters that none of them minds.
PARAMETERS = {"leaky_relu": (0.1, 0, 0), "elu": (1.5, 1.1, 0.9), "softplus": (2.0, 3.0, 0), "hardtanh": (-0.5, 0.5, 0)}
NAMES = [name.partition(".")[2] for name in kernels.entries() if name.startswith("activation_fwd.")]
KEEP = int(0.7 * 2**32)


def parameters(name: str) -> Array:
    return np.array(PARAMETERS.get(name, (0.5, 2.0, 0.0)))


def activation_calls(n: int, dtype: Any, rng: np.random.Generator) -> Iterator[Call]:
    """Every kernel on n elements with the strides 0, 1 and 2."""
    for sx, sy in ((1, 1), (0, 1), (2, 2)):
        a, b, c = (strided(rng, n, s, dtype) - dtype(1.5) for s in (sx, 1, sx))
        y = Out(np.zeros(max(1, n * sy) if n else 0, dtype))
        for name in NAMES:
            yield Call(f"activation_fwd.{name}", (a, sx, y, sy, n, parameters(name)))
            yield Call(f"activation_bwd.{name}", (b, 1, a, sx, y, sy, n, parameters(name)))
        for name in ("prelu", "glu"):
            yield Call(f"activation.{name}", (a, sx, b, 1, y, sy, n))
            yield Call(f"activation.{name}_bwd", (a, sx, b, 1, c, sx, y, sy, n))
        mask = (rng.random(strided(rng, n, sx, dtype).size) < 0.5).astype(np.uint8)
        for name in ("mask_scale", "mask_affine"):
            yield Call(f"activation.{name}", (b, 1, mask, sx, y, sy, n, np.array([2.0, 0.1, -0.3])))
    for size in (n, 9 * n):
        x, y, drawn = strided(rng, size, 1, dtype), Out(np.zeros(size, dtype)), Out(np.zeros(size, np.uint8))
        yield Call("activation.dropout", (x, y, drawn, size, 3, 2**40, KEEP, 1.25))
        yield Call("activation.dropout_mask", (drawn, size, 3, 5, KEEP))
