# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the arrays that `gemm.gemm_array` takes: after them no kernel can read or write outside an array."""

import numpy as np

__all__ = ["check_output", "operand"]


def operand(x: object, name: str, dtype: np.dtype, ndim: int) -> np.ndarray:
    """`x` as an aligned ndarray of `dtype` whose strides are whole elements (a copy where it is not), with 3 dimensions."""
    if not isinstance(x, np.ndarray):
        raise TypeError(f"gemm: {name} must be an ndarray, not {type(x).__name__}")
    if x.dtype != dtype or dtype not in (np.float32, np.float64):
        raise TypeError(f"gemm: a, b, out and bias must all be float32 or all float64, {name} is {x.dtype}")
    if x.ndim not in ((2, 3) if ndim == 3 else (ndim,)):
        raise ValueError(f"gemm: {name} has {x.ndim} dimensions ({name} {x.shape})")
    if not x.flags.aligned or not x.dtype.isnative or any(s % x.itemsize for s in x.strides):
        x = x.astype(dtype.newbyteorder("="), order="C", copy=True)
    return x[None] if ndim == 3 and x.ndim == 2 else x


def check_output(out: object, shape: tuple[int, ...], dtype: np.dtype, inputs: tuple[np.ndarray, ...]) -> None:
    """Checks an output given by the caller: writable, unit column stride, no element twice, no overlap with an input."""
    if not isinstance(out, np.ndarray) or out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"gemm: out must be a native ndarray of dtype {dtype}")
    if out.shape != shape:
        raise ValueError(f"gemm: out {out.shape} must have the shape {shape}")
    if not out.flags.writeable or not out.flags.aligned or any(s % out.itemsize for s in out.strides):
        raise ValueError("gemm: out must be writable and aligned")
    if out.size == 0:
        return
    row, col = (s // out.itemsize for s in out.strides[-2:])
    if (out.shape[-1] > 1 and col != 1) or (out.shape[-2] > 1 and abs(row) < out.shape[-1]):
        raise ValueError(f"gemm: out needs contiguous rows that do not overlap (strides {out.strides})")
    if out.ndim == 3 and out.shape[0] > 1:
        item = abs(out.strides[0] // out.itemsize)
        inside = item * (out.shape[0] - 1) + out.shape[-1] <= abs(row) and item >= out.shape[-1]
        if not inside and item < (out.shape[-2] - 1) * abs(row) + out.shape[-1]:
            raise ValueError(f"gemm: the matrices of out overlap (strides {out.strides})")
    if any(np.may_share_memory(out, x) for x in inputs):
        raise ValueError("gemm: out overlaps an input")
