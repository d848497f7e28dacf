# SPDX-License-Identifier: BSD-3-Clause
"""User-written `autograd.Function`s."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl._core import storage
from pydl.autograd import Function, gradcheck, gradgradcheck
from pydl.autograd.function import once_differentiable

f64 = pydl.float64


def leaf(*values: float) -> pydl.Tensor:
    return pydl.tensor(values, dtype=f64, requires_grad=True)


class Exp(Function):
    """Saves its own output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (y,) = ctx.saved_tensors
        return dy * y


class MulAdd(Function):
    """Several inputs, one of them no tensor."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, scale: float = 2.0) -> Any:
        ctx.save_for_backward(x, y)
        ctx.scale = scale
        return x * y * scale + x

    @staticmethod
    def backward(ctx: Any, dz: Any) -> Any:
        x, y = ctx.saved_tensors
        return dz * (y * ctx.scale + 1), dz * x * ctx.scale, None


class SinCos(Function):
    """Two outputs, written with setup_context."""

    @staticmethod
    def forward(x: Any, factor: float = 1.0) -> Any:
        v = x.numpy() * factor
        return pydl.from_numpy(np.sin(v)), pydl.from_numpy(np.cos(v))

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.factor = inputs[1]
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, ds: Any, dc: Any) -> Any:
        s, c = ctx.saved_tensors
        return ctx.factor * (ds * c - dc * s), None


def test_first_and_second_derivatives() -> None:
    assert gradcheck(Exp.apply, leaf(0.5, -1))
    assert gradgradcheck(Exp.apply, leaf(0.5, -1))
    assert gradcheck(MulAdd.apply, (leaf(0.5, -1), leaf(2, 3), 4.0))
    assert gradgradcheck(MulAdd.apply, (leaf(0.5, -1), leaf(2, 3), 4.0))
    assert gradcheck(SinCos.apply, leaf(0.5, -1))
    assert gradgradcheck(SinCos.apply, leaf(0.5, -1))


def test_keyword_and_default_arguments() -> None:
    x, y = leaf(1), leaf(2)
    MulAdd.apply(x, y).backward()
    assert x.grad.item() == 5 and y.grad.item() == 2
    s, c = SinCos.apply(leaf(0.5), 3.0)
    assert s.item() == pytest.approx(np.sin(1.5)) and c.item() == pytest.approx(np.cos(1.5))
    s, c = SinCos.apply(leaf(0.5), factor=3.0)
    assert s.item() == pytest.approx(np.sin(1.5))


def test_the_node_is_named_after_the_class() -> None:
    assert Exp.apply(leaf(1)).grad_fn.name() == "ExpBackward"


def test_needs_input_grad() -> None:
    seen = []

    class Spy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, k: int) -> Any:
            seen.append(ctx.needs_input_grad)
            return x + y

        @staticmethod
        def backward(ctx: Any, dz: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return dz, None, None

    Spy.apply(leaf(1), pydl.ones(1, dtype=f64), 3).backward()
    assert seen == [(True, False, False)] * 2


def test_without_a_gradient_nothing_is_recorded() -> None:
    y = Exp.apply(pydl.ones(1))
    assert not y.requires_grad and y.grad_fn is None
    with pydl.no_grad():
        assert not Exp.apply(leaf(1)).requires_grad


def test_forward_runs_without_recording_and_backward_too() -> None:
    modes = []

    class Spy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            modes.append(pydl.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            modes.append(pydl.is_grad_enabled())
            return dy * 2

    y = Spy.apply(leaf(1))
    y.backward(retain_graph=True)
    y.backward(create_graph=True)
    assert modes == [False, False, True]


def test_saved_tensors_are_guarded_and_freed() -> None:
    x = leaf(1)
    h = x * 1
    y = MulAdd.apply(h, h)
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    z = Exp.apply(x)
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()


def test_a_changed_output_that_was_saved_is_noticed() -> None:
    y = Exp.apply(leaf(1))
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_unused_outputs_arrive_as_zeros_or_none() -> None:
    seen: list[Any] = []

    class Two(Function):
        materialize = True

        @staticmethod
        def forward(ctx: Any, x: Any, materialize: bool) -> Any:
            ctx.set_materialize_grads(materialize)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            seen.append(a)
            return b * 2, None

    for materialize in (True, False):
        x = leaf(1, 2)
        Two.apply(x, materialize)[1].sum().backward()
        assert x.grad.tolist() == [2, 2]
    assert seen[0].tolist() == [0, 0]
    assert seen[1] is None


def test_non_differentiable_outputs() -> None:
    class Sort(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            order = np.argsort(x.numpy())
            ctx.order = order
            index, rank = pydl.from_numpy(order), pydl.from_numpy(order.astype(float))
            ctx.mark_non_differentiable(rank)
            return pydl.from_numpy(x.numpy()[order]), index, rank

        @staticmethod
        def backward(ctx: Any, dy: Any, *rest: Any) -> Any:
            dx = np.empty_like(dy.numpy())
            dx[ctx.order] = dy.numpy()
            return pydl.from_numpy(dx)

    x = leaf(3, 1, 2)
    y, index, rank = Sort.apply(x)
    assert y.requires_grad and not index.requires_grad and not rank.requires_grad
    (y * pydl.tensor([1.0, 10, 100], dtype=f64)).sum().backward()
    assert x.grad.tolist() == [100, 1, 10]


def test_mark_dirty_changes_the_input_itself() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * 2

    x = leaf(1, 2)
    h = x * 3
    version = h._version
    out = Double.apply(h)
    assert out is h and h._version > version
    h.sum().backward()
    assert h.tolist() == [6, 12] and x.grad.tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="leaf"):
        Double.apply(leaf(1))


def test_an_input_returned_unchanged_is_a_new_tensor() -> None:
    class Pass(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return dy * 7

    x = leaf(1)
    y = Pass.apply(x)
    assert y is not x and x.is_leaf
    y.backward()
    assert x.grad.item() == 7


def test_wrong_gradients_are_refused() -> None:
    def returning(value: Any) -> Any:
        class Odd(Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                return x * y

            @staticmethod
            def backward(ctx: Any, dz: Any) -> Any:
                return value

        return Odd

    g = pydl.ones(2, dtype=f64)
    for value, kind, message in (
        (g, RuntimeError, r"expected 2, got 1"),
        ((g, g, g), RuntimeError, r"expected 2, got 3"),
        ((pydl.ones(3, dtype=f64), g), RuntimeError, r"shape compatible with"),
        ((1.0, g), TypeError, "float"),
    ):
        with pytest.raises(kind, match=message):
            returning(value).apply(leaf(1, 2), leaf(3, 4)).sum().backward()
    x, y = leaf(1, 2), leaf(3, 4)
    returning((None, g, None)).apply(x, y).sum().backward()
    assert x.grad is None and y.grad.tolist() == [1, 1]


def test_misuse_is_named() -> None:
    class Nothing(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    class NotATensor(Forward):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 3

    with pytest.raises(NotImplementedError, match="forward"):
        Nothing.apply(leaf(1))
    with pytest.raises(NotImplementedError, match="backward"):
        Forward.apply(leaf(1)).backward()
    with pytest.raises(TypeError, match="int"):
        NotATensor.apply(leaf(1))
    with pytest.raises(RuntimeError, match="apply"):
        Exp()


def test_once_differentiable() -> None:
    class ByNumPy(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return pydl.from_numpy(x.numpy() ** 2)

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, dy: Any) -> Any:
            (x,) = ctx.saved_tensors
            return pydl.from_numpy(2 * x.detach().numpy() * dy.detach().numpy())

    assert gradcheck(ByNumPy.apply, leaf(1, 2))
    x = leaf(1, 2)
    (g,) = pydl.autograd.grad(ByNumPy.apply(x).sum(), x, create_graph=True)
    assert g.tolist() == [2, 4]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        pydl.autograd.grad(ByNumPy.apply(x * 2), x, x.detach().requires_grad_(), create_graph=True)[0].sum().backward()


def test_no_cycles(no_gc: None) -> None:
    x = leaf(1, 2)

    def step() -> None:
        y = Exp.apply(MulAdd.apply(Exp.apply(x), x))
        s, c = SinCos.apply(y)
        (g,) = pydl.autograd.grad((s * c).sum(), x, create_graph=True)
        g.sum().backward()
        x.grad = None
        Exp.apply(x)

    for _ in range(5):
        step()
    live = storage.stats()["blocks_live"]
    for _ in range(200):
        step()
    assert storage.stats()["blocks_live"] == live
