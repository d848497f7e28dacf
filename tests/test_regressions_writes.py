# SPDX-License-Identifier: BSD-3-Clause
"""Writes that once raised, crashed or differed from PyTorch: into expanded tensors, one after another, in threads."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F

# What is written into a (4, 3) expansion of a (1, 3) tensor.
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "row": lambda T, e: e.__setitem__(0, 1),
    "element": lambda T, e: e.__setitem__((0, 0), 1),
    "slice of one": lambda T, e: e.__setitem__(slice(1, 2), 2.0),
    "row of values": lambda T, e: e.__setitem__(3, T.tensor([1.0, 2.0, 3.0])),
    "all": lambda T, e: e.__setitem__(slice(None), 1),
    "ellipsis": lambda T, e: e.__setitem__(..., T.ones(4, 3)),
    "column": lambda T, e: e.__setitem__((slice(None), 1), 1.0),
    "nothing": lambda T, e: e.__setitem__(slice(4, 4), 1.0),
    "row and columns": lambda T, e: e.__setitem__((0, T.tensor([0, 2])), 5.0),
    "rows": lambda T, e: e.__setitem__(T.tensor([0, 1]), 1.0),
    "rows of values": lambda T, e: e.__setitem__(T.tensor([0, 1]), T.ones(2, 3)),
    "mask of rows": lambda T, e: e.__setitem__(T.tensor([True, False, True, False]), 1.0),
    "mask": lambda T, e: e.__setitem__(T.zeros(4, 3) == 0, 1.0),
    "row by a tensor": lambda T, e: e.__setitem__(T.tensor(2), 7.0),
    "no rows": lambda T, e: e.__setitem__(T.tensor([], dtype=T.int64), 1.0),
    "row out of range": lambda T, e: e.__setitem__(4, 1.0),
    "rows out of range": lambda T, e: e.__setitem__(T.tensor([4]), 1.0),
    "wrong shape": lambda T, e: e.__setitem__(T.tensor([0, 1]), T.ones(3, 3)),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", WRITES)
def test_writing_by_index_into_an_expanded_tensor(name: str) -> None:
    """What is one place in memory in the part written to is refused, or by tensors of indices warned of."""
    import torch

    results: list[Any] = []
    for T in (torch, pydl):
        x: Any = T.zeros(1, 3)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                WRITES[name](T, x.expand(4, 3))
                results.append((x.tolist(), bool(caught)))
            except (RuntimeError, IndexError) as error:
                results.append(type(error))
    theirs, ours = results
    assert ours == theirs or issubclass(ours, theirs), (ours, theirs)


def test_recorded_writes_into_an_expanded_tensor() -> None:
    """Of a part with places of its own, with gradients; of others never."""
    x = pydl.zeros(1, 3).requires_grad_()
    v = pydl.ones(3).requires_grad_()
    y = x * 2
    e = y.expand(4, 3)
    e[1] = v * 3
    assert y.tolist() == [[3.0, 3.0, 3.0]] and e[3].tolist() == [3.0, 3.0, 3.0]
    (e * pydl.arange(12.0).reshape(4, 3)).sum().backward()
    assert v.grad is not None and v.grad.tolist() == [54.0, 66.0, 78.0]
    assert x.grad is not None and x.grad.tolist() == [[0.0, 0.0, 0.0]]
    for index in (slice(None), pydl.tensor([0, 1])):
        with pytest.raises(RuntimeError, match="refers to the same memory"):
            (x * 2).expand(4, 3)[index] = v
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.expand(4, 3)[0] = 1.0
    fixed = np.zeros((1, 3))
    fixed.flags.writeable = False
    for index in (0, pydl.tensor([0, 1])):
        with pytest.raises(RuntimeError, match="read-only"):
            pydl.from_numpy(fixed).expand(4, 3)[index] = 1.0


@pytest.mark.parity
@pytest.mark.parametrize("then", ["add_", "mul_", "relu_", "copy_"])
@pytest.mark.parametrize("name", ["relu6", "hardtanh", "hardtanh_", "hardswish", "silu"])
def test_a_change_in_place_after_an_activation_in_place(name: str, then: str) -> None:
    import torch

    results = []
    for T in (torch, pydl):
        x = T.tensor([-2.0, -0.5, 0.5, 9.0], dtype=T.float64, requires_grad=True)
        y = x * 1
        getattr(T.nn.functional, name)(y, **({} if name.endswith("_") else {"inplace": True}))
        getattr(y, then)(*(() if then == "relu_" else (T.full((4,), 2.0, dtype=T.float64),)))
        y.backward(T.arange(1.0, 5.0, dtype=T.float64))
        results.append((y.detach().numpy(), x.grad.numpy()))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-14)


def test_dropouts_mask_stays_while_its_backward_runs() -> None:
    """Another thread's backward frees the graph while the kernel of this one runs without the interpreter lock; the
    derivative that is recorded then keeps its mask. It used to keep None, and crashed when it was differentiated."""
    n, interval, n_right = 400_000, sys.getswitchinterval(), 0
    sys.setswitchinterval(1e-6)
    try:
        for wait_s in [i * 4e-5 for i in range(20)] + [None]:  # None: after the first
            x, dy = pydl.ones(n).requires_grad_(), pydl.ones(n).requires_grad_()
            y, plain = F.dropout(x, 0.5), pydl.ones(n)
            found: list[Any] = []
            running = threading.Event()

            def recorded(y: Any = y, x: Any = x, dy: Any = dy, found: Any = found, running: Any = running) -> None:
                running.set()
                with contextlib.suppress(RuntimeError):  # the graph is freed already
                    found.extend(pydl.autograd.grad(y, x, dy, create_graph=True))

            thread = threading.Thread(target=recorded)
            thread.start()
            running.wait()
            if wait_s is None:
                thread.join()
            else:
                time.sleep(wait_s)
            with contextlib.suppress(RuntimeError):
                pydl.autograd.grad(y, x, plain)
            thread.join()
            if found:
                (mask,) = pydl.autograd.grad(found[0].sum(), dy)
                assert (mask.numpy() == y.detach().numpy()).all()
                n_right += 1
    finally:
        sys.setswitchinterval(interval)
    assert n_right > 0
