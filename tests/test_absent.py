# SPDX-License-Identifier: BSD-3-Clause
"""Names of PyTorch that are not covered: an AttributeError that names the nearest one and where to read on."""

import pytest

import pydl


@pytest.mark.parametrize(
    "module, name, near",
    [
        (pydl, "tensr", "pydl.tensor"),
        (pydl, "zeros_lik", "pydl.zeros_like"),
        (pydl.nn, "Liner", "pydl.nn.Linear"),
        (pydl.nn, "CrossEntropy", "pydl.nn.CrossEntropyLoss"),
        (pydl.optim, "SDG", "pydl.optim.SGD"),
    ],
)
def test_the_nearest_name_is_said(module: object, name: str, near: str) -> None:
    with pytest.raises(AttributeError, match=f"nearest name is {near} .README, section 'Coming from PyTorch'."):
        getattr(module, name)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "complex64"])
def test_types_without_storage_say_what_there_is(name: str) -> None:
    with pytest.raises(AttributeError, match="float32, float64, integers or bool"):
        getattr(pydl, name)


@pytest.mark.parametrize("name", ["Qqqqq"])
def test_a_name_with_nothing_near_says_so_without_a_hint(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"'pydl.nn' has no attribute '{name}' \("):
        getattr(pydl.nn, name)
