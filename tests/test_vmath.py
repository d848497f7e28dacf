# SPDX-License-Identifier: BSD-3-Clause
"""exp, log, tanh, sigmoid, erf, …: errors in units in the last place over the whole range, the values at its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import reference_activations
from tests.kernel_calls import EACH, EACH_IDS, Array, function

# What csrc/vmath.h states; the limit for all is 2.
MAX_ULP = {
    "exp": 1.1, "log": 0.9, "tanh": 1.4, "sigmoid": 2.0, "erf": 1.3, "erfc": 1.8, "expm1": 2.0, "log1p": 1.5,
}  # fmt: skip
PLAIN = ("exp", "log", "tanh", "sigmoid")  # the others are among the kernels with parameters
STEP = 4093  # of the bit patterns, a prime: each exponent is met by 2000 mantissas
WIDE = np.longdouble
each_isa = pytest.mark.parametrize("isa", dict.fromkeys(isa for isa, _ in EACH))


def apply(isa: str, name: str, x: Array) -> Array:
    y = np.empty_like(x)
    if name in PLAIN:
        function(isa, x.dtype, f"unary.{name}")(x.ctypes.data, 1, y.ctypes.data, 1, x.size)
    else:
        unused = np.zeros(3)
        function(isa, x.dtype, f"activation_fwd.{name}")(x.ctypes.data, 1, y.ctypes.data, 1, x.size, unused.ctypes.data)
    return y


def exact(name: str, x: Array) -> Array:
    """The function in the type of x, which is wider than the kernel's."""
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-np.abs(x))
            return np.where(x < 0, e, 1) / (1 + e)
        if name in ("erf", "erfc"):
            return getattr(reference_activations, name)(x)
        return getattr(np, name)(x)


def ulp_errors(got: Array, want: Array) -> Array:
    """|got - want| in units in the last place of `want`, also of subnormals; inf where NaN, Inf or -0 differ."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        nearest = want.astype(got.dtype)
        exponent = np.maximum(np.frexp(want)[1] - info.nmant - 1, info.minexp - info.nmant)
        error = np.abs(got.astype(want.dtype) - want) / np.ldexp(np.ones_like(want), exponent)
        same = (got == nearest) & ((got != 0) | (want != 0) | (np.signbit(got) == np.signbit(want)))
        special = ~np.isfinite(nearest) | ~np.isfinite(got)
    error[special | (want == 0)] = np.inf
    error[(special | (want == 0)) & (same | (np.isnan(got) & np.isnan(want)))] = 0
    return error


def check(isa: str, name: str, x: Array, wide: Any) -> None:
    with np.errstate(invalid="ignore"):  # signalling NaN among the bit patterns
        error = ulp_errors(apply(isa, name, x), exact(name, x.astype(wide)))
    worst = int(error.argmax())
    assert error[worst] <= MAX_ULP[name], (
        f"{isa} {name}({x[worst].hex() if x.itemsize == 8 else x[worst]!r}): {error[worst]} ULP"
    )


@each_isa
@pytest.mark.parametrize("name", MAX_ULP)
def test_float32(isa: str, name: str) -> None:
    check(isa, name, np.arange(0, 2**32, STEP, np.uint32).view(np.float32), np.float64)


@pytest.mark.slow
@each_isa
@pytest.mark.parametrize("name", MAX_ULP)
def test_float32_every_value(isa: str, name: str) -> None:
    for start in range(0, 2**32, 2**24):
        check(isa, name, np.arange(start, start + 2**24, dtype=np.uint32).view(np.float32), np.float64)


def float64_points(name: str) -> Array:
    """Random bit patterns, the range where the function moves, points near its hard places, and all powers of two."""
    rng = np.random.default_rng(0)
    low, high = {
        "exp": (-746, 710), "log": (0, 10), "tanh": (-22, 22), "sigmoid": (-746, 746), "erf": (-6, 6),
        "erfc": (-6, 27.3), "expm1": (-40, 710), "log1p": (-1, 10),
    }[name]  # fmt: skip
    bits = rng.integers(0, 2**64, 200_000, np.uint64).view(np.float64)
    centre = 1.0 if name == "log" else 0.0
    near = centre + rng.standard_normal(200_000) * 2.0 ** -rng.integers(0, 60, 200_000)
    steps = np.arange(-1100, 1100) * (np.log(2) / 2)  # where the reduced argument is largest
    powers = np.ldexp(1.0, np.arange(-1074, 1024))
    splits = np.array([0.34, 0.5625, 0.6, 1.0, -0.9999, 19.06, 26.5, 2**-0.5, 2**0.5])
    splits = np.append(splits, [708.39, 709.78, -708.39, -744.44, -745.13])
    edges = np.concatenate([np.nextafter(splits, s) for s in (-np.inf, np.inf)] + [splits])
    with np.errstate(invalid="ignore"):
        return np.concatenate([bits, rng.uniform(low, high, 300_000), near, steps, powers, -powers, edges])


@pytest.mark.skipif(np.finfo(WIDE).nmant < 63, reason="long double is no wider than double here")
@each_isa
@pytest.mark.parametrize("name", MAX_ULP)
def test_float64(isa: str, name: str) -> None:
    check(isa, name, float64_points(name), WIDE)


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_ends(isa: str, dtype: Any) -> None:
    inf, nan, info = np.inf, np.nan, np.finfo(dtype)
    largest = dtype(np.log(info.max))
    smallest = dtype(info.smallest_subnormal)
    table = {
        "exp": ([inf, -inf, nan, 0.0, -0.0, 1e9, -1e9], [inf, 0.0, nan, 1.0, 1.0, inf, 0.0]),
        "log": ([inf, -inf, nan, 0.0, -0.0, -1.0, 1.0, -smallest], [inf, nan, nan, -inf, -inf, nan, 0.0, nan]),
        "tanh": (
            [inf, -inf, nan, 0.0, -0.0, 1e9, smallest, -smallest],
            [1.0, -1.0, nan, 0.0, -0.0, 1.0, smallest, -smallest],
        ),
        "sigmoid": ([inf, -inf, nan, 0.0, -0.0, 1e9, -1e9], [1.0, 0.0, nan, 0.5, 0.5, 1.0, 0.0]),
        "erf": (
            [inf, -inf, nan, 0.0, -0.0, 1e9, -1e9],
            [1.0, -1.0, nan, 0.0, -0.0, 1.0, -1.0],
        ),
        "erfc": ([inf, -inf, nan, 0.0, -0.0, 1e9, -1e9], [0.0, 2.0, nan, 1.0, 1.0, 0.0, 2.0]),
        "expm1": (
            [inf, -inf, nan, 0.0, -0.0, 1e9, -1e9, smallest, -smallest],
            [inf, -1.0, nan, 0.0, -0.0, inf, -1.0, smallest, -smallest],
        ),
        "log1p": (
            [inf, -inf, nan, 0.0, -0.0, -1.0, -2.0, smallest, -smallest],
            [inf, nan, nan, 0.0, -0.0, -inf, nan, smallest, -smallest],
        ),
    }
    for name, (x, want) in table.items():
        got = apply(isa, name, np.array(x, dtype))
        np.testing.assert_array_equal(got, np.array(want, dtype), err_msg=name)
        assert np.array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(np.array(want))[~np.isnan(want)]), name
    near_max, over = apply(isa, "exp", np.array([np.nextafter(largest, dtype(0)), largest * dtype(1.001)], dtype))
    assert np.isfinite(near_max) and over == inf
    tiny = apply(isa, "exp", np.array([np.log(float(info.tiny)) - 5], dtype))[0]
    assert 0 < tiny < info.tiny, "exp passes through the subnormal numbers"


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
@pytest.mark.parametrize("name", MAX_ULP)
def test_neighbors_do_not_matter(isa: str, dtype: Any, name: str) -> None:
    """A vector whose results are all normal numbers may take a shorter way: with the same bits."""
    limit = np.log(float(np.finfo(dtype).max))
    x = np.random.default_rng(0).uniform(-limit, limit, 50_000).astype(dtype)
    alone = apply(isa, name, x)
    for other in (np.inf, -np.inf, 5 * limit, -1.01 * limit, np.nan, 0.0):
        mixed = np.full(2 * x.size, other, dtype)
        mixed[::2] = x
        assert apply(isa, name, mixed)[::2].tobytes() == alone.tobytes(), other


@pytest.mark.parametrize(("isa", "dtype"), EACH, ids=EACH_IDS)
def test_identities(isa: str, dtype: Any) -> None:
    """tanh is odd to the bit, sigmoid(-x) = 1 - sigmoid(x), and all are monotone to within their error."""
    x = np.linspace(0, 12, 20_001).astype(dtype)
    assert np.array_equal(apply(isa, "tanh", -x), -apply(isa, "tanh", x))
    both = apply(isa, "sigmoid", x).astype(np.float64) + apply(isa, "sigmoid", -x)
    assert np.abs(both - 1).max() <= 3 * np.finfo(dtype).eps
    for name in MAX_ULP:
        y = apply(isa, name, x[1:]) * (-1 if name == "erfc" else 1)
        assert (np.diff(y) >= -3 * np.spacing(np.abs(y[1:]))).all(), name
