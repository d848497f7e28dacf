# SPDX-License-Identifier: BSD-3-Clause
"""Connectionist temporal classification: labels without alignment against a longer sequence of log-probabilities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pydl._core import ctc as core
from pydl._core import engine
from pydl._core.errors import IndexRangeError, ShapeError
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled, wrap
from pydl.ops._arrays import Array
from pydl.ops._checks import float_arg, ints_arg, reduction_arg, tensor_arg
from pydl.ops._declare import op
from pydl.ops.gathering import gather
from pydl.ops.joining import cat, stack
from pydl.ops.native import clamp, where

__all__ = ["ctc_loss"]


class Sequences(NamedTuple):
    """Sequence i has labels[starts[i]:starts[i] + counts[i]] and steps[i] steps; copies, all int64."""

    labels: Array
    starts: Array
    counts: Array
    steps: Array


def _lengths(value: Any, n: int, name: str) -> Array:
    """The lengths as n non-negative numbers, from a tensor or a tuple."""
    if isinstance(value, Tensor):
        array: Array = value.array
        if array.dtype.kind not in "iu":
            raise RuntimeError(f"ctc_loss: {name} must be integral, not {value.dtype}")
    elif isinstance(value, list | tuple):
        array = np.array(ints_arg(value, "ctc_loss", name), np.int64)
    else:
        raise TypeError(f"ctc_loss: {name} must be a Tensor or a tuple of ints, not {type(value).__name__}")
    if array.size != n or array.ndim > 1:
        raise ShapeError(f"ctc_loss: {name} must be of size batch_size: {array.shape} for {n} sequences")
    if (array < 0).any():
        raise ShapeError(
            f"ctc_loss: Expected {name} to have value at least 0, but got value {array.reshape(-1)[array < 0][0]}"
        )
    return array.reshape(-1).astype(np.int64)


def _labels(targets: Tensor, counts: Array) -> tuple[Array, Array]:
    """All labels in a row, and where each sequence's begin; targets are padded (N, S) or one after the other."""
    values: Array = targets.array
    if values.dtype.kind not in "iu":
        fractional = values[values != np.trunc(values)] if values.dtype.kind == "f" else values
        if fractional.size:
            raise RuntimeError(f"ctc_loss: targets must be integers, not {fractional.flat[0]} ({targets.dtype})")
    n, total = counts.size, int(counts.sum())
    if values.ndim == 2:
        longest = int(counts.max(initial=0))
        if values.shape[0] != n or values.shape[1] < longest:
            raise ShapeError(
                f"ctc_loss: targets {values.shape} do not hold {n} sequences of up to {longest} labels (target_lengths)"
            )
        starts = np.arange(n) * values.shape[1]
    elif values.ndim == 1:
        if values.size != total:
            raise ShapeError(
                f"ctc_loss: targets {values.shape} must hold the {total} labels that target_lengths adds up to"
            )
        starts = np.cumsum(counts) - counts
    else:
        raise ShapeError(f"ctc_loss: Expected 1 to 2 dimensions, but got {values.ndim}-dimensional targets")
    return np.array(values, np.int64, order="C").reshape(-1), starts.astype(np.int64)


# --- the same made of operations --------------------------------------------------------------------------------------

_DEAD = -1e30  # log-probability of what no path reaches: finite, so that differences of two such are 0


def _add(*terms: Tensor) -> Tensor:
    """log Σ exp of tensors of one shape."""
    every = stack(terms)
    largest = every.detach().amax(0)
    return largest + (every - largest).exp().sum(0).log()


def _paths(x: Tensor, sequences: Sequences, blank: int) -> Tensor:
    """The log-likelihoods (N) of log-probabilities x (T, N, C) by the forward recursion."""
    labels, starts, counts, steps = sequences
    n, longest = counts.size, int(counts.max(initial=0))
    place = np.minimum(starts[:, None] + np.arange(longest), max(labels.size - 1, 0))
    padded = np.where(np.arange(longest) < counts[:, None], labels[place] if labels.size else 0, blank)
    skip = np.full((n, longest), _DEAD)
    skip[:, 1:][padded[:, 1:] != padded[:, :-1]] = 0
    dtype = x.array.dtype
    skips, dead = wrap(skip.astype(dtype)), wrap(np.full((n, 1), _DEAD, dtype))
    alive = clamp(x, min=_DEAD)
    emitted: Any = gather(alive, 2, wrap(np.ascontiguousarray(np.broadcast_to(padded, (x.shape[0], *padded.shape)))))
    start = np.full((n, longest + 1), _DEAD, dtype)
    start[:, 0] = 0
    blanks, before = wrap(start), wrap(np.full((n, longest + 1), _DEAD, dtype))  # `before` is one place behind
    for t in range(int(steps.max(initial=0))):
        goes_on = wrap((steps > t)[:, None])
        through = _add(before[:, 1:], blanks[:, :-1], before[:, :-1] + skips) + emitted[t]
        after = _add(blanks, before) + alive[t, :, blank].unsqueeze(1)
        blanks, before = where(goes_on, after, blanks), where(goes_on, cat((dead, through), 1), before)
    last = wrap(counts[:, None])
    return _add(gather(blanks, 1, last), gather(before, 1, last)).squeeze(1)


def _gradient(g: Tensor, x: Tensor, sequences: Sequences, blank: int, lost: Array, values: Array) -> Tensor:
    """dx of −Σ g_i log-likelihood_i, differentiable itself; `values` in the sequences that are lost."""
    x = x.view(x.shape)  # a node of its own: what reaches it is this gradient alone
    (dx,) = engine.backward((_paths(x, sequences, blank),), (-g,), True, True, (x,), False, False)
    if not lost.any():
        return dx
    inside = np.arange(x.shape[0])[:, None] < sequences.steps
    constant = np.where(inside, values, 0.0).astype(x.array.dtype)
    return where(wrap(lost[None, :, None]), wrap(constant[:, :, None]), dx)


@op
class ctc_loss:
    """−log Σ_π Π_t p_t(π_t) over all paths π that read as the targets once repeats are merged and blanks dropped.

    "none": a loss for each sequence; "sum": their sum; "mean": each divided by its number of labels (at least 1), then
    the mean. A target that its input is too short for has the loss inf; zero_infinity makes it 0, gradient included.
    Shapes: log_probs (T, N, C), the logarithms of the classes' probabilities, or (T, C); targets (N, S), padded, or one
    after the other (Σ target_lengths); both lengths (N), tensors or tuples of ints; a scalar, or (N) for "none".
    Gradient: dx_tc = −P(the path is at class c at step t) dy, the derivative itself, and exactly 0 behind a sequence's
    end; through log_softmax that is (softmax − P) dy. NaN where the loss is inf. torch gives (softmax − P) dy here
    already, which is the same once it has passed through log_softmax.
    Errors: IndexError naming a label outside of [0, C); ShapeError for lengths and targets that do not fit;
    RuntimeError for a blank outside of [0, C), or an empty log_probs.
    Cost: T (2 S + 1) states a sequence, computed in compiled vectors and kept for the backward pass.
    Source: Graves et al. 2006, Connectionist Temporal Classification; F.ctc_loss.

    Example:
        >>> import pydl
        >>> import pydl.nn.functional as F
        >>> even = pydl.full((2, 1, 2), 0.5).log()  # two steps: 3 of the 4 paths (-1, 1-, 11; not --) read as 1
        >>> F.ctc_loss(even, pydl.tensor([[1]]), (2,), (1,)).exp()
        tensor(1.3333)
    """

    def check(
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Any,
        target_lengths: Any,
        blank: int = 0,
        reduction: str = "mean",
        zero_infinity: bool = False,
    ) -> tuple[Any, ...]:
        reduction = reduction_arg(None, None, reduction, "ctc_loss")
        float_arg(log_probs, "ctc_loss", "log_probs")
        tensor_arg(targets, "ctc_loss", "targets")
        shape = tuple(log_probs.shape)
        if len(shape) not in (2, 3):
            raise ShapeError(f"ctc_loss: Expected 3-dimensional tensor (T, N, C), or (T, C), but log_probs is {shape}")
        if 0 in shape:
            raise ShapeError(f"ctc_loss: log_probs tensor must not be empty, but is {shape}")
        n = shape[1] if len(shape) == 3 else 1
        steps = _lengths(input_lengths, n, "input_lengths")
        counts = _lengths(target_lengths, n, "target_lengths")
        if steps.max() > shape[0]:
            raise ShapeError(
                f"ctc_loss: Expected input_lengths to have value at most {shape[0]}, but got value {steps.max()}"
            )
        if not 0 <= blank < shape[-1]:
            raise IndexRangeError(f"ctc_loss: blank must be in label range: {blank} is not one of {shape[-1]} classes")
        sequences = Sequences(*_labels(targets, counts), counts, steps)
        return log_probs, sequences, int(blank), reduction, bool(zero_infinity)

    def forward(ctx: Any, x: Tensor, sequences: Sequences, blank: int, reduction: str, zero_infinity: bool) -> Tensor:
        batch = x if x.ndim == 3 else x.unsqueeze(1)
        likelihood, rows = core.ctc_fwd(batch, *sequences, blank, ctx.needs[0])
        scale = 1.0 / (np.maximum(sequences.counts, 1) * likelihood.size) if reduction == "mean" else 1.0
        losses: Any = -likelihood
        if zero_infinity:
            losses[np.isinf(losses)] = 0
        ctx.save(x, rows)
        ctx.how = sequences, blank, likelihood, scale, zero_infinity
        result = losses if reduction == "none" else (losses * scale).sum()
        return wrap(np.asarray(result[0] if result.ndim and x.ndim == 2 else result, x.array.dtype))

    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, rows = ctx.saved
        sequences, blank, likelihood, scale, zero_infinity = ctx.how
        batch = x if x.ndim == 3 else x.unsqueeze(1)
        undefined = np.where(
            np.isinf(likelihood) & zero_infinity, 0.0, np.nan
        )  # the gradient where a loss is not finite
        if is_grad_enabled():
            g = dy * wrap(np.full(likelihood.size, 1.0 * scale).astype(dy.array.dtype))
            dx = _gradient(g, batch, sequences, blank, ~np.isfinite(likelihood), undefined)
        else:
            g = np.where(np.isfinite(likelihood), dy.array * scale, undefined).astype(np.float64)
            dx = core.ctc_bwd(batch, rows, likelihood, *sequences, blank, g)
        return dx if x.ndim == 3 else dx.squeeze(1)
