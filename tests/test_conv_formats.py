# SPDX-License-Identifier: BSD-3-Clause
"""Memory formats and threads: what users see of a convolution's memory, and that the bits never depend on either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn

SHAPES = [(2, 3, 7, 6), (1, 17, 5, 5), (3, 1, 6, 4), (2, 5, 1, 1), (1, 1, 1, 1), (2, 1, 1, 9), (1, 33, 13, 1)]
# With one channel, or one pixel, both orders of the memory are the same: nobody can have asked for one of them.
CLEAR = [s for s in SHAPES if s[1] > 1 and s[2] * s[3] > 1]


def _layer(channels: int, shape: tuple[int, ...], out: int = 6, T: Any = pydl) -> Any:
    """A 3×3 layer that keeps the size; the same weights in every library."""
    rng = np.random.default_rng(channels)
    m = T.nn.Conv2d(channels, out, 3, padding=1)
    with T.no_grad():
        for p in m.parameters():
            p.copy_(T.from_numpy(rng.standard_normal(tuple(p.shape)).astype(np.float32)))
    return m


def _image(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_results_of_contiguous_images_look_contiguous(shape: tuple[int, ...]) -> None:
    x = pydl.from_numpy(_image(shape)).requires_grad_()
    m = _layer(shape[1], shape)
    for after in (lambda y: y, F.relu, lambda y: F.relu(y) + 1, lambda y: y * y - y):
        y = after(m(x))
        assert y.is_contiguous()
        n, k, p, q = y.shape
        assert y.stride() == (k * p * q, p * q, q, 1)
        flat = y.view(n, -1)
        assert flat.shape == (n, k * p * q)
        np.testing.assert_array_equal(flat.detach().numpy().reshape(tuple(y.shape)), y.detach().numpy())
        assert y.detach().numpy().flags.c_contiguous
        x.grad = None
        flat.sum().backward()
        assert x.grad is not None and x.grad.is_contiguous() and x.grad.shape == x.shape


@pytest.mark.parametrize("shape", CLEAR)
def test_channels_last_images_give_channels_last_results(shape: tuple[int, ...]) -> None:
    plain = pydl.from_numpy(_image(shape)).requires_grad_()
    m = _layer(shape[1], shape)
    last = plain.detach().to(memory_format=pydl.channels_last).requires_grad_()
    assert last.is_contiguous(memory_format=pydl.channels_last)
    wanted, y = m(plain), m(last)
    assert y.is_contiguous(memory_format=pydl.channels_last)
    assert F.relu(y).is_contiguous(memory_format=pydl.channels_last)
    _, k, p, q = y.shape
    assert y.stride() == (k * p * q, 1, q * k, k)
    assert not y.is_contiguous()
    assert y.detach().numpy().tobytes() == wanted.detach().numpy().tobytes()
    for t in (y, wanted):
        (t * t).sum().backward()
    assert last.grad is not None and plain.grad is not None
    np.testing.assert_array_equal(last.grad.numpy(), plain.grad.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("shape, last", [*((s, False) for s in SHAPES), *((s, True) for s in CLEAR)])
@pytest.mark.parametrize("transposed", [False, True])
def test_formats_are_torchs(shape: tuple[int, ...], last: bool, transposed: bool) -> None:
    """Of the result, of what follows it, and of the gradient."""
    import torch

    found = []
    for T in (pydl, torch):
        x = T.from_numpy(_image(shape))
        x = (x.to(memory_format=T.channels_last) if last else x).requires_grad_()
        channels = shape[1]
        m = T.nn.ConvTranspose2d(channels, 6, 3) if transposed else T.nn.Conv2d(channels, 6, 3, padding=1)
        y = m(x)
        z = T.relu(y) * 2
        z.sum().backward()
        found.append(
            [(t.is_contiguous(), t.is_contiguous(memory_format=T.channels_last)) for t in (y, z, m.weight.grad)]
        )
    assert found[0] == found[1]


def test_weights_may_be_channels_last_too() -> None:
    shape = (2, 5, 7, 7)
    m = _layer(5, shape)
    x = pydl.from_numpy(_image(shape))
    wanted = m(x).detach().numpy()
    m.to(memory_format=pydl.channels_last)
    assert m.weight.is_contiguous(memory_format=pydl.channels_last)
    np.testing.assert_array_equal(m(x.to(memory_format=pydl.channels_last)).detach().numpy(), wanted)


def test_the_format_survives_a_look_from_outside() -> None:
    """The strides of a result are asked for between its making and its use; nothing changes but the memory order."""
    m, x = _layer(3, (2, 3, 7, 6)), pydl.from_numpy(_image((2, 3, 7, 6)))
    y = m(x)
    before = F.relu(y).sum()
    assert y.stride(1) == 42
    z = y.numpy() if not y.requires_grad else y.detach().numpy()
    np.testing.assert_array_equal(F.relu(y).detach().numpy(), np.maximum(z, 0))
    np.testing.assert_allclose(float(before), np.maximum(z, 0).sum(dtype=np.float64), rtol=1e-6)


def test_unbatched_images() -> None:
    for n in (1, 2, 3):
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[n - 1](3, 4, 2)
        x = pydl.from_numpy(np.random.default_rng(n).standard_normal((3, *(5,) * n)).astype(np.float32))
        y = conv(x)
        assert y.shape == (4, *(4,) * n) and y.is_contiguous()
        np.testing.assert_array_equal(y.detach().numpy(), conv(x[None])[0].detach().numpy())


PASSES = [
    ((4, 33, 31, 29), (17, 33, 3, 3), {"padding": 1}),
    ((2, 64, 28, 28), (64, 64, 1, 1), {}),
    ((3, 40, 29, 31), (40, 1, 3, 3), {"groups": 40, "padding": 1}),
    ((3, 16, 33, 33), (32, 4, 3, 3), {"groups": 4, "stride": 2}),
    ((4, 1, 64, 64), (6, 1, 5, 5), {"padding": 2}),
    ((1, 64, 14, 14), (128, 64, 3, 3), {"padding": 1, "stride": 2}),
    ((8, 17, 1000), (33, 17, 5), {"dilation": 2}),
    ((2, 5, 13, 14, 15), (19, 5, 3, 3, 3), {}),
]


@pytest.mark.parametrize("x_shape, w_shape, options", PASSES)
@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_are_those_of_one_thread(
    x_shape: Any, w_shape: Any, options: Any, kind: str, dtype: Any, threads: None
) -> None:
    rng = np.random.default_rng(6)
    function = getattr(pydl, f"{kind}{len(x_shape) - 2}d")
    groups = options.get("groups", 1)
    if kind == "conv_transpose":
        x_shape = (x_shape[0], w_shape[0], *x_shape[2:])
    n_out = w_shape[1] * groups if kind == "conv_transpose" else w_shape[0]
    arrays = [rng.standard_normal(s).astype(dtype) for s in (x_shape, w_shape, (n_out,))]
    results = []
    for n in (1, 2, 3):
        pydl.set_num_threads(n)
        leaves = [pydl.from_numpy(a.copy()).requires_grad_() for a in arrays]
        y = function(*leaves, **options)
        v = pydl.from_numpy(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)).astype(dtype))
        y.backward(v)
        results.append([t.detach().numpy().tobytes() for t in (y, *(t.grad for t in leaves))])
    assert results[0] == results[1] == results[2]
