# SPDX-License-Identifier: BSD-3-Clause
"""Sequences of unequal length: packing and padding as PyTorch does, and layers that never touch the padding."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pydl
from pydl import nn
from pydl.nn.utils import rnn

Array = np.ndarray[Any, Any]
KINDS = ("RNN", "LSTM", "GRU")
T, B, I, H = 6, 5, 3, 4
LENGTHS = [3, 6, 1, 4, 4]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="compares with PyTorch")


# --- packing and padding ---------------------------------------------------------------------------------------------


def fields(packed: Any) -> list[Any]:
    return [None if t is None else (t.detach().numpy().tolist(), t.detach().numpy().dtype) for t in packed]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("rest", [(), (3,), (2, 3), (0,)], ids=str)
def test_pack_and_pad_as_pytorch(torch: Any, rest: tuple[int, ...], dtype: str) -> None:
    x = (np.random.default_rng(0).standard_normal((T, B, *rest)) * 5).astype(dtype)
    if x.size == 0:
        for lib in (pydl, torch):
            with pytest.raises(RuntimeError, match=r"(?i)cannot pack"):
                lib.nn.utils.rnn.pack_padded_sequence(lib.from_numpy(x), LENGTHS, enforce_sorted=False)
        return
    for batch_first, ordered in itertools.product((False, True), repeat=2):
        lengths = sorted(LENGTHS, reverse=True) if ordered else LENGTHS
        found = []
        for lib in (pydl, torch):
            r = lib.nn.utils.rnn
            t = lib.from_numpy(x)
            packed = r.pack_padded_sequence(
                t.transpose(0, 1) if batch_first else t, lib.tensor(lengths), batch_first, ordered
            )
            padded = r.pad_packed_sequence(packed, batch_first, padding_value=1, total_length=T + 2)
            found.append([fields(packed), fields(padded), fields(r.pad_packed_sequence(packed)), len(packed)])
        assert found[0] == found[1]


@pytest.mark.parity
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_lists_of_sequences_as_pytorch(torch: Any, dtype: str) -> None:
    rng = np.random.default_rng(0)
    for rest in ((), (3,), (2, 3)):
        arrays = [(rng.standard_normal((n, *rest)) * 5).astype(dtype) for n in LENGTHS]
        found = []
        for lib in (pydl, torch):
            r, sequences = lib.nn.utils.rnn, [lib.from_numpy(a) for a in arrays]
            packed = r.pack_sequence(sequences, enforce_sorted=False)
            padded = [
                r.pad_sequence(sequences, first, value, side)
                for first in (False, True) for value in (0, 1) for side in ("left", "right")
            ]  # fmt: skip
            cut = r.unpad_sequence(r.pad_sequence(sequences, True), lib.tensor(LENGTHS), batch_first=True)
            found.append([fields(packed), fields(r.unpack_sequence(packed)), fields(padded), fields(cut)])
        assert found[0] == found[1]
        assert [a.tolist() for a in arrays] == [values for values, _ in found[0][1]]


@pytest.mark.parity
def test_gradients_of_packing_as_pytorch(torch: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, B, 3))
    arrays = [rng.standard_normal((n, 2)) for n in LENGTHS]
    found = []
    for lib in (pydl, torch):
        r = lib.nn.utils.rnn
        t = lib.tensor(x, requires_grad=True)
        padded, _ = r.pad_packed_sequence(r.pack_padded_sequence(t, LENGTHS, enforce_sorted=False), padding_value=2.0)
        sequences = [lib.tensor(a, requires_grad=True) for a in arrays]
        again = r.unpack_sequence(r.pack_sequence(sequences, enforce_sorted=False))
        left = r.pad_sequence(sequences, padding_side="left", padding_value=3.0)
        loss = (padded**3).sum() + (left**2).sum() + sum((s**3).sum() for s in again)
        loss.backward()
        found.append([t.grad.numpy(), *(s.grad.numpy() for s in sequences)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-15)
    behind = np.arange(T)[:, None] >= np.array(LENGTHS)
    assert (found[0][0][behind] == 0).all() and (found[0][0][~behind] != 0).all()


def test_second_derivatives_of_packing() -> None:
    x = pydl.tensor(np.random.default_rng(0).standard_normal((3, 2, 2)), requires_grad=True)

    def both(x: Any) -> Any:
        return rnn.pad_packed_sequence(rnn.pack_padded_sequence(x, [3, 1]), padding_value=1.0)[0] ** 3

    assert pydl.autograd.gradcheck(both, (x,))
    assert pydl.autograd.gradgradcheck(both, (x,))


def test_a_packed_sequence_is_a_named_tuple() -> None:
    packed = rnn.pack_sequence([pydl.ones(2), pydl.ones(3)], enforce_sorted=False)
    data, sizes, order, inverse = packed
    assert data is packed.data and sizes is packed.batch_sizes
    assert order is packed.sorted_indices and inverse is packed.unsorted_indices
    assert packed.double().data.dtype == pydl.float64 and packed.to(pydl.int64).data.dtype == pydl.int64
    assert packed.float() is packed and packed.cpu() is packed and packed.to(pydl.float32) is packed
    assert [getattr(packed, n)().data.dtype for n in ("long", "int", "short", "char", "byte")] == [
        pydl.int64, pydl.int32, pydl.int16, pydl.int8, pydl.uint8,
    ]  # fmt: skip
    assert not packed.is_cuda and not packed.is_pinned()
    assert isinstance(packed._replace(data=data * 2), rnn.PackedSequence)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert isinstance(other, rnn.PackedSequence) and repr(other) == repr(packed)
    assert repr(rnn.PackedSequence((data, sizes), sorted_indices=order)) == repr(packed)
    assert rnn.invert_permutation(None) is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(0, 3), st.booleans(), st.booleans())
def test_what_is_packed_comes_back(lengths: list[int], extra: int, batch_first: bool, integers: bool) -> None:
    """Any lengths: unpacking, padding and the counts of the rows agree with the sequences."""
    arrays = [drawn(i, n, 2) * 9 for i, n in enumerate(lengths)]
    sequences = [pydl.tensor(a.astype(np.int64) if integers else a) for a in arrays]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert len(packed.data) == sum(lengths) == packed.batch_sizes.sum().item()
    assert [s.tolist() for s in rnn.unpack_sequence(packed)] == [s.tolist() for s in sequences]
    padded, found = rnn.pad_packed_sequence(packed, batch_first, total_length=max(lengths) + extra)
    assert found.tolist() == lengths
    again = rnn.pack_padded_sequence(padded, found, batch_first, enforce_sorted=False)
    assert all(a.tolist() == b.tolist() for a, b in zip(packed, again, strict=True))
    assert (padded != 0).sum().item() == sum((s != 0).sum().item() for s in sequences)


def test_packing_copies() -> None:
    """A full batch too: what is packed is the user's to change."""
    x = pydl.zeros(2, 2, 1)
    rnn.pack_padded_sequence(x, [2, 2]).data.fill_(1.0)
    rnn.unpad_sequence(x, [2, 2])[0].fill_(1.0)
    assert x.sum().item() == 0


# --- layers ----------------------------------------------------------------------------------------------------------


def make(kind: str, **options: Any) -> Any:
    pydl.manual_seed(0)
    return getattr(nn, kind)(I, H, **options).double()


def tensors(value: Any) -> list[Any]:
    return [t for v in value for t in tensors(v)] if isinstance(value, tuple) else [value]


def drawn(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def results(layer: Any, x: Any, hx: Any, **options: Any) -> list[Array]:
    """Output, states, and the gradients of a random sum of them in x and the weights."""
    t = pydl.tensor(x, requires_grad=True)
    found = tensors(layer(t, hx, **options))
    loss = sum((f * pydl.tensor(drawn(9, *f.shape))).sum() for f in found)
    for parameter in layer.parameters():
        parameter.grad = None
    loss.backward()
    return [v.detach().numpy().copy() for v in (*found, t.grad, *(p.grad for p in layer.parameters()))]


OPTIONS = [
    {"num_layers": n, "bidirectional": d, "batch_first": f}
    for n, d, f in itertools.product((1, 2), (False, True), (False, True))
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(str(v) for v in o.values()))
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_give_what_each_sequence_alone_gives(kind: str, options: dict[str, Any]) -> None:
    """Within 8 roundings: a product of more rows may add in another order."""
    layer = make(kind, **options)
    n_states = options["num_layers"] * (1 + options["bidirectional"])
    x, h = drawn(1, T, B, I), [drawn(2 + i, n_states, B, H) for i in range(2 if kind == "LSTM" else 1)]
    hx = tuple(pydl.tensor(a) for a in h) if kind == "LSTM" else pydl.tensor(h[0])
    batch = np.ascontiguousarray(x.swapaxes(0, 1)) if options["batch_first"] else x
    output, states = layer(pydl.tensor(batch), hx, lengths=LENGTHS)
    y = output.detach().numpy()
    y = y.swapaxes(0, 1) if options["batch_first"] else y
    assert y.shape == (T, B, H * (1 + options["bidirectional"]))
    for b, n in enumerate(LENGTHS):
        alone = tuple(pydl.tensor(a[:, b]) for a in h) if kind == "LSTM" else pydl.tensor(h[0][:, b])
        one, last = layer(pydl.tensor(x[:n, b]), alone)
        np.testing.assert_allclose(y[:n, b], one.detach().numpy(), rtol=0, atol=8 * 2.3e-16)
        assert (y[n:, b] == 0).all()
        for s, t in zip(tensors(states), tensors(last), strict=True):
            np.testing.assert_allclose(s[:, b].detach().numpy(), t.detach().numpy(), rtol=0, atol=8 * 2.3e-16)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(str(v) for v in o.values()))
@pytest.mark.parametrize("kind", KINDS)
def test_lengths_and_packing_give_the_same_bits(kind: str, options: dict[str, Any]) -> None:
    layer = make(kind, **options)
    first = options["batch_first"]
    x = drawn(1, B, T, I) if first else drawn(1, T, B, I)
    with_lengths = results(layer, x, None, lengths=pydl.tensor(LENGTHS))

    def through_packing(t: Any, hx: Any) -> Any:
        y, h = layer(rnn.pack_padded_sequence(t, LENGTHS, first, enforce_sorted=False), hx)
        return rnn.pad_packed_sequence(y, first)[0], h

    through_packing.parameters = layer.parameters  # type: ignore[attr-defined]
    for a, b in zip(with_lengths, results(through_packing, x, None), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_padding_is_neither_read_nor_given_a_gradient(kind: str, batch_first: bool) -> None:
    """Anything may stand there: the same bits come out; output and gradient there are exactly 0."""
    layer = make(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    behind = np.arange(T)[:, None] >= np.array(LENGTHS)
    x = drawn(1, T, B, I)
    runs = []
    for filling in (0.0, np.nan, np.inf):
        x[behind] = filling
        batch = x.swapaxes(0, 1) if batch_first else x
        runs.append(results(layer, np.ascontiguousarray(batch), None, lengths=LENGTHS))
    assert all(a.tobytes() == b.tobytes() for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
    i_dx = 3 if kind == "LSTM" else 2
    for a in (runs[0][0], runs[0][i_dx]):
        a = a.swapaxes(0, 1) if batch_first else a
        assert (a[behind] == 0).all() and (a[~behind] != 0).any(-1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_in_any_form_and_order(kind: str) -> None:
    layer, x = make(kind, num_layers=2), drawn(1, T, B, I)
    expected = results(layer, x, None, lengths=LENGTHS)
    forms = [
        tuple(LENGTHS),
        np.array(LENGTHS),
        pydl.tensor(LENGTHS),
        pydl.tensor(LENGTHS, dtype=pydl.int32),
        iter(LENGTHS),
    ]
    for lengths in forms:
        for a, b in zip(expected, results(layer, x, None, lengths=lengths), strict=True):
            assert a.tobytes() == b.tobytes()
    order, n = np.array([4, 2, 0, 3, 1]), 3 if kind == "LSTM" else 2  # output and states
    moved = results(layer, x[:, order], None, lengths=[LENGTHS[i] for i in order])
    for a, b in zip(expected[:n], moved[:n], strict=True):
        np.testing.assert_allclose(a[:, order], b, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_full_lengths_are_a_plain_batch(kind: str) -> None:
    layer, x = make(kind, bidirectional=True), drawn(1, T, B, I)
    for a, b in zip(results(layer, x, None), results(layer, x, None, lengths=[T] * B), strict=True):
        assert a.tobytes() == b.tobytes()


def test_lengths_shorter_than_the_batch_keep_its_number_of_steps() -> None:
    layer = make("GRU")
    output, h = layer(pydl.tensor(drawn(1, T, 2, I)), lengths=[2, 3])
    assert output.shape == (T, 2, H) and (output[3:] == 0).all()
    assert (output[1, 0] == h[0, 0]).all() and (output[2, 1] == h[0, 1]).all()


def test_lengths_with_dropout_between_the_layers() -> None:
    """Masks are drawn for the real steps alone; the gradient still is that of the output that came."""
    layer = make("LSTM", num_layers=2, dropout=0.5)
    x = pydl.tensor(drawn(1, T, B, I), requires_grad=True)
    v = pydl.tensor(drawn(2, T, B, H))

    def loss(x: Any) -> Any:
        pydl.manual_seed(3)
        return (layer(x, lengths=LENGTHS)[0] * v).sum()

    assert pydl.autograd.gradcheck(loss, (x,))
    layer.eval()
    assert layer(x, lengths=LENGTHS)[0].tolist() == layer(x, lengths=LENGTHS)[0].tolist()


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_gates_in_the_form_of_the_output(kind: str) -> None:
    layer = make(kind, num_layers=2, bidirectional=True)
    x = pydl.tensor(drawn(1, T, B, I))
    *_, ragged = layer(x, lengths=LENGTHS, return_gates=True)
    packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    *_, from_packed = layer(packed, return_gates=True)
    assert list(ragged) == list(from_packed) == ["l0", "l0_reverse", "l1", "l1_reverse"]
    behind = np.arange(T)[:, None] >= np.array(LENGTHS)
    for place, named in ragged.items():
        for gate, value in named.items():
            assert value.shape == (T, B, H) and not value.requires_grad
            assert (value.numpy()[behind] == 0).all() and (value.numpy()[~behind] != 0).all()
            again, _ = rnn.pad_packed_sequence(from_packed[place][gate])
            assert again.tolist() == value.tolist()
