# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of convolutions: the arguments, what they must fulfil, and the sizes that follow."""

from __future__ import annotations

from functools import lru_cache
from operator import index as as_int
from typing import Any

from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import tensor_arg

__all__ = ["Sizes", "check_geometry", "check_tensors", "groups_arg", "out_sizes", "transposed_sizes"]

Sizes = tuple[int, ...]
LARGEST = 2**30  # of a stride, padding or dilation, as in pydl/_core/correlation: no product of them overflows


def groups_arg(groups: Any, op: str) -> int:
    """The number of groups as an int."""
    try:
        return as_int(groups)
    except TypeError:
        raise TypeError(f"{op}: groups must be an int, not {type(groups).__name__}") from None


@lru_cache(maxsize=1024)
def out_sizes(sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """⌊(W + 2 padding − dilation (kernel − 1) − 1) / stride⌋ + 1 for each dimension."""
    return tuple(
        [
            (w + 2 * p - d * (k - 1) - 1) // s + 1
            for w, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
        ]
    )


@lru_cache(maxsize=1024)
def transposed_sizes(
    sizes: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, output_padding: Sizes
) -> Sizes:
    """(W − 1) stride − 2 padding + dilation (kernel − 1) + output_padding + 1 for each dimension."""
    return tuple(
        [
            (w - 1) * s - 2 * p + d * (k - 1) + o + 1
            for w, k, s, p, d, o in zip(sizes, kernel, stride, padding, dilation, output_padding, strict=True)
        ]
    )


def check_tensors(op: str, n: int, *, unbatched: bool = False, **tensors: Tensor | None) -> bool:
    """Raises unless the tensors (the first one an image) have the same floating-point type and n spatial dimensions.

    Returns whether the image has a batch dimension, which it may lack if `unbatched`.
    """
    if not 1 <= n <= 3:
        raise ShapeError(f"{op}: takes 1 to 3 spatial dimensions, not {n}")
    first: Any = None
    given: dict[str, Any] = tensors
    for name, t in given.items():
        if t is None and name == "bias":
            continue
        tensor_arg(t, op, name)
        if first is None:
            first = t
            if not t.dtype.is_floating_point:
                raise NotImplementedError(f"{op}: {name} must have a floating-point type, not {t.dtype}")
        elif t.dtype is not first.dtype:
            raise RuntimeError(f"{op}: expected the same dtype, but input is {first.dtype} and {name} is {t.dtype}")
        if name == "weight" and t.ndim != n + 2:
            raise ShapeError(f"{op}: weight must have {n + 2} dimensions, not {t.ndim} (weight {tuple(t.shape)})")
    if first.ndim == n + 2 or (unbatched and first.ndim == n + 1):
        return bool(first.ndim == n + 2)
    batchless = f"{n + 1}D (unbatched) or " if unbatched else ""
    raise ShapeError(f"{op}: Expected {batchless}{n + 2}D (batched) input, not {tuple(first.shape)}")


@lru_cache(maxsize=1024)  # of the calls that passed: 5 µs of a layer's 20 without it
def check_geometry(
    op: str,
    x: Sizes,
    w: Sizes,
    b: Sizes | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    transposed: bool = False,
    output_padding: Sizes = (),
) -> None:
    """Raises ShapeError unless a convolution of x with w, by the shapes, is defined and not empty in space.

    All are ints and tuples of ints.
    """
    _check_numbers(op, stride, padding, dilation, groups, output_padding)
    x, w = tuple(x), tuple(w)
    if 0 in w:
        raise ShapeError(f"{op}: weight must not be empty (weight {w})")
    if w[0] % groups:
        side = "in" if transposed else "out"
        raise ShapeError(f"{op}: weight has {w[0]} {side} channels, not divisible by groups={groups} (weight {w})")
    channels = w[0] if transposed else w[1] * groups
    if x[1] != channels:
        taken = f"weight takes {channels} (weight {w}, groups={groups})"
        raise ShapeError(f"{op}: x has {x[1]} channels (x {x}) but {taken}")
    out_channels = w[1] * groups if transposed else w[0]
    if b is not None and tuple(b) != (out_channels,):
        raise ShapeError(f"{op}: bias must be ({out_channels},), not {tuple(b)} (weight {w})")
    if 0 in x[2:]:
        raise ShapeError(f"{op}: x has no pixels (x {x}); only the batch may be empty")
    if transposed:
        _check_transposed(op, x, w, stride, padding, dilation, output_padding)
        return
    if min(out_sizes(x[2:], w[2:], stride, padding, dilation)) < 1:
        padded = tuple(v + 2 * p for v, p in zip(x[2:], padding, strict=True))
        reach = tuple(d * (k - 1) + 1 for k, d in zip(w[2:], dilation, strict=True))
        raise ShapeError(f"{op}: the kernel {reach} is larger than the padded input {padded} (x {x}, weight {w})")


def _check_numbers(op: str, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int, output_padding: Sizes) -> None:
    if groups < 1:
        raise ShapeError(f"{op}: groups must be positive, not {groups}")
    if min(stride) < 1:
        raise ShapeError(f"{op}: stride must be positive, not {stride}")
    if min(dilation) < 1:
        raise ShapeError(f"{op}: dilation must be positive, not {dilation}")
    if min(padding) < 0:
        raise ShapeError(f"{op}: negative padding is not supported, padding is {padding}")
    for what, values in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        if max(values) > LARGEST:
            raise ShapeError(f"{op}: {what} must not be larger than {LARGEST}, it is {values}")
    if output_padding and min(output_padding) < 0:
        raise ShapeError(f"{op}: negative output_padding is not supported, output_padding is {output_padding}")


def _check_transposed(
    op: str, x: Sizes, w: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, output_padding: Sizes
) -> None:
    if any(o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ShapeError(
            f"{op}: output_padding must be smaller than stride or dilation, but it is {output_padding} "
            f"with stride {stride} and dilation {dilation}"
        )
    sizes = transposed_sizes(x[2:], w[2:], stride, padding, dilation, output_padding)
    if min(sizes) < 1:
        given = f"x {x}, weight {w}, padding {padding}"
        raise ShapeError(f"{op}: the output would be {sizes}; it must not be empty ({given})")
