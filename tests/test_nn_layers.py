# SPDX-License-Identifier: BSD-3-Clause
"""Layers, losses and containers: values, laws, list and dict behavior."""

import math
from collections import OrderedDict

import numpy as np
import pytest

import pydl
import pydl.nn.functional as F
from pydl import nn


def array(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def values(t):
    return t.detach().numpy()


# ---- layers --------------------------------------------------------------------------------------------------------


def test_linear():
    layer = nn.Linear(3, 2, dtype=pydl.float64)
    x = array(4, 5, 3, dtype=np.float64)
    want = x @ values(layer.weight).T + values(layer.bias)
    np.testing.assert_allclose(values(layer(pydl.tensor(x))), want, rtol=1e-14, atol=1e-15)
    assert nn.Linear(3, 2, bias=False)(pydl.ones(3)).shape == (2,)
    assert nn.Linear(3, 2, bias=False).bias is None


@pytest.mark.parametrize("n", [1, 7, 300])
def test_linear_law(n):
    layer = nn.Linear(n, 2000)
    bound = 1 / math.sqrt(n)
    for parameter in (layer.weight, layer.bias):
        drawn = values(parameter)
        assert np.abs(drawn).max() <= bound
        # The largest of k uniform draws falls below (1 − ε) of the bound with probability (1 − ε)^k.
        assert np.abs(drawn).max() > bound * 0.98 and drawn.min() < 0 < drawn.max()
        assert abs(drawn.mean()) < 5 * bound / math.sqrt(3 * drawn.size)


def test_linear_without_inputs_warns():
    with pytest.warns(UserWarning, match="zero-element"):
        layer = nn.Linear(0, 3)
    assert values(layer.bias).tolist() == [0, 0, 0] and layer(pydl.ones(2, 0)).shape == (2, 3)


def test_bilinear():
    layer = nn.Bilinear(3, 4, 5, dtype=pydl.float64)
    a, b = array(2, 6, 3, dtype=np.float64), array(2, 6, 4, seed=1, dtype=np.float64)
    want = np.einsum("...i,kij,...j->...k", a, values(layer.weight), b) + values(layer.bias)
    np.testing.assert_allclose(values(layer(pydl.tensor(a), pydl.tensor(b))), want, rtol=1e-12, atol=1e-14)
    assert np.abs(values(layer.weight)).max() <= 1 / math.sqrt(3)
    with pytest.raises(ValueError, match="bilinear: input1"):
        layer(pydl.ones(2, 4), pydl.ones(2, 4))
    with pytest.raises(ValueError, match="must be > 0"):
        nn.Bilinear(0, 1, 1)


def test_bilinear_gradient():
    inputs = [pydl.tensor(array(*s, dtype=np.float64), requires_grad=True) for s in ((2, 3), (2, 4), (5, 3, 4), (5,))]
    assert pydl.autograd.gradcheck(F.bilinear, inputs)


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (nn.ReLU(), lambda x: np.maximum(x, 0)),
        (nn.Tanh(), np.tanh),
        (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
        (nn.Softmax(1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        (nn.LogSoftmax(dim=0), lambda x: x - np.log(np.exp(x).sum(0, keepdims=True))),
        (nn.Identity(1, a=2), lambda x: x),
        (nn.Flatten(), lambda x: x.reshape(3, -1)),
        (nn.Flatten(0, 1), lambda x: x.reshape(15, 4)),
        (nn.Unflatten(2, (2, -1)), lambda x: x.reshape(3, 5, 2, 2)),
        (nn.Unflatten(-1, [4, 1]), lambda x: x.reshape(3, 5, 4, 1)),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_plain_layers(layer, reference):
    x = array(3, 5, 4, dtype=np.float64)
    np.testing.assert_allclose(values(layer(pydl.tensor(x))), reference(x), rtol=1e-14, atol=1e-15)


def test_relu_in_place():
    x = pydl.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x).data_ptr() == x.data_ptr() and x.tolist() == [0.0, 2.0]
    y = pydl.tensor([-1.0, 2.0])
    assert F.relu(y, inplace=True).data_ptr() == y.data_ptr() and y.tolist() == [0.0, 2.0]
    assert F.relu(y - 1).tolist() == [0.0, 1.0] and y.tolist() == [0.0, 2.0]


def test_softmax_without_a_dimension_warns():
    for layer, n_dim, dim in ((nn.Softmax(), 2, 1), (nn.LogSoftmax(), 3, 0), (nn.Softmax(), 1, 0)):
        x = pydl.tensor(array(*range(2, 2 + n_dim)))
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            got = layer(x)
        assert np.array_equal(values(got), values(type(layer)(dim)(x)))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Unflatten(1, 3), TypeError, "must be a tuple of ints, but found type int"),
        (lambda: nn.Unflatten(1, (2, "a")), TypeError, "type str at pos 1"),
        (lambda: nn.Unflatten("a", (("b", 2),)), NotImplementedError, "named dimensions"),
        (lambda: nn.Unflatten(1, (3, 3))(pydl.ones(2, 8)), RuntimeError, "x has 8 features"),
        (lambda: nn.Unflatten(1, (-1, 3))(pydl.ones(2, 8)), RuntimeError, "x has 8 features"),
        (lambda: nn.Unflatten(5, (3, 3))(pydl.ones(2, 9)), IndexError, "out of range"),
        (lambda: nn.Flatten(5)(pydl.ones(2, 9)), IndexError, "(?i)dim"),
    ],
)
def test_flatten_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


# ---- losses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_use_their_options(reduction):
    x, t = pydl.tensor(array(4, 3)), pydl.tensor([0, 2, 1, 2])
    w = pydl.tensor([1.0, 2.0, 3.0])
    p, y = nn.Sigmoid()(x), pydl.tensor((array(4, 3, seed=1) > 0).astype(np.float32))
    pairs = [
        (nn.CrossEntropyLoss(w, ignore_index=1, reduction=reduction, label_smoothing=0.1)(x, t),
         F.cross_entropy(x, t, w, ignore_index=1, reduction=reduction, label_smoothing=0.1)),
        (nn.NLLLoss(w, ignore_index=1, reduction=reduction)(x, t),
         F.nll_loss(x, t, w, ignore_index=1, reduction=reduction)),
        (nn.MSELoss(reduction=reduction)(x, y), F.mse_loss(x, y, reduction=reduction)),
        (nn.L1Loss(reduction=reduction)(x, y), F.l1_loss(x, y, reduction=reduction)),
        (nn.SmoothL1Loss(reduction=reduction, beta=0.3)(x, y), F.smooth_l1_loss(x, y, reduction=reduction, beta=0.3)),
        (nn.HuberLoss(reduction, 0.3)(x, y), F.huber_loss(x, y, reduction=reduction, delta=0.3)),
        (nn.BCELoss(w, reduction=reduction)(p, y), F.binary_cross_entropy(p, y, w, reduction=reduction)),
        (nn.BCEWithLogitsLoss(w, reduction=reduction, pos_weight=w)(x, y),
         F.binary_cross_entropy_with_logits(x, y, w, reduction=reduction, pos_weight=w)),
    ]  # fmt: skip
    for got, want in pairs:
        assert got.shape == want.shape and np.array_equal(values(got), values(want))


def test_loss_buffers_and_old_arguments():
    w = pydl.ones(2)
    assert list(nn.CrossEntropyLoss(w).state_dict()) == ["weight"]
    assert list(nn.BCEWithLogitsLoss(pos_weight=w).state_dict()) == ["pos_weight"]
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert nn.CrossEntropyLoss(reduce=False).reduction == "none"


# ---- containers ----------------------------------------------------------------------------------------------------


def test_sequential_as_a_list():
    a, b, c, d = nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Identity()
    s = nn.Sequential(a, b, c)
    assert s[0] is a and s[-1] is c and len(s) == 3 and list(s) == [a, b, c]
    assert isinstance(s[1:], nn.Sequential) and list(s[1:]) == [b, c] and list(s[1:]._modules) == ["1", "2"]
    assert s.append(d) is s and s[3] is d
    assert s.insert(-1, a) is s and list(s) == [a, b, c, a, d]
    del s[0]
    assert list(s) == [b, c, a, d] and list(s._modules) == ["0", "1", "2", "3"] and getattr(s, "0") is b
    s[0] = d
    assert list(s) == [d, c, a, d] and getattr(s, "0") is d
    assert s.pop(1) is c and list(s) == [d, a, d]
    del s[1:]
    assert list(s) == [d] and not hasattr(s, "1")
    assert s.extend([a, b]) is s and list(s + nn.Sequential(c)) == [d, a, b, c] and list(s * 2) == [d, a, b] * 2
    assert list(2 * s) == [d, a, b] * 2
    s += nn.Sequential(c)
    s *= 2
    assert list(s) == [d, a, b, c] * 2


def test_sequential_of_names():
    s = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.ReLU()))
    assert s.first is s[0] and list(s[1:]._modules) == ["act"]
    assert list(s.state_dict()) == ["first.weight", "first.bias"]
    assert s(pydl.ones(1, 2)).shape == (1, 3) and nn.Sequential()(3) == 3


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda s, m, d: s[7], IndexError),
        (lambda s, m, d: s[-3], IndexError),
        (lambda s, m, d: s["0"], TypeError),
        (lambda s, m, d: s.insert(9, nn.ReLU()), IndexError),
        (lambda s, m, d: s.insert(0, 3), TypeError),
        (lambda s, m, d: s.extend([3]), TypeError),
        (lambda s, m, d: s + 3, ValueError),
        (lambda s, m, d: s * 0, ValueError),
        (lambda s, m, d: s * "a", TypeError),
        (lambda s, m, d: nn.Sequential(3), TypeError),
        (lambda s, m, d: nn.Sequential(nn.Linear), TypeError),
        (lambda s, m, d: m[5], IndexError),
        (lambda s, m, d: m.__setitem__(5, nn.ReLU()), IndexError),
        (lambda s, m, d: m.extend(3), TypeError),
        (lambda s, m, d: m.append(3), TypeError),
        (lambda s, m, d: nn.ModuleList([3]), TypeError),
        (lambda s, m, d: m(3), NotImplementedError),
        (lambda s, m, d: d["b"], KeyError),
        (lambda s, m, d: d.update(3), TypeError),
        (lambda s, m, d: d.update([1]), TypeError),
        (lambda s, m, d: d.update([(1, 2, 3)]), ValueError),
        (lambda s, m, d: d.update({"keys": nn.ReLU()}), KeyError),
        (lambda s, m, d: d.update({1: nn.ReLU()}), TypeError),
        (lambda s, m, d: d.pop("z"), KeyError),
        (lambda s, m, d: nn.ParameterList()(3), RuntimeError),
        (lambda s, m, d: nn.ParameterList().extend(3), TypeError),
        (lambda s, m, d: nn.ParameterList()[0], IndexError),
        (lambda s, m, d: nn.ParameterDict()(3), RuntimeError),
        (lambda s, m, d: nn.ParameterDict().update(3), TypeError),
        (lambda s, m, d: nn.ParameterDict()["q"], AttributeError),
        (lambda s, m, d: nn.ParameterDict()[3], TypeError),
    ],
)
def test_container_errors(act, error):
    with pytest.raises(error):
        act(nn.Sequential(nn.ReLU(), nn.Tanh()), nn.ModuleList([nn.ReLU()]), nn.ModuleDict({"a": nn.ReLU()}))


def test_module_list():
    a, b, c = nn.ReLU(), nn.Linear(1, 1), nn.Tanh()
    m = nn.ModuleList([a, b])
    assert m.append(c) is m and list(m) == [a, b, c] and m[-1] is c and list(m[0:2]) == [a, b]
    m.insert(1, c)
    assert list(m) == [a, c, b, c] and [n for n, _ in m.named_parameters()] == ["2.weight", "2.bias"]
    m[-1] = a
    del m[0]
    assert list(m) == [c, b, a] and m.pop(0) is c and list(m + [a]) == [b, a, a]
    m += [c]
    assert list(m) == [b, a, c] and isinstance(m + m, nn.ModuleList)


def test_module_dict():
    a, b = nn.ReLU(), nn.Tanh()
    d = nn.ModuleDict([("a", a)])
    d["b"] = b
    assert list(d) == ["a", "b"] == list(d.keys()) and list(d.values()) == [a, b]
    assert dict(d.items()) == {"a": a, "b": b}
    assert "a" in d and len(d) == 2 and d.a is a
    d["a"] = b
    assert d.a is b and d["a"] is b and d.pop("a") is b and not hasattr(d, "a")
    d.update({"c": a})
    del d["c"]
    d.clear()
    assert len(d) == 0 and not hasattr(d, "b")


def test_parameter_list():
    p = nn.ParameterList([pydl.ones(2), 3])
    assert isinstance(p[0], nn.Parameter) and p[1] == 3 and p[-1] == 3 and len(p) == 2
    p.append(pydl.zeros(1)).extend([nn.Parameter(pydl.ones(1))])
    p += [pydl.ones(1)]
    assert [n for n, _ in p.named_parameters()] == ["0", "2", "3", "4"] and len(list(p)) == 5
    p[1] = pydl.ones(3)
    assert isinstance(p[1], nn.Parameter) and isinstance(p[0:2], nn.ParameterList) and len(p[0:2]) == 2


def test_parameter_dict():
    p = nn.ParameterDict({"a": pydl.ones(2), "b": 3})
    assert isinstance(p["a"], nn.Parameter) and p.a is p["a"]
    assert list(p) == ["a", "b"] and list(reversed(p)) == ["b", "a"]
    assert p.get("z", 1) == 1 and p.get("b") == 3 and p.setdefault("c", pydl.ones(1)).requires_grad
    assert list((p | nn.ParameterDict({"z": pydl.ones(1)})).keys()) == ["a", "b", "c", "z"]
    assert list({"y": 1} | p) == ["y", "a", "b", "c"]
    p |= nn.ParameterDict({"d": pydl.ones(1)})
    assert p.popitem()[0] == "d" and p.pop("b") == 3 and len(p) == 2 and "b" not in p
    assert dict(p.copy().items())["a"] is p["a"]
    with pytest.raises(TypeError):
        p["a"] = 5
    del p["a"]
    p["a"] = 5
    assert [n for n, _ in p.named_parameters()] == ["c"]
    p.clear()
    assert len(p) == 0 and list(p.parameters()) == []
    assert list(p.fromkeys(["u", "v"], 1).values()) == [1, 1]


# ---- nn.functional -------------------------------------------------------------------------------------------------


def test_functional_gives_the_operations_themselves():
    for name in set(F.__all__) - {"relu", "bilinear"}:
        assert getattr(F, name) is getattr(pydl.ops, name)
