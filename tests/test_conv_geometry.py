# SPDX-License-Identifier: BSD-3-Clause
"""Random geometries, valid ones and not, in random memory: PyTorch's results or its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from tests.test_geometry import arrays

hypothesis = pytest.importorskip("hypothesis", reason="draws its geometries with hypothesis")
st = pytest.importorskip("hypothesis.strategies", reason="draws its geometries with hypothesis")
torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:Using padding='same'")]

settings = hypothesis.settings(max_examples=250, deadline=None, derandomize=True, database=None)


@st.composite
def calls(draw: Any, transposed: bool) -> tuple[int, list[Any], dict[str, Any]]:
    """x, w, b or None, and options; most calls are valid."""
    n = draw(st.integers(1, 3))
    rarely = draw(st.integers(0, 5)) == 0
    low = 0 if rarely else 1

    def each(first: int, last: int) -> Any:
        number = st.integers(first, last)
        return draw(st.one_of(number, st.tuples(*[number] * n)))

    groups = draw(st.integers(low, 3))
    per_in, per_out = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    spatial = tuple(draw(st.integers(low, 9 if n < 3 else 5)) for _ in range(n))
    kernel = tuple(draw(st.integers(1, 4 if n < 3 else 3)) for _ in range(n))
    batch = draw(st.sampled_from([(2,), (1,), (0,), ()]))
    x = (*batch, per_in * max(groups, 1) + draw(st.integers(0, 1 - low)), *spatial)
    w = (per_in * groups, per_out) if transposed else (per_out * groups, per_in)
    options: dict[str, Any] = {
        "stride": each(low, 3), "padding": each(low - 1, 3), "dilation": each(low, 3), "groups": groups
    }  # fmt: skip
    if transposed:
        options["output_padding"] = each(low - 1, 2)
    elif draw(st.integers(0, 4)) == 0:
        options["padding"] = draw(st.sampled_from(["same", "valid"]))
        options["stride"] = options["stride"] if rarely else 1
    b = (per_out * groups,) if draw(st.booleans()) else None
    shapes = (x, (*w, *kernel), b)
    return n, [None if s is None else draw(arrays(s)) for s in shapes], options


def _outcome(T: Any, n: int, transposed: bool, tensors: list[Any], options: dict[str, Any]) -> Any:
    leaves = [None if a is None else T.from_numpy(a).requires_grad_() for a in tensors]
    try:
        y = getattr(T, f"conv_transpose{n}d" if transposed else f"conv{n}d")(*leaves, **options)
    except Exception as error:
        return error
    y.backward(T.from_numpy(np.cos(np.arange(y.numel())).reshape(tuple(y.shape))))
    return [t.detach().numpy() for t in (y, *(leaf.grad for leaf in leaves if leaf is not None))]


@pytest.mark.long
@pytest.mark.parametrize("transposed", [False, True])
def test_results_or_errors_are_torchs(transposed: bool) -> None:
    count = {"values": 0, "errors": 0}

    @settings
    @hypothesis.given(calls(transposed))
    def run(call: Any) -> None:
        n, tensors, options = call
        ours = _outcome(pydl, n, transposed, tensors, options)
        plain = [None if a is None else a.copy() for a in tensors]
        theirs = _outcome(torch, n, transposed, plain, options)
        if isinstance(theirs, Exception):
            count["errors"] += 1
            assert isinstance(ours, type(theirs)), f"torch raises {theirs!r}, pydl gives {ours!r}"
            return
        if isinstance(ours, ValueError) and tensors[0].size == 0:
            return  # torch does not look at sizes and dilation where there is nothing to compute
        assert not isinstance(ours, Exception), f"torch gives {theirs[0].shape}, pydl raises {ours!r}"
        count["values"] += 1
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)

    run()
    assert count["values"] > 80 and count["errors"] > 20, count
