# SPDX-License-Identifier: BSD-3-Clause
"""The same lines with `T` = pydl and `T` = torch: values, dtypes, shapes, requires_grad, printed forms, error types."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import pydl
from tests.line_parity import same_values
from tests.lines import LINES

pytestmark = pytest.mark.parity

KINDS = ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "**", "==", "<", "@"])
@pytest.mark.parametrize("b", KINDS)
@pytest.mark.parametrize("a", KINDS)
def test_promotion_of_tensors(a: str, b: str, operator: str) -> None:
    x, y = f"T.tensor([1, 2, 3], dtype=T.{a})", f"T.tensor([1, 2, 1], dtype=T.{b})"
    same_values(f"{x} {operator} {y}")
    if operator not in "@":
        same_values(f"{x} {operator} T.tensor(2, dtype=T.{b})")


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "**", ">="])
@pytest.mark.parametrize("scalar", ["2", "2.5", "True"])
@pytest.mark.parametrize("kind", KINDS)
def test_promotion_of_scalars(kind: str, scalar: str, operator: str) -> None:
    same_values(f"T.tensor([1, 2], dtype=T.{kind}) {operator} {scalar}")
    same_values(f"{scalar} {operator} T.tensor([1, 2], dtype=T.{kind})")


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
    same_values(f"T.tensor([1, 0, 3], dtype=T.{kind}).{name}()")


@pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "int8"])
@pytest.mark.parametrize("mode", ["None", "'floor'", "'trunc'"])
def test_integer_division(kind: str, mode: str) -> None:
    x, y = f"T.tensor([7, 5, 0], dtype=T.{kind})", f"T.tensor([2, 3, 4], dtype=T.{kind})"
    same_values(f"T.div({x}, {y}, rounding_mode={mode})")
    same_values(f"T.tensor([7, 5, 1], dtype=T.{kind}) // 2")
    same_values(f"T.tensor([7, 5, 1], dtype=T.{kind}) % 3")
    if mode != "None":
        same_values(f"T.div(T.tensor([1], dtype=T.{kind}), T.tensor([0], dtype=T.{kind}), rounding_mode={mode})")


@pytest.mark.parametrize("line", LINES)
def test_lines(line: str) -> None:
    same_values(line)


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
