# SPDX-License-Identifier: BSD-3-Clause
"""Hooks of modules: order, what they may change, removing them, and global ones."""

import copy
import gc
import pickle
from collections import OrderedDict

import pytest

import pydl
from pydl import nn
from pydl.nn.modules import module as global_hooks

LOG = []


def log_forward(module, args, output):
    LOG.append("forward")


class Double(nn.Module):
    def forward(self, x, scale=2.0):
        return x * scale


def test_forward_hooks_in_order_and_changing_values():
    m, log = Double(), []
    m.register_forward_pre_hook(lambda m, args: log.append("pre1"))
    m.register_forward_pre_hook(lambda m, args: log.append("pre2") or args[0] + 1)
    m.register_forward_pre_hook(lambda m, args: log.append("pre0"), prepend=True)
    m.register_forward_hook(lambda m, args, out: log.append(("post", args[0].item(), out.item())))
    m.register_forward_hook(lambda m, args, out: out + 100)
    assert m(pydl.tensor(1.0)).item() == 104
    assert log == ["pre0", "pre1", "pre2", ("post", 2.0, 4.0)]


def test_hooks_with_keyword_arguments():
    m, log = Double(), []
    m.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": kwargs["scale"] + 1}), with_kwargs=True)
    m.register_forward_hook(lambda m, args, kwargs, out: log.append(kwargs["scale"]), with_kwargs=True, prepend=True)
    assert m(pydl.tensor(1.0), scale=3).item() == 4 and log == [4]
    m.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        m(pydl.tensor(1.0), scale=3)


def test_removing_hooks():
    m = Double()
    handle = m.register_forward_hook(lambda m, a, out: out + 1)
    assert m(pydl.tensor(1.0)).item() == 3
    handle.remove()
    handle.remove()
    assert m(pydl.tensor(1.0)).item() == 2 and m(pydl.tensor(1.0)).item() == 2
    assert m._hooked is False  # calls go straight to forward again
    with m.register_forward_hook(lambda m, a, out: out + 1):
        assert m(pydl.tensor(1.0)).item() == 3
    assert m(pydl.tensor(1.0)).item() == 2
    handle = m.register_forward_hook(lambda m, a, k, out: out + 1, with_kwargs=True, always_call=True)
    handle.remove()
    assert not m._forward_hooks and not m._forward_hooks_with_kwargs and not m._forward_hooks_always_called


def test_a_hook_may_remove_itself():
    m, log = Double(), []
    handle = m.register_forward_hook(lambda m, a, out: (log.append(1), handle.remove())[0])
    m(pydl.tensor(1.0))
    m(pydl.tensor(1.0))
    assert log == [1]


def test_hooks_written_into_the_tables():
    m = Double()
    m._forward_hooks[10**9] = lambda m, a, out: out + 1
    assert m(pydl.tensor(1.0)).item() == 3
    saved = m._forward_hooks
    m._forward_hooks = OrderedDict()
    assert m(pydl.tensor(1.0)).item() == 2
    m._forward_hooks = saved
    assert m(pydl.tensor(1.0)).item() == 3
    m._forward_hooks.clear()
    assert m(pydl.tensor(1.0)).item() == 2
    m._forward_hooks.update({1: lambda m, a, out: out + 5})
    assert m(pydl.tensor(1.0)).item() == 7


def test_hooks_that_always_run():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("no")

    m, log = Fails(), []
    m.register_forward_hook(lambda m, a, out: log.append("never"))
    m.register_forward_hook(lambda m, a, out: log.append(out), always_call=True)
    with pytest.raises(ValueError, match="no"):
        m(1)
    assert log == [None]
    ok = nn.Identity()
    ok.register_forward_hook(lambda m, a, out: log.append("once"), always_call=True)
    ok(1)
    assert log == [None, "once"]
    ok.register_forward_hook(lambda m, a, out: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ok(1)
    assert log == [None, "once", "once"]
    m.register_forward_hook(lambda m, a, out: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="ZeroDivisionError"), pytest.raises(ValueError, match="no"):
        m(1)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_keep_hooks(clone):
    m = nn.Sequential(nn.ReLU())
    m[0].register_forward_hook(log_forward)
    other = clone(m)
    LOG.clear()
    other(pydl.ones(1))
    assert LOG == ["forward"]
    other[0]._forward_hooks.clear()
    m(pydl.ones(1))
    assert LOG == ["forward"] * 2
    other[0].register_forward_hook(log_forward)
    other(pydl.ones(1))
    assert LOG == ["forward"] * 3


def test_shallow_copies_share_hooks():
    m = nn.ReLU()
    other = copy.copy(m)
    LOG.clear()
    m.register_forward_hook(log_forward)
    other(pydl.ones(1))
    assert LOG == ["forward"]


# ---- backward ------------------------------------------------------------------------------------------------------


def test_backward_hooks_see_and_change_gradients():
    m, log = Double(), []
    m.register_full_backward_pre_hook(lambda m, dy: log.append(("pre", dy[0].item())) or (dy[0] * 10,))
    m.register_full_backward_hook(lambda m, dx, dy: log.append(("post", dx[0].item(), dy[0].item())) or (dx[0] + 1,))
    x = pydl.tensor(3.0, requires_grad=True)
    m(x, scale=2.0).backward()
    assert log == [("pre", 1.0), ("post", 20.0, 10.0)] and x.grad.item() == 21


def test_backward_hooks_prepend_and_removal():
    m, log = Double(), []
    m.register_full_backward_hook(lambda m, dx, dy: log.append("b"))
    m.register_full_backward_hook(lambda m, dx, dy: log.append("a"), prepend=True)
    handle = m.register_full_backward_pre_hook(lambda m, dy: log.append("pre"))
    m.register_full_backward_pre_hook(lambda m, dy: log.append("first"), prepend=True)
    m(pydl.tensor(3.0, requires_grad=True)).backward()
    assert log == ["first", "pre", "a", "b"]
    handle.remove()
    log.clear()
    m(pydl.tensor(3.0, requires_grad=True)).backward()
    assert log == ["first", "a", "b"]


def test_backward_hooks_without_input_gradients():
    m, log = nn.Linear(2, 1), []
    handle = m.register_full_backward_hook(lambda m, dx, dy: log.append((dx, dy[0].item())))
    with pytest.warns(UserWarning, match="no input requires a gradient"):
        m(pydl.ones(1, 2)).sum().backward()
    assert log == [((None,), 1.0)] and m.weight.grad is not None
    handle.remove()
    m.register_full_backward_hook(lambda m, dx, dy: (pydl.ones(1, 2),))
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="no input requires gradient"):
        m(pydl.ones(1, 2)).sum().backward()


def test_backward_hooks_of_several_inputs_and_outputs():
    class Both(nn.Module):
        def forward(self, a, n, b):
            return a * b, n, a + b

    m, log = Both(), []
    m.register_full_backward_hook(lambda m, dx, dy: log.append((dx, dy)))
    a, b = pydl.tensor(2.0, requires_grad=True), pydl.tensor(5.0)
    product, n, total = m(a, 7, b)
    assert n == 7
    product.backward()
    (dx, dy), = log
    assert dx[0].item() == 5 and dx[1] is None and dx[2] is None
    assert dy[0].item() == 1 and dy[1] is None and dy[2] is None
    assert a.grad.item() == 5 and not b.requires_grad and total.requires_grad


def test_backward_hooks_and_wrong_returns():
    m = Double()
    m.register_full_backward_hook(lambda m, dx, dy: (dx[0], dx[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        m(pydl.tensor(3.0, requires_grad=True)).backward()
    m = Double()
    m.register_full_backward_pre_hook(lambda m, dy: (dy[0], dy[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_output, got 2, but expected 1"):
        m(pydl.tensor(3.0, requires_grad=True)).backward()


def test_backward_hooks_need_tensors():
    class ReturnsDict(nn.Module):
        def forward(self, x):
            return {"y": x}

    m = ReturnsDict()
    m.register_full_backward_hook(lambda m, dx, dy: None)
    with pytest.warns(UserWarning, match="not dict"):
        assert set(m(pydl.ones(1, requires_grad=True))) == {"y"}


def test_backward_hooks_without_recording_and_their_release():
    m, log = nn.Linear(2, 1), []
    m.register_full_backward_hook(lambda m, dx, dy: log.append(1))
    with pydl.no_grad():
        assert not m(pydl.ones(1, 2, requires_grad=True)).requires_grad
    gc.disable()
    try:
        import weakref

        other = copy.deepcopy(m)
        ref = weakref.ref(other)
        y = other(pydl.ones(1, 2, requires_grad=True)).sum()
        y.backward()
        del y, other
        assert ref() is None
    finally:
        gc.enable()


# ---- others --------------------------------------------------------------------------------------------------------


def test_state_dict_hooks():
    m, log = nn.Linear(1, 1), []
    m.register_state_dict_pre_hook(lambda module, prefix, keep: log.append((prefix, keep)))
    m.register_state_dict_post_hook(lambda module, state, prefix, meta: state.pop(prefix + "bias") and None)
    outer = nn.Sequential(m)
    assert list(outer.state_dict()) == ["0.weight"] and log == [("0.", False)]
    m.register_state_dict_post_hook(lambda module, state, prefix, meta: state)
    with pytest.raises(RuntimeError, match="return None"):
        outer.state_dict()


def test_load_state_dict_hooks():
    m = nn.Linear(1, 1)
    seen = []

    def rename(module, state, prefix, meta, strict, missing, unexpected, errors):
        seen.append((module is m, prefix, strict))
        state[prefix + "weight"] = state.pop(prefix + "w")

    m.register_load_state_dict_pre_hook(rename)
    m.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    result = m.load_state_dict({"w": pydl.ones(1, 1)})
    assert seen == [(True, "", True)] and result.missing_keys == [] and m.weight.item() == 1
    m.register_load_state_dict_post_hook(lambda module, keys: keys)
    with pytest.raises(RuntimeError, match="return None"):
        m.load_state_dict({"w": pydl.ones(1, 1)})


def test_global_hooks():
    log = []
    handles = [
        global_hooks.register_module_forward_pre_hook(lambda m, a: log.append(("pre", type(m).__name__))),
        global_hooks.register_module_forward_hook(lambda m, a, out: log.append(("post", type(m).__name__))),
        global_hooks.register_module_full_backward_pre_hook(lambda m, dy: log.append(("bpre", type(m).__name__))),
        global_hooks.register_module_full_backward_hook(lambda m, dx, dy: log.append(("bpost", type(m).__name__))),
    ]
    try:
        m = nn.Sequential(nn.ReLU())
        m(pydl.ones(1, requires_grad=True)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    assert log == [
        ("pre", "Sequential"), ("pre", "ReLU"), ("post", "ReLU"), ("post", "Sequential"),
        ("bpre", "Sequential"), ("bpre", "ReLU"), ("bpost", "ReLU"), ("bpost", "Sequential"),
    ]  # fmt: skip
    log.clear()
    m(pydl.ones(1))
    assert log == []


def test_registration_hooks():
    log = []
    handles = [
        global_hooks.register_module_parameter_registration_hook(lambda m, name, p: log.append(name)),
        global_hooks.register_module_buffer_registration_hook(lambda m, name, b: log.append(name)),
        global_hooks.register_module_module_registration_hook(lambda m, name, s: nn.Tanh()),
    ]
    try:
        m = nn.Module()
        m.p = nn.Parameter(pydl.ones(1))
        m.register_buffer("b", None)
        m.s = nn.ReLU()
    finally:
        for handle in handles:
            handle.remove()
    assert log == ["p", "b"] and isinstance(m.s, nn.Tanh)


def test_handles_are_copied():
    m = nn.ReLU()
    handle = m.register_forward_hook(log_forward)
    for twin, other in (pickle.loads(pickle.dumps((m, handle))), copy.deepcopy((m, handle))):
        other.remove()
        assert len(twin._forward_hooks) == 0 and len(m._forward_hooks) == 1
    assert type(handle) is type(pydl.ones(1, requires_grad=True).register_hook(log_forward))


def test_a_state_dict_hook_may_replace_the_state():
    m = nn.Linear(1, 1)
    handle = m._register_state_dict_hook(lambda module, state, prefix, meta: {"only": state[f"{prefix}bias"]})
    assert list(m.state_dict()) == ["only"]
    handle.remove()
    assert list(m.state_dict()) == ["weight", "bias"]
