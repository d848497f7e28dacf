# SPDX-License-Identifier: BSD-3-Clause
"""Instance normalisation: batch normalisation of every sample on its own."""

from __future__ import annotations

import warnings
from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.batchnorm import _NormBase, check_dims
from pydl.tensor import Tensor

__all__ = ["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"]


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        """The number of dimensions of a single sample."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        dim = input.ndim - self._get_no_batch_dim()  # of the channels
        size = input.shape[dim]
        if size != self.num_features:
            if self.affine:
                raise ValueError(
                    f"{type(self).__name__}: expected input's size at dim={dim} to match num_features "
                    f"({self.num_features}), but got: {size} (input {tuple(input.shape)})."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. num_features is not used because affine=False",
                stacklevel=2,
            )
        y = F.instance_norm(
            input if dim else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return y if dim else y.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel of each sample apart.

    Without `affine` there are no weight and bias; with `track_running_stats` evaluation uses running statistics.

    Shapes: x (N, C, L) or (C, L), y as x; weight, bias, running_mean, running_var (C).
    Gradient: see `nn.functional.instance_norm`.
    Errors: ValueError for other dimensions, for a single position, and for another number of channels if affine.
    Source: torch.nn.InstanceNorm1d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.InstanceNorm1d(100)(pydl.randn(20, 100, 40)).shape
        pydl.Size([20, 100, 40])
    """

    def _get_no_batch_dim(self) -> int:
        return 2

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("InstanceNorm1d", input, 2, 3)


class InstanceNorm2d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel of each sample over its pixels.

    Shapes: x (N, C, H, W) or (C, H, W), y as x; otherwise as `InstanceNorm1d`. Gradient, errors: as `InstanceNorm1d`.
    Source: torch.nn.InstanceNorm2d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.InstanceNorm2d(3, affine=True)(pydl.randn(2, 3, 5, 4)).shape
        pydl.Size([2, 3, 5, 4])
    """

    def _get_no_batch_dim(self) -> int:
        return 3

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("InstanceNorm2d", input, 3, 4)


class InstanceNorm3d(_InstanceNorm):
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel of each sample over its voxels.

    Shapes: x (N, C, D, H, W) or (C, D, H, W), y as x; otherwise as `InstanceNorm1d`. Gradient, errors: as
    `InstanceNorm1d`. Source: torch.nn.InstanceNorm3d.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.InstanceNorm3d(3)(pydl.randn(2, 3, 2, 5, 4)).shape
        pydl.Size([2, 3, 2, 5, 4])
    """

    def _get_no_batch_dim(self) -> int:
        return 4

    def _check_input_dim(self, input: Tensor) -> None:
        check_dims("InstanceNorm3d", input, 4, 5)
