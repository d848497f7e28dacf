# SPDX-License-Identifier: BSD-3-Clause
"""`state_dict` and `load_state_dict` of modules."""

import pytest

import pydl
from pydl import nn
from tests.nets import Net, equal


def test_state_dict_keys_and_sharing():
    net = Net()
    state = net.state_dict()
    assert list(state) == ["scale", "fc1.weight", "fc1.bias", "fc2.weight"]
    assert not state["fc1.weight"].requires_grad and state["fc1.weight"].data_ptr() == net.fc1.weight.data_ptr()
    assert net.state_dict(keep_vars=True)["fc1.weight"] is net.fc1.weight
    assert next(iter(net.state_dict(prefix="m."))) == "m.scale"
    destination = {"old": 1}
    assert net.state_dict(destination=destination) is destination and len(destination) == 5


def test_load_state_dict():
    source, target = Net(), Net()
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>" and result.missing_keys == []
    assert equal(source.fc1.weight, target.fc1.weight) and source.fc1.weight is not target.fc1.weight
    state = source.state_dict()
    state["extra"] = state.pop("fc2.weight")
    assert target.load_state_dict(state, strict=False) == (["fc2.weight"], ["extra"])
    assert list(state) == ["scale", "fc1.weight", "fc1.bias", "extra"]  # the argument is left as it was


def test_load_state_dict_lists_every_difference():
    state = {"fc1.weight": pydl.ones(2, 2), "fc1.bias": 3, "scale": pydl.ones(2), "zz": pydl.ones(1)}
    with pytest.raises(RuntimeError) as info:
        Net().load_state_dict(state)
    text = str(info.value).replace("torch.", "pydl.")
    lines = text.split("\n")
    assert lines[0] == "Error(s) in loading state_dict for Net:"
    assert lines[1] == '\tMissing key(s) in state_dict: "fc2.weight". '
    assert lines[2] == '\tUnexpected key(s) in state_dict: "zz". '
    assert lines[3] == (
        "\tsize mismatch for fc1.weight: copying a param with shape pydl.Size([2, 2]) from checkpoint, "
        "the shape in current model is pydl.Size([4, 3])."
    )
    assert lines[4].startswith('\tWhile copying the parameter named "fc1.bias", expected a Tensor')


def test_load_state_dict_assign():
    source, target = Net(), Net()
    state = source.state_dict()
    target.fc1.weight.requires_grad_(False)
    target.load_state_dict(state, assign=True)
    assert target.fc1.weight.data_ptr() == state["fc1.weight"].data_ptr()
    assert isinstance(target.fc1.weight, nn.Parameter) and not target.fc1.weight.requires_grad
    assert target.fc2.weight.requires_grad and target.scale is state["scale"]


def test_load_state_dict_of_another_dtype_and_scalars():
    module = nn.Module()
    module.p = nn.Parameter(pydl.tensor(1.0))
    module.load_state_dict({"p": pydl.tensor([2.0], dtype=pydl.float64)})
    assert module.p.item() == 2.0 and module.p.dtype == pydl.float32 and module.p.shape == ()


def test_extra_state():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.n = 0

        def get_extra_state(self):
            return {"n": self.n}

        def set_extra_state(self, state):
            self.n = state["n"]

    outer = nn.Sequential(Counter())
    outer[0].n = 5
    state = outer.state_dict()
    assert state == {"0._extra_state": {"n": 5}}
    fresh = nn.Sequential(Counter())
    fresh.load_state_dict(state)
    assert fresh[0].n == 5
    assert fresh.load_state_dict({}, strict=False).missing_keys == ["0._extra_state"]
    assert nn.ReLU().load_state_dict({"_extra_state": 1}, strict=False).unexpected_keys == ["_extra_state"]
