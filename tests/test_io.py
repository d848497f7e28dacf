# SPDX-License-Identifier: BSD-3-Clause
"""Files: the safetensors format against its package, and nested checkpoints."""

from __future__ import annotations

import io
import json
import os
from collections import Counter, OrderedDict, namedtuple

import numpy as np
import pytest

import pydl
from pydl import nn, optim
from pydl.io import safetensors as st

DTYPES = ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]
SHAPES = [(), (0,), (1,), (3,), (2, 0, 3), (2, 3), (2, 1, 3, 4)]


def make(shape, dtype="float32", seed=0):
    """A tensor whose elements all differ as far as the type allows."""
    values = np.random.default_rng(seed).integers(0, 2 if dtype == "bool" else 100, shape)
    return pydl.from_numpy(np.asarray(values).astype(dtype))


def same(a, b):
    """Equal type, shape and bits."""
    x, y = a.detach().numpy(), b.detach().numpy()
    return type(a) is type(b) and a.dtype == b.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


# ------------------------------------------------------------------------------------------------ the plain format


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_round_trip(dtype, shape, tmp_path):
    tensors = {"a": make(shape, dtype), "ü.weight": make((3, 2), dtype, 1)}
    path = tmp_path / "x.safetensors"
    st.save_file(tensors, path)
    for loaded in (st.load_file(path), st.load(st.save(tensors)), st.load(path.read_bytes())):
        assert list(loaded) == list(tensors)
        assert all(same(loaded[name], tensors[name]) for name in tensors)


def test_any_layout_is_written_row_by_row():
    x = make((4, 6))
    layouts = {"t": x.t(), "step": x[:, ::2], "expand": x[:, :1].expand(4, 3), "view": x[1:3, 2:], "column": x[:, 1]}
    loaded = st.load(st.save(layouts))
    for name, tensor in layouts.items():
        np.testing.assert_array_equal(loaded[name].numpy(), tensor.numpy())


def test_special_values_keep_their_bits():
    x = pydl.from_numpy(np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32))
    assert same(st.load(st.save({"x": x}))["x"], x)


def test_loaded_tensors_own_writable_memory(tmp_path):
    path = tmp_path / "x.safetensors"
    st.save_file({"a": make((3,)), "b": make((3,))}, path)
    before = path.read_bytes()
    for loaded in (st.load_file(path), st.load(before)):
        loaded["a"].fill_(7)
        assert not bool((loaded["b"] == 7).any())
    assert path.read_bytes() == before


def test_every_tensor_is_aligned_and_the_order_is_kept():
    tensors = {"flag": make((3,), "bool"), "x": make((5,)), "small": make((1,), "int8"), "y": make((2,), "float64")}
    data = st.save(tensors)
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    assert n % 8 == 0
    assert list(header) == list(tensors) == list(st.load(data))
    for name, info in header.items():
        assert info["data_offsets"][0] % tensors[name].numpy().itemsize == 0


def test_metadata_and_single_tensors(tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {"b": make((5, 3)), "a": make((), "int64"), "e": make((0, 3))}
    st.save_file(tensors, path, metadata={"who": "me ü"})
    with st.safe_open(path, framework="pt", device="cpu") as f:
        assert f.keys() == ["b", "a", "e"] and sorted(f.offset_keys()) == ["a", "b", "e"]
        assert f.metadata() == {"who": "me ü"}
        assert same(f.get_tensor("b"), tensors["b"])
        assert f.get_slice("b").get_shape() == [5, 3] and f.get_slice("b").get_dtype() == "F32"
        with pytest.raises(KeyError, match="no tensor 'nope'"):
            f.get_tensor("nope")
        whole = tensors["b"].numpy()
        indices = [np.s_[1:3], np.s_[::2], np.s_[::-1], np.s_[4:1:-2], np.s_[3:1], np.s_[-2:, 1:], np.s_[2],
                   np.s_[:, 0], np.s_[...], np.s_[1:4, ::-1], np.s_[-1, 2], np.s_[5:], np.s_[-99:99]]  # fmt: skip
        for index in indices:
            np.testing.assert_array_equal(f.get_slice("b")[index].numpy(), whole[index])
        assert f.get_slice("a")[()].item() == tensors["a"].item() and f.get_slice("e")[:].shape == (0, 3)
    st.save_file({}, path)
    with st.safe_open(path) as f:
        assert f.keys() == [] and f.metadata() is None
    with pytest.raises(ValueError, match="framework"):
        st.safe_open(path, framework="np")
    with pytest.raises(RuntimeError, match="CPU only"):
        st.load_file(path, device="cuda")


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({"a": np.ones(2)}, None, TypeError, "'a' is a ndarray"),
        ({3: make((2,))}, None, TypeError, "name must be a str"),
        ({"a": make((2,))}, {"k": 3}, TypeError, "metadata 'k' must be a str"),
        ({"a": make((2,))}, {3: "k"}, TypeError, "key of the metadata must be a str"),
        ({"__metadata__": make((2,))}, None, ValueError, "reserves"),
        ({"\ud800": make((2,))}, None, ValueError, "Unicode"),
        ({"a": make((2,))}, {"k": "x" * 100_000_001}, ValueError, "100000000 allowed"),
    ],
    ids=["array", "int name", "int metadata", "int metadata key", "reserved", "surrogate", "long header"],
)
def test_what_cannot_be_saved_is_refused_before_writing(tensors, metadata, error, message, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        st.save_file(tensors, path, metadata)
    assert os.listdir(tmp_path) == ["x.safetensors"] and path.read_bytes() == b"old"


def test_against_the_safetensors_package(tmp_path):
    package = pytest.importorskip("safetensors.numpy", reason="compares with the safetensors package")
    rng = np.random.default_rng(0)
    for trial in range(50):
        tensors = {
            f"n{i}": make(SHAPES[rng.integers(len(SHAPES))], DTYPES[rng.integers(8)], trial)
            for i in range(rng.integers(0, 6))
        }
        arrays = {name: t.numpy() for name, t in tensors.items()}
        metadata = {"trial": str(trial)} if trial % 2 else None
        ours, theirs = st.save(tensors, metadata), package.save(arrays, metadata)
        for name, a in package.load(ours).items():
            assert a.dtype == arrays[name].dtype and a.shape == arrays[name].shape
            assert a.tobytes() == arrays[name].tobytes()
        loaded = st.load(theirs)
        assert loaded.keys() == tensors.keys() == package.load(ours).keys()
        assert all(same(loaded[name], tensors[name]) for name in tensors)
        path = tmp_path / "theirs.safetensors"
        package.save_file(arrays, path, metadata)
        with st.safe_open(path) as f:
            assert f.metadata() == metadata
            assert all(same(f.get_tensor(name), tensors[name]) for name in f.keys())


# ------------------------------------------------------------------------------------------------ nested checkpoints


def through_file(obj, tmp_path):
    path = tmp_path / "checkpoint.pt"
    pydl.save(obj, path)
    return pydl.load(path)


def equal(a, b):
    """Deep equality of type, order, and bits."""
    if isinstance(a, pydl.Tensor):
        return same(a, b) and a.requires_grad == b.requires_grad
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return [*a] == [*b] and [type(k) for k in a] == [type(k) for k in b] and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return repr(a) == repr(b)  # tells -0.0 from 0.0, and nan is nan


@pytest.mark.parametrize(
    "obj",
    [
        None, True, False, 0, -(2**70), 10**3000, "", "\ud800 ü \0", 0.1, -0.0, 5e-324, float("inf"), -float("inf"),
        float("nan"), [], (), {}, OrderedDict(), [[], ((),), {}], {"b": 1, "a": 2}, {0: "int", "0": "str", -1: None},
        OrderedDict([(2, [1.5, True, 1]), ("x", (None,))]), {"tensor": "a", "dict": [["x", 1]]}, {"float": "nan"},
        Counter([2, 2, 5]), Counter(), {"Counter": [["x", 1]]},
    ],
    ids=lambda obj: ascii(obj)[:30],
)  # fmt: skip
def test_structures(obj, tmp_path):
    assert equal(through_file(obj, tmp_path), obj)
    assert equal(through_file({"nested": [obj, make((2,)), (obj,)]}, tmp_path), {"nested": [obj, make((2,)), (obj,)]})


def test_a_training_checkpoint(tmp_path):
    pydl.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    x, y = pydl.randn(5, 4), pydl.randn(5, 2)

    def step():
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()

    step()
    checkpoint = {"epoch": 3, "model": model.state_dict(), "opt": optimizer.state_dict(), "best": (0.5, None)}
    loaded = through_file(checkpoint, tmp_path)
    assert equal({**loaded, "model": dict(loaded["model"])}, {**checkpoint, "model": dict(checkpoint["model"])})
    step()
    after = [p.detach().numpy().copy() for p in model.parameters()]
    model.load_state_dict(loaded["model"])
    optimizer.load_state_dict(loaded["opt"])
    step()
    for p, expected in zip(model.parameters(), after, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), expected)


def test_a_state_dict_is_an_ordinary_safetensors_file(tmp_path):
    model = nn.Linear(3, 2)
    path = tmp_path / "model.safetensors"
    pydl.save(model.state_dict(), path)
    assert list(st.load_file(path)) == ["weight", "bias"]
    st.save_file(model.state_dict(), path)  # and one without pydl's structure loads as a dict
    loaded = pydl.load(path)
    assert type(loaded) is dict and same(loaded["weight"], model.weight.detach())


def test_shared_tensors_are_saved_once(tmp_path):
    x = make((1000,))
    obj = {"a": x, "b": [x, x.detach(), x.view(10, 100)], "half": x[:500]}
    loaded = through_file(obj, tmp_path)
    assert equal(loaded, obj)
    assert loaded["a"] is loaded["b"][0] is loaded["b"][1]
    with st.safe_open(tmp_path / "checkpoint.pt") as f:
        assert f.keys() == ["a", "b.2", "half"]


def test_parameters_and_required_gradients(tmp_path):
    p = nn.Parameter(make((3,)))
    frozen = nn.Parameter(make((3,), seed=1), requires_grad=False)
    leaf = make((3,), seed=2).requires_grad_()
    obj = {"p": p, "frozen": frozen, "leaf": leaf, "plain": p.detach(), "computed": leaf * 2}
    loaded = through_file(obj, tmp_path)
    assert [type(loaded[k]) for k in obj] == [type(obj[k]) for k in obj]
    assert [loaded[k].requires_grad for k in obj] == [True, False, True, False, True]
    assert all(t.is_leaf for t in loaded.values())
    loaded["plain"].fill_(9)  # shared before, shared after
    assert loaded["p"].detach().numpy().tolist() == [9, 9, 9]


def test_names_never_clash(tmp_path):
    values = [make((2,), seed=i) for i in range(5)]
    keys = ["a.b", "__metadata__", "\ud800", ""]
    obj = {"a": {"b": values[0]}, **{k: v for k, v in zip(keys, values[1:], strict=True)}}
    assert equal(through_file(obj, tmp_path), obj)
    assert equal(through_file(values[0], tmp_path), values[0])


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"a": [1, {2: {3}}]}, r"obj\['a'\]\[1\]\[2\] is a set"),
        ({"model": nn.Linear(1, 1)}, r"obj\['model'\] is a Linear, whose code cannot be saved: save its state_dict"),
        ([np.float64(1.0)], r"obj\[0\] is a NumPy float64: save it as a Python number"),
        ((np.ones(2),), r"obj\[0\] is a NumPy array"),
        ({"f": print}, r"obj\['f'\] is a builtin_function"),
        (Pair(1, 2), "obj is a Pair"),
        (b"bytes", "obj is a bytes"),
        (1j, "obj is a complex"),
        ({1.5: 1}, r"obj has the key 1.5, a float: keys are str or int"),
        ({"x": {True: 1}}, r"obj\['x'\] has the key True, a bool"),
    ],
    ids=str,
)
def test_what_a_checkpoint_cannot_hold(obj, message, tmp_path):
    with pytest.raises(TypeError, match=message):
        pydl.save(obj, tmp_path / "x")
    assert not os.listdir(tmp_path)


def test_containers_in_themselves_and_too_deep(tmp_path):
    loop = [1]
    loop.append({"x": loop})
    with pytest.raises(ValueError, match=r"obj\[1\]\['x'\] contains itself"):
        pydl.save(loop, tmp_path / "x")
    deep = []
    for _ in range(99):
        deep = [deep] if len(deep) % 2 else {"k": deep}
    assert equal(through_file(deep, tmp_path), deep)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        pydl.save([deep], tmp_path / "x")
    with pytest.raises(ValueError, match="4000 digits"):
        pydl.save(10**4500, tmp_path / "x")


def test_file_objects_and_arguments(tmp_path):
    obj = {"epoch": 3, "w": make((2, 3))}
    memory = io.BytesIO()
    pydl.save(obj, memory)
    memory.seek(0)
    assert equal(pydl.load(memory), obj)
    with open(tmp_path / "x", "wb") as f:
        pydl.save(obj, f, pickle_protocol=4)
    with open(tmp_path / "x", "rb") as f:
        assert equal(pydl.load(f), obj)
    for location in (None, "cpu", pydl.device("cpu"), {"cuda:0": "cpu"}, lambda storage, where: storage):
        assert equal(pydl.load(str(tmp_path / "x"), map_location=location, weights_only=True), obj)
    for location in ("cuda", {"cpu": "cuda:0"}):
        with pytest.raises(RuntimeError, match="CPU only"):
            pydl.load(tmp_path / "x", map_location=location)
    with pytest.raises(FileNotFoundError):
        pydl.load(tmp_path / "absent")
    with pytest.raises(FileNotFoundError):
        pydl.save(obj, tmp_path / "absent" / "x")
