# SPDX-License-Identifier: BSD-3-Clause
"""The same lines with `T` = pydl and `T` = torch: values, dtypes, shapes, requires_grad, printed forms, error types."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import pydl
from tests.lines import LINES

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
    return value if isinstance(value, int | float) else str(value).replace("pydl.", "torch.")


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


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "prod",
        "max",
        "argmax",
        "std",
        "exp",
        "abs",
        "sqrt",
        "neg",
        "relu",
        "sigmoid",
        "clone",
        "var",
        "amax",
        "float",
        "long",
        "bool",
        "all",
        "any",
    ],
)
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


@pytest.mark.parametrize("line", LINES)
def test_lines(line: str) -> None:
    compare(line)


@pytest.mark.parametrize(
    "space, names",
    [
        (
            "nn",
            (
                "Linear",
                "ReLU",
                "Softmax",
                "CrossEntropyLoss",
                "MSELoss",
                "BCELoss",
                "BCEWithLogitsLoss",
                "Flatten",
                "NLLLoss",
            ),
        ),
        ("optim", ("SGD",)),
        (
            "nn.functional",
            (
                "softmax",
                "log_softmax",
                "relu",
                "cross_entropy",
                "nll_loss",
                "mse_loss",
                "binary_cross_entropy",
                "binary_cross_entropy_with_logits",
            ),
        ),
        ("autograd", ("backward", "grad")),
        ("nn.init", ("kaiming_uniform_", "xavier_normal_", "normal_", "zeros_")),
        ("utils.data", ("DataLoader", "TensorDataset")),
    ],
)
def test_argument_names_and_defaults(space: str, names: tuple[str, ...]) -> None:
    import importlib

    for name in names:
        ours = inspect.signature(getattr(importlib.import_module(f"pydl.{space}"), name)).parameters
        theirs = inspect.signature(getattr(importlib.import_module(f"torch.{space}"), name)).parameters
        wanted = {n: p for n, p in theirs.items() if not n.startswith("_") and p.kind is not p.VAR_KEYWORD}
        missing = [n for n in wanted if n not in ours]
        assert not missing, f"{space}.{name} lacks {missing}"
        differ = {
            n: (ours[n].default, p.default)
            for n, p in wanted.items()
            if str(ours[n].default) != str(p.default) and callable(p.default) is False
        }
        assert not differ, f"{space}.{name}: {differ}"
        order = [n for n in ours if n in wanted]
        assert order == list(wanted), f"{space}.{name}: order {order}"


def test_a_training_run_is_the_same() -> None:
    """An MLP in float64 with the same weights and data: the losses of 50 steps with momentum and weight decay."""
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
