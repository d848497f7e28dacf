# SPDX-License-Identifier: BSD-3-Clause
"""How tensors and nodes come and go: kept memory, attributes, no garbage collection, number slots."""

from __future__ import annotations

import gc
import operator
import weakref
from typing import Any

import numpy as np
import pytest

import pydl
from pydl import Tensor
from pydl._core import storage
from pydl._core.tape import TensorBase


def recorded() -> dict[str, Tensor]:
    x = pydl.ones(2, 3, requires_grad=True)
    return {
        "binary": x + x, "number": x * 2, "unary": x.exp(), "view": x.view(-1), "index": x[0], "matmul": x @ x.t(),
        "sum": x.sum(), "softmax": x.softmax(1), "where": pydl.where(x > 0, x, -x), "clamp": x.clamp(0.0, 0.5),
        "cast": x.double(), "linear": pydl.nn.functional.linear(x, x), "cat": pydl.cat([x, x]),
    }  # fmt: skip


@pytest.mark.parametrize("name", recorded())
def test_neither_tensors_nor_nodes_are_tracked(name: str) -> None:
    y = recorded()[name]
    assert not gc.is_tracked(y)
    assert y.grad_fn is not None and not gc.is_tracked(y.grad_fn)


def test_attributes_are_made_when_set() -> None:
    x = pydl.ones(2)
    assert x.__dict__ == {} and vars(x) is x.__dict__
    x.label = "mine"  # type: ignore[attr-defined]
    assert x.label == "mine" and x.__dict__ == {"label": "mine"}  # type: ignore[attr-defined]
    del x.label  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        _ = x.label  # type: ignore[attr-defined]
    x.__dict__ = {"other": 1}
    assert x.other == 1  # type: ignore[attr-defined]


def test_attributes_go_with_the_tensor() -> None:
    class Thing:
        pass

    x, thing = pydl.ones(2), Thing()
    seen = weakref.ref(thing)
    x.thing = thing  # type: ignore[attr-defined]
    del thing
    assert seen() is not None
    del x
    assert seen() is None
    assert not hasattr(pydl.ones(2), "thing")


def test_an_empty_object_is_an_empty_tensor() -> None:
    for made in (TensorBase.__new__(TensorBase), Tensor.__new__(Tensor), Tensor()):
        assert made.shape == (0,) and made.dtype is pydl.float32


def test_subclasses() -> None:
    class Mine(Tensor):
        def __add__(self, other: Any) -> Any:
            return "mine"

    x = Mine(3)
    assert x + 1 == "mine"
    assert isinstance(x - x, Tensor) and (2 - x).shape == (3,)
    p = pydl.nn.Parameter(pydl.ones(3))
    assert (p + 1).tolist() == [2, 2, 2] and (1 - p).tolist() == [0, 0, 0]


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_both_orders_of_the_operands(op: Any) -> None:
    a, b = np.array([3.0, 5.0]), np.array([2.0, 4.0])
    x, y = pydl.from_numpy(a), pydl.from_numpy(b)
    assert np.array_equal(op(x, y).numpy(), op(a, b))
    if op is not operator.matmul:
        assert np.array_equal(op(x, 2.0).numpy(), op(a, 2.0))
        assert np.array_equal(op(2.0, x).numpy(), op(2.0, a))
    for other in ("word", None, [1.0], object()):
        with pytest.raises(TypeError):
            op(x, other)
        with pytest.raises(TypeError):
            op(other, x)


@pytest.fixture
def empty_pool() -> None:
    storage.empty_cache()


def test_small_arrays_are_kept_and_counted(empty_pool: None) -> None:
    before = storage.stats()
    for _ in range(100):
        x = pydl.empty(3, 5)
        during = storage.stats()
        assert during["blocks_live"] == before["blocks_live"] + 1
        del x
    after = storage.stats()
    assert after["misses"] - before["misses"] == 1
    assert after["allocations"] - before["allocations"] == 100
    assert after["blocks_live"] == before["blocks_live"] and after["bytes_in_use"] == before["bytes_in_use"]
    assert after["bytes_cached"] > 0
    storage.empty_cache()
    assert storage.stats()["bytes_cached"] == 0


def test_many_shapes_share_the_places(empty_pool: None) -> None:
    before = storage.stats()
    for _ in range(3):
        tensors = [pydl.empty(i, j) for i in range(1, 30) for j in range(1, 30)]
        for t in tensors:
            t.fill_(float(t.numel()))
        assert all((t.numpy() == t.numel()).all() for t in tensors)
        del tensors, t
    after = storage.stats()
    assert after["blocks_live"] == before["blocks_live"] and after["bytes_in_use"] == before["bytes_in_use"]
    storage.empty_cache()
    assert storage.stats()["bytes_cached"] == 0


def test_memory_that_is_still_seen_is_not_kept() -> None:
    x = pydl.full((4, 4), 7.0)
    alias, view, buffer = x.numpy(), x[1], memoryview(pydl.full((4, 4), 8.0))
    del x
    others = [pydl.zeros(4, 4) for _ in range(20)]
    assert (alias == 7).all() and (view.numpy() == 7).all() and (np.asarray(buffer) == 8).all()
    assert len(others) == 20


def test_a_kept_array_starts_anew() -> None:
    x = pydl.zeros(2, 7)
    for _ in range(5):
        x.add_(1)
    assert x._version == 5
    del x
    assert pydl.empty(2, 7)._version == 0


def test_without_the_pool_nothing_is_kept(empty_pool: None) -> None:
    storage.set_pooling(False)
    try:
        for _ in range(10):
            pydl.empty(3, 5)
        assert storage.stats()["bytes_cached"] == 0
    finally:
        storage.set_pooling(True)


def test_the_bound_holds_for_kept_arrays(empty_pool: None) -> None:
    storage.set_cap(256)
    try:
        tensors = [pydl.empty(4, 4) for _ in range(50)]
        del tensors
        assert storage.stats()["bytes_cached"] <= 256
    finally:
        storage.set_cap(None)


def test_a_failing_allocation_is_counted_for_kept_arrays_too() -> None:
    del (x := [pydl.empty(3, 3)])[:]
    storage.fail_allocation_at(1)
    try:
        with pytest.raises(MemoryError):
            pydl.empty(3, 3)
    finally:
        storage.fail_allocation_at(0)
    assert not x and pydl.empty(3, 3).shape == (3, 3)
