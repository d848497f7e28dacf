# SPDX-License-Identifier: BSD-3-Clause
"""The same lines run with `T` = pydl and `T` = torch: values, dtypes, shapes, requires_grad, printed forms, error types."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import pydl

pytestmark = pytest.mark.parity

KINDS = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


def outcome(T: Any, line: str) -> Any:
    """What the line evaluates to, as comparable Python values; for an error its type."""
    try:
        result = eval(line, {"T": T, "nn": T.nn, "F": T.nn.functional, "np": np})
    except Exception as error:
        return error
    return plain(result)


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and not hasattr(value, "numel"):
        return [plain(v) for v in value]
    if hasattr(value, "requires_grad"):
        kind = str(value.dtype).split(".")[-1]
        return (kind, tuple(value.shape), value.requires_grad, value.detach().numpy().tolist())
    return str(value).replace("torch.", "").replace("pydl.", "") if not isinstance(value, int | float | str) else value


def compare(line: str) -> None:
    import torch

    ours, theirs = outcome(pydl, line), outcome(torch, line)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"torch raises {theirs!r}, pydl gives {ours!r}"
        return
    assert not isinstance(ours, Exception), f"torch gives {theirs!r}, pydl raises {ours!r}"
    same(ours, theirs)


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple) and isinstance(ours, tuple):
        assert ours[:3] == theirs[:3]
        np.testing.assert_allclose(np.array(ours[3], float), np.array(theirs[3], float), rtol=1e-6, atol=1e-7)
    elif isinstance(theirs, list) and isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-6, nan_ok=True)
    else:
        assert ours == theirs


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "**", "==", "<", "@"])
@pytest.mark.parametrize("b", KINDS)
@pytest.mark.parametrize("a", KINDS)
def test_promotion_of_tensors(a: str, b: str, operator: str) -> None:
    x, y = f"T.tensor([1, 2, 3], dtype=T.{a})", f"T.tensor([1, 2, 1], dtype=T.{b})"
    compare(f"{x} {operator} {y}")
    if operator not in "@":
        compare(f"{x} {operator} T.tensor(2, dtype=T.{b})")


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "**", ">="])
@pytest.mark.parametrize("scalar", ["2", "2.5", "True"])
@pytest.mark.parametrize("kind", KINDS)
def test_promotion_of_scalars(kind: str, scalar: str, operator: str) -> None:
    compare(f"T.tensor([1, 2], dtype=T.{kind}) {operator} {scalar}")
    compare(f"{scalar} {operator} T.tensor([1, 2], dtype=T.{kind})")


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "argmax", "std", "exp", "abs", "sqrt", "neg", "relu",
                                  "sigmoid", "clone", "var", "amax", "float", "long", "bool", "all", "any"])
@pytest.mark.parametrize("kind", KINDS)
def test_result_types(kind: str, name: str) -> None:
    compare(f"T.tensor([1, 0, 3], dtype=T.{kind}).{name}()")


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "int8"])
@pytest.mark.parametrize("mode", ["None", "'floor'", "'trunc'"])
def test_integer_division(kind: str, mode: str) -> None:
    compare(f"T.div(T.tensor([7, 5, 0], dtype=T.{kind}), T.tensor([2, 3, 4], dtype=T.{kind}), rounding_mode={mode})")
    compare(f"T.tensor([7, 5, 1], dtype=T.{kind}) // 2")
    compare(f"T.tensor([7, 5, 1], dtype=T.{kind}) % 3")
    if mode != "None":
        compare(f"T.div(T.tensor([1], dtype=T.{kind}), T.tensor([0], dtype=T.{kind}), rounding_mode={mode})")


LINES = """
T.tensor(1.)
T.tensor([1, 2])
T.tensor([1., 2])
T.tensor([[1, 2], [3, 4.5]])
T.tensor([True, False])
T.tensor([])
T.tensor([[]])
T.tensor([[1], [2, 3]])
T.tensor(np.arange(3.0))
T.tensor(np.arange(3, dtype=np.int32))
T.tensor(np.float64(3))
T.tensor('a')
T.tensor([1, 2], dtype=T.float32, requires_grad=True)
T.tensor([1, 2], requires_grad=True)
T.tensor([T.tensor(1.), T.tensor(2.)])
T.Tensor([1, 2])
T.Tensor(2, 0)
T.as_tensor([1, 2])
T.as_tensor(np.ones(2))
T.from_numpy(np.ones(2))
T.from_numpy([1, 2])
T.from_numpy(np.array(['a']))
T.from_numpy(np.ones(2, np.complex64))
T.zeros(2, 3)
T.zeros((2, 3))
T.zeros([2, 3], dtype=T.int64)
T.zeros(0)
T.zeros(-1)
T.ones(2, requires_grad=True)
T.full((2,), 7)
T.full((2,), 7.)
T.full((2,), True)
T.arange(5)
T.arange(1, 2, 0.25)
T.arange(5.)
T.arange(5, 1, -2)
T.arange(1, 5, 0)
T.linspace(0, 1, 5)
T.eye(3)
T.zeros_like(T.ones(2, dtype=T.int32))
T.ones_like(T.ones(2, 3), dtype=T.float64)
T.tensor([1.5, 2]).item()
T.tensor(1.5).item()
T.tensor([[3]]).item()
T.tensor([1, 2]).tolist()
T.tensor(3).tolist()
float(T.tensor([2.5]))
int(T.tensor(2.7))
bool(T.tensor([0.0]))
bool(T.tensor([1, 2]))
bool(T.tensor([]))
len(T.ones(3, 2))
len(T.tensor(1))
list(T.ones(2, 2))[0]
[x for x in T.tensor(1.)]
2 in T.tensor([1, 2])
T.ones(2, 3).shape
T.ones(2, 3).size(1)
T.ones(2, 3).size()
T.ones(2, 3).size(2)
T.ones(2, 3).numel()
T.ones(2, 3).dim()
T.ones(2, 3).stride()
T.ones(2, 3).t().stride()
T.ones(2, 3).t().is_contiguous()
T.ones(2, 3).dtype
T.ones(2).device
T.ones(2, 3).view(3, 2)
T.ones(2, 3).view(-1)
T.ones(2, 3).t().view(6)
T.ones(2, 3).t().reshape(6)
T.ones(2, 3).view(4)
T.ones(2, 3).view(-1, -1)
T.ones(2, 3).view(-1, 4)
T.ones(2, 3).view_as(T.ones(6))
T.ones(2, 3).T
T.ones(2, 3).mT
T.ones(2, 3, 4).transpose(0, 2).shape
T.ones(2, 3, 4).permute(2, 0, 1).shape
T.ones(2, 3, 4).permute(2, 0)
T.ones(2, 3).transpose(0, 2)
T.ones(2, 1, 3, 1).squeeze().shape
T.ones(2, 1, 3, 1).squeeze(1).shape
T.ones(2, 1, 3, 1).squeeze(0).shape
T.ones(2, 3).unsqueeze(-1).shape
T.ones(2, 3).unsqueeze(3)
T.ones(3, 1).expand(3, 4)
T.ones(3, 1).expand(-1, 4).stride()
T.ones(3).expand(2)
T.ones(1, 3).expand_as(T.ones(2, 3))
T.ones(2, 3).flatten()
T.ones(2, 3, 4).flatten(1).shape
T.ones(2, 3).repeat(2, 2).shape
T.arange(6).view(2, 3)[1]
T.arange(6).view(2, 3)[1, 2]
T.arange(6).view(2, 3)[:, 1]
T.arange(6).view(2, 3)[..., -1]
T.arange(6).view(2, 3)[None].shape
T.arange(6).view(2, 3)[[0, 1]]
T.arange(6).view(2, 3)[[0, 1], [1, 2]]
T.arange(6).view(2, 3)[T.tensor([0, 1]), T.tensor([1, 2])]
T.arange(6).view(2, 3)[T.tensor([[True, False, True], [False, True, False]])]
T.arange(6).view(2, 3)[T.arange(6).view(2, 3) > 2]
T.arange(6).view(2, 3)[:, [True, False, True]]
T.arange(6)[::2]
T.arange(6)[::-1]
T.arange(6)[6]
T.arange(6)[-7]
T.arange(6)[1:100]
T.arange(6)[4:2]
T.arange(6)[T.tensor([0, 6])]
T.arange(6)[True]
T.arange(6)[False].shape
T.arange(6)[1.0]
T.arange(6)['a']
T.arange(6)[0, 0]
T.tensor(5)[0]
T.tensor(5)[...]
T.ones(2, 3) + T.ones(2)
T.ones(2, 3) @ T.ones(2, 3)
T.ones(2, 3) @ 2
T.ones(3) @ T.ones(3)
T.matmul(T.ones(2, 1, 3, 4), T.ones(5, 4, 2)).shape
T.mm(T.ones(2, 3, 4), T.ones(4, 2))
T.ones(2, 3, dtype=T.float64) @ T.ones(3, 2)
T.ones(2, 3).sum()
T.ones(2, 3).sum(0)
T.ones(2, 3).sum((0, 1))
T.ones(2, 3).sum(dim=1, keepdim=True)
T.ones(2, 3).sum(2)
T.ones(2, 3).sum(dtype=T.float64)
T.ones(2, 3, dtype=T.uint8).sum()
T.arange(6).view(2, 3).float().mean(1)
T.arange(6).mean()
T.arange(6.).var()
T.arange(6.).std(unbiased=False)
T.tensor([1.]).std()
T.arange(6).view(2, 3).max(1).values
T.arange(6).view(2, 3).max(1).indices
T.arange(6).view(2, 3).max(0)[1]
T.arange(6).view(2, 3).max()
T.max(T.tensor([1, 5]), T.tensor([3, 2]))
T.tensor([1., float('nan'), 3]).max()
T.tensor([1., float('nan'), 3]).argmax()
T.tensor([]).max()
T.tensor([]).sum()
T.tensor([]).mean()
T.tensor([1., 2, 2]).argmax()
T.tensor([3, 1, 2]).argmax(dim=0, keepdim=True)
T.cat([T.ones(2), T.zeros(1)])
T.cat([T.ones(2), T.ones(1, dtype=T.int64)])
T.cat([T.ones(2, dtype=T.int32), T.ones(1, dtype=T.int64)])
T.cat([T.ones(2, 2), T.ones(1)])
T.cat([])
T.stack([T.ones(2), T.zeros(2)], 1)
T.stack([T.ones(2), T.zeros(3)])
[x.shape for x in T.ones(7).split(3)]
[x.shape for x in T.ones(7).chunk(3)]
[x.shape for x in T.ones(7, 2).split([3, 4])]
T.ones(7).split([3, 3])
T.where(T.tensor([True, False]), T.ones(2), T.zeros(2))
T.where(T.tensor([True, False]), 1.0, 0.0)
T.where(T.tensor([True, False]), T.ones(2, dtype=T.int64), 0.5)
T.ones(3).clamp(min=2)
T.ones(3).clamp()
T.ones(3).clamp(0, 0.5)
T.softmax(T.tensor([1., 2, 3]), 0)
T.softmax(T.tensor([1, 2, 3]), 0)
T.softmax(T.tensor([1., 2]), 1)
F.softmax(T.tensor([1., 2]), dim=0, dtype=T.float64)
F.log_softmax(T.tensor([[1., 2]]), -1)
T.relu(T.tensor([-1, 2]))
T.tensor([-1, 2]).sigmoid()
F.linear(T.ones(2, 3), T.ones(4, 3))
F.linear(T.ones(2, 3), T.ones(4, 2))
F.linear(T.ones(2, 3), T.ones(4, 3), T.ones(3))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 2]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 3]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, -1]))
F.cross_entropy(T.ones(2, 3), T.tensor([-100, -100]))
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1]), reduction='no')
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1, 2]))
F.cross_entropy(T.ones(2, 3), T.tensor([0., 1.]))
F.cross_entropy(T.ones(2, 3), T.ones(2, 3) / 3)
F.cross_entropy(T.ones(2, 3), T.tensor([0, 1], dtype=T.int32))
F.nll_loss(T.ones(2, 3), T.tensor([0, 2]), weight=T.tensor([1., 2, 3]))
F.mse_loss(T.ones(2), T.zeros(2))
F.mse_loss(T.ones(2), T.zeros(2), reduction='sum')
F.binary_cross_entropy(T.tensor([0.5]), T.tensor([2.]))
F.binary_cross_entropy(T.tensor([0.5, 0.1]), T.tensor([1.]))
F.binary_cross_entropy(T.tensor([1.5]), T.tensor([1.]))
F.binary_cross_entropy_with_logits(T.tensor([0.5, 2]), T.tensor([1., 0]))
T.tensor([1, 2]).float().dtype
T.tensor([1.7, -1.7]).long()
T.tensor([1.7, 0]).bool()
T.tensor([1., 2]).to(T.float64)
T.tensor([1., 2]).to('cpu')
T.tensor([1., 2]).type(T.int64)
T.tensor([1, 2]).double()
T.tensor([300]).to(T.uint8)
T.equal(T.ones(2), T.ones(2))
T.allclose(T.ones(2), T.ones(2) + 1e-9)
T.isnan(T.tensor([1., float('nan')]))
T.ones(2).add(T.ones(2), alpha=3)
T.add(T.ones(2), 1)
T.ones(2).add_(T.ones(3))
T.ones(2, dtype=T.int64).add_(0.5)
T.ones(2, dtype=T.int64).add_(1)
T.ones(1).add_(T.ones(3))
T.ones(2).mul_(T.ones(2, dtype=T.float64))
T.zeros(3).fill_(2)
T.zeros(2).copy_(T.tensor([1, 2]))
T.zeros(2).copy_(T.ones(3))
T.ones(3).expand(2, 3).add_(1)
T.ones(2, requires_grad=True).add_(1)
T.ones(2, requires_grad=True).numpy()
T.ones(2, requires_grad=True).detach()
T.ones(2, requires_grad=True) * 2
(T.ones(2, requires_grad=True) * 2 > 1)
T.ones(2, requires_grad=True).sum().item()
T.ones(2, requires_grad=True).backward()
T.ones(2).sum().backward()
T.tensor([1, 2]).requires_grad_()
T.ones(2).requires_grad_().is_leaf
T.ones(2) == None
T.ones(2) != T.ones(2)
T.ones(2) < 'a'
T.ones(2) + 'a'
T.ones(2) + None
T.ones(2) + [1, 2]
-T.tensor([True])
T.tensor([True]) - T.tensor([True])
~T.tensor([True, False])
T.tensor([True, False]) & T.tensor([True, True])
abs(T.tensor([-1, 2]))
T.tensor([2]) ** -1
T.tensor([2.]) ** -1
2 ** T.tensor([1, 2])
T.tensor([-8.]) ** (1 / 3)
T.tensor([4, 9]).sqrt()
T.tensor([1., 2]).pow(T.tensor([2, 3]))
1 / T.tensor([0., 2])
T.tensor([5, -5]) / 2
T.log(T.tensor([0., -1]))
T.arange(3).float().index_select(0, T.tensor([2, 0]))
T.arange(3).index_select(0, T.tensor([3]))
T.arange(6).view(2, 3).gather(1, T.tensor([[0, 2], [1, 1]]))
T.arange(6).view(2, 3).gather(1, T.tensor([[3]]))
repr(T.tensor([1., 2.5]))
repr(T.tensor([1, -2]))
repr(T.tensor(3.))
repr(T.tensor([[1., 1e6], [1e-6, 2]]))
repr(T.tensor([1., float('nan'), float('inf')]))
repr(T.tensor([True, False]))
repr(T.zeros(0))
repr(T.zeros(2, 0))
repr(T.arange(2000))
repr(T.arange(24.).view(2, 3, 4))
repr(T.ones(2, requires_grad=True))
repr(T.tensor([1e10, 1]))
repr(T.tensor([0.1, 0.12345678]))
repr(T.ones(2).int())
str(T.ones(2, 3).shape)
repr(nn.Linear(2, 3))
repr(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
f'{T.tensor(1.5):.3f}'
f'{T.tensor([1.5])}'
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_lines(line: str) -> None:
    compare(line)


@pytest.mark.parametrize("space, names", [
    ("nn", ("Linear", "ReLU", "Softmax", "CrossEntropyLoss", "MSELoss", "BCELoss", "BCEWithLogitsLoss", "Flatten", "NLLLoss")),
    ("optim", ("SGD",)), ("nn.functional", ("softmax", "log_softmax", "relu", "cross_entropy", "nll_loss", "mse_loss",
                                            "binary_cross_entropy", "binary_cross_entropy_with_logits")),
    ("autograd", ("backward", "grad")), ("nn.init", ("kaiming_uniform_", "xavier_normal_", "normal_", "zeros_")),
    ("utils.data", ("DataLoader", "TensorDataset"))])
def test_argument_names_and_defaults(space: str, names: tuple[str, ...]) -> None:
    import importlib

    for name in names:
        ours = inspect.signature(getattr(importlib.import_module(f"pydl.{space}"), name)).parameters
        theirs = inspect.signature(getattr(importlib.import_module(f"torch.{space}"), name)).parameters
        wanted = {n: p for n, p in theirs.items() if not n.startswith("_") and p.kind is not p.VAR_KEYWORD}
        missing = [n for n in wanted if n not in ours]
        assert not missing, f"{space}.{name} lacks {missing}"
        differ = {n: (ours[n].default, p.default) for n, p in wanted.items()
                  if str(ours[n].default) != str(p.default) and callable(p.default) is False}
        assert not differ, f"{space}.{name}: {differ}"
        order = [n for n in ours if n in wanted]
        assert order == list(wanted), f"{space}.{name}: order {order}"


def test_a_training_run_is_the_same() -> None:
    """An MLP in float64 with the same weights and data: the losses of 50 steps of SGD with momentum and weight decay."""
    import torch

    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(40, 12)), rng.integers(0, 4, 40)
    weights = [rng.normal(size=s) * 0.3 for s in ((16, 12), (16,), (4, 16), (4,))]

    def losses(T: Any) -> list[float]:
        model = T.nn.Sequential(T.nn.Linear(12, 16), T.nn.Tanh(), T.nn.Linear(16, 4)).double()
        with T.no_grad():
            for p, w in zip(model.parameters(), weights, strict=True):
                p.copy_(T.from_numpy(w))
        optimizer = T.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
        found = []
        for _ in range(50):
            optimizer.zero_grad()
            loss = T.nn.functional.cross_entropy(model(T.from_numpy(x)), T.from_numpy(t), label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    np.testing.assert_allclose(losses(pydl), losses(torch), rtol=1e-11)
