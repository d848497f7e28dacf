# SPDX-License-Identifier: BSD-3-Clause
"""New tensors with numbers in a regular order: arange, linspace, eye."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pydl._core import dtypes, tape
from pydl.tensor import Tensor

__all__ = ["arange", "eye", "linspace", "logspace"]


def _finish(values: Any, np_dtype: np.dtype[Any], device: Any, requires_grad: bool) -> Tensor:
    if device is not None:
        dtypes.device(device)
    made = tape.empty(values.shape, np_dtype)
    np.copyto(made.array, values, casting="unsafe")
    return made.requires_grad_(requires_grad)


def _number(value: Any, op: str) -> Any:
    value = value.item() if isinstance(value, (Tensor, np.generic)) else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{op}: takes numbers, not {type(value).__name__}")
    return value


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step, … below `end` (excluded); `arange(end)` begins at 0.

    Shapes: (⌈(end − start)/step⌉,); int64 if all numbers are ints, else the default type.
    Errors: RuntimeError for step 0 or one that leads away from `end`. Source: torch.arange.

    Example:
        >>> import pydl
        >>> pydl.arange(3), pydl.arange(1, 2, 0.5)
        (tensor([0, 1, 2]), tensor([1.0000, 1.5000]))
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number(v, "arange") for v in (start, end, step))
    if step == 0:
        raise RuntimeError("arange: step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"arange: unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("arange: upper bound and lower bound inconsistent with step sign")
    exact = all(isinstance(v, int) for v in (start, end, step))
    np_dtype = dtypes.as_np(dtype) if dtype is not None else np.dtype(np.int64) if exact else dtypes.default_np()
    if exact:
        return _finish(np.arange(start, end, step, dtype=np.int64), np_dtype, device, requires_grad)
    n = math.ceil((end - start) / step)
    return _finish(start + step * np.arange(n, dtype=np.float64), np_dtype, device, requires_grad)


def _steps(steps: Any, op: str) -> int:
    if steps < 0:
        raise RuntimeError(f"{op}: number of steps must be non-negative, not {steps}")
    return int(steps)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end (included), evenly spaced.

    Shapes: (steps,), the default type unless told. Errors: RuntimeError for negative steps. Source: torch.linspace.

    Example:
        >>> import pydl
        >>> pydl.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    np_dtype = dtypes.default_np() if dtype is None else dtypes.as_np(dtype)
    values = np.linspace(_number(start, "linspace"), _number(end, "linspace"), _steps(steps, "linspace"))
    return _finish(values, np_dtype, device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base ** linspace(start, end, steps). Errors: RuntimeError for negative steps. Source: torch.logspace.

    Example:
        >>> import pydl
        >>> pydl.logspace(0, 2, 3)
        tensor([  1.,  10., 100.])
    """
    np_dtype = dtypes.default_np() if dtype is None else dtypes.as_np(dtype)
    exponents = np.linspace(_number(start, "logspace"), _number(end, "logspace"), _steps(steps, "logspace"))
    return _finish(np.power(float(base), exponents), np_dtype, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n × m matrix (n × n by default), else zeros.

    Errors: RuntimeError for negative sizes. Source: torch.eye.

    Example:
        >>> import pydl
        >>> pydl.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    m = n if m is None else m
    if n < 0 or m < 0:
        raise RuntimeError(f"eye: n and m must be greater or equal to 0, got {n} and {m}")
    np_dtype = dtypes.default_np() if dtype is None else dtypes.as_np(dtype)
    return _finish(np.eye(n, m), np_dtype, device, requires_grad)
