# SPDX-License-Identifier: BSD-3-Clause
"""Initialization laws for parameters. Each fills its tensor in place, without recording, and returns it."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from pydl import autograd
from pydl._core import tape
from pydl.nn._normal_quantile import normal_cdf, normal_quantile
from pydl.random import Generator, randperm
from pydl.tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_LINEAR = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of activations through a nonlinearity: √2 for relu, 5/3 for tanh, 3/4 for
    selu, √(2/(1+s²)) for leaky relu of slope s = `param` (0.01), 1 for linear layers and the sigmoid.

    Errors: ValueError for another name or a slope that is no number. Source: torch.nn.init.calculate_gain.

    Example:
        >>> from pydl import nn
        >>> round(nn.init.calculate_gain("relu"), 4)
        1.4142
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    gains = dict.fromkeys((*_LINEAR, "sigmoid"), 1.0) | {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: Unsupported nonlinearity {nonlinearity}; there are {', '.join(sorted(gains))} and "
            "leaky_relu"
        )
    return gains[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values uniform in [a, b). Source: torch.nn.init.uniform_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> bool((nn.init.uniform_(pydl.empty(3, 5), 2, 3) >= 2).all())
        True
    """
    with autograd.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values of the normal law N(mean, std²). Source: torch.nn.init.normal_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.normal_(pydl.empty(2), mean=7, std=0)
        tensor([7., 7.])
    """
    with autograd.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Values of N(mean, std²) conditioned on [a, b], by the inverse of its distribution function.

    `a` and `b` are values, not multiples of `std`. Warns if mean lies more than 2 std outside of [a, b].
    Source: torch.nn.init.trunc_normal_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> w = nn.init.trunc_normal_(pydl.empty(100), std=5.0)
        >>> bool((w.abs() <= 2).all())
        True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_: few draws of N(mean, std²) fall there",
            stacklevel=2,
        )
    low, high = (a - mean) / std, (b - mean) / std
    sign = -1.0 if low > 0 else 1.0  # in the upper tail 1 − p would lose its digits: work in the lower one
    if sign < 0:
        low, high = -high, -low
    p = _float64(tensor).uniform_(normal_cdf(low), normal_cdf(high), generator=generator).numpy()
    return _set(tensor, np.clip(mean + std * sign * normal_quantile(p), a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every value is `val`. Source: torch.nn.init.constant_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.constant_(pydl.empty(2), 0.3)
        tensor([0.3000, 0.3000])
    """
    with autograd.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Every value is 1. Source: torch.nn.init.ones_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.ones_(pydl.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every value is 0. Source: torch.nn.init.zeros_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.zeros_(pydl.empty(2))
        tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix: a linear layer then passes its input on. Errors: ValueError unless 2 dimensions.

    Source: torch.nn.init.eye_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.eye_(pydl.empty(2, 3))
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: Only tensors with 2 dimensions are supported, not {tuple(tensor.shape)}")
    return _set(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The identity of a convolution: within each group, output channel i passes on input channel i.

    Shapes: (K, C, ...) with 1 to 3 spatial dimensions. Errors: ValueError for others, or if `groups` does not
    divide K. Source: torch.nn.init.dirac_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.dirac_(pydl.empty(1, 2, 3))
        tensor([[[0., 1., 0.],
                 [0., 0., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: Only tensors with 3, 4, or 5 dimensions are supported, not {tuple(tensor.shape)}")
    if tensor.shape[0] % groups != 0:
        raise ValueError(f"dirac_: dim 0 must be divisible by groups, but {tuple(tensor.shape)} is not by {groups}")
    values = np.zeros(tensor.shape)
    per_group = tensor.shape[0] // groups
    center = tuple(size // 2 for size in tensor.shape[2:])
    channel = np.arange(min(per_group, tensor.shape[1]))
    for group in range(groups):
        index: Any = (group * per_group + channel, channel, *center)
        values[index] = 1.0
    return _set(tensor, values)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values uniform in ±gain √(6 / (fan_in + fan_out)): keeps variances forward and backward (Glorot, Bengio 2010).

    Errors: ValueError for fewer than 2 dimensions. Source: torch.nn.init.xavier_uniform_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> bool((nn.init.xavier_uniform_(pydl.empty(3, 3)).abs() <= 1).all())
        True
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Values of N(0, gain² · 2 / (fan_in + fan_out)) (Glorot, Bengio 2010).

    Errors: ValueError for fewer than 2 dimensions. Source: torch.nn.init.xavier_normal_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.xavier_normal_(pydl.empty(3, 5)).shape == (3, 5)
        True
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Values uniform in ±gain √(3 / fan): keeps the variance through rectifiers (He et al. 2015).

    `a` is the slope of the leaky relu that follows; `mode` chooses which variance is kept, forward ("fan_in") or
    backward ("fan_out"). Errors: ValueError for fewer than 2 dimensions or another mode.
    Source: torch.nn.init.kaiming_uniform_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> w = nn.init.kaiming_uniform_(pydl.empty(3, 6), nonlinearity="relu")
        >>> bool((w.abs() <= 1).all())
        True
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Values of N(0, gain² / fan) (He et al. 2015); arguments and errors as of `kaiming_uniform_`.

    Source: torch.nn.init.kaiming_normal_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.init.kaiming_normal_(pydl.empty(3, 5), mode="fan_out").shape == (3, 5)
        True
    """
    if _is_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix Q with QᵀQ = gain² 1 (QQᵀ if it is wide), uniform over all of them (Saxe et al. 2013).

    More than 2 dimensions count as (d₀, d₁ d₂ …). Errors: ValueError for fewer than 2.
    Source: torch.nn.init.orthogonal_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> q = nn.init.orthogonal_(pydl.empty(4, 2))
        >>> pydl.allclose(q.t() @ q, pydl.eye(2), atol=1e-6)
        True
    """
    if tensor.ndim < 2:
        raise ValueError(
            f"orthogonal_: Only tensors with 2 or more dimensions are supported, not {tuple(tensor.shape)}"
        )
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    sample = _float64(tensor).normal_(0.0, 1.0, generator=generator).numpy().reshape(rows, -1)
    wide = sample.shape[0] < sample.shape[1]
    q = _orthonormal(sample.T if wide else sample)
    return _set(tensor, gain * (q.T if wide else q).reshape(tuple(tensor.shape)))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Values of N(0, std²), of which the share `sparsity` of every column is set to 0 (Martens 2010).

    Errors: ValueError unless 2 dimensions. Source: torch.nn.init.sparse_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> int((nn.init.sparse_(pydl.empty(10, 4), sparsity=0.3) == 0).sum())
        12
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: Only tensors with 2 dimensions are supported, not {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    n_zeros = math.ceil(sparsity * rows)
    values = _float64(tensor).normal_(0.0, std, generator=generator).numpy()
    for column in range(columns):
        values[randperm(rows, generator=generator).numpy()[:n_zeros], column] = 0.0
    return _set(tensor, values)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of this weight sees, and how many outputs an input reaches."""
    if tensor.ndim < 2:
        raise ValueError(
            "init: Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, "
            f"here {tuple(tensor.shape)}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def _xavier_std(tensor: Tensor, gain: float) -> float:
    n = sum(_calculate_fan_in_and_fan_out(tensor))
    return gain * math.sqrt(2.0 / n) if n else 0.0


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"kaiming: Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def _float64(tensor: Tensor) -> Tensor:
    """A float64 tensor of the same shape to draw numbers into."""
    return tape.empty(tuple(tensor.shape), np.dtype("float64"))


def _set(tensor: Tensor, values: np.ndarray) -> Tensor:
    with autograd.no_grad():
        return tensor.copy_(tape.wrap(np.ascontiguousarray(values)))


def _orthonormal(a: np.ndarray) -> np.ndarray:
    """The factor Q of A = QR with a positive diagonal in R, by Householder's reflections; A is tall, and is changed.

    Written with elementwise work and sums in a fixed order, since LAPACK's bits depend on its number of threads.
    """
    a = np.array(a, order="C")
    m, n = a.shape
    reflectors = []
    signs = np.empty(n)
    for k in range(n):
        v = a[k:, k].copy()
        norm = math.sqrt((v * v).sum())
        signs[k] = -1.0 if v[0] > 0 else 1.0  # of R's diagonal: v is reflected onto ∓‖v‖ e₁ to avoid cancellation
        v[0] -= signs[k] * norm
        v *= math.sqrt(2.0) / max(math.sqrt((v * v).sum()), 1e-300)
        reflectors.append(v)
        _reflect(a[k:, k + 1 :], v)
    q = np.eye(m, n)
    for k in reversed(range(n)):
        _reflect(q[k:, k:], reflectors[k])
    return q * signs


def _reflect(a: np.ndarray, v: np.ndarray) -> None:
    """A ← (1 − v vᵀ) A for ‖v‖² = 2."""
    a -= v[:, None] * (v[:, None] * a).sum(axis=0)
