# SPDX-License-Identifier: BSD-3-Clause
"""Every elementwise kernel of every instruction set against NumPy: values, special values, strides, aliasing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pydl._core import kernels
from tests import kernel_calls_ctc, kernel_calls_norm, kernel_calls_recurrent  # noqa: F401 - they add their signatures
from tests.kernel_calls import DTYPES, EACH, EACH_IDS, RESULTS, SIGNATURES, Array, Call, Out, function, lanes, signature

each = pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
UNARY = {
    "copy": lambda x: x,
    "neg": np.negative,
    "abs": np.abs,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.where(x < 0, np.exp(-np.abs(x)), 1) / (1 + np.exp(-np.abs(x))),
    "relu": lambda x: np.where(x < 0, 0, x),
}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "tanh_bwd": lambda dy, y: dy * (1 - y * y),
    "sigmoid_bwd": lambda dy, y: dy * (1 - y) * y,
    "relu_bwd": lambda dy, y: np.where(y <= 0, 0, dy),
}
COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
ROUNDINGS = {  # of the result, in half units of the last place; what is not here rounds once, or not at all
    "exp": 4, "log": 4, "tanh": 4, "sigmoid": 4, "pow": 4, "tanh_bwd": 6, "sigmoid_bwd": 6,
}  # fmt: skip
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, -1e-310, 1e-40, -1e-40, 1.0, -2.0, 100.0, 1e30, -1e30]


def unary(isa: str, dtype: Any, name: str, x: Array) -> Array:
    y = np.empty_like(x)
    function(isa, dtype, f"unary.{name}")(x.ctypes.data, 1, y.ctypes.data, 1, x.size)
    return y


def binary(isa: str, dtype: Any, kind: str, name: str, a: Array, b: Array) -> Array:
    c = np.empty(a.size, np.uint8 if kind == "compare" else dtype)
    function(isa, dtype, f"{kind}.{name}")(a.ctypes.data, 1, b.ctypes.data, 1, c.ctypes.data, 1, a.size)
    return c


def assert_close(got: Array, want: Array, name: str) -> None:
    """Equal to `want` (computed in double) up to the roundings that the kernel may make, special values alike."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        spacing = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), np.finfo(got.dtype).smallest_subnormal)
        near = np.abs(got.astype(np.float64) - want) <= ROUNDINGS.get(name, 1) * spacing / 2
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    ok = same | (near & np.isfinite(got) & np.isfinite(rounded))
    assert ok.all(), f"{name}: {got[~ok][:4]} instead of {want[~ok][:4]}"


def values(dtype: Any, n: int = 1000) -> Array:
    rng = np.random.default_rng(0)
    special = np.array(SPECIAL)
    with np.errstate(all="ignore"):
        return np.concatenate([special, rng.standard_normal(n), rng.standard_normal(n) * 50, special]).astype(dtype)


def test_every_kernel_has_a_signature_and_a_reference() -> None:
    named = {name if name in SIGNATURES else name.partition(".")[0] for name in kernels.entries()}
    gemm = {"gemm"}  # tests/test_gemm.py
    assert named - gemm == set(SIGNATURES), "SIGNATURES in tests/kernel_calls*.py, and what is in the table"
    assert set(RESULTS) <= set(SIGNATURES)
    for kind, table in (("unary", UNARY), ("binary", BINARY), ("compare", COMPARE)):
        assert {n.partition(".")[2] for n in kernels.entries() if n.startswith(f"{kind}.")} == set(table)


@each
@pytest.mark.parametrize("name", UNARY)
def test_unary(isa: str, dtype: Any, name: str) -> None:
    x = values(dtype)
    with np.errstate(all="ignore"):
        assert_close(unary(isa, dtype, name, x), UNARY[name](x.astype(np.float64)), name)


@each
@pytest.mark.parametrize(("kind", "name"), [("binary", n) for n in BINARY] + [("compare", n) for n in COMPARE])
def test_binary(isa: str, dtype: Any, kind: str, name: str) -> None:
    pairs = np.array(list(itertools.product(values(dtype, 20), repeat=2)), dtype)
    a, b = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    got = binary(isa, dtype, kind, name, a, b)
    with np.errstate(all="ignore"):
        if kind == "compare":
            assert np.array_equal(got, COMPARE[name](a, b).astype(np.uint8))
        elif name in ("add", "sub", "mul", "div"):  # in the type itself: the double result would round twice
            np.testing.assert_array_equal(got, BINARY[name](a, b))
        else:
            wide = (a.astype(np.float64), b.astype(np.float64))
            want = BINARY[name](*wide)
            keep = np.ones(a.size, bool)
            if (
                name.endswith("_bwd") and name != "relu_bwd"
            ):  # y is a tanh or a sigmoid, and (1 - y y) cancels elsewhere
                keep = np.abs(wide[1]) <= 1
            assert_close(got[keep], want[keep], name)


@each
def test_signs_of_zero(isa: str, dtype: Any) -> None:
    zeros = np.array([0.0, -0.0], dtype)
    keep, turn, drop = [False, True], [True, False], [False, False]
    signs = {"copy": keep, "neg": turn, "abs": drop, "square": drop, "sqrt": keep, "relu": keep, "tanh": keep}
    for name, want in signs.items():
        assert np.signbit(unary(isa, dtype, name, zeros)).tolist() == want, name
    other = np.ascontiguousarray(zeros[::-1])
    for name in ("maximum", "minimum"):  # PyTorch takes the second of equal elements
        assert np.signbit(binary(isa, dtype, "binary", name, zeros, other)).tolist() == [True, False]
    y = np.empty_like(zeros)
    function(isa, dtype, "eltwise.clamp")(zeros.ctypes.data, 1, 0.0, 1.0, y.ctypes.data, 1, 2)
    assert np.signbit(y).tolist() == [False, True]


@each
def test_position_and_length_do_not_matter(isa: str, dtype: Any) -> None:
    """Each special value at each position of 1 to 3 vectors gives the bits that it gives alone."""
    with np.errstate(all="ignore"):
        special = np.array(SPECIAL, dtype)
    calls = [("unary", name) for name in UNARY] + [
        (kind, n) for kind in ("binary", "compare") for n in (BINARY if kind == "binary" else COMPARE)
    ]
    for kind, name in calls:

        def apply(x: Array, kind: str = kind, name: str = name) -> Array:
            return (
                unary(isa, dtype, name, x)
                if kind == "unary"
                else binary(isa, dtype, kind, name, x, np.full_like(x, 0.5))
            )

        alone = np.concatenate([apply(special[i : i + 1].copy()) for i in range(special.size)])
        for n in range(1, 3 * lanes(isa, dtype) + 2):
            for shift in range(special.size):
                order = (np.arange(n) + shift) % special.size
                assert apply(special[order]).tobytes() == alone[order].tobytes(), (kind, name, n, shift)


STRIDES = [0, 1, -1, 2, -3]


def spread(x: Array, stride: int) -> tuple[Array, Array]:
    """Memory in which x lies with that stride, and the view of it."""
    n = x.size
    if stride == 0:
        return x[:1].copy(), np.broadcast_to(x[:1], n)
    memory = np.full(abs(stride) * max(n - 1, 0) + 1, 7, x.dtype)
    view = memory[::stride] if stride > 0 else memory[::-1][::-stride]
    view[:n] = x
    return memory, view[:n]


@each
@pytest.mark.parametrize("n", [1, 13, 255, 700])
def test_strides_do_not_matter(isa: str, dtype: Any, n: int) -> None:
    rng = np.random.default_rng(n)
    size = np.dtype(dtype).itemsize
    a, b = (rng.uniform(0.1, 3, n).astype(dtype) for _ in range(2))
    for sa, sb, sc in itertools.product(STRIDES, STRIDES, (1, -1, 3)):
        (memory_a, va), (memory_b, vb), (memory_c, vc) = spread(a, sa), spread(b, sb), spread(np.zeros(n, dtype), sc)
        bytes_c, mask = np.zeros(memory_c.size, np.uint8), (va > 1).astype(np.uint8)
        va0, vb0 = (np.ascontiguousarray(v) for v in (va, vb))
        at_a, at_b, at_c = (
            m.ctypes.data + (m.size - 1) * size * (s < 0) for m, s in ((memory_a, sa), (memory_b, sb), (memory_c, sc))
        )
        want = np.empty(n, dtype)
        for name in (*(f"binary.{kind}" for kind in ("add", "tanh_bwd", "pow")), "unary.exp",
                     *(f"eltwise.{kind}" for kind in ("add_scaled", "where", "clamp"))):  # fmt: skip
            middle: tuple[Any, ...] = {"eltwise.add_scaled": (-0.7,), "eltwise.clamp": (0.5, 1.5)}.get(name, ())
            first = (mask.ctypes.data, 1) if name == "eltwise.where" else ()
            one = signature(name).count("p") == 2
            f = function(isa, dtype, name)
            f(*first, at_a, sa, *(() if one else (at_b, sb)), *middle, at_c, sc, n)
            f(*first, va0.ctypes.data, 1, *(() if one else (vb0.ctypes.data, 1)), *middle, want.ctypes.data, 1, n)
            assert vc.tobytes() == want.tobytes(), (name, sa, sb, sc)
        less = function(isa, dtype, "compare.lt")
        less(at_a, sa, at_b, sb, bytes_c.ctypes.data + (bytes_c.size - 1) * (sc < 0), sc, n)
        assert np.array_equal((bytes_c[::sc] if sc > 0 else bytes_c[::-1][::-sc])[:n], va0 < vb0)


@each
@pytest.mark.parametrize("stride", [1, -1, 2])
def test_output_may_be_an_input(isa: str, dtype: Any, stride: int) -> None:
    n = 600
    x, other = (np.random.default_rng(s).uniform(0.1, 3, n).astype(dtype) for s in (0, 1))
    for name in kernels.entries():
        kind, _, which = name.partition(".")
        if kind not in ("unary", "binary"):
            continue
        want = unary(isa, dtype, which, x) if kind == "unary" else binary(isa, dtype, kind, which, x, other)
        memory, view = spread(x, stride)
        at = memory.ctypes.data + (memory.size - 1) * memory.itemsize * (stride < 0)
        second = () if kind == "unary" else (other.ctypes.data, 1)
        function(isa, dtype, name)(at, stride, *second, at, stride, n)
        assert view.tobytes() == want.tobytes(), name


@each
def test_parameters(isa: str, dtype: Any) -> None:
    """add_scaled, clamp, where, fill; infinite bounds, NaN, any byte but 0 as true."""
    x, other = values(dtype, 50), np.ascontiguousarray(values(dtype, 50)[::-1])
    n = x.size
    zeros = Out(np.zeros(n, dtype))
    with np.errstate(all="ignore"):
        (got,) = Call("eltwise.add_scaled", (x, 1, other, 1, -0.75, zeros, 1, n)).run(isa, dtype)
        assert_close(got, x.astype(np.float64) - 0.75 * other.astype(np.float64), "exp")
    for lo, hi in ((-0.5, 0.5), (-np.inf, 1.0), (0.0, np.inf)):
        (got,) = Call("eltwise.clamp", (x, 1, lo, hi, zeros, 1, n)).run(isa, dtype)
        np.testing.assert_array_equal(got, np.clip(x, dtype(lo), dtype(hi)))
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 128, 255], np.uint8), n)
    (got,) = Call("eltwise.where", (mask, 1, x, 1, other, 1, zeros, 1, n)).run(isa, dtype)
    assert got.tobytes() == np.where(mask != 0, x, other).tobytes()
    for value in (1.5, -0.0, np.inf, np.nan):
        (got,) = Call("eltwise.fill", (zeros, 1, value, n)).run(isa, dtype)
        assert got.tobytes() == np.full(n, value, dtype).tobytes()


@each
def test_fma_chains_counts_its_work(isa: str, dtype: Any) -> None:
    out, flops = Call("fma_chains", (1000, Out(np.zeros(lanes(isa, dtype), dtype)))).run(isa, dtype)
    assert flops == 2 * 12 * lanes(isa, dtype) * 1000
    assert np.isfinite(out).all() and (out == out[0]).all()


def test_types_of_this_file() -> None:
    assert {dtype for _, dtype in EACH} == set(DTYPES)
    assert [isa for isa, _ in EACH[::2]] == kernels.isas()
