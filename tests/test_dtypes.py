# SPDX-License-Identifier: BSD-3-Clause
"""Element types: identity, conversion from NumPy, promotion as PyTorch's, limits, sizes, devices."""

from __future__ import annotations

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import pydl
from pydl._core import dtypes

NAMES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")
NUMBERS: tuple[Any, ...] = (True, 3, 2.5)


@pytest.fixture
def double_default() -> Any:
    pydl.set_default_dtype(pydl.float64)
    yield
    pydl.set_default_dtype(pydl.float32)


@pytest.mark.parametrize("name", NAMES)
def test_each_type_is_one_object(name: str) -> None:
    d = getattr(pydl, name)
    assert repr(d) == f"pydl.{name}"
    assert d.np == np.dtype(name) and d.itemsize == np.dtype(name).itemsize
    assert d.is_floating_point is name.startswith("float") and not d.is_complex
    assert d.is_signed is (name not in ("bool", "uint8"))
    assert pickle.loads(pickle.dumps(d)) is d and copy.deepcopy(d) is d and copy.copy(d) is d
    assert d != np.dtype(name) and d != getattr(np, name.replace("bool", "bool_"))
    assert pydl.zeros(1, dtype=np.dtype(name)).dtype is d and pydl.zeros(1, dtype=d).numpy().dtype == np.dtype(name)


def test_other_names_of_the_types() -> None:
    assert (pydl.float, pydl.double, pydl.long, pydl.int, pydl.short) == (
        pydl.float32, pydl.float64, pydl.int64, pydl.int32, pydl.int16,
    )  # fmt: skip
    assert [dtypes.as_np(t) for t in (float, int, bool)] == [np.float64, np.int64, np.bool_]
    assert dtypes.from_np(np.dtype(">f8")) is pydl.float64
    assert dtypes.from_np(np.dtype("longlong")) is pydl.int64


@pytest.mark.parametrize("absent", [np.float16, np.dtype("f2"), np.complex64, np.complex128, complex])
def test_half_and_complex_raise(absent: Any) -> None:
    with pytest.raises(NotImplementedError, match="no half precision and no complex"):
        pydl.zeros(2, dtype=absent)


@pytest.mark.parametrize("wrong", [np.uint16, np.uint64, np.longdouble, object, str, "float32", np.dtype("U3"), 7])
def test_what_is_no_element_type(wrong: Any) -> None:
    with pytest.raises(TypeError):
        pydl.zeros(2, dtype=wrong)


@pytest.mark.parity
@pytest.mark.parametrize("a, b", list(itertools.product(NAMES, NAMES)))
def test_promotion_of_two_types_is_torchs(a: str, b: str) -> None:
    import torch

    want = torch.promote_types(getattr(torch, a), getattr(torch, b))
    assert repr(pydl.promote_types(getattr(pydl, a), getattr(pydl, b))) == f"pydl.{str(want)[6:]}"
    assert pydl.can_cast(getattr(pydl, a), getattr(pydl, b)) == torch.can_cast(getattr(torch, a), getattr(torch, b))


@pytest.mark.parity
@pytest.mark.parametrize("a, b", list(itertools.product(NAMES, (*NAMES, *NUMBERS))))
def test_result_types_by_dimension_are_torchs(a: str, b: Any) -> None:
    """Tensors with dimensions, 0-d tensors and numbers have falling priority."""
    import torch

    def operand(T: Any, what: Any, ndim: int) -> Any:
        return T.ones((2,) * ndim, dtype=getattr(T, what)) if isinstance(what, str) else what

    for n, m in itertools.product((0, 1), (0, 1)):
        want = torch.result_type(operand(torch, a, n), operand(torch, b, m))
        x, y = operand(pydl, a, n), operand(pydl, b, m)
        assert repr(pydl.result_type(x, y)) == f"pydl.{str(want)[6:]}"
        assert repr((x * y).dtype) == f"pydl.{str(want)[6:]}"
        quotient = operand(torch, a, n) / operand(torch, b, m)
        assert repr((x / y).dtype) == f"pydl.{str(quotient.dtype)[6:]}"


def test_promotion_by_a_table_of_values() -> None:
    byte, half_way = pydl.tensor([1, 2], dtype=pydl.uint8), pydl.tensor(1.5, dtype=pydl.float64)
    assert (byte + 1).dtype is pydl.uint8 and (byte + 1.5).dtype is pydl.float32
    assert (byte + half_way).dtype is pydl.float64  # a higher category in a 0-d tensor counts with its own type
    assert (pydl.ones(2) + half_way).dtype is pydl.float32
    assert (pydl.tensor([1]) + pydl.ones(1)).dtype is pydl.float32
    assert (pydl.tensor([True]) + True).dtype is pydl.bool and (pydl.tensor([True]) + 1).dtype is pydl.int64


def test_default_type(double_default: None) -> None:
    assert pydl.get_default_dtype() is pydl.float64
    assert pydl.tensor([1.0]).dtype is pydl.float64 and pydl.ones(1).dtype is pydl.float64
    assert (pydl.tensor([1]) / 2).dtype is pydl.float64 and (pydl.tensor([1]) * 0.5).dtype is pydl.float64
    assert pydl.tensor([1]).dtype is pydl.int64
    with pytest.raises(TypeError, match="floating-point"):
        pydl.set_default_dtype(pydl.int64)


def test_default_type_goes_back() -> None:
    assert (pydl.tensor([1]) * 0.5).dtype is pydl.float32


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_limits_of_floats(name: str) -> None:
    info, want = pydl.finfo(getattr(pydl, name)), np.finfo(name)
    assert (info.bits, info.eps, info.max, info.min) == (want.bits, want.eps, want.max, want.min)
    assert info.tiny == info.smallest_normal == want.smallest_normal and info.dtype == name
    with pytest.raises(TypeError):
        pydl.iinfo(getattr(pydl, name))


@pytest.mark.parametrize("name", ["int8", "int64", "uint8"])
def test_limits_of_integers(name: str) -> None:
    info, want = pydl.iinfo(getattr(pydl, name)), np.iinfo(name)
    assert (info.bits, info.min, info.max) == (want.bits, want.min, want.max)
    with pytest.raises(TypeError):
        pydl.finfo(getattr(pydl, name))


def test_size_is_a_tuple() -> None:
    s = pydl.zeros(2, 3, 4).shape
    assert s == (2, 3, 4) and isinstance(s, tuple) and s.numel() == 24 and pydl.Size(()).numel() == 1
    assert repr(s[1:]) == "pydl.Size([3, 4])" and s[-1] == 4
    assert repr(s + (5,)) == "pydl.Size([2, 3, 4, 5])" and repr((1,) + s) == "pydl.Size([1, 2, 3, 4])"
    assert repr(s[:1] * 2) == "pydl.Size([2, 2])" and pickle.loads(pickle.dumps(s)) == s
    assert hash(s) == hash((2, 3, 4)) and type(pickle.loads(pickle.dumps(s))) is pydl.Size


def test_device_is_the_cpu() -> None:
    cpu = pydl.device("cpu")
    assert cpu == pydl.device(cpu) == pydl.zeros(1).device and cpu != pydl.device("cpu", 0)
    assert str(pydl.device("cpu:0")) == "cpu:0" and repr(cpu) == "device(type='cpu')"
    assert pickle.loads(pickle.dumps(cpu)) == cpu and len({cpu, pydl.device("cpu")}) == 1
    for other in ("cuda", "cuda:0", "mps", "meta", "cpus", "", 0):
        with pytest.raises(RuntimeError, match="pydl is CPU only"):
            pydl.device(other)
    with pytest.raises(RuntimeError, match="CPU only"):
        pydl.zeros(1, device="cuda")
    with pytest.raises(RuntimeError):
        pydl.device("cpu:x")


def test_formats_are_singletons() -> None:
    for name in ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format", "strided"):
        one = getattr(pydl, name)
        assert repr(one) == f"pydl.{name}" and pickle.loads(pickle.dumps(one)) is one and copy.deepcopy(one) is one


def test_every_type_is_real():
    for dtype in (pydl.float32, pydl.float64, pydl.int64, pydl.bool):
        assert dtype.to_real() is dtype and not dtype.is_complex and not pydl.zeros(1, dtype=dtype).is_complex()
    assert pydl.zeros(1).is_inference() is False
