# SPDX-License-Identifier: BSD-3-Clause
"""Small cases of image operations that once crashed or gave wrong results. Crashes run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl._core import formats, storage
from tests.harness import while_it_computes

# Statements, each of which has to end with the exception named, not with a signal.
CRASHES = {
    "planes without a batch": "ops.max_unpool(f(0, 3, 4), i(2, 3, 4), (8,))",
    "sums of planes without a batch": "ops.max_unpool_add(f(0, 3, 4), i(2, 3, 4), (8,))",
    "more planes than places": "ops.max_unpool(f(64, 3, 4), i(2, 3, 4), (8,))",
    "places without planes": "ops.max_unpool_backward(f(2, 2, 3), i())",
    "places of more planes": "ops.max_unpool_backward(f(0, 2, 3), i(500, 2, 3))",
    "halves of a gate that became a number": (
        "x = f(4).requires_grad_(); y = pydl.nn.functional.glu(x); x.data = f(); y.sum().backward()"
    ),
    "halves of a gate that became shorter": (
        "x = f(1000, 2000).requires_grad_(); y = pydl.nn.functional.glu(x); x.data = f(2, 2); y.sum().backward()"
    ),
    "slopes that became fewer": (
        "w = f(9000).requires_grad_(); x = f(200, 9000).requires_grad_()\n"
        "y = pydl.nn.functional.prelu(x, w); w.data = f(3); y.sum().backward()"
    ),
    "input that became narrower": (
        "x = f(2000, 2000, dtype=pydl.float64).requires_grad_()\n"
        "y = pydl.nn.functional.prelu(x, f(1, dtype=pydl.float64)); x.data = f(2000, 2000); y.sum().backward()"
    ),
    "gate along no dimension": "activation.glu_fwd(f(3, 4), 70)",
    "slopes for other channels": "activation.prelu_fwd(f(3, 4), f(9))",
    "shuffle without channels by a factor whose square overflows": "ops.pixel_shuffle(f(1, 0, 2, 2), 2**32)",
    "shuffle of a vector": "windows.pixel_shuffle(f(3), 2)",
    "shuffle by 0": "windows.pixel_unshuffle(f(1, 1, 4, 4), 0)",
    "windows outside of the image": "windows.unfold_windows(f(1, 1, 3, 3), (9, 9), (1, 1), (1, 1))",
    "windows without a step": "windows.unfold_windows(f(1, 1, 3, 3), (2, 2), (1, 1), (0, 0))",
    "windows of no elements": "windows.fold_windows(f(1, 4, 4), (0, 2), (2, 2), (3, 3), (), ())",
    "rows of a number": "embedding.lookup(f(), i(1))",
    "channels of a vector": "formats.in_own_format(f(3))",
}


@pytest.mark.parametrize("name", list(CRASHES))
def test_ends_with_an_exception(name: str) -> None:
    """What does not fit is refused with a ShapeError before memory is touched."""
    code = (
        "import pydl\nfrom pydl import ops\nfrom pydl._core import activation, embedding, formats, windows\n"
        "from pydl._core.errors import ShapeError\n"
        "f = pydl.ones\ni = lambda *s: pydl.zeros(s, dtype=pydl.int64)\n"
        "try:\n    " + CRASHES[name].replace("\n", "\n    ") + "\nexcept ShapeError:\n    pass\n"
        "else:\n    raise SystemExit('no error')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-300:]


@pytest.mark.long
@pytest.mark.parametrize("name", ["conv2d", "interpolate"])
def test_memory_order_changes_while_a_kernel_reads(name: str) -> None:
    """A look at the strides puts a tensor's memory in order; the old memory stays while other threads read it."""
    base, weight = pydl.rand(16, 16, 128, 128), pydl.rand(8, 16, 3, 3)

    def work(x: Any) -> Any:
        return F.conv2d(x, weight) if name == "conv2d" else F.interpolate(x, scale_factor=2)

    expected = work(formats.in_own_format(base)).numpy()
    for milliseconds in range(5):
        x = formats.in_own_format(base)

        def look(x: Any = x, milliseconds: int = milliseconds) -> None:
            time.sleep(1e-3 * milliseconds)
            assert x.stride() == (16 * 128 * 128, 128 * 128, 128, 1)
            for _ in range(4):
                pydl.full((16, 16, 128, 128), float("nan"))  # takes the memory that is free now

        result = while_it_computes(partial(work, x), look)
        np.testing.assert_array_equal(result.numpy(), expected)


def test_views_made_by_several_threads_share_memory() -> None:
    """When threads put one tensor's memory in order at the same time, the views of all of them are its views."""
    for _ in range(10):
        x = formats.in_own_format(pydl.rand(16, 16, 128, 128))
        views: list[pydl.Tensor] = []
        start = threading.Barrier(3)

        def view(x: Any = x, views: list[pydl.Tensor] = views, start: threading.Barrier = start) -> None:
            start.wait()
            views.append(x.view(-1))

        threads = [threading.Thread(target=view) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        x.fill_(5)
        assert all(bool((v == 5).all()) for v in views)


def leaf(*values: float) -> Any:
    return pydl.tensor(values, dtype=pydl.float64, requires_grad=True)


def test_change_of_an_expanded_tensor_by_a_view_of_one_copy() -> None:
    """All copies change, and the gradients of all of them meet in the element that they show."""
    x = leaf(1, 4)
    y = (x * 1).unsqueeze(1).expand(2, 3)
    y[:, 0].mul_(2)
    weight = pydl.tensor([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]], dtype=pydl.float64)
    (y * weight).sum().backward()
    assert y.tolist() == [[2] * 3, [8] * 3]
    assert x.grad.tolist() == [222, 444]


def test_history_of_an_expanded_view_can_be_differentiated_twice() -> None:
    x = leaf(1, 4)
    y = (x * 1).unsqueeze(1).expand(2, 3)
    y[:, 0].mul_(2)
    first: Any = pydl.autograd.grad((y**3).sum(), x, create_graph=True)[0]
    assert first.tolist() == [72, 1152]  # 3 (2x)³ → 72 x²
    second: Any = pydl.autograd.grad(first.sum(), x)[0]
    assert second.tolist() == [144, 576]


@pytest.mark.parametrize("change", ["itself", "through a view", "its base"])
def test_retained_gradient_is_that_of_the_changed_values(change: str) -> None:
    """retain_grad before a change in place: afterwards it is the gradient of what backward starts from."""
    x = leaf(1, 2)
    base = x * 3
    y = base[:1] if change == "its base" else base
    y.retain_grad()
    if change == "through a view":
        y[:1].mul_(2)
    else:
        base.mul_(2)
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == {"itself": [12, 24], "through a view": [12, 12], "its base": [12]}[change]
    assert x.grad.tolist() == {"itself": [72, 144], "through a view": [72, 36], "its base": [72, 0]}[change]


def test_running_statistics_change_together_or_not_at_all() -> None:
    """Whichever allocation fails: of statistics with strides, too, never the mean alone is updated."""
    x = pydl.rand(4, 3, 5, 5)
    for n in range(1, 30):
        mean, var = pydl.zeros(6)[::2], pydl.ones(6)[::2]
        storage.fail_allocation_at(n)
        try:
            F.batch_norm(x, mean, var, training=True)
            done = True
        except MemoryError:
            done = False
        finally:
            storage.fail_allocation_at(0)
        assert (bool((mean != 0).all()), bool((var != 1).all())) == (done, done)
        if done:
            assert n > 5
            return
    raise AssertionError("no call succeeded")
