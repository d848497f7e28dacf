# SPDX-License-Identifier: BSD-3-Clause
"""RNN, LSTM and GRU over whole sequences: one layer in one direction is one compiled operation, forward and backward.

Rows of a batch of sequences lie step after step: x (N, I), and `sizes` says how many rows each of the T steps has, not
increasing, so that step t holds the sizes[t] longest sequences. A padded batch (T, B, I) is x.reshape(T·B, I) with the
sizes (B,)·T. `reverse` runs from the last step to the first; a sequence enters at its own last step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydl._core import engine
from pydl._core import recurrent as core
from pydl._core.recurrent_call import step_sizes
from pydl._core.tape import TensorBase as Tensor
from pydl._core.tape import is_grad_enabled
from pydl.ops import _unrolled
from pydl.ops._checks import tensor_arg
from pydl.ops._declare import op

__all__ = ["gru_sequence", "lstm_sequence", "rnn_sequence"]


def _checked(name: str, sizes: Sequence[int], required: dict[str, Any], optional: dict[str, Any]) -> tuple[int, ...]:
    """The sizes as a tuple of ints; the others are Tensors. Whether they fit together, the compiled pass checks."""
    for what, value in required.items():
        tensor_arg(value, name, what)
    for what, value in optional.items():
        if value is not None:
            tensor_arg(value, name, what)
    return step_sizes(name, tuple(sizes))


def _differentiable(unrolled: Callable[..., Any], inputs: Any, options: Any, needs: Any, grads: Any) -> list[Any]:
    """The gradients of the inputs (None where not needed), differentiable themselves: through the steps one by one."""
    own = [t.view(t.shape) if need else t for t, need in zip(inputs, needs, strict=True)]  # nodes of this pass alone
    pairs = zip(unrolled(own, **options), grads, strict=True)
    reached = [(y, dy) for y, dy in pairs if y.requires_grad]  # c_n of one step does not depend on w_hr
    wanted = tuple(t for t, need in zip(own, needs, strict=True) if need)
    found = iter(engine.backward(*zip(*reached, strict=True), True, True, wanted, True, False))
    return [next(found) if need else None for need in needs]


def _gradients(ctx: Any, grads: tuple[Any, ...], unrolled: Callable[..., Any]) -> tuple[Any, ...]:
    """Those of (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr) from those of (y, h_n, c_n)."""
    inputs, kept = ctx.saved[:8], ctx.saved[8:]
    if is_grad_enabled():
        return tuple(_differentiable(unrolled, inputs, {"reverse": ctx.reverse}, ctx.wanted, grads))
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr = inputs
    overwrite = True
    if not kept:
        again = core.forward(
            ctx.name_, ctx.cell, x, ctx.sizes, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, ctx.reverse, True
        )
        kept = (again[0], *again[3:])
    else:
        overwrite = not ctx.shown and not engine.graph_is_kept()
        for t in (kept[1], kept[4]) if overwrite else ():
            if t is not None:
                t._bump_version()  # should the pass be interrupted, a second one is refused
    full = (*grads, None) if len(grads) == 2 else grads
    return core.backward(
        ctx.name_, ctx.cell, *full, x, ctx.sizes, h0, c0, w_ih, w_hh, w_hr, *kept, ctx.reverse, overwrite, ctx.wanted
    )


def _run(
    ctx: Any, name: str, cell: str, inputs: tuple[Any, ...], sizes: tuple[int, ...], needs: tuple[bool, ...],
    reverse: bool, checkpoint: bool, return_gates: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """(y, h_n, c_n, gates), gates None unless asked for; keeps what the gradients need."""
    x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr = inputs
    recording = True in needs
    keep = return_gates or (recording and not checkpoint)
    y, h_n, c_n, gates, *kept = core.forward(
        name, cell, x, sizes, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, reverse, keep
    )
    if recording:
        ctx.name_, ctx.cell, ctx.sizes, ctx.reverse, ctx.wanted = name, cell, sizes, reverse, needs
        ctx.shown = return_gates
        ctx.save(*inputs, *(() if checkpoint else (y, gates, *kept)))
    return y, h_n, c_n, gates if return_gates else None


@op
class rnn_sequence:
    """h_t = f(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), f tanh or relu (`nonlinearity`), for all steps: (y, h_n).

    Shapes: x (N, I) with the rows of step t behind those of t − 1, sizes[t] of them, Σ sizes = N, not increasing;
    h0 and h_n (B, H) with B = sizes[0]; w_ih (H, I), w_hh (H, H), b_ih and b_hh (H) or None; y (N, H), the states of
    all steps; h_n each sequence's state after its last step (reverse: after its first).
    Gradient: through time, to every tensor argument; of higher order through the steps one by one. Errors: ShapeError
    naming the sizes or shapes that do not fit; ValueError for another nonlinearity, RuntimeError for mixed types.
    Cost: keeps nothing for the backward pass but its arguments and y: `checkpoint` has no effect.
    Source: Elman 1990; the compiled form of torch.nn.RNN's layers.

    Example:
        >>> import pydl
        >>> x, w = pydl.tensor([[1.], [0.]]), pydl.tensor([[1.]])
        >>> pydl.ops.rnn_sequence(x, (1, 1), pydl.zeros(1, 1), w, w)[0]
        tensor([[0.7616],
                [0.6420]])
    """

    def check(
        x: Tensor,
        sizes: Sequence[int],
        h0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
        nonlinearity: str = "tanh",
        reverse: bool = False,
        checkpoint: bool = False,
    ) -> tuple[Any, ...]:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"rnn_sequence: nonlinearity must be 'tanh' or 'relu', not {nonlinearity!r}")
        required = {"x": x, "h0": h0, "w_ih": w_ih, "w_hh": w_hh}
        steps = _checked("rnn_sequence", sizes, required, {"b_ih": b_ih, "b_hh": b_hh})
        return x, steps, h0, w_ih, w_hh, b_ih, b_hh, nonlinearity, bool(reverse)

    def forward(
        ctx: Any, x: Any, sizes: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, f: str, reverse: bool
    ) -> tuple[Any, Any]:
        n = ctx.needs
        needs = (n[0], n[2], False, n[3], n[4], n[5], n[6], False)
        inputs = (x, h0, None, w_ih, w_hh, b_ih, b_hh, None)
        return _run(ctx, "rnn_sequence", f"rnn_{f}", inputs, sizes, needs, reverse, False, False)[:2]

    def backward(ctx: Any, dy: Tensor, dh_n: Tensor) -> tuple[Any, ...]:
        def unrolled(inputs: Any, reverse: bool) -> Any:
            x, h0, _, w_ih, w_hh, b_ih, b_hh, _ = inputs
            return _unrolled.rnn_unrolled(x, ctx.sizes, h0, w_ih, w_hh, b_ih, b_hh, ctx.cell[4:], reverse)

        dx, dh0, _, dw_ih, dw_hh, db_ih, db_hh, _ = _gradients(ctx, (dy, dh_n), unrolled)
        return dx, None, dh0, dw_ih, dw_hh, db_ih, db_hh


@op
class lstm_sequence:
    """c_t = f ⊙ c_{t−1} + i ⊙ g, h_t = o ⊙ tanh c_t for all steps of long short-term memory: (y, h_n, c_n, gates).

    i, f, g, o are σ, σ, tanh, σ of W_ih x_t + b_ih + W_hh h_{t−1} + b_hh, a quarter of its elements each; with a
    projection h_t = W_hr (o ⊙ tanh c_t).
    Shapes: x (N, I) with the rows of step t behind those of t − 1, sizes[t] of them, Σ sizes = N, not increasing; with
    B = sizes[0], P = H without projection: h0, h_n (B, P), c0, c_n (B, H); w_ih (4H, I), w_hh (4H, P), b_ih and b_hh
    (4H) or None, w_hr (P, H) or None; y (N, P); h_n and c_n each sequence's state after its last step (reverse: after
    its first). gates (N, 4H), without gradient, if `return_gates`, else None.
    Gradient: through time, to every tensor argument; of higher order through the steps one by one. Errors: ShapeError
    naming the sizes or shapes that do not fit; RuntimeError for mixed types.
    Cost: keeps 6 H elements a row (4 gates, c, tanh c; 7 H with projection) besides its arguments and y; they take the
    gradients in a backward pass that frees the graph. checkpoint: none of them, the backward pass computes them again.
    Source: Hochreiter and Schmidhuber 1997; the compiled form of torch.nn.LSTM's layers.

    Example:
        >>> import pydl
        >>> x, w, zero = pydl.tensor([[1.], [0.]]), pydl.ones(4, 1), pydl.zeros(1, 1)
        >>> y, h_n, c_n, _ = pydl.ops.lstm_sequence(x, (1, 1), zero, zero, w, w)
        >>> y, c_n
        (tensor([[0.3696],
                [0.2908]]), tensor([[0.5384]]))
    """

    def check(
        x: Tensor,
        sizes: Sequence[int],
        h0: Tensor,
        c0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
        w_hr: Tensor | None = None,
        reverse: bool = False,
        checkpoint: bool = False,
        return_gates: bool = False,
    ) -> tuple[Any, ...]:
        required = {"x": x, "h0": h0, "c0": c0, "w_ih": w_ih, "w_hh": w_hh}
        steps = _checked("lstm_sequence", sizes, required, {"b_ih": b_ih, "b_hh": b_hh, "w_hr": w_hr})
        inputs = (x, steps, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)
        return *inputs, bool(reverse), bool(checkpoint), bool(return_gates)

    def forward(
        ctx: Any, x: Any, sizes: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any,
        reverse: bool, checkpoint: bool, return_gates: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        needs = (ctx.needs[0], *ctx.needs[2:9])
        ctx.constants = (3,)
        inputs = (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr)
        return _run(ctx, "lstm_sequence", "lstm", inputs, sizes, needs, reverse, checkpoint, return_gates)

    def backward(ctx: Any, dy: Tensor, dh_n: Tensor, dc_n: Tensor, _: Any) -> tuple[Any, ...]:
        def unrolled(inputs: Any, reverse: bool) -> Any:
            return _unrolled.lstm_unrolled(inputs[0], ctx.sizes, *inputs[1:], reverse=reverse)[:3]

        dx, *rest = _gradients(ctx, (dy, dh_n, dc_n), unrolled)
        return dx, None, *rest


@op
class gru_sequence:
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t−1} for all steps of gated recurrent units: (y, h_n, gates).

    r and z are σ of W_ih x_t + b_ih + W_hh h_{t−1} + b_hh, its first two thirds; n = tanh(W_in x_t + b_in + r ⊙
    (W_hn h_{t−1} + b_hn)), or with reset_after=False tanh(W_in x_t + b_in + W_hn (r ⊙ h_{t−1}) + b_hn).
    Shapes: x (N, I) with the rows of step t behind those of t − 1, sizes[t] of them, Σ sizes = N, not increasing;
    h0 and h_n (B, H) with B = sizes[0]; w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H) or None; y (N, H); h_n each
    sequence's state after its last step (reverse: after its first). gates (N, 3H), without gradient, if `return_gates`,
    else None.
    Gradient: through time, to every tensor argument; of higher order through the steps one by one. Errors: ShapeError
    naming the sizes or shapes that do not fit; RuntimeError for mixed types.
    Cost: keeps 4 H elements a row (3 gates; W_hn h + b_hn, or r ⊙ h) besides its arguments and y; they take the
    gradients in a backward pass that frees the graph. checkpoint: none of them, the backward pass computes them again.
    Source: Cho et al. 2014; the compiled form of torch.nn.GRU's layers. reset_after=False is an addition.

    Example:
        >>> import pydl
        >>> x, w = pydl.tensor([[1.], [0.]]), pydl.ones(3, 1)
        >>> pydl.ops.gru_sequence(x, (1, 1), pydl.zeros(1, 1), w, w)[0]
        tensor([[0.2048],
                [0.1633]])
    """

    def check(
        x: Tensor,
        sizes: Sequence[int],
        h0: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
        reset_after: bool = True,
        reverse: bool = False,
        checkpoint: bool = False,
        return_gates: bool = False,
    ) -> tuple[Any, ...]:
        cell = "gru_after" if reset_after else "gru_before"
        required = {"x": x, "h0": h0, "w_ih": w_ih, "w_hh": w_hh}
        steps = _checked("gru_sequence", sizes, required, {"b_ih": b_ih, "b_hh": b_hh})
        return x, steps, h0, w_ih, w_hh, b_ih, b_hh, cell, bool(reverse), bool(checkpoint), bool(return_gates)

    def forward(
        ctx: Any, x: Any, sizes: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, cell: str, reverse: bool,
        checkpoint: bool, return_gates: bool,
    ) -> tuple[Any, ...]:  # fmt: skip
        n = ctx.needs
        needs = (n[0], n[2], False, n[3], n[4], n[5], n[6], False)
        ctx.constants = (2,)
        inputs = (x, h0, None, w_ih, w_hh, b_ih, b_hh, None)
        y, h_n, _, gates = _run(ctx, "gru_sequence", cell, inputs, sizes, needs, reverse, checkpoint, return_gates)
        return y, h_n, gates

    def backward(ctx: Any, dy: Tensor, dh_n: Tensor, _: Any) -> tuple[Any, ...]:
        def unrolled(inputs: Any, reverse: bool) -> Any:
            x, h0, _, w_ih, w_hh, b_ih, b_hh, _ = inputs
            after = ctx.cell == "gru_after"
            return _unrolled.gru_unrolled(x, ctx.sizes, h0, w_ih, w_hh, b_ih, b_hh, after, reverse)[:2]

        dx, dh0, _, dw_ih, dw_hh, db_ih, db_hh, _ = _gradients(ctx, (dy, dh_n), unrolled)
        return dx, None, dh0, dw_ih, dw_hh, db_ih, db_hh
