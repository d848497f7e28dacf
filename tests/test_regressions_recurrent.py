# SPDX-License-Identifier: BSD-3-Clause
"""Faults once found in the recurrent layers and packed sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl._core import recurrent as kernels
from pydl._core.errors import ShapeError
from pydl.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from pydl.ops.recurrent import lstm_sequence, rnn_sequence
from tests.harness import while_it_computes

lstm: Any = lstm_sequence
rnn: Any = rnn_sequence


def test_weights_given_other_memory_during_a_call_are_read_where_they_were() -> None:
    """`data` of an argument is set while another thread computes: the old memory lives until its end."""
    pydl.manual_seed(0)
    sizes, hidden, features = (64,) * 150, 64, 512
    x, w_ih = pydl.randn(sum(sizes), features), pydl.randn(4 * hidden, features) * 0.05
    w_hh, zero = pydl.randn(4 * hidden, hidden) * 0.05, pydl.zeros(64, hidden)
    expected = lstm(x, sizes, zero, zero, w_ih, w_hh)[0].numpy().tobytes()
    for _ in range(2):
        own_x, own_w = x.clone(), w_ih.clone()

        def work(own_x: Any = own_x, own_w: Any = own_w) -> bytes:
            return lstm(own_x, sizes, zero, zero, own_w, w_hh)[0].numpy().tobytes()

        def other(own_x: Any = own_x, own_w: Any = own_w) -> Any:
            own_x.data, own_w.data = pydl.zeros(1), pydl.zeros(1)
            return [pydl.full_like(t, 1e3) for t in (x, w_ih, x, w_ih)]  # take the memory that is free now

        assert while_it_computes(work, other) == expected


@pytest.mark.parametrize("checkpoint", [False, True])
def test_create_graph_where_only_the_projection_has_a_gradient(checkpoint: bool) -> None:
    """c_n of a single step does not depend on w_hr."""
    pydl.manual_seed(1)
    x, h0, c0 = (pydl.randn(3, n, dtype=pydl.float64) for n in (2, 2, 5))
    w_ih, w_hh = pydl.randn(20, 2, dtype=pydl.float64), pydl.randn(20, 2, dtype=pydl.float64)
    w_hr = pydl.randn(2, 5, dtype=pydl.float64, requires_grad=True)
    y, h_n, c_n, _ = lstm(x, (3,), h0, c0, w_ih, w_hh, w_hr=w_hr, checkpoint=checkpoint)
    loss = (y * y).sum() + h_n.sum() + c_n.sum()
    grad: Any = pydl.autograd.grad
    (once,) = grad(loss, [w_hr], retain_graph=True)
    (dw,) = grad(loss, [w_hr], create_graph=True)
    np.testing.assert_allclose(dw.detach().numpy(), once.numpy(), rtol=1e-12)
    (second,) = grad(dw.sum(), [w_hr])
    assert second.abs().sum() > 0


@pytest.mark.parametrize(
    ("sizes", "error", "text"),
    [
        ((2**63, 1), ShapeError, r"sizes\[0\] is 9223372036854775808"),
        ((2, -(2**70)), ShapeError, r"sizes\[1\]"),
        ((2.0, 1.0), TypeError, r"rnn_sequence: sizes must be integers, but sizes\[0\] is 2.0"),
        (("2", "1"), TypeError, r"rnn_sequence: sizes must be integers"),
    ],
    ids=["beyond int64", "below int64", "floats", "text"],
)
def test_sizes_that_are_no_sizes(sizes: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        rnn(pydl.ones(3, 2), sizes, pydl.zeros(2, 4), pydl.ones(4, 2), pydl.ones(4, 4))


def test_sizes_given_as_tensors_may_change_before_the_backward_pass() -> None:
    sizes = tuple(pydl.tensor(n) for n in (3, 3, 1, 1))
    x, w = pydl.ones(8, 2, requires_grad=True), pydl.ones(4, 2) * 0.1
    y, _ = rnn(x, sizes, pydl.zeros(3, 4), w, pydl.eye(4))
    grad: Any = pydl.autograd.grad
    (before,) = grad(y.sum(), [x], retain_graph=True)
    sizes[1].fill_(2)
    sizes[2].fill_(2)
    (after,) = grad(y.sum(), [x])
    assert before.tolist() == after.tolist()


def test_products_of_sizes_beyond_the_address_space() -> None:
    """Tensors without memory of their own, whose gates have 2**63 bytes."""
    rows, hidden = 2**29, 2**30
    none, one = pydl.zeros(1, 0), pydl.zeros(1, 1)
    state, cell = one.expand(rows, 1), one.expand(rows, hidden)
    w_ih, w_hh, w_hr = none.expand(4 * hidden, 0), one.expand(4 * hidden, 1), one.expand(1, hidden)
    with pytest.raises(MemoryError, match="lstm_sequence: the gates of 536870912 rows"):
        lstm(none.expand(rows, 0), (rows,), state, cell, w_ih, w_hh, w_hr=w_hr)


@pytest.mark.parametrize(
    ("order", "inverse", "text"),
    [
        ([0, 0, 0], [0, 1, 2], "is not the inverse"),
        ([0, 1, 2], [2, 1, 0], "is not the inverse"),
        ([0, 1, 2], [5, 5, 5], "index 5 is out of bounds"),
        ([1, 0], [1, 0], "must have one number for each"),
        (None, [2, 1, 0], "sorted_indices"),
    ],
    ids=["repeats", "another permutation", "beyond", "too few", "only one of them"],
)
def test_orders_of_a_packed_sequence_that_contradict_each_other(order: Any, inverse: Any, text: str) -> None:
    """They led to results from memory that was never written, or to states of the wrong sequences."""
    indices = [None if values is None else pydl.tensor(values) for values in (order, inverse)]
    packed = PackedSequence(pydl.ones(5, 3), pydl.tensor([3, 2]), *indices)
    with pytest.raises((ShapeError, IndexError, TypeError), match=text):
        pad_packed_sequence(packed)
    with pytest.raises((ShapeError, IndexError, TypeError), match=text):
        nn.GRU(3, 2)(packed)


def test_lengths_beyond_int64_are_named_as_given() -> None:
    lengths = np.array([2**63 + 1, 2], np.uint64)
    with pytest.raises(ShapeError, match=r"lengths\[0\] is 9223372036854775807, but input"):
        pack_padded_sequence(pydl.ones(3, 2, 1), lengths, enforce_sorted=False)


def test_compiled_functions_refuse_what_is_missing() -> None:
    """They read a missing state, and flags behind the end of a tuple."""
    x, h, w_ih, w_hh = pydl.ones(3, 2), pydl.ones(3, 4), pydl.ones(16, 2), pydl.ones(16, 4)
    with pytest.raises(TypeError, match="c0 is missing"):
        kernels.forward("lstm", "lstm", x, (3,), h, None, w_ih, w_hh, None, None, None, False, True)
    y, h_n, c_n, *kept = kernels.forward("lstm", "lstm", x, (3,), h, h, w_ih, w_hh, None, None, None, False, True)
    backward: Any = kernels.backward
    arguments = ("lstm", "lstm", y, h_n, c_n, x, (3,), h, h, w_ih, w_hh, None, y, *kept, False, False)
    with pytest.raises(ValueError, match="needs has 7 elements"):
        backward(*arguments, (True,) * 7)
    assert backward(*arguments, (False,) * 8) == (None,) * 8
