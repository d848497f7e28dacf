# SPDX-License-Identifier: BSD-3-Clause
"""A line search for a step that satisfies the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Point", "strong_wolfe"]

DECREASE, CURVATURE = 1e-4, 0.9


@dataclass
class Point:
    """A step along the direction: its length, the loss there, the gradient, and the slope along the direction."""

    t: float
    loss: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through both points with their slopes is smallest, within the bounds (default: between them)."""
    low, high = bounds or (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square**0.5
    left, right = (a, b) if a.t <= b.t else (b, a)
    divisor = right.slope - left.slope + 2 * d2
    if divisor == 0:
        return (low + high) / 2.0
    at = right.t - (right.t - left.t) * ((right.slope + d2 - d1) / divisor)
    return min(max(at, low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, size: float, tolerance: float, max_steps: int
) -> tuple[Point, int]:
    """A step with loss ≤ loss₀ + 1e-4 t slope₀ and |slope| ≤ 0.9 |slope₀|, and how often `evaluate` was called.

    First the steps grow until two of them hold such a one between them, then that interval shrinks. `size` is the
    largest element of the direction: an interval below `tolerance` / size is small enough. Source: Nocedal and Wright,
    Numerical Optimization, algorithms 3.5 and 3.6.
    """
    new, before, n = evaluate(t), start, 0
    bracket: list[Point] = []
    while n < max_steps:
        if new.loss > start.loss + DECREASE * new.t * start.slope or (n > 1 and new.loss >= before.loss):
            bracket = [before, new]
            break
        if abs(new.slope) <= -CURVATURE * start.slope:
            return new, n + 1
        if new.slope >= 0:
            bracket = [before, new]
            break
        t = cubic_minimum(before, new, (new.t + 0.01 * (new.t - before.t), new.t * 10))
        before, new, n = new, evaluate(t), n + 1
    return _shrink(evaluate, start, bracket or [start, new], size, tolerance, max_steps, n)


def _shrink(
    evaluate: Callable[[float], Point],
    start: Point,
    bracket: list[Point],
    size: float,
    tolerance: float,
    max_steps: int,
    n: int,
) -> tuple[Point, int]:
    """The second phase: `bracket` holds the better end first."""
    low, high = bracket if bracket[0].loss <= bracket[1].loss else bracket[::-1]
    stuck = False
    while n < max_steps and abs(high.t - low.t) * size >= tolerance:
        t, stuck = _inside(low, high, stuck)
        new, n = evaluate(t), n + 1
        if new.loss > start.loss + DECREASE * t * start.slope or new.loss >= low.loss:
            high = new
            if high.loss < low.loss:
                low, high = high, low
        elif abs(new.slope) <= -CURVATURE * start.slope:
            return new, n + 1
        else:
            if new.slope * (high.t - low.t) >= 0:
                high = low
            low = new
    return low, n + 1


def _inside(low: Point, high: Point, stuck: bool) -> tuple[float, bool]:
    """A step inside the interval, kept off its ends where the last one was near one already."""
    ends = (min(low.t, high.t), max(low.t, high.t))
    t, margin = cubic_minimum(low, high), 0.1 * (ends[1] - ends[0])
    if min(ends[1] - t, t - ends[0]) >= margin:
        return t, False
    if not stuck and ends[0] < t < ends[1]:
        return t, True
    return (ends[1] - margin if abs(t - ends[1]) < abs(t - ends[0]) else ends[0] + margin), False
