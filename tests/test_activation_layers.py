# SPDX-License-Identifier: BSD-3-Clause
"""Activations as layers: PyTorch's outputs, gradients, texts and errors; in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pydl
from pydl import nn
from pydl.nn import functional as F

each_kind = pytest.mark.parametrize("kind", ("float32", "float64"))

LAYERS = (
    *(
        "ReLU()",
        "ReLU6()",
        "LeakyReLU(0.2)",
        "PReLU()",
        "PReLU(3)",
        "RReLU()",
        "ELU(1.5)",
        "SELU()",
        "CELU(2.0)",
        "GELU()",
    ),
    *("GELU('tanh')", "SiLU()", "Mish()", "Hardswish()", "Hardsigmoid()", "Hardtanh(-2.0, 0.5)", "Hardshrink(0.3)"),
    *("Softshrink(0.3)", "Tanhshrink()", "Threshold(0.1, 20.0)", "Softplus(2.0, 3.0)", "Softsign()", "Softmin(1)"),
    *("Softmax2d()", "LogSigmoid()", "GLU(2)", "Tanh()", "Sigmoid()", "Softmax(1)", "LogSoftmax(1)"),
)


@pytest.mark.parity
@pytest.mark.parametrize("text", LAYERS)
@each_kind
def test_layers_are_torchs(text: str, kind: str) -> None:
    """Output, gradient of the input and of the weights, text, state, in evaluation."""
    import torch

    rng = np.random.default_rng(4)
    x = rng.standard_normal((2, 3, 4, 5)).astype(kind)
    found = []
    for T in (pydl, torch):
        m = eval(f"nn.{text}", {"nn": T.nn}).eval().to(getattr(T, kind))
        t = T.from_numpy(x.copy()).requires_grad_()
        y = m(t)
        v = T.from_numpy(np.random.default_rng(5).standard_normal(tuple(y.shape)).astype(kind))
        grads = T.autograd.grad(y, [t, *m.parameters()], v)
        found.append(([y.detach().numpy(), *(g.numpy() for g in grads)], repr(m), list(m.state_dict())))
    (ours, text_a, keys_a), (theirs, text_b, keys_b) = found
    assert text_a == text_b and keys_a == keys_b
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        rtol = 2e-7 if "Hardsigmoid" in text else 0  # torch multiplies by a float32 1/6
        np.testing.assert_allclose(a, b, rtol=rtol, atol=32 * np.finfo(kind).eps * max(1.0, np.abs(b).max()))


REPRS = (
    *(
        "ReLU(True)",
        "ReLU6(True)",
        "LeakyReLU(0.2, True)",
        "RReLU(inplace=True)",
        "ELU(2, True)",
        "SELU(True)",
        "CELU(2.0, True)",
    ),
    *(
        "SiLU(True)",
        "Mish(True)",
        "Hardswish(True)",
        "Hardsigmoid(True)",
        "Hardtanh(-2, 3, True)",
        "Threshold(1, 2, True)",
        "GLU()",
    ),
    *(
        "Hardtanh(2, 1)",
        "Softmax2d()(T.ones(2, 3))",
        "PReLU(2)(T.ones(2, 3))",
        "RReLU(0.5, 0.1)(T.ones(2))",
        "GELU('x')(T.ones(2))",
    ),
    *(
        "CELU(0.0)(T.ones(2))",
        "Softshrink(-1.0)(T.ones(2))",
        "GLU()(T.ones(3))",
        "Dropout(0.2)",
        "Dropout2d(2)",
        "AlphaDropout(-1)",
    ),
)


@pytest.mark.parity
@pytest.mark.parametrize("text", REPRS)
def test_texts_and_errors_are_torchs(text: str) -> None:
    import torch

    found: list[Any] = []
    for T in (pydl, torch):
        try:
            found.append(repr(eval(f"T.nn.{text}", {"T": T})))
        except Exception as error:
            found.append(type(error))
    if isinstance(found[1], type):
        assert isinstance(found[0], type) and issubclass(found[0], found[1]), found
    else:
        assert found[0] == found[1]


@pytest.mark.parametrize(
    "text",
    ["ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "CELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Hardtanh"],
)
def test_layers_in_place(text: str) -> None:
    x = pydl.randn(4, 5)
    wanted = getattr(nn, text)()(x).numpy()
    m = getattr(nn, text)(inplace=True)
    assert m(x) is x and (x.numpy() == wanted).all()


def test_old_names_of_the_bounds() -> None:
    with pytest.warns(FutureWarning, match="max_val"):
        m = nn.Hardtanh(max_value=3.0)
    assert m.max_val == 3.0 and nn.Hardtanh().min_val == -1.0


def test_relu_is_one_function_everywhere() -> None:
    assert F.relu is pydl.relu is pydl.Tensor.relu
