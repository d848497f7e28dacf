# SPDX-License-Identifier: BSD-3-Clause
"""Dropout: of elements, of channels, and the forms that keep mean and variance of selu networks."""

from __future__ import annotations

import warnings
from typing import Any

from pydl._core import dropout as core
from pydl._core.tape import TensorBase as Tensor
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import composite

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _drop(
    op_name: str, input: Any, p: float, training: bool, inplace: bool, features: bool = False, alpha: bool = False
) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"{op_name}: dropout probability has to be between 0 and 1, but got {p}")
    tensor_arg(input, op_name, "input")
    if features and training and p > 0 and input.ndim < 2:
        raise RuntimeError(
            f"{op_name}: Feature dropout requires at least 2 dimensions in the input, not {tuple(input.shape)}"
        )
    if p == 0 or not training:
        return input
    return core.drop(op_name, input, p, features, alpha, inplace)


@composite
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """y_i = x_i m_i / (1 − p) with m_i = 0 with probability p, else 1, in training; else x itself.

    The mask depends on the generator and on the index of the element alone, not on threads or memory format.
    Shapes: any. Gradient: dx_i = dy_i m_i / (1 − p). Errors: ValueError for p outside of [0, 1]; RuntimeError for
    integers. Source: torch.nn.functional.dropout.

    Example:
        >>> import pydl
        >>> y = pydl.dropout(pydl.ones(1000), 0.25)
        >>> sorted(set(y.tolist())), 0.2 < (y == 0).float().mean().item() < 0.3
        ([0.0, 1.3333333730697632], True)
    """
    return _drop("dropout", input, p, training, inplace)


@composite
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """y = a (x where kept, else α′) + b: dropped elements become α′ = −1.758, the limit of selu at −∞.

    a and b are such that mean 0 and variance 1 stay.
    Shapes: any. Gradient: dx = a dy where kept, else 0. Errors: as dropout. Source: torch.nn.functional.alpha_dropout.

    Example:
        >>> import pydl
        >>> y = pydl.alpha_dropout(pydl.randn(10000), 0.5, training=True)
        >>> abs(y.mean().item()) < 0.1, abs(y.std().item() - 1) < 0.1
        (True, True)
    """
    return _drop("alpha_dropout", input, p, training, inplace, alpha=True)


@composite
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels: one draw for each (n, c).

    Shapes: (N, C, ...). Gradient, Errors: as alpha_dropout; RuntimeError for fewer than 2 dimensions.
    Source: torch.nn.functional.feature_alpha_dropout.

    Example:
        >>> import pydl
        >>> y = pydl.nn.functional.feature_alpha_dropout(pydl.ones(8, 4, 5), 0.5, training=True)
        >>> bool((y == y[:, :, :1]).all())
        True
    """
    return _drop("feature_alpha_dropout", input, p, training, inplace, features=True, alpha=True)


def _channels(op_name: str, input: Any, p: float, training: bool, inplace: bool, spatial: int) -> Tensor:
    """Dropout of channels; an input without batch dimension is a batch of one."""
    if not 0 <= p <= 1:
        raise ValueError(f"{op_name}: dropout probability has to be between 0 and 1, but got {p}")
    tensor_arg(input, op_name, "input")
    ndim = input.ndim
    if ndim not in (spatial + 1, spatial + 2):
        text = (
            f"{op_name}: Received a {ndim}-D input to {op_name}, which is deprecated and will result in an error in a "
            f"future release. To retain the behavior and silence this warning, please use dropout instead."
        )
        warnings.warn(text, stacklevel=3)
    elif spatial == 2 and ndim == 3:
        text = (
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L). To maintain it, please switch to using dropout1d instead."
        )
        warnings.warn(text, stacklevel=3)
    if spatial == 2 or ndim == spatial + 2:
        return _drop(op_name, input, p, training, inplace, features=True)
    result: Any = _drop(op_name, input.unsqueeze(0), p, training, inplace, features=True)
    return input if inplace else result.squeeze(0)


@composite
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels: y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, L) or (C, L). Gradient: dx_nc = dy_nc m_nc / (1 − p).
    Errors: ValueError for p outside of [0, 1]; RuntimeError for other shapes. Source: torch.nn.functional.dropout1d.

    Example:
        >>> import pydl
        >>> y = pydl.nn.functional.dropout1d(pydl.ones(8, 4, 5))
        >>> bool((y == y[:, :, :1]).all())
        True
    """
    tensor_arg(input, "dropout1d", "input")
    if not 0 <= p <= 1:
        raise ValueError(f"dropout1d: dropout probability has to be between 0 and 1, but got {p}")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input {tuple(input.shape)}: channels, "
            "one spatial dimension, and an optional batch dimension."
        )
    return _channels("dropout1d", input, p, training, inplace, 1)


@composite
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels: y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, H, W); (N, C, L) with a warning. Gradient: dx_nc = dy_nc m_nc / (1 − p).
    Errors: ValueError for p outside of [0, 1]; RuntimeError for fewer than 2 dimensions.
    Source: torch.nn.functional.dropout2d.

    Example:
        >>> import pydl
        >>> y = pydl.nn.functional.dropout2d(pydl.ones(8, 4, 5, 5))
        >>> bool((y == y[:, :, :1, :1]).all())
        True
    """
    return _channels("dropout2d", input, p, training, inplace, 2)


@composite
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Dropout of whole channels: y_nc = x_nc m_nc / (1 − p).

    Shapes: (N, C, D, H, W) or (C, D, H, W). Gradient: dx_nc = dy_nc m_nc / (1 − p).
    Errors: ValueError for p outside of [0, 1]. Source: torch.nn.functional.dropout3d.

    Example:
        >>> import pydl
        >>> y = pydl.nn.functional.dropout3d(pydl.ones(8, 4, 5, 5, 5))
        >>> bool((y == y[:, :, :1, :1, :1]).all())
        True
    """
    return _channels("dropout3d", input, p, training, inplace, 3)
