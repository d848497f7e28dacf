# SPDX-License-Identifier: BSD-3-Clause
"""Graphs of millions of nodes, on small stacks too, and graphs that must die by reference count alone."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

import pytest

import pydl
from pydl._core import storage

f64 = pydl.float64


def leaf(*values: float) -> pydl.Tensor:
    return pydl.tensor(values, dtype=f64, requires_grad=True)


DEPTH = 2_000_000


def chain(n: int) -> float:
    x = leaf(1)
    y = x
    for _ in range(n):
        y = y + 1.0
    y.backward()
    del y
    return float(x.grad)


def test_a_chain_of_two_million_nodes() -> None:
    assert chain(DEPTH) == 1


@pytest.mark.long
def test_a_chain_of_two_million_nodes_on_a_small_stack() -> None:
    """Creation, backward and destruction use no recursion."""
    results: list[float] = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: results.append(chain(DEPTH)))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert results == [1]


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX")
def test_a_signal_ends_a_long_backward() -> None:
    """Before its end, when the gradients are stored; the next backward runs as ever."""
    x = leaf(1)
    y = x
    for _ in range(DEPTH // 4):
        y = y + 1.0
    old = signal.signal(signal.SIGALRM, _stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            y.backward()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert x.grad is None
    (x * 2).backward()
    assert float(x.grad) == 2


@pytest.mark.parametrize("kind", ["never run back", "views", "with two branches", "in place"])
def test_other_deep_graphs_die_without_recursion(kind: str) -> None:
    x = leaf(1, 2)
    y = x * 1
    for _ in range(200_000):
        if kind == "views":
            y = y.view(2)
        elif kind == "in place":
            y.add_(1)
        else:
            y = y + (y if kind == "with two branches" else 0.5)
            if kind == "with two branches":
                y = y * 0.5
    if kind != "never run back":
        y.sum().backward()
        assert x.grad is not None
    del y


def test_graphs_are_freed_by_reference_count_alone(no_gc: None) -> None:
    w, b = pydl.ones(8, 8, dtype=f64, requires_grad=True), pydl.zeros(8, dtype=f64, requires_grad=True)
    x = pydl.ones(4, 8, dtype=f64)

    def step() -> None:
        w.grad = b.grad = None
        h = (x @ w + b).tanh()
        h = h * h.exp()
        h[:, 1:] *= 0.5
        s = h.sum()
        (g,) = pydl.autograd.grad(s, w, create_graph=True)
        ((g * g).sum() + s).backward()

    for _ in range(20):
        step()
    live = storage.stats()["blocks_live"]
    for _ in range(1000):
        step()
    assert storage.stats()["blocks_live"] == live


def test_a_graph_dropped_without_backward_is_freed(no_gc: None) -> None:
    x = leaf(1, 2)
    for _ in range(10):
        (x * 2).exp().sum()
    live = storage.stats()["blocks_live"]
    for _ in range(100):
        h = (x * 2).exp()
        h[0] = 3.0
        (h * h).sum()
        del h
    assert storage.stats()["blocks_live"] == live


@pytest.mark.parametrize("name", ["matmul", "linear", "mse_loss"])
@pytest.mark.parametrize("shape", [(7, 4), (3, 7), (3,), (3, 4, 2)])
def test_saved_tensors_that_were_given_other_data_are_noticed(name: str, shape: tuple[int, ...]) -> None:
    x, w = pydl.ones(3, 4, requires_grad=True), pydl.ones(3, 4, requires_grad=True)
    other = pydl.ones(4, 3, requires_grad=True) if name == "matmul" else w
    calls = {"matmul": pydl.matmul, "linear": pydl.nn.functional.linear, "mse_loss": pydl.nn.functional.mse_loss}
    y = calls[name](x, other).sum()
    x.data = pydl.ones(*shape)
    with pytest.raises(RuntimeError, match=r"shape|columns|fit"):
        y.backward()
