# SPDX-License-Identifier: BSD-3-Clause
"""One line of Python with `T` = pydl and `T` = torch: the same value, type, gradients and text, or the same error."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import pydl

BOUNDS = {"float64": 1e-12, "float32": 1e-6}


def _scope(T: Any, setup: str, leaves: list[Any]) -> dict[str, Any]:
    """What a line may name; f(…) and n(…) make leaves in (0, 1) and normal ones, the same for both libraries."""

    def leaf(shape: tuple[int, ...], normal: bool) -> Any:
        rng = np.random.default_rng([len(leaves), *shape])
        leaves.append(T.from_numpy(np.asarray(rng.standard_normal(shape) if normal else rng.random(shape))))
        return leaves[-1].requires_grad_()

    scope = {
        "T": T, "nn": T.nn, "F": T.nn.functional, "np": np, "inf": float("inf"), "nan": float("nan"), "L": T.tensor,
        "f": lambda *shape: leaf(shape, False), "n": lambda *shape: leaf(shape, True),
    }  # fmt: skip
    exec(setup, scope)
    return scope


def _evaluated(T: Any, line: str, setup: str = "") -> Any:
    """What the line gives, with the gradients of Σ cos(i)·y_i in its leaves where it has any; or what it raises."""
    leaves: list[Any] = []
    scope = _scope(T, setup, leaves)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            y = eval(line, scope)
        except Exception as error:
            return error
        if not leaves or not getattr(y, "requires_grad", False):
            return y
        v = T.from_numpy(np.cos(np.arange(y.numel())).reshape(tuple(y.shape))).to(y.dtype)
        return [y, *T.autograd.grad([y], leaves, [v], allow_unused=True)]


def _both(line: str, setup: str) -> tuple[Any, Any] | None:
    """What pydl and PyTorch give; None where both raise, pydl an error of PyTorch's kind."""
    import torch

    ours, theirs = _evaluated(pydl, line, setup), _evaluated(torch, line, setup)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"torch raises {theirs!r}, pydl gives {ours!r}"
        return None
    assert not isinstance(ours, Exception), f"torch gives {theirs!r}, pydl raises {ours!r}"
    return ours, theirs


def same_values(line: str, setup: str = "") -> None:
    """Values, dtypes, shapes, requires_grad and gradients; the text of what is neither a tensor nor a number."""
    found = _both(line, setup)
    if found is not None:
        _same(*found)


def same_texts(line: str, setup: str = "") -> None:
    """The printed form, with the library's own name taken out."""
    found = _both(line, setup)
    if found is not None:
        ours, theirs = (re.sub(r"\b(torch|pydl)\.", "", repr(value)) for value in found)
        assert ours == theirs


def _same(ours: Any, theirs: Any) -> None:
    if hasattr(theirs, "requires_grad"):
        kind = str(theirs.dtype).split(".")[-1]
        assert (str(ours.dtype).split(".")[-1], tuple(ours.shape)) == (kind, tuple(theirs.shape))
        assert ours.requires_grad == theirs.requires_grad
        a, b, bound = ours.detach().numpy(), theirs.detach().numpy(), BOUNDS.get(kind, 0)
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound / 10)
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            _same(a, b)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=BOUNDS["float32"], nan_ok=True)
    elif isinstance(theirs, int):
        assert ours == theirs
    else:
        assert str(ours).replace("pydl.", "torch.") == str(theirs)
