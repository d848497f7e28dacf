# SPDX-License-Identifier: BSD-3-Clause
"""The same lines on modules with pydl and with PyTorch: texts, orders, error types, values from equal weights."""

import inspect

import numpy as np
import pytest

import pydl
from tests.line_parity import same_texts

torch = pytest.importorskip("torch", reason="compares with PyTorch")
pytestmark = pytest.mark.parity

SETUP = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Sequential())
        self.heads = nn.ModuleList([nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False), nn.Tanh()])
        self.named = nn.ModuleDict({"a": nn.Identity(), "b": nn.Sequential(nn.Sigmoid())})
        self.free = nn.Parameter(T.zeros(2, 2))
        self.register_buffer("scale", T.ones(2))
        self.register_buffer("hidden", T.ones(2), persistent=False)
        self.nothing = None
        self.register_parameter("absent", None)

    def forward(self, x):
        return self.heads[0](self.fc(x)) * self.scale

class Extra(nn.Linear):
    def extra_repr(self):
        return "one\\ntwo"

net, seq, lin = Net(), nn.Sequential(nn.ReLU(), nn.Tanh()), nn.Linear(2, 3)
shared = nn.Linear(1, 1)
tied = nn.Sequential(shared, nn.ReLU(), shared)
plist = nn.ParameterList([T.ones(2), 3, "a", T.ones(3, 3)])
pdict = nn.ParameterDict({"a": T.ones(2), "b": 3})
"""

LINES = """
net
seq
nn.Module()
nn.Sequential(nn.Sequential())
nn.ModuleList()
nn.ModuleDict()
nn.ParameterList()
nn.ParameterDict()
plist
nn.ParameterList([T.ones(2)])
nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU()), nn.ReLU()])
Extra(1, 2)
nn.Sequential(Extra(1, 2), nn.Linear(2, 2))
[nn.Linear(3, 4, bias=False), nn.Bilinear(1, 2, 3), nn.Identity(3, x=3), nn.Flatten(), nn.Unflatten(1, (2, 3))]
[nn.ReLU(True), nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Softmax(), nn.Softmax(dim=1), nn.LogSoftmax(1)]
[nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MSELoss(), nn.L1Loss(), nn.BCELoss(), nn.BCEWithLogitsLoss()]
[nn.SmoothL1Loss(), nn.HuberLoss(), nn.CrossEntropyLoss(reduction="bad")]
[n for n, _ in net.named_parameters()]
[n for n, _ in net.named_buffers()]
[n for n, _ in net.named_modules()]
[n for n, _ in net.named_children()]
[n for n, _ in tied.named_parameters()]
[n for n, _ in tied.named_parameters(remove_duplicate=False)]
[n for n, _ in tied.named_modules()]
[n for n, _ in tied.named_modules(remove_duplicate=False)]
[n for n, _ in tied.named_children()]
[n for n, _ in net.named_parameters(prefix="p", recurse=False)]
list(net.state_dict())
list(tied.state_dict())
list(net.state_dict(prefix="x."))
list(nn.CrossEntropyLoss(weight=T.ones(2)).state_dict())
list(nn.BCEWithLogitsLoss(pos_weight=T.ones(2)).state_dict())
net.load_state_dict(net.state_dict())
net.load_state_dict({"free": T.ones(2, 2), "other": 1}, strict=False)
lin.load_state_dict({"weight": T.ones(3, 2)}, strict=False)
lin.load_state_dict({"weight": T.ones(2, 2), "z": T.ones(1)})
net.load_state_dict({"fc.0.weight": T.ones(1)})
lin.load_state_dict({"weight": T.ones(3, 2), "bias": T.ones(2)}, strict=False)
lin.load_state_dict([])
lin.load_state_dict({"weight.x": T.ones(1)})
setattr(lin, "weight", T.ones(1))
setattr(lin, "weight", None)
setattr(seq, "0", 3)
setattr(seq, "0", None)
setattr(net, "scale", 3)
setattr(net, "fc", 3)
setattr(net, "nothing", 3)
setattr(net, "absent", 3)
delattr(lin, "zz")
lin.zz
lin.register_parameter("a.b", None)
lin.register_parameter("", None)
lin.register_parameter(3, None)
lin.register_parameter("forward", None)
lin.register_parameter("x", T.ones(2))
lin.register_parameter("weight", None)
lin.register_buffer("x", 3)
lin.register_buffer("weight", None)
lin.register_buffer("a.b", None)
lin.register_buffer("", None)
lin.add_module("a.b", None)
lin.add_module("", None)
lin.add_module("a", 3)
lin.add_module("weight", nn.ReLU())
net.get_submodule("fc.0")
net.get_submodule("fc.7")
net.get_submodule("free")
net.get_parameter("fc.0.w")
net.get_parameter("fc.0.in_features")
net.get_buffer("free")
net.get_buffer("hidden").tolist()
lin.train(3)
lin.eval().training
nn.Module(3)
nn.Module(a=3)
nn.Module()(3)
lin.set_submodule("", nn.ReLU())
net.set_submodule("fc.0", nn.ReLU())
net.set_submodule("fc.9", nn.ReLU(), strict=True)
nn.Sequential(3)
seq[7]
seq[-3]
seq["0"]
seq[0:1]
seq[::-1]
seq.append(3)
seq.insert(9, nn.ReLU())
seq.insert(-1, nn.ReLU())
seq.insert(2, nn.ReLU())
seq.extend([3])
seq + 3
seq * 0
seq * "a"
seq + nn.Sequential(nn.ReLU())
2 * seq
seq.pop(0)
seq.pop(5)
seq.__delitem__(5)
seq.__setitem__(5, nn.ReLU())
seq.__setitem__(0, nn.Linear(1, 1))
nn.Sequential(*[nn.ReLU() for _ in range(4)]).__delitem__(slice(0, 2))
net.heads[5]
net.heads[0:2]
net.heads.insert(9, nn.ReLU())
net.heads.extend(3)
net.heads.append(3)
net.heads + net.heads
net.heads(3)
net.heads.pop(0)
net.heads.pop()
nn.ModuleList([3])
net.named["zz"]
net.named.update(3)
net.named.update([1])
net.named.update([(1, 2, 3)])
net.named.update({"keys": nn.ReLU()})
net.named.update({1: nn.ReLU()})
net.named.update([["c", nn.ReLU()]])
net.named.pop("z")
net.named.pop("a")
list(net.named.keys())
len(net.named), "a" in net.named, 3 in net.named
net.named.clear()
plist[9]
plist[0:2]
plist.extend(3)
plist(3)
plist["a"]
len(plist), plist[-1].shape[0], plist[1]
pdict["q"]
pdict.update(3)
pdict[3]
pdict({})
pdict.popitem()
pdict.pop("zz")
pdict.get("zz", 5), pdict.setdefault("b", 7), list(reversed(pdict)), "a" in pdict
list((pdict | {"z": T.ones(1)}).keys())
list(nn.ParameterDict().fromkeys(["x", "y"], 1).items())
nn.Unflatten(1, 3)
nn.Unflatten(1, (2, "a"))
nn.Unflatten(1, (3, 3))(T.ones(2, 8))
nn.Unflatten(5, (3, 3))(T.ones(2, 9))
nn.Unflatten(1, (-1, 3))(T.ones(2, 9)).shape[1]
nn.Unflatten(-1, (3, 3))(T.ones(2, 9)).shape[1]
nn.Flatten(0)(T.ones(2, 3, 4)).shape[0]
nn.Flatten()(T.ones(2)).shape[0]
nn.Bilinear(0, 2, 3)
nn.Parameter(T.ones(2, dtype=T.int64))
nn.Parameter(T.ones(2))
nn.Parameter()
nn.Buffer(T.ones(2))
nn.Buffer(T.ones(2), persistent=False).persistent
lin.to(T.int64)
lin.double().weight.dtype == T.float64
lin.requires_grad_(False).weight.requires_grad
lin(T.ones(2, 3))
lin.type(T.float64).bias.dtype == T.float64
nn.init.constant_(lin.weight, 3.0)
nn.init.calculate_gain("leaky_relu", 0.3)
nn.init.xavier_uniform_(T.ones(3))
nn.utils.clip_grad_norm_(lin.parameters(), 1.0).item()
nn.utils.parameters_to_vector(lin.parameters()).shape[0]
nn.utils.vector_to_parameters([1.0], lin.parameters())
""".strip().split("\n")


@pytest.mark.parametrize("line", LINES)
def test_same_outcome(line):
    same_texts(line, SETUP)


def test_load_state_dict_text():
    def text(T):
        with pytest.raises(RuntimeError) as info:
            T.nn.Sequential(T.nn.Linear(2, 3)).load_state_dict({"0.weight": T.ones(2, 2), "z": T.ones(1)})
        return str(info.value).replace("torch.", "pydl.")

    assert text(pydl) == text(torch)


NEITHER = {"T_destination", "dump_patches", "ipu", "xpu", "mtia", "register_backward_hook"}


def test_public_names_of_module():
    names = {name for name in dir(torch.nn.Module) if not name.startswith("_")}
    assert names - set(dir(pydl.nn.Module)) == NEITHER


# Layers of pydl's own, and those of which PyTorch shows no signature (test_recurrent_parity.py has their arguments).
ADDED = {name for name in pydl.nn.modules.__all__ if not hasattr(torch.nn, name)}
RECURRENT = {"GRU", "LSTM", "RNN", "RNNBase"}


@pytest.mark.parametrize("name", sorted({*pydl.nn.modules.__all__} - {"Module"} - ADDED - RECURRENT))
def test_signatures_of_layers(name):
    def signature(T):
        parameters = inspect.signature(getattr(T.nn, name).__init__).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert signature(pydl) == signature(torch)


@pytest.mark.parametrize("name", ["SGD", "Optimizer"])
def test_signatures_of_optimizers(name):
    def signature(T):
        return [(p.name, p.kind, p.default) for p in inspect.signature(getattr(T.optim, name)).parameters.values()]

    assert signature(pydl) == signature(torch)


@pytest.mark.parametrize("cls", ["Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"])
def test_methods_take_the_same_arguments(cls):
    ours, theirs = getattr(pydl.nn, cls), getattr(torch.nn, cls)
    for name in dir(theirs):
        if name.startswith("_") or name in NEITHER or not inspect.isfunction(getattr(theirs, name)):
            continue
        parameters = [inspect.signature(getattr(c, name)).parameters.values() for c in (ours, theirs)]
        if name not in ("to", "forward"):  # of which PyTorch shows no signature
            assert [(p.name, p.default) for p in parameters[0]] == [(p.name, p.default) for p in parameters[1]], name


def copy_weights(ours, theirs):
    ours.load_state_dict({name: pydl.tensor(value.numpy()) for name, value in theirs.state_dict().items()})


def test_training_follows_pytorch():
    """Ten steps in float64 from the same weights."""

    def make(T):
        model = T.nn.Sequential(T.nn.Linear(6, 8), T.nn.Tanh(), T.nn.Linear(8, 8), T.nn.ReLU(), T.nn.Linear(8, 3))
        return model.double()

    peer, model = make(torch), make(pydl)
    copy_weights(model, peer)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 6)), rng.integers(0, 3, 16)
    losses = []
    for T, net in ((pydl, model), (torch, peer)):
        opt = T.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
        criterion = T.nn.CrossEntropyLoss(label_smoothing=0.1)
        losses.append([])
        for _ in range(10):
            opt.zero_grad()
            loss = criterion(net(T.tensor(x)), T.tensor(y))
            loss.backward()
            T.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            opt.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)
    for ours, theirs in zip(model.parameters(), peer.parameters(), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-11, atol=1e-13)


def test_backward_hooks_see_the_same():
    def run(T):
        log = []
        net = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.Tanh(), T.nn.Linear(3, 1)).double()
        with T.no_grad():
            for i, p in enumerate(net.parameters()):
                p.copy_(T.tensor(np.linspace(-1, 1, p.numel()).reshape(tuple(p.shape)) + i))
        for name, m in net.named_modules():
            m.register_full_backward_pre_hook(lambda m, dy, name=name: log.append((name, [g.tolist() for g in dy])))
            m.register_full_backward_hook(
                lambda m, dx, dy, name=name: log.append((name, [g if g is None else g.tolist() for g in dx]))
            )
        for needs in (False, True):
            x = T.tensor([[0.5, -1.0]], dtype=T.float64, requires_grad=needs)
            if needs:
                net(x).sum().backward()
            else:
                with pytest.warns(UserWarning, match="(?i)full backward hook"):
                    net(x).sum().backward()
        return log

    ours, theirs = run(pydl), run(torch)
    assert [name for name, _ in ours] == [name for name, _ in theirs]
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert (left is None) == (right is None)
            if left is not None:
                np.testing.assert_allclose(left, right, rtol=1e-13)


def test_optimizer_states_move_between_the_libraries():
    def trained(T, steps):
        p = T.nn.Parameter(T.tensor([1.0, 2.0], dtype=T.float64))
        opt = T.optim.SGD([p], lr=0.1, momentum=0.9)
        for _ in range(steps):
            p.grad = T.tensor([0.5, -1.0], dtype=T.float64)
            opt.step()
        return p, opt

    (p, opt), (q, peer) = trained(pydl, 0), trained(torch, 3)
    state = peer.state_dict()
    state["state"] = {0: {"momentum_buffer": pydl.tensor(state["state"][0]["momentum_buffer"].numpy())}}
    opt.load_state_dict(state)
    with pydl.no_grad():
        p.copy_(pydl.tensor(q.detach().numpy()))
    for T, param, o in ((pydl, p, opt), (torch, q, peer)):
        param.grad = T.tensor([0.5, -1.0], dtype=T.float64)
        o.step()
    np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-15)
