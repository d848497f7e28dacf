# SPDX-License-Identifier: BSD-3-Clause
"""Normalisation per channel: batch norm, instance norm, group norm."""

from __future__ import annotations

import math
from typing import Any

from pydl._core import norm as core
from pydl._core.errors import ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl.ops import _norm_checks as checks
from pydl.ops._declare import op

__all__ = ["batch_norm", "group_norm", "instance_norm"]


def _but_channels(x: Any) -> tuple[int, ...]:
    """All dimensions but that of the channels."""
    return (0, *range(2, x.ndim))


def _of_fixed_statistics(dy: Any, x: Any, weight: Any, stats: Any, needs: tuple[bool, ...]) -> checks.Triple:
    """The gradients where mean and deviation are constants, with operations."""
    mean, rest, rstd = (checks.lead_shape(x, stats[i]) for i in range(3))
    dx = dw = db = None
    if needs[0]:
        dx = dy * rstd if weight is None else dy * (rstd * checks.lead_shape(x, weight))
    if needs[1]:
        dw = (dy * ((x - mean - rest) * rstd)).sum(_but_channels(x))
    if needs[2]:
        db = dy.sum(_but_channels(x))
    return dx, dw, db


def _grouped_gradients(
    dy: Any, x: Any, weight: Any, n_groups: int, eps: float, needs: tuple[bool, ...]
) -> checks.Triple:
    """The gradients of group norm with operations."""
    blocks = (x.shape[0], n_groups, x[0].numel() // n_groups if x.shape[0] and n_groups else 0)
    dx, dw, db = checks.differentiable_gradients(dy, x, checks.lead_shape(x, weight), blocks, (2,), eps, needs)
    return dx, checks.summed(dw, _but_channels(x)), checks.summed(db, _but_channels(x))


@op
class batch_norm:
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel over batch and positions.

    In training they are those of x, and the running statistics become (1 − momentum) r + momentum s, with the unbiased
    variance; otherwise the running statistics are used.

    Shapes: x (N, C, ...); running_mean, running_var, weight, bias (C), each may be None; y as x, in x's memory
    format. Gradient: dx = w/σ (dy − mean dy − h mean(dy h)) with h = (x − mean)/σ, dw = Σ dy h, db = Σ dy; with
    running statistics dx = w/σ dy. Of higher order by composition. Errors: ValueError for one value per channel in
    training, for one running statistic without the other, for an eps that is negative, or 0 in training;
    RuntimeError for sizes or types that do not fit and without running statistics in evaluation;
    NotImplementedError for integers. Notes: the variance takes two passes, so a mean 10⁶ times the deviation costs
    no accuracy. Source: Ioffe and Szegedy 2015; torch.nn.functional.batch_norm.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.batch_norm(pydl.tensor([[1.], [3.]]), None, None, training=True)
        tensor([[-1.0000],
                [ 1.0000]])
    """

    def check(
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> tuple[Any, ...]:
        x: Any = input
        checks.input_arg(x, "batch_norm")
        if training:
            checks.several_values((*x.shape[:1], *x.shape[2:]), x.shape, "batch_norm")
            checks.both_or_neither(running_mean, running_var, "batch_norm")
        elif running_mean is None or running_var is None:
            raise RuntimeError("batch_norm: running_mean and running_var must be defined in evaluation mode")
        checks.input_arg(x, "batch_norm", 2)
        checks.channel_args(x, running_mean, running_var, weight, bias, bool(training), "batch_norm")
        eps = checks.eps_arg(eps, "batch_norm", positive=bool(training))
        return x, weight, bias, running_mean, running_var, bool(training), float(momentum), eps

    def forward(
        ctx: Any, x: Tensor, w: Any, b: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float
    ) -> Tensor:
        y, stats = core.batch_norm_fwd(x, mean, var, w, b, training, momentum, eps)
        ctx.save(x, w, stats)
        ctx.training, ctx.eps = training, eps
        return y

    def backward(ctx: Any, dy: Tensor) -> checks.Triple:
        x, w, stats = ctx.saved
        if not is_grad_enabled():
            return core.batch_norm_bwd(dy, x, stats, w, ctx.training, *ctx.needs[:3])
        if not ctx.training:
            return _of_fixed_statistics(dy, x, w, stats, ctx.needs)
        dims, weight = _but_channels(x), checks.lead_shape(x, w)
        dx, dw, db = checks.differentiable_gradients(dy, x, weight, tuple(x.shape), dims, ctx.eps, ctx.needs)
        return dx, checks.summed(dw, dims), checks.summed(db, dims)


@op
class instance_norm:
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance of each channel of each sample apart.

    Running statistics, where given, become (1 − momentum) r + momentum s with s the average over the batch; they
    are used instead of x's own without `use_input_stats`.

    Shapes: x (N, C, ...) with at least one position dimension; running_mean, running_var, weight, bias (C), each
    may be None; y as x, in x's memory format. Gradient: as group_norm's with one channel a group. Of higher order
    by composition. Errors: ValueError for a single position, for one running statistic without the other;
    RuntimeError for sizes or types that do not fit; NotImplementedError for integers. Source: Ulyanov et al. 2016;
    torch.nn.functional.instance_norm.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.instance_norm(pydl.tensor([[[1., 3.]]]))
        tensor([[[-1.0000,  1.0000]]])
    """

    def check(
        input: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> tuple[Any, ...]:
        x: Any = input
        checks.input_arg(x, "instance_norm")
        if use_input_stats and math.prod(x.shape[2:]) == 1:
            raise ValueError(
                f"instance_norm: Expected more than 1 spatial element when training, got input size {x.shape}"
            )
        checks.both_or_neither(running_mean, running_var, "instance_norm")
        if not use_input_stats and running_mean is None:
            raise RuntimeError(
                "instance_norm: Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        checks.input_arg(x, "instance_norm", 3)
        checks.channel_args(x, running_mean, running_var, weight, bias, bool(use_input_stats), "instance_norm")
        eps = float(eps)
        return x, weight, bias, running_mean, running_var, bool(use_input_stats), float(momentum), eps

    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor, mean: Tensor, var: Tensor, own: bool, momentum: float, eps: float
    ) -> Tensor:
        if own:
            y, stats = core.group_norm_fwd(x, x.shape[1], mean, var, w, b, momentum, eps)
        else:
            y, stats = core.batch_norm_fwd(x, mean, var, w, b, False, momentum, eps)
        ctx.save(x, w, stats)
        ctx.own, ctx.eps = own, eps
        return y

    def backward(ctx: Any, dy: Tensor) -> checks.Triple:
        x, w, stats = ctx.saved
        if is_grad_enabled():
            if not ctx.own:
                return _of_fixed_statistics(dy, x, w, stats, ctx.needs)
            return _grouped_gradients(dy, x, w, x.shape[1], ctx.eps, ctx.needs)
        if not ctx.own:
            return core.batch_norm_bwd(dy, x, stats, w, False, *ctx.needs[:3])
        return core.group_norm_bwd(dy, x, stats, x.shape[1], w, *ctx.needs[:3])


@op
class group_norm:
    """y = (x − mean) / √(var + eps) · weight + bias, mean and variance over a group of channels and all positions.

    The C channels of each sample fall into `num_groups` groups of neighbours.

    Shapes: x (N, C, ...), weight and bias (C), each may be None; y as x, in x's memory format. Gradient: dx = (w dy
    − mean(w dy) − h mean(w dy h))/σ with means over the group, dw = Σ dy h, db = Σ dy. Of higher order by
    composition. Errors: ShapeError if the groups do not divide the channels; ValueError for one value per group;
    RuntimeError for sizes or types that do not fit; NotImplementedError for integers. Source: Wu and He 2018;
    torch.nn.functional.group_norm.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> F.group_norm(pydl.tensor([[1., 3., 7., 5.]]), 2)
        tensor([[-1.0000,  1.0000,  1.0000, -1.0000]])
    """

    def check(
        input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
    ) -> tuple[Any, ...]:
        x: Any = input
        checks.input_arg(x, "group_norm", 2)
        channels = x.shape[1]
        if num_groups < 1:
            raise ShapeError(f"group_norm: Expected num groups to be greater than 0, got {num_groups}")
        if channels % num_groups:
            raise ShapeError(
                f"group_norm: Expected number of channels in input to be divisible by num_groups, "
                f"but got input of shape {list(x.shape)} and num_groups={num_groups}"
            )
        checks.several_values((x.shape[0] * channels // num_groups, *x.shape[2:]), x.shape, "group_norm")
        checks.channel_args(x, None, None, weight, bias, False, "group_norm")
        return x, weight, bias, int(num_groups), float(eps)

    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, n_groups: int, eps: float) -> Tensor:
        y, stats = core.group_norm_fwd(x, n_groups, None, None, w, b, 0.0, eps)
        ctx.save(x, w, stats)
        ctx.n_groups, ctx.eps = n_groups, eps
        return y

    def backward(ctx: Any, dy: Tensor) -> checks.Triple:
        x, w, stats = ctx.saved
        if is_grad_enabled():
            return _grouped_gradients(dy, x, w, ctx.n_groups, ctx.eps, ctx.needs)
        return core.group_norm_bwd(dy, x, stats, ctx.n_groups, w, *ctx.needs[:3])
