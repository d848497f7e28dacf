# SPDX-License-Identifier: BSD-3-Clause
"""Activations written in Cython, under their names, and the derivatives of the smooth ones as compositions.

A composed derivative is used where the derivative itself is recorded (create_graph), so that there are derivatives of
any order.
"""

from __future__ import annotations

import math
from typing import Any

from pydl._core import activation
from pydl._core import activation_functions as functions
from pydl._core import functions as _f
from pydl.ops._declare import native

_WITH_INPLACE_FORM = ("leaky_relu", "elu", "selu", "celu", "hardtanh", "threshold", "erf", "erfc", "expm1", "log1p")
_OTHERS = (
    "relu6", "hardsigmoid", "hardswish", "silu", "mish", "hardshrink", "softshrink", "tanhshrink", "softsign",
    "softplus", "logsigmoid", "gelu",
)  # fmt: skip

__all__ = [*_WITH_INPLACE_FORM, *[f"{name}_" for name in _WITH_INPLACE_FORM], *_OTHERS]

for _name in (*_WITH_INPLACE_FORM, *_OTHERS):
    globals()[_name] = native(getattr(functions, _name))
for _name in _WITH_INPLACE_FORM:
    globals()[f"{_name}_"] = getattr(functions, f"{_name}_")

_ROOT_2 = math.sqrt(2)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_ERF = 2 / math.sqrt(math.pi)
_GELU_K, _GELU_CUBE = 2 * math.sqrt(2 / math.pi), 0.044715


def _elu(x: Any, alpha: float, scale: float, inner: float) -> Any:
    return _f.where(x > 0, scale, _f.exp(_f.clamp(x * inner, max=0)) * (alpha * scale * inner))


def _softplus(x: Any, beta: float, limit: float, _: float) -> Any:
    return _f.where(x * beta > limit, 1.0, _f.sigmoid(x * beta))


def _logsigmoid(x: Any, *_: float) -> Any:
    return _f.sigmoid(-x)


def _silu(x: Any, *_: float) -> Any:
    s = _f.sigmoid(x)
    return s + x * s * (1 - s)


def _mish(x: Any, *_: float) -> Any:
    t = _f.tanh(functions.softplus(x))
    return t + x * (1 - t * t) * _f.sigmoid(x)


def _gelu(x: Any, *_: float) -> Any:
    return functions.erfc(x * (-1 / _ROOT_2)) * 0.5 + x * _f.exp(x * x * -0.5) * _DENSITY


def _gelu_tanh(x: Any, *_: float) -> Any:
    s = _f.sigmoid(x * _GELU_K * (1 + x * x * _GELU_CUBE))
    return s + x * s * (1 - s) * (1 + x * x * (3 * _GELU_CUBE)) * _GELU_K


def _hardswish(x: Any, *_: float) -> Any:
    return _f.where(x <= -3, 0.0, _f.where(x >= 3, 1.0, x / 3 + 0.5))


def _softsign(x: Any, *_: float) -> Any:
    return _f.reciprocal(_f.square(1 + _f.abs(x)))


def _tanhshrink(x: Any, *_: float) -> Any:
    return _f.square(_f.tanh(x))


def _erf(x: Any, *_: float) -> Any:
    return _f.exp(-(x * x)) * _ERF


def _erfc(x: Any, *_: float) -> Any:
    return _f.exp(-(x * x)) * -_ERF


def _expm1(x: Any, *_: float) -> Any:
    return _f.exp(x)


def _log1p(x: Any, *_: float) -> Any:
    return _f.reciprocal(1 + x)


activation.set_slopes(
    {
        "elu": _elu,
        "softplus": _softplus,
        "logsigmoid": _logsigmoid,
        "silu": _silu,
        "mish": _mish,
        "gelu": _gelu,
        "gelu_tanh": _gelu_tanh,
        "hardswish": _hardswish,
        "softsign": _softsign,
        "tanhshrink": _tanhshrink,
        "erf": _erf,
        "erfc": _erfc,
        "expm1": _expm1,
        "log1p": _log1p,
    }
)
