# SPDX-License-Identifier: BSD-3-Clause
"""x[key] and x[key] = value for every kind of key: values, gradients, views and errors as in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl.autograd import gradcheck, gradgradcheck

S, E = slice(None), Ellipsis
DATA = np.arange(24.0).reshape(2, 3, 4) - 11.5

BASIC: tuple[Any, ...] = (
    0, -1, (1, 2), (1, 2, 3), S, E, None, (), (S, 1), (E, 1), (1, E), (None, 0), (0, None, 2), (S, S, slice(1, 3)),
    slice(0, 1), slice(1, None), slice(5, 9), slice(0, 2, 2), (S, slice(None, None, 2), slice(1, None, 3)),
    (None, E, None), np.int64(1), (slice(-1, None), E, slice(-3, -1)), slice(1, 0), (0, S, S),
)  # fmt: skip
# (key, T): T.tensor makes index tensors; the library under test and PyTorch get the same key.
ADVANCED: tuple[Any, ...] = (
    [0, 1], [1, 0, 1], [-1], range(2), [], [True, False], ([0, 1], [1, 2]), ([0, 1], S, [1, 3]), (S, [0, 2]),
    (E, [0, 2]), (0, S, [0, 1]), (0, [1, 1, 1]), ([1, 1, 0], S, [0, 0, 3]), ([0, 1], E, [1, 2]),
    ([0, 1], None, [0, 1]), (None, [0], None), (1, None, [0, 0, 2]), ([0, -1], [-1, 0], [1, -4]),
    ([[0], [1]], [[0, 2]]),
    True, False, (True, 0), np.array([0, 1]), np.array([True, False]), np.array(1), np.array([[1], [0]]), DATA > 0,
    (S, DATA[0] > 0),
    (DATA[:, :, 0] > 0, [0, 1, 1]), DATA[:, :, 0] > 0, (S, slice(1, 3), np.array([[0, 3], [1, 1]])),
    (E, DATA[0, 0] > -10), DATA > 99, (np.array([True, True]), [0, 1]), (S, np.array([], np.int64)), (slice(0, 1),
    [0, 0], slice(1, 3)),
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    5, -3, (0, 3), (0, 0, 0, 0), [5], [0, -3], ([0], [0], [0], [0]), ([0, 1], [0, 1, 2]), 1.5, np.array([0.5]),
    np.array([0, 1], np.int16), np.array([True, False, True]), (S, DATA > 0), [2**62], [-(2**63)], (0, [3]),
    (np.array([True, True, True]), 0),
)  # fmt: skip


def keyed(T: Any, key: Any) -> Any:
    """The key with its arrays as tensors of library T."""
    if isinstance(key, tuple):
        return tuple(keyed(T, k) for k in key)
    return T.tensor(key) if isinstance(key, np.ndarray) else key


def name(key: Any) -> str:
    return str(key).replace("slice(None, None, None)", ":").replace("\n", "").replace(" ", "")[:60]


def leaf(T: Any, grad: bool = True) -> Any:
    return T.tensor(DATA, requires_grad=grad)


@pytest.mark.parity
@pytest.mark.parametrize("key", [*BASIC, *ADVANCED], ids=name)
def test_reading_is_torchs(key: Any) -> None:
    import torch

    ours, theirs = leaf(pydl), leaf(torch)
    y, want = ours[keyed(pydl, key)], theirs[keyed(torch, key)]
    assert tuple(y.shape) == tuple(want.shape)
    np.testing.assert_array_equal(y.detach().numpy(), want.detach().numpy())
    weights = (np.arange(y.numel()) % 7 / 8 - 0.25).reshape(y.shape)  # sums of these are exact
    (y * pydl.tensor(weights)).sum().backward()
    (want * torch.tensor(weights)).sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), theirs.grad.numpy())


@pytest.mark.parametrize("key", ADVANCED, ids=name)
def test_second_derivatives_of_reading(key: Any) -> None:
    x = leaf(pydl)
    if x[keyed(pydl, key)].numel():
        assert gradcheck(lambda t: t[keyed(pydl, key)] ** 2, [x])
        assert gradgradcheck(lambda t: t[keyed(pydl, key)] ** 2, [x])


@pytest.mark.parity
@pytest.mark.parametrize("key", [*BASIC, *ADVANCED], ids=name)
def test_writing_a_number_is_torchs(key: Any) -> None:
    import torch

    ours, theirs = leaf(pydl, False), leaf(torch, False)
    ours[keyed(pydl, key)] = 7
    theirs[keyed(torch, key)] = 7
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parity
@pytest.mark.parametrize("key", [*BASIC, *ADVANCED], ids=name)
def test_writing_a_tensor_is_torchs_and_has_its_gradients(key: Any) -> None:
    import torch

    grads = []
    shape = DATA[key].shape if isinstance(key, np.ndarray) else tuple(leaf(torch)[keyed(torch, key)].shape)
    repeats = name(key) in ("[1,0,1]", "(0,[1,1,1])", "([1,1,0],:,[0,0,3])", "(slice(0,1,None),[0,0],slice(1,3,None))",
                            "(1,None,[0,0,2])")  # fmt: skip
    for T in (pydl, torch):
        x = leaf(T)
        values = np.sin(np.arange(np.prod(shape, dtype=int), dtype=np.float64)).reshape(shape)
        v = T.tensor(values if not repeats else values * 0 + 3.0, requires_grad=True)
        y = x * 1
        y[keyed(T, key)] = v
        (y * y).sum().backward()
        grads.append([y.detach().numpy(), x.grad.numpy(), values * 0 if v.grad is None else v.grad.numpy()])
    for got, want in zip(*grads, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_written_view_changes_its_base_and_both_histories() -> None:
    x = pydl.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=pydl.float64, requires_grad=True)
    y = x * 2
    row = y[0]
    row[[0]] = pydl.tensor([10.0], dtype=pydl.float64)
    assert y.tolist() == [[10.0, 4.0], [6.0, 8.0]] and row.tolist() == [10.0, 4.0]
    (y * y).sum().backward()
    assert x.grad.tolist() == [[0.0, 16.0], [24.0, 32.0]]


def test_writing_broadcasts_and_drops_leading_ones() -> None:
    x = pydl.zeros(2, 3)
    x[[0, 1]] = pydl.tensor([[[1.0, 2.0, 3.0]]])
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2
    x[x > 1.5] = pydl.tensor(9.0)
    assert x.tolist() == [[1.0, 9.0, 9.0]] * 2
    with pytest.raises(pydl.ShapeError, match=r"value tensor of shape \[2\] .* result of shape \[1, 3\]"):
        x[[0]] = pydl.ones(2)
    with pytest.raises(RuntimeError, match="dtypes match"):
        x[[0]] = pydl.ones(3, dtype=pydl.float64)
    with pytest.raises(TypeError, match="can't assign a list"):
        x[[0]] = [1.0, 2.0, 3.0]


def test_numbers_are_converted_to_the_type_of_the_tensor() -> None:
    x = pydl.zeros(3, dtype=pydl.int64)
    x[[0]], x[1] = 1.9, 2.9
    assert x.tolist() == [1, 2, 0]


@pytest.mark.parity
@pytest.mark.parametrize("key", WRONG, ids=name)
def test_wrong_keys_raise_before_anything_is_written(key: Any) -> None:
    import torch

    with pytest.raises(IndexError):
        leaf(torch, False)[keyed(torch, key)]
    with pytest.raises(IndexError):
        leaf(pydl, False)[keyed(pydl, key)]
    x = leaf(pydl, False)
    with pytest.raises(IndexError):
        x[keyed(pydl, key)] = 1.0
    np.testing.assert_array_equal(x.numpy(), DATA)


@pytest.mark.parametrize("value", [2, 7, -3, 2**62, -(2**63)])
def test_the_error_names_the_index(value: int) -> None:
    x = leaf(pydl, False)
    with pytest.raises(IndexError, match=rf"index {value} is out of bounds for dimension 0 with size 2"):
        x[[0, value]]
    with pytest.raises(IndexError, match=rf"index {value} is out of bounds for dimension 0 with size 2"):
        x[pydl.tensor([0, value])] = 1.0
    with pytest.raises(IndexError, match=rf"index {value} is out of bounds"):
        x.index_select(0, pydl.tensor([value]))
    with pytest.raises(IndexError, match=rf"index {value} is out of bounds"):
        x.gather(0, pydl.full((1, 1, 1), value))
    with pytest.raises(IndexError, match=rf"index {value} is out of bounds"):
        x.scatter_add_(0, pydl.full((1, 1, 1), value), pydl.ones(1, 1, 1, dtype=pydl.float64))
    np.testing.assert_array_equal(x.numpy(), DATA)


def test_two_meanings_of_a_nested_list_are_refused() -> None:
    with pytest.raises(IndexError, match="two meanings"):
        leaf(pydl)[[[0, 1], [1, 2]]]
    with pytest.raises(IndexError, match="two meanings"):
        leaf(pydl)[[S, 0]]


def test_negative_steps_raise() -> None:
    for key in (slice(None, None, -1), (0, slice(3, 0, -2)), slice(None, None, 0)):
        with pytest.raises(ValueError):
            leaf(pydl)[key]


def test_a_uint8_mask_warns() -> None:
    with pytest.warns(UserWarning, match="use bool instead"):
        assert pydl.tensor([1.0, 2.0])[pydl.tensor([1, 0], dtype=pydl.uint8)].tolist() == [1.0]


def test_basic_keys_give_views_and_advanced_ones_copies() -> None:
    x = leaf(pydl, False)
    x[0, 1].fill_(5)
    x[None, ..., 2][0, 1, 2] = 6
    assert x[0, 1].tolist() == [5, 5, 5, 5][:2] + [5.0, 5.0] and x[1, 2, 2] == 6
    assert x[pydl.tensor(1)].data_ptr() == x[1].data_ptr()
    y = x[[0, 1]]
    y.fill_(0)
    assert x[1, 2, 2] == 6


@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put(accumulate: bool) -> None:
    x = pydl.tensor([1.0, 2.0, 3.0], dtype=pydl.float64, requires_grad=True)
    v = pydl.tensor([10.0, 20.0], dtype=pydl.float64, requires_grad=True)
    i = pydl.tensor([0, 2])
    y = pydl.index_put(x, (i,), v, accumulate)
    assert y.tolist() == ([11.0, 2.0, 23.0] if accumulate else [10.0, 2.0, 20.0])
    assert gradcheck(lambda a, b: pydl.index_put(a, (i,), b, accumulate), [x, v])
    assert gradgradcheck(lambda a, b: pydl.index_put(a, (i,), b, accumulate), [x, v])
    z = x.detach().clone()
    assert z.index_put_((i,), v.detach(), accumulate) is z and z.tolist() == y.tolist()


def test_accumulating_adds_every_repetition_in_order() -> None:
    rng = np.random.default_rng(0)
    rows, values = rng.integers(0, 5, 1000), rng.standard_normal((1000, 3)).astype(np.float32)
    want = np.zeros((5, 3))
    np.add.at(want, rows, values.astype(np.float64))
    got = pydl.zeros(5, 3).index_put_((pydl.tensor(rows),), pydl.tensor(values), accumulate=True)
    np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=1000**0.5 * np.finfo(np.float32).eps * 16)
    again = pydl.zeros(5, 3).index_add_(0, pydl.tensor(rows), pydl.tensor(values))
    assert pydl.equal(got, again)


def test_in_place_writes_are_seen_by_backward() -> None:
    x = pydl.ones(3, requires_grad=True)
    y = x * 2
    z = y * y
    y[[0]] = 5.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="leaf"):
        x[[0]] = 5.0


def test_read_only_memory_is_not_written() -> None:
    a = np.zeros(3)
    a.flags.writeable = False
    x = pydl.from_numpy(a)
    for key in (0, [0], x > -1):
        with pytest.raises(RuntimeError, match="read-only"):
            x[key] = 1.0
    with pytest.raises(RuntimeError, match="read-only"):
        x.expand(2, 3)[[0]] = 1.0
    assert not a.any()
