# SPDX-License-Identifier: BSD-3-Clause
"""What the activations compute, plainly with NumPy; erf and erfc in the type of their argument (NumPy has neither)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.reference import Array, sigmoid, softmax


def _exp_minus_square(x: Array) -> Array:
    """exp(−x²), x² split so that its rounding does not count."""
    high = x.astype(np.float32).astype(x.dtype)
    return np.exp(-high * high) * np.exp(-(x - high) * (x + high))


def _pi(x: Array) -> Any:
    return np.arctan(x.dtype.type(1)) * 4


def _erf_series(x: Array) -> Array:
    """2/√π e^(−x²) Σ 2ᵏ x^(2k+1) / (1·3·5…(2k+1)), all terms of one sign; |x| ≤ 1.3."""
    term = x.copy()
    total = x.copy()
    for k in range(1, 30):
        term = term * (2 * x * x) / (2 * k + 1)
        total = total + term
    return 2 / np.sqrt(_pi(x)) * _exp_minus_square(x) * total


def _erfc_fraction(x: Array, steps: int) -> Array:
    """Laplace's continued fraction, from its end: 160 steps suffice from 1.3 on, 60 from 2.5 on."""
    f = x.copy()
    for k in range(steps, 0, -1):
        f = x + x.dtype.type(k) / 2 / f
    return _exp_minus_square(x) / np.sqrt(_pi(x)) / f


def _erf_and_erfc(x: Array) -> tuple[Array, Array]:
    if x.dtype.kind != "f":
        x = x.astype(np.longdouble)
    a = np.minimum(np.abs(x), x.dtype.type(40))
    y, z = np.empty_like(a), np.empty_like(a)
    near, far = ~(a >= 1.3), a >= 2.5
    middle = ~near & ~far
    y[near] = _erf_series(a[near])
    z[near] = 1 - y[near]
    z[middle], z[far] = _erfc_fraction(a[middle], 160), _erfc_fraction(a[far], 60)
    y[~near] = 1 - z[~near]
    return np.copysign(y, x), np.where(x < 0, 2 - z, z)


def erf(input: Array) -> Array:
    return _erf_and_erfc(input)[0]


def erfc(input: Array) -> Array:
    return _erf_and_erfc(input)[1]


def relu6(input: Array) -> Array:
    return np.clip(input, 0, 6)


def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    return np.clip(input, min_val, max_val).astype(input.dtype)


def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    return np.where(input > 0, input, input * negative_slope)


def elu(input: Array, alpha: float = 1.0) -> Array:
    return np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0)))


def selu(input: Array) -> Array:
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


def celu(input: Array, alpha: float = 1.0) -> Array:
    return np.where(input > 0, input, alpha * np.expm1(np.minimum(input, 0) / alpha))


def threshold(input: Array, threshold: float, value: float) -> Array:
    return np.where(input <= threshold, input.dtype.type(value), input)


def hardsigmoid(input: Array) -> Array:
    return np.clip(input + 3, 0, 6) / 6


def hardswish(input: Array) -> Array:
    return input * np.clip(input + 3, 0, 6) / 6


def hardshrink(input: Array, lambd: float = 0.5) -> Array:
    return np.where(np.abs(input) <= lambd, 0, input)


def softshrink(input: Array, lambd: float = 0.5) -> Array:
    return np.where(np.abs(input) <= lambd, 0, input - np.copysign(input.dtype.type(lambd), input))


def silu(input: Array) -> Array:
    return input * sigmoid(input)


def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    z = input * beta
    return np.where(z > threshold, input, (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta)


def mish(input: Array) -> Array:
    return input * np.tanh(softplus(input, threshold=np.inf))


def logsigmoid(input: Array) -> Array:
    return -softplus(-input, threshold=np.inf)


def gelu(input: Array, *, approximate: str = "none") -> Array:
    if approximate == "tanh":
        # 1 + tanh(z) = 2 σ(2 z), which does not cancel
        return input * sigmoid(2 * np.sqrt(2 / _pi(input)) * (input + np.asarray(0.044715, input.dtype) * input**3))
    return input * erfc(np.atleast_1d(-input / np.sqrt(input.dtype.type(2)))).reshape(input.shape) / 2


def tanhshrink(input: Array) -> Array:
    """x − tanh x; near 0 by the series, where the difference would cancel."""
    series = np.zeros(input.shape, np.longdouble)
    for top, bottom in ((-21844, 6081075), (1382, 155925), (-62, 2835), (17, 315), (-2, 15), (1, 3)):
        series = series * input * input + np.longdouble(top) / bottom
    return np.where(np.abs(input) < 0.05, series * input**3, input - np.tanh(input))


def softsign(input: Array) -> Array:
    return input / (1 + np.abs(input))


def softmin(input: Array, dim: int) -> Array:
    return np.asarray(softmax(-input, dim))


def prelu(input: Array, weight: Array) -> Array:
    w = weight.reshape((1, -1, *[1] * (input.ndim - 2))) if weight.size > 1 else weight.reshape(())
    return np.where(input > 0, input, w * input)


def glu(input: Array, dim: int = -1) -> Array:
    a, b = np.split(input, 2, dim)
    return np.asarray(a * sigmoid(b))


def rrelu(input: Array, lower: float = 1.0 / 8, upper: float = 1.0 / 3) -> Array:
    """In evaluation."""
    return leaky_relu(input, (lower + upper) / 2)


def dropout(input: Array, p: float = 0.5, training: bool = True) -> Array:
    """Where chance has no say: in evaluation, with p = 0 and with p = 1."""
    return np.asarray(input * 0 if training and p == 1 else input)
