# SPDX-License-Identifier: BSD-3-Clause
"""L-BFGS: a quasi-Newton method for full batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydl import autograd, ops
from pydl.optim._compiled import check_rate
from pydl.optim._line_search import Point, strong_wolfe
from pydl.optim.optimizer import Optimizer
from pydl.tensor import Tensor

__all__ = ["LBFGS"]

MIN_CURVATURE = 1e-10


class LBFGS(Optimizer):
    """θ ← θ − t H g with H the inverse Hessian that the last `history_size` changes of θ and g suggest.

    A step does up to `max_iter` iterations with up to `max_eval` (default 1.25 max_iter) evaluations of `closure`, and
    ends when max |g| ≤ `tolerance_grad` or θ or the loss change by less than `tolerance_change`. The length t is `lr`
    (less in the first iteration), or found by `line_search_fn="strong_wolfe"`. One parameter group only.

    Errors: ValueError for more groups or a negative lr; RuntimeError for another line search.
    Source: torch.optim.LBFGS; Nocedal and Wright, Numerical Optimization, algorithm 7.5.

    Example:
        >>> import pydl
        >>> from pydl import nn, optim
        >>> p = nn.Parameter(pydl.tensor([-1.0, 1.5]))
        >>> opt = optim.LBFGS([p], line_search_fn="strong_wolfe", max_iter=50)
        >>> def closure():
        ...     opt.zero_grad()
        ...     loss = 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        ...     loss.backward()
        ...     return loss
        >>> first = opt.step(closure)
        >>> (p - 1).abs().max().item() < 1e-3
        True
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_rate("LBFGS", lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Any]:
        params: list[Any] = self.param_groups[0]["params"]
        return params

    def _gradient(self) -> Any:
        """All gradients as one vector; zeros where there is none."""
        parts = [(p.detach() * 0 if p.grad is None else p.grad).reshape(-1) for p in self._params]
        return ops.cat(parts)

    def _move(self, t: float, direction: Any) -> None:
        start = 0
        for p in self._params:
            end = start + p.numel()
            p.add_(direction[start:end].view(p.shape), alpha=t)
            start = end

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """One step of several iterations; `closure` computes loss and gradients. Returns the first loss."""
        with autograd.no_grad():
            return self._step(closure)

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        with autograd.enable_grad():
            loss = closure()
        return loss

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(
                f"LBFGS: only 'strong_wolfe' is supported as line_search_fn, not {group['line_search_fn']!r}"
            )
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = self._evaluate(closure)
        loss, gradient, n_evaluated = float(first), self._gradient(), 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = _direction(state, gradient, group["history_size"])
            previous, state["prev_flat_grad"], state["prev_loss"] = loss, gradient, loss
            t = float(group["lr"])
            if state["n_iter"] == 1:
                t *= min(1.0, 1.0 / float(gradient.abs().sum()))
            state["d"], state["t"] = direction, t
            slope = float(gradient.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            here = Point(0.0, loss, gradient, slope)
            last = n == group["max_iter"]
            found, n_new = self._advance(closure, here, direction, t, group["max_eval"] - n_evaluated, last)
            loss, gradient, state["t"] = found.loss, found.gradient, found.t
            n_evaluated += n_new
            state["func_evals"] += n_new
            if last or n_evaluated >= group["max_eval"] or _largest(gradient) <= group["tolerance_grad"]:
                break
            if min(_largest(direction) * found.t, abs(loss - previous)) <= group["tolerance_change"]:
                break
        return first

    def _advance(
        self, closure: Callable[[], Any], here: Point, direction: Any, t: float, n_left: int, last: bool
    ) -> tuple[Point, int]:
        """Moves the parameters along the direction; the new point, and how often the closure was called."""
        if self.param_groups[0]["line_search_fn"] is None:
            self._move(t, direction)
            if last:  # nobody would look at the loss
                return Point(t, here.loss, here.gradient, here.slope), 0
            return Point(t, float(self._evaluate(closure)), self._gradient(), here.slope), 1
        start = [p.detach().clone() for p in self._params]

        def try_step(length: float) -> Point:
            self._move(length, direction)
            loss, gradient = float(self._evaluate(closure)), self._gradient()
            for p, value in zip(self._params, start, strict=True):
                p.copy_(value)
            return Point(length, loss, gradient, float(gradient.dot(direction)))

        tolerance = self.param_groups[0]["tolerance_change"]
        found, n = strong_wolfe(try_step, here, t, _largest(direction), tolerance, n_left)
        self._move(found.t, direction)
        return found, n


def _largest(x: Any) -> float:
    return float(x.abs().max())


def _direction(state: dict[str, Any], gradient: Any, history_size: int) -> Any:
    """−H g by the two loops over the history, after the last change has been added to it."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -gradient
    y, s = gradient - state["prev_flat_grad"], state["d"] * float(state["t"])
    curvature = float(y.dot(s))
    changes, steps, weights = state["old_dirs"], state["old_stps"], state["ro"]
    if curvature > MIN_CURVATURE:
        if len(changes) == history_size:
            for history in (changes, steps, weights):
                history.pop(0)
        changes.append(y)
        steps.append(s)
        weights.append(1.0 / curvature)
        state["H_diag"] = curvature / float(y.dot(y))
    q, shares = -gradient, []
    for change, step, weight in zip(changes[::-1], steps[::-1], weights[::-1], strict=True):
        shares.append(float(step.dot(q)) * float(weight))
        q = q - shares[-1] * change
    r = q * float(state["H_diag"])
    for change, step, weight, share in zip(changes, steps, weights, shares[::-1], strict=True):
        r = r + (share - float(change.dot(r)) * float(weight)) * step
    return r
