# SPDX-License-Identifier: BSD-3-Clause
"""The tape: accumulation, graphs kept and freed, `grad`, hooks, several outputs."""

from __future__ import annotations

import pytest

import pydl

f64 = pydl.float64


def leaf(*values: float) -> pydl.Tensor:
    return pydl.tensor(values, dtype=f64, requires_grad=True)


def same(t: pydl.Tensor, *values: float) -> bool:
    return t.detach().numpy().ravel().tolist() == list(values)


# --- accumulation and the life of a graph ---------------------------------------------------------------------------


def test_backward_accumulates_into_grad() -> None:
    x = leaf(1, 2)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert same(x.grad, 5, 7)


def test_a_leaf_used_many_times_gets_the_sum() -> None:
    x = leaf(2)
    y = x * x * x + x
    y.backward(leaf(1).detach())
    assert same(x.grad, 13)


def test_second_backward_raises_unless_the_graph_is_retained() -> None:
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert same(x.grad, 12)
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_second_backward_through_a_shared_part_raises() -> None:
    x = leaf(1, 2)
    h = x.exp()
    h.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        (h * 2).sum().backward()


def test_create_graph_gives_higher_derivatives() -> None:
    x = leaf(2)
    g = (x**4).sum()
    for k, wanted in ((3, 32.0), (2, 48.0), (1, 48.0)):
        (g,) = pydl.autograd.grad(g, x, create_graph=True)
        assert same(g, wanted), k
        g = g.sum()


def test_backward_with_create_graph_lets_grad_be_differentiated() -> None:
    x = leaf(3)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.sum().backward()
    assert same(first, 27)
    assert same(x.grad, 18)


def test_only_scalars_have_an_implicit_gradient() -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match="shape"):
        (x * 2).backward(pydl.ones(3, dtype=f64))


def test_backward_without_a_graph_raises() -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        pydl.ones(1).backward()


def test_backward_to_chosen_inputs_only() -> None:
    x, y = leaf(1), leaf(2)
    (x * y).backward(inputs=[x])
    assert same(x.grad, 2)
    assert y.grad is None


def test_backward_of_several_roots() -> None:
    x = leaf(1, 2)
    pydl.autograd.backward([x * 2, x * x], [pydl.ones(2, dtype=f64), pydl.tensor([1.0, 10.0], dtype=f64)])
    assert same(x.grad, 4, 42)


def test_non_leaves_have_no_grad_unless_retained() -> None:
    x = leaf(2)
    h, k = x * x, x * 3
    h.retain_grad()
    assert h.retains_grad
    (h * k).backward()
    assert same(h.grad, 6)
    assert not k.is_leaf


def test_is_leaf_and_grad_fn() -> None:
    x = leaf(1)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None
    assert not y.is_leaf and y.grad_fn.name().startswith("Mul")
    assert any(fn.name() == "AccumulateGrad" and fn.variable is x for fn, _ in y.grad_fn.next_functions if fn)


def test_requires_grad_is_for_floats_and_leaves() -> None:
    with pytest.raises(RuntimeError, match="floating point"):
        pydl.tensor([1, 2]).requires_grad_()
    with pytest.raises(RuntimeError, match="leaf"):
        (leaf(1) * 2).requires_grad = False


def test_detach_shares_memory_and_stops_gradients() -> None:
    x = leaf(2)
    d = (x * x).detach()
    assert not d.requires_grad and d.grad_fn is None
    (x * d).backward()
    assert same(x.grad, 4)
    base = pydl.zeros(2)
    base.detach()[0] = 5
    assert same(base, 5, 0)


def test_numpy_of_a_tensor_with_a_gradient_raises() -> None:
    with pytest.raises(RuntimeError, match="detach"):
        leaf(1).numpy()


# --- grad -----------------------------------------------------------------------------------------------------------


def test_grad_returns_and_leaves_grad_alone() -> None:
    x, y = leaf(2), leaf(5)
    gx, gy = pydl.autograd.grad(x * y, [x, y])
    assert same(gx, 5) and same(gy, 2)
    assert x.grad is None and y.grad is None


def test_grad_of_an_intermediate_tensor() -> None:
    x = leaf(2)
    h = x * x
    (g,) = pydl.autograd.grad(h * h, h)
    assert same(g, 8)


def test_grad_with_weights() -> None:
    x = leaf(1, 2)
    (g,) = pydl.autograd.grad(x * x, x, grad_outputs=pydl.tensor([1.0, 100.0], dtype=f64))
    assert same(g, 2, 400)


def test_grad_of_unused_inputs() -> None:
    x, y = leaf(1), leaf(2, 3)
    with pytest.raises(RuntimeError, match="allow_unused"):
        pydl.autograd.grad(x * 2, [x, y])
    gx, gy = pydl.autograd.grad(x * 2, [x, y], allow_unused=True)
    assert same(gx, 2) and gy is None
    gx, gy = pydl.autograd.grad(x * 2, [x, y], materialize_grads=True)
    assert same(gy, 0, 0)


def test_grad_of_what_needs_none_raises() -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        pydl.autograd.grad(leaf(1) * 2, pydl.ones(1))


# --- hooks ----------------------------------------------------------------------------------------------------------


def test_a_hook_sees_and_changes_the_gradient() -> None:
    x = leaf(1, 2)
    h = x * 3
    seen: list[pydl.Tensor] = []
    h.register_hook(seen.append)
    h.register_hook(lambda g: g * 10)
    h.sum().backward()
    assert same(seen[0], 1, 1)
    assert same(x.grad, 30, 30)


def test_a_leaf_hook_runs_once_on_the_sum() -> None:
    x = leaf(1)
    calls: list[pydl.Tensor] = []
    x.register_hook(calls.append)
    (x * 2 + x * 3).backward()
    assert len(calls) == 1 and same(calls[0], 5)


def test_a_removed_hook_is_not_called() -> None:
    x = leaf(1)
    handle = x.register_hook(lambda g: g * 100)
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert same(x.grad, 2)
    with x.register_hook(lambda g: g * 100):
        pass
    (x * 2).backward()
    assert same(x.grad, 4)


def test_a_hook_on_what_needs_no_gradient_raises() -> None:
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        pydl.ones(1).register_hook(print)


def test_post_accumulate_hook() -> None:
    x = leaf(1)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(float(t.grad)))
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert seen == [2, 4]


def test_an_error_in_a_hook_leaves_the_engine_usable() -> None:
    x = leaf(1)
    h = x * 2
    handle = h.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        h.sum().backward(retain_graph=True)
    handle.remove()
    h.sum().backward()
    assert same(x.grad, 2)
    assert pydl.is_grad_enabled()


# --- several outputs ------------------------------------------------------------------------------------------------


def test_operations_with_several_outputs() -> None:
    x = pydl.tensor([[1.0, 5, 2], [7, 3, 4]], dtype=f64, requires_grad=True)
    values, indices = x.max(1)
    first, second = x.split([1, 2], 1)
    assert indices.tolist() == [1, 0] and not indices.requires_grad
    ((values * 10).sum() + (second * 100).sum()).backward()
    assert same(x.grad, 0, 110, 100, 10, 100, 100)
    del first


def test_an_unused_output_counts_as_zero() -> None:
    x = leaf(1, 2, 3)
    a, b = x.split([1, 2])
    (b * 2).sum().backward()
    assert same(x.grad, 0, 2, 2)
    del a
