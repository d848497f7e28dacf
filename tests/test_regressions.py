# SPDX-License-Identifier: BSD-3-Clause
"""Small cases that once crashed or gave a wrong gradient. Crashes run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import pydl

f64 = pydl.float64


def leaf(*values: float) -> pydl.Tensor:
    return pydl.tensor(values, dtype=f64, requires_grad=True)


def values(t: pydl.Tensor | None) -> list[Any]:
    assert t is not None
    return t.detach().numpy().ravel().tolist()


# Statements, each of which has to end with the exception named, not with a signal.
CRASHES = {
    "storage made by hand": ("storage.Storage(); raise KeyError", KeyError),
    "node made by hand": ("dispatch.OpNode()", TypeError),
    "name of an empty node": ("dispatch.OpNode.__new__(dispatch.OpNode).name(); raise KeyError", KeyError),
    "empty saved tensors": ("user_functions.PackedFunction().unpack(); raise KeyError", KeyError),
    "backward of None": ("engine.backward((None,), (None,), 0, 0, None, 0, 1)", TypeError),
    "inputs None": ("engine.backward((x,), (None,), 0, 0, (None,), 0, 1)", TypeError),
    "fewer gradients": ("engine.backward((x,), (), 0, 0, None, 0, 1)", RuntimeError),
    "objects in a tensor": ("print(tape.empty((200,), np.dtype(object)))", TypeError),
    "empty without a type": ("tape.empty((200,), None)", TypeError),
    "integers where only floats have a rule": ("pydl.ops.tanh_backward(i, i)", NotImplementedError),
    "no data": ("x._set_data(None)", TypeError),
    "no history": ("x._rebase(None)", TypeError),
    "softmax of None": ("softmax.softmax_fwd(None, 0)", TypeError),
    "softmax without output": ("softmax.softmax_bwd(x, None, 0)", TypeError),
    "random numbers into None": ("random.philox_uniform(None, 1, 1, 0.0, 1.0)", TypeError),
    "largest over no dimension": ("reduce.amax(x, (10**6,), False)", IndexError),
    "strides that leave the memory": ("strided.strided_view(x, (10**7,), (8,), 0).sum()", RuntimeError),
    "view of None": ("strided.strided_view(None, (1,), (1,), 0)", TypeError),
    "second tensor type": ("tape.set_tensor_type(pydl.nn.Parameter)", RuntimeError),
    "int that lies about its order": (
        "x[type('E', (int,), {'__le__': lambda *a: True, '__lt__': lambda *a: True})(10**9)]",
        IndexError,
    ),
    "node hook returns a number": (
        "y = x * x; y.grad_fn.register_hook(lambda a, b: (3, 4)); y.sum().backward()",
        TypeError,
    ),
    "loss without its sums": (
        "t = pydl.zeros(9000, dtype=pydl.int64)\n"
        "cross_entropy.cross_entropy_bwd(pydl.tensor(1.0), pydl.ones(9000, 9), x, t, None, -100, 0.0, 'mean', 1.0)",
        ValueError,
    ),
    "change of a view, backward twice": (
        "h = x * 1; h[0].mul_(x[0]); s = h.sum(); s.backward(); s.backward()",
        RuntimeError,
    ),
    "output of relu's gradient, broadcast": (
        "pydl.ops.threshold_backward(pydl.ones(3, 1), x.view(1)).sum().backward(); raise KeyError",
        KeyError,
    ),
    "data of another type after use": (
        "a = pydl.ones(3000000, dtype=pydl.float64, requires_grad=True); b = pydl.ones(3000000, dtype=pydl.float64)\n"
        "y = (a * b).sum(); b.data = pydl.ones(3000000); y.backward()",
        RuntimeError,
    ),
    "dirty number": (
        "def forward(ctx, t):\n ctx.mark_dirty(3)\n return t\n"
        "type('F', (pydl.autograd.Function,), {'forward': staticmethod(forward)}).apply(x)",
        TypeError,
    ),
    "saved string": ("dispatch.Op('o', lambda t: (t,), lambda c, t: c.save('a'), lambda c, g: g)(x)", TypeError),
    "peak for ever": ("kernels.measure_peak(False, 1e30)", ValueError),
}


RUN = """
import sys
import numpy as np, pydl
from pydl._core import cross_entropy, dispatch, engine, kernels, random, reduce, softmax, storage, strided, tape
from pydl._core import user_functions
for name, (code, error) in eval(sys.stdin.read()).items():
    x, i = pydl.tensor([1.0], requires_grad=True), pydl.tensor([1])
    try:
        exec(code)
    except Exception as e:
        print(name, any(c.__name__ == error for c in type(e).__mro__), flush=True)
    else:
        print(name, "no exception", flush=True)
"""


def test_every_crash_ends_with_an_exception() -> None:
    cases = {name: (code, error.__name__) for name, (code, error) in CRASHES.items()}
    done = subprocess.run([sys.executable, "-c", RUN], input=repr(cases), capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [f"{name} True" for name in CRASHES]
    assert done.returncode == 0, done.stderr


def test_history_of_a_view_of_a_base_with_gaps() -> None:
    x = pydl.from_numpy(np.zeros(4000)[::2])
    view = x[1:]
    w = pydl.ones(2000, dtype=f64, requires_grad=True)
    x.add_(w)
    (view * 2).sum().backward()
    assert values(w.grad) == [0.0] + [2.0] * 1999


def test_change_of_a_view_of_a_base_with_gaps() -> None:
    w = pydl.ones(4, 6, dtype=f64, requires_grad=True)
    x = pydl.from_numpy(np.ones((4, 12))[:, ::2])
    x.mul_(w)
    x[1].mul_(3)
    x.sum().backward()
    assert values(w.grad) == [1.0] * 6 + [3.0] * 6 + [1.0] * 12


def test_view_whose_base_got_other_memory() -> None:
    x = leaf(1, 2, 3, 4) * 1
    view = x[1:]
    w = pydl.ones(400, dtype=f64, requires_grad=True)
    x.data = pydl.zeros(400, dtype=f64)
    x.add_(w)
    (view * 2).sum().backward()
    assert w.grad is None


def test_kept_gradients_share_no_memory() -> None:
    a, b = leaf(1), leaf(1)
    (a + b).backward(create_graph=True)
    assert a.grad is not None and b.grad is not None
    assert a.grad.data_ptr() != b.grad.data_ptr()
    p, q, given = leaf(1) * 1, leaf(1) * 1, pydl.ones(1, dtype=f64)
    total = p + q
    for t in (p, q, total):
        t.retain_grad()
    total.backward(given)
    assert p.grad is not None and q.grad is not None and total.grad is not None
    assert len({t.data_ptr() for t in (p.grad, q.grad, total.grad, given)}) == 4


class Exp(pydl.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy * ctx.saved_tensors[0]


def test_gradients_of_an_output_and_of_its_saved_form_meet() -> None:
    x = leaf(0, 1)
    y = Exp.apply(x)
    (g,) = pydl.autograd.grad(y.sum(), x, create_graph=True)
    (g.sum() + y.sum()).backward()
    np.testing.assert_allclose(values(x.grad), 2 * np.exp([0.0, 1.0]), rtol=1e-14)
    y = Exp.apply(x)
    (g,) = pydl.autograd.grad(y.sum(), x, create_graph=True)
    assert values(pydl.autograd.grad(g.sum(), y)[0]) == [1.0, 1.0]


class Scale(pydl.autograd.Function):
    """t = s · t in place; t is the second argument."""

    @staticmethod
    def forward(ctx: Any, s: Any, t: Any) -> Any:
        ctx.save_for_backward(s, t.clone())
        ctx.mark_dirty(t)
        return t.mul_(s)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        s, t = ctx.saved_tensors
        return (dy * t).sum(0, keepdim=True), dy * s


def test_function_that_changes_a_view() -> None:
    s, x = leaf(3), leaf(5, 7, 9)
    h = x * 1
    Scale.apply(s, h[:2])
    h.sum().backward()
    assert values(s.grad) == [12.0]
    assert values(x.grad) == [3.0, 3.0, 1.0]


def test_backward_in_a_hook_may_reach_the_same_leaf() -> None:
    x = leaf(2)
    h = x * 3

    def hook(g: Any) -> None:
        with pydl.enable_grad():
            (x * x).sum().backward()

    h.register_hook(hook)
    (x * 5 + h).sum().backward()
    assert values(x.grad) == [12.0]


def test_gradients_are_brought_to_the_type_of_their_tensor() -> None:
    x = pydl.ones(3, requires_grad=True)
    (x * x).backward(pydl.ones(3, dtype=pydl.int8))
    assert x.grad is not None and x.grad.dtype is pydl.float32
    y = x * x
    y.register_hook(lambda g: g.double())
    with pytest.raises(RuntimeError, match="changed the type"):
        y.sum().backward()


def test_order_of_nodes_when_an_edge_reads_its_history_anew() -> None:
    x = leaf(1, 2)
    h = x * 1
    view = h[:]
    h.mul_(x)
    total = (x * view).sum() + (view * view).sum()  # the view follows h only when the first product is recorded
    total.backward()
    np.testing.assert_array_equal(values(x.grad), [3 * v**2 + 4 * v**3 for v in (1.0, 2.0)])


def test_empty_array_with_zero_strides_can_be_written() -> None:
    t = pydl.from_numpy(np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (0, 2), (0, 0)))
    assert t.fill_(1).shape == (0, 2)


def test_quotients_and_powers_may_be_changed_in_place() -> None:
    a, b = leaf(3, 5), leaf(2, 4)
    for y in (a / b, 6 / b, a**3):
        y += 1
        y.sum().backward()
    h = a * 1
    h.div_(b).add_(1)
    h.sum().backward()
    assert values(a.grad) == [2 * 0.5 + 27, 2 * 0.25 + 75]
    assert values(b.grad) == [-2 * 0.75 - 1.5, -2 * 0.3125 - 0.375]
