# SPDX-License-Identifier: BSD-3-Clause
"""Modules: parts, attributes, state, copies, text."""

import copy
import gc
import pickle
import weakref

import pytest

import pydl
from pydl import nn
from tests.nets import Net, equal

# ---- parts and attributes ------------------------------------------------------------------------------------------


def test_parts_are_found_by_ordinary_lookup():
    net = Net()
    for name in ("fc1", "scale"):
        assert name in net.__dict__
    assert net.fc1.weight is net.fc1.__dict__["weight"] is net.fc1._parameters["weight"]
    assert net.fc2.bias is None and net.fc2._parameters["bias"] is None


def test_writing_into_the_tables_is_seen_by_attributes():
    layer = nn.Linear(2, 2)
    new = nn.Parameter(pydl.zeros(2, 2))
    layer._parameters["weight"] = new
    assert layer.weight is new
    del layer._parameters["weight"]
    assert not hasattr(layer, "weight")
    layer._parameters.update(weight=new, extra=None)
    assert layer.weight is new and layer.extra is None
    assert layer._parameters.pop("extra", 1) is None and not hasattr(layer, "extra")
    assert layer._parameters.setdefault("weight", None) is new
    layer._parameters |= {"more": new}
    assert layer.more is new
    layer._parameters.popitem()
    assert not hasattr(layer, "more")
    layer._parameters.clear()
    assert not hasattr(layer, "weight") and not hasattr(layer, "bias") and list(layer.parameters()) == []
    with pytest.raises(KeyError):
        layer._parameters.pop("weight")


def test_assigning_a_whole_table():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    layer._parameters = {"other": weight}
    assert not hasattr(layer, "weight") and layer.other is weight
    layer._parameters["bias"] = None
    assert layer.bias is None


def test_a_name_that_the_class_defines_keeps_its_meaning():
    net = Net()
    net._modules["forward"] = nn.ReLU()
    assert net(pydl.ones(1, 3)).shape == (1, 2)
    assert "forward" not in net.__dict__ and net.forward.__func__ is Net.forward


def test_assignment_moves_between_tables():
    module = nn.Module()
    module.x = 1
    module.x = nn.Parameter(pydl.ones(1))
    assert list(module._parameters) == ["x"]
    module.x = nn.ReLU()
    assert list(module._parameters) == [] and list(module._modules) == ["x"]
    module.x = nn.Parameter(pydl.ones(1))
    assert list(module._modules) == [] and list(module._parameters) == ["x"]
    module.x = None
    assert module.x is None and module._parameters["x"] is None
    del module.x
    assert not hasattr(module, "x") and list(module._parameters) == []
    module.register_buffer("x", pydl.zeros(1), persistent=False)
    module.x = pydl.ones(2)
    assert module._buffers["x"] is module.x and module._non_persistent_buffers_set == {"x"}
    module.x = nn.Parameter(pydl.ones(1))
    assert module._non_persistent_buffers_set == set() and list(module._buffers) == []


def test_a_tensor_that_is_no_parameter_is_a_plain_attribute():
    module = nn.Module()
    module.x = pydl.ones(1)
    assert list(module.state_dict()) == [] and "x" in module.__dict__


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda m: setattr(m, "weight", pydl.ones(1)), TypeError, "as parameter 'weight'"),
        (lambda m: setattr(m, "child", 3), TypeError, "cannot assign 'int' as child module 'child'"),
        (lambda m: setattr(m, "buf", 3), TypeError, "cannot assign 'int' as buffer 'buf'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "can't contain"),
        (lambda m: m.register_parameter("", None), KeyError, "empty string"),
        (lambda m: m.register_parameter(3, None), TypeError, "parameter name should be a string. Got int"),
        (lambda m: m.register_parameter("forward", None), KeyError, "attribute 'forward' already exists"),
        (lambda m: m.register_parameter("x", pydl.ones(2)), TypeError, "object to parameter 'x'"),
        (lambda m: m.register_buffer("x", 3), TypeError, "cannot assign 'int' object to buffer 'x'"),
        (lambda m: m.register_buffer("weight", None), KeyError, "attribute 'weight' already exists"),
        (lambda m: m.register_module("a.b", None), KeyError, "got: a.b"),
        (lambda m: m.add_module("a", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.get_submodule("child.7"), AttributeError, "ReLU has no attribute `7`"),
        (lambda m: m.get_submodule("weight"), AttributeError, "`weight` is not an nn.Module"),
        (lambda m: m.get_parameter("child.w"), AttributeError, "ReLU has no attribute `w`"),
        (lambda m: m.get_parameter("in_features"), AttributeError, "`in_features` is not an nn.Parameter"),
        (lambda m: m.get_buffer("weight"), AttributeError, "`weight` is not a buffer"),
        (lambda m: m.foo, AttributeError, "'Linear' object has no attribute 'foo'"),
        (lambda m: delattr(m, "foo"), AttributeError, "foo"),
        (lambda m: m.train(3), ValueError, "training mode is expected to be boolean"),
        (lambda m: m.set_submodule("", nn.ReLU()), ValueError, "without a target name"),
        (lambda m: m.set_submodule("in_features", nn.ReLU()), AttributeError, "is not an nn.Module"),
        (lambda m: m.set_submodule("new", nn.ReLU(), strict=True), AttributeError, "has no attribute `new`"),
        (lambda m: nn.Module()(3), NotImplementedError, "missing the required \"forward\" function"),
        (lambda m: nn.Module(3), TypeError, "takes 1 positional argument but 2 were given"),
        (lambda m: nn.Module(a=3), TypeError, "unexpected keyword argument 'a'"),
        (lambda m: m.load_state_dict(3), TypeError, "Expected state_dict to be dict-like"),
        (lambda m: m.cuda(), RuntimeError, "pydl is CPU only"),
        (lambda m: m.to("cuda"), RuntimeError, "pydl is CPU only"),
        (lambda m: nn.ReLU().to("cuda:0"), RuntimeError, "pydl is CPU only"),
        (lambda m: nn.Linear(1, 1, device="cuda"), RuntimeError, "pydl is CPU only"),
        (lambda m: m.half(), NotImplementedError, "float16"),
        (lambda m: m.to(pydl.int64), TypeError, "only accepts floating point"),
        (lambda m: m.to([]), TypeError, "to: expected"),
    ],
)
def test_errors(act, error, text):
    module = nn.Linear(2, 2)
    module.child = nn.ReLU()
    module.register_buffer("buf", pydl.ones(1))
    with pytest.raises(error) as info:
        act(module)
    assert text in str(info.value).replace("\\", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: nn.ReLU(), "cannot assign module before Module.__init__() call"),
        (lambda: nn.Parameter(pydl.ones(1)), "cannot assign parameters before Module.__init__() call"),
        (lambda: nn.Buffer(pydl.ones(1)), "cannot assign buffer before Module.__init__() call"),
    ],
)
def test_parts_before_init(value, text):
    class Early(nn.Module):
        def __init__(self):
            self.part = value()

    with pytest.raises(AttributeError) as info:
        Early()
    assert str(info.value) == f"Early: {text}"


def test_extending_getattr_as_wrappers_do():
    class Wrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(self.module, name)

    wrapped = Wrapper(nn.Linear(3, 2))
    assert wrapped.in_features == 3 and wrapped.weight is wrapped.module.weight


def test_forward_is_looked_up_at_every_call():
    class Net(nn.Module):
        def forward(self, x):
            return x + 1

    class Callable:
        def __call__(self, x):
            return x + 30

    net, x = Net(), pydl.zeros(1)
    assert net(x).item() == 1
    net.forward = lambda x: x + 2  # of the instance
    assert net(x).item() == 2
    del net.forward
    Net.forward = lambda self, x: x + 3
    assert net(x).item() == net(x=x).item() == 3
    Net.forward = staticmethod(lambda x: x + 4)
    assert net(x).item() == 4
    Net.forward = property(lambda self: lambda x: x + 5)
    assert net(x).item() == 5
    Net.forward = Callable()
    assert net(x).item() == 30

    def vanishing(self, x):
        del Net.forward
        return x + 6

    Net.forward = vanishing
    assert net(x).item() == 6
    with pytest.raises(NotImplementedError):
        net(x)


def test_call_super_init_and_dir():
    class Mixin:
        def __init__(self, size):
            self.size = size

    class Both(nn.Module, Mixin):
        call_super_init = True

    assert Both(size=3).size == 3
    names = dir(nn.Sequential(nn.ReLU()))
    assert "forward" in names and "0" not in names
    assert "weight" in dir(nn.Linear(1, 1))


def test_a_non_leaf_parameter_is_refused():
    module = nn.Module()
    parameter = nn.Parameter(pydl.ones(1))
    doubled = parameter * 2
    with pytest.raises(TypeError):
        module.register_parameter("p", doubled)


# ---- walking -------------------------------------------------------------------------------------------------------


def test_walking_and_sharing():
    net = Net()
    net.again = net.fc1
    assert [n for n, _ in net.named_modules()] == ["", "fc1", "act", "fc2"]
    assert [n for n, _ in net.named_modules(remove_duplicate=False)] == ["", "fc1", "act", "fc2", "again"]
    assert [n for n, _ in net.named_parameters()] == ["fc1.weight", "fc1.bias", "fc2.weight"]
    assert [n for n, _ in net.named_parameters(prefix="m", remove_duplicate=False)] == [
        "m.fc1.weight", "m.fc1.bias", "m.fc2.weight", "m.again.weight", "m.again.bias",
    ]  # fmt: skip
    assert [n for n, _ in net.named_buffers()] == ["scale", "scratch"]
    assert [n for n, _ in net.named_children()] == ["fc1", "act", "fc2"]
    assert len(list(net.children())) == 3 and len(list(net.modules())) == 4 and len(list(net.buffers())) == 2
    assert list(net.parameters(recurse=False)) == []
    assert net.get_submodule("") is net and net.get_submodule("fc1") is net.fc1
    assert net.get_parameter("fc1.weight") is net.fc1.weight and net.get_buffer("scale") is net.scale
    net.set_submodule("fc1", nn.Identity())
    assert isinstance(net.fc1, nn.Identity)


def test_a_shared_parameter_counts_once():
    pair = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    pair[1].weight = pair[0].weight
    assert [n for n, _ in pair.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert len([n for n, _ in pair.named_parameters(remove_duplicate=False)]) == 4
    assert list(pair.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    other = copy.deepcopy(pair)
    assert other[1].weight is other[0].weight


def test_train_eval_apply_requires_grad_zero_grad():
    net = Net()
    assert net.training and net.eval() is net and not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    order = []
    assert net.apply(lambda m: order.append(type(m).__name__)) is net
    assert order == ["Linear", "ReLU", "Linear", "Net"]
    net(pydl.ones(1, 3)).sum().backward()
    pointer = net.fc2.weight.grad.data_ptr()
    net.zero_grad(set_to_none=False)
    assert net.fc2.weight.grad.data_ptr() == pointer and not net.fc2.weight.grad.numpy().any()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert net.requires_grad_(False) is net and not any(p.requires_grad for p in net.parameters())


# ---- dtype ---------------------------------------------------------------------------------------------------------


def test_conversion_keeps_parameters():
    net = Net()
    net.register_buffer("count", pydl.tensor([1]))
    weight = net.fc1.weight
    net(pydl.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.fc1.weight is weight and weight.dtype == pydl.float64 and weight.grad.dtype == pydl.float64
    assert net.scale.dtype == pydl.float64 and net.count.dtype == pydl.int64 and net.scale is net._buffers["scale"]
    assert net(pydl.ones(1, 3, dtype=pydl.float64)).dtype == pydl.float64
    assert net.to("cpu").to(pydl.float32).fc1.weight.dtype == pydl.float32
    assert net.to(pydl.ones(1, dtype=pydl.float64)).float().cpu() is net
    assert net.fc1.weight.is_leaf and net.fc1.weight.requires_grad
    before = net.fc1.weight.data_ptr()
    net.to_empty(device="cpu")
    assert net.fc1.weight.data_ptr() != before
    assert net.type(pydl.float64).fc1.weight.dtype == pydl.float64
    with pytest.raises(NotImplementedError, match="not shared between processes"):
        net.share_memory()


# ---- copies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
def test_copies_are_independent_and_whole(clone):
    net = Net()
    net.shared = net.fc1
    net.fc1.weight.tag = "kept"
    other = clone(net)
    assert other.fc1.weight is other.fc1._parameters["weight"] and other.shared is other.fc1
    assert equal(other.fc1.weight, net.fc1.weight) and other.fc1.weight is not net.fc1.weight
    assert isinstance(other.fc1.weight, nn.Parameter) and other.fc1.weight.requires_grad
    assert other.fc1.weight.tag == "kept" and other.training
    new = nn.Parameter(pydl.zeros(4, 3))
    other.fc1._parameters["weight"] = new
    assert other.fc1.weight is new and net.fc1.weight is not new
    del net
    gc.collect()
    other._modules["fc1"] = nn.Identity()  # the copy's tables belong to the copy
    assert isinstance(other.fc1, nn.Identity)


def test_shallow_copy_shares_tables():
    net = Net()
    other = copy.copy(net)
    assert other._modules is net._modules and other.fc1 is net.fc1
    other._modules["fc1"] = nn.Identity()
    assert isinstance(net.fc1, nn.Identity) and isinstance(other.fc1, nn.Identity)


def test_subclass_with_its_own_pickling():
    class Slim(nn.Linear):
        def __getstate__(self):
            return dict(self.__dict__, cache=None)

        def __setstate__(self, state):
            self.__dict__.update(state)

    slim = copy.deepcopy(Slim(2, 2))
    assert slim.weight is slim._parameters["weight"]
    slim._parameters["weight"] = None
    assert slim.weight is None


def test_modules_are_freed_by_reference_count():
    gc.disable()
    try:
        net = nn.Sequential(Net(), nn.ReLU())
        ref = weakref.ref(net[0])
        net(pydl.ones(1, 3)).sum().backward()
        del net
        assert ref() is None
    finally:
        gc.enable()


# ---- parameters ----------------------------------------------------------------------------------------------------


def test_parameter():
    data = pydl.ones(2)
    parameter = nn.Parameter(data)
    assert isinstance(parameter, pydl.Tensor) and parameter.requires_grad and parameter.is_leaf
    assert parameter.data_ptr() == data.data_ptr() and not data.requires_grad
    assert repr(parameter) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert type(parameter * 2) is pydl.Tensor and type(parameter.detach()) is pydl.Tensor
    assert not nn.Parameter(pydl.tensor([1]), requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
    with pytest.raises(RuntimeError):
        nn.Parameter(pydl.tensor([1]))
    with pytest.raises(TypeError):
        nn.Parameter(3)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
def test_parameter_and_buffer_copies(clone):
    parameter = clone(nn.Parameter(pydl.ones(2), requires_grad=False))
    assert type(parameter) is nn.Parameter and not parameter.requires_grad
    buffer = clone(nn.Buffer(pydl.ones(2), persistent=False))
    assert type(buffer) is nn.Buffer and buffer.persistent is False and buffer.numpy().tolist() == [1.0, 1.0]


def test_buffer_attribute():
    module = nn.Module()
    module.a = nn.Buffer(pydl.ones(1))
    module.b = nn.Buffer(pydl.ones(1), persistent=False)
    assert list(module.state_dict()) == ["a"] and [n for n, _ in module.named_buffers()] == ["a", "b"]
    assert list(module.parameters()) == []
