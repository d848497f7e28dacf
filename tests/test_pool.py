# SPDX-License-Identifier: BSD-3-Clause
"""Poolings: any geometry as PyTorch, memory formats, threads, special values, integers, misuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pydl
import pydl.nn.functional as F
from pydl import nn
from pydl._core import formats, pool
from pydl._core.errors import ShapeError
from pydl._core.pool_windows import Geometry
from tests import reference_pooling as reference

Array = np.ndarray[Any, np.dtype[Any]]
FORMATS = ("contiguous", "channels_last", "own")


def placed(x: Array, kind: str) -> Any:
    """A leaf that requires grad, in one of the memory formats."""
    if kind == "channels_last" and x.ndim == 4:
        return pydl.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)).requires_grad_()
    t = pydl.from_numpy(x)
    return (formats.in_own_format(t) if kind == "own" else t).requires_grad_()


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Few different numbers, so that there are ties, and some that are not numbers."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    x[rng.random(shape) < 0.03] = np.nan
    x[rng.random(shape) < 0.05] = -np.inf
    return x


@st.composite
def geometries(draw: Any) -> dict[str, Any]:
    n = draw(st.integers(1, 3))
    top = (40, 20, 7)[n - 1]
    kernel = [draw(st.integers(1, 5)) for _ in range(n)]
    return {
        "n": n,
        "lead": (draw(st.integers(0, 2)), draw(st.integers(1, 18))),
        "sizes": tuple(draw(st.integers(1, top)) for _ in range(n)),
        "kernel": kernel,
        "stride": [draw(st.integers(1, 4)) for _ in range(n)],
        "padding": [draw(st.integers(0, k // 2)) for k in kernel],
        "dilation": [draw(st.integers(1, 3)) for _ in range(n)],
        "ceil_mode": draw(st.booleans()),
        "include": draw(st.booleans()),
        "divisor": draw(st.sampled_from([None, None, 3])),
        "format": draw(st.sampled_from(FORMATS)),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "seed": draw(st.integers(0, 99)),
    }


def both(call: Any, x: Array, kind: str) -> tuple[Any, Any] | None:
    """The outcome in torch and in pydl, or None if both refuse with the same type."""
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    ours = placed(x, kind)
    try:
        wanted = call(torch.nn.functional, theirs)
    except Exception as error:
        with pytest.raises(type(error)):
            call(F, ours)
        return None
    return (theirs, wanted), (ours, call(F, ours))


@pytest.mark.parity
@settings(max_examples=150, deadline=None)
@given(geometries())
def test_max_pool_is_torchs_for_any_geometry(how: dict[str, Any]) -> None:
    """Values, indices and gradients bit for bit, NaN and ties included."""
    import torch

    rng = np.random.default_rng(how["seed"])
    x = values(rng, (*how["lead"], *how["sizes"]), how["dtype"])

    def call(functional: Any, t: Any) -> Any:
        args = (how["kernel"], how["stride"], how["padding"], how["dilation"], how["ceil_mode"], True)
        return getattr(functional, f"max_pool{how['n']}d")(t, *args)

    outcome = both(call, x, how["format"])
    if outcome is None:
        return
    (theirs, (wanted, places)), (ours, (y, at)) = outcome
    np.testing.assert_array_equal(y.detach().numpy(), wanted.detach().numpy())
    np.testing.assert_array_equal(at.numpy(), places.numpy())
    if np.isneginf(wanted.detach().numpy()).any():
        return  # torch gives the gradient of a window without elements to an element beside the plane
    g = rng.integers(-4, 5, wanted.shape).astype(x.dtype)
    wanted.backward(torch.from_numpy(g))
    y.backward(pydl.from_numpy(g))
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


@pytest.mark.parity
@settings(max_examples=150, deadline=None)
@given(geometries())
def test_avg_pool_is_torchs_for_any_geometry(how: dict[str, Any]) -> None:
    import torch

    rng = np.random.default_rng(how["seed"])
    x = rng.standard_normal((*how["lead"], *how["sizes"])).astype(how["dtype"])
    n = how["n"]

    def call(functional: Any, t: Any) -> Any:
        args = [how["kernel"], how["stride"], how["padding"], how["ceil_mode"], how["include"]]
        return getattr(functional, f"avg_pool{n}d")(t, *args, *([how["divisor"]] if n > 1 else []))

    outcome = both(call, x, how["format"])
    if outcome is None:
        return
    (theirs, wanted), (ours, y) = outcome
    eps = 16 * np.finfo(x.dtype).eps
    np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=eps, atol=64 * eps)
    g = rng.standard_normal(wanted.shape).astype(x.dtype)
    wanted.backward(torch.from_numpy(g))
    y.backward(pydl.from_numpy(g))
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=eps, atol=64 * eps)


@pytest.mark.parity
@settings(max_examples=60, deadline=None)
@given(geometries(), st.integers(1, 9), st.booleans())
def test_adaptive_pools_are_torchs(how: dict[str, Any], size: int, greatest: bool) -> None:
    import torch

    rng = np.random.default_rng(how["seed"])
    shape = (*how["lead"], *how["sizes"])
    x = values(rng, shape, how["dtype"]) if greatest else rng.standard_normal(shape).astype(how["dtype"])
    name = f"adaptive_{'max' if greatest else 'avg'}_pool{how['n']}d"
    outcome = both(lambda f, t: getattr(f, name)(t, size, *([True] if greatest else [])), x, how["format"])
    assert outcome is not None
    (theirs, wanted), (ours, y) = outcome
    if greatest:
        np.testing.assert_array_equal(y[1].numpy(), wanted[1].numpy())
        y, wanted = y[0], wanted[0]
    g = rng.integers(-4, 5, wanted.shape).astype(x.dtype)
    wanted.backward(torch.from_numpy(g))
    y.backward(pydl.from_numpy(g))
    eps = 16 * np.finfo(x.dtype).eps
    np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=eps, atol=64 * eps)
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=eps, atol=64 * eps)


CALLS: dict[str, Any] = {
    "max 2": lambda x: F.max_pool2d(x, 2),
    "max 3/2": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max 3/1": lambda x: F.max_pool2d(x, 3, 1, 1),
    "max 3/3": lambda x: F.max_pool2d(x, 3, 3, 1, ceil_mode=True),
    "max dilated": lambda x: F.max_pool2d(x, 3, 2, 1, 2),
    "max all": lambda x: F.adaptive_max_pool2d(x, 1),
    "avg 2": lambda x: F.avg_pool2d(x, 2),
    "avg 3/2": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg 3/1": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "avg all": lambda x: F.adaptive_avg_pool2d(x, 1),
    "avg to 7": lambda x: F.adaptive_avg_pool2d(x, 7),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_format_and_threads_do_not_change_a_bit(name: str, channels: int, threads: None) -> None:
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((5, channels, 45, 46)).astype(np.float32)
    results = set()
    g: Any = None
    for kind in FORMATS:
        for n in (1, 2, 3):
            pydl.set_num_threads(n)
            leaf = placed(x, kind)
            y = CALLS[name](leaf)
            g = rng.standard_normal(tuple(y.shape)).astype(np.float32) if g is None else g
            (dx,) = pydl.autograd.grad(y, leaf, pydl.from_numpy(g))
            results.add((y.detach().numpy().tobytes(), dx.numpy().tobytes()))
    assert len(results) == 1


@pytest.mark.parametrize("name", CALLS)
def test_results_keep_the_format_of_the_image(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 6, 12, 12)).astype(np.float32)
    for kind in FORMATS:
        leaf = placed(x, kind)
        y = CALLS[name](leaf)
        dense = y.shape[2:] == (1, 1)
        assert formats.has_own_format(y) or kind != "own" or dense
        assert not formats.has_own_format(y) or kind != "channels_last"
        (dx,) = pydl.autograd.grad(y.sum(), leaf)
        if kind == "channels_last" and not dense:
            assert y.stride() == (y.stride(0), 1, 6 * y.shape[3], 6)
        else:
            assert y.is_contiguous() and y.view(2, -1).shape == (2, y.numel() // 2)
        assert dx.shape == leaf.shape


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("kernel", [17, 19, (181, 183)])
def test_large_windows_need_wider_indices(kernel: Any, kind: str) -> None:
    """289 and 361 elements do not fit a byte, 33123 not two."""
    x = np.random.default_rng(1).permutation(4 * 190 * 190).reshape(1, 4, 190, 190).astype(np.float64)
    leaf = placed(x, kind)
    y, places = F.max_pool2d(leaf, kernel, 5, return_indices=True)
    sizes = reference.each(kernel, 2)
    windows = np.lib.stride_tricks.sliding_window_view(x, sizes, (2, 3))[:, :, ::5, ::5]
    np.testing.assert_array_equal(y.detach().numpy(), windows.max((-2, -1)))
    np.testing.assert_array_equal(
        np.take_along_axis(x.reshape(1, 4, -1), places.numpy().reshape(1, 4, -1), 2).reshape(y.shape),
        y.detach().numpy(),
    )
    y.sum().backward()
    want = np.zeros((4, 190 * 190))
    for plane, at in zip(want, places.numpy()[0], strict=True):
        np.add.at(plane, at.ravel(), 1.0)
    np.testing.assert_array_equal(leaf.grad.numpy().reshape(4, -1), want)


def test_windows_that_step_over_the_input() -> None:
    """Dilation 3 from place −1 of two elements: nothing but padding."""
    x = pydl.tensor([[[1.0, 2.0]]], requires_grad=True)
    y, places = F.max_pool1d(x, 2, 1, 1, 3, return_indices=True)
    assert y.tolist() == [[[float("-inf")]]] and places.tolist() == [[[2]]]
    (dx,) = pydl.autograd.grad(y, x, pydl.ones_like(y), create_graph=True)
    assert dx.tolist() == [[[0.0, 0.0]]]
    image = placed(np.ones((1, 4, 2, 2)), "own")
    y = F.max_pool2d(image, 2, 1, 1, 3)
    assert np.isneginf(y.detach().numpy()).all() and y.shape == (1, 4, 1, 1)
    (dx,) = pydl.autograd.grad(y.sum(), image)
    assert not dx.numpy().any()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_adaptive_pools_to_nothing(n: int) -> None:
    x = pydl.ones(2, 3, *(4,) * n, requires_grad=True)
    for function in (getattr(F, f"adaptive_max_pool{n}d"), getattr(F, f"adaptive_avg_pool{n}d")):
        y = function(x, 0)
        assert y.shape == (2, 3, *(0,) * n)
        (dx,) = pydl.autograd.grad(y.sum(), x)
        assert not dx.numpy().any() and dx.shape == x.shape


def integer_calls() -> Iterator[tuple[str, Any]]:
    for n in (1, 2, 3):
        yield f"max_pool{n}d", lambda f, t, n=n: getattr(f, f"max_pool{n}d")(t, 3, 2, 1, 1, True, True)
        yield f"max_pool{n}d", lambda f, t, n=n: getattr(f, f"max_pool{n}d")(t, 2, 1, 1, 2, False, True)
        yield f"max_pool{n}d", lambda f, t, n=n: getattr(f, f"max_pool{n}d")(t, 2)
        yield f"avg_pool{n}d", lambda f, t, n=n: getattr(f, f"avg_pool{n}d")(t, 3, 2, 1, True, True)
        yield f"avg_pool{n}d", lambda f, t, n=n: getattr(f, f"avg_pool{n}d")(t, 2, 3, 1, True, False)
        yield f"adaptive_max_pool{n}d", lambda f, t, n=n: getattr(f, f"adaptive_max_pool{n}d")(t, 2)
        yield f"adaptive_avg_pool{n}d", lambda f, t, n=n: getattr(f, f"adaptive_avg_pool{n}d")(t, 2)


@pytest.mark.parity
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_])
def test_integers_do_or_raise_what_they_do_in_torch(dtype: Any) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    rng = np.random.default_rng(3)
    for name, call in integer_calls():
        n = int(name[-2])
        low, high = (0, 2) if dtype == np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        x = rng.integers(low // 8, high // 8 + 1, (2, 3, *(7, 6, 5)[:n]), np.int64 if dtype == np.bool_ else dtype)
        x[0] = low
        x = x.astype(dtype)
        try:
            wanted = call(torch.nn.functional, torch.from_numpy(x))
        except NotImplementedError:
            with pytest.raises(NotImplementedError, match=name):
                call(F, pydl.from_numpy(x))
            continue
        got = call(F, pydl.from_numpy(x))
        pairs = zip(got, wanted, strict=True) if isinstance(got, tuple) else [(got, wanted)]
        for a, b in pairs:
            assert a.numpy().dtype == b.numpy().dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_gradients_of_gradients_meet_at_the_same_element() -> None:
    """d²/dx² of Σ y³ with overlapping windows, whose winner is shared."""
    x = pydl.tensor([[[1.0, 5.0, 2.0, 4.0]]], dtype=pydl.float64, requires_grad=True)
    y = F.max_pool1d(x, 2, 1)
    (dx,) = pydl.autograd.grad((y**3).sum(), x, create_graph=True)
    assert dx.tolist() == [[[0.0, 150.0, 0.0, 48.0]]]
    (ddx,) = pydl.autograd.grad(dx.sum(), x)
    assert ddx.tolist() == [[[0.0, 60.0, 0.0, 24.0]]]


def test_misuse_of_the_inner_operations_raises() -> None:
    geometry = Geometry((4,), (2,), (2,), (2,), (0,), (1,))
    x = pydl.rand(1, 3, 4)
    with pytest.raises(TypeError):
        pool.Winners()
    with pytest.raises(TypeError):
        pool.Winners.__new__(pool.Winners)
    for bad in (pydl.rand(1, 3, 5), pydl.rand(3, 4), pydl.rand(1, 3, 4, 1)):
        with pytest.raises(ShapeError, match="max_pool"):
            pydl.ops.max_pool(bad, geometry)
        with pytest.raises(ShapeError, match="avg_pool"):
            pydl.ops.avg_pool(bad, geometry)
    _, winners = pool.max_fwd(x, geometry, True)
    for bad in (pydl.rand(1, 3, 3), pydl.rand(1, 2, 2), pydl.rand(2, 3, 2), pydl.rand(1, 3, 2).double()):
        with pytest.raises(ShapeError, match="max_pool_backward"):
            pydl.ops.max_pool_backward(bad, winners)
    with pytest.raises(ShapeError, match="avg_pool_backward"):
        pydl.ops.avg_pool_backward(pydl.rand(1, 3, 3), geometry, False)
    with pytest.raises(NotImplementedError):
        pydl.ops.max_pool(x.long(), geometry)
    for sizes, out, kernel in (((0,), (1,), (1,)), ((4,), (-1,), (2,)), ((4, 4), (2,), (2,)), ((4,), (2,), (0,))):
        with pytest.raises(ValueError):
            Geometry(sizes, out, kernel, (1,), (0,), (1,))
    with pytest.raises(TypeError):
        pydl.ops.max_pool(x, Geometry.__new__(Geometry))
    with pytest.raises(ValueError):
        geometry.__init__((4,), (2,), (2,), (2,), (0,), (1,))  # type: ignore[misc]
    with pytest.raises(MemoryError):
        Geometry((2**31, 2**31), (1, 1), (2**31, 2**31), (1, 1), (0, 0), (1, 1))


MODULES = """
nn.MaxPool1d(3, stride=2, padding=1, dilation=1, ceil_mode=True) | (2, 3, 12)
nn.MaxPool2d(2) | (2, 3, 8, 9)
nn.MaxPool2d((3, 2), (2, 1), (1, 0), return_indices=True) | (3, 8, 9)
nn.MaxPool3d(2, 1, dilation=(1, 2, 1)) | (1, 2, 4, 5, 6)
nn.AvgPool1d(3, 2, 1, count_include_pad=False) | (2, 3, 12)
nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False, divisor_override=4) | (2, 3, 8, 9)
nn.AvgPool2d((2, 3)) | (1, 1, 8, 9)
nn.AvgPool3d((2, 2, 1), divisor_override=3) | (1, 2, 4, 5, 6)
nn.AdaptiveMaxPool1d(5, True) | (2, 3, 12)
nn.AdaptiveMaxPool2d((None, 3)) | (2, 3, 8, 9)
nn.AdaptiveMaxPool3d(2) | (2, 4, 5, 6)
nn.AdaptiveAvgPool1d(5) | (2, 3, 12)
nn.AdaptiveAvgPool2d((3, None)) | (2, 3, 8, 9)
nn.AdaptiveAvgPool2d(1) | (2, 3, 8, 9)
nn.AdaptiveAvgPool3d((1, 2, 3)) | (2, 4, 5, 6)
nn.LPPool1d(2, 3, 2) | (2, 3, 12)
nn.LPPool2d(3.0, (2, 3), ceil_mode=True) | (2, 3, 8, 9)
nn.LPPool3d(2, 2) | (1, 2, 4, 5, 6)
nn.MaxUnpool1d(2, 3, 1) | None
nn.MaxUnpool2d((3, 2)) | None
nn.MaxUnpool3d(2, stride=1) | None
"""


@pytest.mark.parity
@pytest.mark.parametrize("line", MODULES.strip().split("\n"))
def test_modules_are_torchs(line: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    text, shape = (part.strip() for part in line.split("|"))
    ours, theirs = eval(text, {"nn": nn}), eval(text, {"nn": torch.nn})
    assert repr(ours) == repr(theirs)
    for name, value in vars(theirs).items():
        if not name.startswith("_"):
            assert getattr(ours, name) == value, name
    if shape == "None":
        return
    x = np.random.default_rng(0).random(eval(shape)).astype(np.float32) + 0.1
    a, b = ours(pydl.from_numpy(x)), theirs(torch.from_numpy(x))
    for y, want in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
        np.testing.assert_allclose(y.numpy(), want.numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_undoes_pooling_at_the_maxima(n: int) -> None:
    x = pydl.rand(2, 3, *(9, 8, 7)[:n]) + 1
    y, places = getattr(F, f"max_pool{n}d")(x, 2, return_indices=True)
    back = getattr(F, f"max_unpool{n}d")(y, places, 2, output_size=x.size())
    assert back.shape == x.shape
    np.testing.assert_array_equal(
        back.numpy()[back.numpy() > 0],
        np.sort(y.numpy().ravel())[np.argsort(np.argsort(back.numpy()[back.numpy() > 0]))],
    )
    np.testing.assert_array_equal(getattr(F, f"max_pool{n}d")(back, 2).numpy(), y.numpy())
