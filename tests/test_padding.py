# SPDX-License-Identifier: BSD-3-Clause
"""Padding: layers against PyTorch, every geometry, dtypes, memory formats, threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydl
import pydl.nn.functional as F
from pydl import nn
from tests import reference_images as reference
from tests.image_parity import check_same

KINDS = ("ConstantPad", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad")
SIZES: dict[int, tuple[Any, ...]] = {
    1: (2, (1, 0), (0, 3), (-1, 2)),
    2: (1, (1, 2, 0, 3), (0, 0, 2, 1), (-1, 2, 1, -2)),
    3: (1, (1, 2, 0, 1, 2, 1), (-1, 1, 0, 0, 1, 0)),
}
CALLS = [(kind, n, padding) for kind in KINDS for n, sizes in SIZES.items() for padding in sizes]


@pytest.mark.parity
@pytest.mark.parametrize("kind, n, padding", CALLS)
def test_layers_follow_pytorch(kind: str, n: int, padding: Any) -> None:
    extra = (1.5,) if kind == "ConstantPad" else ()
    rng = np.random.default_rng(n)
    for shape in ((2, 3, 4, 5, 6)[: n + 2], (1, 1, 4, 4, 4)[: n + 2], (0, 2, 4, 4, 4)[: n + 2], (3, 5, 4, 4)[: n + 1]):
        check_same(lambda T: getattr(T.nn, f"{kind}{n}d")(padding, *extra), rng.standard_normal(shape))


@pytest.mark.parity
@pytest.mark.parametrize("kind, n, padding", [c for c in CALLS if c[1] == 2])
def test_texts_are_pytorchs(kind: str, n: int, padding: Any) -> None:
    import torch

    extra = (1.5,) if kind == "ConstantPad" else ()
    ours, theirs = (getattr(T.nn, f"{kind}2d")(padding, *extra) for T in (pydl, torch))
    assert repr(ours) == repr(theirs)
    assert ours.padding == theirs.padding


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.lists(st.integers(-2, 5), min_size=8, max_size=8),
    st.integers(1, 4),
)
def test_constant_padding_of_any_geometry(shape: list[int], sizes: list[int], n: int) -> None:
    sizes = sizes[: 2 * min(n, len(shape))]
    sides = [(0, 0)] * (len(shape) - len(sizes) // 2) + list(zip(sizes[-2::-2], sizes[::-2], strict=True))
    fits = all(
        s + min(a, 0) >= 0 and s + min(b, 0) >= 0 and s + a + b >= 0 for s, (a, b) in zip(shape, sides, strict=True)
    )
    x = np.arange(float(np.prod(shape))).reshape(shape)
    if not fits:
        with pytest.raises(pydl.ops.padding.ShapeError, match="too small"):
            F.pad(pydl.from_numpy(x), sizes)
    elif all(s + min(a, 0) + min(b, 0) >= 0 for s, (a, b) in zip(shape, sides, strict=True)):
        np.testing.assert_array_equal(
            F.pad(pydl.from_numpy(x), sizes, value=-1.0).numpy(), reference.pad(x, sizes, value=-1)
        )


@given(
    st.sampled_from(["reflect", "replicate", "circular"]),
    st.lists(st.integers(1, 7), min_size=3, max_size=3),
    st.lists(st.integers(0, 6), min_size=4, max_size=4),
    st.booleans(),
)
def test_borders_of_any_geometry(mode: str, shape: list[int], sizes: list[int], last: bool) -> None:
    limit = {"reflect": -1, "circular": 0, "replicate": 99}[mode]
    sizes = [min(p, shape[2 - i // 2] + limit) for i, p in enumerate(sizes)]
    x = np.random.default_rng(0).standard_normal((2, *shape))
    t = pydl.from_numpy(
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if last else x
    ).requires_grad_()
    y = F.pad(t, sizes, mode)
    np.testing.assert_array_equal(y.detach().numpy(), reference.pad(x, sizes, mode))
    y.sum().backward()
    assert t.grad is not None
    assert t.grad.sum().item() == y.numel()  # every place of the result shows one element


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_every_dtype(dtype: str, mode: str) -> None:
    x = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 100, (2, 3, 4)).astype(dtype)
    y = F.pad(pydl.from_numpy(x), (2, 1), mode)
    assert y.dtype == getattr(pydl, dtype)
    np.testing.assert_array_equal(y.numpy(), reference.pad(x, (2, 1), mode))
    assert F.pad(pydl.from_numpy(x), (0, 0), mode).data_ptr() != pydl.from_numpy(x).data_ptr()


def test_bits_of_nan_travel() -> None:
    x = np.array([np.uint32(0x7FC12345)]).view(np.float32).repeat(3).reshape(1, 3)
    for mode in ("constant", "reflect"):
        y = F.pad(pydl.from_numpy(x), (1, 1), mode).numpy().view(np.uint32)
        assert (y[0, 1:4] == 0x7FC12345).all()


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_threads_give_the_same_bits(mode: str, last: bool, threads: None) -> None:
    x = np.random.default_rng(2).standard_normal((4, 24, 40, 41)).astype(np.float32)
    results = []
    for n in (1, 2, 3):
        pydl.set_num_threads(n)
        t = pydl.from_numpy(x)
        t = (t.to(memory_format=pydl.channels_last) if last else t).requires_grad_()
        y = F.pad(t, (3, 2, 1, 4), mode)
        (dx,) = pydl.autograd.grad([y], [t], [y.detach() * 0.5])
        results.append(y.detach().numpy().tobytes() + dx.numpy().tobytes())
    assert results[0] == results[1] == results[2]


def test_padding_keeps_the_librarys_own_format() -> None:
    from pydl._core.formats import has_own_format, in_own_format

    x = pydl.from_numpy(np.random.default_rng(3).standard_normal((2, 3, 4, 5)))
    own = in_own_format(x)
    for mode in ("constant", "reflect"):
        y = F.pad(own, (1, 1, 1, 1), mode)
        assert has_own_format(own) and has_own_format(y)
        np.testing.assert_array_equal(y.numpy(), F.pad(x, (1, 1, 1, 1), mode).numpy())
        assert y.is_contiguous()


def test_wrong_number_of_paddings_is_told_at_construction() -> None:
    with pytest.raises(ValueError, match=r"ReflectionPad2d.*4.*\(1, 2\)"):
        nn.ReflectionPad2d((1, 2))
