# SPDX-License-Identifier: BSD-3-Clause
"""The matrix product kernels on ndarrays, for tests and benchmarks: checks first, so that no kernel leaves an array."""

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.gemm import PATHS, product_at

__all__ = ["PATHS", "gemm_array"]

_ACCUMULATE, _RELU = 1, 2


def _operand(x: object, name: str, dtype: np.dtype, ndim: int) -> np.ndarray:
    """`x` as an aligned ndarray of `dtype` with whole elements as strides (else a copy) and `ndim` dimensions."""
    if not isinstance(x, np.ndarray):
        raise TypeError(f"gemm: {name} must be an ndarray, not {type(x).__name__}")
    if x.dtype != dtype or dtype not in (np.float32, np.float64):
        raise TypeError(f"gemm: a, b, out and bias must all be float32 or all float64, {name} is {x.dtype}")
    if x.ndim not in ((2, 3) if ndim == 3 else (ndim,)):
        raise ValueError(f"gemm: {name} has {x.ndim} dimensions ({name} {x.shape})")
    if not x.flags.aligned or not x.dtype.isnative or any(s % x.itemsize for s in x.strides):
        x = x.astype(dtype.newbyteorder("="), order="C", copy=True)
    return x[None] if ndim == 3 and x.ndim == 2 else x


def _check_output(out: object, shape: tuple[int, ...], dtype: np.dtype, inputs: tuple[np.ndarray, ...]) -> None:
    """Checks an output: writable, unit column stride, no element twice, no overlap with an input."""
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


def _strides(x: np.ndarray) -> tuple[int, int, int, int]:
    """Address, batch stride in bytes (0 for a batch of one), row and column stride in elements."""
    return x.ctypes.data, x.strides[0] if x.shape[0] > 1 else 0, x.strides[1] // x.itemsize, x.strides[2] // x.itemsize


def _check_path(path: str, a: np.ndarray, b: np.ndarray) -> None:
    """ValueError where a path cannot compute this product."""
    if path not in PATHS:
        raise ValueError(f"gemm: path must be one of {sorted(PATHS)}, not {path!r}")
    (_, m, k), n = a.shape, b.shape[2]
    _, _, a_row, a_col = _strides(a)
    _, _, b_row, b_col = _strides(b)
    possible = {
        "direct": b_col == 1 or n == 1,
        "swapped": k <= 65536,
        "dot": (n == 1 and a_col == 1) or (m == 1 and n > 1 and b_row == 1),
        "sum": (n == 1 and a_row == 1) or (m == 1 and n > 1 and b_col == 1),
    }
    if not possible.get(path, True):
        raise ValueError(f"gemm: the path {path!r} cannot read operands with these strides")


def gemm_array(
    a: np.ndarray,
    b: np.ndarray,
    out: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    relu: bool = False,
    threads: int = 0,
    accumulate: bool = False,
    path: str = "auto",
) -> np.ndarray:
    """out = relu(out + a·b + bias), on `threads` threads (0: as many as pay) and on one of PATHS.

    Shapes: a (m, k) or (B, m, k), b (k, n) or (B, k, n), out (m, n) or (B, m, n), bias (n,); float32 or float64; any
    strides in a and b, contiguous rows in out.
    Errors: TypeError for other dtypes, ShapeError for shapes that do not fit, ValueError for an `out` that cannot be
    written or overlaps an input, or a `path` that these operands cannot take.
    """
    if not isinstance(a, np.ndarray):
        raise TypeError(f"gemm: a must be an ndarray, not {type(a).__name__}")
    if isinstance(threads, bool) or not isinstance(threads, int) or not 0 <= threads <= 1024:
        raise ValueError(f"gemm: threads must be between 0 and 1024, not {threads!r}")
    dtype = a.dtype
    a3, b3 = _operand(a, "a", dtype, 3), _operand(b, "b", dtype, 3)
    items_a, m, k = a3.shape
    items_b, k_b, n = b3.shape
    n_batch = items_a if items_b == 1 else items_b
    if k != k_b or items_a not in (1, n_batch):
        raise ShapeError(f"gemm: a {a.shape} and b {b.shape} do not fit")
    shape = ((n_batch,) if a.ndim == 3 or b.ndim == 3 else ()) + (m, n)
    vector = None if bias is None else np.ascontiguousarray(_operand(bias, "bias", dtype, 1))
    if vector is not None and vector.shape[0] != n:
        raise ShapeError(f"gemm: bias {vector.shape} must have {n} elements")
    if out is None:
        if accumulate:
            raise ValueError("gemm: accumulate needs out")
        out = np.empty(shape, dtype.newbyteorder("="))
    else:
        _check_output(out, shape, dtype, (a3, b3) if vector is None else (a3, b3, vector))
    _check_path(path, a3, b3)
    address, batch, row, _ = _strides(out if out.ndim == 3 else out[None])
    flags = (_ACCUMULATE if accumulate else 0) | (_RELU if relu else 0)
    bias_at = 0 if vector is None else vector.ctypes.data
    sizes, c = (n_batch, m, n, k), (address, batch, row)
    product_at(dtype == np.float64, sizes, _strides(a3), _strides(b3), c, bias_at, flags, threads, path)
    return out
