# SPDX-License-Identifier: BSD-3-Clause
"""Image memory in an order of the library's own: kept by elementwise operations, never seen by anybody."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import Tensor
from pydl._core.formats import has_own_format, in_own_format

SHAPES = [
    (2, 3, 4, 5), (1, 17, 7, 7), (2, 33, 1, 9), (3, 8, 10), (2, 5, 3, 4, 2), (2, 64, 40, 41), (2, 1, 4, 5),
    (2, 3, 1, 1),
]  # fmt: skip


def image(shape: tuple[int, ...], dtype: Any = np.float32) -> Tensor:
    return pydl.from_numpy(np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype))


def ordered(x: Tensor) -> Tensor:
    """x in channels-last memory of the library's own."""
    return in_own_format(x)


@pytest.fixture(params=[1, 2])
def threads(request: Any) -> Iterator[int]:
    before = pydl.get_num_threads()
    pydl.set_num_threads(request.param)
    yield request.param
    pydl.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_there_and_back(shape: tuple[int, ...], dtype: Any, threads: int) -> None:
    x = image(shape, dtype)
    y = ordered(x)
    assert has_own_format(y) == (shape[1] > 1 and np.prod(shape[2:]) > 1)
    assert y.shape == x.shape
    assert y.stride() == x.stride()
    assert y.is_contiguous()
    assert not has_own_format(y)
    assert np.array_equal(y.numpy(), x.numpy())


LOOKS: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda x: x.numpy(),
    "stride": lambda x: x.stride(),
    "is_contiguous": lambda x: x.is_contiguous(),
    "contiguous": lambda x: x.contiguous(),
    "data_ptr": lambda x: x.data_ptr(),
    "view": lambda x: x.view(x.shape[0], -1),
    "reshape": lambda x: x.reshape(-1),
    "flatten": lambda x: x.flatten(1),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "transpose": lambda x: x.transpose(1, 2),
    "index": lambda x: x[0],
    "slice": lambda x: x[:, 1:],
    "none": lambda x: x[None],
    "expand": lambda x: x.expand(*x.shape),
    "squeeze": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "dlpack": lambda x: np.from_dlpack(x),
    "memoryview": lambda x: memoryview(x),
    "asarray": lambda x: np.asarray(x),
    "chunk": lambda x: x.chunk(2, 1),
    "pickle": lambda x: pickle.dumps(x),
    "deepcopy": lambda x: copy.deepcopy(x),
    "repr": lambda x: repr(x),
}


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_sees_c_order(look: str) -> None:
    plain = image((2, 3, 4, 5))
    x = ordered(plain)
    y = x * 1
    assert has_own_format(x) and has_own_format(y)
    seen = LOOKS[look](x)
    expected = LOOKS[look](plain)
    assert not has_own_format(x)
    assert x.stride() == plain.stride() and np.array_equal(x.numpy(), plain.numpy())
    if isinstance(seen, Tensor):
        assert seen.stride() == expected.stride()
        assert np.array_equal(seen.numpy(), expected.numpy())
    assert has_own_format(y)
    assert np.array_equal(y.numpy(), plain.numpy())


ELEMENTWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda x, y: x.relu(),
    "exp": lambda x, y: x.exp(),
    "neg": lambda x, y: -x,
    "add": lambda x, y: x + y,
    "reversed": lambda x, y: y - x,
    "number": lambda x, y: 2 - x,
    "channel": lambda x, y: x * y[:1, :, :1, :1],
    "pixel": lambda x, y: y[:1, :1] + x,
    "clamp": lambda x, y: x.clamp(-0.5, 0.5),
    "clone": lambda x, y: x.clone(),
    "compare": lambda x, y: x > y,
    "where": lambda x, y: pydl.where(x > 0, x, -x),
    "where mixed": lambda x, y: pydl.where(y > 0, x, y),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 64, 40, 41)], ids=str)
def test_elementwise_keeps_the_order_and_the_bits(name: str, shape: tuple[int, ...], threads: int) -> None:
    x, y = image(shape), image((shape[0], *shape[1:])) + 0.5
    want = ELEMENTWISE[name](x, y)
    got = ELEMENTWISE[name](ordered(x), y)
    assert has_own_format(got)
    assert got.numpy().tobytes() == want.numpy().tobytes()
    both = ELEMENTWISE[name](ordered(x), ordered(y))
    assert both.numpy().tobytes() == want.numpy().tobytes()


def test_other_operations_give_c_order() -> None:
    x = image((2, 3, 4, 5))
    for f in (
        lambda t: t.sum((2, 3)), lambda t: t.mean(1, keepdim=True), lambda t: t.softmax(1),
        lambda t: t @ t.transpose(2, 3), lambda t: t.int(),
        lambda t: pydl.cat([t, t], 1), lambda t: pydl.stack([t, t]), lambda t: t.amax(1),
        lambda t: t.masked_fill(t > 0, 1.0), lambda t: t.flip(1), lambda t: t.double(),
    ):  # fmt: skip
        want, got = f(x), f(ordered(x))
        assert got.stride() == want.stride()
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-6)


def test_gradients_through_the_order() -> None:
    plain = image((2, 3, 4, 5), np.float64).requires_grad_()
    weight = image((2, 60), np.float64)

    def loss(x: Tensor) -> Tensor:
        h = (x * 2).tanh()
        g = h + x.relu()
        return (g.view(2, -1) * weight).sum() + (h * g).mean()

    (want,) = pydl.autograd.grad(loss(plain), plain)
    x = ordered(plain).requires_grad_()
    assert has_own_format(x)
    (got,) = pydl.autograd.grad(loss(x), x)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-13)
    x = ordered(plain).requires_grad_()
    loss(x).backward()
    assert x.grad is not None and x.grad.stride() == plain.stride()
    np.testing.assert_allclose(x.grad.numpy(), want.numpy(), rtol=1e-13)


def test_in_place_changes_are_counted_after_the_order_has_changed() -> None:
    x = ordered(image((2, 3, 4, 5))).requires_grad_() * 1
    y = x.exp()
    loss = (y * y).sum()
    y.stride()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_in_place_operations_keep_the_order() -> None:
    plain = image((2, 3, 4, 5))
    x = ordered(plain)
    x.add_(plain).mul_(2).relu_()
    assert has_own_format(x)
    assert np.array_equal(x.numpy(), ((plain + plain) * 2).relu().numpy())
    x = ordered(plain)
    x[:, 1] = 5
    assert not has_own_format(x) and (x.numpy()[:, 1] == 5).all()


def test_the_format_asked_for_is_seen_and_kept() -> None:
    x = image((2, 3, 4, 5)).to(memory_format=pydl.channels_last)
    y = (x * 2).relu()
    assert not has_own_format(y)
    assert y.stride() == (60, 1, 15, 3)
    assert y.is_contiguous(memory_format=pydl.channels_last)
    assert y.contiguous().stride() == (60, 20, 5, 1)
    assert x.clone().stride() == x.stride()
