# SPDX-License-Identifier: BSD-3-Clause
"""Batch normalisation, and what it shares with instance normalisation."""

from __future__ import annotations

from typing import Any

from pydl import creation
from pydl._core import dtypes
from pydl.nn import functional as F
from pydl.nn import init
from pydl.nn.modules.linear import new_parameter
from pydl.nn.modules.module import Module
from pydl.nn.parameter import Parameter
from pydl.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "check_dims"]


class _NormBase(Module):
    """Weight and bias per channel, and running statistics: mean, variance, and the number of batches they come from."""

    _version = 2
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, present in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, new_parameter(num_features, dtype=dtype, device=device) if present else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", creation.ones(num_features, dtype=dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", creation.zeros((), dtype=dtypes.int64) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Mean 0, variance 1, no batch seen."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the running statistics as at the start."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and self.num_batches_tracked is not None and key not in state_dict:
            state_dict[key] = self.num_batches_tracked  # version 1 did not count batches
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


def check_dims(name: str, input: Tensor, *dims: int) -> None:
    """Raises unless the input has one of these numbers of dimensions."""
    if input.ndim not in dims:
        wanted = " or ".join(f"{d}D" for d in dims)
        raise ValueError(f"{name}: expected {wanted} input (got {input.ndim}D input {tuple(input.shape)})")


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        updates = self.training and self.track_running_stats
        reads = not self.training or self.track_running_stats
        factor = 0.0 if self.momentum is None else self.momentum
        count = self.num_batches_tracked if updates else None
        if count is not None and self.momentum is None:
            factor = 1.0 / (int(count.item()) + 1)  # the average of all batches so far
        y = F.batch_norm(
            input,
            self.running_mean if reads else None,
            self.running_var if reads else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            factor,
            self.eps,
        )
        if count is not None:
            count.add_(1)
        return y


class BatchNorm1d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel over batch and positions.

    In evaluation mode the running statistics are used; `momentum=None` makes them averages over all batches.

    Shapes: x (N, C) or (N, C, L), y as x; weight, bias, running_mean, running_var (C), num_batches_tracked 0-d.
    Weight starts at 1, bias at 0. Gradient: see `nn.functional.batch_norm`.
    Errors: ValueError for other dimensions, and for one value per channel in training. Source: torch.nn.BatchNorm1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> m = nn.BatchNorm1d(100)
        >>> m(pydl.randn(20, 100)).shape
        pydl.Size([20, 100])
        >>> list(m.state_dict())
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("BatchNorm1d", input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel over the batch and all pixels.

    Shapes: x (N, C, H, W), y as x and in its memory format; otherwise as `BatchNorm1d`. Gradient, errors: as
    `BatchNorm1d`. Source: torch.nn.BatchNorm2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.BatchNorm2d(3, affine=False)(pydl.randn(2, 3, 5, 4)).shape
        pydl.Size([2, 3, 5, 4])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("BatchNorm2d", input, 4)


class BatchNorm3d(_BatchNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel over the batch and all voxels.

    Shapes: x (N, C, D, H, W), y as x; otherwise as `BatchNorm1d`. Gradient, errors: as `BatchNorm1d`.
    Source: torch.nn.BatchNorm3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.BatchNorm3d(3)(pydl.randn(2, 3, 2, 5, 4)).shape
        pydl.Size([2, 3, 2, 5, 4])
    """

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("BatchNorm3d", input, 5)
