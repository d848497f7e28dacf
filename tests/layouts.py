# SPDX-License-Identifier: BSD-3-Clause
"""The same values in other memory: transposed, stepped, reversed, misaligned, read-only, byte-swapped, stretched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

Array = np.ndarray[Any, np.dtype[Any]]


def transposed(a: Array) -> Array | None:
    return np.ascontiguousarray(a.T).T if a.ndim > 1 else None


def stepped(a: Array) -> Array | None:
    if a.ndim == 0:
        return None
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 7, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def reversed_(a: Array) -> Array | None:
    everywhere = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[everywhere])[everywhere] if a.ndim else None


def misaligned(a: Array) -> Array:
    raw = np.empty(a.nbytes + 1, np.uint8)
    result = np.frombuffer(raw, a.dtype, a.size, offset=1).reshape(a.shape) if a.size else a.copy()
    result[...] = a
    return result


def read_only(a: Array) -> Array:
    result = a.copy()
    result.flags.writeable = False
    return result


def byte_swapped(a: Array) -> Array:
    return a.astype(a.dtype.newbyteorder())


def odd_unit_strides(a: Array) -> Array | None:
    """Dimensions of size 1 may have any stride, a negative one too."""
    if 1 not in a.shape:
        return None
    return as_strided(a, strides=[-8 if n == 1 else s for n, s in zip(a.shape, a.strides, strict=True)])


LAYOUTS: dict[str, Callable[[Array], Array | None]] = {
    "transposed": transposed,
    "stepped": stepped,
    "reversed": reversed_,
    "misaligned": misaligned,
    "read-only": read_only,
    "byte-swapped": byte_swapped,
    "odd-unit-strides": odd_unit_strides,
}


def stretched(a: Array) -> Array:
    """One row repeated with stride 0: other values, so the comparison is with its contiguous copy."""
    return np.broadcast_to(a[:1], a.shape) if a.ndim and a.shape[0] > 1 else a
