# SPDX-License-Identifier: BSD-3-Clause
"""Tensors: how they are made, converted, copied and shared, and Python's protocols."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import pydl
from tests.test_parity import compare

# Evaluated with T = pydl and T = torch: same values, types, shapes, or type of error.
LINES = """
T.tensor(1)
T.tensor(1.5)
T.tensor(True)
T.tensor([])
T.tensor([[]])
T.tensor([1, 2.5])
T.tensor([True, 2])
T.tensor([[1, 2], [3, 4]], dtype=T.float64)
T.tensor([1.7, -1.7], dtype=T.int64)
T.tensor([0.0, 2.0], dtype=T.bool)
T.tensor(np.arange(3))
T.tensor(np.array([1.5]))
T.tensor(np.float32(2))
T.tensor([np.float32(2), np.float32(3)])
T.tensor([np.float64(2), np.float64(3)])
T.tensor([T.tensor(1.5), T.tensor(2.0)])
T.tensor([T.tensor(1, dtype=T.int32)])
T.tensor([[1, 2], [3]])
T.tensor("a")
T.tensor(["a"])
T.tensor(None)
T.tensor([None])
T.tensor([2**63])
T.tensor([2**62])
T.tensor([1], requires_grad=True)
T.tensor([1.0], requires_grad=True)
T.tensor(range(3))
T.tensor((1, 2))
T.tensor([(1, 2), (3, 4)])
T.Tensor([1, 2])
T.Tensor([[True]])
T.Tensor(2, 3).shape
T.Tensor(3).shape
T.Tensor().shape
T.Tensor(T.Size([2, 1])).shape
T.Tensor((2.0, 3.0))
T.Tensor(T.ones(2))
T.as_tensor([1, 2])
T.as_tensor(np.arange(3.0))
T.as_tensor(T.ones(2), dtype=T.int64)
T.from_numpy(np.arange(3, dtype=np.int8))
T.from_numpy([1])
T.from_numpy(np.array(["a"]))
T.asarray([1, 2])
T.asarray(np.ones(2), copy=True)
T.asarray([1], copy=False)
T.frombuffer(bytearray(8), dtype=T.int32)
T.scalar_tensor(3)
T.zeros(2, 3)
T.zeros((2, 3), dtype=T.int32)
T.zeros([])
T.zeros(0, 2)
T.zeros(-1)
T.zeros(2.0)
T.zeros("a")
T.ones(2, requires_grad=True)
T.ones(2, dtype=T.int64, requires_grad=True)
T.empty(2, 3).shape
T.full((2,), 3)
T.full((2,), 3.5)
T.full((), True)
T.full((2,), 3, dtype=T.float64)
T.full((2,), T.tensor(4.0))
T.zeros_like(T.ones(2, 3, dtype=T.int8))
T.ones_like(T.zeros(2), dtype=T.int64)
T.full_like(T.zeros(2), 7)
T.empty_like(T.zeros(2, 3)).shape
T.zeros_like([1])
T.arange(5)
T.arange(1, 5)
T.arange(5, 1, -2)
T.arange(0, 1, 0.25)
T.arange(1.0)
T.arange(0)
T.arange(5, dtype=T.float64)
T.arange(1, 5, 0)
T.arange(1, 5, -1)
T.arange(0, float("inf"))
T.arange(0.0, 1.0, 0.1)
T.arange(T.tensor(3))
T.linspace(0, 1, 5)
T.linspace(3, -3, 7)
T.linspace(0, 1, 1)
T.linspace(0, 1, 0)
T.linspace(0, 1, -1)
T.linspace(0, 10, 5, dtype=T.int64)
T.logspace(0, 2, 3)
T.logspace(0, 3, 4, base=2)
T.eye(3)
T.eye(2, 3, dtype=T.int64)
T.eye(-1)
T.ones(2).new_zeros(3)
T.ones(2, dtype=T.int32).new_ones((2, 2))
T.ones(2).new_full((2,), 5)
T.ones(2, dtype=T.float64).new_tensor([1, 2])
T.ones(2).new_empty(3, dtype=T.int8).dtype
T.ones(2, 3).size()
T.ones(2, 3).size(-1)
T.ones(2, 3).size(2)
T.ones(2, 3).t().stride()
T.ones(2, 3).stride(0)
T.ones(2, 3).numel()
T.ones(2, 3).dim()
T.ones(2, 3, dtype=T.float64).element_size()
T.ones(2, 3).T
T.arange(6.0).reshape(1, 2, 3).mT
T.ones(2).mT
T.tensor([1.5]).item()
T.tensor([[3]]).item()
T.tensor([1, 2]).item()
T.tensor([[1, 2], [3, 4]]).tolist()
T.tensor(5).tolist()
len(T.ones(3, 2))
len(T.tensor(1))
[int(v) for v in T.tensor([1, 2])]
list(T.tensor(1))
bool(T.tensor([0.0]))
bool(T.tensor([1, 2]))
bool(T.tensor([]))
int(T.tensor(2.7))
float(T.tensor([[3]]))
float(T.tensor([1, 2]))
[0, 1, 2][T.tensor(1)]
[0, 1, 2][T.tensor(1.0)]
2 in T.tensor([1, 2])
5.0 in T.tensor([1, 2])
"a" in T.tensor([1, 2])
T.tensor([1.7]).to(T.int64)
T.tensor([1.7]).long()
T.tensor([1]).float()
T.tensor([1]).double()
T.tensor([300]).byte()
T.tensor([2]).bool()
T.tensor([1.5]).to("cpu")
T.tensor([1.5]).to("cpu", T.float64)
T.tensor([1.5]).to(T.ones(1, dtype=T.int32))
T.tensor([1.5]).to(device="cpu", dtype=T.int8, non_blocking=True, copy=True)
T.tensor([1]).type_as(T.ones(1))
T.tensor([1.5]).type(T.int64)
T.ones(1).is_floating_point()
T.tensor([True]).is_signed()
T.ones(2).numpy().tolist()
T.ones(2, requires_grad=True).numpy()
np.asarray(T.ones(2, requires_grad=True))
T.ones(2, requires_grad=True).numpy(force=True).tolist()
T.ones(2).requires_grad_().requires_grad
T.tensor([1]).requires_grad_()
T.tensor([7, -7]) // 2
7 // T.tensor([2, -2])
T.tensor([7, -7]) % 3
-7 % T.tensor([3])
T.tensor([7.5]) % 2
T.tensor([6, 5]) & 4
T.tensor([True, False]) | T.tensor([False, False])
T.tensor([6]) ^ T.tensor([3])
~T.tensor([True, False])
~T.tensor([1.0])
T.tensor([1.0]) & 1
T.tensor([1, 2]).fill_(3)
T.zeros(2).fill_(T.tensor(4.0))
T.zeros(2).fill_(T.ones(2))
T.ones(2, 2).fill_diagonal_(5)
T.ones(2).zero_()
T.tensor([4.0]).rsqrt_()
T.tensor([1.5, -1.5]).floor_()
T.tensor([-1.0, 2.0]).clamp_(0, 1)
T.tensor([1.0, 2.0]).lerp_(T.tensor([3.0, 4.0]), 0.5)
T.tensor([1, 2]).sin_()
T.tensor([1.0]).addcmul_(T.tensor([2.0]), T.tensor([3.0]))
T.tensor([7, 8]).remainder_(3)
T.ones(2).expand_as(T.ones(3, 2))
T.arange(4).view_as(T.ones(2, 2))
T.ones(2, 3).ravel().shape
T.is_tensor(T.ones(1))
T.is_tensor([1])
""".strip().splitlines()


@pytest.mark.parity
@pytest.mark.parametrize("line", LINES)
def test_lines_are_torchs(line: str) -> None:
    compare(line)


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
