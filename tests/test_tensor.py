# SPDX-License-Identifier: BSD-3-Clause
"""Tensors: how they are made, converted, copied and shared, and Python's protocols."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import pydl
from tests.line_parity import same_values
from tests.lines_tensor import LINES


@pytest.mark.parity
@pytest.mark.parametrize("line", LINES)
def test_lines_are_torchs(line: str) -> None:
    same_values(line)


# --- memory -------------------------------------------------------------------------------------------------------


def test_tensor_copies_and_the_others_share() -> None:
    a = np.arange(3.0)
    copied, shared = pydl.tensor(a), [pydl.from_numpy(a), pydl.as_tensor(a), pydl.asarray(a), pydl.from_dlpack(a)]
    a[0] = 9
    assert copied[0] == 0 and all(t[0] == 9 for t in shared)
    shared[0][1] = 7
    assert a[1] == 7 and shared[0].numpy().base is not None and np.shares_memory(shared[0].numpy(), a)
    t = pydl.ones(3)
    assert pydl.as_tensor(t) is t and pydl.asarray(t) is t and np.shares_memory(np.asarray(t), t.numpy())


@pytest.mark.parametrize(
    "array",
    [np.arange(12.0).reshape(3, 4).T, np.arange(6)[::-1], np.arange(24.0).reshape(2, 3, 4)[:, ::-2, ::3],
     np.broadcast_to(np.arange(3), (2, 3)), np.zeros((0, 3)), np.float32(3)[...]],
)  # fmt: skip
def test_any_strides_are_taken_without_a_copy(array: np.ndarray) -> None:
    t = pydl.from_numpy(array)
    assert t.tolist() == array.tolist() and (np.shares_memory(t.numpy(), array) or not array.size)
    assert t.stride() == tuple(s // array.itemsize for s in array.strides)
    assert (t + 1).tolist() == (array + 1).tolist()


def test_swapped_bytes_and_odd_addresses_are_copied() -> None:
    swapped = np.arange(3).astype(">i4")
    odd = np.frombuffer(b"x" + np.arange(3.0).tobytes(), np.uint8)[1:].view(np.float64)
    assert pydl.from_numpy(swapped).tolist() == [0, 1, 2] and pydl.from_numpy(swapped).dtype is pydl.int32
    assert pydl.from_numpy(odd).tolist() == [0, 1, 2] and pydl.tensor(odd).tolist() == [0, 1, 2]


def test_read_only_memory() -> None:
    a = np.zeros(3)
    a.flags.writeable = False
    t = pydl.from_numpy(a)
    assert (t + 1).tolist() == [1, 1, 1] and not t.numpy().flags.writeable
    for change in (t.zero_, lambda: t.add_(1), lambda: t.floor_(), lambda: t.uniform_()):
        with pytest.raises(RuntimeError, match="read-only"):
            change()
    assert pydl.frombuffer(b"\x01\x00", dtype=pydl.int16).tolist() == [1]


def test_the_array_keeps_the_memory_alive() -> None:
    a = pydl.ones(1000).numpy()
    others = [pydl.full((1000,), 7.0) for _ in range(50)]
    assert (a == 1).all() and others


def test_array_protocol() -> None:
    t = pydl.tensor([1.5, 2.5])
    assert np.asarray(t).dtype == np.float32 and np.asarray(t, np.float64).tolist() == [1.5, 2.5]
    assert not np.shares_memory(np.array(t), t.numpy()) and np.shares_memory(np.array(t, copy=False), t.numpy())
    with pytest.raises(ValueError):
        np.array(t, dtype=np.int64, copy=False)
    assert np.sin(t.double()).dtype is pydl.float64 and np.stack([t, t]).shape == (2, 2)


def test_arrays_are_operands() -> None:
    t, a = pydl.tensor([1.5, 2.5], requires_grad=True), np.array([2.0, 3.0])
    for y in (t * a, a * t):
        assert y.dtype is pydl.float64 and y.tolist() == [3.0, 7.5] and y.requires_grad
    assert (t == a).tolist() == [False, False] and (a > t).tolist() == [True, True] and (a - t).tolist() == [0.5, 0.5]
    assert (t.detach() @ a.astype(np.float32)).item() == 10.5
    odd = np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(np.float64)
    assert (t + odd).tolist() == [3.5, 5.5] and (t + a.astype(">f8")).tolist() == [3.5, 5.5]
    with pytest.raises(NotImplementedError):
        t + np.ones(2, np.complex64)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_dlpack_both_ways(dtype: str) -> None:
    a = np.arange(6).reshape(2, 3).astype(dtype)
    t = pydl.from_dlpack(a)
    back = np.from_dlpack(t)
    assert t.dtype is getattr(pydl, dtype) and np.shares_memory(back, a) and back.tolist() == a.tolist()
    assert np.from_dlpack(t.t()).tolist() == a.T.tolist() and t.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError):
        np.from_dlpack(pydl.ones(2, requires_grad=True))


@pytest.mark.parity
def test_dlpack_with_torch() -> None:
    import torch

    t = pydl.arange(4.0)
    theirs = torch.from_dlpack(t)
    theirs[0] = 9
    assert t[0] == 9 and pydl.from_dlpack(theirs).tolist() == theirs.tolist()


# --- copies -------------------------------------------------------------------------------------------------------


def test_deepcopy_of_leaves() -> None:
    x = pydl.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    x.note = ["kept"]
    y = copy.deepcopy(x)
    assert y.requires_grad and y.tolist() == [1, 1] and y.grad.tolist() == [3, 3] and y.note == x.note
    assert y.data_ptr() != x.data_ptr() and y.note is not x.note and y.grad is not x.grad
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    leaf = pydl.tensor(1.5, requires_grad=True)
    for t in (pydl.arange(6).reshape(2, 3).t(), leaf, pydl.zeros(0, 2), pydl.tensor([True])):
        back = pickle.loads(pickle.dumps(t, protocol))
        assert type(back) is pydl.Tensor and pydl.equal(back, t) and back.requires_grad == t.requires_grad
        assert back.dtype is t.dtype and back.shape == t.shape


def test_data() -> None:
    x = pydl.ones(2, requires_grad=True)
    x.data.fill_(5)
    assert x.tolist() == [5, 5] and not x.data.requires_grad and x.data.data_ptr() == x.data_ptr()
    x.data = pydl.zeros(3)
    assert x.shape == (3,) and x.requires_grad and x.is_leaf
    with pytest.raises(TypeError):
        x.data = [1.0]
    with pytest.raises(RuntimeError, match="floating point"):
        x.data = pydl.tensor([1])


# --- the rest -----------------------------------------------------------------------------------------------------


def test_in_place_forms_work_on_the_same_memory_and_are_recorded() -> None:
    x = pydl.tensor([0.5, 1.5], dtype=pydl.float64, requires_grad=True)
    names = "sin cos tan exp2 expm1 log1p log2 log10 rsqrt sinh cosh frac floor".split()
    for name in names:
        y = x * 1
        before = y.data_ptr()
        assert getattr(y, name + "_")() is y and y.data_ptr() == before
        want = getattr(x, name)()
        got, expected = (pydl.autograd.grad(v.sum(), x)[0] for v in (y, want))
        assert pydl.equal(y, want) and pydl.equal(got, expected), name
        view = (x * 1).reshape(1, 2)
        getattr(view[0], name + "_")()
        assert pydl.equal(pydl.autograd.grad(view.sum(), x)[0], expected), name
    with pytest.raises(RuntimeError, match="leaf"):
        x.sin_()
    with pytest.raises(RuntimeError, match="can't be cast"):
        pydl.tensor([1]).sin_()


def test_operators_in_place() -> None:
    x = pydl.tensor([7, 8])
    same = x
    x //= 2
    x %= 3
    x |= 4
    x &= 6
    x ^= 1
    assert x is same and x.tolist() == [(((7 // 2 % 3) | 4) & 6) ^ 1, (((8 // 2 % 3) | 4) & 6) ^ 1]


def test_division_of_integers_by_zero_raises() -> None:
    for call in (operator.floordiv, operator.mod, pydl.fmod, pydl.remainder, pydl.floor_divide):
        with pytest.raises(ZeroDivisionError):
            call(pydl.tensor([1, 2]), pydl.tensor([1, 0]))
    assert str((pydl.tensor([1.0]) // 0).item()) == "inf" and pydl.isnan(pydl.tensor([1.0]) % 0).item()


def test_only_the_cpu() -> None:
    x = pydl.ones(1)
    assert x.cpu() is x and x.to("cpu") is x and x.pin_memory() is x
    assert x.device == pydl.device("cpu") and not x.is_cuda
    for call in (x.cuda, lambda: x.to("cuda"), lambda: x.to(device="cuda:0"), lambda: pydl.ones(1, device="cuda")):
        with pytest.raises(RuntimeError, match="pydl is CPU only"):
            call()
    for call in (x.half, x.bfloat16):
        with pytest.raises(NotImplementedError):
            call()


def test_memory_formats() -> None:
    x = pydl.arange(24.0).reshape(1, 2, 3, 4)
    y = x.contiguous(memory_format=pydl.channels_last)
    assert pydl.equal(x, y) and y.stride() == (24, 1, 8, 2) and y.is_contiguous(memory_format=pydl.channels_last)
    assert not y.is_contiguous() and y.contiguous().stride() == x.stride()
    assert x.to(memory_format=pydl.channels_last).stride() == y.stride()
    assert x.to(memory_format=pydl.preserve_format) is x
    assert pydl.empty_like(y).stride() == y.stride()
    assert pydl.zeros_like(y, memory_format=pydl.contiguous_format).is_contiguous()
    assert pydl.empty(1, 2, 3, 4, memory_format=pydl.channels_last).stride() == y.stride()
    with pytest.raises(RuntimeError, match="rank 4"):
        pydl.ones(2).contiguous(memory_format=pydl.channels_last)
    with pytest.raises(NotImplementedError):
        x.contiguous(memory_format=pydl.channels_last_3d)
    with pytest.raises(TypeError):
        x.contiguous(memory_format="channels_last")


def test_diagonal_is_a_view() -> None:
    x = pydl.zeros(3, 3)
    x.diagonal().fill_(1)
    x.diagonal(1)[0] = 5
    assert x.tolist() == [[1, 5, 0], [0, 1, 0], [0, 0, 1]]
    w = pydl.ones(2, 2, requires_grad=True)
    y = w * 2
    y.diagonal().mul_(3)
    y.sum().backward()
    assert w.grad.tolist() == [[6, 2], [2, 6]]


def test_wrong_arguments_of_to() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        pydl.ones(1).to(speed=1)
    with pytest.raises(TypeError):
        pydl.ones(1).to(pydl.ones)
    with pytest.raises(ValueError, match="invalid type"):
        pydl.ones(1).type("pydl.NoTensor")
    assert pydl.ones(1).type("torch.DoubleTensor").type() == "pydl.DoubleTensor"


def test_results_have_names() -> None:
    x = pydl.tensor([[3.0, 1.0], [2.0, 4.0]])
    top = x.max(1)
    assert top.values.tolist() == [3, 4] and top.indices.tolist() == [0, 1] and tuple(top) == (top[0], top[1])
    assert repr(top) == "pydl.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([0, 1]))"
    values, indices = x.sort(descending=True)
    assert values.tolist() == [[3, 1], [4, 2]] and indices.tolist() == [[0, 1], [1, 0]]
