# SPDX-License-Identifier: BSD-3-Clause
"""What connectionist temporal classification computes: the recursion over probabilities, and all paths one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def split(targets: Array, counts: Any) -> list[Array]:
    """The labels of each sequence."""
    if targets.ndim == 2:
        return [row[:n] for row, n in zip(targets, counts, strict=True)]
    ends = np.cumsum(counts)
    return [targets[end - n : end] for n, end in zip(counts, ends, strict=True)]


def likelihood(p: Array, labels: Array, blank: int) -> Any:
    """Σ over all paths of Π p_t(path_t), for probabilities (T, C), state by state."""
    states = [blank] + [c for label in labels for c in (int(label), blank)]
    a = np.zeros(len(states) + 2, p.dtype)  # two in front of the first one, which no path is in
    a[1] = 1
    for row in p:
        new = np.zeros_like(a)
        for s, c in enumerate(states):
            skip = s == 1 or (s > 1 and c != states[s - 2])  # to label 0 only from in front of everything
            new[s + 2] = (a[s + 2] + a[s + 1] + (a[s] if skip else 0)) * row[c]
        a = new
    return (a[1] if len(p) == 0 else 0) * (not len(labels)) + a[-1] + (a[-2] if len(labels) else 0)


def enumerated(p: Array, labels: Array, blank: int) -> float:
    """The same by writing down every path, merging repeats and dropping blanks."""
    total = 0.0
    for path in itertools.product(range(p.shape[1]), repeat=p.shape[0]):
        read = [c for c, _ in itertools.groupby(path) if c != blank]
        if read == list(labels):
            total += float(np.prod([p[t, c] for t, c in enumerate(path)]))
    return total


def ctc_loss(
    log_probs: Array, targets: Array, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    batch = log_probs if log_probs.ndim == 3 else log_probs[:, None]
    steps, counts = (np.asarray(v).reshape(-1) for v in (input_lengths, target_lengths))
    with np.errstate(divide="ignore"):
        losses = np.array(
            [
                -np.log(likelihood(np.exp(batch[:n, i]), labels, blank))
                for i, (n, labels) in enumerate(zip(steps, split(targets, counts), strict=True))
            ]
        )
    if zero_infinity:
        losses[np.isinf(losses)] = 0
    if reduction == "mean":
        return (losses / np.maximum(counts, 1)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if log_probs.ndim == 3 else losses[0]


def of_logits(x: Array, *args: Any, **kwargs: Any) -> Any:
    largest = x.max(-1, keepdims=True)
    return ctc_loss(x - largest - np.log(np.exp(x - largest).sum(-1, keepdims=True)), *args, **kwargs)
