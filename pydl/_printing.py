# SPDX-License-Identifier: BSD-3-Clause
"""How tensors print: PyTorch's text, made from NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pydl._core import dtypes

if TYPE_CHECKING:
    from pydl.tensor import Tensor

__all__ = ["set_printoptions"]


class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}
_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print; what is not given stays as it is, `sci_mode` goes back to automatic.

    `precision`: digits after the point; `threshold`: number of elements above which the middle is left out;
    `edgeitems`: how many are then shown at each end; `linewidth`: characters per line;
    `profile`: "default", "short" or "full" (nothing left out); `sci_mode`: exponents always (True) or never (False).

    Errors: ValueError for an unknown profile. Source: torch.set_printoptions.

    Example:
        >>> import pydl
        >>> pydl.set_printoptions(precision=2)
        >>> pydl.tensor([1.12345])
        tensor([1.12])
        >>> pydl.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"set_printoptions: no profile {profile!r}; there are {', '.join(_PROFILES)}")
        for name, value in _PROFILES[profile].items():
            setattr(_options, name, value)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode


def _float_formatter(shown: np.ndarray[Any, Any]) -> tuple[Callable[[Any], str], int]:
    """The text of one float among those shown, all of the same width, and that width.

    Whole numbers print as `3.`; exponents are used when the magnitudes span more than a factor 1000, exceed 1e8, or
    (not all whole) fall below 1e-4.
    """
    digits = _options.precision
    values = shown.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    whole, scientific, width = True, False, 1
    if values.size:
        magnitudes = np.abs(values)
        largest, smallest = magnitudes.max(), magnitudes.min()
        whole = not np.any(values != np.ceil(values))
        if _options.sci_mode is not None:
            scientific = _options.sci_mode
        else:
            with np.errstate(over="ignore"):
                scientific = bool(largest / smallest > 1000 or largest > 1e8 or (not whole and smallest < 1e-4))
        if scientific:
            width = max(len(f"{v:.{digits}e}") for v in values.tolist())
        elif whole:
            width = max(len(f"{v:.0f}") for v in values.tolist()) + 1
        else:
            width = max(len(f"{v:.{digits}f}") for v in values.tolist())

    def text(value: float) -> str:
        if scientific:
            body = f"{value:.{digits}e}"
        elif whole:
            body = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            body = f"{value:.{digits}f}"
        return body.rjust(width)

    return text, width


def _formatter(shown: np.ndarray[Any, Any]) -> tuple[Callable[[Any], str], int]:
    if shown.dtype.kind == "f":
        return _float_formatter(shown)
    width = max((len(str(v)) for v in shown.ravel().tolist()), default=1)
    return lambda value: str(value).rjust(width), width


def _edges(a: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements that are shown when the middle of every long dimension is left out."""
    edge = _options.edgeitems
    for axis, size in enumerate(a.shape):
        if size > 2 * edge:
            keep = np.r_[0:edge, size - edge : size] if edge else np.arange(0)
            a = np.take(a, keep, axis=axis)
    return a


def _row_text(row: np.ndarray[Any, Any], indent: int, summarize: bool, text: Callable[[Any], str], width: int) -> str:
    """One innermost row, broken into lines that are no longer than the line width."""
    edge = _options.edgeitems
    if not summarize or len(row) <= 2 * edge:
        cells = [text(v) for v in row.tolist()]
    elif edge == 0:
        cells = ["..."]
    else:
        cells = [text(v) for v in row[:edge].tolist()] + [" ..."] + [text(v) for v in row[-edge:].tolist()]
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested_text(a: np.ndarray[Any, Any], indent: int, summarize: bool, text: Callable[[Any], str], width: int) -> str:
    if a.ndim == 0:
        return text(a.item())
    if a.ndim == 1:
        return _row_text(a, indent, summarize, text, width)
    edge = _options.edgeitems
    if summarize and a.shape[0] > 2 * edge:
        first, last = a[:edge], a[a.shape[0] - edge :]
        parts = [_nested_text(s, indent + 1, summarize, text, width) for s in first]
        parts.append("...")
        parts += [_nested_text(s, indent + 1, summarize, text, width) for s in last]
    else:
        parts = [_nested_text(s, indent + 1, summarize, text, width) for s in a]
    return "[" + ("," + "\n" * (a.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def array_text(a: np.ndarray[Any, Any], indent: int) -> str:
    """The brackets and numbers of an array whose first bracket stands in column `indent`."""
    summarize = a.size > _options.threshold
    text, width = _formatter(_edges(a) if summarize else a)
    return _nested_text(a, indent, summarize, text, width)


def describe(a: np.ndarray[Any, Any], *, requires_grad: bool = False, grad_fn: str | None = None) -> str:
    """`tensor(…)` for an array, with the remarks that PyTorch adds: size and dtype unless obvious, grad_fn."""
    prefix = "tensor("
    remarks: list[str] = []
    obvious = [dtypes.default_np()]
    if a.ndim != 1 if a.size == 0 else _options.edgeitems == 0:
        remarks.append(f"size={tuple(a.shape)}")
    if a.size == 0:
        body = "[]"
    else:
        obvious += [np.dtype(np.int64), np.dtype(np.bool_)]
        body = array_text(a, len(prefix))
    if a.dtype not in obvious:
        remarks.append(f"dtype={dtypes.from_np(a.dtype)}")
    if grad_fn is not None:
        remarks.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        remarks.append("requires_grad=True")
    return _with_remarks(prefix + body, remarks, len(prefix)) + ")"


def _with_remarks(text: str, remarks: list[str], indent: int) -> str:
    """Remarks go on the last line while they fit, else each on a line of its own."""
    column = len(text) - text.rfind("\n") + 1
    for remark in remarks:
        if column + len(remark) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + remark
            column = indent + len(remark)
        else:
            text += ", " + remark
            column += len(remark) + 2
    return text


def tensor_repr(t: Tensor) -> str:
    """The text of a tensor as PyTorch writes it."""
    grad_fn = t.grad_fn
    return describe(t.array, requires_grad=t.requires_grad, grad_fn=None if grad_fn is None else grad_fn.name())
