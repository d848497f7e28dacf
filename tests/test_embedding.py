# SPDX-License-Identifier: BSD-3-Clause
"""Embedding and bags: against PyTorch, numbers out of range, the padding row, fixed order of additions, layers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn

INT64 = np.iinfo(np.int64)
BAD = (7, -1, 8, 2**31, 2**62, -(2**62), INT64.max, INT64.min)


def grads(T: Any, call: Callable[..., Any], ids: Any, weight: Any, *more: Any) -> list[Any]:
    """Value and gradients of Σ cos(i)·y_i in float64."""
    inputs = [T.from_numpy(a.copy()).requires_grad_() for a in (weight, *more)]
    y = call(T, T.from_numpy(ids), *inputs)
    v = T.from_numpy(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))
    return [y.detach().numpy(), *(g.numpy() for g in T.autograd.grad([y], inputs, [v]))]


def check_same(call: Callable[..., Any], ids: Any, weight: Any, *more: Any) -> None:
    import torch

    for ours, theirs in zip(grads(pydl, call, ids, weight, *more), grads(torch, call, ids, weight, *more), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=1e-13)


@pytest.mark.parity
@pytest.mark.parametrize("by_frequency", [False, True])
@pytest.mark.parametrize("padding", [None, 0, 3, -1])
def test_embedding_follows_pytorch(padding: int | None, by_frequency: bool) -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 5), (6,), (0,), (), (2, 1, 3)):
        for kind in (np.int64, np.int32):
            check_same(
                lambda T, ids, w: T.nn.functional.embedding(ids, w, padding, scale_grad_by_freq=by_frequency),
                np.asarray(rng.integers(0, 7, shape), kind),
                rng.standard_normal((7, 5)),
            )


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 0, -1])
def test_bags_follow_pytorch(mode: str, padding: int | None) -> None:
    rng = np.random.default_rng(1)
    w = rng.standard_normal((6, 4))
    settings: dict[str, Any] = {"mode": mode, "padding_idx": padding}

    def bag(T: Any, ids: Any, w: Any, *more: Any, **extra: Any) -> Any:
        return T.nn.functional.embedding_bag(ids, w, **settings, **extra)

    check_same(bag, rng.integers(0, 6, (4, 5)), w)
    for offsets in ([0], [0, 2, 2, 5], [0, 0, 9]):
        for last in (False, True):
            at = [*offsets, 9] if last else offsets
            check_same(
                lambda T, ids, w, at=at, last=last: bag(T, ids, w, offsets=T.tensor(at), include_last_offset=last),
                rng.integers(0, 6, 9),
                w,
            )
    if mode == "sum":
        check_same(
            lambda T, ids, w, s: bag(T, ids, w, per_sample_weights=s), rng.integers(0, 6, (3, 5)), w, rng.random((3, 5))
        )


def test_frequency_divides_each_row_by_its_own_count() -> None:
    """torch's embedding_bag divides by the count of another row (2.13); its embedding does not."""
    w = pydl.ones(4, 1).requires_grad_()
    F.embedding_bag(pydl.tensor([[0, 0, 1, 1, 1, 2]]), w, mode="sum", scale_grad_by_freq=True).sum().backward()
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.numpy()[:, 0], [1, 1, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_numbers_out_of_range(value: int, kind: Any) -> None:
    """Named, with their place, in every way that reads or writes a table; nothing is written."""
    if not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
        return
    ids = pydl.from_numpy(np.array([[0, 1, 2], [3, value, 4]], kind))
    w = pydl.ones(7, 3).requires_grad_()
    before = w.detach().numpy().copy()
    with pytest.raises(
        IndexError, match=rf"embedding: index {value} at position \(1, 1\) is out of range: the table has 7"
    ):
        F.embedding(ids, w)
    with pytest.raises(IndexError, match=f"{value}.*size 7"):
        F.embedding(ids, w, max_norm=0.1)
    with pytest.raises(IndexError, match=rf"embedding_backward: index {value} at position \(1, 1\)"):
        pydl.ops.embedding_backward(pydl.ones(2, 3, 3), ids, 7)
    for mode in ("sum", "mean", "max"):
        with pytest.raises(IndexError, match=f"{value}"):
            F.embedding_bag(ids, w, mode=mode)
    assert w.detach().numpy().tobytes() == before.tobytes() and w._version == 0


def test_the_last_offset_is_an_end() -> None:
    """Numbers behind it belong to no bag."""
    w = pydl.tensor([[1.0], [2.0], [4.0]])
    y = F.embedding_bag(pydl.tensor([0, 1, 2]), w, pydl.tensor([0, 1, 2]), mode="sum", include_last_offset=True)
    assert y.tolist() == [[1.0], [2.0]]


def test_numbers_changed_before_backward_are_found() -> None:
    ids, w = pydl.tensor([0, 1, 2]), pydl.ones(3, 2).requires_grad_()
    y = F.embedding(ids, w)
    ids[0] = 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_numbers_changed_behind_the_librarys_back_are_checked_again() -> None:
    array = np.array([0, 1, 2])
    w = pydl.ones(3, 2).requires_grad_()
    y = F.embedding(pydl.from_numpy(array), w)
    array[1] = INT64.min
    with pytest.raises(IndexError, match=str(INT64.min)):
        y.sum().backward()


@pytest.mark.parametrize("by_frequency", [False, True])
def test_the_padding_row_has_a_gradient_of_exactly_zero(by_frequency: bool) -> None:
    w = pydl.from_numpy(np.random.default_rng(2).standard_normal((5, 3))).requires_grad_()
    y = F.embedding(pydl.tensor([2, 2, 4, 0, 2]), w, 2, scale_grad_by_freq=by_frequency)
    y.backward(pydl.full((5, 3), float("nan"), dtype=pydl.float64))
    assert w.grad is not None
    g = w.grad.numpy()
    assert (g[2] == 0).all() and not np.signbit(g[2]).any()
    assert np.isnan(g[[0, 4]]).all() and (g[[1, 3]] == 0).all()


def test_threads_give_the_same_bits(threads: None) -> None:
    """Also where one row gathers most of the gradients."""
    rng = np.random.default_rng(3)
    ids = (rng.random((64, 100)) ** 6 * 900).astype(np.int64)
    assert (ids == 0).sum() > 1500
    dy = rng.standard_normal((64, 100, 130)).astype(np.float32)
    table = rng.standard_normal((900, 130)).astype(np.float32)
    digests = set()
    for n in (1, 2, 3, 4, 7, 8):
        pydl.set_num_threads(n)
        for _ in range(3):
            w = pydl.from_numpy(table.copy()).requires_grad_()
            y = F.embedding(pydl.from_numpy(ids), w)
            y.backward(pydl.from_numpy(dy))
            z = F.embedding_bag(pydl.from_numpy(ids), w)
            assert w.grad is not None
            results = (y.detach().numpy(), w.grad.numpy(), z.detach().numpy())
            digests.add(hashlib.sha256(b"".join(a.tobytes() for a in results)).hexdigest())
    assert len(digests) == 1


@pytest.mark.parity
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
def test_max_norm_shrinks_the_rows_used(norm_type: float) -> None:
    import torch

    table, ids = np.random.default_rng(4).standard_normal((6, 5)), np.array([0, 2, 2, 5])
    results = []
    for T in (pydl, torch):
        w = T.from_numpy(table.copy()).requires_grad_()
        y = T.nn.functional.embedding(T.from_numpy(ids), w, max_norm=0.9, norm_type=norm_type)
        y.sum().backward()
        results.append((w.detach().numpy(), y.detach().numpy(), w.grad.numpy()))
        assert w._version == 1
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert (results[0][0][[1, 3, 4]] == table[[1, 3, 4]]).all()


def test_sparse_gradients_are_refused_in_words() -> None:
    with pytest.raises(NotImplementedError, match=r"sparse=True.*dense"):
        nn.Embedding(3, 2, sparse=True)(pydl.tensor([0]))
    with pytest.raises(NotImplementedError, match=r"sparse=True.*dense"):
        nn.EmbeddingBag(3, 2, sparse=True)(pydl.tensor([[0]]))


@pytest.mark.parametrize("cls", [nn.Embedding, nn.EmbeddingBag])
def test_weights_start_normal_with_a_row_of_zeros(cls: Any) -> None:
    pydl.manual_seed(0)
    m = cls(2000, 50, padding_idx=-3)
    w = m.weight.detach().numpy()
    assert m.padding_idx == 1997 and (w[1997] == 0).all()
    rest = np.delete(w, 1997, 0)
    assert abs(rest.mean()) < 4 / np.sqrt(rest.size) and abs(rest.std() - 1) < 4 / np.sqrt(rest.size)
    assert list(m.state_dict()) == ["weight"]
    m.reset_parameters()
    assert (m.weight[1997] == 0).all()


@pytest.mark.parametrize("cls", [nn.Embedding, nn.EmbeddingBag])
def test_from_pretrained(cls: Any) -> None:
    table = pydl.arange(12.0).reshape(4, 3)
    m = cls.from_pretrained(table, padding_idx=1)
    assert not m.weight.requires_grad and m.weight.data_ptr() == table.data_ptr()
    assert m.weight[1].tolist() == [3, 4, 5]  # given rows stay as they are
    assert cls.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="2-dimensional"):
        cls.from_pretrained(pydl.ones(3))


@pytest.mark.parity
def test_texts_and_errors_are_pytorchs() -> None:
    import torch

    def texts(T: Any) -> list[str]:
        nn = T.nn
        more = {"max_norm": 1.0, "norm_type": 3.0}
        return [
            repr(m)
            for m in (
                nn.Embedding(4, 3), nn.Embedding(4, 3, padding_idx=-1, scale_grad_by_freq=True, **more),
                nn.Embedding(4, 3, sparse=True), nn.EmbeddingBag(4, 3),
                nn.EmbeddingBag(4, 3, mode="sum", padding_idx=2, **more),
            )
        ]  # fmt: skip

    assert texts(pydl) == texts(torch)
    for arguments in ({"padding_idx": 4}, {"padding_idx": -5}, {"_weight": 2}):
        for T in (pydl, torch):
            given = {k: T.zeros(v, v) if k == "_weight" else v for k, v in arguments.items()}
            with pytest.raises(AssertionError):
                T.nn.Embedding(4, 3, **given)


def test_a_model_learns_through_a_table() -> None:
    """Words as vectors, their mean, a line: the two classes are told by one word each."""
    rng = np.random.default_rng(5)
    ids = rng.integers(3, 40, (256, 12))
    labels = rng.integers(0, 2, 256)
    ids[np.arange(256), rng.integers(0, 12, 256)] = labels + 1
    pydl.manual_seed(1)
    model = nn.Sequential(nn.EmbeddingBag(40, 16), nn.Linear(16, 2))
    optimizer = pydl.optim.SGD(model.parameters(), lr=2.0, momentum=0.9)
    x, y = pydl.from_numpy(ids), pydl.from_numpy(labels)
    for _ in range(150):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    assert (model(x).argmax(1) == y).sum().item() == 256
