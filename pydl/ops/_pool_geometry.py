# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of poolings: sizes of windows checked and made into a Geometry."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pydl._core.errors import ShapeError
from pydl._core.pool_windows import Geometry
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import per_dim_arg, tensor_arg

Array = np.ndarray[Any, Any]
Sizes = tuple[int, ...]
IntOrInts = int | Sequence[int]


def images_arg(input: Any, n: int, op: str, *, empty_channels: bool = False) -> None:
    """Raises unless `input` is (N, C, n sizes) or (C, n sizes), where N alone may be 0, and C if `empty_channels`."""
    tensor_arg(input, op, "input")
    shape = tuple(input.shape)
    if len(shape) not in (n + 1, n + 2):
        raise ShapeError(f"{op}: x {shape} must have {n + 2} dimensions (N, C, ...), or {n + 1} without N")
    needed = shape[-n:] if empty_channels else shape[-n - 1 :]
    if 0 in needed:
        raise ShapeError(f"{op}: x {shape} may be empty in its batch dimension alone")


def window_args(
    op: str, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> tuple[Sizes, Sizes, Sizes, Sizes]:
    """The four as n numbers each, in the ranges that they may have; no stride means that of the kernel."""
    kernel = per_dim_arg(kernel_size, n, op, "kernel_size")
    no_stride = stride is None or (isinstance(stride, Sequence) and not stride)
    step = kernel if no_stride else per_dim_arg(stride, n, op, "stride")
    pad, dilated = per_dim_arg(padding, n, op, "padding"), per_dim_arg(dilation, n, op, "dilation")
    for name, sizes, least in (
        ("kernel_size", kernel, 1),
        ("stride", step, 1),
        ("padding", pad, 0),
        ("dilation", dilated, 1),
    ):
        if min(sizes) < least:
            raise RuntimeError(f"{op}: {name} must be at least {least}, not {sizes}")
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise RuntimeError(f"{op}: padding {pad} may be at most half of kernel_size {kernel}")
    return kernel, step, pad, dilated


def _out_size(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1, or the ceiling, but no window begins behind the input."""
    room = n + 2 * padding - dilation * (kernel - 1) - 1
    out = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    return out - 1 if ceil_mode and (out - 1) * stride >= n + padding else out


def regular(
    op: str,
    in_sizes: Sizes,
    windows: tuple[Sizes, Sizes, Sizes, Sizes],
    ceil_mode: bool,
    include_pad: bool = True,
    divisor: int = 0,
) -> Geometry:
    """The geometry of windows (kernel, stride, padding, dilation); ShapeError if there is no whole one."""
    out = tuple(_out_size(n, *w, ceil_mode) for n, *w in zip(in_sizes, *windows, strict=True))
    if min(out) < 1:
        raise ShapeError(f"{op}: output size {out} is too small: x has sizes {in_sizes}, windows {windows[0]}")
    return _cached(in_sizes, out, *windows, include_pad, divisor)


def adaptive(in_sizes: Sizes, out_sizes: Sizes) -> Geometry:
    """The geometry of windows from ⌊o·in/out⌋ to ⌈(o + 1)·in/out⌉."""
    return _cached(in_sizes, out_sizes, None, None, None, None, True, 0)


@lru_cache(maxsize=256)
def _small(*args: Any) -> Geometry:
    return Geometry(*args)


def _cached(in_sizes: Sizes, out_sizes: Sizes, kernel: Sizes | None, *rest: Any) -> Geometry:
    """Tables of a few kilobytes are kept, so that a layer makes them once."""
    large = sum(in_sizes) + sum(out_sizes) + prod(kernel or in_sizes) > 16384
    return (Geometry if large else _small)(in_sizes, out_sizes, kernel, *rest)


def adaptive_sizes(op: str, n: int, output_size: Any, in_sizes: Sizes) -> Sizes:
    """The output sizes; None keeps that of the input."""
    given = (
        tuple(output_size) if isinstance(output_size, Sequence) and not isinstance(output_size, str) else (output_size,)
    )
    if output_size is None or (n == 1 and None in given):
        raise TypeError(f"{op}: output_size must be an int or a tuple of ints, not {output_size!r}")
    if len(given) == 1:
        given *= n
    if len(given) != n:
        raise ShapeError(f"{op}: output_size must be one number or {n}, not {output_size!r}")
    sizes = tuple(
        i if g is None else per_dim_arg(g, 1, op, "output_size")[0] for g, i in zip(given, in_sizes, strict=True)
    )
    if min(sizes) < 0:
        raise RuntimeError(f"{op}: output_size {sizes} must not be negative")
    return sizes


def batched(input: Tensor, n: int) -> Tensor:
    """(N, C, ...): the input itself, or with a batch dimension of one."""
    return input if input.ndim == n + 2 else input.unsqueeze(0)


def integer_windows(
    x: Array, windows: tuple[Sizes, Sizes, Sizes, Sizes], ceil_mode: bool, fill: int
) -> tuple[Array, Array]:
    """(N, C, out..., elements of a window) of integers, and each element's number in its plane, −1 in the padding."""
    n = len(windows[0])
    in_sizes = x.shape[2:]
    places = np.arange(prod(in_sizes)).reshape(in_sizes)
    pads, steps, spans = [], [slice(None)] * 2, []
    for size, k, s, p, d in zip(in_sizes, *windows, strict=True):
        out, span = _out_size(size, k, s, p, d, ceil_mode), d * (k - 1) + 1
        pads.append((p, max(0, (out - 1) * s + span - size - p)))
        steps.append(slice(None, (out - 1) * s + 1, s))
        spans.append((span, d))
    steps += [slice(None, None, d) for _, d in spans]
    view = np.lib.stride_tricks.sliding_window_view
    axes = tuple(range(2, n + 2))
    window = tuple(span for span, _ in spans)
    values = view(np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill), window, axes)[tuple(steps)]
    numbers = view(np.pad(places, pads, constant_values=-1)[None, None], window, axes)[tuple(steps)]
    return values.reshape(*values.shape[: n + 2], -1), numbers.reshape(*numbers.shape[: n + 2], -1)
