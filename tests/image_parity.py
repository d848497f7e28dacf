# SPDX-License-Identifier: BSD-3-Clause
"""One call with pydl and with PyTorch: results, gradients, and what users see of the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pydl

Array = np.ndarray[Any, np.dtype[Any]]


def outcome(T: Any, make: Callable[[Any], Any], x: Array, dtype: Any, last: bool) -> list[Any]:
    """Result, gradient of Σ cos(i)·y_i, and whether the result is channels-last; `make(T)` gives the call."""
    t = T.from_numpy(x.astype(dtype))
    if last:
        t = t.to(memory_format=T.channels_last)
    t = t.requires_grad_()
    y = make(T)(t)
    v = T.from_numpy(np.cos(np.arange(y.numel())).astype(dtype).reshape(tuple(y.shape)))
    (dx,) = T.autograd.grad([y], [t], [v])
    return [y.detach().numpy(), dx.detach().numpy(), y.ndim == 4 and y.is_contiguous(memory_format=T.channels_last)]


def check_same(make: Callable[[Any], Any], x: Array, factor: float = 16.0) -> None:
    """Within `factor` roundings of PyTorch in both types; channels-last input gives the bits of contiguous input."""
    import torch

    for dtype in (np.float32, np.float64):
        ours, theirs = (outcome(T, make, x, dtype, False) for T in (pydl, torch))
        for a, b in zip(ours[:2], theirs[:2], strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(
                a, b, rtol=0, atol=factor * np.finfo(dtype).eps * max(1, np.abs(b).max(initial=0))
            )
        if x.ndim == 4:
            last = outcome(pydl, make, x, dtype, True)
            assert last[0].tobytes() == ours[0].tobytes()
            assert last[1].tobytes() == ours[1].tobytes()
            if all(a.ndim == 4 and a.shape[0] and a.shape[1] > 1 and a.shape[2] * a.shape[3] > 1 for a in (x, ours[0])):
                assert last[2], "channels-last in, channels-last out"
