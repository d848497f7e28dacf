# SPDX-License-Identifier: BSD-3-Clause
"""Limiting gradients by their common norm or one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pydl import autograd
from pydl._core import clipping, dtypes, tape
from pydl.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [param.grad for param in parameters if param.grad is not None]


def _norm(tensors: list[Tensor], norm_type: float) -> float:
    """The norm of all tensors as one vector; those of the usual powers are one compiled pass."""
    if norm_type in (1.0, 2.0, math.inf):
        return clipping.total_norm(tensors, norm_type)
    if norm_type == -math.inf:
        return min(float(tensor.abs().min()) for tensor in tensors)
    if norm_type == 0:
        return float(sum(bool((tensor != 0).any()) for tensor in tensors))  # of the norms of the tensors, as PyTorch
    total = sum(float((tensor.double().abs() ** norm_type).sum()) for tensor in tensors)
    return float(np.power(np.float64(total), 1.0 / norm_type))


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """‖g‖_p of all tensors as one vector: (Σ |g_i|^p)^(1/p), or max |g_i| for p = ∞.

    Sums are taken in float64 and in an order that depends on the shapes alone. No gradient. `foreach` is accepted
    without effect.

    Errors: RuntimeError for a norm that is not finite, if asked. Source: torch.nn.utils.get_total_norm.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.utils.get_total_norm([pydl.tensor([3.0]), pydl.tensor([4.0])])
        tensor(5.)
    """
    norm_type = float(norm_type)
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not tensors:
        return tape.empty((), dtypes.as_np(dtypes.get_default_dtype())).fill_(0.0)
    with autograd.no_grad():
        norm = _norm(tensors, norm_type)
    wide = any(tensor.dtype is dtypes.float64 for tensor in tensors)
    total: Tensor = tape.empty((), np.dtype(np.float64 if wide else np.float32))
    total.fill_(norm)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"clip_grad: The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """g ← g · min(1, max_norm / (total_norm + 1e-6)) for the gradients g of the parameters, in place.

    Source: torch.nn.utils.clip_grads_with_norm_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> p = nn.Parameter(pydl.ones(1))
        >>> p.grad = pydl.tensor([4.0])
        >>> nn.utils.clip_grads_with_norm_(p, 1.0, pydl.tensor(8.0))
        >>> p.grad
        tensor([0.5000])
    """
    # In this order min keeps a NaN: a norm that is NaN makes the gradients NaN instead of passing unseen.
    factor = min(float(max_norm) / (total_norm.item() + 1e-6), 1.0)
    clipping.scale(_gradients(parameters), factor)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales all gradients by one factor so that their common norm is at most `max_norm`; returns the norm before.

    Source: torch.nn.utils.clip_grad_norm_; Pascanu et al. 2013, against exploding gradients.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> p = nn.Parameter(pydl.ones(2))
        >>> p.grad = pydl.tensor([3.0, 4.0])
        >>> nn.utils.clip_grad_norm_([p], max_norm=1.0)
        tensor(5.)
        >>> p.grad
        tensor([0.6000, 0.8000])
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """g ← min(max(g, −clip_value), clip_value), elementwise and in place. Source: torch.nn.utils.clip_grad_value_.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> p = nn.Parameter(pydl.ones(2))
        >>> p.grad = pydl.tensor([-3.0, 0.5])
        >>> nn.utils.clip_grad_value_([p], 1.0)
        >>> p.grad
        tensor([-1.0000,  0.5000])
    """
    bound = float(clip_value)
    clipping.clamp(_gradients(parameters), -bound, bound)
