# SPDX-License-Identifier: BSD-3-Clause
"""Changes in place, through views too, and the switches of the recording."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pydl

f64 = pydl.float64


def leaf(*values: float) -> pydl.Tensor:
    return pydl.tensor(values, dtype=f64, requires_grad=True)


def same(t: pydl.Tensor, *values: float) -> bool:
    return t.detach().numpy().ravel().tolist() == list(values)


def test_a_leaf_that_requires_grad_cannot_be_changed_in_place() -> None:
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        x[0] = 5
    with pydl.no_grad():
        x.add_(1)
    assert same(x, 2, 3)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "add_": lambda t: t.add_(1),
    "mul_": lambda t: t.mul_(2),
    "setitem": lambda t: t.__setitem__(0, 9.0),
    "zero_": lambda t: t.zero_(),
    "fill_": lambda t: t.fill_(2),
    "copy_": lambda t: t.copy_(t.detach() + 1),
    "view": lambda t: t.view(-1).add_(1),
    "slice": lambda t: t[:1].add_(1),
    "detach": lambda t: t.detach().add_(1),
    "data": lambda t: t.detach().view(-1)[0].fill_(7),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("saved", ["input", "output"])
def test_a_saved_tensor_that_was_changed_is_noticed(saved: str, change: str) -> None:
    x = leaf(1, 2)
    h = x * 1
    y = h * h if saved == "input" else h.exp()
    CHANGES[change](h if saved == "input" else y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_change_before_the_use_and_of_what_is_not_saved_is_allowed() -> None:
    x = leaf(1, 2)
    h = x * 2
    h.add_(1)
    y = h * 3
    h.add_(1)
    y.sum().backward()
    assert same(x.grad, 6, 6)


def test_in_place_results_are_part_of_the_graph() -> None:
    x = leaf(1, 2)
    h = x * 2
    h.mul_(x.detach() + 1)
    h.exp_()
    h.sum().backward()
    values = np.exp(2 * np.array([1.0, 2]) * np.array([2.0, 3]))
    np.testing.assert_allclose(x.grad.numpy(), values * 2 * np.array([2.0, 3]), rtol=1e-14)


def test_a_change_of_a_view_reaches_the_bases_graph() -> None:
    x = leaf(1, 2, 3)
    h = x * 1
    part = h[1:]
    part.mul_(10)
    assert h.grad_fn is not None
    h.sum().backward()
    assert same(h, 1, 20, 30)
    assert same(x.grad, 1, 10, 10)


def test_a_change_of_the_base_reaches_its_views() -> None:
    x = leaf(1, 2, 3)
    h = x * 1
    part = h[1:]
    h.mul_(10)
    part.sum().backward()
    assert same(part, 20, 30)
    assert same(x.grad, 0, 10, 10)


def test_changes_of_two_views_of_a_base() -> None:
    x = leaf(1, 2, 3, 4)
    h = (x * 1).view(2, 2)
    h[0].mul_(2)
    h[:, 1].mul_(5)
    (h * pydl.tensor([[1.0, 10], [100, 1000]], dtype=f64)).sum().backward()
    assert same(x.grad, 2, 100, 100, 5000)


def test_writing_a_tensor_with_history_into_another() -> None:
    x = leaf(1, 2)
    buffer = pydl.zeros(3, dtype=f64)
    buffer[:2] = x * 3
    buffer[2] = x[0]
    assert buffer.requires_grad
    (buffer * pydl.tensor([1.0, 10, 100], dtype=f64)).sum().backward()
    assert same(x.grad, 103, 30)


def test_versions_are_shared_by_views() -> None:
    t = pydl.zeros(4)
    view, flat = t[1:], t.view(2, 2)
    before = t._version
    view.add_(1)
    assert t._version == view._version == flat._version == before + 1


def test_expanded_and_read_only_memory_is_not_written() -> None:
    with pytest.raises(RuntimeError):
        pydl.zeros(1).expand(3).add_(1)
    data = np.zeros(3)
    data.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        pydl.from_numpy(data).add_(1)
    assert not data.any()


# --- switches -------------------------------------------------------------------------------------------------------


def recorded() -> bool:
    return bool((leaf(1) * 2).requires_grad)


@pydl.no_grad()
def plainly() -> bool:
    return recorded()


@pydl.no_grad
def bare() -> bool:
    return recorded()


@pydl.set_grad_enabled(False)
def by_flag() -> bool:
    return recorded()


@pydl.inference_mode()
def inferring() -> bool:
    return recorded()


@pytest.mark.parametrize("function", [plainly, bare, by_flag, inferring])
def test_decorators_switch_off_inside_only(function: Callable[[], bool]) -> None:
    assert recorded()
    assert not function()
    assert recorded()
    with pydl.no_grad():
        assert not pydl.enable_grad()(function)()
        assert pydl.enable_grad()(recorded)()


def test_context_managers_nest_and_survive_errors() -> None:
    with pydl.no_grad():
        assert not recorded()
        with pydl.enable_grad():
            assert recorded()
            with pydl.inference_mode():
                assert not recorded()
            with pydl.set_grad_enabled(False):
                assert not recorded()
        assert not recorded()
    with pytest.raises(KeyError), pydl.no_grad():
        raise KeyError
    assert recorded()
    pydl.set_grad_enabled(False)
    assert not recorded()
    pydl.set_grad_enabled(True)
    assert recorded()


def test_a_decorated_generator_switches_while_it_runs_only() -> None:
    @pydl.no_grad()
    def steps() -> Any:
        got = yield recorded()
        yield got, recorded()

    generator = steps()
    assert next(generator) is False
    assert recorded()
    assert generator.send("value") == ("value", False)
    assert recorded()


def test_switches_are_per_thread() -> None:
    seen: list[bool] = []
    with pydl.no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_operations_after_no_grad_have_no_history() -> None:
    x = leaf(1)
    with pydl.no_grad():
        y = x * 2
    assert y.is_leaf and not y.requires_grad
    y.requires_grad_()
    (y * 3).backward()
    assert same(y.grad, 3) and x.grad is None
