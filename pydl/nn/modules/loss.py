# SPDX-License-Identifier: BSD-3-Clause
"""Losses as modules. `reduction` is "mean", "sum" or "none" (a loss for each element or sample)."""

from __future__ import annotations

import warnings
from typing import Any

from pydl.nn import functional as F
from pydl.nn.modules.module import Module
from pydl.tensor import Tensor

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CrossEntropyLoss", "HuberLoss", "L1Loss", "MSELoss", "NLLLoss",
    "SmoothL1Loss", "legacy_reduction",
]  # fmt: skip


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the two old arguments meant, where one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    result = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(f"size_average and reduce are deprecated: use reduction='{result}'", stacklevel=4)
    return result


class _Loss(Module):
    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = legacy_reduction(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """|x − t|, averaged.

    Shapes: x and t any, the same. Gradient: sign(x − t) / N. Errors: as `nn.functional.l1_loss`.
    Source: torch.nn.L1Loss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.L1Loss()(pydl.tensor([1.0, 2.0]), pydl.tensor([3.0, 2.0]))
        tensor(1.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """(x − t)², averaged.

    Shapes: x and t any, the same. Gradient: 2 (x − t) / N. Errors: as `nn.functional.mse_loss`.
    Source: torch.nn.MSELoss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.MSELoss()(pydl.tensor([1.0, 2.0]), pydl.tensor([3.0, 2.0]))
        tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """½ d² / β where d = |x − t| < β, else d − ½ β, averaged: a parabola that becomes a straight line.

    Shapes: x and t any, the same. Gradient: clip((x − t) / β, −1, 1) / N. Errors: RuntimeError for β < 0.
    Source: torch.nn.SmoothL1Loss; Girshick 2015.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.SmoothL1Loss(reduction="none")(pydl.tensor([0.5, 3.0]), pydl.tensor([0.0, 0.0]))
        tensor([0.1250, 2.5000])
    """

    beta: float

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """½ d² where d = |x − t| < δ, else δ (d − ½ δ), averaged: δ times the smooth L1 loss of β = δ.

    Shapes: x and t any, the same. Gradient: clip(x − t, −δ, δ) / N. Errors: RuntimeError for δ ≤ 0.
    Source: torch.nn.HuberLoss; Huber 1964.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.HuberLoss(reduction="none", delta=2.0)(pydl.tensor([0.5, 3.0]), pydl.tensor([0.0, 0.0]))
        tensor([0.1250, 4.0000])
    """

    delta: float

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class NLLLoss(_WeightedLoss):
    """−w_t x_t of log-probabilities x at the true class t; the mean divides by Σ w_t.

    Shapes: x (N, C, ...) or (C), t (N, ...) of class numbers, w (C). Gradient: −w_t / Σ w_t at the true class.
    Errors: IndexError for a class outside of 0 … C−1 other than `ignore_index`. Source: torch.nn.NLLLoss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.NLLLoss()(nn.LogSoftmax(1)(pydl.zeros(1, 2)), pydl.tensor([1]))
        tensor(0.6931)
    """

    ignore_index: int

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """−log softmax(x)_t of logits x at the true class t, or −Σ_c p_c log softmax(x)_c for class probabilities p.

    `label_smoothing` ε mixes the target with the uniform law: (1 − ε) p + ε / C.
    Shapes: x (N, C, ...) or (C), t (N, ...) of class numbers or of the shape of x, weight (C).
    Gradient: (softmax(x) − p) / N. Errors: IndexError for a class outside of 0 … C−1 other than `ignore_index`.
    Source: torch.nn.CrossEntropyLoss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.CrossEntropyLoss()(pydl.zeros(1, 2), pydl.tensor([1]))
        tensor(0.6931)
    """

    ignore_index: int
    label_smoothing: float

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(_WeightedLoss):
    """−w (t log x + (1 − t) log(1 − x)) of probabilities x; each log is kept ≥ −100.

    Shapes: x and t any, the same; w broadcasts. Gradient: w (x − t) / (x (1 − x)) / N.
    Errors: RuntimeError for x outside of [0, 1]. Source: torch.nn.BCELoss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.BCELoss()(pydl.tensor([0.5]), pydl.tensor([1.0]))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """−w (p t log σ(x) + (1 − t) log(1 − σ(x))) of logits x, without overflow; p weighs the positive class.

    Shapes: x and t any, the same; w and p broadcast. Gradient: w (σ(x) − t) / N where p = 1. Errors: as
    `nn.functional.binary_cross_entropy_with_logits`. Source: torch.nn.BCEWithLogitsLoss.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> nn.BCEWithLogitsLoss()(pydl.tensor([0.0]), pydl.tensor([1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """−log of the summed probabilities of all alignments of a target with a longer input.

    Shapes: log_probs (T, N, C) or (T, C), targets (N, S) or all of them one after the other, lengths (N); see
    `nn.functional.ctc_loss`. Gradient: minus the probability of each class at each step, given the target.
    Errors: IndexError for a label outside of [0, C); ShapeError. Source: torch.nn.CTCLoss; Graves et al. 2006.

    Example:
        >>> import pydl
        >>> from pydl import nn
        >>> even = pydl.full((2, 1, 2), 0.5).log()
        >>> nn.CTCLoss()(even, pydl.tensor([[1]]), (2,), (1,))
        tensor(0.2877)
    """

    blank: int
    zero_infinity: bool

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
